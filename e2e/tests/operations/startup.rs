//! **A start**: what it costs (time to ready and idle memory, printed for the record), and what does
//! not keep a node from it.

use std::time::{Duration, Instant};

use proof::jose::alg::Algorithm;
use proof::jose::key::SigningKey;
use serde_json::json;
use testkit::doorward::Doorward;
use testkit::wire;

use super::bodies::resident_kib;
use super::scene;

#[test]
fn a_start_ends_in_readiness_and_its_cost_is_printed() {
    let began = Instant::now();
    let doorward = Doorward::start(&scene::settings("http://127.0.0.1:9")).unwrap();
    let seen = began.elapsed();
    let log = doorward.log();
    let own = log
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find(|line| line["message"] == "ready")
        .unwrap_or_else(|| panic!("no line says when it was ready: {log}"));
    let resident = resident_kib(doorward.pid());
    println!(
        "first start to ready: {} ms by its own clock, {seen:?} seen from outside; idle memory {} MiB",
        own["millis"],
        resident / 1024
    );
    assert!(resident > 0);
}

/// Defence: `rehearse_start` of `app/src/wire/reload.rs`: what came over the admin API can be mended
/// over the admin API alone, so it must come up.
#[test]
fn a_file_that_a_document_of_the_admin_api_lost_leaves_the_way_to_mend_it() {
    let mut doorward = Doorward::start(&scene::settings("http://127.0.0.1:9")).unwrap();
    let file = doorward.place().path().join("partner.json");
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let keys = json!({ "keys": [key.public_jwk().to_json()] });
    std::fs::write(&file, keys.to_string()).unwrap();
    let spec = json!({ "spec": {
        "issuer": "https://login.example", "algorithms": ["ES256"], "jwks_file": "partner.json" } });
    let path = "/v1/issuers/partner";
    doorward.make("PUT", path, &spec).unwrap();
    assert!(doorward.stop().unwrap());
    std::fs::remove_file(&file).unwrap();

    let (admin, ops) = (doorward.admin(), doorward.ops());
    let authorization = format!("Bearer {}", doorward.owner_key());
    let mender = std::thread::spawn(move || {
        let until = Instant::now() + Duration::from_secs(20);
        let ready = loop {
            match wire::get(ops, "/readyz", &[]) {
                Ok(answer) => break answer.status,
                Err(error) => assert!(Instant::now() < until, "it does not come up: {error}"),
            }
            std::thread::sleep(Duration::from_millis(30));
        };
        let fields = [("authorization", authorization.as_str())];
        let gone = wire::call(admin, "DELETE", path, &fields, b"").unwrap();
        (ready, gone.status, gone.text())
    });
    // Comes back once it is ready.
    doorward.start_again().unwrap();
    let (ready, gone, text) = mender.join().unwrap();
    assert_eq!(ready, 503, "{}", doorward.log());
    assert!((200..300).contains(&gone), "{gone} {text}");
    assert!(
        doorward.log().contains("partner.json"),
        "{}",
        doorward.log()
    );
}
