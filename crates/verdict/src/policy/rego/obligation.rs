//! What an answer of a policy obliges the gateway to: headers for the upstream, fields that the caller
//! may not see, a stronger authentication, a budget. Closed and typed: an obligation that is not known
//! here fails the policy.

use core::time::Duration;

use http::{HeaderName, HeaderValue};
use serde::Deserialize;

use super::mask::{MAX_MASKS, Mask};
use crate::limit::Rate;

/// Most headers of one answer.
pub const MAX_HEADERS: usize = 16;
/// Longest value of one.
const MAX_HEADER_VALUE: usize = 4_096;

/// Headers that mean something to the connection, or tell who calls: a policy can't write them.
const RESERVED: [&str; 27] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-digest",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "dpop",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "origin",
    "range",
    "referer",
    "signature",
    "signature-input",
    "te",
    "trailer",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-api-key",
];
/// Families of them.
const RESERVED_FAMILIES: [&str; 6] = [
    "access-control-",
    "doorward",
    "proxy-",
    "sec-",
    "x-doorward",
    "x-forwarded-",
];

/// What an answer obliges to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Obligations {
    /// Set on the call to the upstream, in place of what the caller sent under these names.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Taken out of the JSON answer.
    pub mask: Vec<Mask>,
    /// The authentication must be as strong as this (RFC 9470).
    pub step_up: Option<StepUp>,
    /// The call counts in this budget too.
    pub limit: Option<Budget>,
}

/// How strong and how fresh an authentication must be (RFC 9470 §3). At least one of the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepUp {
    /// Any of these classes will do; empty: any class.
    pub acr_values: Vec<String>,
    /// Longest time since the person was authenticated.
    pub max_age: Option<Duration>,
}

/// A budget that a policy names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Its name: calls with the same name and principal share it; empty: the policy's own.
    pub name: String,
    /// How much.
    pub rate: Rate,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    mask: Vec<String>,
    step_up: Option<WrittenStepUp>,
    limit: Option<WrittenLimit>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenStepUp {
    #[serde(default)]
    acr_values: Vec<String>,
    max_age: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLimit {
    rate: String,
    #[serde(default)]
    name: String,
}

impl Obligations {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.headers.is_empty()
            && self.mask.is_empty()
            && self.step_up.is_none()
            && self.limit.is_none()
    }

    /// The form that a policy writes, for logs and tests.
    pub fn to_json(&self) -> serde_json::Value {
        let mut written = serde_json::Map::new();
        if !self.headers.is_empty() {
            let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
            let headers = self.headers.iter();
            let headers = headers.map(|(name, value)| (name.to_string(), text(value).into()));
            written.insert(
                "headers".to_owned(),
                serde_json::Value::Object(headers.collect()),
            );
        }
        if !self.mask.is_empty() {
            let mask = self.mask.iter().map(ToString::to_string);
            written.insert("mask".to_owned(), mask.collect());
        }
        if let Some(step_up) = &self.step_up {
            let max_age = step_up.max_age.map(|age| age.as_secs());
            let told = serde_json::json!({"acr_values": step_up.acr_values, "max_age": max_age});
            written.insert("step_up".to_owned(), told);
        }
        if let Some(limit) = &self.limit {
            let unit = match limit.rate.period.as_secs() {
                1 => "s",
                60 => "m",
                3_600 => "h",
                _ => "d",
            };
            let rate = format!("{}/{unit}", limit.rate.limit);
            let told = serde_json::json!({"rate": rate, "name": limit.name});
            written.insert("limit".to_owned(), told);
        }
        serde_json::Value::Object(written)
    }

    /// Reads the form that a policy writes.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(value: serde_json::Value) -> Result<Self, String> {
        let written: Written =
            serde_json::from_value(value).map_err(|error| format!("`obligations`: {error}"))?;
        if written.headers.len() > MAX_HEADERS {
            return Err("`headers` has more than 16 names".to_owned());
        }
        if written.mask.len() > MAX_MASKS {
            return Err("`mask` has more than 64 paths".to_owned());
        }
        Ok(Self {
            headers: written
                .headers
                .iter()
                .map(|(name, value)| header(name, value))
                .collect::<Result<_, _>>()?,
            mask: written
                .mask
                .iter()
                .map(|path| Mask::parse(path).ok_or_else(|| format!("`{path}` is no JSON pointer")))
                .collect::<Result<_, _>>()?,
            step_up: written.step_up.map(step_up).transpose()?,
            limit: written.limit.map(budget).transpose()?,
        })
    }
}

/// A header that policies may set.
///
/// # Errors
/// In words, for what is no name, and for names that mean something to the connection or tell who calls.
pub fn settable(name: &str) -> Result<HeaderName, String> {
    let parsed = HeaderName::try_from(name).map_err(|_| format!("`{name}` is no header's name"))?;
    let text = parsed.as_str();
    if RESERVED.contains(&text) || RESERVED_FAMILIES.iter().any(|own| text.starts_with(own)) {
        return Err(format!("a policy can't set the header `{name}`"));
    }
    Ok(parsed)
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let parsed = settable(name)?;
    let clean = value.bytes().all(|byte| matches!(byte, 0x20..=0x7e));
    match HeaderValue::try_from(value) {
        Ok(value) if clean && value.len() <= MAX_HEADER_VALUE => Ok((parsed, value)),
        _ => Err(format!("the value of `{name}` can't stand in a header")),
    }
}

fn step_up(written: WrittenStepUp) -> Result<StepUp, String> {
    // RFC 9470 §3: a list in one quoted text, its items separated by spaces.
    let clean = |text: &String| {
        let plain = |byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        !text.is_empty() && text.len() <= 256 && text.bytes().all(plain)
    };
    if !written.acr_values.iter().all(clean) || written.acr_values.len() > 16 {
        return Err("`acr_values` has a value that can't be asked for".to_owned());
    }
    if written.acr_values.is_empty() && written.max_age.is_none() {
        return Err("`step_up` says neither `acr_values` nor `max_age`".to_owned());
    }
    Ok(StepUp {
        acr_values: written.acr_values,
        max_age: written.max_age.map(|age| Duration::from_secs(age.into())),
    })
}

/// `10/m`: calls per second, minute, hour or day.
fn budget(written: WrittenLimit) -> Result<Budget, String> {
    let wrong = || "`rate` is written as `10/m`: calls per s, m, h or d".to_owned();
    let (calls, unit) = written.rate.split_once('/').ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let limit: u32 = calls.parse().map_err(|_| wrong())?;
    // A budget counts in milliseconds: at least one per call.
    if limit == 0 || u64::from(limit) > seconds * 1_000 {
        return Err(wrong());
    }
    if written.name.len() > 64 {
        return Err("the name of a limit is too long".to_owned());
    }
    Ok(Budget {
        name: written.name,
        rate: Rate {
            limit,
            period: Duration::from_secs(seconds),
        },
    })
}
