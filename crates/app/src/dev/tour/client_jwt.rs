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
