//! **Fuzzing**: everything that reads what strangers send, under libFuzzer on stable Rust.
//!
//! One program for all targets, so that there is one build: `DOORWARD_FUZZ` names the target, and
//! `./fuzz/run` builds, seeds and runs them. A target does more than not to fall over: it states what
//! must hold of whatever was accepted.
#![no_main]

mod answers;
mod calls;
mod door;
mod keys;
mod policies;
mod requests;
mod texts;
mod tokens;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

/// A target by its name.
type Target = (&'static str, fn(&[u8]));

/// Every target; `fuzz/run` reads the names from here.
const ALL: &[Target] = &[
    ("call", calls::call),
    ("relayed_certificate", calls::relayed_certificate),
    ("far_end", door::far_end),
    ("saved_call", door::saved_call),
    ("sigv4", requests::sigv4),
    ("sigv4_chunks", requests::sigv4_chunks),
    ("http_signature", requests::http_signature),
    ("content_digest", requests::content_digest),
    ("hmac_request", requests::hmac_request),
    ("webhook", requests::webhook),
    ("jwt", tokens::jwt),
    ("x5c", tokens::x5c),
    ("jwe", tokens::jwe),
    ("dpop", tokens::dpop),
    ("client_call", tokens::client_call),
    ("paseto", tokens::paseto),
    ("issued", tokens::issued),
    ("basic", tokens::basic),
    ("jwk", keys::jwk),
    ("paserk", keys::paserk),
    ("webhook_key", keys::webhook_key),
    ("certificate", keys::certificate),
    ("ocsp", keys::ocsp),
    ("verifier", keys::verifier),
    ("introspection", answers::introspection),
    ("token_answer", answers::token_answer),
    ("bundle", policies::bundle),
    ("mask", policies::mask),
    ("structured", texts::structured),
    ("strict_json", texts::strict_json),
    ("times", texts::times),
    ("names", texts::names),
    ("relation", texts::relation),
];

static CHOSEN: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("DOORWARD_FUZZ").unwrap_or_default();
    match ALL.iter().find(|(known, _)| *known == name) {
        Some((_, target)) => *target,
        None => {
            let names: Vec<_> = ALL.iter().map(|(name, _)| *name).collect();
            panic!("DOORWARD_FUZZ names no target; one of: {}", names.join(" "))
        }
    }
});

fuzz_target!(|data: &[u8]| CHOSEN(data));
