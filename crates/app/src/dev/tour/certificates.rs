//! Client certificates as credentials.

use super::Expect::Status;
use super::{Book, Scene};

/// A good one, one that has expired, one that is revoked, one of a stranger.
pub(super) fn mtls(book: &mut Book, scene: &Scene<'_>) {
    let Scene {
        tls,
        ca,
        dir,
        order,
        ..
    } = scene;
    let with = |name: &str| {
        let file = dir.join("tls").join(name);
        format!(
            "curl -si --cacert {ca} --cert {0}.pem --key {0}.key {tls}",
            file.display()
        )
    };
    book.step(
        "mTLS: the client's certificate is the credential",
        format!("{}/orders", with("billing")),
        Status(200, "item"),
    );
    book.step(
        "The API behind learns the certificate's name",
        format!("{}/whoami", with("billing")),
        Status(200, "spiffe://dev.example/billing"),
    );
    book.step(
        "It may read, not write",
        format!("{}/orders {order}", with("billing")),
        Status(403, "insufficient-scope"),
    );
    book.step(
        "A certificate that has expired",
        format!("{}/orders", with("billing-expired")),
        Status(401, "credential-refused"),
    );
    book.step(
        "A certificate on the revocation list",
        format!("{}/orders", with("billing-revoked")),
        Status(401, "credential-refused"),
    );
    book.step(
        "The same name, vouched for by somebody else",
        format!("{}/orders", with("billing-stranger")),
        Status(401, "credential-refused"),
    );
}
