//! **Tests against the real binary**, in one process so that they can share a running Doorward.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    reason = "a test that can't go on says so by panicking"
)]

mod flows;
mod operations;
mod threats;
