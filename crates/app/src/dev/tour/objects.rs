//! Whose order it is: relations, policies, and what a change of rules would mean.

use anyhow::Result;

use super::super::setup::write_private;
use super::Expect::{Output, Sets, Status};
use super::{Book, Scene};

/// A stricter form of the policy that the settings declare: only an owner sees an order.
const STRICTER: &str = r#"apiVersion: doorward/v1
kind: Policy
metadata: { name: orders-view }
spec:
  rego: |
    package orders.view

    default allow := false

    allow if {
        some object in input.objects
        "owner" in object.relations
    }
"#;

/// A courier gets at the orders that were given to it, for as long as they are, and at no others.
pub(super) fn guarded(book: &mut Book, scene: &Scene<'_>, courier: &str) -> Result<()> {
    let Scene {
        gateway,
        issuer,
        dir,
        doorward,
        ..
    } = scene;
    let stricter = dir.join("tour-stricter.yaml");
    write_private(&stricter, STRICTER.as_bytes())?;
    let bearer = "-H \"Authorization: Bearer $COURIER\"";
    let read = |order: &str| format!("curl -si {bearer} {gateway}/mine/orders/{order}");
    let ordered = |body: &str| {
        format!(
            "curl -si {bearer} -H 'Content-Type: application/json' -d '{body}' {gateway}/mine/orders"
        )
    };
    book.step(
        "Whose order? A courier gets a token that may see orders of its own",
        format!(
            "COURIER=$(curl -s -u {courier} -d grant_type=client_credentials {issuer}/oauth/token | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')"
        ),
        Sets("COURIER"),
    );
    book.step(
        "An order that has nothing to do with it: the scope is right, the object is not",
        read("ord_1003"),
        Status(403, "object-not-allowed"),
    );
    book.step(
        "Write down that it may see this one, for an hour",
        format!(
            "{doorward} relation add 'order:ord_1003#viewer@client:shop-courier' --until 1h --purpose delivery"
        ),
        Output("added"),
    );
    book.step(
        "It passes at once; a policy takes the owner's name out for whoever is not the owner",
        read("ord_1003"),
        Status(200, "garden hose"),
    );
    book.step(
        "The name is gone",
        format!("curl -s {bearer} {gateway}/mine/orders/ord_1003"),
        Output(r#"{"id":"ord_1003","item":"garden hose","quantity":1,"status":"open"}"#),
    );
    book.step(
        "Another order is refused as before",
        read("ord_1004"),
        Status(403, "object-not-allowed"),
    );
    book.step(
        "To see is not to change: that needs the owner",
        format!(
            "curl -si -X PUT {bearer} -H 'Content-Type: application/json' -d '{{\"item\":\"garden hose\",\"quantity\":2}}' {gateway}/mine/orders/ord_1003"
        ),
        Status(403, "object-not-allowed"),
    );
    book.step(
        "Nor does another spelling of its id help",
        read("ord_100%34"),
        Status(400, "unclean-target"),
    );
    book.step(
        "A policy reads what is ordered: eleven pieces are too many",
        ordered(r#"{"item":"Lamp","quantity":11}"#),
        Status(403, "too-many"),
    );
    book.step(
        "Ten are not",
        ordered(r#"{"item":"Lamp","quantity":10}"#),
        Status(201, "Lamp"),
    );
    book.step(
        "A field that the caller may not write",
        ordered(r#"{"item":"Lamp","quantity":1,"owner":"bob"}"#),
        Status(403, "not-yours-to-say"),
    );
    book.step(
        "Explain such a call: which relation it took, and what the policy said",
        format!(
            "printf 'GET /mine/orders/ord_1003 HTTP/1.1\\nHost: {}\\nAuthorization: Bearer %s\\n' \"$COURIER\" | {doorward} explain --request -",
            gateway.trim_start_matches("http://")
        ),
        Output("order:ord_1003#viewer"),
    );
    book.step(
        "The decision log tells it of a call that was",
        format!(
            "ANSWER=$({}); sleep 2; echo \"$ANSWER\" | {doorward} explain --request -",
            read("ord_1003")
        ),
        Output("policy orders-view"),
    );
    book.step(
        "Before a rule is changed: whom of the callers so far would it lock out?",
        format!("{doorward} policy diff -f {}", stricter.display()),
        Output("client:shop-courier"),
    );
    book.step(
        "Take the relation back",
        format!("{doorward} relation remove 'order:ord_1003#viewer@client:shop-courier'"),
        Output("removed"),
    );
    book.step(
        "It is refused again at once",
        read("ord_1003"),
        Status(403, "object-not-allowed"),
    );
    Ok(())
}
