//! Codes, ID tokens, UserInfo.

use issuer::error::Reason;
use issuer::userinfo::Userinfo;
use serde_json::json;

use crate::world::{ISSUER, ORDERS, STOCK, USERINFO, VERIFIER, World, claims, redeem, refresh};

#[tokio::test]
async fn a_code_gives_tokens_of_the_person_for_the_client() {
    let world = World::new().await;
    let tokens = world.tokens("web").await;
    assert_eq!(tokens.token_type, "Bearer");
    assert_eq!(tokens.expires_in, 600);
    let access = claims(&tokens.access_token);
    assert_eq!(access["sub"], json!("sub-alice"));
    assert_eq!(access["client_id"], json!("web"));
    assert_eq!(access["aud"], json!([ORDERS, STOCK, USERINFO]));
    assert_eq!(access["roles"], json!(["clerk"]));
    assert_eq!(access["acr"], json!("pwd"));
    assert!(access["grant_id"].is_string());
    let id = claims(tokens.id_token.as_deref().expect("an ID token"));
    assert_eq!(id["iss"], json!(ISSUER));
    assert_eq!(id["aud"], json!("web"));
    assert_eq!(id["nonce"], json!("n-1"));
    assert_eq!(id["sid"], json!("session-1"));
    assert_eq!(id["auth_time"], json!(world.now().as_secs()));
    // Who the person is, UserInfo tells.
    assert_eq!(id.get("name"), None);
    let told = world.userinfo("Bearer", &tokens.access_token, None).await;
    let expected = json!({"sub": "sub-alice", "name": "Alice Example"});
    let Ok(Userinfo::Json(told)) = told else {
        panic!("no claims: {told:?}");
    };
    assert_eq!(json!(told), expected);
}

#[tokio::test]
async fn claims_that_were_asked_for_go_where_they_were_asked() {
    let world = World::new().await;
    let code = world
        .code_with("web", |new| {
            // `phone` is no scope of this client: it hears of none.
            new.grant.claims = Some(json!({
                "id_token": {"name": null, "phone_number": null},
                "userinfo": {"email": {"essential": true}, "phone_number": null},
            }));
        })
        .await;
    let tokens = world.ask("web", &redeem(&code)).await.expect("tokens");
    let id = claims(tokens.id_token.as_deref().expect("an ID token"));
    assert_eq!(id["name"], json!("Alice Example"));
    assert_eq!(id.get("phone_number"), None);
    let told = world.userinfo("Bearer", &tokens.access_token, None).await;
    let Ok(Userinfo::Json(told)) = told else {
        panic!("no claims: {told:?}");
    };
    assert_eq!(told["email"], json!("alice@example.com"));
    assert_eq!(told.get("phone_number"), None);
}

#[tokio::test]
async fn f06_a_bad_redemption_gets_exactly_its_error_and_spends_nothing() {
    let world = World::new().await;
    let code = world.code("web").await;
    let short = &VERIFIER[1..];
    let long = "a".repeat(129);
    let wrong = VERIFIER.replace('d', "e");
    let good = redeem(&code);
    let with = |verifier: &str| {
        format!("grant_type=authorization_code&code={code}&code_verifier={verifier}")
    };
    let rows = [
        (
            "web",
            "grant_type=authorization_code".to_owned(),
            Reason::CodeMissing,
        ),
        ("web", format!("{good}&code=x"), Reason::RepeatedParameter),
        ("web", redeem("unknown"), Reason::CodeUnknown),
        ("twin", good.clone(), Reason::CodeUnknown),
        ("phone", good.clone(), Reason::CodeUnknown),
        ("nothing", good.clone(), Reason::GrantNotAllowed),
        ("web", with(short), Reason::MalformedVerifier),
        ("web", with(&long), Reason::MalformedVerifier),
        (
            "web",
            with(&format!("{short}%20")),
            Reason::MalformedVerifier,
        ),
        ("web", with(&wrong), Reason::VerifierMismatch),
        (
            "web",
            format!("grant_type=authorization_code&code={code}"),
            Reason::VerifierMismatch,
        ),
        (
            "web",
            format!("{good}&redirect_uri=https://web.example/cb/"),
            Reason::RedirectMismatch,
        ),
        (
            "web",
            format!("{good}&resource=https://x.example"),
            Reason::UnknownTarget,
        ),
    ];
    for (client, form, expected) in rows {
        let answer = world.ask(client, &form).await;
        assert_eq!(answer.err(), Some(expected), "{client}: {form}");
    }
    let redirect = format!("{good}&redirect_uri=https://web.example/cb");
    assert!(world.ask("web", &redirect).await.is_ok());
    // Expired: one second past its minute.
    let code = world.code("web").await;
    world.wait(61);
    let late = world.ask("web", &redeem(&code)).await;
    assert_eq!(late.err(), Some(Reason::CodeUnknown));
}

#[tokio::test]
async fn f06_pkce_is_neither_left_out_nor_smuggled_in() {
    let world = World::new().await;
    for client in ["web", "phone", "compat"] {
        let code = world
            .code_with(client, |new| new.code.code_challenge = None)
            .await;
        let redirect = format!("&redirect_uri=https://{client}.example/cb");
        let answer = world
            .ask(client, &format!("{}{redirect}", redeem(&code)))
            .await;
        assert_eq!(answer.err(), Some(Reason::VerifierUnasked), "{client}");
        // Without PKCE the redirect URI must be there.
        let bare = format!("grant_type=authorization_code&code={code}");
        let answer = world.ask(client, &bare).await;
        assert_eq!(answer.err(), Some(Reason::RedirectMismatch), "{client}");
        let with = format!("{bare}{redirect}");
        let answer = world.ask(client, &with).await.err();
        let expected = (client != "compat").then_some(Reason::VerifierMismatch);
        assert_eq!(answer, expected, "{client}");
    }
}

#[tokio::test]
async fn f06_a_second_redemption_ends_everything_that_came_of_the_first() {
    let world = World::new().await;
    let code = world.code("web").await;
    let tokens = world.ask("web", &redeem(&code)).await.expect("tokens");
    let again = world.ask("web", &redeem(&code)).await;
    assert_eq!(again.err(), Some(Reason::CodeReused));
    let refreshed = world
        .ask(
            "web",
            &refresh(tokens.refresh_token.as_deref().expect("one")),
        )
        .await;
    assert!(matches!(
        refreshed.err(),
        Some(Reason::GrantEnded | Reason::RefreshUnknown)
    ));
    let told = world.userinfo("Bearer", &tokens.access_token, None).await;
    assert_eq!(told.err(), Some(Reason::DeadAccessToken));
}

#[tokio::test]
async fn f06_of_many_redemptions_at_once_one_succeeds() {
    let world = std::sync::Arc::new(World::new().await);
    let code = world.code("phone").await;
    let tries = (0..20).map(|_| {
        let world = world.clone();
        let form = redeem(&code);
        tokio::spawn(async move { world.ask("phone", &form).await.is_ok() })
    });
    let mut succeeded = 0;
    for one in tries.collect::<Vec<_>>() {
        succeeded += usize::from(one.await.expect("a task"));
    }
    assert_eq!(succeeded, 1);
}

#[tokio::test]
async fn c04_what_is_no_access_token_for_userinfo_is_refused_there() {
    let world = World::new().await;
    let tokens = world.tokens("web").await;
    let id_token = tokens.id_token.as_deref().expect("an ID token");
    let code = world.code("web").await;
    let other = format!("{}&resource={ORDERS}", redeem(&code));
    let other = world.ask("web", &other).await.expect("tokens").access_token;
    for token in [id_token, "a.b.c", &other] {
        let told = world.userinfo("Bearer", token, None).await;
        assert_eq!(told.err(), Some(Reason::DeadAccessToken), "{token}");
    }
    let told = world.userinfo("Basic", "eA==", None).await;
    assert_eq!(told.err(), Some(Reason::NoAccessToken));
    assert_eq!(
        world.introspect("web", id_token).await,
        json!({"active": false})
    );
    *world.surroundings.alice_is_gone.lock().expect("lock") = true;
    let told = world.userinfo("Bearer", &tokens.access_token, None).await;
    assert_eq!(told.err(), Some(Reason::DeadAccessToken));
}

#[tokio::test]
async fn introspection_names_the_person_where_they_allowed_their_profile() {
    let world = World::new().await;
    let tokens = world.tokens("web").await;
    // The client itself, and a resource server of an API that the token is for.
    for asker in ["web", "stockd"] {
        let told = world.introspect(asker, &tokens.access_token).await;
        assert_eq!(told["active"], json!(true), "{asker}");
        assert_eq!(told["username"], json!("alice"), "{asker}");
    }
    let code = world
        .code_with("web", |new| {
            new.grant.scopes.retain(|scope| scope != "profile");
        })
        .await;
    let silent = world.ask("web", &redeem(&code)).await.expect("tokens");
    let told = world.introspect("web", &silent.access_token).await;
    assert_eq!(told["active"], json!(true));
    assert_eq!(told.get("username"), None);
    // Nor does anybody else learn it.
    let told = world.introspect("twin", &tokens.access_token).await;
    assert_eq!(told, json!({ "active": false }));
}

#[tokio::test]
async fn a_person_who_is_gone_gets_nothing_any_more() {
    let world = World::new().await;
    let tokens = world.tokens("web").await;
    let code = world.code("web").await;
    *world.surroundings.alice_is_gone.lock().expect("lock") = true;
    let redeemed = world.ask("web", &redeem(&code)).await;
    assert_eq!(redeemed.err(), Some(Reason::PersonGone));
    let refreshed = world
        .ask(
            "web",
            &refresh(tokens.refresh_token.as_deref().expect("one")),
        )
        .await;
    assert_eq!(refreshed.err(), Some(Reason::PersonGone));
}

#[tokio::test]
async fn refresh_tokens_go_to_those_who_may_keep_them() {
    let world = World::new().await;
    assert!(world.tokens("phone").await.refresh_token.is_some());
    // A browser-only client: not without a key.
    assert!(world.tokens("spa").await.refresh_token.is_none());
    let form = redeem(&world.code("spa").await);
    let bound = world
        .ask_with("spa", &form, &world.mine)
        .await
        .expect("tokens");
    assert!(bound.refresh_token.is_some());
    // A relying party of old: with offline_access.
    assert!(world.tokens("compat").await.refresh_token.is_none());
    let code = world
        .code_with("compat", |new| {
            new.grant.scopes.push("offline_access".to_owned());
        })
        .await;
    let offline = world.ask("compat", &redeem(&code)).await.expect("tokens");
    assert!(offline.refresh_token.is_some());
}
