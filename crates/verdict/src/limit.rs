//! **How much**: the arithmetic of rate limits (GCRA), free of clocks and tables.
//!
//! One state per key, one number: the *theoretical arrival time*. [`step`] is the whole rule; every
//! backend of [`crate::facts::Counters`] runs this very arithmetic, so that local and shared limits
//! give the same answers. IPv6 callers count per /64.

use core::net::IpAddr;
use core::time::Duration;

/// So many calls per period, with bursts up to the whole period's budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Calls per `period`; at least 1.
    pub limit: u32,
    /// The period; at least 1 ms per call.
    pub period: Duration,
}

/// What a budget belongs to. The scope keeps budgets of different rules apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LimitKey {
    /// A client address (IPv6: its /64), before authentication.
    Address(IpAddr),
    /// Failed authentications of an address: grows penalties.
    FailedAddress(IpAddr),
    /// A principal on an API: hash of (principal, API, rule).
    Principal(u64, u64),
}

/// What came of asking for a place in a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Whether the call may pass.
    pub allowed: bool,
    /// The budget's size.
    pub limit: u32,
    /// Calls left right now.
    pub remaining: u32,
    /// When the next call may pass (zero if one may now), for `Retry-After`.
    pub retry_after: Duration,
    /// When the budget is whole again, for `RateLimit`.
    pub reset_after: Duration,
}
