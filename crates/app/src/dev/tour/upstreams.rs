//! What the gateway presents to services behind it, in its own name.

use super::Expect::{Output, Status};
use super::{Book, Scene};

/// A caller's password goes in, the gateway's key comes out, and the caller learns its name alone.
pub(super) fn credential(book: &mut Book, scene: &Scene<'_>) {
    let Scene {
        gateway,
        password,
        dir,
        ..
    } = scene;
    book.step(
        "A service that wants a key gets the gateway's; alice's password stays at the door",
        format!("curl -s -u {password} {gateway}/ledger/whoami"),
        Output(r#""credential_headers":["x-api-key"]"#),
    );
    book.step(
        "Who may not in does not get the gateway's key to go with",
        format!("curl -si -u alice:wrong-password {gateway}/ledger/whoami"),
        Status(401, "credential-refused"),
    );
    book.step(
        "The key is in its file and in no setting: another one there is in use within seconds",
        format!(
            "grep -c \"$(cat {0}/ledger.key)\" {0}/doorward.yaml; true",
            dir.display()
        ),
        Output("0"),
    );
}
