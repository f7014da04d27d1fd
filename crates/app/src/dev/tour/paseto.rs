//! Access tokens in the form of PASETO: signed, and encrypted for Doorward alone.

use super::Expect::{Output, Sets, Status};
use super::tokens::later;
use super::{Book, Scene};

/// A client gets one, uses it and gives it back.
pub(super) fn tokens(book: &mut Book, scene: &Scene<'_>, reports: &str) {
    let Scene {
        gateway,
        issuer,
        binary,
        ..
    } = scene;
    let bearer = "-H \"Authorization: Bearer $PASETO\"";
    book.step(
        "PASETO: an API may choose this form for its tokens",
        format!(
            "PASETO=$(curl -s -u {reports} -d grant_type=client_credentials {issuer}/oauth/token | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')"
        ),
        Sets("PASETO"),
    );
    book.step(
        "PASETO: see orders",
        format!("curl -si {bearer} {gateway}/reports/orders"),
        Status(200, "item"),
    );
    book.step(
        "Anybody can check it with the published keys",
        format!(
            "printf %s $PASETO | {binary} token verify --jwks {issuer}/jwks.json --issuer {issuer} --audience https://reports.example"
        ),
        Output("is valid"),
    );
    book.step(
        "One letter changed: its signature does not hold",
        format!(
            "curl -si -H \"Authorization: Bearer $(printf %s $PASETO | sed 's/^\\(v4.public.\\)./\\1A/')\" {gateway}/reports/orders"
        ),
        Status(401, "credential-refused"),
    );
    book.step(
        "PASETO: a year from now it will have expired",
        later(scene, "$PASETO", "/reports/orders"),
        Output("jwt-expired"),
    );
    book.step(
        "Where a JWT is asked for, it is none",
        format!("curl -si {bearer} {gateway}/orders"),
        Status(401, "credential-refused"),
    );
    book.step(
        "Ask the issuer about it",
        format!("curl -si -u {reports} -d token=$PASETO {issuer}/oauth/introspect"),
        Status(200, "\"active\":true"),
    );
    book.step(
        "Revoke it",
        format!("curl -si -u {reports} -d token=$PASETO {issuer}/oauth/revoke"),
        Status(200, ""),
    );
    book.step(
        "It is refused at once, though the gateway knew it",
        format!("curl -si {bearer} {gateway}/reports/orders"),
        Status(401, "credential-refused"),
    );
}

/// The same with one that is encrypted, and so tells its holder nothing.
pub(super) fn kept(book: &mut Book, scene: &Scene<'_>, archive: &str) {
    let Scene {
        gateway,
        issuer,
        binary,
        ..
    } = scene;
    let bearer = "-H \"Authorization: Bearer $SEALED\"";
    book.step(
        "PASETO, encrypted: only Doorward reads it",
        format!(
            "SEALED=$(curl -s -u {archive} -d grant_type=client_credentials {issuer}/oauth/token | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')"
        ),
        Sets("SEALED"),
    );
    book.step(
        "Encrypted: what can be seen of it is the name of its key",
        format!("printf %s $SEALED | {binary} token inspect 2>&1 || true"),
        Output("v4.local"),
    );
    book.step(
        "Encrypted: see orders",
        format!("curl -si {bearer} {gateway}/archive/orders"),
        Status(200, "item"),
    );
    book.step(
        "One letter more: its key does not open it",
        format!(
            "curl -si -H \"Authorization: Bearer $(printf %s $SEALED | sed 's/^v4.local./&_/')\" {gateway}/archive/orders"
        ),
        Status(401, "credential-refused"),
    );
    book.step(
        "Encrypted: a year from now it will have expired",
        later(scene, "$SEALED", "/archive/orders"),
        Output("jwt-expired"),
    );
    book.step(
        "Encrypted: ask the issuer about it",
        format!("curl -si -u {archive} -d token=$SEALED {issuer}/oauth/introspect"),
        Status(200, "\"active\":true"),
    );
    book.step(
        "Revoke it",
        format!("curl -si -u {archive} -d token=$SEALED {issuer}/oauth/revoke"),
        Status(200, ""),
    );
    book.step(
        "It is refused at once, though the gateway knew it",
        format!("curl -si {bearer} {gateway}/archive/orders"),
        Status(401, "credential-refused"),
    );
}
