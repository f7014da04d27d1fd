//! **Services without people**: a client `shop` that gets tokens for itself, a resource server
//! `server`, on one node or two. Each test brings what is declared.

use core::net::SocketAddr;
use std::collections::BTreeMap;

use serde_json::json;
use testkit::bound::ProofKey;
use testkit::browser::encode;
use testkit::doorward::{BASE, Doorward, Place};
use testkit::postgres;
use testkit::upstream::Upstream;
use testkit::wire::{self, Answer};

pub(super) struct World {
    pub(super) one: Doorward,
    pub(super) two: Option<Doorward>,
    pub(super) origin: String,
    pub(super) upstream: Upstream,
    secrets: BTreeMap<&'static str, String>,
}

impl World {
    pub(super) fn start(resources: &str) -> Self {
        Self::in_place(Place::new().unwrap(), resources)
    }

    /// One node where files stand already.
    pub(super) fn in_place(place: Place, resources: &str) -> Self {
        let origin = format!("http://{}", place.issuer);
        Self::with(place, origin, BASE, resources)
    }

    /// Two nodes on one PostgreSQL, with the files that `prepare` writes; `None` only where that was
    /// switched off.
    pub(super) fn two_nodes(resources: &str, prepare: impl Fn(&Place)) -> Option<Self> {
        let database = postgres::shared()?.create_database().unwrap();
        let (one, two) = (Place::new().unwrap(), Place::new().unwrap());
        std::fs::copy(one.path().join("master.key"), two.path().join("master.key")).unwrap();
        prepare(&one);
        prepare(&two);
        let origin = format!("http://{}", one.issuer);
        let base = format!("{BASE}database: {{ url: '{database}' }}\n");
        let mut world = Self::with(one, origin.clone(), &base, resources);
        let own = base.replace("'http://@ISSUER@'", &format!("'{origin}'"));
        let settings = format!("{own}{resources}").replace("@UPSTREAM@", &world.upstream.url());
        world.two = Some(two.start(&settings).unwrap());
        Some(world)
    }

    fn with(place: Place, origin: String, base: &str, resources: &str) -> Self {
        let upstream = Upstream::start().unwrap();
        let settings = format!("{base}{resources}").replace("@UPSTREAM@", &upstream.url());
        let one = place.start(&settings).unwrap();
        let secrets = ["shop", "server"].map(|client| {
            let path = format!("/v1/clients/{client}/secrets");
            let made = one.make("POST", &path, &json!({ "label": "tests" }));
            let secret = made.unwrap()["secret"].as_str().unwrap().to_owned();
            (client, secret)
        });
        Self {
            one,
            two: None,
            origin,
            secrets: secrets.into(),
            upstream,
        }
    }

    /// A client's secret.
    pub(super) fn secret(&self, client: &str) -> &str {
        &self.secrets[client]
    }

    pub(super) fn post(
        &self,
        node: SocketAddr,
        path: &str,
        client: &str,
        fields: &[(&str, &str)],
        more: &[(&str, &str)],
    ) -> Answer {
        let pair = format!("{client}:{}", self.secrets[client]);
        let basic = format!("Basic {}", proof::base64std::encode(pair.as_bytes()));
        let mut headers = vec![
            ("host", self.origin.split("://").nth(1).unwrap()),
            ("content-type", "application/x-www-form-urlencoded"),
            ("authorization", &basic),
        ];
        headers.extend(more);
        wire::call(node, "POST", path, &headers, encode(fields).as_bytes()).unwrap()
    }

    pub(super) fn asked(&self, resource: &str, more: &[(&str, &str)]) -> Answer {
        let fields = [("grant_type", "client_credentials"), ("resource", resource)];
        self.post(self.one.issuer(), "/oauth/token", "shop", &fields, more)
    }

    /// The same with the proof of a key, on the nonce that the server demands.
    pub(super) fn asked_with_proof(&self, resource: &str, key: &ProofKey) -> Answer {
        let address = format!("{}/oauth/token", self.origin);
        let mut proof = key.claims("POST", &address, None);
        let first = self.asked(resource, &[("dpop", &key.sign(&key.header(), &proof))]);
        proof["nonce"] = json!(first.header("dpop-nonce").unwrap());
        proof["jti"] = json!("another");
        self.asked(resource, &[("dpop", &key.sign(&key.header(), &proof))])
    }

    pub(super) fn token(&self, resource: &str) -> String {
        let answer = self.asked(resource, &[]);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    pub(super) fn introspect(&self, client: &str, token: &str) -> Answer {
        let node = self.one.issuer();
        self.post(node, "/oauth/introspect", client, &[("token", token)], &[])
    }

    pub(super) fn revoke(&self, node: SocketAddr, token: &str) {
        let answer = self.post(node, "/oauth/revoke", "shop", &[("token", token)], &[]);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}
