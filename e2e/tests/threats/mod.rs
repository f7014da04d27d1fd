//! **What must never get through**, line by line, against the running program. Tests carry the
//! number of the line they hold, and name the code that defends it: taken out, the test fails.

mod answers;
mod bound;
pub(crate) mod certificates;
mod configuration;
mod framing;
mod headers;
mod held;
mod http2;
pub(crate) mod key_sets;
mod messages;
mod ocsp;
mod paths;
mod rights;
mod secrets;
mod shared;
mod tokens;
mod trailers;
mod upstreams;
mod walls;
