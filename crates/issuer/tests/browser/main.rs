//! The person's side of the issuer, over the real SQLite store: authorization requests through
//! login and consent to a code, pushed requests, devices, logout; and who may act on whose page.

mod device;
mod logout;
mod matrix;
mod people;
mod pushed;
mod reuse;
mod sessions;
mod world;
