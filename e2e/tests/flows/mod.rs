//! **People and their clients**, whole: browsers, pages, codes, tokens and the gateway, against the
//! running program. `whole` takes each flow from its beginning to its end; `interrupted` lets the
//! process, the signing key or the node change in the middle; `hostile` has two people, one of them
//! hostile; `browsers` holds the lines F of the threat list; `certificates` is about clients with
//! certificates of a CA; `opaque` about tokens that say nothing, `foreign` about those of another
//! issuer, `signed_answers` about what is said of those under a signature; `client_jwt` about clients
//! that sign their calls, `call_certificates` about those of them whose keys an authority certifies;
//! `encrypted` about tokens that come encrypted to an API, `sealed` about those that our own issuer
//! encrypts so, `paseto_local` about those that it encrypts for nobody but this installation.

mod browsers;
mod call_certificates;
mod certificates;
mod client_jwt;
pub(crate) mod encrypted;
pub(crate) mod foreign;
mod hostile;
mod interrupted;
mod opaque;
mod paseto_local;
mod replays;
pub(crate) mod scene;
mod sealed;
mod services;
mod signed_answers;
mod whole;
