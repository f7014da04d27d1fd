use proof::issued::parse;
use proof::seal::KeyEncryptionKey;
use proof::time::Timestamp;

use super::*;
use crate::actor::Role;
use crate::credential::Grant;
use crate::resource::ResourceKind;
use crate::standing;
use crate::usecase::api_key::tests::spec;
use crate::usecase::credential::{self, Amendment};
use crate::usecase::tests::{House, Quick, administrator, owner, why};
use verdict::identity::SigningKey;

const DAY: Duration = Duration::from_secs(86_400);
/// RFC 8037 §A.2.
const PUBLIC: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

fn master() -> KekRing {
    KekRing::new(KeyEncryptionKey::from_bytes("k1", &Secret::new([7_u8; 32])).expect("a key"))
}

fn given(text: &str) -> NewMaterial {
    NewMaterial::Given(Secret::from_text(text.to_owned()))
}

async fn make(
    house: &House,
    scheme: SigningScheme,
    material: NewMaterial,
) -> Result<Made, Refusal> {
    let spec = spec();
    let new = NewSigningKey {
        scheme,
        spec: &spec,
        material,
    };
    create(&house.store, &master(), &owner(), &house.ctx(), new).await
}

async fn turn(
    house: &House,
    id: &str,
    overlap: Option<Duration>,
    material: NewMaterial,
) -> Result<Made, Refusal> {
    let (store, ctx) = (&house.store, house.ctx());
    rotate(store, &master(), &owner(), &ctx, id, overlap, material).await
}

/// What a judge gets of a stored key.
fn judged(house: &House, credential: &Credential) -> SigningKey {
    let all = house.store.resources.lock().expect("is sound");
    let application = all
        .iter()
        .find(|one| one.kind == ResourceKind::Application && one.name == credential.owner);
    standing::signing_key(credential, application, &master()).expect("fits")
}

fn keys_at(key: &SigningKey, now: Timestamp) -> Vec<Vec<u8>> {
    key.secrets_at(now)
        .map(|one| one.key().expose().to_vec())
        .collect()
}

#[tokio::test]
async fn i02_a_made_secret_is_shown_once_and_kept_sealed() {
    let house = House::furnished().await;
    for scheme in SigningScheme::ALL {
        let made = make(&house, scheme, NewMaterial::Made).await.expect("made");
        let secret = made.secret.expect("is shown");
        let clear = secret.expose_text().expect("is text");
        let stored = credential::show(&house.store, &owner(), &made.credential.id)
            .await
            .expect("is there");
        let printed = format!("{stored:?} {:?}", house.store.audit.lock());
        assert!(!printed.contains(clear), "{scheme:?}");
        assert!(stored.verifier.is_empty() && stored.id.starts_with("sgn_"));
        let bytes = format!("{:?}", secret.expose());
        assert!(!printed.contains(bytes.trim_matches(['[', ']'])));

        let Lookup::SigningKeyId(key_id) = stored.lookup else {
            panic!("found by its public name")
        };
        assert_eq!(stored.display, key_id.to_string());
        match scheme {
            SigningScheme::Webhook => assert!(clear.starts_with("whsec_")),
            _ => {
                let read = parse(secret.expose(), &house.context.brand).expect("our grammar");
                assert_eq!(
                    (read.kind, read.id),
                    (SecretKind::HmacSecret, key_id.key_id())
                );
            }
        }
        let key = judged(&house, &stored);
        assert_eq!((key.scheme, key.key_id), (scheme, key_id));
        let shared: Vec<_> = key.secrets_at(house.now).collect();
        assert_eq!(shared.len(), 1);
        assert!(shared[0].text().matches(secret.expose()));
    }
}

#[tokio::test]
async fn rotation_keeps_the_public_name_and_both_secrets_for_the_overlap() {
    let house = House::furnished().await;
    let first = make(&house, SigningScheme::SigV4, NewMaterial::Made)
        .await
        .expect("made");
    let id = &first.credential.id;
    let second = turn(&house, id, None, NewMaterial::Made)
        .await
        .expect("rotated");
    assert_eq!(second.credential.id, *id);
    assert_eq!(second.credential.lookup, first.credential.lookup);
    let secrets = [&second, &first].map(|made| {
        let secret = made.secret.as_ref().expect("is shown");
        secret.expose().to_vec()
    });
    assert_ne!(secrets[0], secrets[1]);

    let key = judged(&house, &second.credential);
    let week = house.now.plus(DAY * 7);
    assert_eq!(keys_at(&key, house.now), secrets);
    let before = Timestamp::from_millis(week.as_millis() - 1);
    assert_eq!(keys_at(&key, before), secrets);
    assert_eq!(keys_at(&key, week), secrets[..1]);

    assert_eq!(
        house.store.events(),
        [
            format!("signing_secret.create signing_secret/{id}"),
            format!("signing_secret.rotate signing_secret/{id}")
        ]
    );
    let audit = house.store.audit.lock().expect("is sound");
    assert_eq!(audit[1].details["overlap_seconds"], "604800");
    assert_eq!(audit[1].details["scheme"], "sigv4");
    assert_eq!(audit[1].details["key_id"], first.credential.display);
}

#[tokio::test]
async fn at_most_two_secrets_are_valid_and_a_leak_ends_all_before_at_once() {
    let mut house = House::furnished().await;
    let first = make(&house, SigningScheme::Hmac, NewMaterial::Made)
        .await
        .expect("made");
    let id = first.credential.id;
    turn(&house, &id, Some(DAY), NewMaterial::Made)
        .await
        .expect("rotated");
    let third = turn(&house, &id, Some(DAY), NewMaterial::Made).await;
    assert!(matches!(third, Err(Refusal::StillOverlapping)), "{third:?}");

    let third = turn(&house, &id, Some(Duration::ZERO), NewMaterial::Made)
        .await
        .expect("a leak can't wait");
    let key = judged(&house, &third.credential);
    let only = third.secret.expect("is shown").expose().to_vec();
    assert_eq!(keys_at(&key, house.now), [only]);

    // When the overlap is over there is room again.
    turn(&house, &id, Some(DAY), NewMaterial::Made)
        .await
        .expect("one was valid");
    house.now = house.now.plus(DAY);
    turn(&house, &id, None, NewMaterial::Made)
        .await
        .expect("one is valid again");
}

#[tokio::test]
async fn only_an_active_key_is_rotated() {
    let house = House::furnished().await;
    let made = make(&house, SigningScheme::Hmac, NewMaterial::Made)
        .await
        .expect("made");
    let id = &made.credential.id;
    credential::suspend(&house.store, &owner(), &house.ctx(), id, None)
        .await
        .expect("sleeps");
    let rotated = turn(&house, id, None, NewMaterial::Made).await;
    assert_eq!(why(rotated), "it is suspended");
    credential::resume(&house.store, &owner(), &house.ctx(), id, None)
        .await
        .expect("wakes");
    let revoked = credential::revoke(&house.store, &owner(), &house.ctx(), id, None)
        .await
        .expect("ends");
    assert_eq!(
        why(turn(&house, id, None, NewMaterial::Made).await),
        "it is revoked"
    );
    let key = judged(&house, &revoked);
    assert!(
        keys_at(&key, house.now).is_empty(),
        "nothing is kept that nobody may use"
    );
    let rotated =
        credential::rotate(&house.store, &Quick, &owner(), &house.ctx(), id, None, None).await;
    assert_eq!(why(rotated), format!("there is no credential `{id}`"));
}

#[tokio::test]
async fn a_providers_secret_is_brought_in_for_webhooks_alone() {
    let house = House::furnished().await;
    let standard = format!("whsec_{}", proof::base64std::encode(&[9; 24]));
    for text in [standard.as_str(), "8f742231b10e8888abcd99yyyzzz85a5"] {
        let made = make(&house, SigningScheme::Webhook, given(text))
            .await
            .expect("is brought in");
        assert!(made.secret.is_none(), "who brought it has it");
        let key = judged(&house, &made.credential);
        let shared: Vec<_> = key.secrets_at(house.now).collect();
        assert!(shared[0].text().matches(text.as_bytes()));
    }
    assert!(house.store.events()[0].starts_with("signing_secret.import "));
    for (scheme, text, message) in [
        (SigningScheme::Hmac, &*standard, "only webhook secrets"),
        (SigningScheme::Webhook, "fifteen-letters", "16 to 512 bytes"),
        (SigningScheme::Webhook, "sixteen letters and", "white space"),
        (SigningScheme::Webhook, "sixteen-letters-\n", "white space"),
    ] {
        let refused = why(make(&house, scheme, given(text)).await);
        assert!(refused.contains(message), "{refused}");
        assert!(!refused.contains(text), "{refused}");
    }
}

#[tokio::test]
async fn a_public_key_is_registered_and_followed_by_another() {
    let house = House::furnished().await;
    let public = |text: &str| NewMaterial::Public(text.to_owned());
    let made = make(&house, SigningScheme::HttpSignature, public(PUBLIC))
        .await
        .expect("is registered");
    assert!(made.secret.is_none());
    let id = &made.credential.id;
    let next = proof::jose::key::SigningKey::generate(proof::jose::alg::Algorithm::ES256)
        .expect("a key")
        .public_jwk();
    let text = json!(next).to_string();
    let rotated = turn(&house, id, Some(DAY), public(&text))
        .await
        .expect("rotated");
    let key = judged(&house, &rotated.credential);
    let thumbprints = |now| -> Vec<String> {
        key.public_keys_at(now)
            .map(|one| one.key.thumbprint().to_owned())
            .collect()
    };
    assert_eq!(thumbprints(house.now).len(), 2);
    assert_eq!(thumbprints(house.now.plus(DAY)), [next.thumbprint()]);
    assert_eq!(key.secrets_at(house.now).count(), 0);

    let mixed = turn(&house, id, Some(Duration::ZERO), NewMaterial::Made).await;
    assert!(why(mixed).contains("public key"), "one is not the other");
    let sigv4 = make(&house, SigningScheme::SigV4, public(PUBLIC)).await;
    assert!(why(sigv4).contains("takes no public key"));
}

#[tokio::test]
async fn a_signing_key_stands_for_its_application_with_its_own_grant() {
    let house = House::furnished().await;
    let nothing = ApiKeySpec {
        apis: Vec::new(),
        scopes: Vec::new(),
        ..spec()
    };
    let new = NewSigningKey {
        scheme: SigningScheme::Hmac,
        spec: &nothing,
        material: NewMaterial::Made,
    };
    let made = create(&house.store, &master(), &owner(), &house.ctx(), new)
        .await
        .expect("made");
    let key = judged(&house, &made.credential);
    let orders = verdict::route::ApiName::new("orders");
    assert!(!key.standing.apis.allows(&orders), "it may do nothing");
    assert_eq!(key.standing.credential.as_str(), made.credential.id);

    let grant = Grant {
        apis: vec!["orders".to_owned()],
        ..Grant::default()
    };
    let amendment = Amendment {
        grant: Some(grant),
        ..Amendment::default()
    };
    let (store, ctx) = (&house.store, house.ctx());
    let amended = credential::amend(store, &owner(), &ctx, &made.credential.id, amendment, None)
        .await
        .expect("is changed");
    assert!(judged(&house, &amended).standing.apis.allows(&orders));

    let unsound = ApiKeySpec {
        apis: vec!["nowhere".to_owned()],
        ..spec()
    };
    let new = NewSigningKey {
        scheme: SigningScheme::Hmac,
        spec: &unsound,
        material: NewMaterial::Made,
    };
    let refused = create(&house.store, &master(), &owner(), &house.ctx(), new).await;
    assert!(matches!(refused, Err(Refusal::Flawed(_))), "{refused:?}");
}

#[tokio::test]
async fn an_auditor_makes_brings_in_and_rotates_nothing() {
    let house = House::furnished().await;
    let made = make(&house, SigningScheme::Hmac, NewMaterial::Made)
        .await
        .expect("made");
    let auditor = administrator(Role::Auditor);
    let spec = spec();
    for (material, action) in [
        (NewMaterial::Made, Action::SigningSecretCreate),
        (given("sixteen-letters-"), Action::SigningSecretImport),
    ] {
        let new = NewSigningKey {
            scheme: SigningScheme::Webhook,
            spec: &spec,
            material,
        };
        let refused = create(&house.store, &master(), &auditor, &house.ctx(), new).await;
        assert!(matches!(refused, Err(Refusal::NotAllowed(found)) if found == action));
    }
    let (store, ctx) = (&house.store, house.ctx());
    let id = &made.credential.id;
    let refused = rotate(
        store,
        &master(),
        &auditor,
        &ctx,
        id,
        None,
        NewMaterial::Made,
    )
    .await;
    assert!(
        matches!(refused, Err(Refusal::NotAllowed(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn i02_a_secret_opens_under_its_own_master_key_and_for_its_own_row() {
    let house = House::furnished().await;
    let made = make(&house, SigningScheme::Hmac, NewMaterial::Made)
        .await
        .expect("made");
    let other = make(&house, SigningScheme::Hmac, NewMaterial::Made)
        .await
        .expect("made");
    let application = house
        .store
        .resource(ResourceKind::Application, "shop")
        .await
        .expect("answers");
    let another = KeyEncryptionKey::from_bytes("k1", &Secret::new([8_u8; 32])).expect("a key");
    let refused = standing::signing_key(
        &made.credential,
        application.as_ref(),
        &KekRing::new(another),
    );
    assert!(matches!(
        refused,
        Err(standing::Unfit::Sealed(_, "seal-tampered"))
    ));

    // Whoever may write to the database moves a secret of their own into another key's row.
    let mut moved = made.credential.clone();
    let own = other.credential.signing.expect("signs").material.remove(0);
    let row = &mut moved.signing.as_mut().expect("signs").material[0];
    row.form = own.form;
    let refused = standing::signing_key(&moved, application.as_ref(), &master());
    assert!(matches!(
        refused,
        Err(standing::Unfit::Sealed(_, "seal-tampered"))
    ));
}
