//! Times what a signature check alone costs: `es256_verification JWK TOKENS SECONDS`.
//!
//! JWK is a file with one ES256 public key or a set whose first key is taken, TOKENS one with
//! compact JWS of that key, one a line. They take turns; on standard output comes
//! `{"verifications":N,"cpu_us":X}`, the processor time of one check. Only [`VerifyingKey::verify`]
//! is timed: no parsing, no claims. The side-by-side benchmark runs it beside its own cases.
#![allow(
    clippy::print_stdout,
    reason = "its answer is for the benchmark to read"
)]

mod processor;

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use proof::jose::alg::Algorithm;
use proof::jose::jwk::Jwk;
use proof::jose::jws;
use proof::jose::verifying::VerifyingKey;

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(key), Some(tokens), Some(seconds)) = (words.next(), words.next(), words.next())
    else {
        return Err("es256_verification JWK TOKENS SECONDS".into());
    };
    let key: serde_json::Value = serde_json::from_slice(&std::fs::read(key)?)?;
    let key = key.pointer("/keys/0").unwrap_or(&key);
    let key = VerifyingKey::new(
        &Jwk::parse_public(key.to_string().as_bytes())?,
        Algorithm::ES256,
    )?;
    let tokens = std::fs::read_to_string(tokens)?;
    let mut signed = Vec::new();
    for token in tokens.lines().take(10_000) {
        jws::split(token.as_bytes())?.verify(&key)?;
        let (input, signature) = token.rsplit_once('.').ok_or("no token")?;
        signed.push((input, proof::base64url::decode(signature.as_bytes())?));
    }
    if signed.is_empty() {
        return Err("no tokens".into());
    }
    let lasts = Duration::from_secs_f64(seconds.parse()?);
    let (began, before) = (Instant::now(), processor::time()?);
    let mut count = 0u64;
    'time: loop {
        for (input, signature) in &signed {
            if !key.verify(black_box(input.as_bytes()), black_box(signature)) {
                return Err("a signature does not hold any more".into());
            }
            count += 1;
            if count.is_multiple_of(100) && began.elapsed() >= lasts {
                break 'time;
            }
        }
    }
    let spent = processor::time()?.saturating_sub(before);
    let each = spent.as_secs_f64() * 1e6 / count as f64;
    println!("{{\"verifications\":{count},\"cpu_us\":{each:.3}}}");
    Ok(())
}
