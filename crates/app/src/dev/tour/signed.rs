//! Signed requests: the secret stays at home.

use super::super::credentials::Signer;
use super::Expect::Status;
use super::{Book, Scene};

/// A good call, the same once more, another one under the same signature, an old one.
pub(super) fn requests(book: &mut Book, scene: &Scene<'_>, signers: &[Signer]) {
    let Scene {
        gateway, binary, ..
    } = scene;
    for signer in signers {
        let url = format!("{gateway}/orders");
        let sign = |url: &str, more: &str| {
            format!(
                "{} sign {} '{url}' --key-id {} --secret-file {}{}{more}",
                binary,
                signer.command,
                signer.key_id,
                signer.secret_file.display(),
                signer.options,
            )
        };
        let [good, replayed, changed, expired] = signer.titles;
        book.step(
            good,
            format!("{} | curl -si -K -", sign(&url, "")),
            Status(200, "item"),
        );
        book.step(
            replayed,
            format!(
                "CALL=$({}); echo \"$CALL\" | curl -s -K - > /dev/null; echo \"$CALL\" | curl -si -K -",
                sign(&url, "")
            ),
            Status(401, "credential-refused"),
        );
        book.step(
            changed,
            format!(
                "{} | sed 's|/orders|/whoami|' | curl -si -K -",
                sign(&url, "")
            ),
            Status(401, "credential-refused"),
        );
        book.step(
            expired,
            format!(
                "{} --at 2020-01-01T00:00:00Z | curl -si -K -",
                sign(&url, "")
            ),
            Status(401, "credential-refused"),
        );
        if signer.command == "sigv4" {
            book.step(
                "Presigned: a URL that anybody may use for ten minutes",
                format!("{} | curl -si -K -", sign(&url, " --presign 10m")),
                Status(200, "item"),
            );
            book.step(
                "Presigned: for another path",
                format!(
                    "{} | sed 's|/orders|/whoami|' | curl -si -K -",
                    sign(&url, " --presign 10m")
                ),
                Status(401, "credential-refused"),
            );
            book.step(
                "Presigned: its ten minutes are over",
                format!(
                    "{} | curl -si -K -",
                    sign(&url, " --presign 10m --at 2020-01-01T00:00:00Z")
                ),
                Status(401, "credential-refused"),
            );
        }
    }
}
