//! What is heard in a file, block by block?
//!
//! [`Sounds`] is a stream: packets are decoded when they are asked for, mixed to one channel and brought
//! to [`SAMPLE_RATE`], so that a long recording takes no more memory than a short one. WAV, AIFF, FLAC, MP3,
//! Ogg Vorbis, AAC and M4A are read; the decoders are those of the crate `symphonia`, in pure Rust.

mod format;
mod reader;
mod resample;
mod stream;
#[cfg(test)]
mod tests;

pub use format::{SoundFormat, sound_format};
pub(super) use stream::Source;
pub use stream::{SoundFacts, SoundOptions, Sounds, sounds};

/// How many samples of a second are handed out.
pub const SAMPLE_RATE: u32 = 16_000;
