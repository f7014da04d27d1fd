//! Times what encryption adds to a token: `encrypted_tokens [SECONDS]`.
//!
//! For each kind of key, the microseconds of a processor that signing, encrypting, opening and
//! verifying one access token take, one line of JSON each. Parsing counts for opening and verifying,
//! as a gateway pays it for a token that it never saw; of one that it knows none of this is paid.
#![allow(
    clippy::print_stdout,
    reason = "its answer is for who measures to read"
)]

mod processor;

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use proof::jose::alg::Algorithm;
use proof::jose::jwe::{self, ContentEncryption, DecryptionKey};
use proof::jose::jws;
use proof::jose::key::SigningKey;

/// As long as those that the issuer makes for a client of its own.
const CLAIMS: &str = r#"{"iss":"https://id.example.com","sub":"shop-backend","client_id":"shop-backend","aud":"https://orders.example","exp":1800000600,"iat":1800000000,"jti":"01989c1e-5a63-7d7e-8a30-0123456789ab","scope":"orders:read orders:write","env":"live","application":"shop"}"#;

fn main() -> Result<(), Box<dyn Error>> {
    let seconds = std::env::args().nth(1).unwrap_or_else(|| "1".to_owned());
    let lasts = Duration::from_secs_f64(seconds.parse()?);
    let signer = SigningKey::generate(Algorithm::ES256)?;
    let verifier = signer.verifying_key()?;
    let signed = jws::sign(&signer, "at+jwt", CLAIMS);
    let sign = timed(lasts, || jws::sign(&signer, "at+jwt", black_box(CLAIMS)))?;
    let verify = timed(lasts, || {
        let token = jws::split(black_box(signed.as_bytes())).ok()?;
        token.verify(&verifier).ok().map(drop)
    })?;
    for algorithm in [Algorithm::ES256, Algorithm::RS256] {
        let key = SigningKey::generate(algorithm)?;
        let key = DecryptionKey::from_pkcs8(&key.to_pkcs8()?)?;
        let cipher = ContentEncryption::A256Gcm;
        let token = key.public().encrypt(&signed, "at+jwt", cipher)?;
        jwe::split(token.as_bytes())?.open(&key)?;
        let encrypt = timed(lasts, || {
            let sealed = key.public().encrypt(black_box(&signed), "at+jwt", cipher);
            sealed.ok().map(drop)
        })?;
        let open = timed(lasts, || {
            let token = jwe::split(black_box(token.as_bytes())).ok()?;
            token.open(&key).ok().map(drop)
        })?;
        println!(
            "{{\"alg\":\"{}\",\"signed_bytes\":{},\"bytes\":{},\"sign_us\":{sign:.1},\"encrypt_us\":{encrypt:.1},\"open_us\":{open:.1},\"verify_us\":{verify:.1}}}",
            key.alg().name(),
            signed.len(),
            token.len(),
        );
    }
    Ok(())
}

/// The processor time of one call, in microseconds.
fn timed<T>(lasts: Duration, mut call: impl FnMut() -> T) -> Result<f64, Box<dyn Error>> {
    let (began, before) = (Instant::now(), processor::time()?);
    let mut count = 0u64;
    while count == 0 || !count.is_multiple_of(50) || began.elapsed() < lasts {
        black_box(call());
        count += 1;
    }
    let spent = processor::time()?.saturating_sub(before);
    Ok(spent.as_secs_f64() * 1e6 / count as f64)
}
