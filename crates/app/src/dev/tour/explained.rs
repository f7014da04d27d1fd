//! Why: how calls would be judged, step by step.

use super::Expect::Output;
use super::{Book, Scene};

/// A good call, a bad one, and the same without a call.
pub(super) fn why(book: &mut Book, scene: &Scene<'_>) {
    let Scene {
        gateway,
        doorward,
        key,
        reader,
        order,
        ..
    } = scene;
    book.step(
        "Explain a call before it is made: nothing is counted, nobody is called",
        format!(
            "printf 'GET /orders HTTP/1.1\\nHost: {}\\nX-API-Key: {key}\\n' | {doorward} explain --request -",
            gateway.trim_start_matches("http://")
        ),
        Output("the caller gets the upstream's answer"),
    );
    book.step(
        "Explain a call that curl made: which scope was missing",
        format!(
            "curl -sv -H 'Authorization: Bearer {reader}' {order} {gateway}/orders 2>&1 | {doorward} explain --request -",
        ),
        Output("missing: orders:write"),
    );
    book.step(
        "Explain an answer: what the decision log has of it",
        format!(
            "ANSWER=$(curl -si -H 'X-API-Key: nonsense' {gateway}/orders); sleep 2; echo \"$ANSWER\" | {doorward} explain --request -",
        ),
        Output("The caller got 401 credential-refused"),
    );
}
