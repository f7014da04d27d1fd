//! `sign dpop`: a proof that the caller has the key which its token is bound to (RFC 9449).

use std::path::PathBuf;

use clap::Args;
use http::{HeaderName, HeaderValue};
use proof::base64url;
use proof::digest::sha256;
use proof::dpop::ALGORITHMS;
use proof::jose::key::SigningKey;
use proof::random::{SystemEntropy, random_base62};
use proof::secret::Secret;
use proof::time::Timestamp;

use super::super::failure::Outcome;
use super::super::input;
use super::{Draft, RequestArgs, Signed, private_key_for, time, unsignable};

/// `sign dpop`
#[derive(Debug, Clone, Args)]
pub(crate) struct DpopArgs {
    #[command(flatten)]
    request: RequestArgs,
    /// File with the private key: PKCS#8 in PEM, P-256, Ed25519 or RSA
    #[arg(long, value_name = "FILE")]
    private_key_file: PathBuf,
    /// File with the access token that the call presents; `-` for standard input
    #[arg(long, value_name = "FILE")]
    access_token_file: Option<PathBuf>,
    /// The server's nonce, if it asked for one
    #[arg(long, value_name = "TEXT")]
    nonce: Option<String>,
}

/// Makes the proof and puts it into the request, with the token if there is one.
pub(super) fn sign(args: DpopArgs, now: Timestamp) -> Outcome<Signed> {
    let now = time(args.request.at.as_deref(), now)?;
    let mut draft = Draft::read(args.request)?;
    let pem = input::secret(&args.private_key_file, "private key")?;
    // What a proof may be signed with (RFC 9449 §4.3) is said in one place.
    let key = private_key_for(pem.expose(), &ALGORITHMS)?;
    let mut address = draft.url.clone();
    address.set_query(None);
    let token = args.access_token_file.as_deref();
    let token = token.map(|file| input::secret(file, "token")).transpose()?;
    if let Some(token) = &token {
        let value = [b"DPoP ", token.expose()].concat();
        let value = HeaderValue::from_bytes(&value).map_err(|defect| unsignable(&defect))?;
        draft.headers.insert(http::header::AUTHORIZATION, value);
    }
    let proof = proof(
        &key,
        draft.method.as_str(),
        address.as_str(),
        args.nonce.as_deref(),
        token.as_ref(),
        now,
    );
    let value = HeaderValue::try_from(proof).map_err(|defect| unsignable(&defect))?;
    Ok(draft.done(vec![(HeaderName::from_static("dpop"), value)]))
}

/// A proof for a method and an address without its query (RFC 9449 §4.2).
fn proof(
    key: &SigningKey,
    method: &str,
    address: &str,
    nonce: Option<&str>,
    token: Option<&Secret>,
    now: Timestamp,
) -> String {
    let mut jwk = key.public_jwk().to_json();
    if let Some(members) = jwk.as_object_mut() {
        members.retain(|name, _| !["use", "kid", "alg"].contains(&name.as_str()));
    }
    let header = serde_json::json!({ "typ": "dpop+jwt", "alg": key.alg().name(), "jwk": jwk });
    let mut claims = serde_json::json!({
        "jti": random_base62(24, &SystemEntropy),
        "htm": method,
        "htu": address,
        "iat": now.as_secs(),
    });
    if let Some(nonce) = nonce {
        claims["nonce"] = nonce.into();
    }
    if let Some(token) = token {
        claims["ath"] = base64url::encode(&sha256(token.expose())).into();
    }
    let part = |json: &serde_json::Value| base64url::encode(json.to_string().as_bytes());
    let input = format!("{}.{}", part(&header), part(&claims));
    format!("{input}.{}", base64url::encode(&key.sign(input.as_bytes())))
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use proof::dpop::{self, ProofExpect};
    use proof::time::Leeway;

    use super::super::tests::pem;
    use super::*;

    #[test]
    fn whatever_key_signs_a_proof_the_verifier_takes_its_algorithm() {
        let now = Timestamp::from_secs(1_800_000_000);
        for algorithm in ALGORITHMS {
            let pem = pem(&SigningKey::generate(algorithm).expect("a key"));
            let key = private_key_for(pem.as_bytes(), &ALGORITHMS).expect("readable");
            let proof = proof(&key, "GET", "https://api.example/orders", None, None, now);
            let expect = ProofExpect {
                method: "GET",
                uri: "https://api.example/orders",
                access_token: None,
                max_age: Duration::from_secs(60),
                leeway: Leeway::default(),
            };
            let read = dpop::verify(proof.as_bytes(), &expect, now).expect("a proof");
            assert_eq!(read.thumbprint, key.kid(), "{algorithm}");
        }
    }
}
