mod access;
mod credentials;
mod declared;
mod record;
mod signing_secrets;
pub(crate) mod world;
