//! Formats and cryptography: bytes in, verified statement out.
//!
//! Every use of cryptography in Doorward stands in this room, on one provider (aws-lc-rs; the one
//! exception is the cipher of `v4.local` tokens, which it does not have): the grammar of the
//! secrets Doorward makes, the check of passwords and keys, JOSE, PASETO, DPoP proofs, signed
//! requests and webhooks, certificates, sealing at rest and the audit chain. Formats of signed
//! requests share [`request`]. It refuses to know a clock, a runtime, a
//! file, the environment or a network: time and randomness are arguments, and so every check can
//! be replayed. It refuses to repair: a value has exactly one accepted spelling, and everything
//! else is a named defect.

pub mod base62;
pub mod base64std;
pub mod base64url;
pub mod basic;
pub mod calendar;
pub mod chain;
pub mod client_call;
pub mod content_digest;
pub mod digest;
pub mod dpop;
pub mod hmac_request;
pub mod httpsig;
pub mod issued;
pub mod jose;
pub mod paseto;
pub mod password;
pub mod quoted;
pub mod random;
pub mod request;
pub mod seal;
pub mod secret;
pub mod sigv4;
pub mod strict_json;
pub mod structured;
pub mod ticket;
pub mod time;
pub mod webhook;
pub mod x509;
