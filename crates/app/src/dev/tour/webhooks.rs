//! Somebody else's webhooks: their secret is brought in, and what they deliver is judged before the
//! upstream sees it.

use proof::random::SystemEntropy;
use proof::webhook::SharedKey;

use super::super::setup::write_private;
use super::Expect::{Output, Sets, Status};
use super::{Book, Scene};

/// A sender's secret becomes a signing key, an API names it, and then deliveries come.
pub(super) fn deliveries(book: &mut Book, scene: &Scene<'_>, sample: &str) -> anyhow::Result<()> {
    let Scene {
        gateway,
        dir,
        binary,
        doorward,
        ..
    } = scene;
    let secret = dir.join("tour-webhook.secret");
    let sender = SharedKey::generate(&SystemEntropy).to_text();
    write_private(&secret, sender.expose())?;
    let body = dir.join("tour-webhook.json");
    write_private(&body, br#"{"item":"Lamp","quantity":1}"#)?;
    let api = dir.join("tour-webhooks.yaml");
    write_private(&api, declaration(sample).as_bytes())?;
    let (secret, body, api) = (secret.display(), body.display(), api.display());

    // By how it begins, since each secret under the key has an id too.
    let imported =
        |begins: &str| format!(r#"$(printf %s "$SENDER" | sed 's/.*"\({begins}[^"]*\)".*/\1/')"#);
    book.step(
        "Webhooks: the sender's secret is brought in, and gets a key id",
        format!(
            "SENDER=$({doorward} secret import --application shop --label 'tour: webhooks' --scheme webhook --secret-file {secret} --output json | tr -d '\\n')"
        ),
        Sets("SENDER"),
    );
    book.step(
        "Webhooks: a route that takes this sender's, and nobody else's",
        format!(
            "sed s/KEY_ID/{}/g {api} > {api}.now && {doorward} apply --yes -f {api}.now",
            imported("DWAK")
        ),
        Output("hooks"),
    );
    book.step(
        "Webhooks: the sender may call it",
        format!(
            "{doorward} secret amend {} --api hooks --api hooks-stripe --api hooks-slack --api hooks-github --api hooks-shopify --scope orders:write",
            imported("sgn_")
        ),
        Output("hooks"),
    );
    let sign = |more: &str| {
        format!(
            "{binary} sign webhook --style standard-webhooks {gateway}/hooks/orders -H 'Content-Type: application/json' --body-file {body} --secret-file {secret}{more}"
        )
    };
    let call = "curl -si -K -";
    book.step(
        "Webhooks: a delivery, signed as Standard Webhooks says",
        format!("{} | {call}", sign("")),
        Status(201, "Lamp"),
    );
    book.step(
        "Webhooks: the same delivery once more, as a thief would send it",
        format!(
            "CALL=$({}); echo \"$CALL\" | curl -s -K - > /dev/null; echo \"$CALL\" | {call}",
            sign("")
        ),
        Status(401, "credential-refused"),
    );
    book.step(
        "Webhooks: the sender tries again, since it missed the answer: 200, and no second order",
        format!(
            "{} | curl -s -K - > /dev/null; sleep 1; {} | {call}",
            sign(" --id msg_tour"),
            sign(" --id msg_tour")
        ),
        Status(200, "content-length: 0"),
    );
    book.step(
        "Webhooks: under another id",
        format!(
            "{} --id msg_mine | sed s/msg_mine/msg_yours/ | {call}",
            sign("")
        ),
        Status(401, "credential-refused"),
    );
    book.step(
        "Webhooks: a delivery of long ago",
        format!("{} | {call}", sign(" --at 2020-01-01T00:00:00Z")),
        Status(401, "credential-refused"),
    );
    for (title, again, style) in [
        (
            "Webhooks: as Stripe signs them",
            "Stripe: the same delivery once more",
            "stripe",
        ),
        (
            "Webhooks: as Slack signs them",
            "Slack: the same delivery once more",
            "slack",
        ),
        (
            "Webhooks: as GitHub signs them",
            "GitHub: the same delivery once more: 200, and no second order",
            "github",
        ),
        (
            "Webhooks: as Shopify signs them",
            "Shopify: the same delivery once more: 200, and no second order",
            "shopify",
        ),
    ] {
        let sign = format!(
            "{binary} sign webhook --style {style} {gateway}/hooks-{style}/orders -H 'Content-Type: application/json' --body-file {body} --secret-file {secret} --id $ID"
        );
        let id = "ID=$(date +%s%N)";
        book.step(title, format!("{id}; {sign} | {call}"), Status(201, "Lamp"));
        // Who signs no time is known by the delivery's id.
        let expect = match style {
            "github" | "shopify" => Status(200, "content-length: 0"),
            _ => Status(401, "credential-refused"),
        };
        book.step(
            again,
            format!(
                "{id}; CALL=$({sign}); echo \"$CALL\" | curl -s -K - > /dev/null; echo \"$CALL\" | {call}"
            ),
            expect,
        );
    }
    Ok(())
}

/// An API for each style, all of them of one sender.
fn declaration(sample: &str) -> String {
    [
        ("hooks", "standard-webhooks"),
        ("hooks-stripe", "stripe"),
        ("hooks-slack", "slack"),
        ("hooks-github", "github"),
        ("hooks-shopify", "shopify"),
    ]
    .map(|(name, style)| api(name, style, sample))
    .join("---\n")
}

fn api(name: &str, style: &str, sample: &str) -> String {
    format!(
        "apiVersion: doorward/v1
kind: Api
metadata: {{ name: {name} }}
spec:
  display_name: Orders from elsewhere
  environment: test
  audiences: [https://{name}.example]
  base_path: /{name}
  strip_base_path: true
  upstream: {{ urls: [\"http://{sample}\"] }}
  identity: {{ mode: jwt, audience: https://orders.example }}
  scopes: {{ orders:write: Place orders }}
  credentials: [webhook]
  signatures: {{ webhook: {{ style: {style}, keys: [KEY_ID] }} }}
  routes:
    - {{ methods: [POST], path: /orders, scopes: [orders:write], body_limit: 64KiB }}
"
    )
}
