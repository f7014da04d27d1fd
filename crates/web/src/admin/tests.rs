mod access;
mod credentials;
mod declared;
mod record;
mod relations;
mod signing_secrets;
mod webhooks;
pub(crate) mod world;
