//! A client signs its calls itself, and asks nobody for a token.

use super::Expect::Status;
use super::{Book, Scene};

/// A good JWT, and each way in which one is refused.
pub(super) fn calls(book: &mut Book, scene: &Scene<'_>) {
    let Scene {
        gateway,
        issuer,
        binary,
        dir,
        ..
    } = scene;
    let key = dir.join("export.key");
    let sign = |audience: &str, more: &str| {
        format!(
            "{binary} sign client-jwt {gateway}/orders --client shop-export --audience {audience} --private-key-file {}{more}",
            key.display()
        )
    };
    let orders = "https://orders.example";
    book.step(
        "Client-signed JWT: a client signs its call with its own key, and asks for no token",
        format!("{} | curl -si -K -", sign(orders, "")),
        Status(200, "item"),
    );
    book.step(
        "The API behind learns which client it is",
        format!(
            "{} | sed 's|/orders|/whoami|' | curl -si -K -",
            sign(orders, " --any-call")
        ),
        Status(200, "shop-export"),
    );
    book.step(
        "The same JWT a second time",
        format!(
            "CALL=$({}); echo \"$CALL\" | curl -s -K - > /dev/null; echo \"$CALL\" | curl -si -K -",
            sign(orders, "")
        ),
        Status(401, "credential-refused"),
    );
    book.step(
        "The JWT of another call",
        format!(
            "{} | sed 's|/orders|/whoami|' | curl -si -K -",
            sign(orders, "")
        ),
        Status(401, "credential-refused"),
    );
    book.step(
        "A JWT for another API",
        format!("{} | curl -si -K -", sign("https://partners.example", "")),
        Status(401, "credential-refused"),
    );
    book.step(
        "A JWT of long ago",
        format!(
            "{} | curl -si -K -",
            sign(orders, " --at 2020-01-01T00:00:00Z")
        ),
        Status(401, "credential-refused"),
    );
    book.step(
        "It is none for the token endpoint, whatever it is addressed to",
        format!(
            "TOKEN=$({} | sed -n 's/.*Bearer \\([^\"]*\\)\".*/\\1/p'); curl -si -d grant_type=client_credentials -d client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer -d client_assertion=$TOKEN {issuer}/oauth/token",
            sign(issuer, "")
        ),
        Status(401, "invalid_client"),
    );
}

/// A client that nobody registered a key for: its authority's word is what counts.
pub(super) fn certified(book: &mut Book, scene: &Scene<'_>) {
    let Scene {
        gateway,
        binary,
        dir,
        ..
    } = scene;
    let tls = dir.join("tls");
    let bare = |key: &str| {
        format!(
            "{binary} sign client-jwt {gateway}/orders --client shop-billing --audience https://orders.example --private-key-file {}",
            tls.join(format!("{key}.key")).display()
        )
    };
    let sign = |name: &str| {
        let chain = tls.join(format!("{name}.pem"));
        format!("{} --certificate-file {}", bare(name), chain.display())
    };
    book.step(
        "Client-signed JWT with a certificate: the key is vouched for, and registered nowhere",
        format!("{} | curl -si -K -", sign("billing")),
        Status(200, "item"),
    );
    book.step(
        "The API behind learns which client it is",
        format!(
            "{} --any-call | sed 's|/orders|/whoami|' | curl -si -K -",
            sign("billing")
        ),
        Status(200, "shop-billing"),
    );
    book.step(
        "The same JWT a second time",
        format!(
            "CALL=$({}); echo \"$CALL\" | curl -s -K - > /dev/null; echo \"$CALL\" | curl -si -K -",
            sign("billing")
        ),
        Status(401, "credential-refused"),
    );
    for (title, name) in [
        ("The same authority, another name", "shipping"),
        (
            "A certificate that has expired, in a JWT",
            "billing-expired",
        ),
        (
            "A certificate on the revocation list, in a JWT",
            "billing-revoked",
        ),
        (
            "The same name, vouched for by somebody else, in a JWT",
            "billing-stranger",
        ),
    ] {
        book.step(
            title,
            format!("{} | curl -si -K -", sign(name)),
            Status(401, "credential-refused"),
        );
    }
    book.step(
        "The key without its certificate",
        format!("{} | curl -si -K -", bare("billing")),
        Status(401, "credential-refused"),
    );
}
