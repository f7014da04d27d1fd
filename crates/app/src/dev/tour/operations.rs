//! The operator's hand: what exists, what stops at once, and that the record is whole.

use super::Expect::{Output, Status};
use super::{Book, Scene};

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
