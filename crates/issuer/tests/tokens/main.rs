//! **Tokens of people** over a real database: every grant's way to its tokens, and the golden
//! matrix of what each refuses.

mod bound;
mod code;
mod device;
mod encrypted;
mod exchange;
mod opaque;
mod paseto;
mod paseto_local;
mod refresh;
mod suspended;
mod world;
