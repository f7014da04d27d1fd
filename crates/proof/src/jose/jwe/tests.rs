use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../../../vectors/jose/jwe.json")).unwrap()
}

fn key(pem: &Value) -> DecryptionKey {
    DecryptionKey::from_pem(&Secret::new(pem.as_str().unwrap())).unwrap()
}

/// The RSA key and the one on P-256.
fn keys() -> [DecryptionKey; 2] {
    let vectors = vectors();
    [0, 1].map(|index| key(&vectors["keys"][index]["pem"]))
}

const NESTED: &str = "eyJhbGciOiJFUzI1NiJ9.e30.AAAA";

/// The nested text encrypted under a name of the sender's choice, or under none.
fn encrypt(key: &DecryptionKey, enc: ContentEncryption, kid: Option<&str>) -> String {
    let members = kid.map_or(json!({}), |kid| json!({ "kid": kid }));
    key.public().seal(NESTED, &members, enc).unwrap()
}

fn header_of(token: &str) -> Value {
    let header = token.split('.').next().unwrap();
    serde_json::from_slice(&base64url::decode(header.as_bytes()).unwrap()).unwrap()
}

/// A token with members of its header replaced (`null` removes), which breaks its seal.
fn with_header(token: &str, changes: &Value) -> String {
    let (_, rest) = token.split_once('.').unwrap();
    let mut header = header_of(token);
    for (name, value) in changes.as_object().unwrap() {
        let members = header.as_object_mut().unwrap();
        match value {
            Value::Null => members.remove(name),
            value => members.insert(name.clone(), value.clone()),
        };
    }
    format!(
        "{}.{rest}",
        base64url::encode(header.to_string().as_bytes())
    )
}

fn part(token: &str, index: usize, text: &str) -> String {
    let mut parts: Vec<_> = token.split('.').collect();
    parts[index] = text;
    parts.join(".")
}

#[test]
fn what_another_library_encrypted_is_opened() {
    let vectors = vectors();
    let keys = DecryptionKeys::new(keys().into());
    for (key, written) in keys.all().iter().zip(vectors["keys"].as_array().unwrap()) {
        assert_eq!(key.kid(), written["kid"]);
        assert_eq!(key.alg().name(), written["alg"]);
    }
    let opened = vectors["opened"].as_array().unwrap();
    assert_eq!(opened.len(), 10);
    for one in opened {
        let token = one["token"].as_str().unwrap().as_bytes();
        let encrypted = split(token).unwrap();
        let key = keys.all().iter().find(|key| key.alg() == encrypted.alg());
        let inner = encrypted.open(key.unwrap()).unwrap();
        assert_eq!(inner.expose_text(), vectors["payload"].as_str());
        // Of several keys only a named one opens.
        let named = keys.open(token).map(|_| ());
        let expected = encrypted.kid().map(|_| ()).ok_or(JweDefect::NoKey);
        assert_eq!(named, expected);
    }
    for one in vectors["refused"].as_array().unwrap() {
        let refused = split(one["token"].as_str().unwrap().as_bytes()).unwrap_err();
        let expected = match one["why"].as_str().unwrap() {
            "zip" => JweDefect::Compressed,
            "no cty" => JweDefect::NotNested,
            _ => JweDefect::Algorithm,
        };
        assert_eq!(refused, expected, "{}", one["why"]);
    }
}

#[test]
fn the_key_of_rfc_7518_appendix_c_is_derived() {
    let written = &vectors()["agreement"];
    let bob = key(&written["pem"]);
    let header = json!({"epk": written["epk"], "apu": written["apu"], "apv": written["apv"]});
    let header = header.as_object().unwrap();
    let sent = SentKey::Ecdh {
        point: ephemeral(header).unwrap(),
        apu: party(header, "apu").unwrap(),
        apv: party(header, "apv").unwrap(),
    };
    let shared = bob.content_key(&sent, ContentEncryption::A128Gcm).unwrap();
    assert_eq!(base64url::encode(&shared.bytes), written["derived"]);
}

#[test]
fn c01_a_flipped_bit_in_any_part_is_one_defect() {
    for key in keys() {
        for enc in ContentEncryption::ALL {
            let token = encrypt(&key, enc, Some("k"));
            let opened = split(token.as_bytes()).unwrap().open(&key).unwrap();
            assert_eq!(opened.expose_text(), Some(NESTED));
            let parts: Vec<_> = token.split('.').collect();
            for (index, sent) in parts.iter().enumerate().skip(1) {
                let bytes = base64url::decode(sent.as_bytes()).unwrap();
                for at in [0, bytes.len() / 2, bytes.len().saturating_sub(1)] {
                    let mut bytes = bytes.clone();
                    let Some(byte) = bytes.get_mut(at) else {
                        continue;
                    };
                    *byte ^= 1;
                    let bad = part(&token, index, &base64url::encode(&bytes));
                    let refused = split(bad.as_bytes()).unwrap().open(&key).map(|_| ());
                    assert_eq!(refused, Err(JweDefect::Undecryptable), "part {index}");
                }
            }
            // The header is covered, what it says that is not used included.
            let bad = with_header(&token, &json!({"kid": "other"}));
            let refused = split(bad.as_bytes()).unwrap().open(&key).map(|_| ());
            assert_eq!(refused, Err(JweDefect::Undecryptable));
        }
    }
}

#[test]
fn c01_a_key_opens_in_its_own_way_only() {
    let [rsa, ec] = keys();
    let enc = ContentEncryption::A256Gcm;
    for (of, other) in [(&rsa, &ec), (&ec, &rsa)] {
        let token = encrypt(of, enc, None);
        let refused = split(token.as_bytes()).unwrap().open(other).map(|_| ());
        assert_eq!(refused, Err(JweDefect::WrongAlgorithm));
        // Another cipher of the same key.
        let token = with_header(&token, &json!({"enc": "A128GCM"}));
        let refused = split(token.as_bytes()).unwrap().open(of).map(|_| ());
        assert_eq!(refused, Err(JweDefect::Undecryptable));
    }
    let stranger = key(&vectors()["agreement"]["pem"]);
    let token = encrypt(&stranger, enc, None);
    let refused = split(token.as_bytes()).unwrap().open(&ec).map(|_| ());
    assert_eq!(refused, Err(JweDefect::Undecryptable));
}

/// The key that stands for one which was not sent is known to everybody.
#[test]
fn c01_what_opens_with_the_stand_in_key_is_refused() {
    let [rsa, _] = keys();
    let enc = ContentEncryption::A256Gcm;
    let token = encrypt(&rsa, enc, None);
    let covered = token.split_once('.').unwrap().0;
    let mut content = NESTED.as_bytes().to_vec();
    let cipher = LessSafeKey::new(UnboundKey::new(enc.cipher(), &[0; 32]).unwrap());
    let tag = cipher
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key([0; 12]),
            Aad::from(covered.as_bytes()),
            &mut content,
        )
        .unwrap();
    let garbage = base64url::encode(&[7; 256]);
    let mut forged = token.clone();
    for (index, text) in [
        (1, garbage),
        (2, base64url::encode(&[0; 12])),
        (3, base64url::encode(&content)),
        (4, base64url::encode(tag.as_ref())),
    ] {
        forged = part(&forged, index, &text);
    }
    let refused = split(forged.as_bytes()).unwrap().open(&rsa).map(|_| ());
    assert_eq!(refused, Err(JweDefect::Undecryptable));
}

#[test]
fn c01_a_header_says_nothing_but_what_exists_here() {
    let [rsa, ec] = keys();
    let enc = ContentEncryption::A256Gcm;
    let (by_rsa, by_ec) = (encrypt(&rsa, enc, None), encrypt(&ec, enc, None));
    let point = |x: &[u8], y: &[u8], crv: &str| json!({"kty": "EC", "crv": crv, "x": base64url::encode(x), "y": base64url::encode(y)});
    let long = "A".repeat(513);
    for (token, changes, expected) in [
        (&by_rsa, json!({"alg": null}), JweDefect::HeaderMember),
        (&by_rsa, json!({"enc": null}), JweDefect::HeaderMember),
        (&by_rsa, json!({"alg": 7}), JweDefect::HeaderMember),
        (&by_rsa, json!({"kid": 7}), JweDefect::HeaderMember),
        (&by_rsa, json!({"typ": 7}), JweDefect::HeaderMember),
        (&by_rsa, json!({"alg": "dir"}), JweDefect::Algorithm),
        (&by_rsa, json!({"alg": "RSA1_5"}), JweDefect::Algorithm),
        (&by_rsa, json!({"alg": "RSA-OAEP"}), JweDefect::Algorithm),
        (&by_rsa, json!({"alg": "none"}), JweDefect::Algorithm),
        (
            &by_rsa,
            json!({"alg": "PBES2-HS256+A128KW"}),
            JweDefect::Algorithm,
        ),
        (&by_rsa, json!({"enc": "A192GCM"}), JweDefect::Algorithm),
        (
            &by_rsa,
            json!({"enc": "A128CBC-HS256"}),
            JweDefect::Algorithm,
        ),
        (&by_rsa, json!({"crit": []}), JweDefect::CriticalHeader),
        (&by_rsa, json!({"zip": "DEF"}), JweDefect::Compressed),
        (&by_rsa, json!({"cty": null}), JweDefect::NotNested),
        (&by_rsa, json!({"cty": "json"}), JweDefect::NotNested),
        (&by_rsa, json!({"alg": "ECDH-ES"}), JweDefect::PartLength),
        (
            &by_ec,
            json!({"alg": "RSA-OAEP-256"}),
            JweDefect::PartLength,
        ),
        (&by_ec, json!({"epk": null}), JweDefect::HeaderMember),
        (&by_ec, json!({"epk": "x"}), JweDefect::HeaderMember),
        (&by_ec, json!({"apu": long}), JweDefect::HeaderMember),
        (&by_ec, json!({"apv": "="}), JweDefect::NotBase64url),
        (
            &by_ec,
            json!({"epk": point(&[1; 32], &[1; 32], "P-256")}),
            JweDefect::EphemeralKey(JwkDefect::Material),
        ),
        (
            &by_ec,
            json!({"epk": {"kty": "OKP", "crv": "Ed25519", "x": base64url::encode(&[7; 32])}}),
            JweDefect::EphemeralKey(JwkDefect::UnknownKeyType),
        ),
        (
            &by_ec,
            json!({"epk": {"kty": "OKP", "crv": "X25519", "x": base64url::encode(&[7; 32])}}),
            JweDefect::EphemeralKey(JwkDefect::UnknownKeyType),
        ),
    ] {
        let refused = split(with_header(token, &changes).as_bytes()).map(|_| ());
        assert_eq!(refused, Err(expected), "{changes}");
    }
    // Whatever case `cty` is in.
    assert!(split(with_header(&by_ec, &json!({"cty": "jwt"})).as_bytes()).is_ok());
}

#[test]
fn b05_bounds_come_before_any_key() {
    let [rsa, _] = keys();
    let token = encrypt(&rsa, ContentEncryption::A128Gcm, None);
    let long = "A".repeat(MAX_TOKEN_BYTES);
    let header = format!("{}.....", "A".repeat(MAX_HEADER_BYTES + 1));
    for (bad, expected) in [
        (format!("{token}{long}"), JweDefect::TooLong),
        (
            header.trim_end_matches('.').to_owned() + "....",
            JweDefect::HeaderTooLong,
        ),
        (format!("{token}."), JweDefect::NotFiveParts),
        ("a.b.c".to_owned(), JweDefect::NotFiveParts),
        (part(&token, 1, ""), JweDefect::PartLength),
        (part(&token, 1, &"A".repeat(1368)), JweDefect::PartLength),
        (part(&token, 2, "AAAA"), JweDefect::PartLength),
        (part(&token, 4, "AAAA"), JweDefect::PartLength),
        (part(&token, 3, "A="), JweDefect::NotBase64url),
        (
            part(&token, 0, "AAAA"),
            JweDefect::HeaderJson(JsonDefect::Syntax),
        ),
    ] {
        assert_eq!(split(bad.as_bytes()).map(|_| ()), Err(expected));
    }
}

#[test]
fn keys_are_told_apart_by_their_names() {
    let [rsa, ec] = keys();
    let enc = ContentEncryption::A256Gcm;
    let (first, second) = (rsa.kid().to_owned(), ec.kid().to_owned());
    let named = encrypt(&ec, enc, Some(&second));
    let other = encrypt(&ec, enc, Some("their-name"));
    let wrong = encrypt(&ec, enc, Some(&first));
    let both = DecryptionKeys::new(vec![rsa, ec]);
    let opens = |keys: &DecryptionKeys, token: &str| keys.open(token.as_bytes()).map(|_| ());
    assert_eq!(opens(&both, &named), Ok(()));
    assert_eq!(opens(&both, &other), Err(JweDefect::NoKey));
    assert_eq!(opens(&both, &wrong), Err(JweDefect::WrongAlgorithm));
    let [_, ec] = keys();
    let one = DecryptionKeys::new(vec![ec]);
    assert_eq!(opens(&one, &other), Ok(()));
    assert_ne!(one.version(), both.version());
    let [rsa, ec] = keys();
    assert_eq!(DecryptionKeys::new(vec![ec, rsa]).version(), both.version());
    assert_eq!(opens(&one.shut(), &named), Err(JweDefect::NoKey));
    assert_eq!(one.shut().version(), one.version());
}

#[test]
fn what_is_encrypted_names_its_key_and_says_what_it_is() {
    let [rsa, ec] = keys();
    for key in [&rsa, &ec] {
        for enc in ContentEncryption::ALL {
            let public = key.public();
            assert_eq!((public.kid(), public.alg()), (key.kid(), key.alg()));
            let token = public.encrypt(NESTED, "at+jwt", enc).unwrap();
            assert!(looks_like(token.as_bytes()));
            let mut header = header_of(&token);
            let epk = header.as_object_mut().unwrap().remove("epk");
            assert_eq!(epk.is_some(), key.alg() == KeyManagement::EcdhEs);
            let expected = json!({
                "alg": key.alg().name(), "enc": enc.name(), "kid": key.kid(),
                "cty": "JWT", "typ": "at+jwt",
            });
            assert_eq!(header, expected);
            // Keys and nonces are new each time.
            let again = public.encrypt(NESTED, "at+jwt", enc).unwrap();
            for (index, (one, other)) in token.split('.').zip(again.split('.')).enumerate() {
                // What holds no secret of the token: RSA's header, and no key at all with ECDH.
                let fixed = match key.alg() {
                    KeyManagement::RsaOaep256 => 0,
                    KeyManagement::EcdhEs => 1,
                };
                assert_eq!(one == other, index == fixed, "part {index}");
            }
        }
    }
    let shown = format!("{:?}", rsa.public());
    assert_eq!(shown, format!("EncryptionKey(RSA-OAEP-256, {})", rsa.kid()));
    let names = [&rsa, &ec].map(|key| key.kid().to_owned());
    let both = DecryptionKeys::new(keys().into());
    for name in &names {
        assert_eq!(both.named(name).map(DecryptionKey::kid), Some(&**name));
    }
    assert!(both.named("other").is_none());
}

#[test]
fn b05_nothing_is_encrypted_that_would_not_be_read_here() {
    let enc = ContentEncryption::A256Gcm;
    for key in keys() {
        let sealed = |length: usize| key.public().encrypt(&"a".repeat(length), "at+jwt", enc);
        // The longest that passes comes out within the bound and opens; one byte more does not.
        let (mut fits, mut too_long) = (0, MAX_TOKEN_BYTES);
        while fits + 1 < too_long {
            let middle = usize::midpoint(fits, too_long);
            match sealed(middle) {
                Ok(_) => fits = middle,
                Err(defect) => {
                    assert_eq!(defect, EncryptDefect::TooLong);
                    too_long = middle;
                }
            }
        }
        let token = sealed(fits).unwrap();
        assert!((MAX_TOKEN_BYTES - 2..=MAX_TOKEN_BYTES).contains(&token.len()));
        let opened = split(token.as_bytes()).unwrap().open(&key).unwrap();
        assert_eq!(opened.expose().len(), fits);
        for length in [too_long, MAX_TOKEN_BYTES, MAX_TOKEN_BYTES + 1] {
            assert_eq!(sealed(length), Err(EncryptDefect::TooLong));
        }
    }
}

#[test]
fn a_file_that_is_no_such_key_is_refused() {
    for text in [
        "",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    ] {
        let refused = DecryptionKey::from_pem(&Secret::new(text)).map(|_| ());
        assert_eq!(refused, Err(KeyDefect::Pkcs8), "{text}");
    }
    for alg in [
        crate::jose::alg::Algorithm::ES384,
        crate::jose::alg::Algorithm::EdDSA,
    ] {
        let key = crate::jose::key::SigningKey::generate(alg).unwrap();
        let refused = DecryptionKey::from_pkcs8(&key.to_pkcs8().unwrap()).map(|_| ());
        assert_eq!(refused, Err(KeyDefect::Pkcs8), "{alg}");
    }
    let shown = format!("{:?}", keys());
    assert!(shown.contains("ECDH-ES") && shown.contains("***"));
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes: Vec<u8>, text: String) {
        let _ = split(&bytes).is_ok();
        let _ = split(format!("{text}....").as_bytes()).is_ok();
        let _ = (looks_like(&bytes), DecryptionKey::from_pem(&Secret::new(bytes)).is_ok());
    }
}
