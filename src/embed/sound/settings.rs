use serde::{Deserialize, Serialize};

use super::SoundPooling;

/// The most bands: more of them would be narrower than the spectrum tells.
const BANDS_MAX: usize = 64;
/// The longest stretch, in milliseconds.
const WINDOW_MS_MAX: u64 = 60_000;
/// The most frames or bands of a patch.
const SIDE_MAX: usize = 64;

/// How stretches of a sound become vectors. The table `sound` of a manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoundSettings {
    /// The longest stretch that becomes one vector, in milliseconds.
    pub window_ms: u64,
    /// How far stretches are apart, in milliseconds: less than the window, and they lie over each other.
    pub step_ms: u64,
    /// How many bands of the mel scale are heard.
    pub bands: usize,
    /// Where the lowest of them begins, in Hertz.
    pub lowest_hz: f32,
    /// How much softer than the loudest something may be to count, in decibels.
    pub range_db: f32,
    /// How far a patch reaches, and what is told of it.
    pub patch: SoundPatch,
    /// What the vector of a stretch is made of.
    #[serde(default)]
    pub pooling: SoundPooling,
}

/// How far a patch of a spectrogram reaches, and how many cosine coefficients are told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoundPatch {
    /// In frames, which are 10 ms apart.
    pub frames: usize,
    /// In bands.
    pub bands: usize,
    /// Coefficients over time.
    pub coefficients_time: usize,
    /// Coefficients over the bands.
    pub coefficients_bands: usize,
}

impl SoundSettings {
    /// Returns how many coefficients all patches of one moment have together.
    pub fn coefficients(&self) -> usize {
        let SoundPatch { bands, coefficients_time, coefficients_bands, .. } = self.patch;
        self.bands / bands.max(1) * coefficients_time * coefficients_bands
    }

    /// Returns how many components a vector has.
    pub fn dimension(&self) -> usize {
        self.pooling.dimension(self.coefficients())
    }

    /// Returns what is wrong with the settings, if something is.
    pub(in crate::embed) fn check(&self, dimension: usize) -> Result<(), String> {
        let (window, step) = (self.window_ms, self.step_ms);
        if !(1..=WINDOW_MS_MAX).contains(&window) {
            return Err(format!("window_ms is {window}, expected 1 to {WINDOW_MS_MAX}"));
        }
        if !(1..=window).contains(&step) {
            return Err(format!("step_ms is {step}, expected 1 to the {window} of window_ms"));
        }
        let SoundPatch { frames, bands, coefficients_time, coefficients_bands } = self.patch;
        for (name, value, most) in [
            ("bands", self.bands, BANDS_MAX),
            ("patch.frames", frames, SIDE_MAX),
            ("patch.bands", bands, self.bands.min(SIDE_MAX)),
            ("patch.coefficients_time", coefficients_time, frames),
            ("patch.coefficients_bands", coefficients_bands, bands),
        ] {
            if !(1..=most).contains(&value) {
                return Err(format!("{name} is {value}, expected 1 to {most}"));
            }
        }
        if !self.bands.is_multiple_of(bands) {
            let all = self.bands;
            return Err(format!("patch.bands is {bands}, expected a divisor of the {all} bands"));
        }
        if !(0.0..=1_000.0).contains(&self.lowest_hz) {
            return Err(format!("lowest_hz is {}, expected 0 to 1000", self.lowest_hz));
        }
        if !(1.0..=100.0).contains(&self.range_db) {
            return Err(format!("range_db is {}, expected 1 to 100", self.range_db));
        }
        let SoundPooling { mean, max, motion, slant } = self.pooling;
        let weights = [mean, max, motion, slant];
        if weights.iter().any(|weight| !weight.is_finite() || *weight < 0.0) || weights == [0.0; 4]
        {
            return Err("the weights of a pooling are finite, not below 0 and not all 0".to_owned());
        }
        let expected = self.dimension();
        if dimension != expected {
            return Err(format!("dimension is {dimension}, expected {expected} by its settings"));
        }
        Ok(())
    }
}
