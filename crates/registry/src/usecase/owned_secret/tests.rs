use proof::issued::{SecretKind, parse};
use serde_json::json;

use super::*;
use crate::usecase::credential;
use crate::usecase::tests::{House, Quick, owner, why};

async fn secret(house: &House) -> Result<Made, Refusal> {
    create_client_secret(
        &house.store,
        &Quick,
        &owner(),
        &house.ctx(),
        "app",
        "",
        None,
    )
    .await
}

async fn password(house: &House, given: Option<&str>) -> Result<Made, Refusal> {
    let given = given.map(|text| Secret::from_text(text.to_owned()));
    create_password(
        &house.store,
        &Quick,
        &owner(),
        &house.ctx(),
        "legacy",
        given,
        None,
    )
    .await
}

#[tokio::test]
async fn two_secrets_of_a_client_are_valid_at_once_and_no_third() {
    let house = House::furnished().await;
    let first = secret(&house).await.expect("is the first");
    let shown = first.secret.expect("is shown");
    let parsed = parse(shown.expose(), &house.context.brand).expect("is in our grammar");
    assert_eq!(parsed.kind, SecretKind::ClientSecret);
    assert_eq!(first.credential.lookup, Lookup::KeyId(parsed.id));
    secret(&house).await.expect("is the second");
    assert_eq!(
        why(secret(&house).await),
        "two are valid already; revoke one, or rotate"
    );
    credential::revoke(
        &house.store,
        &owner(),
        &house.ctx(),
        &first.credential.id,
        None,
    )
    .await
    .expect("lives");
    secret(&house).await.expect("has room again");
}

#[tokio::test]
async fn a_client_with_a_key_of_its_own_gets_no_secret() {
    let house = House::furnished().await;
    let key = proof::jose::key::SigningKey::generate(proof::jose::alg::Algorithm::ES256)
        .expect("is made");
    let jwks = json!({ "keys": [key.public_jwk().to_json()] });
    let spec = json!({ "application": "shop", "auth_method": "private_key_jwt", "jwks": jwks });
    house
        .put(ResourceKind::Client, "app", spec)
        .await
        .expect("is sound");
    assert!(matches!(
        secret(&house).await,
        Err(Refusal::Invalid {
            field: "client",
            ..
        })
    ));
    let missing = create_client_secret(
        &house.store,
        &Quick,
        &owner(),
        &house.ctx(),
        "nobody",
        "",
        None,
    )
    .await;
    assert_eq!(why(missing), "there is no Client `nobody`");
}

#[tokio::test]
async fn a_generated_password_is_shown_once_and_a_given_one_never() {
    let house = House::furnished().await;
    let generated = password(&house, None).await.expect("is made");
    let text = generated.secret.expect("is shown");
    assert_eq!(text.len(), 24);
    assert!(
        proof::password::Verifier::parse(&generated.credential.verifier)
            .expect("reads")
            .verify(text.expose(), None)
    );
    let given = password(&house, Some("correct horse battery"))
        .await
        .expect("is strong");
    assert!(given.secret.is_none());
    assert_eq!(given.credential.display, "");
    assert_eq!(
        why(password(&house, None).await),
        "two are valid already; revoke one, or rotate"
    );
}

#[tokio::test]
async fn weak_passwords_are_refused() {
    let house = House::furnished().await;
    for weak in [
        "",
        "short",
        "11-character",
        "aaaaaaaaaaaaaaaa",
        "my-LEGACY-password",
        "with\ttab in it",
    ] {
        let weak = if weak == "11-character" {
            "11-characte"
        } else {
            weak
        };
        assert!(
            matches!(
                password(&house, Some(weak)).await,
                Err(Refusal::Invalid {
                    field: "password",
                    ..
                })
            ),
            "{weak:?}"
        );
    }
    let long = "0123456789".repeat(110);
    assert!(matches!(
        password(&house, Some(&long)).await,
        Err(Refusal::Invalid {
            field: "password",
            ..
        })
    ));
}

#[tokio::test]
async fn a_rotated_password_is_generated_and_overlaps() {
    let house = House::furnished().await;
    let old = password(&house, Some("correct horse battery"))
        .await
        .expect("is strong")
        .credential;
    let replaced = credential::rotate(
        &house.store,
        &Quick,
        &owner(),
        &house.ctx(),
        &old.id,
        None,
        None,
    )
    .await
    .expect("is active");
    assert!(replaced.new.secret.is_some());
    assert!(replaced.old.is_valid_at(house.now) && replaced.new.credential.is_valid_at(house.now));
}

#[tokio::test]
async fn what_a_secret_may_do_is_not_its_own_to_say() {
    let house = House::furnished().await;
    let id = secret(&house).await.expect("is made").credential.id;
    let grant = Grant {
        scopes: vec!["orders:write".to_owned()],
        ..Grant::default()
    };
    let amendment = credential::Amendment {
        grant: Some(grant),
        ..credential::Amendment::default()
    };
    let refused =
        credential::amend(&house.store, &owner(), &house.ctx(), &id, amendment, None).await;
    assert!(matches!(
        refused,
        Err(Refusal::Invalid { field: "grant", .. })
    ));
}
