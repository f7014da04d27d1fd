//! One running Doorward with an API for each sort of rule, and people of a foreign issuer who own
//! something.

use std::sync::OnceLock;

use serde_json::{Value, json};
use testkit::doorward::{BASE, Doorward};
use testkit::tokens::ForeignIssuer;
use testkit::upstream::{Seen, Upstream, echo};
use testkit::wire::{self, Answer};

const RESOURCES: &str = r#"
resources:
  - apiVersion: doorward/v1
    kind: TrustedIssuer
    metadata: { name: people }
    spec: { issuer: "https://people.example", jwks: @JWKS@, max_lifetime: 1h }
  - apiVersion: doorward/v1
    kind: RelationModel
    metadata: { name: shop }
    spec:
      types:
        user: {}
        role: { relations: { holder: { direct: [user] } } }
        order:
          relations:
            owner: { direct: [user] }
            viewer: { direct: [user], any_of: [owner] }
  - apiVersion: doorward/v1
    kind: Policy
    metadata: { name: card }
    spec:
      rego: |
        package card
        owns if {
            some object in input.objects
            "owner" in object.relations
        }
        decision := {"allow": true} if owns
        else := {"allow": true, "obligations": {"mask": ["/card", "/items/*/cost"]}}
  - apiVersion: doorward/v1
    kind: Policy
    metadata: { name: writable }
    spec:
      body: true
      rego: |
        package writable
        default allow := false
        allow if {
            input.call.body.item
            object.keys(input.call.body) - {"item", "quantity"} == set()
        }
  - apiVersion: doorward/v1
    kind: Policy
    metadata: { name: silent }
    spec:
      rego: |
        package silent
        allow if input.call.query.say[0] == "yes"
  - apiVersion: doorward/v1
    kind: Policy
    metadata: { name: odd }
    spec:
      rego: |
        package odd
        decision := "yes" if input.api
  - apiVersion: doorward/v1
    kind: Policy
    metadata: { name: slow }
    spec:
      limits: { time: 5ms }
      rego: |
        package slow
        default allow := false
        allow if {
            some i in numbers.range(1, 5000)
            some j in numbers.range(1, 5000)
            i + j == 0
        }
        allow if input.api
  - apiVersion: doorward/v1
    kind: Policy
    metadata: { name: named }
    spec:
      rego: |
        package named
        default allow := false
        allow if input.call.query.name[0] == "ann"
        allow if input.call.headers["x-name"] == "ann"
  - apiVersion: doorward/v1
    kind: Policy
    metadata: { name: fields }
    spec:
      headers: [x-tier]
      rego: |
        package fields
        default allow := false
        allow if input.call.headers.prefer == "dry-run"
        allow if {
            some name, value in input.call.headers
            contains(value, "let me in")
        }
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: shop }
    spec:
      audiences: ["https://shop.example"]
      upstream: { urls: ["@UPSTREAM@"] }
      identity: { mode: headers }
      credentials: [jwt]
      issuers: [people]
      scopes: { "orders:read": Read, "orders:write": Write, "orders:all": All that reads }
      implied_scopes: { "orders:all": ["orders:read"] }
      routes:
        - { name: read, methods: [GET, HEAD], path: "/orders/{id}", scopes: ["orders:read"], objects: [{ type: order, path: id, relation: viewer }] }
        - { name: change, methods: [PUT], path: "/orders/{id}", scopes: ["orders:write"], objects: [{ type: order, path: id, relation: owner }], policies: [writable], body_limit: 64KiB }
        - { name: cancel, methods: [DELETE], path: "/orders/{id}", scopes: ["orders:write"], roles: [clerk], objects: [{ type: order, path: id, relation: owner }] }
        - { name: find, methods: [GET], path: /find, objects: [{ type: order, query: id, relation: viewer }] }
        - { name: field, methods: [GET], path: /field, objects: [{ type: order, header: x-order, relation: viewer }] }
        - { name: batch, methods: [POST], path: /batch, objects: [{ type: order, body: "/items/*/order_id", relation: viewer }], body_limit: 64KiB }
        - { name: one, methods: [POST], path: /one, objects: [{ type: order, body: /order/id, relation: viewer }], body_limit: 64KiB }
        - { name: hidden, methods: [GET], path: "/hidden/{id}", objects: [{ type: order, path: id, relation: viewer, hide: true }] }
        - { name: card, methods: [GET, HEAD], path: "/cards/{id}", objects: [{ type: order, path: id, relation: viewer, tell: [owner] }], policies: [card] }
        - { name: live, methods: [GET], path: "/cards/{id}/events", objects: [{ type: order, path: id, relation: viewer, tell: [owner] }], policies: [card] }
        - { name: wire, methods: [GET], path: "/cards/{id}/wire", upgrade: true, objects: [{ type: order, path: id, relation: viewer, tell: [owner] }], policies: [card] }
        - { name: admin, methods: [GET], path: /admin/stats, roles: [admin] }
        - { name: silent, methods: [GET], path: /silent, policies: [silent] }
        - { name: odd, methods: [GET], path: /odd, policies: [odd] }
        - { name: slow, methods: [GET], path: /slow, policies: [slow] }
        - { name: named, methods: [GET], path: /named, policies: [named] }
        - { name: fields, methods: [GET], path: /fields, policies: [fields] }
        - { name: free, methods: [GET], path: /free }
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: watched }
    spec:
      audiences: ["https://watched.example"]
      base_path: /watched
      upstream: { urls: ["@UPSTREAM@"] }
      credentials: [jwt]
      issuers: [people]
      probing: { distinct: 5, window: 1m }
      routes: [{ name: read, methods: [GET], path: "/orders/{id}", objects: [{ type: order, path: id, relation: viewer }] }]
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: strict }
    spec:
      audiences: ["https://strict.example"]
      base_path: /strict
      upstream: { urls: ["@UPSTREAM@"] }
      credentials: [jwt]
      issuers: [people]
      probing: { distinct: 5, window: 1m, refuse_for: 5m }
      routes:
        - { name: read, methods: [GET], path: "/orders/{id}", objects: [{ type: order, path: id, relation: viewer }] }
        - { name: free, methods: [GET], path: /free }
"#;

/// What is behind the door: an order with a card number at `/cards/…`, and an echo.
fn answer(seen: &Seen) -> Option<Vec<u8>> {
    if !seen.target().starts_with("/cards/") {
        return echo(seen);
    }
    let body =
        json!({ "id": 1, "card": "4111111111111111", "items": [{ "name": "a", "cost": 7 }] });
    let mut body = body.to_string();
    // One that goes on: the first piece of a stream, and no end.
    if seen.target().contains("events") {
        body = format!("data: {body}\n\n");
        let length = body.len();
        return Some(format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n").into_bytes());
    }
    let media_type = seen.values("accept").pop();
    let media_type = media_type.unwrap_or_else(|| "application/json".to_owned());
    let length = body.len();
    if seen.line().starts_with("HEAD ") || seen.target().contains("unchanged") {
        body.clear();
    }
    let status = if seen.target().contains("unchanged") {
        "304 Not Modified"
    } else {
        "200 OK"
    };
    // A service that does not heed what was asked for.
    let packed = if seen.target().contains("packed") {
        "content-encoding: gzip\r\n"
    } else {
        ""
    };
    Some(format!("HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\n{packed}etag: \"1\"\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes())
}

/// What runs.
pub(super) struct World {
    pub(super) doorward: Doorward,
    pub(super) upstream: Upstream,
    people: ForeignIssuer,
}

/// The one that all of these tests share. Ann owns 1001, 1002 and `abc`; ben owns 2001 and `ABC`, and
/// may see 1002.
pub(super) fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let upstream = Upstream::start_with(|_, seen| answer(seen)).unwrap();
        let people = ForeignIssuer::new("https://people.example");
        let settings = format!("{BASE}{RESOURCES}")
            .replace("@UPSTREAM@", &upstream.url())
            .replace("@JWKS@", &people.jwks().to_string());
        let doorward = Doorward::start(&settings).unwrap();
        let world = World {
            doorward,
            upstream,
            people,
        };
        for (order, relation, who) in [
            ("1001", "owner", "ann"),
            ("1002", "owner", "ann"),
            ("abc", "owner", "ann"),
            ("2001", "owner", "ben"),
            ("ABC", "owner", "ben"),
            ("1002", "viewer", "ben"),
        ] {
            world.relate(&format!("order:{order}#{relation}@{}", subject(who)));
        }
        world
    })
}

/// The subject of a person of that issuer.
pub(super) fn subject(who: &str) -> String {
    format!("user:https://people.example|{who}")
}

impl World {
    /// Writes a tuple.
    pub(super) fn relate(&self, tuple: &str) {
        let body = json!({ "add": [{ "tuple": tuple }] });
        self.doorward.make("POST", "/v1/relations", &body).unwrap();
    }

    /// Takes one back.
    pub(super) fn part(&self, tuple: &str) {
        let body = json!({ "remove": [tuple] });
        self.doorward.make("POST", "/v1/relations", &body).unwrap();
    }

    /// A token of somebody, with scopes.
    pub(super) fn token(&self, who: &str, scopes: &str) -> String {
        let mut claims = self.people.claims("https://shop.example");
        claims["sub"] = who.into();
        claims["aud"] = ["shop", "watched", "strict"]
            .map(|api| format!("https://{api}.example"))
            .to_vec()
            .into();
        claims["scope"] = scopes.into();
        format!("Bearer {}", self.people.sign(&claims))
    }

    /// A call of somebody with both scopes.
    pub(super) fn call(
        &self,
        who: &str,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        self.call_with(
            &self.token(who, "orders:read orders:write"),
            method,
            target,
            headers,
            body,
        )
    }

    /// A call with a token.
    pub(super) fn call_with(
        &self,
        token: &str,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let all = [&[("authorization", token)][..], headers].concat();
        wire::call(
            self.doorward.gateway(),
            method,
            target,
            &all,
            body.as_bytes(),
        )
        .unwrap()
    }

    /// A `GET` of somebody.
    pub(super) fn get(&self, who: &str, target: &str) -> Answer {
        self.call(who, "GET", target, &[], "")
    }

    /// The entry of the decision log for an answer, once it is written.
    pub(super) fn entry(&self, answer: &Answer) -> Value {
        let id = answer.header("doorward-request-id").unwrap().to_owned();
        for _ in 0..250 {
            let path = format!("/v1/decisions/{id}");
            let (status, entry) = self.doorward.admin_call("GET", &path, None).unwrap();
            if status == 200 {
                return entry;
            }
            std::thread::sleep(core::time::Duration::from_millis(20));
        }
        panic!("no entry for {id}");
    }

    /// Waits until a call is answered so: what is written counts within a second.
    pub(super) fn soon(&self, status: u16, call: impl Fn() -> Answer) {
        let began = std::time::Instant::now();
        loop {
            let answer = call();
            if answer.status == status {
                return;
            }
            let late = began.elapsed() > core::time::Duration::from_secs(1);
            assert!(!late, "{}: {}", answer.status, answer.text());
            std::thread::sleep(core::time::Duration::from_millis(10));
        }
    }

    /// A text that stands in one call only.
    pub(super) fn mark(&self) -> String {
        format!(
            "mark{}",
            proof::random::random_base62(12, &proof::random::SystemEntropy)
        )
    }
}
