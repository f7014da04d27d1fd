//! **Policies that are fetched**: a bundle is taken, kept over a restart without its server, and not
//! replaced by one whose signature does not hold.

use core::net::Ipv4Addr;
use core::time::Duration;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use flate2::{Compression, write::GzEncoder};
use proof::digest::{hex, sha256};
use proof::jose::alg::Algorithm;
use proof::jose::key::SigningKey;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use testkit::doorward::{BASE, Doorward, Place};
use testkit::wire;

use super::scene::wait_until;

const SOON: Duration = Duration::from_secs(30);
const POLICY: &str = "package orders\nallow if input.call.method == \"GET\"\n";

/// What the server has: a bundle and its name, or nothing.
type Offer = Arc<Mutex<Option<(Vec<u8>, &'static str)>>>;

fn entry(path: &str, body: &str) -> Vec<u8> {
    let mut head = [0_u8; 512];
    head[..path.len()].copy_from_slice(path.as_bytes());
    head[124..136].copy_from_slice(format!("{:011o}\0", body.len()).as_bytes());
    head[156] = b'0';
    head[148..156].copy_from_slice(b"        ");
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut all = head.to_vec();
    all.extend_from_slice(body.as_bytes());
    all.resize(all.len().div_ceil(512) * 512, 0);
    all
}

/// A bundle with one policy, signed for `sealed`.
fn bundle(key: &SigningKey, sealed: &str, sent: &str) -> Vec<u8> {
    let digest = hex(&sha256(sealed.as_bytes()));
    let files = json!([{"name": "orders.rego", "hash": digest, "algorithm": "SHA-256"}]);
    let claims = json!({"files": files}).to_string();
    let token = proof::jose::jws::sign(key, "JWT", &claims);
    let signatures = json!({"signatures": [token]}).to_string();
    let mut tar = entry("orders.rego", sent);
    tar.extend(entry(".signatures.json", &signatures));
    tar.extend([0; 1024]);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&tar).unwrap();
    encoder.finish().unwrap()
}

/// A server over TLS that answers with what is offered, 304 to whoever has it, 503 without.
fn serve(tls: &Path, offer: Offer, asked: Arc<Mutex<Vec<String>>>) -> u16 {
    let chain = CertificateDer::pem_file_iter(tls.join("localhost.pem"))
        .unwrap()
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_file(tls.join("localhost.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let Ok(connection) = rustls::ServerConnection::new(config.clone()) else {
                continue;
            };
            let mut stream = rustls::StreamOwned::new(connection, stream);
            let mut request = Vec::new();
            let mut chunk = [0_u8; 4096];
            while !request.ends_with(b"\r\n\r\n") {
                match stream.read(&mut chunk) {
                    Ok(read) if read > 0 => request.extend_from_slice(&chunk[..read]),
                    _ => break,
                }
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            let (status, etag, body) = match &*offer.lock().unwrap() {
                None => (503, "\"none\"", Vec::new()),
                Some((_, name)) if request.contains(name) => (304, *name, Vec::new()),
                Some((body, name)) => (200, *name, body.clone()),
            };
            asked
                .lock()
                .unwrap()
                .push(format!("{status} {}", request.contains("if-none-match")));
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} X\r\netag: {etag}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
            );
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(&body);
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    port
}

fn figure(doorward: &Doorward, name: &str) -> u64 {
    let text = wire::get(doorward.ops(), "/metrics", &[]).unwrap().text();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |rest| rest.trim().parse().unwrap())
}

#[test]
fn a_bundle_is_kept_over_a_restart_and_a_forged_one_changes_nothing() {
    let place = Place::new().unwrap();
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let offer: Offer = Arc::new(Mutex::new(Some((bundle(&key, POLICY, POLICY), "\"one\""))));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let port = serve(&place.path().join("tls"), offer.clone(), asked.clone());
    let keys = json!({"keys": [key.public_jwk().to_json()]});
    let settings = format!(
        "{BASE}outbound: {{ allow_networks: [127.0.0.0/8], ca_file: tls/ca.pem }}\nresources:\n  - apiVersion: doorward/v1\n    kind: Policy\n    metadata: {{ name: orders }}\n    spec:\n      bundle:\n        url: https://localhost:{port}/orders.tar.gz\n        polling: 10s\n        verification: {{ jwks: {keys} }}\n"
    );
    let mut doorward = place.start(&settings).unwrap();
    let taken = "doorward_policy_bundles_taken_total";
    let failed = "doorward_policy_bundles_failed_total";
    let stale = "doorward_policy_bundles_stale";
    wait_until("the bundle is taken", SOON, || {
        figure(&doorward, taken) == 1
    });
    let ready = |doorward: &Doorward| wire::get(doorward.ops(), "/readyz", &[]).unwrap().status;
    assert_eq!(ready(&doorward), 200);
    wait_until("it is asked for by its name", SOON, || {
        asked.lock().unwrap().iter().any(|one| one == "304 true")
    });

    // Another policy under the old signature.
    let forged = bundle(&key, POLICY, "package orders\nallow := true\n");
    *offer.lock().unwrap() = Some((forged, "\"two\""));
    wait_until("the forged one is refused", SOON, || {
        figure(&doorward, failed) >= 1
    });
    assert_eq!((figure(&doorward, taken), figure(&doorward, stale)), (1, 1));
    assert!(
        doorward.log().contains("is not as it was signed"),
        "{}",
        doorward.log()
    );
    assert_eq!(ready(&doorward), 200);

    // Without its server, the last good one is there after a restart.
    *offer.lock().unwrap() = None;
    assert!(doorward.stop().unwrap());
    doorward.start_again().unwrap();
    wait_until("it is asked for in vain", SOON, || {
        figure(&doorward, failed) >= 1
    });
    assert_eq!(ready(&doorward), 200);

    // What was kept is checked again: a changed file is not taken.
    assert!(doorward.stop().unwrap());
    let folder = doorward.place().path().join("data/bundles");
    let file = std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .next()
        .unwrap()
        .path();
    std::fs::write(
        &file,
        bundle(&key, POLICY, "package orders\nallow := true\n"),
    )
    .unwrap();
    *offer.lock().unwrap() = Some((bundle(&key, POLICY, POLICY), "\"three\""));
    doorward.start_again().unwrap();
    let log = doorward.log();
    assert!(
        log.contains("the bundle that was kept is not taken"),
        "{log}"
    );
    wait_until("a good one is taken", SOON, || {
        figure(&doorward, taken) == 1
    });
}
