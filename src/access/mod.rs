//! Who may do what? Keys that are shown once and kept as keyed hashes, with a scope, an expiry, and
//! the collections that they are for.
//!
//! Nothing here reads a clock or draws at random: time and random bytes are passed in.

mod keys;
mod store;

pub use keys::{Grant, Key, KeyError, NewKey, Rates, Refusal, SECRET_BYTES, Scope};
pub use store::KeyStore;
