//! Videos, from bytes to frames and moments.

mod decoding;
mod ffmpeg;
pub(crate) mod ingesting;
mod locating;
mod networks;
mod real;
mod render;
