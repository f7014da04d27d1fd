//! **What tests share**: real servers to start, real clients to drive. Nothing here ships.
#![forbid(unsafe_code)]

pub mod bound;
pub mod browser;
pub mod doorward;
pub mod postgres;
pub mod signing;
pub mod tokens;
pub mod upstream;
pub mod wire;
