//! **`doorward sign paseto`**: a token made by hand passes where a trusted issuer's would.

use proof::jose::alg::Algorithm;
use proof::jose::key::SigningKey;
use serde_json::Value;
use testkit::doorward::{BASE, Doorward, Place};
use testkit::upstream::Upstream;

use super::scene::command_json;

const PARTNER: &str = r#"resources:
  - apiVersion: doorward/v1
    kind: TrustedIssuer
    metadata: { name: partner }
    spec: { issuer: https://login.partner.example, paseto_key_files: [partner.paserk] }
  - apiVersion: doorward/v1
    kind: Api
    metadata: { name: reports }
    spec:
      audiences: [https://reports.example]
      upstream: { urls: ["@UPSTREAM@"] }
      scopes: { "reports:read": Read }
      credentials: [paseto]
      issuers: [partner]
      routes: [{ path: /reports, scopes: ["reports:read"] }]
"#;

fn status(doorward: &Doorward, more: &[&str]) -> u16 {
    let url = format!("http://{}/reports", doorward.gateway());
    let arguments = [
        &["sign", "paseto", "--key-file", "signer.paserk"][..],
        &[
            "--issuer",
            "https://login.partner.example",
            "--subject",
            "alice",
        ],
        more,
        &[&url],
    ]
    .concat();
    let signed = command_json(doorward, &arguments);
    let fields: Vec<(String, String)> = serde_json::from_value(signed["headers"].clone()).unwrap();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(a, b)| (&**a, &**b)).collect();
    assert_eq!(signed["method"], Value::from("GET"));
    doorward.get("/reports", &fields).unwrap().status
}

#[test]
fn a_paseto_made_with_either_kind_of_key_passes_and_an_old_one_does_not() {
    let local = format!("k4.local.{}", proof::base64url::encode(&[7; 32]));
    let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
    // RFC 8410 §7: the seed stands in an octet string within an octet string.
    let der = key.to_pkcs8().unwrap();
    let der = der.expose();
    let head = [0x04, 0x22, 0x04, 0x20];
    let at = der.windows(4).position(|four| four == head).unwrap() + 4;
    let seed = &der[at..at + 32];
    let paserk = proof::paseto::public_paserk(&key.public_jwk()).unwrap();
    let public = proof::base64url::decode(paserk.trim_start_matches("k4.public.").as_bytes());
    let secret = [seed, &public.unwrap()].concat();
    let secret = format!("k4.secret.{}", proof::base64url::encode(&secret));
    for (theirs, ours) in [(&local, &local), (&paserk, &secret)] {
        let place = Place::new().unwrap();
        let file = place.path().join("partner.paserk");
        std::fs::write(&file, theirs).unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&file, private).unwrap();
        let upstream = Upstream::start().unwrap();
        let settings = format!("{BASE}{PARTNER}").replace("@UPSTREAM@", &upstream.url());
        let doorward = place.start(&settings).unwrap();
        std::fs::write(doorward.place().path().join("signer.paserk"), ours).unwrap();
        let with = |more: &[&str]| status(&doorward, more);
        let good = [
            "--audience",
            "https://reports.example",
            "--scope",
            "reports:read",
        ];
        assert_eq!(with(&good), 200);
        assert_eq!(with(&["--audience", "https://reports.example"]), 403);
        assert_eq!(
            with(&[
                "--audience",
                "https://other.example",
                "--scope",
                "reports:read"
            ]),
            401
        );
        let old = [&good[..], &["--at", "2026-01-01T00:00:00Z"]].concat();
        assert_eq!(with(&old), 401);
    }
}
