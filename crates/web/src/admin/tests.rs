mod access;
mod credentials;
mod declared;
mod record;
pub(crate) mod world;
