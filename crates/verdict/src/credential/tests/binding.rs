use std::sync::Arc;

use bytes::Bytes;
use core::time::Duration;
use proof::base64url;
use proof::digest::sha256;
use proof::jose::alg::Algorithm;
use proof::jose::key::SigningKey;
use proof::x509;
use serde_json::{Value, json};

use crate::call::{PeerCertificate, Scheme, TlsFacts};
use crate::credential::CredentialKind::{ApiKey, Basic as BasicKind, Jwt, Opaque};
use crate::facts::{Facts as _, Unavailable};
use crate::permit::{Permitted, Refused};
use crate::problem::Code;
use crate::route::{Route, SenderRules};
use crate::testing::{NOW, Sent, World, changed, hand};

const ADDRESS: &str = "https://orders.example/orders";
const CERTIFICATE: &[u8] = b"the bytes of a certificate";

/// A client with a key of its own.
struct Holder(SigningKey);

impl Holder {
    fn new() -> Self {
        Self(SigningKey::generate(Algorithm::ES256).unwrap())
    }

    fn cnf(&self) -> Value {
        json!({"cnf": {"jkt": self.0.kid()}})
    }

    /// A good proof for `GET /orders` with `token`, with claims replaced (`null` removes).
    fn proof(&self, token: &str, changes: &Value) -> String {
        let mut jwk = self.0.public_jwk().to_json();
        jwk.as_object_mut().unwrap().remove("use");
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk});
        self.proof_with(&header, token, changes)
    }

    fn proof_with(&self, header: &Value, token: &str, changes: &Value) -> String {
        let claims = json!({
            "jti": "p-1", "htm": "GET", "htu": ADDRESS, "iat": NOW.as_secs(),
            "ath": base64url::encode(&sha256(token.as_bytes())),
        });
        let part = |json: &Value| base64url::encode(json.to_string().as_bytes());
        let input = format!("{}.{}", part(header), part(&changed(claims, changes)));
        let signature = base64url::encode(&self.0.sign(input.as_bytes()));
        format!("{input}.{signature}")
    }
}

fn dpop(token: &str, proof: &str) -> Sent {
    Sent::get("/orders")
        .with("authorization", format!("DPoP {token}"))
        .with("dpop", proof)
}

fn over(mut sent: Sent, certificate: Option<&[u8]>) -> Sent {
    sent.arrival.tls = Some(Arc::new(TlsFacts {
        server_name: None,
        peer_certificate: certificate.map(|der| PeerCertificate::new(Bytes::copy_from_slice(der))),
        peer_intermediates: Vec::new(),
    }));
    sent
}

#[expect(clippy::result_large_err, reason = "as the steps themselves")]
fn judged(world: &World, sent: Sent) -> Result<Permitted<()>, Refused<()>> {
    world.judge(sent.call(), &world.route(&[&[Jwt], &[Opaque]]), NOW)
}

fn code(world: &World, sent: Sent) -> Result<(), Code> {
    judged(world, sent)
        .map(|_| ())
        .map_err(|refused| refused.problem.code)
}

fn challenges(world: &World, sent: Sent) -> Vec<String> {
    let refused = judged(world, sent).unwrap_err();
    let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
    refused.problem.challenges.iter().map(text).collect()
}

#[test]
fn d01_a_token_passes_as_what_it_is_bound_to_and_in_no_other_way() {
    use Code::{CredentialRefused, ProofRefused};
    let (world, ada, eve) = (World::new(), Holder::new(), Holder::new());
    // Both forms of a token.
    let tokens = |changes: &Value| [world.own_token(changes), world.opaque_token(changes)];
    let free = tokens(&json!({}));
    let keyed = tokens(&ada.cnf());
    let certified = tokens(&json!({"cnf": {"x5t#S256": x509::thumbprint(CERTIFICATE)}}));
    let other = b"the bytes of another certificate";

    type Make<'a> = Box<dyn Fn(&str, usize) -> Sent + 'a>;
    let bearer = |token: &str| Sent::get("/orders").bearer(token);
    let id = |n: usize| json!({"jti": format!("p-{n}")});
    let ways: Vec<(&str, Make<'_>)> = vec![
        ("bearer", Box::new(|token, _| bearer(token))),
        (
            "bearer with a proof",
            Box::new(|token, n| bearer(token).with("dpop", ada.proof(token, &id(n)))),
        ),
        (
            "bearer over a certificate",
            Box::new(|token, _| over(bearer(token), Some(CERTIFICATE))),
        ),
        (
            "bearer over another certificate",
            Box::new(|token, _| over(bearer(token), Some(other))),
        ),
        (
            "bearer over TLS without one",
            Box::new(|token, _| over(bearer(token), None)),
        ),
        (
            "bearer with the certificate in a field",
            Box::new(|token, _| {
                let field = format!(":{}:", proof::base64std::encode(CERTIFICATE));
                over(bearer(token), None).with("client-cert", field)
            }),
        ),
        (
            "proved",
            Box::new(|token, n| dpop(token, &ada.proof(token, &id(n)))),
        ),
        (
            "proved by another",
            Box::new(|token, n| dpop(token, &eve.proof(token, &id(n)))),
        ),
        (
            "proved over a certificate",
            Box::new(|token, n| over(dpop(token, &ada.proof(token, &id(n))), Some(CERTIFICATE))),
        ),
        (
            "DPoP without a proof",
            Box::new(|token, _| {
                Sent::get("/orders").with("authorization", format!("DPoP {token}"))
            }),
        ),
    ];
    let no = Err(CredentialRefused);
    let unproved = Err(ProofRefused);
    #[rustfmt::skip]
    let table = [
        // way                                    free      to a key  to a certificate
        ("bearer",                                 Ok(()),   no,       no),
        ("bearer with a proof",                    Ok(()),   no,       no),
        ("bearer over a certificate",              Ok(()),   no,       Ok(())),
        ("bearer over another certificate",        Ok(()),   no,       no),
        ("bearer over TLS without one",            Ok(()),   no,       no),
        ("bearer with the certificate in a field", Ok(()),   no,       no),
        ("proved",                                 no,       Ok(()),   no),
        ("proved by another",                      no,       no,       no),
        ("proved over a certificate",              no,       Ok(()),   no),
        ("DPoP without a proof",                   unproved, unproved, unproved),
    ];
    let mut turn = 0;
    for ((what, make), (row, for_free, for_keyed, for_certified)) in ways.iter().zip(table) {
        assert_eq!(*what, row);
        for (binding, tokens, expected) in [
            ("free", &free, for_free),
            ("to a key", &keyed, for_keyed),
            ("to a certificate", &certified, for_certified),
        ] {
            // Seen for the first time, and known.
            for token in tokens.iter().chain(tokens) {
                turn += 1;
                assert_eq!(
                    code(&world, make(token, turn)),
                    expected,
                    "{binding}, {what}"
                );
            }
        }
    }
}

#[test]
fn d01_a_binding_that_is_not_understood_is_no_binding_to_pass_by() {
    let (world, ada) = (World::new(), Holder::new());
    let certificate = x509::thumbprint(CERTIFICATE);
    for cnf in [
        json!(null),
        json!({}),
        json!("x"),
        json!([{"jkt": ada.0.kid()}]),
        json!({"jkt": "x"}),
        json!({"jkt": 7}),
        json!({"jkt": ""}),
        json!({"jkt": format!("{}=", ada.0.kid())}),
        json!({"jkt": [ada.0.kid()]}),
        json!({"JKT": ada.0.kid()}),
        json!({"jkt": ada.0.kid(), "x5t#S256": certificate}),
        json!({"jkt": ada.0.kid(), "kid": "k"}),
        json!({"x5t": certificate}),
        json!({"x5t#S256": null}),
        json!({"kid": "k"}),
        json!({"jwk": ada.0.public_jwk().to_json()}),
        json!({"jku": "https://keys.example"}),
    ] {
        // `changed` would take null for an order to remove the claim.
        let mut claims = World::own_claims();
        claims["cnf"] = cnf.clone();
        let token = proof::jose::jws::sign(&world.own_key, "at+jwt", &claims.to_string());
        for sent in [
            Sent::get("/orders").bearer(&token),
            over(Sent::get("/orders").bearer(&token), Some(CERTIFICATE)),
            dpop(&token, &ada.proof(&token, &json!({}))),
        ] {
            assert_eq!(code(&world, sent), Err(Code::CredentialRefused), "{cnf}");
        }
    }
}

#[test]
fn d02_a_proof_with_any_defect_is_refused_and_spends_nothing() {
    let (world, ada) = (World::new(), Holder::new());
    let token = world.own_token(&ada.cnf());
    let another = world.own_token(&json!({"jti": "t-2", "cnf": {"jkt": ada.0.kid()}}));
    let now = NOW.as_secs();
    let mut cases: Vec<(String, Sent)> = Vec::new();
    for changes in [
        json!({"htm": "POST"}),
        json!({"htm": "get"}),
        json!({"htm": null}),
        json!({"htu": "https://orders.example/"}),
        json!({"htu": "https://orders.example/orders/"}),
        json!({"htu": "https://orders.example/orders/7"}),
        json!({"htu": "http://orders.example/orders"}),
        json!({"htu": "https://orders.example:8443/orders"}),
        json!({"htu": "https://evil.example/orders"}),
        json!({"htu": "/orders"}),
        json!({"htu": null}),
        json!({"iat": now - 121}),
        json!({"iat": now + 61}),
        json!({"iat": null}),
        json!({"iat": now.to_string()}),
        json!({"jti": null}),
        json!({"jti": ""}),
        json!({"jti": "j".repeat(257)}),
        json!({"ath": null}),
        json!({"ath": ""}),
        json!({"ath": base64url::encode(&sha256(another.as_bytes()))}),
    ] {
        cases.push((
            changes.to_string(),
            dpop(&token, &ada.proof(&token, &changes)),
        ));
    }
    let mut private = ada.0.public_jwk().to_json();
    private["d"] = json!("AAAA");
    for header in [
        json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": private}),
        json!({"typ": "dpop+jwt", "alg": "ES256"}),
        json!({"typ": "dpop+jwt", "alg": "none", "jwk": ada.0.public_jwk().to_json()}),
        json!({"typ": "dpop+jwt", "alg": "HS256", "jwk": ada.0.public_jwk().to_json()}),
        json!({"typ": "at+jwt", "alg": "ES256", "jwk": ada.0.public_jwk().to_json()}),
        json!({"alg": "ES256", "jwk": ada.0.public_jwk().to_json()}),
        json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": Holder::new().0.public_jwk().to_json()}),
    ] {
        let proof = ada.proof_with(&header, &token, &json!({}));
        cases.push((header.to_string(), dpop(&token, &proof)));
    }
    let good = ada.proof(&token, &json!({}));
    let second = ada.proof(&token, &json!({"jti": "p-2"}));
    for (what, sent) in [
        ("garbage", dpop(&token, "garbage")),
        ("empty", dpop(&token, "")),
        ("the token itself", dpop(&token, &token)),
        ("cut", dpop(&token, &good[..good.len() - 1])),
        ("two fields", dpop(&token, &good).with("dpop", &second)),
        (
            "the same field twice",
            dpop(&token, &good).with("dpop", &good),
        ),
        ("a list", dpop(&token, &format!("{good}, {second}"))),
    ] {
        cases.push((what.to_owned(), sent));
    }
    for (what, sent) in cases {
        assert_eq!(code(&world, sent), Err(Code::ProofRefused), "{what}");
    }
    assert!(!world.facts.questions().contains(&"first_use"));
    assert_eq!(
        code(&world, dpop(&token, &good)),
        Ok(()),
        "it was never spent"
    );
}

#[test]
fn d02_a_proof_is_for_the_address_as_the_client_saw_it() {
    let (world, ada) = (World::new(), Holder::new());
    let token = world.own_token(&ada.cnf());
    let sent = |target: &str, htu: &str, host: &str, scheme: Scheme, id: &str| {
        let proof = ada.proof(&token, &json!({"htu": htu, "jti": id}));
        let mut sent = Sent::get(target)
            .without("host")
            .with("host", host)
            .with("authorization", format!("DPoP {token}"))
            .with("dpop", proof);
        sent.arrival.scheme = scheme;
        code(&world, sent)
    };
    use Scheme::{Http, Https};
    for (n, (target, htu, host, scheme, passes)) in [
        (
            "/orders?page=2",
            "https://orders.example/orders",
            "orders.example",
            Https,
            true,
        ),
        (
            "/orders?page=2",
            "https://orders.example/orders?page=9",
            "orders.example",
            Https,
            true,
        ),
        (
            "/orders",
            "HTTPS://Orders.Example:443/orders",
            "orders.example",
            Https,
            true,
        ),
        (
            "/orders",
            "https://orders.example/orders",
            "orders.example:443",
            Https,
            true,
        ),
        (
            "/orders",
            "https://orders.example/orders",
            "orders.example:8443",
            Https,
            false,
        ),
        (
            "/orders",
            "https://orders.example:8443/orders",
            "orders.example:8443",
            Https,
            true,
        ),
        (
            "/orders",
            "http://orders.example/orders",
            "orders.example",
            Http,
            true,
        ),
        (
            "/orders",
            "https://orders.example/orders",
            "orders.example",
            Http,
            false,
        ),
        (
            "/orders",
            "https://orders.example/Orders",
            "orders.example",
            Https,
            false,
        ),
        (
            "/a%20b",
            "https://orders.example/a%20b",
            "orders.example",
            Https,
            true,
        ),
        (
            "/a%20b",
            "https://orders.example/a b",
            "orders.example",
            Https,
            false,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = sent(target, htu, host, scheme, &n.to_string());
        let expected = if passes {
            Ok(())
        } else {
            Err(Code::ProofRefused)
        };
        assert_eq!(answer, expected, "{target} {htu} {host} {scheme:?}");
    }
}

#[test]
fn d02_a_proof_passes_once() {
    let (world, ada, bob) = (World::new(), Holder::new(), Holder::new());
    let token = world.own_token(&ada.cnf());
    let proof = ada.proof(&token, &json!({}));
    assert_eq!(code(&world, dpop(&token, &proof)), Ok(()));
    assert_eq!(
        code(&world, dpop(&token, &proof)),
        Err(Code::ProofRefused),
        "the same proof"
    );
    let again = ada.proof(&token, &json!({"iat": NOW.as_secs() + 1}));
    assert_eq!(
        code(&world, dpop(&token, &again)),
        Err(Code::ProofRefused),
        "another proof of the same id"
    );
    let next = ada.proof(&token, &json!({"jti": "p-2"}));
    assert_eq!(code(&world, dpop(&token, &next)), Ok(()));
    let his = world.own_token(&bob.cnf());
    assert_eq!(
        code(&world, dpop(&his, &bob.proof(&his, &json!({})))),
        Ok(()),
        "ids belong to keys"
    );
    // Remembered for as long as the proof would be taken: its age and the leeway.
    let used = world.facts.used.lock().unwrap();
    assert_eq!(used[0].2, NOW.plus(Duration::from_secs(120)));
}

#[test]
fn d02_a_replay_memory_that_does_not_answer_is_503_and_never_a_pass() {
    let (mut world, ada) = (World::new(), Holder::new());
    let token = world.own_token(&ada.cnf());
    let proof = ada.proof(&token, &json!({}));
    assert_eq!(code(&world, dpop(&token, &proof)), Ok(()));
    world.facts.no_replays = true;
    let refused = judged(
        &world,
        dpop(&token, &ada.proof(&token, &json!({"jti": "p-2"}))),
    );
    let problem = refused.unwrap_err().problem;
    assert_eq!(problem.code, Code::FactUnavailable);
    assert!(problem.retry_after.is_some());
    assert_eq!(&*problem.cause, Unavailable::ReplayMemory.to_string());
}

#[test]
fn d02_strangers_spend_nobody_s_id() {
    let (world, ada, eve) = (World::new(), Holder::new(), Holder::new());
    let token = world.own_token(&ada.cnf());
    // Eve saw a proof's id: whatever she signs with it is refused before it is remembered.
    assert!(code(&world, dpop(&token, &eve.proof(&token, &json!({})))).is_err());
    // A good proof with a token that has ended, is for others, or is revoked.
    let now = NOW.as_secs();
    for changes in [
        json!({"exp": now - 61}),
        json!({"aud": "https://billing.example"}),
        json!({"jti": "t-gone"}),
    ] {
        world.facts.revoked.lock().unwrap().push("t-gone".into());
        let token = world.own_token(&changed(ada.cnf(), &changes));
        assert!(code(&world, dpop(&token, &ada.proof(&token, &json!({})))).is_err());
    }
    assert!(!world.facts.questions().contains(&"first_use"));
    let mine = ada.proof(&token, &json!({}));
    assert_eq!(code(&world, dpop(&token, &mine)), Ok(()));
    assert_eq!(
        world.facts.questions().last(),
        Some(&"first_use"),
        "asked when everything else holds"
    );
}

#[test]
fn a_foreign_issuer_s_token_can_be_bound_as_well() {
    let (world, ada) = (World::new(), Holder::new());
    let token = world.foreign_token(&ada.cnf());
    assert_eq!(
        code(&world, dpop(&token, &ada.proof(&token, &json!({})))),
        Ok(())
    );
    assert_eq!(
        code(&world, Sent::get("/orders").bearer(&token)),
        Err(Code::CredentialRefused)
    );
}

#[test]
fn the_dpop_scheme_is_for_tokens_where_tokens_are_taken() {
    let (hand, ada) = (hand(), Holder::new());
    let token = hand.world.own_token(&ada.cnf());
    let fresh = |id: &str| dpop(&token, &ada.proof(&token, &json!({"jti": id})));
    let keys = hand.world.route(&[&[ApiKey], &[BasicKind]]);
    let tokens = hand.world.route(&[&[Jwt], &[ApiKey]]);
    assert_eq!(hand.code(fresh("1"), &keys), Err(Code::CredentialRefused));
    assert_eq!(hand.code(fresh("2"), &tokens), Ok(Jwt));
    assert_eq!(
        hand.code(fresh("3").with("x-api-key", &hand.key), &tokens),
        Err(Code::CredentialAmbiguous)
    );
    let proof = ada.proof(&hand.key, &json!({}));
    assert_eq!(
        hand.code(dpop(&hand.key, &proof), &tokens),
        Err(Code::CredentialRefused),
        "an API key is no token"
    );
    for scheme in ["dpop", "DPOP"] {
        let sent = Sent::get("/orders")
            .with("authorization", format!("{scheme} {token}"))
            .with("dpop", ada.proof(&token, &json!({"jti": scheme})));
        assert_eq!(hand.code(sent, &tokens), Ok(Jwt), "{scheme}");
    }
    let both = hand.world.route(&[&[Jwt, ApiKey]]);
    let sent = fresh("4").with("x-api-key", &hand.key);
    assert_eq!(
        hand.code(sent, &both),
        Ok(Jwt),
        "as a part of a combination"
    );
}

#[test]
fn challenges_name_the_scheme_that_was_tried_and_what_failed() {
    const BEARER: &str = "Bearer realm=\"orders\"";
    const DPOP: &str = "DPoP realm=\"orders\", algs=\"ES256 EdDSA Ed25519 PS256 RS256\"";
    let (world, ada, eve) = (World::new(), Holder::new(), Holder::new());
    let token = world.own_token(&ada.cnf());
    let with = |text: &str, error: &str| format!("{text}, error=\"{error}\"");
    for (what, sent, expected) in [
        (
            "nothing",
            Sent::get("/orders"),
            [BEARER.into(), DPOP.into()],
        ),
        (
            "as bearer",
            Sent::get("/orders").bearer(&token),
            [with(BEARER, "invalid_token"), DPOP.into()],
        ),
        (
            "an old proof",
            dpop(&token, &ada.proof(&token, &json!({"iat": 0}))),
            [BEARER.into(), with(DPOP, "invalid_dpop_proof")],
        ),
        (
            "somebody else's proof",
            dpop(&token, &eve.proof(&token, &json!({}))),
            [BEARER.into(), with(DPOP, "invalid_token")],
        ),
    ] {
        assert_eq!(challenges(&world, sent), expected, "{what}");
    }
    let poor = world.own_token(&changed(ada.cnf(), &json!({"scope": "other"})));
    assert_eq!(
        challenges(&world, dpop(&poor, &ada.proof(&poor, &json!({})))),
        [format!(
            "{DPOP}, error=\"insufficient_scope\", scope=\"orders:read\""
        )]
    );
}

/// A route that asks for more than the token does.
fn strict(world: &World, required: bool, nonce: bool) -> Route {
    let mut route = world.route(&[&[Jwt], &[Opaque]]);
    route.sender = SenderRules { required, nonce };
    route
}

#[test]
fn d01_where_bound_tokens_are_required_an_unbound_one_is_refused() {
    let (world, ada) = (World::new(), Holder::new());
    let route = strict(&world, true, false);
    let judged = |sent: Sent| {
        let judged = world.judge(sent.call(), &route, NOW);
        judged.map(|_| ()).map_err(|refused| refused.problem)
    };
    let tokens = |changes: &Value| [world.own_token(changes), world.opaque_token(changes)];
    for token in tokens(&json!({})) {
        let bearer = || Sent::get("/orders").bearer(&token);
        // The connection's certificate binds nothing by being there.
        for sent in [bearer(), over(bearer(), Some(CERTIFICATE))] {
            assert_eq!(judged(sent).unwrap_err().code, Code::CredentialRefused);
        }
    }
    for (n, token) in tokens(&ada.cnf()).iter().enumerate() {
        let proof = ada.proof(token, &json!({"jti": format!("p-{n}")}));
        assert!(judged(dpop(token, &proof)).is_ok());
    }
    let certified = json!({"cnf": {"x5t#S256": x509::thumbprint(CERTIFICATE)}});
    for token in tokens(&certified) {
        let sent = over(Sent::get("/orders").bearer(&token), Some(CERTIFICATE));
        assert!(judged(sent).is_ok());
    }

    let schemes = |sent: Sent| -> Vec<String> {
        let challenges = judged(sent).unwrap_err().challenges;
        let scheme = |value: &http::HeaderValue| {
            let text = value.to_str().unwrap();
            text.split(' ').next().unwrap_or_default().to_owned()
        };
        challenges.iter().map(scheme).collect()
    };
    let free = world.own_token(&json!({}));
    let bearer = || Sent::get("/orders").bearer(&free);
    assert_eq!(schemes(bearer()), ["DPoP"]);
    assert_eq!(schemes(Sent::get("/orders")), ["DPoP"]);
    assert_eq!(
        schemes(over(bearer(), Some(CERTIFICATE))),
        ["Bearer", "DPoP"]
    );
}

#[test]
#[expect(clippy::result_large_err, reason = "as the steps themselves")]
fn d02_where_a_nonce_is_asked_for_a_proof_without_a_fresh_one_is_sent_back_and_not_spent() {
    let (world, ada) = (World::new(), Holder::new());
    let route = strict(&world, false, true);
    let nonces = world.facts.dpop_nonces();
    let token = world.own_token(&ada.cnf());
    let sent = |changes: &Value| dpop(&token, &ada.proof(&token, changes));
    let judged = |sent: Sent| world.judge(sent.call(), &route, NOW);
    let old = nonces.mint(proof::time::Timestamp::from_secs(NOW.as_secs() - 1000));
    let foreign = proof::dpop::nonce::NonceKey::new(&[1; 32]).mint(NOW);
    for changes in [
        json!({}),
        json!({"nonce": old}),
        json!({"nonce": foreign}),
        json!({"nonce": "x"}),
    ] {
        let problem = judged(sent(&changes)).unwrap_err().problem;
        assert_eq!(problem.code, Code::NonceNeeded, "{changes}");
        let told: Vec<_> = problem
            .challenges
            .iter()
            .map(|c| c.to_str().unwrap())
            .collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(!told[0].contains("error"), "{told:?}");
        assert!(told[1].starts_with("DPoP ") && told[1].contains("error=\"use_dpop_nonce\""));
    }
    assert!(!world.facts.questions().contains(&"first_use"));
    let good = json!({"nonce": nonces.mint(NOW)});
    assert!(judged(sent(&good)).is_ok());
    assert_eq!(
        judged(sent(&good)).unwrap_err().problem.code,
        Code::ProofRefused,
        "a nonce is no leave to use a proof twice"
    );
    // What is wrong with a proof is said before its nonce is looked at.
    let other = json!({"nonce": nonces.mint(NOW), "htm": "POST", "jti": "p-9"});
    assert_eq!(
        judged(sent(&other)).unwrap_err().problem.code,
        Code::ProofRefused
    );

    let head = |sent: Sent| sent.call().into_parts().0;
    assert!(route.answers_with_nonce(&head(sent(&json!({})))));
    assert!(!route.answers_with_nonce(&head(Sent::get("/orders").bearer(&token))));
    let lax = strict(&world, true, false);
    assert!(!lax.answers_with_nonce(&head(sent(&json!({})))));
}
