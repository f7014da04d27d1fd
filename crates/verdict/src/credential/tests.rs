//! The golden matrix (credential kind × defect → what the caller is told and what the log says) and
//! the rules that a matrix does not show.

mod binding;
mod call_certificates;
mod client_jwt;
mod introspection;
mod jwe;
mod matrix;
mod mtls;
mod opaque;
mod paseto;
mod presentation;
mod signed;
mod tokens;
mod webhook;
mod which;
