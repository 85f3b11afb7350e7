//! Sounds, from bytes to moments.

mod formats;
mod hearing;
mod locating;
pub(crate) mod render;
