//! What is used once is used once: on its node, after a crash of it, and on another node.

use core::net::SocketAddr;

use proof::jose::alg::Algorithm;
use serde_json::json;
use testkit::bound::ProofKey;

use super::scene::{Asked, Scene, error};

/// Whether the client `bank` is who it says, by an assertion.
fn believed(scene: &Scene, node: SocketAddr, assertion: &str) -> bool {
    let asked = [("token", "anything")];
    let answer = scene.post_asserted(node, "/oauth/introspect", &asked, assertion, &[]);
    match answer.status {
        200 => true,
        _ => {
            assert_eq!(error(&answer), (401, "invalid_client".to_owned()));
            false
        }
    }
}

/// A request of `bank`'s by a proof, each time with an assertion of its own: the error.
fn pushed(scene: &Scene, node: SocketAddr, proof: &str) -> String {
    let asked = Asked::of("bank");
    let more = [("dpop", proof)];
    let path = "/oauth/par";
    let answer = scene.post_asserted(node, path, &asked.fields(), &scene.assertion(), &more);
    match answer.status {
        201 => String::new(),
        _ => error(&answer).1,
    }
}

/// A proof for [`pushed`], on the nonce that a node demands now.
fn proof(scene: &Scene, node: SocketAddr, key: &ProofKey) -> String {
    let mut claims = key.claims("POST", &format!("{}/oauth/par", scene.origin), None);
    let bare = key.sign(&key.header(), &claims);
    let more = [("dpop", bare.as_str())];
    let asked = Asked::of("bank");
    let told = scene.post_asserted(
        node,
        "/oauth/par",
        &asked.fields(),
        &scene.assertion(),
        &more,
    );
    claims["nonce"] = json!(told.header("dpop-nonce").unwrap());
    let random = proof::random::random_base62(16, &proof::random::SystemEntropy);
    claims["jti"] = json!(random);
    key.sign(&key.header(), &claims)
}

/// Defence: `store/src/once.rs`, whose uses are on the disk before they are answered.
#[test]
fn d05_an_assertion_is_used_once_though_the_process_is_killed_right_after() {
    let mut scene = Scene::start("");
    for _ in 0..3 {
        let assertion = scene.assertion();
        let node = scene.one.issuer();
        assert!(believed(&scene, node, &assertion));
        assert!(!believed(&scene, node, &assertion));
        scene.one.kill();
        scene.one.start_again().unwrap();
        assert!(!believed(&scene, node, &assertion));
        assert!(believed(&scene, node, &scene.assertion()));
    }
}

/// Defence: `issuer/src/sender.rs`: nonces live as long as the memory of proofs.
#[test]
fn d05_a_proof_is_used_once_though_the_process_is_killed_right_after() {
    let mut scene = Scene::start("");
    let key = ProofKey::new(Algorithm::ES256);
    let node = scene.one.issuer();
    let used = proof(&scene, node, &key);
    assert_eq!(pushed(&scene, node, &used), "");
    assert_eq!(pushed(&scene, node, &used), "invalid_dpop_proof");
    scene.one.kill();
    scene.one.start_again().unwrap();
    assert_eq!(pushed(&scene, node, &used), "use_dpop_nonce");
    let fresh = proof(&scene, node, &key);
    assert_eq!(pushed(&scene, node, &fresh), "");
}

#[test]
fn d05_what_was_used_on_one_node_is_refused_on_the_other_and_after_a_crash() {
    let Some(mut scene) = Scene::two_nodes() else {
        return;
    };
    let [one, two] = scene.nodes();
    let key = ProofKey::new(Algorithm::ES256);
    let assertion = scene.assertion();
    let used = proof(&scene, one, &key);
    assert!(believed(&scene, one, &assertion));
    assert_eq!(pushed(&scene, one, &used), "");
    for node in [one, two] {
        assert!(!believed(&scene, node, &assertion));
        assert_eq!(pushed(&scene, node, &used), "invalid_dpop_proof");
    }
    scene.one.kill();
    scene.one.start_again().unwrap();
    assert!(!believed(&scene, one, &assertion));
    assert_eq!(pushed(&scene, one, &used), "invalid_dpop_proof");
    // A nonce of one node is good on the other.
    let elsewhere = proof(&scene, one, &key);
    assert_eq!(pushed(&scene, two, &elsewhere), "");
}
