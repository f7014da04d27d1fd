//! JOSE, as small as Doorward needs it: keys (RFC 7517), compact signatures (RFC 7515), compact
//! encryption to a key of ours (RFC 7516), tokens (RFC 7519). The algorithm comes from the key and never from the token; `none` and HMAC do not
//! exist here (RFC 8725 §3.1). It fetches nothing and trusts no key that a token brings along.

pub mod alg;
pub(crate) mod der;
pub mod jwe;
pub mod jwk;
pub mod jws;
pub mod jwt;
pub mod key;
pub mod verifying;
