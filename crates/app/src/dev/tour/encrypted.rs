//! An access token that is encrypted to its API.

use super::Expect::{Output, Sets, Status};
use super::tokens::later;
use super::{Book, Scene};

/// A client gets one that it can't read, uses it and gives it back.
pub(super) fn tokens(book: &mut Book, scene: &Scene<'_>, accounting: &str) {
    let Scene {
        gateway,
        issuer,
        binary,
        dir,
        ..
    } = scene;
    let bearer = "-H \"Authorization: Bearer $SEALED\"";
    let inspect = format!("printf %s $SEALED | {binary} token inspect");
    book.step(
        "Encrypted: an API may want that nobody else reads its tokens",
        format!(
            "SEALED=$(curl -s -u {accounting} -d grant_type=client_credentials {issuer}/oauth/token | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')"
        ),
        Sets("SEALED"),
    );
    book.step(
        "Encrypted: see orders",
        format!("curl -si {bearer} {gateway}/invoices/orders"),
        Status(200, "item"),
    );
    book.step(
        "Who carries it learns nothing from it",
        format!("{inspect} || true"),
        Output("only its recipient can read it"),
    );
    book.step(
        "Who has the API's key reads it",
        format!("{inspect} --key-file {}/invoices.pem", dir.display()),
        Output("invoices:read"),
    );
    book.step(
        "One letter changed: it does not open",
        format!(
            "curl -si -H \"Authorization: Bearer $(printf %s $SEALED | sed 's/....$/AAAA/')\" {gateway}/invoices/orders"
        ),
        Status(401, "credential-refused"),
    );
    book.step(
        "Encrypted: a year from now it will have expired",
        later(scene, "$SEALED", "/invoices/orders"),
        Output("jwt-expired"),
    );
    book.step(
        "A token that everybody can read is refused here",
        format!("curl -si -H \"Authorization: Bearer $TOKEN\" {gateway}/invoices/orders"),
        Status(401, "credential-refused"),
    );
    book.step(
        "The issuer knows what it encrypted",
        format!("curl -si -u {accounting} -d token=$SEALED {issuer}/oauth/introspect"),
        Status(200, "\"active\":true"),
    );
    book.step(
        "Revoke the encrypted token",
        format!("curl -si -u {accounting} -d token=$SEALED {issuer}/oauth/revoke"),
        Status(200, ""),
    );
    book.step(
        "The encrypted token is refused at once, though the gateway knew it",
        format!("curl -si {bearer} {gateway}/invoices/orders"),
        Status(401, "credential-refused"),
    );
}
