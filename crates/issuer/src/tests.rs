//! Tests of the whole room over in-memory ports: the endpoints' golden matrix, the tokens as an
//! independent peer reads them, introspection and revocation.

mod assertion;
mod endpoints;
mod token;
pub(crate) mod world;
