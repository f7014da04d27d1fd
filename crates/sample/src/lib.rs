//! A small *orders* API: the service that stands behind the door in
//! `doorward dev`, in the tour and in the end-to-end tests.
//!
//! It is a real HTTP server (HTTP/1.1, and HTTP/2 without TLS by prior
//! knowledge) with objects of several owners, so that there is something to
//! protect; it streams, it is slow on request, and `/whoami` tells what reached
//! it. It checks no credential: it believes the identity headers it is given,
//! which is right only where nothing but the gateway can reach it, so bind it
//! to loopback. It never repeats the value of a credential, it knows no other
//! room of the house, and it keeps everything in memory, bounded.

#![forbid(unsafe_code)]

mod answer;
mod caller;
mod handle;
mod operation;
mod orders;
mod serve;
mod stream;

pub use answer::Body;
pub use handle::{MAX_EVENTS, MAX_ORDER_BODY, MAX_SLOW, MAX_STREAM, MAX_UPLOAD, Shop, handle};
pub use operation::Operation;
pub use orders::{CUSTOMERS, MAX_ORDERS, Order, OrderBody, Status};
pub use serve::serve;
