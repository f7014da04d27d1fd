//! Calls that a client signs with a certified key: whom its own authority vouches for, and nobody
//! else.

use core::time::Duration;
use std::sync::Arc;

use proof::client_call::TYPE;
use proof::digest::TokenHash;
use proof::jose::alg::Algorithm;
use proof::jose::jws;
use proof::jose::key::SigningKey;
use proof::secret::Secret;
use proof::{base64std, base64url, x509};
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SanType, SerialNumber,
    SignatureAlgorithm, date_time_ymd,
};
use serde_json::{Value, json};

use crate::credential::CredentialKind::{ClientJwt, Mtls};
use crate::credential::client_jwt::{CallCertificates, CallingClient};
use crate::credential::jwt::ConfigId;
use crate::credential::mtls::{
    AuthorityId, CertificateIdentity, CertificateProfile, NamePattern, RECHECK,
};
use crate::facts::Unavailable;
use crate::identity::{ClientId, Principal, Scopes};
use crate::problem::Code;
use crate::testing::pki::Ca;
use crate::testing::{NOW, Sent, World};

const EXPORT: &str = "spiffe://example.org/export";

/// A key with the certificates that go with it.
struct Signer {
    key: SigningKey,
    chain: Vec<Vec<u8>>,
}

fn rules(config: u64, name: &str) -> CallCertificates {
    CallCertificates {
        config: ConfigId(config),
        authority: AuthorityId::new("partners"),
        name: NamePattern::Uri(name.into()),
    }
}

/// The client `export` with a new authority of its own.
fn world() -> (World, Ca) {
    let (mut world, ca) = (World::new(), Ca::new());
    client(&mut world).certificates = Some(rules(1, EXPORT));
    vouch(&world, &ca, 1, None);
    (world, ca)
}

fn client(world: &mut World) -> &mut CallingClient {
    let (client, _) = world.facts.clients.get_mut("export").unwrap();
    Arc::make_mut(client)
}

fn vouch(world: &World, ca: &Ca, version: u64, lists: Option<&[Vec<u8>]>) {
    let mut authorities = world.facts.authorities.lock().unwrap();
    authorities.insert("partners".to_owned(), ca.authority(version, lists));
}

fn named(name: &str) -> Vec<SanType> {
    vec![SanType::URI(name.try_into().unwrap())]
}

/// A new key of `export`, certified by this authority.
fn signer(ca: &Ca, change: impl FnOnce(&mut CertificateParams)) -> Signer {
    signer_of(ca, &PKCS_ECDSA_P256_SHA256, Algorithm::ES256, change)
}

fn signer_of(
    ca: &Ca,
    kind: &'static SignatureAlgorithm,
    algorithm: Algorithm,
    change: impl FnOnce(&mut CertificateParams),
) -> Signer {
    let key = KeyPair::generate_for(kind).unwrap();
    let certificate = ca.certify(&key, |params| {
        params.subject_alt_names = named(EXPORT);
        change(params);
    });
    let der = Secret::new(key.serialize_der());
    Signer {
        key: SigningKey::from_pkcs8(algorithm, &der).unwrap(),
        chain: vec![certificate],
    }
}

fn texts(chain: &[Vec<u8>]) -> Vec<String> {
    chain.iter().map(|der| base64std::encode(der)).collect()
}

impl Signer {
    fn above(mut self, chain: &[&Ca]) -> Self {
        self.chain.extend(chain.iter().map(|ca| ca.der().to_vec()));
        self
    }

    /// A header as clients write it, changed.
    fn header(&self, changes: &Value) -> Value {
        let mut header = json!({
            "alg": self.key.alg().name(), "typ": TYPE, "x5c": texts(&self.chain),
        });
        for (name, value) in changes.as_object().unwrap() {
            header[name] = value.clone();
        }
        header
    }

    fn call(&self, world: &World) -> String {
        signed(world, &self.header(&json!({})), &self.key)
    }
}

/// A good call's claims under any header, by any key.
fn signed(world: &World, header: &Value, key: &SigningKey) -> String {
    claiming(world, header, key, &json!({}))
}

fn claiming(world: &World, header: &Value, key: &SigningKey, claims: &Value) -> String {
    let good = world.client_jwt(claims);
    let payload = good.split('.').nth(1).unwrap();
    let input = format!(
        "{}.{payload}",
        base64url::encode(header.to_string().as_bytes())
    );
    let signature = key.sign(input.as_bytes());
    format!("{input}.{}", base64url::encode(&signature))
}

/// The principal that a call makes, or the cause of the refusal that the log keeps.
fn judged_at(world: &World, token: &str, now: proof::time::Timestamp) -> Result<String, String> {
    let call = Sent::get("/orders").bearer(token).call();
    match world.judge(call, &world.route(&[&[ClientJwt]]), now) {
        Ok(permitted) => {
            let identity = permitted.identity().unwrap();
            Ok(identity.standing().principal.id().to_owned())
        }
        Err(refused) => {
            assert_eq!(refused.problem.code, Code::CredentialRefused);
            Err(refused.problem.cause.to_string())
        }
    }
}

fn judged(world: &World, token: &str) -> Result<String, String> {
    judged_at(world, token, NOW)
}

fn refused(cause: &str) -> Result<String, String> {
    Err(cause.to_owned())
}

#[test]
fn a_certified_key_speaks_for_its_client_and_the_next_one_does_too() {
    let (world, ca) = world();
    let route = world.route(&[&[ClientJwt]]);
    // A new key needs no word to anybody.
    for own in [signer(&ca, |_| {}), signer(&ca, |_| {})] {
        world.facts.questions();
        let call = Sent::get("/orders").bearer(&own.call(&world)).call();
        let permitted = world.judge(call, &route, NOW).unwrap();
        let identity = permitted.identity().unwrap();
        let standing = identity.standing();
        assert!(matches!(&standing.principal, Principal::Client(id) if id.as_str() == "export"));
        assert_eq!(standing.scopes, Scopes::new(["orders:read"]));
        // As that of a certificate that was shown in a handshake.
        let hash = TokenHash::of(&own.chain[0]);
        assert_eq!(standing.credential.as_str(), format!("x5t:{hash}"));
        let asked = world.facts.questions();
        let expected = [
            "calling_client",
            "authority",
            "known_certificate",
            "remember_certificate",
            "first_use",
        ];
        assert_eq!(asked, expected, "no registered key is asked for");
    }
    let heard = world.facts.heard();
    let from = heard
        .iter()
        .rposition(|note| note == "(client_jwt")
        .unwrap();
    let until = heard
        .iter()
        .rposition(|note| note == "client_jwt)")
        .unwrap();
    let expected = [
        "token-shape",
        "calling-client",
        "algorithm",
        "authority",
        "certificate-path",
        "certificate-time",
        "certified-key",
        "signature",
        "call-claims",
        "client-life",
        "token-replay",
    ];
    assert_eq!(heard[from + 1..until], expected);
}

#[test]
fn d02_a_certified_call_passes_once() {
    let (world, ca) = world();
    let own = signer(&ca, |_| {});
    let token = own.call(&world);
    assert_eq!(judged(&world, &token), Ok("export".to_owned()));
    assert_eq!(
        judged(&world, &token),
        refused("the token was used before (export)")
    );
    // Another key of the client spends the same ids.
    let claims = json!({ "jti": "one" });
    let other = signer(&ca, |_| {});
    let by = |one: &Signer| claiming(&world, &one.header(&json!({})), &one.key, &claims);
    assert!(judged(&world, &by(&own)).is_ok());
    assert!(judged(&world, &by(&other)).is_err());
}

#[test]
fn c13_every_certificate_that_is_not_vouched_for_as_the_client_s_is_refused() {
    let (world, ca) = world();
    let below = ca.between();
    let year = |from: i32, to: i32| {
        move |params: &mut CertificateParams| {
            params.not_before = date_time_ymd(from, 1, 1);
            params.not_after = date_time_ymd(to, 1, 1);
        }
    };
    let other_name = "the certificate does not have the name of export";
    let cases = [
        (
            "another authority of the same name",
            signer(&Ca::new(), |_| {}),
            "x509-chain: CN=billing",
        ),
        (
            "another authority that is sent along",
            {
                let other = Ca::new();
                signer(&other, |_| {}).above(&[&other])
            },
            "x509-chain: CN=billing",
        ),
        (
            "a link is missing",
            signer(&below, |_| {}),
            "x509-unknown-issuer: CN=billing",
        ),
        (
            "expired",
            signer(&ca, year(2025, 2026)),
            "x509-time: CN=billing",
        ),
        (
            "not yet valid",
            signer(&ca, year(2028, 2029)),
            "x509-time: CN=billing",
        ),
        (
            "a server's",
            signer(&ca, |params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            }),
            "x509-key-usage: CN=billing",
        ),
        (
            "a key that is not for signatures",
            signer(&ca, |params| {
                params.key_usages = vec![KeyUsagePurpose::KeyAgreement];
            }),
            "the certificate's key is not for signatures",
        ),
        (
            "another client's",
            signer(&ca, |params| {
                params.subject_alt_names = named("spiffe://example.org/import");
            }),
            other_name,
        ),
        (
            "a name that only begins like it",
            signer(&ca, |params| {
                params.subject_alt_names = named("spiffe://example.org/export/x");
            }),
            other_name,
        ),
        (
            "the name as another type",
            signer(&ca, |params| {
                params.subject_alt_names =
                    vec![SanType::DnsName("export.example.org".try_into().unwrap())];
                params
                    .distinguished_name
                    .push(DnType::OrganizationName, EXPORT);
            }),
            other_name,
        ),
        (
            "two identities of SPIFFE in one",
            signer(&ca, |params| {
                params
                    .subject_alt_names
                    .extend(named("spiffe://example.org/import"));
            }),
            other_name,
        ),
        (
            "a key of another kind than the header says",
            {
                let mut own = signer_of(&ca, &PKCS_ED25519, Algorithm::EdDSA, |_| {});
                own.key = SigningKey::generate(Algorithm::ES256).unwrap();
                own
            },
            "the certificate's key is for another algorithm",
        ),
        (
            "a key of a kind that the client may not use",
            signer_of(&ca, &PKCS_ECDSA_P384_SHA384, Algorithm::ES384, |_| {}),
            "the token's algorithm is not accepted",
        ),
        (
            "the wrong order",
            signer(&below, |_| {}).above(&[&ca, &below]),
            "x5c-order",
        ),
        (
            "a stranger's link behind it",
            signer(&ca, |_| {}).above(&[&below]),
            "x5c-order",
        ),
    ];
    for (what, own, cause) in &cases {
        assert_eq!(judged(&world, &own.call(&world)), refused(cause), "{what}");
    }
    for good in [
        signer(&ca, |_| {}),
        signer(&ca, |params| {
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = Vec::new();
        }),
        signer(&ca, |_| {}).above(&[&ca]),
        signer(&below, |_| {}).above(&[&below]),
        signer(&below, |_| {}).above(&[&below, &ca]),
        signer_of(&ca, &PKCS_ED25519, Algorithm::EdDSA, |_| {}),
    ] {
        assert_eq!(judged(&world, &good.call(&world)), Ok("export".to_owned()));
    }
}

#[test]
fn c02_the_header_brings_one_chain_along_in_one_spelling_and_no_other_key() {
    let (world, ca) = world();
    let own = signer(&ca, |_| {});
    let stranger = SigningKey::generate(Algorithm::ES256).unwrap();
    let good = texts(&own.chain)[0].clone();
    let (start, rest) = good.split_at(64);
    let along = "the header brings a key along";
    let thumbprint = x509::thumbprint(&own.chain[0]);
    let cases = [
        (json!({}), Ok("export".to_owned())),
        (json!({ "x5t#S256": thumbprint }), Ok("export".to_owned())),
        // By SHA-1 it proves nothing, and a name is not asked for.
        (json!({ "x5t": "AAAA" }), Ok("export".to_owned())),
        (
            json!({ "kid": world.client_key.kid() }),
            Ok("export".to_owned()),
        ),
        (
            json!({ "x5t#S256": x509::thumbprint(&ca.der()) }),
            refused("x5c-other-thumbprint"),
        ),
        (json!({ "x5t#S256": null }), refused("x5c-other-thumbprint")),
        (
            json!({ "jwk": stranger.public_jwk().to_json() }),
            refused(along),
        ),
        (
            json!({ "jwk": own.key.public_jwk().to_json() }),
            refused(along),
        ),
        (json!({ "jku": "https://evil.example/k" }), refused(along)),
        (json!({ "x5u": "https://evil.example/c" }), refused(along)),
        (json!({ "x5c": good }), refused("x5c-not-a-list")),
        (json!({ "x5c": [] }), refused("x5c-not-a-list")),
        (json!({ "x5c": null }), refused("x5c-not-a-list")),
        (json!({ "x5c": [good, {}] }), refused("x5c-not-a-list")),
        (json!({ "x5c": vec![&good; 10] }), refused("x5c-too-many")),
        (
            json!({ "x5c": [good.replace('+', "-").replace('/', "_").replace('=', "")] }),
            refused("x5c-not-base64"),
        ),
        (
            json!({ "x5c": [format!("{start}\n{rest}")] }),
            refused("x5c-not-base64"),
        ),
        (json!({ "x5c": ["AAAA"] }), refused("x5c-order")),
        (
            json!({ "x5c": [format!("{good}{}", "A".repeat(16 * 1024))] }),
            refused("a bearer text in no form that is taken here"),
        ),
        (
            json!({ "pad": "A".repeat(9 * 1024) }),
            refused("a bearer text in no form that is taken here"),
        ),
        (json!({ "crit": ["x5c"] }), refused("jws-critical-header")),
    ];
    for (changes, expected) in cases {
        let token = signed(&world, &own.header(&changes), &own.key);
        let what: String = changes.to_string().chars().take(60).collect();
        assert_eq!(judged(&world, &token), expected, "{what}");
    }
    let forged = signed(&world, &own.header(&json!({})), &stranger);
    assert_eq!(judged(&world, &forged), refused("jws-bad-signature"));
}

#[test]
fn c13_no_registered_key_signs_for_a_client_that_is_certified_nor_the_reverse() {
    let (mut world, ca) = world();
    let own = signer(&ca, |_| {});
    // A registered key: by itself, and under the certificate of another.
    let none = "the header holds no certificate";
    let plain = world.client_jwt(&json!({}));
    assert_eq!(judged(&world, &plain), refused(none));
    let kid = json!({ "kid": world.client_key.kid() });
    let borrowed = signed(&world, &own.header(&kid), &world.client_key);
    assert_eq!(judged(&world, &borrowed), refused("jws-bad-signature"));
    // The thumbprint alone brings nothing along.
    let header = json!({
        "alg": "ES256", "typ": TYPE, "x5t#S256": x509::thumbprint(&own.chain[0]),
    });
    let token = signed(&world, &header, &own.key);
    assert_eq!(judged(&world, &token), refused(none));
    // Of two clients of one authority, each has its own name.
    let import = CallingClient {
        client: ClientId::new("import"),
        certificates: Some(rules(2, "spiffe://example.org/import")),
        ..client(&mut world).clone()
    };
    let entry = (Arc::new(import), Vec::new());
    world.facts.clients.insert("import".to_owned(), entry);
    let theirs = json!({ "iss": "import", "sub": "import" });
    assert!(
        judged(&world, &own.call(&world)).is_ok(),
        "and is known now"
    );
    let token = claiming(&world, &own.header(&json!({})), &own.key, &theirs);
    assert_eq!(
        judged(&world, &token),
        refused("the certificate does not have the name of import")
    );
    let mixed = json!({ "sub": "import" });
    let token = claiming(&world, &own.header(&json!({})), &own.key, &mixed);
    assert!(judged(&world, &token).is_err());
    // Nobody is declared to vouch for it: then no certificate counts.
    client(&mut world).certificates = None;
    let along = refused("the header brings a key along");
    assert_eq!(judged(&world, &own.call(&world)), along);
    let borrowed = signed(
        &world,
        &own.header(&json!({ "kid": world.client_key.kid() })),
        &world.client_key,
    );
    assert_eq!(judged(&world, &borrowed), along);
    assert!(judged(&world, &plain).is_ok());
}

#[test]
fn what_the_lists_revoke_or_do_not_know_signs_nothing() {
    let (world, ca) = world();
    let own = signer(&ca, |params| {
        params.serial_number = Some(SerialNumber::from(7_u64));
    });
    let other = Ca::new();
    for (version, (lists, cause)) in [
        (vec![ca.list(&[8], 2028)], None),
        (
            vec![ca.list(&[7, 8], 2028)],
            Some("x509-revoked: CN=billing"),
        ),
        (
            vec![ca.list(&[], 2027)],
            Some("x509-revocation-outdated: CN=billing"),
        ),
        (
            vec![other.list(&[], 2028)],
            Some("x509-revocation-unknown: CN=billing"),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        vouch(&world, &ca, 10 + version as u64, Some(&lists));
        let found = judged(&world, &own.call(&world)).err();
        assert_eq!(found.as_deref(), cause);
    }
    world.facts.authorities.lock().unwrap().clear();
    let call = Sent::get("/orders").bearer(&own.call(&world)).call();
    let refused = world.judge(call, &world.route(&[&[ClientJwt]]), NOW);
    let problem = refused.unwrap_err().problem;
    assert_eq!(problem.code, Code::FactUnavailable);
    assert_eq!(&*problem.cause, &*Unavailable::Authority.to_string());
}

#[test]
fn c06_a_known_certificate_costs_no_path_and_ends_with_its_own_time() {
    let (world, ca) = world();
    let own = signer(&ca, |params| {
        params.serial_number = Some(SerialNumber::from(7_u64));
        params.not_after = date_time_ymd(2027, 1, 16);
    });
    let end = date_time_ymd(2027, 1, 16).unix_timestamp() + 1;
    let token_at = |at: i64| {
        let claims = json!({ "iat": at, "exp": at + 300 });
        claiming(&world, &own.header(&json!({})), &own.key, &claims)
    };
    let at = |at: i64| judged_at(&world, &token_at(at), proof::time::Timestamp::from_secs(at));
    let now = NOW.as_secs();
    assert!(at(now).is_ok());
    world.facts.questions();
    assert!(at(now).is_ok());
    let asked = world.facts.questions();
    assert!(!asked.contains(&"remember_certificate"), "{asked:?}");
    let later = now + RECHECK.as_secs().cast_signed();
    assert!(at(later).is_ok());
    assert!(world.facts.questions().contains(&"remember_certificate"));

    // The identity ends with whatever ends first.
    let ends = |at: i64| {
        let call = Sent::get("/orders").bearer(&token_at(at)).call();
        let now = proof::time::Timestamp::from_secs(at);
        let permitted = world.judge(call, &world.route(&[&[ClientJwt]]), now);
        let identity = permitted.unwrap().identity().unwrap().clone();
        identity.expires_at().unwrap().as_secs()
    };
    assert_eq!(ends(now), now + 300);
    assert_eq!(ends(end - 50), end);
    // It was looked at less than a minute ago, and its time is over.
    assert_eq!(at(end), refused("the certificate has expired"));
    // A new state of the authority: what was known counts no more.
    vouch(&world, &ca, 2, Some(&[ca.list(&[7], 2028)]));
    assert_eq!(at(now), refused("x509-revoked: CN=billing"));
}

#[test]
fn a_certificate_that_is_known_from_the_handshake_signs_no_call() {
    let profile = CertificateProfile {
        // The same number as the client's, which no two have.
        config: ConfigId(1),
        authority: AuthorityId::new("partners"),
        identities: vec![CertificateIdentity {
            name: NamePattern::Uri(EXPORT.into()),
            scopes: Scopes::new(["orders:read"]),
            roles: Vec::new(),
            tenant: None,
            application: None,
            networks: Vec::new(),
            suspended: false,
        }],
    };
    let (mut world, ca) = (World::knowing(profile), Ca::new());
    client(&mut world).certificates = Some(rules(1, EXPORT));
    vouch(&world, &ca, 1, None);
    let own = signer(&ca, |_| {});
    let mut sent = Sent::get("/orders");
    sent.arrival.tls = Some(Arc::new(crate::call::TlsFacts {
        server_name: None,
        peer_certificate: Some(crate::call::PeerCertificate::new(
            own.chain[0].clone().into(),
        )),
        peer_intermediates: Vec::new(),
    }));
    assert!(
        world
            .judge(sent.call(), &world.route(&[&[Mtls]]), NOW)
            .is_ok()
    );
    let other_use = refused("the certificate is known for another use");
    assert_eq!(judged(&world, &own.call(&world)), other_use);
    // Once it is looked at again it may be both.
    world.facts.certificates.lock().unwrap().clear();
    assert!(judged(&world, &own.call(&world)).is_ok());
}

#[test]
fn long_chains_fit_and_what_doorward_signs_passes() {
    let (world, ca) = world();
    let long = signer(&ca, |params| {
        let names = (0..60).map(|n| format!("a-rather-long-name-{n}.partner.example"));
        let names = names.map(|name| SanType::DnsName(name.as_str().try_into().unwrap()));
        params.subject_alt_names.extend(names);
    });
    let token = long.call(&world);
    let header = token.split('.').next().unwrap().len();
    assert!(header > jws::MAX_HEADER_BYTES, "{header}");
    assert!(judged(&world, &token).is_ok());
    let draft = proof::client_call::Draft {
        client: "export",
        audience: crate::testing::AUDIENCE,
        jti: "made-by-ourselves",
        issued_at: NOW,
        lifetime: Duration::from_secs(60),
        scope: None,
        method: Some("GET"),
        uri: None,
        body_sha256: None,
    };
    let token = draft.sign_certified(&long.key, &long.chain);
    assert!(judged(&world, &token).is_ok());
    // No other reader takes such a header.
    assert!(jws::split(token.as_bytes()).is_err());
}
