//! What stands in `Authorization` and `DPoP`.

use std::sync::LazyLock;

use proof::base64std;
use proof::basic::Basic;
use proof::client_call::{self, CallExpect};
use proof::dpop::{self, ProofExpect};
use proof::issued::{self, Brand};
use proof::jose::alg::Algorithm;
use proof::jose::jwe::{self, DecryptionKey};
use proof::jose::jws;
use proof::jose::jwt::{self, Claims};
use proof::jose::key::SigningKey;
use proof::jose::verifying::VerifyingKey;
use proof::paseto;
use proof::secret::Secret;
use proof::strict_json;
use proof::time::Leeway;
use proof::x509::{Certificate, MAX_INTERMEDIATES, SignerChain, TrustRoots};

use crate::calls::NOW;

/// A key that signed nothing in any corpus.
static KEY: LazyLock<VerifyingKey> = LazyLock::new(|| {
    let key = SigningKey::generate(Algorithm::ES256).expect("a key");
    key.verifying_key().expect("its public half")
});

/// A key of the fuzzer's own, where what is read was signed before: it signs what it is given.
pub(crate) static SIGNER: LazyLock<(SigningKey, VerifyingKey)> = LazyLock::new(|| {
    let key = SigningKey::generate(Algorithm::EdDSA).expect("a key");
    let public = key.verifying_key().expect("its public half");
    (key, public)
});

pub(crate) fn jwt(data: &[u8]) {
    let Ok(unverified) = jws::split(data) else {
        return;
    };
    let _ = (unverified.alg_name(), unverified.kid());
    let _ = jwt::claimed_issuer(unverified.unverified_payload());
    let _ = Claims::from_json(unverified.unverified_payload());
    assert!(unverified.verify(&KEY).is_err(), "a forged signature");
    assert!(
        jws::split_certified(data).is_ok(),
        "its bound is the wider one"
    );
}

/// A header's chain of certificates; the bytes are the header's JSON, so that what is written in two
/// layers of base64 is within reach.
pub(crate) fn x5c(data: &[u8]) {
    let Ok(header) = strict_json::parse_object(data, jws::MAX_CERTIFIED_HEADER_BYTES) else {
        return;
    };
    let Ok(Some(chain)) = SignerChain::read(&header) else {
        return;
    };
    assert!(chain.above().len() <= MAX_INTERMEDIATES);
    // One spelling: what was read is written again as it stood.
    let written = core::iter::once(chain.leaf()).chain(chain.above().iter().map(Vec::as_slice));
    let written: Vec<_> = written.map(base64std::encode).collect();
    assert_eq!(header["x5c"], serde_json::json!(written));
    if chain.in_order().is_ok()
        && let Ok(leaf) = Certificate::parse(chain.leaf())
    {
        let roots = TrustRoots::from_der(&[include_bytes!("../seeds/root.der")]).expect("a root");
        let chained = leaf.verify_chain(chain.above(), &roots, None, NOW);
        assert!(chained.is_err() || chain.leaf() == include_bytes!("../seeds/root.der"));
    }
}

/// A key to which nothing in any corpus was encrypted.
static OPENING: LazyLock<DecryptionKey> = LazyLock::new(|| {
    let key = SigningKey::generate(Algorithm::ES256).expect("a key");
    DecryptionKey::from_pkcs8(&key.to_pkcs8().expect("its text")).expect("opens")
});

pub(crate) fn jwe(data: &[u8]) {
    let looked = jwe::looks_like(data);
    let Ok(encrypted) = jwe::split(data) else {
        return;
    };
    assert!(looked, "what can be split looks like one");
    let _ = (encrypted.alg(), encrypted.kid().map(str::to_owned));
    assert!(encrypted.open(&OPENING).is_err(), "encrypted to another");
    let _ = DecryptionKey::from_pem(&Secret::new(data));
}

pub(crate) fn dpop(data: &[u8]) {
    let expect = ProofExpect {
        method: "GET",
        uri: "https://api.example.com/orders",
        access_token: Some(b"token"),
        max_age: dpop::MAX_AGE,
        leeway: Default::default(),
    };
    // A proof brings its own key, so a corpus may hold true ones: what passes is bounded.
    if let Ok(proof) = dpop::verify(data, &expect, NOW) {
        assert!((1..=dpop::MAX_JTI_BYTES).contains(&proof.jti.len()));
        assert_eq!(proof.thumbprint.len(), 43);
    }
}

/// What passes is for this very call, by this client, and ends within minutes.
pub(crate) fn client_call(data: &[u8]) {
    const API: &str = "https://orders.example";
    let _ = client_call::is_named(data);
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    let token = jws::sign(&SIGNER.0, client_call::TYPE, text);
    assert!(client_call::is_named(token.as_bytes()));
    let Ok(unverified) = jws::split(token.as_bytes()) else {
        return;
    };
    let payload = unverified.verify(&SIGNER.1).expect("it was signed here");
    let leeway = Leeway::default();
    let expect = CallExpect {
        client: "export",
        audiences: &[API],
        method: "POST",
        uri: "https://api.example/orders",
        query: Some("all=1"),
        leeway,
    };
    let Ok(call) = client_call::judge(&payload, &expect, NOW) else {
        return;
    };
    let claims = strict_json::parse_object(data, data.len()).expect("it was read");
    assert!(claims["iss"] == "export" && claims["sub"] == "export");
    assert!(claims["aud"] == API || claims["aud"] == serde_json::json!([API]));
    assert!(claims.get("htm").is_none_or(|method| method == "POST"));
    assert!(!call.jti.is_empty() && claims["jti"] == *call.jti);
    assert!(call.expires_at.plus(leeway.0) > NOW);
    assert!(call.expires_at <= NOW.plus(client_call::MAX_LIFETIME).plus(leeway.0));
    let scopes = call.scopes.into_iter().flatten();
    assert!(scopes.into_iter().all(|scope| !scope.is_empty()));
}

pub(crate) fn paseto(data: &[u8]) {
    let looked = paseto::looks_like(data);
    let Ok(claimed) = paseto::split(data) else {
        return;
    };
    assert!(looked, "what can be split looks like one");
    let _ = (claimed.purpose(), claimed.key_id().map(str::to_owned));
    let local = paseto::LocalKey::of_bytes(Secret::new(vec![7; 32])).expect("32 bytes");
    assert!(claimed.open(&paseto::Key::Local(local), b"").is_err());
}

pub(crate) fn issued(data: &[u8]) {
    let brand = Brand::default();
    if let Ok(presented) = issued::parse(data, &brand) {
        assert_eq!(presented.whole, data);
        assert!(data.starts_with(brand.as_str().as_bytes()));
    }
    let _ = core::str::from_utf8(data).map(Brand::new);
}

pub(crate) fn basic(data: &[u8]) {
    if let Ok(pair) = Basic::parse(data) {
        assert!(
            !pair.username.contains(':'),
            "a user name ends at the first colon"
        );
    }
}
