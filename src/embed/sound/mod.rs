//! What does a stretch of a sound mean, as numbers?
//!
//! A [`Spectrogram`] says how loud each band of the mel scale is every ten milliseconds. It is cut into the
//! same [`Patch`](super::video::Patch)es as the latents of a video, each of which knows its moment and its
//! bands; each patch is told by its lowest cosine coefficients, and all of them together become one vector:
//! what sounds, how it changes, and which way it goes.
//!
//! Patches of mel spectrograms are those of the audio spectrogram transformer (Gong et al. 2021), the
//! coefficients stand in for its first layer, and the slant is the structure tensor of Bigün and Granlund
//! (1987) over time and pitch.

mod embedding;
mod model;
mod pool;
mod settings;
mod spectrogram;
#[cfg(test)]
mod tests;
mod token;

pub use embedding::Hearing;
pub(in crate::embed) use model::MelPatches;
pub use pool::{SoundPooling, sound_vector};
pub use settings::{SoundPatch, SoundSettings};
pub use spectrogram::{SOUND_RATE, Spectrogram};
pub use token::sound_patches;

/// The model of sounds that comes with the program.
pub const DEFAULT_SOUND_MODEL: &str = "simile-sounds-202";
