use super::{SoundSettings, Spectrogram};
use crate::cancel::Cancellation;
use crate::embed::image::Pixels;
use crate::embed::{EmbedError, EmbedderHandle, Lane, Modality};
use crate::vector::Vector;

/// What makes sounds ready for a model. Cheap to share; needs no queue and no model.
#[derive(Debug)]
pub struct Hearing {
    settings: SoundSettings,
    spectrogram: Spectrogram,
}

impl Hearing {
    /// Returns what makes sounds ready as the settings say.
    pub fn new(settings: SoundSettings) -> Self {
        let spectrogram = Spectrogram::new(settings.bands, settings.lowest_hz);
        Self { settings, spectrogram }
    }

    /// Returns how stretches become vectors.
    pub fn settings(&self) -> &SoundSettings {
        &self.settings
    }

    /// Returns a stretch as the model reads it: its mel spectrogram, frames x bands, in decibels.
    pub fn spectrogram(&self, samples: &[f32]) -> Pixels {
        self.spectrogram.of(samples)
    }
}

impl EmbedderHandle {
    /// Returns how long a stretch of a sound is at most, and how far stretches are apart, in milliseconds,
    /// if the model reads sounds.
    pub fn listens_to(&self) -> Option<(u64, u64)> {
        let hearing = self.hearing()?;
        Some((hearing.settings.window_ms, hearing.settings.step_ms))
    }

    /// Returns the vector of a stretch of a sound; waits for it. None where the model hears nothing in it.
    /// `samples` are one channel at [`SOUND_RATE`](super::SOUND_RATE).
    ///
    /// # Errors
    /// [`EmbedError`]: invalid input if the model reads no sounds; else as [`Self::embed_pictures`].
    pub fn embed_sound(
        &self,
        samples: &[f32],
        lane: Lane,
        cancel: &Cancellation,
    ) -> Result<Option<Vector>, EmbedError> {
        self.specification().require(Modality::Sound)?;
        let Some(hearing) = self.hearing() else {
            let name = self.specification().name.clone();
            let reason = "it does not say how sounds are made ready".to_owned();
            return Err(EmbedError::Failed { name, reason });
        };
        cancel.check()?;
        self.embed_ready(hearing.spectrogram(samples), lane, cancel)
    }
}
