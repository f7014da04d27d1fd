//! **Functions of ours**: what policies of this field need and the engine does not have (tokens,
//! digests), the time, which is the call's own, and builtins of the engine that could make more than
//! anybody has room for, here with bounds. All are pure. As OPA has it, a function that is given what
//! it can't take has no value; only what would break a bound is an error.

mod crypto;
mod size;
mod token;

use regorus::Value;

use super::decision::Failure;

/// Most calls of these functions in one decision.
const MAX_CALLS: u32 = 256;

/// The functions, each with its number of arguments.
pub const FUNCTIONS: [(&str, usize); 24] = [
    ("time.now_ns", 0),
    ("numbers.range", 2),
    ("numbers.range_step", 3),
    ("net.cidr_expand", 1),
    ("bits.lsh", 2),
    ("crypto.sha256", 1),
    ("crypto.hmac.sha256", 2),
    ("crypto.hmac.sha512", 2),
    ("crypto.hmac.equal", 2),
    ("crypto.x509.parse_certificates", 1),
    ("io.jwt.decode", 1),
    ("io.jwt.decode_verify", 2),
    ("io.jwt.verify_eddsa", 2),
    ("io.jwt.verify_es256", 2),
    ("io.jwt.verify_es384", 2),
    ("io.jwt.verify_ps256", 2),
    ("io.jwt.verify_ps384", 2),
    ("io.jwt.verify_ps512", 2),
    ("io.jwt.verify_rs256", 2),
    ("io.jwt.verify_rs384", 2),
    ("io.jwt.verify_rs512", 2),
    ("io.jwt.verify_hs256", 2),
    ("io.jwt.verify_hs384", 2),
    ("io.jwt.verify_hs512", 2),
];

/// The functions as one decision sees them.
#[derive(Debug, Clone)]
pub(super) struct Host {
    /// The call's time, ns since 1970.
    now: Option<i64>,
    calls: u32,
}

/// The time of the call: `input.time` in ms.
pub(super) fn now_of(input: &serde_json::Value) -> Option<i64> {
    input.get("time")?.as_i64()?.checked_mul(1_000_000)
}

impl Host {
    pub(super) fn new(now: Option<i64>) -> Self {
        Self { now, calls: 0 }
    }

    /// Calls a function.
    ///
    /// # Errors
    /// If it would break a bound, or does not exist.
    pub(super) fn call(&mut self, name: &str, arguments: &[Value]) -> Result<Value, Failure> {
        self.calls += 1;
        if self.calls > MAX_CALLS {
            return Err(Failure::TooMuch("the policy called too many functions"));
        }
        let value = match (name, arguments) {
            ("time.now_ns", []) => {
                let missing = "there is no time: the input has no `time` in ms";
                let now = self.now.ok_or(Failure::TooMuch(missing))?;
                Some(Value::from(i128::from(now)))
            }
            ("numbers.range", [from, to]) => size::range(from, to, None)?,
            ("numbers.range_step", [from, to, step]) => size::range(from, to, Some(step))?,
            ("net.cidr_expand", [network]) => size::cidr_expand(network)?,
            ("bits.lsh", [value, by]) => size::lsh(value, by)?,
            ("crypto.sha256", [text]) => crypto::sha256(text),
            ("crypto.hmac.sha256", [text, key]) => crypto::hmac_sha256(text, key),
            ("crypto.hmac.sha512", [text, key]) => crypto::hmac_sha512(text, key),
            ("crypto.hmac.equal", [one, other]) => crypto::equal(one, other),
            ("crypto.x509.parse_certificates", [text]) => crypto::certificates(text),
            ("io.jwt.decode", [token]) => token::decode(token),
            ("io.jwt.decode_verify", [token, constraints]) => {
                token::decode_verify(token, constraints, self.now)
            }
            (name, [token, key]) if name.starts_with("io.jwt.verify_") => {
                let algorithm = &name["io.jwt.verify_".len()..];
                token::verify(token, key, algorithm)
            }
            _ => return Err(Failure::Engine(format!("there is no function `{name}`"))),
        };
        Ok(value.unwrap_or(Value::Undefined))
    }
}

/// A text among the arguments.
fn text(value: &Value) -> Option<&str> {
    value.as_string().ok().map(|text| &**text)
}

#[cfg(test)]
mod tests;
