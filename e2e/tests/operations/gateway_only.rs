//! **A node that is only a gateway**: no issuer, resources from its file, a foreign issuer with
//! static keys; nothing else is asked of anybody.

use serde_json::json;
use testkit::doorward::Place;
use testkit::tokens::ForeignIssuer;
use testkit::wire;

use super::backend::Backend;
use super::scene;

#[test]
fn a_gateway_alone_serves_from_its_file_and_trusts_a_foreign_issuer() {
    let upstream = Backend::start("one");
    let foreign = ForeignIssuer::new("https://login.partner.example");
    let settings = format!(
        "\
version: 1
data_dir: data
master_key: file:master.key
log: {{ format: json }}
listeners:
  - {{ name: gateway, address: '@GATEWAY@', serves: [gateway] }}
  - {{ name: ops, address: '@OPS@', serves: [ops] }}
resources:
  - apiVersion: doorward/v1
    kind: TrustedIssuer
    metadata: {{ name: partner }}
    spec: {{ issuer: '{}', jwks: {} }}
  - apiVersion: doorward/v1
    kind: Api
    metadata: {{ name: orders }}
    spec:
      audiences: [https://orders.example]
      upstream: {{ urls: ['{}'] }}
      identity: {{ mode: headers }}
      credentials: [jwt]
      issuers: [partner]
      scopes: {{ read: Read, admin: Administer }}
      routes:
        - {{ name: read, methods: [GET], path: /orders, scopes: [read] }}
        - {{ name: stats, methods: [GET], path: /stats, scopes: [admin] }}
",
        foreign.issuer,
        foreign.jwks(),
        upstream.url()
    );
    let mut doorward = Place::new().unwrap().start(&settings).unwrap();
    let good = foreign.sign(&foreign.claims("https://orders.example"));
    assert_eq!(scene::read_orders(&doorward, &good), 200);
    let call = |path: &str, token: &str| {
        doorward
            .get(path, &[("authorization", &format!("Bearer {token}"))])
            .unwrap()
            .status
    };
    assert_eq!(call("/stats", &good), 403);
    let elsewhere = foreign.sign(&foreign.claims("https://elsewhere.example"));
    assert_eq!(call("/orders", &elsewhere), 401);
    let mut expired = foreign.claims("https://orders.example");
    expired["exp"] = json!(testkit::tokens::now() - 600);
    assert_eq!(call("/orders", &foreign.sign(&expired)), 401);
    let stranger = ForeignIssuer::new("https://login.partner.example");
    assert_eq!(
        call(
            "/orders",
            &stranger.sign(&stranger.claims("https://orders.example"))
        ),
        401
    );
    assert_eq!(call("/orders", "nonsense"), 401);
    for address in [doorward.issuer(), doorward.admin()] {
        assert!(wire::connect(address).is_err(), "nothing else is served");
    }
    assert!(doorward.stop().unwrap(), "{}", doorward.log());
}
