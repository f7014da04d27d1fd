//! **Decision**: a call becomes a presentation, an identity, and at last a permit, or a refusal.
//!
//! This room judges. It opens no socket, reads no clock, rolls no dice: every fact it needs comes
//! through one port ([`facts::Facts`]), the time is an argument, and the same facts give the same
//! answer. What it hands out can't be forged by its callers: an [`identity::Identity`] is made by
//! [`identify`], a [`permit::Permitted`] by [`decide`], and forwarding takes nothing else.
//!
//! ```text
//! Call ──identify──▶ Identified ──decide──▶ Permitted ──▶ upstream
//!   └──────────────────┴──▶ Refused (hands the call back, with one Problem)
//! ```
#![forbid(unsafe_code)]

pub mod call;
pub mod credential;
pub mod facts;
pub mod identity;
pub mod limit;
pub mod penalty;
pub mod permit;
pub mod policy;
pub mod probing;
pub mod problem;
pub mod route;
#[cfg(test)]
mod testing;
pub mod trace;

pub use credential::{Delivery, NeededBody};
pub use permit::{
    Forward, Identified, Lease, Permitted, Refused, SignedBody, can_hold, decide, identify,
    needs_body,
};
