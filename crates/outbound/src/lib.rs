//! **What the doorkeeper asks of the world**, so that asking is safe and rarely needed.
//!
//! Two halves. *Going out*: [`fetch`] is the only HTTP client of this room and reaches configured,
//! checked addresses only; [`keysets`] keeps issuers' keys with it. *Remembering*: [`facts`] is the
//! standard implementation of [`verdict::facts::Facts`], made of bounded caches over the stored
//! records, a list of revocations that is pushed to it, and a [`hashing`] pool that garbage can't
//! starve. It refuses to judge: what it hands to `verdict` are facts, with their time.
#![forbid(unsafe_code)]

pub mod address;
pub mod authorities;
pub mod client_auth;
pub mod clients;
pub mod clock;
pub mod decryption;
pub mod facts;
pub mod fetch;
mod flights;
pub mod hashing;
pub mod introspection;
pub mod keysets;
pub mod lists;
pub mod paseto;
mod passwords;
pub mod people;
pub mod published;
mod records;
mod relations;
pub mod revocations;
pub mod secrets;
pub mod statuses;
pub mod tokens;
pub mod trust;
pub mod webhook;
