//! Clients that are suspended, or ask from somewhere else: refused wherever they prove who they are,
//! and nothing of theirs ends.

use issuer::error::{ErrorCode, Reason};
use serde_json::json;

use crate::device::{poll, start};
use crate::world::{STOCK, World, redeem, refresh};

const EXCHANGE: &str = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange\
     &subject_token_type=urn:ietf:params:oauth:token-type:access_token";

fn suspend(world: &World, names: &'static [&'static str]) {
    world.change_clients(|client| client.suspended = names.contains(&client.client_id.as_str()));
}

#[tokio::test]
async fn a_suspended_client_gets_nothing_and_has_everything_again_once_it_is_resumed() {
    let world = World::new().await;
    let tokens = world.tokens("web").await;
    let line = tokens.refresh_token.expect("one");
    let code = world.code("web").await;
    suspend(&world, &["web"]);
    let refused = Some(Reason::SuspendedClient);
    for form in [
        refresh(&line),
        redeem(&code),
        "grant_type=client_credentials".to_owned(),
        format!("{EXCHANGE}&subject_token={}", tokens.access_token),
    ] {
        assert_eq!(world.ask("web", &form).await.err(), refused, "{form}");
    }
    assert_eq!(world.revoke("web", &line).await.err(), refused);
    assert_eq!(start(&world, "web", "").await.err(), refused);
    assert_eq!(Reason::SuspendedClient.code(), ErrorCode::InvalidClient);
    // What it was given is worth nothing to anybody.
    let told = world.introspect("stockd", &tokens.access_token).await;
    assert_eq!(told, json!({"active": false}));
    let told = world.userinfo("Bearer", &tokens.access_token, None).await;
    assert_eq!(told.err(), Some(Reason::DeadAccessToken));
    let form = format!(
        "{EXCHANGE}&subject_token={}&resource={STOCK}",
        tokens.access_token
    );
    let exchanged = world.ask("stockd", &form).await;
    assert_eq!(exchanged.err(), Some(Reason::ExchangeToken));
    // Others go on.
    world.tokens("twin").await;

    suspend(&world, &[]);
    let told = world.introspect("stockd", &tokens.access_token).await;
    assert_eq!(told["active"], json!(true));
    world
        .userinfo("Bearer", &tokens.access_token, None)
        .await
        .expect("is told");
    world.ask("web", &refresh(&line)).await.expect("tokens");
    world.ask("web", &redeem(&code)).await.expect("tokens");
}

#[tokio::test]
async fn a_suspended_device_goes_on_where_it_stood() {
    let world = World::new().await;
    let device = start(&world, "phone", "&scope=openid")
        .await
        .expect("codes");
    suspend(&world, &["phone"]);
    let refused = world.ask("phone", &poll(&device)).await;
    assert_eq!(refused.err(), Some(Reason::SuspendedClient));
    suspend(&world, &[]);
    let pending = world.ask("phone", &poll(&device)).await;
    assert_eq!(pending.err(), Some(Reason::DevicePending));
}

#[tokio::test]
async fn whoever_can_not_prove_to_be_the_client_does_not_learn_that_it_is_suspended() {
    let world = World::new().await;
    suspend(&world, &["web"]);
    let forged = world
        .auth("web")
        .replace("&client_assertion=", "&client_assertion=x");
    let form = format!("grant_type=client_credentials{forged}");
    let answer = world.send(&form, None).await.err();
    assert!(answer.is_some() && answer != Some(Reason::SuspendedClient));
    assert_eq!(
        Reason::SuspendedClient.description(),
        Reason::AssertionSignature.description()
    );
}

#[tokio::test]
async fn a_client_asks_from_its_networks_alone_and_its_tokens_are_not_held_to_them() {
    let world = World::new().await;
    let tokens = world.tokens("web").await;
    let line = tokens.refresh_token.expect("one");
    let networks = |network: &'static str| {
        world.change_clients(|client| {
            if matches!(client.client_id.as_str(), "web" | "phone") {
                client.networks = vec![network.parse().expect("a network")];
            }
        });
    };
    networks("192.0.2.0/24");
    let elsewhere = Some(Reason::ClientNetwork);
    assert_eq!(world.ask("web", &refresh(&line)).await.err(), elsewhere);
    assert_eq!(world.revoke("web", &line).await.err(), elsewhere);
    assert_eq!(start(&world, "phone", "").await.err(), elsewhere);
    assert_eq!(Reason::ClientNetwork.code(), ErrorCode::InvalidClient);
    let told = world.introspect("stockd", &tokens.access_token).await;
    assert_eq!(told["active"], json!(true));
    networks("127.0.0.0/8");
    world.ask("web", &refresh(&line)).await.expect("tokens");
}
