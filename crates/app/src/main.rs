//! **The binary** `doorward`.
#![forbid(unsafe_code)]

mod settings;
mod telemetry;
mod watch;

fn main() {}
