//! The operator's hand: what exists, what stops at once, and that the record is whole.

use super::Expect::{Output, Status};
use super::{Book, Scene};

/// A password is replaced, and the old one's calls are told from the new one's.
pub(super) fn turned_over(book: &mut Book, scene: &Scene<'_>, password_id: &str) {
    let Scene {
        gateway,
        doorward,
        password,
        ..
    } = scene;
    let next = r#"sed -n 's/.*"secret": "\([^"]*\)".*/\1/p'"#;
    book.step(
        "Replace alice's password: the next one holds at once",
        format!(
            "NEXT=$({doorward} account password rotate alice {password_id} --output json | {next}); \
             curl -si -u \"alice:$NEXT\" {gateway}/orders"
        ),
        Status(200, "alice"),
    );
    book.step(
        "So does the one before, and usage tells who still needs it",
        format!(
            "curl -s -u {password} {gateway}/orders > /dev/null; sleep 1; \
             {doorward} account password usage alice"
        ),
        Output("still in use"),
    );
    book.step(
        "Usage of everything, the latest first",
        format!("{doorward} usage --since 1d"),
        Output("pwd_"),
    );
}

/// A key is put to sleep and woken.
pub(super) fn keys_and_record(book: &mut Book, scene: &Scene<'_>, reader_id: &str) {
    let Scene {
        gateway,
        ops,
        doorward,
        reader,
        ..
    } = scene;
    book.step(
        "List the keys",
        format!("{doorward} key list"),
        Output("shop"),
    );
    book.step(
        "Suspend one",
        format!("{doorward} key suspend {reader_id}"),
        Output("suspended"),
    );
    book.step(
        "It is refused at once",
        format!("curl -si -H 'Authorization: Bearer {reader}' {gateway}/orders"),
        Status(401, "credential-refused"),
    );
    book.step(
        "Resume it",
        format!("{doorward} key resume {reader_id}"),
        Output("active"),
    );
    book.step(
        "It works again",
        format!("curl -si -H 'Authorization: Bearer {reader}' {gateway}/orders"),
        Status(200, "item"),
    );
    book.step(
        "The audit trail is whole",
        format!("{doorward} audit verify"),
        Output("whole"),
    );
    book.step(
        "Health has a listener of its own",
        format!("curl -si {ops}/readyz"),
        Status(200, ""),
    );
}
