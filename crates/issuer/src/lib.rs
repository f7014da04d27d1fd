//! **Authorization server** without HTTP: a typed request in, a typed response out.
#![forbid(unsafe_code)]

pub mod ports;
