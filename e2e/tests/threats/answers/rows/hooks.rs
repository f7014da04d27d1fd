//! Webhooks.

use super::*;

pub(super) fn webhooks<'a>(rows: &mut Rows<'a>, known: &'a Known) {
    let kind = CredentialKind::Webhook;
    let (me, write) = ("/webhook/me", "/webhook/write");
    let delivery = |path: &'static str, secret: &str, at: fn() -> Timestamp| {
        let style = Style::StandardWebhooks;
        let secret = secret.to_owned();
        move || {
            let key = SharedKey::read(style, &Secret::from_text(secret.clone())).unwrap();
            let id = random_base62(24, &SystemEntropy);
            let body = b"{}".to_vec();
            let fields = proof::webhook::sign(style, &key, &id, &body, at()).unwrap();
            let fields = fields.iter().map(|(name, value)| {
                (name.as_str().to_owned(), value.to_str().unwrap().to_owned())
            });
            Call {
                method: "POST",
                fields: fields.collect(),
                body,
                ..Call::get(path)
            }
        }
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
}
