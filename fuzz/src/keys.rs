//! Keys and certificates, as issuers publish them, clients register them and operators write them.

use proof::jose::alg::Algorithm;
use proof::jose::jwk::{Jwk, JwkSet};
use proof::paseto;
use proof::password::Verifier;
use proof::secret::Secret;
use proof::webhook::{self, Style};
use proof::x509::{Certificate, RevocationLists, TrustRoots};

use std::sync::LazyLock;

use proof::time::Timestamp;
use proof::x509::ocsp::Question;

use crate::calls::NOW;

pub(crate) fn jwk(data: &[u8]) {
    let asymmetric = [
        Algorithm::ES256,
        Algorithm::EdDSA,
        Algorithm::PS256,
        Algorithm::RS256,
    ];
    if let Ok(jwk) = Jwk::parse_public(data) {
        let _ = jwk.verifying_keys(&asymmetric);
        // What is written again is the same public key.
        let again = jwk.to_json().to_string();
        assert!(Jwk::parse_public(again.as_bytes()).is_ok(), "{again}");
        assert!(!again.contains("\"d\""), "a private member survived");
    }
    if let Ok(set) = JwkSet::parse(data) {
        let _ = set.verifying_keys(&asymmetric);
    }
}

pub(crate) fn paserk(data: &[u8]) {
    let text = Secret::new(data.to_vec());
    let _ = paseto::Key::from_paserk(&text);
    let _ = paseto::IssuingKey::from_paserk(&text);
}

pub(crate) fn webhook_key(data: &[u8]) {
    let text = Secret::new(data.to_vec());
    for style in Style::ALL {
        let _ = webhook::Key::read(style, &text);
    }
    let _ = webhook::PrivateKey::read(&text);
}

/// Nobody vouches for what a fuzzer made.
pub(crate) fn certificate(data: &[u8]) {
    let roots = TrustRoots::from_der(&[include_bytes!("../seeds/root.der")]).expect("a root");
    if let Ok(certificate) = Certificate::parse(data) {
        let chained = certificate.verify_chain(&[data], &roots, None, NOW);
        assert!(chained.is_err() || data == include_bytes!("../seeds/root.der"));
    }
    let _ = TrustRoots::from_pem(data);
    let _ = RevocationLists::from_files(&[data]);
}

/// When the seeds were signed.
static SIGNED: LazyLock<Timestamp> = LazyLock::new(|| {
    let made_at = include_str!("../../vectors/ocsp/made-at").trim();
    Timestamp::from_secs(made_at.parse().expect("seconds"))
});

/// A question that some of the seeds answer.
static QUESTION: LazyLock<Question> = LazyLock::new(|| {
    let client = include_bytes!("../../vectors/ocsp/good.pem");
    let roots = include_bytes!("../../vectors/ocsp/ca.pem");
    let client = &Certificate::from_pem(client).expect("a certificate")[0];
    let roots = TrustRoots::from_pem(roots).expect("a root");
    let between: &[&[u8]] = &[];
    let trusted = client.verify_chain(between, &roots, None, *SIGNED);
    trusted.expect("a path").path()[0].clone()
});

/// What is accepted was signed, and nobody has the keys any more.
pub(crate) fn ocsp(data: &[u8]) {
    if let Ok(answer) = QUESTION.read(data, *SIGNED) {
        let month = core::time::Duration::from_secs(30 * 86_400);
        assert!(answer.ends > *SIGNED && answer.ends <= SIGNED.plus(month));
        assert!(
            QUESTION.read(data, answer.ends).is_err(),
            "it counts past its end"
        );
    }
}

pub(crate) fn verifier(data: &[u8]) {
    if let Ok(text) = core::str::from_utf8(data) {
        // Read only: to compute a hash at a cost that the text names is what parsing bounds.
        let _ = Verifier::parse(text);
    }
}
