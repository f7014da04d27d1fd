//! The gateway through real sockets: a caller's bytes in, an upstream's view and the answer out.

mod budgets;
mod client_certificates;
mod connections;
mod credentials;
mod explained;
mod facts;
mod framing;
mod harness;
mod headers;
mod http2;
mod operations;
mod paths;
mod stored;
mod streams;
mod tls;
mod tunnels;
mod upstreams;
