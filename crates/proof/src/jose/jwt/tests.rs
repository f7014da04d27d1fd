use proptest::prelude::*;
use serde_json::json;

use super::*;

const ISSUER: &str = "https://issuer.example";
const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

fn expect() -> Expect<'static, &'static str> {
    Expect {
        issuer: ISSUER,
        audiences: &["https://api.example", "orders"],
        typ: &["at+jwt"],
        typ_may_be_absent: false,
        require: &[],
        max_lifetime: None,
        leeway: Leeway::default(),
    }
}

fn claims(changes: &Value) -> Result<Claims, JwtDefect> {
    let now = NOW.as_secs();
    let mut members = json!({
        "iss": ISSUER, "sub": "user", "aud": "orders", "exp": now + 600, "nbf": now, "iat": now,
        "jti": "1", "client_id": "app", "scope": "read write", "tenant": {"id": 7}
    });
    for (name, value) in changes.as_object().unwrap() {
        members[name] = value.clone();
    }
    // A change to the word "absent" removes the member.
    members
        .as_object_mut()
        .unwrap()
        .retain(|_, value| value != "absent");
    Claims::from_json(members.to_string().as_bytes())
}

fn judge(changes: &Value) -> Result<(), JwtDefect> {
    check(&claims(changes)?, Some("at+jwt"), &expect(), NOW)
}

#[test]
fn a_proper_token_passes() {
    assert_eq!(judge(&json!({})), Ok(()));
    assert_eq!(
        judge(&json!({"aud": ["other", "https://api.example"]})),
        Ok(())
    );
    assert_eq!(judge(&json!({"nbf": "absent", "iat": "absent"})), Ok(()));
}

#[test]
fn claims_are_typed_and_the_rest_is_kept() {
    let claims = claims(&json!({})).unwrap();
    assert_eq!(claims.sub.as_deref(), Some("user"));
    assert_eq!(claims.aud, ["orders"]);
    assert_eq!(claims.exp, Some(NOW.plus(Duration::from_secs(600))));
    assert_eq!(claims.client_id.as_deref(), Some("app"));
    assert_eq!(claims.scope.as_deref(), Some("read write"));
    assert_eq!(Value::from(claims.extra), json!({"tenant": {"id": 7}}));
}

#[test]
fn c03_a_registered_claim_of_the_wrong_type_refuses() {
    let dates = ["exp", "nbf", "iat"];
    let wrong_dates = [
        json!("1700000600"),
        json!(1_700_000_600.5),
        json!(1_700_000_600.0),
        json!(1.7e9),
        json!(-1),
        json!(10_000_000_000_i64),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(true),
        json!(null),
        json!([1_700_000_600]),
        json!({}),
    ];
    for name in dates {
        for value in &wrong_dates {
            assert_eq!(
                judge(&json!({name: value})),
                Err(JwtDefect::ClaimType(name)),
                "{name} {value}"
            );
        }
    }
    for name in ["iss", "sub", "jti", "client_id", "scope"] {
        for value in [
            json!([ISSUER]),
            json!(1),
            json!(null),
            json!({}),
            json!(false),
        ] {
            assert_eq!(
                judge(&json!({name: value})),
                Err(JwtDefect::ClaimType(name)),
                "{name} {value}"
            );
        }
    }
    for value in [
        json!([]),
        json!(["orders", 1]),
        json!({}),
        json!(1),
        json!(null),
        json!(vec!["a"; 65]),
    ] {
        assert_eq!(
            judge(&json!({"aud": value})),
            Err(JwtDefect::ClaimType("aud")),
            "{value}"
        );
    }
    let big = br#"{"exp":99999999999999999999999999}"#;
    assert_eq!(Claims::from_json(big), Err(JwtDefect::ClaimType("exp")));
}

#[test]
fn c03_a_claim_named_twice_refuses_at_every_depth() {
    for text in [
        r#"{"sub":"a","sub":"b"}"#,
        r#"{"act":{"sub":"a","sub":"b"}}"#,
        r#"{"sub":"a","\u0073ub":"b"}"#,
    ] {
        assert_eq!(
            Claims::from_json(text.as_bytes()),
            Err(JwtDefect::Json(JsonDefect::DuplicateMember)),
            "{text}"
        );
    }
    assert_eq!(
        Claims::from_json(b"[]"),
        Err(JwtDefect::Json(JsonDefect::NotAnObject))
    );
}

#[test]
fn c04_issuer_and_audience_are_compared_exactly_and_always() {
    for iss in [
        "https://issuer.example/",
        "https://ISSUER.example",
        "issuer.example",
        "",
    ] {
        assert_eq!(
            judge(&json!({"iss": iss})),
            Err(JwtDefect::WrongIssuer),
            "{iss}"
        );
    }
    for aud in [
        json!("order"),
        json!("Orders"),
        json!(["a", "b"]),
        json!(""),
    ] {
        assert_eq!(
            judge(&json!({"aud": aud})),
            Err(JwtDefect::WrongAudience),
            "{aud}"
        );
    }
    for name in ["iss", "aud", "exp"] {
        assert_eq!(
            judge(&json!({name: "absent"})),
            Err(JwtDefect::Missing(name.into()))
        );
    }
}

#[test]
fn c04_a_verifier_that_lists_no_audience_or_type_accepts_nothing() {
    let claims = claims(&json!({})).unwrap();
    let no_audience = Expect {
        audiences: &[],
        ..expect()
    };
    assert_eq!(
        check(&claims, Some("at+jwt"), &no_audience, NOW),
        Err(JwtDefect::WrongAudience)
    );
    let no_type = Expect {
        typ: &[],
        ..expect()
    };
    assert_eq!(
        check(&claims, Some("at+jwt"), &no_type, NOW),
        Err(JwtDefect::WrongType)
    );
}

#[test]
fn c04_a_token_of_another_type_never_passes() {
    let claims = claims(&json!({})).unwrap();
    let judge = |typ| check(&claims, typ, &expect(), NOW);
    for typ in [
        "at+jwt",
        "AT+JWT",
        "application/at+jwt",
        "Application/At+Jwt",
    ] {
        assert_eq!(judge(Some(typ)), Ok(()), "{typ}");
    }
    for typ in [
        "JWT",
        "dpop+jwt",
        "logout+jwt",
        "",
        "at+jwt ",
        "text/at+jwt",
        "application/application/at+jwt",
        "é",
    ] {
        assert_eq!(judge(Some(typ)), Err(JwtDefect::WrongType), "{typ}");
    }
    assert_eq!(judge(None), Err(JwtDefect::WrongType));
}

#[test]
fn a_client_assertion_may_come_without_a_type_but_not_with_a_wrong_one() {
    let claims = claims(&json!({})).unwrap();
    let expect = Expect {
        typ: &["JWT"],
        typ_may_be_absent: true,
        ..expect()
    };
    assert_eq!(check(&claims, None, &expect, NOW), Ok(()));
    assert_eq!(check(&claims, Some("jwt"), &expect, NOW), Ok(()));
    assert_eq!(
        check(&claims, Some("at+jwt"), &expect, NOW),
        Err(JwtDefect::WrongType)
    );
}

#[test]
fn c14_59_seconds_past_the_limit_pass_and_61_refuse() {
    let now = NOW.as_secs();
    for (name, at_59, at_61, defect) in [
        ("exp", now - 59, now - 61, JwtDefect::Expired),
        ("nbf", now + 59, now + 61, JwtDefect::NotYetValid),
        ("iat", now + 59, now + 61, JwtDefect::IssuedInFuture),
    ] {
        assert_eq!(judge(&json!({name: at_59})), Ok(()), "{name}");
        assert_eq!(judge(&json!({name: at_61})), Err(defect), "{name}");
    }
}

#[test]
fn c14_the_comparison_of_a_cache_hit_draws_the_same_line() {
    let leeway = Leeway::default();
    let at = |secs: i64| {
        within(
            NOW,
            Some(NOW),
            Timestamp::from_secs(NOW.as_secs() + secs),
            leeway,
        )
    };
    assert_eq!(at(59), Ok(()));
    assert_eq!(at(60), Err(JwtDefect::Expired));
    assert_eq!(at(-60), Ok(()));
    assert_eq!(at(-61), Err(JwtDefect::NotYetValid));
    let strict = Leeway(Duration::ZERO);
    assert_eq!(within(NOW, None, NOW, strict), Err(JwtDefect::Expired));
    assert_eq!(
        within(NOW, None, NOW.minus(Duration::from_millis(1)), strict),
        Ok(())
    );
}

#[test]
fn a_lifetime_is_bounded_from_its_issue_or_else_from_now() {
    let now = NOW.as_secs();
    let expect = Expect {
        max_lifetime: Some(Duration::from_secs(300)),
        ..expect()
    };
    let judge = |changes: &Value| check(&claims(changes).unwrap(), Some("at+jwt"), &expect, NOW);
    assert_eq!(judge(&json!({"exp": now + 300})), Ok(()));
    for too_long in [
        json!({"exp": now + 301}),
        json!({"exp": now + 100, "iat": now - 201}),
        json!({"exp": now + 301, "iat": "absent"}),
        json!({"exp": now + 361, "iat": now + 60}),
        json!({"exp": 9_999_999_999_i64, "iat": 0}),
    ] {
        assert_eq!(
            judge(&too_long),
            Err(JwtDefect::LifetimeTooLong),
            "{too_long}"
        );
    }
}

#[test]
fn required_claims_must_be_there_and_not_null() {
    let expect = Expect {
        require: &["sub", "jti", "scope", "tenant"],
        ..expect()
    };
    let judge = |changes: &Value| check(&claims(changes).unwrap(), Some("at+jwt"), &expect, NOW);
    assert_eq!(judge(&json!({})), Ok(()));
    for name in ["sub", "jti", "scope", "tenant"] {
        assert_eq!(
            judge(&json!({name: "absent"})),
            Err(JwtDefect::Missing(name.into()))
        );
    }
    assert_eq!(
        judge(&json!({"tenant": null})),
        Err(JwtDefect::Missing("tenant".into()))
    );
}

#[test]
fn the_claimed_issuer_is_found_without_judging_the_rest() {
    assert_eq!(
        claimed_issuer(br#"{"exp":"?","iss":"a"}"#).as_deref(),
        Some("a")
    );
    for text in ["", "{}", r#"{"iss":1}"#, "[]", r#"{"iss":"a","iss":"b"}"#] {
        assert_eq!(claimed_issuer(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn a_typed_claim_wins_over_an_extra_of_its_name() {
    let mut claims = Claims {
        sub: Some("typed".into()),
        ..Claims::default()
    };
    claims.extra.insert("sub".into(), json!("smuggled"));
    claims.extra.insert("exp".into(), json!(9));
    assert_eq!(claims.to_json(), r#"{"sub":"typed"}"#);
}

proptest! {
    #[test]
    fn claims_survive_the_round_trip(
        iss in proptest::option::of(".*"),
        aud in proptest::collection::vec("\\PC{1,9}", 0..4),
        exp in proptest::option::of(0..=MAX_NUMERIC_DATE),
        extra in "[a-z]{4,8}",
    ) {
        let mut claims = Claims { iss, aud, exp: exp.map(Timestamp::from_secs), ..Claims::default() };
        if !claims.has(&extra) {
            claims.extra.insert(format!("x_{extra}"), json!([1, {"a": null}]));
        }
        prop_assert_eq!(Claims::from_json(claims.to_json().as_bytes()), Ok(claims));
    }

    #[test]
    fn times_never_wrap(exp: i64, nbf: i64, now: i64) {
        let [exp, nbf, now] = [exp, nbf, now].map(Timestamp::from_millis);
        let inside = within(exp, Some(nbf), now, Leeway::default()).is_ok();
        let wide = |time: Timestamp| i128::from(time.as_millis());
        let model = wide(now) < (wide(exp) + 60_000).min(i64::MAX.into()) && wide(now) + 60_000 >= wide(nbf);
        prop_assert_eq!(inside, model);
    }
}
