//! Standing before the door: keys and passwords, and what is refused whoever asks.

use super::Expect::Status;
use super::{Book, Scene};

/// Keys and passwords.
pub(super) fn keys(book: &mut Book, scene: &Scene<'_>) {
    let Scene {
        gateway,
        order,
        key,
        reader,
        password,
        doorward,
        ..
    } = scene;
    let secret = r#"sed -n 's/.*"secret": "\([^"]*\)".*/\1/p'"#;
    let mut wrong = key.clone();
    wrong.pop();
    wrong.push(if key.ends_with('0') { '1' } else { '0' });
    book.step(
        "Without a credential the door stays shut",
        format!("curl -si {gateway}/orders"),
        Status(401, "www-authenticate"),
    );
    book.step(
        "A route that is declared public needs none",
        format!("curl -si {gateway}/health"),
        Status(200, ""),
    );
    book.step(
        "API key: read orders",
        format!("curl -si -H 'Authorization: Bearer {key}' {gateway}/orders"),
        Status(200, "item"),
    );
    book.step(
        "API key in its own header",
        format!("curl -si -H 'X-API-Key: {key}' {gateway}/orders"),
        Status(200, "item"),
    );
    book.step(
        "API key: place an order",
        format!("curl -si -H 'Authorization: Bearer {key}' {order} {gateway}/orders"),
        Status(201, "Lamp"),
    );
    book.step(
        "One wrong character: refused by its checksum, nothing is looked up",
        format!("curl -si -H 'Authorization: Bearer {wrong}' {gateway}/orders"),
        Status(401, "credential-refused"),
    );
    book.step(
        "A key that ends by itself, two seconds later",
        format!(
            "SHORT=$({doorward} key create --application shop --label 'tour: short' --api orders --scope orders:read --expires 1s --output json | {secret}); sleep 2; curl -si -H \"Authorization: Bearer $SHORT\" {gateway}/orders"
        ),
        Status(401, "credential-refused"),
    );
    book.step(
        "A key that may only read can't write",
        format!("curl -si -H 'Authorization: Bearer {reader}' {order} {gateway}/orders"),
        Status(403, "insufficient-scope"),
    );
    book.step(
        "Basic: alice sees her own orders",
        format!("curl -si -u {password} {gateway}/orders"),
        Status(200, "alice"),
    );
    book.step(
        "Basic with a wrong password",
        format!("curl -si -u alice:wrong-password {gateway}/orders"),
        Status(401, "credential-refused"),
    );
    book.step(
        "Basic with a password that has ended",
        format!(
            "SHORT=$({doorward} account password set alice --expires 1s --output json | {secret}); sleep 2; curl -si -u \"alice:$SHORT\" {gateway}/orders"
        ),
        Status(401, "credential-refused"),
    );
}

/// Calls that no credential helps.
pub(super) fn refused(book: &mut Book, scene: &Scene<'_>) {
    let Scene {
        gateway,
        key,
        password,
        ..
    } = scene;
    book.step(
        "A path that could be read in two ways is refused, not tidied up",
        format!(
            "curl -si --path-as-is -H 'Authorization: Bearer {key}' {gateway}/orders/../admin/stats"
        ),
        Status(400, "unclean-target"),
    );
    book.step(
        "Two credentials in one call",
        format!("curl -si -H 'X-API-Key: {key}' -u {password} {gateway}/orders"),
        Status(400, "credential-ambiguous"),
    );
    book.step(
        "A key in the URL is exposed",
        format!("curl -si '{gateway}/orders?api_key={key}'"),
        Status(400, "credential-in-url"),
    );
    book.step(
        "A role that nobody here holds",
        format!("curl -si -H 'Authorization: Bearer {key}' {gateway}/admin/stats"),
        Status(403, "role-missing"),
    );
    book.step(
        "A browser's preflight",
        format!(
            "curl -si -X OPTIONS -H 'Origin: https://shop.example' -H 'Access-Control-Request-Method: GET' -H 'Access-Control-Request-Headers: authorization' {gateway}/orders"
        ),
        Status(204, "access-control-allow-origin"),
    );
}
