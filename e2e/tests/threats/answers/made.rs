//! What the admin API made for the rows: one good credential of each kind that it keeps, and those
//! that ended or may call something else.

use super::*;

/// What the admin API made, as its holders have it.
pub(super) struct Known {
    pub(super) key: String,
    pub(super) keys: Vec<(&'static str, String)>,
    /// A key for trials.
    pub(super) trial: String,
    pub(super) password: String,
    pub(super) passwords: Vec<(&'static str, &'static str, String)>,
    pub(super) signers: Vec<Signers>,
    /// Who signs with a key whose public half is registered.
    pub(super) registered: Signatory,
    /// Senders of webhooks: style, API, secret.
    pub(super) styles: Vec<(Style, String, String)>,
    /// The sender at an API that refuses what the upstream took before.
    pub(super) once: String,
    pub(super) sender: String,
    pub(super) senders: Vec<(&'static str, String)>,
    pub(super) admin: String,
    pub(super) admins: Vec<(&'static str, String)>,
}

pub(super) struct Signers {
    pub(super) good: Signatory,
    pub(super) others: Vec<(&'static str, Signatory)>,
}

/// A text of the same form that was never given out.
pub(super) fn unknown(like: &str, kind: SecretKind) -> String {
    let brand = Brand::new(like.split('_').next().unwrap()).unwrap();
    let other = Issued::generate(&brand, kind, Environment::Live, &SystemEntropy);
    other.text().to_owned()
}

/// The id of one that was given out, with another secret.
pub(super) fn forged(like: &str, kind: SecretKind) -> String {
    let mut parts = like.split('_');
    let brand = Brand::new(parts.next().unwrap()).unwrap();
    let id = KeyId::parse(&parts.nth(2).unwrap().as_bytes()[..16]).unwrap();
    let other = Issued::generate_with_id(&brand, kind, Environment::Live, id, &SystemEntropy);
    other.text().to_owned()
}

/// One letter of the middle is another one.
pub(super) fn mistyped(text: &str) -> String {
    let at = text.len() - 12;
    let other = if text.as_bytes()[at] == b'a' {
        "b"
    } else {
        "a"
    };
    format!("{}{other}{}", &text[..at], &text[at + 1..])
}

fn secret(made: &Value) -> String {
    made["secret"].as_str().unwrap().to_owned()
}

/// The password of an account that was suspended afterwards.
fn suspended_account(world: &mut World, name: &str) -> String {
    let account = format!("/v1/accounts/{name}");
    let spec = json!({ "application": "shop", "apis": ["basic"], "scopes": ["read"] });
    let spec = json!({ "spec": spec });
    world.doorward.make("PUT", &account, &spec).unwrap();
    let none = json!({});
    let password = secret(&world.make(&format!("{account}/passwords"), &none, false));
    let suspend = format!("{account}/suspend");
    world.doorward.make("POST", &suspend, &none).unwrap();
    password
}

/// The secret of the one sender of an API for webhooks.
fn sender(world: &mut World, name: &str, rules: &Value) -> String {
    let path = "/v1/signing-secrets";
    let wish = json!({ "application": "shop", "label": "tests", "scheme": "webhook" });
    let made = world.make(path, &wish, false);
    let key = &made["credential"]["signing"]["key_id"];
    let rules = json!({ "signatures": { "webhook": but(rules, "keys", json!([key])) } });
    let spec = json!({ "spec": api(name, "webhook", &world.upstream.url(), &rules) });
    let doorward = &world.doorward;
    let api = format!("/v1/apis/{name}");
    doorward.make("PUT", &api, &spec).unwrap();
    let path = format!("{path}/{}", made["credential"]["id"].as_str().unwrap());
    let rights = json!({ "apis": [name], "scopes": ["read"] });
    doorward.make("PATCH", &path, &rights).unwrap();
    secret(&made)
}

impl Known {
    /// Who signs in a scheme.
    pub(super) fn signers(&self, scheme: Scheme) -> &Signers {
        let mut signers = self.signers.iter();
        signers.find(|one| one.good.scheme == scheme).unwrap()
    }

    pub(super) fn make(world: &mut World) -> Self {
        let wish = |api: &str| json!({ "application": "shop", "label": "tests", "apis": [api], "scopes": ["read"] });
        let near = |wish: &Value| but(wish, "networks", json!(["192.0.2.0/24"]));
        let several = but(&wish("api-key"), "apis", json!(["api-key", "key-hmac"]));
        let key = secret(&world.make("/v1/keys", &several, false));
        let trial = but(&wish("api-key-test"), "environment", json!("test"));
        let trial = but(&trial, "application", json!("lab"));
        let trial = secret(&world.make("/v1/keys", &trial, false));
        let keys = vec![
            (
                "expired",
                secret(&world.make("/v1/keys", &wish("api-key"), true)),
            ),
            (
                "revoked",
                secret(&world.revoked("/v1/keys", &wish("api-key"))),
            ),
            (
                "suspended",
                secret(&world.ended("/v1/keys", &wish("api-key"), "suspend")),
            ),
            (
                "from another network",
                secret(&world.make("/v1/keys", &near(&wish("api-key")), false)),
            ),
            (
                "of another API",
                secret(&world.make("/v1/keys", &wish("basic"), false)),
            ),
        ];

        let passwords = |name: &str| format!("/v1/accounts/{name}/passwords");
        let none = json!({});
        let password = secret(&world.make(&passwords("alice"), &none, false));
        let more = vec![
            (
                "expired",
                "bob",
                secret(&world.make(&passwords("bob"), &none, true)),
            ),
            (
                "revoked",
                "carol",
                secret(&world.revoked(&passwords("carol"), &none)),
            ),
            (
                "of another API",
                "dan",
                secret(&world.make(&passwords("dan"), &none, false)),
            ),
            ("suspended", "erin", suspended_account(world, "erin")),
        ];

        let signers = Scheme::ALL.map(|scheme| {
            let path = "/v1/signing-secrets";
            let wish = |api: &str| but(&wish(api), "scheme", json!(scheme.name()));
            let own = scheme.name().replace('_', "-");
            let mut all = wish(&own);
            if scheme == Scheme::Hmac {
                all["apis"] = json!([own, "key-hmac"]);
            }
            let good = Signatory::of(scheme, &world.make(path, &all, false));
            let mut others = vec![
                (
                    "expired",
                    Signatory::of(scheme, &world.make(path, &wish(&own), true)),
                ),
                (
                    "revoked",
                    Signatory::of(scheme, &world.revoked(path, &wish(&own))),
                ),
                (
                    "suspended",
                    Signatory::of(scheme, &world.ended(path, &wish(&own), "suspend")),
                ),
                (
                    "from another network",
                    Signatory::of(scheme, &world.make(path, &near(&wish(&own)), false)),
                ),
                (
                    "of another API",
                    Signatory::of(scheme, &world.make(path, &wish("basic"), false)),
                ),
            ];
            let mut other = good.clone();
            other.secret = unknown("doorward_", SecretKind::HmacSecret);
            others.push(("forged, with another secret", other));
            let mut other = good.clone();
            other.key_id = "DWAK0000000000000000".to_owned();
            others.push(("of an unknown key", other));
            Signers { good, others }
        });

        let pair = Arc::new(SigningKey::generate(Algorithm::EdDSA).unwrap());
        let path = "/v1/signing-secrets";
        let mut register = but(&wish("http-signature"), "scheme", json!("http_signature"));
        register["public_key"] = json!(pair.public_jwk().to_json().to_string());
        let made = world.make(path, &register, false);
        let key_id = made["credential"]["signing"]["key_id"].as_str().unwrap();
        let registered = Signatory::with_key(key_id, pair);

        let others = Style::ALL
            .into_iter()
            .filter(|style| *style != Style::StandardWebhooks);
        let styles = others.map(|style| {
            let api = format!("webhook-{}", style.name());
            let secret = sender(world, &api, &json!({ "style": style.name() }));
            (style, api, secret)
        });
        let styles = styles.collect();
        let refusing = json!({ "style": "standard-webhooks", "redelivery": "refuse" });
        let once = sender(world, "webhook-once", &refusing);

        // Keys first, then the API that names them, then what they may do.
        let path = "/v1/signing-secrets";
        let hook = json!({ "application": "shop", "label": "tests", "scheme": "webhook" });
        let made = [
            ("good", world.make(path, &hook, false)),
            ("expired", world.make(path, &hook, true)),
            ("revoked", world.revoked(path, &hook)),
            ("suspended", world.ended(path, &hook, "suspend")),
            (
                "from another network",
                world.make(path, &near(&hook), false),
            ),
            ("of another API", world.make(path, &hook, false)),
        ];
        let keys_of: Vec<&Value> = made
            .iter()
            .map(|(_, made)| &made["credential"]["signing"]["key_id"])
            .collect();
        let rules = json!({ "signatures": { "webhook": { "style": "standard-webhooks", "keys": keys_of } } });
        let spec = api("webhook", "webhook", &world.upstream.url(), &rules);
        let spec = json!({ "spec": spec });
        world
            .doorward
            .make("PUT", "/v1/apis/webhook", &spec)
            .unwrap();
        for (what, made) in &made {
            if *what == "revoked" {
                continue;
            }
            let of = if *what == "of another API" {
                "basic"
            } else {
                "webhook"
            };
            let path = format!("{path}/{}", made["credential"]["id"].as_str().unwrap());
            let rights = json!({ "apis": [of], "scopes": ["read"] });
            world.doorward.make("PATCH", &path, &rights).unwrap();
        }
        let sender = secret(&made[0].1);
        let senders = made[1..].iter().map(|(what, made)| (*what, secret(made)));

        let wish = json!({ "label": "eve", "role": "auditor" });
        let admin = secret(&world.make("/v1/admin-keys", &wish, false));
        let admins = vec![
            (
                "expired",
                secret(&world.make("/v1/admin-keys", &wish, true)),
            ),
            ("revoked", secret(&world.revoked("/v1/admin-keys", &wish))),
            ("a key for APIs", key.clone()),
        ];
        Self {
            keys,
            trial,
            password,
            passwords: more,
            signers: signers.into(),
            registered,
            styles,
            once,
            sender,
            senders: senders.collect(),
            admin,
            admins,
            key,
        }
    }
}
