//! **Shared state that may vanish**: counters and replay memory that a restart or an outage may
//! forget.
//!
//! What must not be forgotten (codes, revocations, anything spent once) is not kept here but in
//! the store. Every backend runs the arithmetic of [`verdict::limit`] and [`verdict::penalty`] and
//! makes check and count one atomic step; they differ only in who shares the numbers. So far there are
//! [`memory`] and [`replays`]: one process for itself.
#![forbid(unsafe_code)]

pub mod memory;
mod probes;
pub mod replays;
mod table;

pub use memory::MemoryCounters;
pub use replays::MemoryReplays;
