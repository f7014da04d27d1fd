mod access;
mod credentials;
mod declared;
mod record;
mod world;
