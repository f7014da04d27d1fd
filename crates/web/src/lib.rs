//! **Pages and endpoints**: HTTP in front of the issuer and the registry.
//!
//! It is mounted behind the gateway as a service in the same process, so everything about the
//! connection (TLS, addresses, limits, the caller's identity) is settled before a request comes
//! here, and travels as one sealed value ([`admitted::Caller`]). It decides nothing: it turns
//! requests into questions to `issuer` and `registry`, and their answers into HTTP.
#![forbid(unsafe_code)]

pub mod admin;
pub mod admitted;
pub mod browser;
pub mod pages;
pub mod protocol;
pub mod registration;
pub mod respond;
