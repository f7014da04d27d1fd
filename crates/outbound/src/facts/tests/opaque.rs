//! Records of opaque tokens: how long they are believed, and what ends that.

use super::*;

const ISSUER: &str = "https://issuer.example";

fn profile(config: u64) -> IssuerProfile {
    IssuerProfile {
        config: ConfigId(config),
        issuer: IssuerId::new(ISSUER),
        own: true,
        algorithms: Vec::new(),
        types: Vec::new(),
        access_token_guards: Vec::new(),
        required_claims: Vec::new(),
        max_lifetime: None,
        leeway: Duration::from_secs(60),
        scope_claims: vec!["scope".into()],
        role_claims: vec!["roles".into()],
        tenant_claim: None,
        forward_claims: Vec::new(),
        introspection: None,
    }
}

fn claims(name: &str, lives: i64) -> String {
    let now = now().as_secs();
    serde_json::json!({
        "iss": ISSUER, "aud": "https://orders.example", "sub": "alice", "client_id": "shop",
        "env": "live", "iat": now, "exp": now + lives, "jti": name, "scope": "orders:read",
    })
    .to_string()
}

impl World {
    fn keep(&self, name: &str, lives: i64) -> TokenHash {
        let hash = TokenHash::of(name.as_bytes());
        self.stored.tokens.lock().insert(hash, claims(name, lives));
        hash
    }

    fn lose(&self, hash: &TokenHash) {
        self.stored.tokens.lock().remove(hash);
    }

    async fn token(&self, hash: &TokenHash, now: Timestamp) -> Answer<bool> {
        let found = self.facts.opaque_token(hash, &profile(1), now).await?;
        Ok(found.is_some())
    }
}

#[tokio::test]
async fn a_record_is_read_once_in_ten_seconds() {
    let world = World::new();
    let hash = world.keep("t", 600);
    for second in [0, 1, 9] {
        assert_eq!(world.token(&hash, later(second)).await, Ok(true));
    }
    assert_eq!(world.asked(), 1);
    world.lose(&hash);
    assert_eq!(world.token(&hash, later(9)).await, Ok(true));
    assert_eq!(world.token(&hash, later(10)).await, Ok(false));
    assert_eq!(world.asked(), 2);
}

#[tokio::test]
async fn what_a_record_says_is_the_token() {
    let world = World::new();
    let hash = world.keep("t", 600);
    let token = world.facts.opaque_token(&hash, &profile(1), now()).await;
    let token = token.unwrap().unwrap();
    assert_eq!(token.token_id.as_deref(), Some("t"));
    assert_eq!(token.expires_at, later(600));
    assert_eq!(token.config, ConfigId(1));
    assert!(token.standing.scopes.contains("orders:read"));
}

#[tokio::test]
async fn c06_a_record_read_under_other_settings_is_read_anew() {
    let world = World::new();
    let hash = world.keep("t", 600);
    for config in [1, 2] {
        let profile = profile(config);
        let token = world.facts.opaque_token(&hash, &profile, now()).await;
        assert_eq!(token.unwrap().unwrap().config, ConfigId(config));
    }
    assert_eq!(world.asked(), 2);
}

#[tokio::test]
async fn a_token_that_is_not_there_is_asked_for_once_a_second() {
    let world = World::new();
    let hash = TokenHash::of(b"t");
    for _ in 0..50 {
        assert_eq!(world.token(&hash, now()).await, Ok(false));
    }
    assert_eq!(world.asked(), 1);
    world.keep("t", 600);
    assert_eq!(world.token(&hash, later(1)).await, Ok(true));
}

#[tokio::test]
async fn callers_with_one_new_token_at_once_ask_once() {
    let world = Arc::new(World::new());
    let hash = world.keep("t", 600);
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.token(&hash, now()).await })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), Ok(true));
    }
    assert_eq!(world.asked(), 1);
}

#[tokio::test]
async fn what_is_held_is_known_without_asking_as_long_as_changes_are_heard() {
    let world = World::with(|options| options.outage_grace = Duration::from_secs(600));
    let hash = world.keep("t", 10_000);
    let known = |second| {
        let found = world.facts.known_opaque(&hash, &profile(1), later(second));
        found.is_some()
    };
    assert!(!known(0), "never seen here");
    assert_eq!(world.token(&hash, now()).await, Ok(true));
    assert!(known(0) && known(599), "due or not");
    assert!(!known(601), "a revocation may have been missed");
    assert_eq!(world.asked(), 1);
}

#[tokio::test]
async fn a_revocation_is_in_force_whatever_is_held() {
    let issuer = || IssuerId::new(ISSUER);
    let grant = serde_json::json!({
        "iss": ISSUER, "aud": "a", "sub": "alice", "client_id": "shop", "env": "live",
        "iat": now().as_secs(), "exp": now().as_secs() + 600, "jti": "t", "grant_id": "g",
    });
    for entry in [
        Revoked::Token {
            issuer: issuer(),
            token_id: "t".into(),
            until: later(660),
        },
        Revoked::Grant {
            issuer: issuer(),
            grant_id: "g".into(),
            until: later(660),
        },
        Revoked::ClientEpoch {
            issuer: issuer(),
            client: "shop".into(),
            before: later(1),
            until: later(660),
        },
    ] {
        let world = World::new();
        let hash = TokenHash::of(b"t");
        world.stored.tokens.lock().insert(hash, grant.to_string());
        let held = world.facts.opaque_token(&hash, &profile(1), now()).await;
        let held = held.unwrap().unwrap();
        assert_eq!(world.facts.revoked(&held), Ok(false), "{entry:?}");
        world.facts.revocations().extend([entry.clone()], now());
        assert_eq!(world.facts.revoked(&held), Ok(true), "{entry:?}");
    }
}

#[tokio::test]
async fn after_a_gap_in_the_changes_every_record_is_asked_for_again() {
    let world = World::new();
    let hash = world.keep("t", 600);
    assert_eq!(world.token(&hash, now()).await, Ok(true));
    world.lose(&hash);
    world.facts.invalidate_all();
    assert_eq!(world.token(&hash, now()).await, Ok(false));
}

#[tokio::test]
async fn a_damaged_record_is_not_taken_for_an_absent_one() {
    let world = World::new();
    let hash = TokenHash::of(b"t");
    for damaged in [
        String::new(),
        "[1]".to_owned(),
        format!(r#"{{"iss":"{ISSUER}"}}"#),
        claims("t", 600).replace(r#""live""#, r#""dead""#),
    ] {
        world.stored.tokens.lock().insert(hash, damaged.clone());
        let answer = world.token(&hash, now()).await;
        assert_eq!(answer, Err(Unavailable::Store), "{damaged}");
    }
    // An issuer by another name is no damage: the installation moved.
    let elsewhere = claims("t", 600).replace(ISSUER, "https://old.example");
    world.stored.tokens.lock().insert(hash, elsewhere);
    assert_eq!(world.token(&hash, now()).await, Ok(false));
}

#[tokio::test]
async fn without_the_store_held_tokens_pass_and_new_ones_can_not_be_judged() {
    let world = World::new();
    let (held, new) = (world.keep("t", 10_000), world.keep("u", 10_000));
    assert_eq!(world.token(&held, now()).await, Ok(true));
    world.stored.gone.store(true, Ordering::SeqCst);
    assert_eq!(world.token(&held, later(599)).await, Ok(true));
    assert_eq!(world.token(&new, later(599)).await, Err(Unavailable::Store));
    // The outage rule: a revocation may have been missed.
    assert_eq!(
        world.token(&held, later(601)).await,
        Err(Unavailable::Store)
    );
}

#[tokio::test]
async fn the_cache_of_opaque_tokens_is_bounded_and_drops_what_expired() {
    let world = World::with(|options| options.max_tokens = 100);
    for n in 0..500 {
        let hash = world.keep(&format!("t{n}"), 60 + n % 2);
        assert_eq!(world.token(&hash, now()).await, Ok(true));
    }
    let (held, ..) = world.facts.held();
    assert!((1..=110).contains(&held), "{held} tokens");
    world.facts.drop_expired(later(60));
    let (left, ..) = world.facts.held();
    assert!(left < held && left > 0, "{left} of {held} tokens");
    world.facts.drop_expired(later(61));
    assert_eq!(world.facts.held().0, 0);
}
