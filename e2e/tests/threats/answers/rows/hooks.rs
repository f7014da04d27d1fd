//! Webhooks.

use super::*;

/// A delivery that nobody has seen.
fn delivery(
    style: Style,
    path: &str,
    secret: &str,
    at: fn() -> Timestamp,
) -> impl Fn() -> Call + use<> {
    let (path, secret) = (path.to_owned(), secret.to_owned());
    move || {
        let id = random_base62(24, &SystemEntropy);
        named_delivery(style, &path, &secret, &id, at())
    }
}

fn named_delivery(style: Style, path: &str, secret: &str, id: &str, at: Timestamp) -> Call {
    let key = SharedKey::read(style, &Secret::from_text(secret.to_owned())).unwrap();
    let body = json!({ "order": id }).to_string().into_bytes();
    let fields = proof::webhook::sign(style, &key, id, &body, at).unwrap();
    let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
    Call {
        method: "POST",
        fields: fields
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), text(value)))
            .collect(),
        body,
        ..Call::get(path)
    }
}

pub(super) fn webhooks<'a>(rows: &mut Rows<'a>, known: &'a Known) {
    let kind = CredentialKind::Webhook;
    let (me, write) = ("/webhook/me", "/webhook/write");
    let delivery = |path: &str, secret: &str, at: fn() -> Timestamp| {
        delivery(Style::StandardWebhooks, path, secret, at)
    };
    let bare = || Call {
        method: "POST",
        body: b"{}".to_vec(),
        ..Call::get(me)
    };
    rows.add(kind, "none", delivery(me, &known.sender, moment));
    rows.add(kind, "missing", bare);
    rows.add(kind, "malformed", move || {
        bare()
            .with("webhook-id", "msg_1")
            .with("webhook-timestamp", now().to_string())
            .with("webhook-signature", "letmein")
    });
    let other = SharedKey::generate(&SystemEntropy).to_text();
    let other = other.expose_text().unwrap();
    rows.add(
        kind,
        "forged, with another secret",
        delivery(me, other, moment),
    );
    for (defect, secret) in &known.senders {
        rows.add(kind, defect, delivery(me, secret, moment));
    }
    let good = delivery(me, &known.sender, moment);
    rows.add(kind, "with another body", move || Call {
        body: b"{ }".to_vec(),
        ..good()
    });
    rows.add(
        kind,
        "signed an hour ago",
        delivery(me, &known.sender, long_ago),
    );
    rows.twice(kind, "replayed", delivery(me, &known.sender, moment));
    rows.add(
        kind,
        "without the scope",
        delivery(write, &known.sender, moment),
    );
    // The sender did not hear the answer and tries again: the same id, signed anew.
    let again = |path: &'static str, secret: &'a str| {
        move || {
            let id = random_base62(24, &SystemEntropy);
            let earlier = moment().minus(Duration::from_secs(30));
            [earlier, moment()]
                .map(|at| named_delivery(Style::StandardWebhooks, path, secret, &id, at))
        }
    };
    rows.after(kind, "none, delivered again", again(me, &known.sender));
    rows.after(
        kind,
        "delivered again, where that is refused",
        again("/webhook-once/me", &known.once),
    );
    rows.add(
        kind,
        "none, once",
        delivery("/webhook-once/me", &known.once, moment),
    );
    for (style, api, secret) in &known.styles {
        of_style(rows, *style, &format!("/{api}/me"), secret);
    }
}

fn of_style(rows: &mut Rows<'_>, style: Style, me: &str, secret: &str) {
    let kind = CredentialKind::Webhook;
    let defect = |what: &str| -> &'static str { format!("{}: {what}", style.name()).leak() };
    let good = |at| delivery(style, me, secret, at);
    rows.add(kind, defect("none"), good(moment));
    let path = me.to_owned();
    rows.add(kind, defect("missing"), move || Call {
        method: "POST",
        body: b"{}".to_vec(),
        ..Call::get(&path)
    });
    let other = SharedKey::generate(&SystemEntropy).to_text();
    let other = other.expose_text().unwrap();
    rows.add(
        kind,
        defect("forged, with another secret"),
        delivery(style, me, other, moment),
    );
    let sent = good(moment);
    rows.add(kind, defect("with another body"), move || Call {
        body: b"{ }".to_vec(),
        ..sent()
    });
    if style.signs_time() {
        rows.add(kind, defect("signed an hour ago"), good(long_ago));
        rows.twice(kind, defect("replayed"), good(moment));
    } else {
        rows.twice(kind, defect("none, delivered again"), good(moment));
    }
}
