use core::fmt::Write as _;

use proof::basic::Basic;
use proof::issued::{Environment, SecretKind};
use proof::jose::alg::Algorithm;
use proof::jose::jws;
use proof::jose::key::SigningKey;
use proof::secret::Secret;
use serde_json::json;

use crate::call::Scheme;
use crate::credential::CredentialKind::{
    self, AdminKey, ApiKey, Basic as BasicKind, ClientJwt, Jwt, Opaque,
};
use crate::facts::Unavailable;
use crate::identity::{ApiAllow, LifeState};
use crate::permit::{Permitted, Refused};
use crate::testing::{FOREIGN, NOW, OWN, Sent, Stored, World, changed};

/// One cell: what the caller sees, and what the log keeps.
fn told(answer: &Result<Permitted<()>, Refused<()>>) -> String {
    let mut text = String::new();
    match answer {
        Ok(permitted) => match permitted.identity() {
            Some(identity) => {
                let standing = identity.standing();
                let principal = &standing.principal;
                let _ = writeln!(
                    text,
                    "    passes as {} {}",
                    principal.kind(),
                    principal.id()
                );
            }
            None => text.push_str("    passes as nobody\n"),
        },
        Err(refused) => {
            let problem = &refused.problem;
            let _ = writeln!(
                text,
                "    {} {}",
                problem.code.status().as_u16(),
                problem.code.code()
            );
            if let Some(detail) = &problem.detail {
                let _ = writeln!(text, "    detail: {detail}");
            }
            for (name, value) in problem.headers() {
                if name != "content-type" && name != "cache-control" {
                    let _ = writeln!(text, "    {name}: {}", value.to_str().unwrap());
                }
            }
            let _ = writeln!(text, "    log: {}", problem.cause);
        }
    }
    text
}

pub(super) struct Matrix(String);

impl Matrix {
    pub(super) fn cell(
        &mut self,
        kind: CredentialKind,
        defect: &str,
        answer: &Result<Permitted<()>, Refused<()>>,
    ) {
        let _ = writeln!(self.0, "{} · {defect}\n{}", kind.name(), told(answer));
    }
}

fn basic(username: &str, password: &str) -> String {
    let pair = Basic::encode(username, &Secret::from_text(password.into()));
    format!("Basic {}", pair.expose_text().unwrap())
}

#[test]
fn every_kind_with_every_defect_is_answered_as_the_golden_file_says() {
    let mut matrix = Matrix(String::new());
    api_keys(&mut matrix);
    imported_keys(&mut matrix);
    admin_keys(&mut matrix);
    accounts(&mut matrix);
    own_tokens(&mut matrix);
    foreign_tokens(&mut matrix);
    opaque_tokens(&mut matrix);
    client_jwts(&mut matrix);
    super::webhook::matrix(&mut matrix);
    insta::assert_snapshot!("credential_kind_by_defect", matrix.0);
}

fn api_keys(matrix: &mut Matrix) {
    let mut world = World::new();
    let good = Stored::new(SecretKind::SecretKey);
    let variants = [
        ("none", good.clone()),
        (
            "suspended",
            Stored {
                state: LifeState::Suspended,
                ..good.clone()
            },
        ),
        (
            "revoked",
            Stored {
                state: LifeState::Revoked,
                ..good.clone()
            },
        ),
        (
            "expires this millisecond",
            Stored {
                expires_at: Some(NOW),
                ..good.clone()
            },
        ),
        (
            "test key at a live API",
            Stored {
                environment: Environment::Test,
                ..good.clone()
            },
        ),
        (
            "lists no API",
            Stored {
                apis: ApiAllow::Listed(Vec::new()),
                ..good.clone()
            },
        ),
        (
            "another network",
            Stored {
                networks: &["10.0.0.0/8"],
                ..good.clone()
            },
        ),
        (
            "lacks the scope",
            Stored {
                scopes: "orders:write",
                ..good.clone()
            },
        ),
        (
            "publishable without origins",
            Stored {
                kind: SecretKind::PublishableKey,
                ..good.clone()
            },
        ),
        (
            "publishable from nowhere",
            Stored {
                kind: SecretKind::PublishableKey,
                origins: &["https://shop.example"],
                ..good.clone()
            },
        ),
        (
            "an admin key",
            Stored {
                kind: SecretKind::AdminKey,
                ..good.clone()
            },
        ),
        (
            "a client secret",
            Stored {
                kind: SecretKind::ClientSecret,
                ..good.clone()
            },
        ),
        (
            "a refresh token",
            Stored {
                kind: SecretKind::RefreshToken,
                ..good
            },
        ),
    ];
    let cases: Vec<_> = variants
        .map(|(what, stored)| (what, world.key(&stored)))
        .into();
    let route = world.route(&[&[ApiKey]]);
    let mut show = |world: &World, what: &str, sent: Sent| {
        matrix.cell(ApiKey, what, &world.judge(sent.call(), &route, NOW));
    };
    for (what, key) in &cases {
        show(&world, what, Sent::get("/orders").bearer(key));
    }
    let key = &cases[0].1;
    show(&world, "missing", Sent::get("/orders"));
    show(
        &world,
        "unknown",
        Sent::get("/orders").bearer(&world.unstored(SecretKind::SecretKey)),
    );
    show(
        &world,
        "typing mistake",
        Sent::get("/orders").bearer(&format!("{}x", &key[..key.len() - 1])),
    );
    show(&world, "cut", Sent::get("/orders").bearer(&key[..40]));
    show(&world, "garbage", Sent::get("/orders").bearer("garbage"));
    show(
        &world,
        "empty field",
        Sent::get("/orders").with("x-api-key", ""),
    );
    show(
        &world,
        "garbage in its field",
        Sent::get("/orders").with("x-api-key", "garbage"),
    );
    show(
        &world,
        "under another scheme",
        Sent::get("/orders").with("authorization", format!("Token {key}")),
    );
    show(
        &world,
        "as a Basic user name",
        Sent::get("/orders").with("authorization", basic(key, "")),
    );
    show(
        &world,
        "in two fields",
        Sent::get("/orders").bearer(key).with("x-api-key", key),
    );
    show(
        &world,
        "in the query",
        Sent::get(&format!("/orders?api_key={key}")),
    );
    world.facts.out = Some(Unavailable::HashingPool);
    show(
        &world,
        "hashing pool full",
        Sent::get("/orders").bearer(key),
    );
}

fn imported_keys(matrix: &mut Matrix) {
    let mut world = World::new();
    let good = Stored::new(SecretKind::SecretKey);
    world.store("legacy-ab12", None, "legacy-ab12-secret-part", &good);
    let digest = proof::digest::TokenHash::of(b"old_0123456789abcdef");
    world.store(&digest.to_string(), None, "old_0123456789abcdef", &good);
    let route = world.route(&[&[ApiKey]]);
    for (what, text) in [
        ("imported by prefix: none", "legacy-ab12-secret-part"),
        (
            "imported by prefix: wrong secret",
            "legacy-ab12-secret-pard",
        ),
        ("imported by prefix: unknown", "legacy-zz99-secret-part"),
        ("imported by prefix: too short", "legacy-ab12"),
        ("imported by digest: none", "old_0123456789abcdef"),
        ("imported by digest: unknown", "old_0123456789abcdee"),
    ] {
        matrix.cell(
            ApiKey,
            what,
            &world.judge(Sent::get("/orders").bearer(text).call(), &route, NOW),
        );
    }
}

fn admin_keys(matrix: &mut Matrix) {
    let mut world = World::new();
    let good = Stored::new(SecretKind::AdminKey);
    let cases = [
        ("none", world.key(&good)),
        (
            "revoked",
            world.key(&Stored {
                state: LifeState::Revoked,
                ..good.clone()
            }),
        ),
        (
            "a data key",
            world.key(&Stored {
                kind: SecretKind::SecretKey,
                ..good.clone()
            }),
        ),
        ("a token", world.own_token(&json!({}))),
    ];
    let route = world.route(&[&[AdminKey]]);
    for (what, key) in &cases {
        matrix.cell(
            AdminKey,
            what,
            &world.judge(Sent::get("/orders").bearer(key).call(), &route, NOW),
        );
    }
    let sent = Sent::get("/orders").with("x-api-key", &cases[0].1);
    matrix.cell(
        AdminKey,
        "in the field of API keys",
        &world.judge(sent.call(), &route, NOW),
    );
}

fn accounts(matrix: &mut Matrix) {
    let mut world = World::new();
    let good = Stored::new(SecretKind::SecretKey);
    world.account("good", "pw", &good);
    world.account(
        "suspended",
        "pw",
        &Stored {
            state: LifeState::Suspended,
            ..good.clone()
        },
    );
    world.account(
        "expired",
        "pw",
        &Stored {
            expires_at: Some(NOW),
            ..good.clone()
        },
    );
    world.account(
        "test",
        "pw",
        &Stored {
            environment: Environment::Test,
            ..good.clone()
        },
    );
    let mut route = world.route(&[&[BasicKind]]);
    for (what, value) in [
        ("none", basic("good", "pw")),
        ("wrong password", basic("good", "pW")),
        ("unknown account", basic("nobody", "pw")),
        ("suspended", basic("suspended", "pw")),
        ("expired", basic("expired", "pw")),
        ("test account at a live API", basic("test", "pw")),
        ("no base64", "Basic ***".into()),
        ("no colon", "Basic Z29vZA==".into()),
        ("unpadded", "Basic Z29vZDpwdw".into()),
        ("two words", "Basic Z29vZDpwdw== x".into()),
        ("scheme only", "Basic".into()),
        ("as Bearer", "Bearer Z29vZDpwdw==".into()),
    ] {
        let sent = Sent::get("/orders").with("authorization", value);
        matrix.cell(BasicKind, what, &world.judge(sent.call(), &route, NOW));
    }
    let plain = |loopback: bool| {
        let mut sent = Sent::get("/orders").with("authorization", basic("good", "pw"));
        sent.arrival.scheme = Scheme::Http;
        sent.arrival.loopback = loopback;
        sent.call()
    };
    matrix.cell(
        BasicKind,
        "plain connection",
        &world.judge(plain(true), &route, NOW),
    );
    route.plain_basic = true;
    matrix.cell(
        BasicKind,
        "plain connection, loopback route",
        &world.judge(plain(true), &route, NOW),
    );
    matrix.cell(
        BasicKind,
        "plain connection from afar, loopback route",
        &world.judge(plain(false), &route, NOW),
    );
    world.facts.throttled = true;
    let sent = Sent::get("/orders").with("authorization", basic("good", "pw"));
    matrix.cell(
        BasicKind,
        "throttled",
        &world.judge(sent.call(), &route, NOW),
    );
}

fn own_tokens(matrix: &mut Matrix) {
    let mut world = World::new();
    let now = NOW.as_secs();
    let stranger = SigningKey::generate(Algorithm::ES256).unwrap();
    let good = World::own_claims();
    let signed = |typ: &str| jws::sign(&world.own_key, typ, &good.to_string());
    let mut cases = vec![
        ("none", world.own_token(&json!({}))),
        (
            "signed by a stranger",
            jws::sign(&stranger, "at+jwt", &good.to_string()),
        ),
        (
            "signed by another issuer",
            jws::sign(&world.foreign_key, "at+jwt", &good.to_string()),
        ),
        ("an ID token's type", signed("JWT")),
        ("a logout token's type", signed("logout+jwt")),
        (
            "an upstream identity's type",
            signed("doorward-identity+jwt"),
        ),
        ("a DPoP proof's type", signed("dpop+jwt")),
        ("no token at all", "a.b".into()),
        ("not base64url", "a.b.c".into()),
    ];
    for (what, changes) in [
        ("expired for 61 s", json!({"exp": now - 61})),
        ("valid in 61 s", json!({"nbf": now + 61})),
        ("issued in 61 s", json!({"iat": now + 61})),
        ("lives too long", json!({"exp": now + 3591})),
        (
            "another audience",
            json!({"aud": "https://billing.example"}),
        ),
        ("no audience", json!({"aud": null})),
        (
            "audience by prefix",
            json!({"aud": "https://orders.example/"}),
        ),
        ("another issuer", json!({"iss": "https://evil.example"})),
        (
            "an issuer of another case",
            json!({"iss": "https://ID.example"}),
        ),
        ("no issuer", json!({"iss": null})),
        ("a list of issuers", json!({"iss": [OWN]})),
        ("no exp", json!({"exp": null})),
        ("exp as text", json!({"exp": (now + 600).to_string()})),
        ("exp as a float", json!({"exp": 1_800_000_600.5})),
        ("no jti", json!({"jti": null})),
        ("no client_id", json!({"client_id": null})),
        ("no environment", json!({"env": null})),
        ("an unknown environment", json!({"env": "Live"})),
        ("a test token at a live API", json!({"env": "test"})),
        ("scope as a number", json!({"scope": 7})),
        ("roles as an object", json!({"roles": {"a": 1}})),
        ("lacks the scope", json!({"scope": "orders:write orders"})),
        ("no scope", json!({"scope": null})),
        (
            "bound to a key",
            json!({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}),
        ),
        (
            "bound to a certificate",
            json!({"cnf": {"x5t#S256": "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"}}),
        ),
        ("bound to what is unknown", json!({"cnf": {"kid": "x"}})),
        ("of a client for itself", json!({"sub": "cli_app"})),
    ] {
        cases.push((what, world.own_token(&changes)));
    }
    let token = cases[0].1.clone();
    let (head, rest) = token.split_once('.').unwrap();
    let header = |json: &str| proof::base64url::encode(json.as_bytes());
    let kid = world.own_key.kid();
    for (what, json) in [
        ("alg none", r#"{"alg":"none","typ":"at+jwt"}"#.to_owned()),
        (
            "alg HS256",
            format!(r#"{{"alg":"HS256","typ":"at+jwt","kid":"{kid}"}}"#),
        ),
        (
            "alg of another key",
            format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{kid}"}}"#),
        ),
        (
            "crit",
            format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"{kid}","crit":["exp"]}}"#),
        ),
        (
            "its own jwk",
            r#"{"alg":"ES256","typ":"at+jwt","jwk":{"kty":"EC"}}"#.to_owned(),
        ),
        (
            "a path as kid",
            r#"{"alg":"ES256","typ":"at+jwt","kid":"../../dev/null"}"#.to_owned(),
        ),
        (
            "alg twice",
            format!(r#"{{"alg":"none","alg":"ES256","typ":"at+jwt","kid":"{kid}"}}"#),
        ),
    ] {
        cases.push((what, format!("{}.{rest}", header(&json))));
    }
    let payload = rest.split_once('.').unwrap().0;
    cases.push(("no signature", format!("{head}.{payload}.")));
    cases.push(("another payload", {
        let forged = changed(good, &json!({"scope": "orders:read admin"})).to_string();
        format!(
            "{head}.{}.{}",
            header(&forged),
            rest.split_once('.').unwrap().1
        )
    }));
    let route = world.route(&[&[Jwt]]);
    for (what, token) in &cases {
        matrix.cell(
            Jwt,
            what,
            &world.judge(Sent::get("/orders").bearer(token).call(), &route, NOW),
        );
    }
    matrix.cell(
        Jwt,
        "missing",
        &world.judge(Sent::get("/orders").call(), &route, NOW),
    );
    let long = "a".repeat(jws::MAX_TOKEN_BYTES + 1);
    matrix.cell(
        Jwt,
        "too long",
        &world.judge(Sent::get("/orders").bearer(&long).call(), &route, NOW),
    );
    let sent = Sent::get(&format!("/orders?access_token={token}"));
    matrix.cell(Jwt, "in the query", &world.judge(sent.call(), &route, NOW));
    world.facts.revoked.lock().unwrap().push("t-1".into());
    matrix.cell(
        Jwt,
        "revoked",
        &world.judge(Sent::get("/orders").bearer(&token).call(), &route, NOW),
    );
    world.facts.out = Some(Unavailable::KeySet);
    let fresh = world.own_token(&json!({"jti": "t-2"}));
    matrix.cell(
        Jwt,
        "keys not to be had",
        &world.judge(Sent::get("/orders").bearer(&fresh).call(), &route, NOW),
    );
}

fn foreign_tokens(matrix: &mut Matrix) {
    let world = World::new();
    let mut cases = vec![
        ("foreign: none", world.foreign_token(&json!({}))),
        (
            "foreign: in our name",
            jws::sign(
                &world.foreign_key,
                "at+jwt",
                &World::own_claims().to_string(),
            ),
        ),
        (
            "foreign: in its name by our key",
            jws::sign(&world.own_key, "JWT", &World::foreign_claims().to_string()),
        ),
        (
            "foreign: a type that is not listed",
            jws::sign(
                &world.foreign_key,
                "at+jwt",
                &World::foreign_claims().to_string(),
            ),
        ),
    ];
    for (what, changes) in [
        ("foreign: an ID token by its nonce", json!({"nonce": "n"})),
        (
            "foreign: an ID token by its at_hash",
            json!({"at_hash": "h"}),
        ),
        (
            "foreign: a logout token by its events",
            json!({"events": {}}),
        ),
        (
            "foreign: nothing of an access token",
            json!({"scp": null, "azp": null}),
        ),
        (
            "foreign: without its slash",
            json!({"iss": FOREIGN.trim_end_matches('/')}),
        ),
        (
            "foreign: a scope that is no text",
            json!({"scp": ["orders:read", 7]}),
        ),
        ("foreign: a tenant that is no text", json!({"tid": 7})),
        ("foreign: a client by azp", json!({"sub": "partner-app"})),
        ("foreign: nobody's but a client's", json!({"sub": null})),
        ("foreign: nobody's", json!({"sub": null, "azp": null})),
        (
            "foreign: a scope list in one text",
            json!({"scp": "orders:read orders:write"}),
        ),
    ] {
        cases.push((what, world.foreign_token(&changes)));
    }
    let route = world.route(&[&[Jwt]]);
    for (what, token) in &cases {
        matrix.cell(
            Jwt,
            what,
            &world.judge(Sent::get("/orders").bearer(token).call(), &route, NOW),
        );
    }
}

fn opaque_tokens(matrix: &mut Matrix) {
    let mut world = World::new();
    let now = NOW.as_secs();
    let token = world.opaque_token(&json!({}));
    let mut cases = vec![
        ("none", token.clone()),
        ("unknown", world.unstored(SecretKind::OpaqueToken)),
        ("typing mistake", format!("{}!", &token[..token.len() - 1])),
        ("wrong checksum", {
            let last = if token.ends_with('0') { '1' } else { '0' };
            format!("{}{last}", &token[..token.len() - 1])
        }),
        ("cut", token[..40].to_owned()),
        ("its name alone", "dw_ot_".to_owned()),
        ("an API key", world.unstored(SecretKind::SecretKey)),
        ("a refresh token", world.unstored(SecretKind::RefreshToken)),
        ("a client secret", world.unstored(SecretKind::ClientSecret)),
        ("a JWT", world.own_token(&json!({}))),
        ("garbage", "garbage".to_owned()),
    ];
    for (what, changes) in [
        ("expired for 61 s", json!({"exp": now - 61})),
        ("valid in 61 s", json!({"nbf": now + 61})),
        ("issued in 61 s", json!({"iat": now + 61})),
        (
            "another audience",
            json!({"aud": "https://billing.example"}),
        ),
        ("no audience", json!({"aud": null})),
        (
            "of the issuer's name before a move",
            json!({"iss": "https://old.example"}),
        ),
        ("a test token at a live API", json!({"env": "test"})),
        ("lacks the scope", json!({"scope": "orders:write orders"})),
        (
            "bound to a key",
            json!({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}),
        ),
        (
            "bound to a certificate",
            json!({"cnf": {"x5t#S256": "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"}}),
        ),
        ("of a client for itself", json!({"sub": "cli_app"})),
        ("a damaged record", json!({"exp": "soon"})),
    ] {
        cases.push((what, world.opaque_token(&changes)));
    }
    let route = world.route(&[&[Opaque]]);
    for (what, token) in &cases {
        matrix.cell(
            Opaque,
            what,
            &world.judge(Sent::get("/orders").bearer(token).call(), &route, NOW),
        );
    }
    for (what, sent) in [
        ("missing", Sent::get("/orders")),
        (
            "in the field of API keys",
            Sent::get("/orders").with("x-api-key", &token),
        ),
        ("in the query", Sent::get(&format!("/orders?t={token}"))),
        (
            "under DPoP without a proof",
            Sent::get("/orders").with("authorization", format!("DPoP {token}")),
        ),
    ] {
        matrix.cell(Opaque, what, &world.judge(sent.call(), &route, NOW));
    }
    let good = || Sent::get("/orders").bearer(&token).call();
    world.facts.revoked.lock().unwrap().push("t-1".into());
    matrix.cell(Opaque, "revoked", &world.judge(good(), &route, NOW));
    world.facts.out = Some(Unavailable::Store);
    matrix.cell(
        Opaque,
        "records not to be had",
        &world.judge(good(), &route, NOW),
    );
}

fn client_jwts(matrix: &mut Matrix) {
    let world = World::new();
    let now = NOW.as_secs();
    let route = world.route(&[&[ClientJwt]]);
    let good = world.client_jwt(&json!({}));
    let mut cases = vec![
        ("none", good.clone()),
        ("used before", good.clone()),
        ("no signature", {
            let dot = good.rfind('.').unwrap();
            good[..=dot].to_owned()
        }),
        ("an access token", world.own_token(&json!({}))),
        ("garbage", "garbage".to_owned()),
    ];
    for (what, changes) in [
        (
            "expired for 60 s",
            json!({"iat": now - 90, "exp": now - 60}),
        ),
        ("issued in 61 s", json!({"iat": now + 61, "exp": now + 90})),
        ("lives for 301 s", json!({"exp": now + 301})),
        ("no iat", json!({"iat": null})),
        ("no exp", json!({"exp": null})),
        ("no jti", json!({"jti": null})),
        (
            "an unknown client",
            json!({"iss": "import", "sub": "import"}),
        ),
        ("about somebody else", json!({"sub": "usr_alice"})),
        (
            "another audience",
            json!({"aud": "https://billing.example"}),
        ),
        (
            "two audiences",
            json!({"aud": ["https://billing.example", "https://orders.example"]}),
        ),
        ("another method", json!({"htm": "POST"})),
        (
            "another address",
            json!({"htu": "https://orders.example/orders/1"}),
        ),
        (
            "another query",
            json!({"htu": "https://orders.example/orders?all=1"}),
        ),
        ("a digest that is none", json!({"body_sha256": "x"})),
        ("bound to a key", json!({"cnf": {"jkt": "x"}})),
        (
            "a scope that it does not hold",
            json!({"scope": "orders:write"}),
        ),
    ] {
        cases.push((what, world.client_jwt(&changes)));
    }
    for (what, token) in &cases {
        let call = Sent::get("/orders").bearer(token).call();
        matrix.cell(ClientJwt, what, &world.judge(call, &route, NOW));
    }
    let missing = Sent::get("/orders").call();
    matrix.cell(ClientJwt, "missing", &world.judge(missing, &route, NOW));
}
