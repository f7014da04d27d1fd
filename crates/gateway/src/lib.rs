//! **Enforcement**: the only room that listens. It reads calls, finds their route, has them judged,
//! forwards what is permitted, refuses what is not, and records both.
//!
//! ```text
//! listen ─▶ intake ─▶ route ─▶ verdict::identify ─▶ verdict::decide ─▶ forward ─▶ upstream
//!                       │             └───────┬────────────┘                          │
//!                    snapshot              respond ◀──────── failures ────────────────┘
//! ```
//!
//! It judges nothing itself: forwarding takes a [`verdict::Permitted`] call, and only the verdict
//! makes those. It stores nothing, knows no issuer, and serves no page.
#![forbid(unsafe_code)]

mod body;
mod cors;
mod explain;
mod forward;
#[cfg(fuzzing)]
pub mod fuzzed;
mod held;
mod hush;
mod hygiene;
mod identity;
mod idle;
mod intake;
mod lease;
mod limit;
mod listen;
mod mask;
mod metrics;
mod ops;
mod penalty;
mod plane;
mod proxies;
mod record;
mod respond;
mod route;
mod seldom;
mod serve;
mod snapshot;
mod tls;
mod trailers;
mod tunnel;
mod turn;
mod upstream;

pub use body::{Body, BodyError, RequestBody};
pub use explain::{Answer, Asked, CallRead, DoorView, Explanation, Mark, Step, Unreadable};
pub use held::HeldBodies;
pub use identity::{NoTokens, UpstreamIdentity};
pub use listen::{Bound, Limits, ListenError, Listener};
pub use metrics::{BY_ROUTE, Metrics};
pub use ops::Ops;
pub use plane::{Gateway, Options};
pub use proxies::{CertificateField, TrustedProxies};
pub use record::{DecisionSink, NoDecisions};
pub use snapshot::{Snapshot, SnapshotError, rehearse};
pub use tls::{CertStore, CertificateFiles, ClientCertificates, Tls, TlsError};
pub use upstream::{LocalService, Locals, Pool, PoolError, Upstream};
