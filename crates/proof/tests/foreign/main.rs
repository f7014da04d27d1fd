//! Proof against others: published vector sets, and an independent implementation of JWT.

mod jsonwebtoken;
mod rfc7520;
mod wycheproof;
mod wycheproof_jwe;
