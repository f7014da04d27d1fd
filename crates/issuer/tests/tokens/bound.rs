//! Sender constraint: DPoP at the token endpoint and at UserInfo.

use issuer::error::{ErrorCode, Reason};
use serde_json::json;

use crate::world::{USERINFO, World, ath, claims, redeem, refresh};

#[tokio::test]
async fn d02_a_proof_that_does_not_hold_gets_exactly_its_error() {
    let world = World::new().await;
    let nonce = world.issuer.dpop_nonce(world.now());
    let now = world.now().as_secs();
    let proof = |name: &str, value: serde_json::Value| {
        world.proof_with(&world.mine, |claims| {
            claims["nonce"] = json!(nonce);
            claims[name] = value;
        })
    };
    let used = world.proof(&world.mine);
    let form = || async { format!("{}&client_id=spa", redeem(&world.code("spa").await)) };
    assert!(world.send(&form().await, Some(&used)).await.is_ok());
    let rows = [
        (used, Reason::ProofReplayed),
        ("garbage".to_owned(), Reason::BadProof),
        (proof("htm", json!("GET")), Reason::BadProof),
        (proof("htu", json!(USERINFO)), Reason::BadProof),
        (proof("iat", json!(now - 121)), Reason::BadProof),
        (proof("iat", json!(now + 61)), Reason::BadProof),
        (proof("jti", json!("")), Reason::BadProof),
        (proof("nonce", json!("other")), Reason::NonceNeeded),
        (world.proof_with(&world.mine, |_| {}), Reason::NonceNeeded),
    ];
    for (proof, expected) in rows {
        let answer = world.send(&form().await, Some(&proof)).await;
        assert_eq!(answer.err(), Some(expected), "{proof}");
    }
    assert_eq!(Reason::NonceNeeded.code(), ErrorCode::UseDpopNonce);
    let old = world.proof(&world.mine);
    let form = form().await;
    world.wait(400);
    let late = world.send(&form, Some(&old)).await;
    assert_eq!(late.err(), Some(Reason::BadProof));
}

#[tokio::test]
async fn d01_a_client_whose_tokens_are_bound_gets_none_without_a_proof() {
    let world = World::new().await;
    let code = world.code("fapi").await;
    let answer = world.ask("fapi", &redeem(&code)).await;
    assert_eq!(answer.err(), Some(Reason::ProofMissing));
    // Nothing was spent.
    let tokens = world
        .ask_with("fapi", &redeem(&code), &world.mine)
        .await
        .expect("tokens");
    assert_eq!(tokens.token_type, "DPoP");
    let jkt = world.mine.public_jwk().thumbprint();
    assert_eq!(claims(&tokens.access_token)["cnf"], json!({"jkt": jkt}));
}

#[tokio::test]
async fn d01_a_code_that_named_a_key_is_redeemed_with_it_alone() {
    let world = World::new().await;
    let jkt = world.mine.public_jwk().thumbprint();
    let code = world
        .code_with("phone", |new| new.code.dpop_jkt = Some(jkt))
        .await;
    let form = redeem(&code);
    assert_eq!(
        world.ask("phone", &form).await.err(),
        Some(Reason::KeyMismatch)
    );
    let other = world.ask_with("phone", &form, &world.other).await;
    assert_eq!(other.err(), Some(Reason::KeyMismatch));
    assert!(world.ask_with("phone", &form, &world.mine).await.is_ok());
}

#[tokio::test]
async fn d01_a_public_clients_refresh_token_needs_its_key() {
    let world = World::new().await;
    let form = redeem(&world.code("spa").await);
    let tokens = world
        .ask_with("spa", &form, &world.mine)
        .await
        .expect("tokens");
    let token = tokens.refresh_token.expect("one");
    let form = refresh(&token);
    assert_eq!(
        world.ask("spa", &form).await.err(),
        Some(Reason::KeyMismatch)
    );
    let other = world.ask_with("spa", &form, &world.other).await;
    assert_eq!(other.err(), Some(Reason::KeyMismatch));
    // The stranger did not even end the line.
    assert!(world.ask_with("spa", &form, &world.mine).await.is_ok());
}

#[tokio::test]
async fn d01_a_bound_token_is_taken_with_its_proof_and_in_no_other_way() {
    let world = World::new().await;
    let form = redeem(&world.code("spa").await);
    let tokens = world
        .ask_with("spa", &form, &world.mine)
        .await
        .expect("tokens");
    let token = tokens.access_token;
    let proof = |key, ath: Option<String>| {
        world.proof_with(key, |claims| {
            claims["htm"] = json!("GET");
            claims["htu"] = json!(USERINFO);
            if let Some(ath) = ath {
                claims["ath"] = json!(ath);
            }
        })
    };
    let good = proof(&world.mine, Some(ath(&token)));
    let plain = world.tokens("web").await.access_token;
    let plain_proof = proof(&world.mine, Some(ath(&plain)));
    let rows = [
        ("Bearer", &token, None, Reason::UnboundUse),
        (
            "Bearer",
            &token,
            Some(proof(&world.mine, Some(ath(&token)))),
            Reason::UnboundUse,
        ),
        ("DPoP", &token, None, Reason::ProofMissing),
        (
            "DPoP",
            &token,
            Some(proof(&world.mine, None)),
            Reason::BadProof,
        ),
        (
            "DPoP",
            &token,
            Some(proof(&world.mine, Some(ath("x")))),
            Reason::BadProof,
        ),
        (
            "DPoP",
            &token,
            Some(proof(&world.other, Some(ath(&token)))),
            Reason::UnboundUse,
        ),
        ("DPoP", &plain, Some(plain_proof), Reason::UnboundUse),
    ];
    for (scheme, token, proof, expected) in rows {
        let told = world.userinfo(scheme, token, proof.as_deref()).await;
        assert_eq!(told.err(), Some(expected), "{scheme} {proof:?}");
    }
    assert!(world.userinfo("DPoP", &token, Some(&good)).await.is_ok());
    let again = world.userinfo("DPoP", &token, Some(&good)).await;
    assert_eq!(again.err(), Some(Reason::ProofReplayed));
}

#[tokio::test]
async fn d02_a_process_that_remembers_proofs_by_itself_refuses_those_of_the_process_before() {
    let mut world = World::of_one_process().await;
    let form = async |world: &World| format!("{}&client_id=spa", redeem(&world.code("spa").await));
    let used = world.proof(&world.mine);
    assert!(world.send(&form(&world).await, Some(&used)).await.is_ok());
    let again = world.send(&form(&world).await, Some(&used)).await;
    assert_eq!(again.err(), Some(Reason::ProofReplayed));
    world.restart().await;
    // Its memory is empty, but the nonce is another's: the client is told which one to use.
    let after = world.send(&form(&world).await, Some(&used)).await;
    assert_eq!(after.err(), Some(Reason::NonceNeeded));
    let fresh = world.proof(&world.mine);
    assert!(world.send(&form(&world).await, Some(&fresh)).await.is_ok());
}

#[tokio::test]
async fn d02_a_proof_without_a_nonce_is_remembered_over_a_restart() {
    let mut world = World::of_one_process().await;
    let form = redeem(&world.code("spa").await);
    let tokens = world
        .ask_with("spa", &form, &world.mine)
        .await
        .expect("tokens");
    let token = tokens.access_token;
    let proof = world.proof_with(&world.mine, |claims| {
        claims["htm"] = json!("GET");
        claims["htu"] = json!(USERINFO);
        claims["ath"] = json!(ath(&token));
    });
    assert!(world.userinfo("DPoP", &token, Some(&proof)).await.is_ok());
    world.restart().await;
    let again = world.userinfo("DPoP", &token, Some(&proof)).await;
    assert_eq!(again.err(), Some(Reason::ProofReplayed));
}
