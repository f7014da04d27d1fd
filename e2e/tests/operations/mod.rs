//! **How Doorward runs**: crashes, reloads, failing upstreams and databases, full disks, several
//! nodes, the command line, large bodies. Each test starts the real binary with settings of its
//! own; what they share (an API to put behind the door, an upstream to kill, steady load) stands in
//! `scene`, `backend` and `load`.

#![allow(
    clippy::print_stdout,
    reason = "figures for the record, and why something was skipped"
)]

mod audit;
mod backend;
mod bodies;
mod bundles;
mod checked;
mod commands;
mod crash;
mod drain;
mod environment;
mod explained;
mod fleet;
mod gateway_only;
mod load;
mod outage;
mod penalties;
mod relations;
mod reload;
mod rights;
mod scene;
mod sign;
mod sign_paseto;
mod signing_secrets;
mod startup;
mod suspended;
mod turnover;
mod upstream_credentials;
mod upstreams;
mod used_once;
mod webhooks_out;
