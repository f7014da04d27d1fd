//! Builtins whose result can be far larger than what they are given, with bounds: a number that a
//! caller sent must not become a gigabyte.

use core::net::IpAddr;
use std::collections::BTreeSet;

use ipnet::IpNet;
use regorus::Value;

use crate::policy::rego::decision::Failure;

/// Most elements that one call makes.
const MAX_ELEMENTS: u64 = 10_000;
/// Longest shift to the left, in bits.
const MAX_SHIFT: u32 = 4_096;

/// `numbers.range`, `numbers.range_step`: from one whole number to another, both included.
pub(super) fn range(
    from: &Value,
    to: &Value,
    step: Option<&Value>,
) -> Result<Option<Value>, Failure> {
    let (Ok(from), Ok(to)) = (from.as_i64(), to.as_i64()) else {
        return Ok(None);
    };
    let step = match step.map(Value::as_u64) {
        None => 1,
        Some(Ok(step)) if step > 0 => step,
        Some(_) => return Ok(None),
    };
    if from.abs_diff(to) / step >= MAX_ELEMENTS {
        return Err(Failure::TooMuch("a range has more than 10000 numbers"));
    }
    let steps = from.abs_diff(to) / step;
    let (from, step) = (i128::from(from), i128::from(step));
    let step = if from <= i128::from(to) { step } else { -step };
    let numbers = (0..=steps).map(|n| Value::from(from + i128::from(n) * step));
    Ok(Some(Value::from(numbers.collect::<Vec<_>>())))
}

/// `net.cidr_expand`: every address of a network.
pub(super) fn cidr_expand(network: &Value) -> Result<Option<Value>, Failure> {
    let Some(network) = super::text(network).and_then(|text| text.parse::<IpNet>().ok()) else {
        return Ok(None);
    };
    let bits = network.max_prefix_len() - network.prefix_len();
    if bits > 13 {
        return Err(Failure::TooMuch("a network has more than 8192 addresses"));
    }
    let address = |offset: u32| -> IpAddr {
        match network.network() {
            IpAddr::V4(first) => IpAddr::V4((first.to_bits() + offset).into()),
            IpAddr::V6(first) => IpAddr::V6((first.to_bits() + u128::from(offset)).into()),
        }
    };
    let all: BTreeSet<Value> = (0..1_u32 << bits)
        .map(|offset| Value::from(address(offset).to_string()))
        .collect();
    Ok(Some(Value::from(all)))
}

/// `bits.lsh`.
pub(super) fn lsh(value: &Value, by: &Value) -> Result<Option<Value>, Failure> {
    let (Ok(value), Ok(shift)) = (value.as_number(), by.as_u64()) else {
        return Ok(None);
    };
    if shift > u64::from(MAX_SHIFT) {
        return Err(Failure::TooMuch(
            "a number is shifted by more than 4096 bits",
        ));
    }
    let shift = by.as_number().ok().and_then(|by| value.lsh(by));
    Ok(shift.map(Value::from))
}
