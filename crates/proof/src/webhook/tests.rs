use serde_json::Value;

use super::*;
use crate::{random::tests::Replay as ReplayEntropy, request::tests::Owned, secret::Secret};

const PUBLISHED: &str = include_str!("../../../../vectors/webhook/published.json");
const BODY: &[u8] = br#"{"id":1}"#;

fn text(text: &str) -> Secret {
    Secret::from_text(text.into())
}

fn now() -> Timestamp {
    Timestamp::from_secs(1_492_774_577)
}

/// A delivery of a style, made with OpenSSL where no sender publishes one, and its key.
fn delivered(style: Style) -> (Owned, &'static [u8], Key) {
    let key = |secret: &str| Key::read(style, &text(secret)).unwrap();
    let post = Owned::new("POST", "api.example.com", "/hooks");
    match style {
        Style::StandardWebhooks => {
            let shared = SharedKey::generate(&ReplayEntropy::new(1));
            let fields = sign_standard(&[StandardKey::Shared(&shared)], "msg_1", BODY, now());
            let mut request = post;
            for (name, value) in fields.unwrap() {
                request.headers.insert(name, value);
            }
            (request, BODY, Key::Shared(shared))
        }
        Style::Stripe => (
            post.with(
                "stripe-signature",
                "t=1492774577,v1=ea0498bb4a235a987bb93c56ee1571eed2c66b09d703208f59f13682416610eb,v0=00",
            ),
            br#"{"id":"evt_1"}"#,
            key("whsec_a_secret_of_stripes_kind"),
        ),
        Style::GitHub => (
            post.with("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958").with(
                "x-hub-signature-256",
                "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            ),
            b"Hello, World!",
            key("It's a Secret to Everybody"),
        ),
        Style::Slack => {
            let tag = MacKey::new(b"slack secret").tag(b"v0:1492774577:{\"id\":1}");
            let value = format!("v0={}", crate::digest::hex(&tag));
            (
                post.with("x-slack-request-timestamp", "1492774577")
                    .with("x-slack-signature", &value),
                BODY,
                key("slack secret"),
            )
        }
        Style::Shopify => (
            post.with("x-shopify-webhook-id", "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043").with(
                "x-shopify-hmac-sha256",
                "xocA3LkeJ/RvNrkxep1EUtFHuj7rIoIqZYaLU26LyPQ=",
            ),
            BODY,
            key("shpss_secret"),
        ),
    }
}

fn judged(
    style: Style,
    request: &Owned,
    body: &[u8],
    key: Key,
    now: Timestamp,
) -> Result<Delivery, WebhookDefect> {
    parse(style, &request.headers)?
        .ok_or(WebhookDefect::Malformed("nothing"))?
        .verify(&[key], body, now, &Rules::default())
}

#[test]
fn the_published_deliveries_verify() {
    let file: Value = serde_json::from_str(PUBLISHED).unwrap();
    for case in file["deliveries"].as_array().unwrap() {
        let field = |name: &str| case[name].as_str().unwrap();
        let style = Style::from_name(field("style")).unwrap();
        let mut request = Owned::new("POST", "a", "/");
        for field in case["headers"].as_array().unwrap() {
            request.add(field[0].as_str().unwrap(), field[1].as_str().unwrap());
        }
        let now = Timestamp::from_secs(case["now"].as_i64().unwrap());
        let verdict = |body: &[u8]| {
            let key = Key::read(style, &text(field("key"))).unwrap();
            judged(style, &request, body, key, now).map(|_| ())
        };
        assert_eq!(
            verdict(field("body").as_bytes()),
            Ok(()),
            "{}",
            field("source")
        );
        let longer = format!("{} ", field("body"));
        assert_eq!(verdict(longer.as_bytes()), Err(WebhookDefect::Signature));
    }
}

#[test]
fn we_sign_as_published() {
    let file: Value = serde_json::from_str(PUBLISHED).unwrap();
    let shared = SharedKey::read(
        Style::StandardWebhooks,
        &text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    );
    let shared = shared.unwrap();
    // The private half of the published public key, from the same libraries' tests.
    let private = PrivateKey::read(&text(
        "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==",
    ));
    let private = private.unwrap();
    for (key, case) in [
        (StandardKey::Shared(&shared), &file["deliveries"][0]),
        (StandardKey::Private(&private), &file["deliveries"][1]),
    ] {
        let body = case["body"].as_str().unwrap().as_bytes();
        let now = Timestamp::from_secs(case["now"].as_i64().unwrap());
        let fields = sign_standard(&[key], "msg_p5jXN8AQM9LWM0D4loKWxJek", body, now).unwrap();
        for ((name, value), expected) in fields.iter().zip(case["headers"].as_array().unwrap()) {
            assert_eq!(expected[0], name.as_str());
            assert_eq!(expected[1], value.to_str().unwrap());
        }
    }
    assert_eq!(private.public_text().unwrap(), file["deliveries"][1]["key"]);
}

#[test]
fn each_style_says_what_its_sender_signs() {
    for style in Style::ALL {
        let (request, body, key) = delivered(style);
        let delivery = judged(style, &request, body, key, now());
        let delivery = delivery.unwrap_or_else(|defect| panic!("{}: {defect}", style.name()));
        assert_eq!(delivery.timestamp, style.signs_time().then(now));
        let end = if style.signs_time() { WINDOW } else { REMEMBER };
        assert_eq!(delivery.replay.until, now().plus(end));
        // What is remembered is what can't be changed by whoever repeats it, or the id.
        assert_eq!(delivery.replay == delivery.content, style.signs_time());
        let has_id = !matches!(style, Style::Stripe | Style::Slack);
        assert_eq!(delivery.id.is_some(), has_id);
        assert_eq!(Style::from_name(style.name()), Some(style));
    }
    assert_eq!(Style::from_name("svix"), None);
}

#[test]
fn d03_any_changed_byte_of_a_delivery_refuses() {
    for style in Style::ALL {
        let fields: &[&str] = match style {
            Style::StandardWebhooks => &["webhook-id", "webhook-timestamp", "webhook-signature"],
            Style::Stripe => &["stripe-signature"],
            Style::GitHub => &["x-hub-signature-256"],
            Style::Slack => &["x-slack-request-timestamp", "x-slack-signature"],
            Style::Shopify => &["x-shopify-hmac-sha256"],
        };
        let (request, body, _) = delivered(style);
        for (change, other) in request.neighbours(fields) {
            if other.headers == request.headers {
                continue; // Method and path are not signed by anyone here.
            }
            // The signature with Stripe's test key means nothing to anyone.
            let stripe = other.headers.get("stripe-signature");
            if stripe.is_some_and(|v| {
                v.as_bytes()
                    .starts_with(&request.headers["stripe-signature"].as_bytes()[..80])
            }) {
                continue;
            }
            let (_, _, key) = delivered(style);
            assert!(judged(style, &other, body, key, now()).is_err(), "{change}");
        }
        for at in 0..body.len() {
            let mut other = body.to_vec();
            other[at] ^= 1;
            let (_, _, key) = delivered(style);
            let verdict = judged(style, &request, &other, key, now());
            assert_eq!(verdict.unwrap_err(), WebhookDefect::Signature);
        }
        let wrong = Key::Shared(SharedKey::of_bytes(text("another")));
        let verdict = judged(style, &request, body, wrong, now());
        assert_eq!(verdict.unwrap_err(), WebhookDefect::Signature);
    }
}

#[test]
fn d05_the_window_has_two_sides_where_a_time_is_signed() {
    for style in Style::ALL {
        let at = |secs: i64| {
            let (request, body, key) = delivered(style);
            let now = Timestamp::from_secs(now().as_secs() + secs);
            judged(style, &request, body, key, now).map(|_| ())
        };
        assert_eq!(at(-299), Ok(()));
        assert_eq!(at(299), Ok(()));
        if style.signs_time() {
            assert_eq!(at(-301), Err(WebhookDefect::InFuture));
            assert_eq!(at(301), Err(WebhookDefect::Stale));
        } else {
            assert_eq!(at(1_000_000), Ok(()));
        }
    }
}

#[test]
fn several_keys_and_several_signatures_find_each_other() {
    let (old, new) = (
        SharedKey::generate(&ReplayEntropy::new(1)),
        SharedKey::generate(&ReplayEntropy::new(2)),
    );
    let sign = |keys: &[StandardKey<'_>]| {
        let mut request = Owned::new("POST", "a", "/");
        for (name, value) in sign_standard(keys, "msg_1", BODY, now()).unwrap() {
            request.headers.insert(name, value);
        }
        request
    };
    let both = sign(&[StandardKey::Shared(&old), StandardKey::Shared(&new)]);
    let copy = |key: &SharedKey| {
        Key::Shared(SharedKey::read(Style::StandardWebhooks, &key.to_text()).unwrap())
    };
    let verify = |request: &Owned, keys: &[Key]| {
        let claimed = parse(Style::StandardWebhooks, &request.headers)
            .unwrap()
            .unwrap();
        claimed
            .verify(keys, BODY, now(), &Rules::default())
            .map(|delivery| delivery.key)
    };
    assert_eq!(verify(&both, &[copy(&new)]), Ok(0));
    assert_eq!(verify(&both, &[copy(&old)]), Ok(0));
    let one = sign(&[StandardKey::Shared(&new)]);
    assert_eq!(verify(&one, &[copy(&old), copy(&new)]), Ok(1));
    assert_eq!(verify(&one, &[copy(&old)]), Err(WebhookDefect::Signature));
    assert_eq!(verify(&one, &[]), Err(WebhookDefect::Signature));
    // What is no version known here is for others to read.
    let mut more = one.clone();
    let value = format!(
        "v9,xyz {}",
        one.headers["webhook-signature"].to_str().unwrap()
    );
    more.set("webhook-signature", &value);
    assert_eq!(verify(&more, &[copy(&new)]), Ok(0));
    // A secret's signature is never taken for a key's.
    let mut confused = one.clone();
    let value = one.headers["webhook-signature"]
        .to_str()
        .unwrap()
        .replace("v1,", "v1a,");
    confused.set("webhook-signature", &value);
    assert_eq!(
        verify(&confused, &[copy(&new)]),
        Err(WebhookDefect::Signature)
    );
}

#[test]
fn c11_what_is_not_written_as_it_must_be_is_refused() {
    let many = vec!["v9,x"; MAX_SIGNATURES + 1].join(" ");
    for (style, field, values) in [
        (
            Style::StandardWebhooks,
            "webhook-id",
            vec!["", "a.b", "a b"],
        ),
        (
            Style::StandardWebhooks,
            "webhook-timestamp",
            vec!["", "01", "-1", "1.0", "99999999999"],
        ),
        (
            Style::StandardWebhooks,
            "webhook-signature",
            vec![
                "", "v1", "v1,", "v1,AAAA", "v1,AAAA ", "v2,AAAA", "v1a,_", &many,
            ],
        ),
        (
            Style::Stripe,
            "stripe-signature",
            vec![
                "",
                "t=1",
                "v1=00",
                "t=1,t=1,v1=00",
                "t=1,v1=00",
                "t=,v1=00",
                "t=1,v0=00",
                "x",
            ],
        ),
        (Style::GitHub, "x-github-delivery", vec!["", "a.b"]),
        (
            Style::GitHub,
            "x-hub-signature-256",
            vec!["", "sha1=00", "sha256=00", "00"],
        ),
        (Style::Slack, "x-slack-request-timestamp", vec!["", "x"]),
        (Style::Slack, "x-slack-signature", vec!["", "v1=00", "v0="]),
        (
            Style::Shopify,
            "x-shopify-hmac-sha256",
            vec!["", "AAAA", "_"],
        ),
        (Style::Shopify, "x-shopify-webhook-id", vec![""]),
    ] {
        for value in values {
            let (mut request, ..) = delivered(style);
            request.set(field, value);
            let found = parse(style, &request.headers).map(|_| ());
            assert!(
                matches!(found, Err(WebhookDefect::Malformed(_))),
                "{field}: {value}"
            );
        }
        let (mut twice, ..) = delivered(style);
        let value = twice.headers[field].clone();
        twice.headers.append(field, value);
        let found = parse(style, &twice.headers).map(|_| ());
        assert_eq!(found, Err(WebhookDefect::Header(NotOne)), "{field}");
    }
    for style in Style::ALL {
        assert!(parse(style, &HeaderMap::new()).unwrap().is_none());
    }
    for id in ["", "a.b", "a b", &"a".repeat(129)] {
        assert!(sign_standard(&[], id, BODY, now()).is_err(), "{id}");
    }
}

#[test]
fn keys_that_are_not_of_their_style_are_refused() {
    let standard = |key: &str| Key::read(Style::StandardWebhooks, &text(key)).is_ok();
    for key in [
        "",
        "whsec_",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_AAAA",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
        "whpk_AAAA",
        "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc=",
    ] {
        assert!(!standard(key), "{key}");
    }
    assert!(Key::read(Style::GitHub, &text("")).is_err());
    let private = |key: &str| PrivateKey::read(&text(key)).is_ok();
    assert!(private("whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc="));
    // A public half of another key is no key.
    assert!(!private(
        "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvw=="
    ));
    assert!(!private("whsk_AAAA"));
}

#[test]
fn i01_keys_mask_themselves() {
    let shared = SharedKey::generate(&ReplayEntropy::new(1));
    let printed = format!(
        "{:?} {shared:?}",
        Key::Shared(SharedKey::generate(&ReplayEntropy::new(1)))
    );
    let secret = shared.to_text();
    assert!(
        !printed.contains(&secret.expose_text().unwrap()[6..]),
        "{printed}"
    );
    assert!(printed.contains("***"));
}

#[test]
fn every_defect_has_a_code_of_its_own() {
    let codes: std::collections::BTreeSet<_> = WebhookDefect::ALL
        .iter()
        .map(|defect| defect.code())
        .collect();
    assert_eq!(codes.len(), WebhookDefect::ALL.len());
}

#[test]
fn what_is_signed_in_a_style_verifies_in_it_and_in_no_other() {
    let secret = text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    for style in Style::ALL {
        let key = SharedKey::read(style, &secret).unwrap();
        let mut headers = HeaderMap::new();
        headers.extend(sign(style, &key, "one", BODY, now()).unwrap());
        let keys = [Key::Shared(key)];
        let claimed = parse(style, &headers).unwrap().unwrap();
        let delivery = claimed.verify(&keys, BODY, now(), &Rules::default());
        let delivery = delivery.unwrap();
        assert_eq!(delivery.id.is_some(), style.has_id(), "{style:?}");
        assert_eq!(
            delivery.timestamp.is_some(),
            style.signs_time(),
            "{style:?}"
        );
        let carried = headers.keys().filter(|name| style.carries(name)).count();
        assert_eq!(carried, 1, "{style:?}");
        for other in Style::ALL.into_iter().filter(|other| *other != style) {
            assert!(
                parse(other, &headers).unwrap().is_none(),
                "{style:?} {other:?}"
            );
        }
    }
}
