//! Videos, from bytes to frames and moments.

mod decoding;
mod ffmpeg;
mod ingesting;
mod locating;
mod real;
mod render;
