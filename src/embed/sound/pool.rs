use serde::{Deserialize, Serialize};

use super::token::standing_out;
use super::{SoundSettings, sound_patches};
use crate::embed::image::Pixels;

/// Into how many parts the bands are divided whose slants are told, beside that of the whole.
const PARTS: usize = 4;
/// How much of the whole change a part needs to be told at half its weight.
const TELLING: f64 = 0.02;
/// Frames beside each other are smoothed by these weights, so that noise does not seem to move.
const SMOOTH: [f32; 5] = [1.0 / 9.0, 2.0 / 9.0, 3.0 / 9.0, 2.0 / 9.0, 1.0 / 9.0];
/// A change from frame to frame counts as much as one from band to band, smoothed as it is.
const TIME_WEIGHT: f32 = 2.5;

/// How the patches of a stretch become one vector: four blocks, each with its weight; 0 leaves one out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoundPooling {
    /// The mean over time, of each coefficient of each row of patches.
    pub mean: f32,
    /// The largest over time, likewise.
    pub max: f32,
    /// The mean absolute difference between consecutive patches, likewise.
    pub motion: f32,
    /// Which way the whole and each of its quarters slant: whether they last or are struck, and whether
    /// they rise or fall, which changes its sign when time runs backwards.
    pub slant: f32,
}

impl Default for SoundPooling {
    fn default() -> Self {
        Self { mean: 1.0, max: 0.5, motion: 0.5, slant: 1.2 }
    }
}

impl SoundPooling {
    /// Returns how many components the vector of a stretch has, of patches with so many coefficients
    /// together.
    pub fn dimension(&self, coefficients: usize) -> usize {
        let slants = (PARTS + 1) * 2;
        let blocks = [
            (self.mean, coefficients),
            (self.max, coefficients),
            (self.motion, coefficients),
            (self.slant, slants),
        ];
        blocks.iter().filter(|(weight, _)| *weight > 0.0).map(|(_, length)| length).sum()
    }
}

/// Returns the vector of a stretch, of length one, by its mel spectrogram; mean, largest and motion are
/// each scaled to length one before they are weighted. None where there is no frame, or nothing changes
/// from one band or frame to another.
pub fn sound_vector(spectrogram: &Pixels, settings: &SoundSettings) -> Option<Vec<f32>> {
    let rows = (spectrogram.width / settings.patch.bands.max(1)).max(1);
    let patches = sound_patches(spectrogram, settings);
    let length = settings.coefficients();
    let moments: Vec<Vec<f32>> = patches
        .chunks(rows)
        .map(|moment| moment.iter().flat_map(|patch| patch.vector.iter().copied()).collect())
        .collect();
    if moments.is_empty() || moments.iter().any(|moment| moment.len() != length) {
        return None;
    }
    let count = moments.len() as f64;
    let mut mean = vec![0.0_f64; length];
    let mut largest = vec![f64::MIN; length];
    let mut motion = vec![0.0_f64; length];
    for (at, moment) in moments.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| &moments[before]);
        for (place, &value) in moment.iter().enumerate() {
            mean[place] += f64::from(value) / count;
            largest[place] = largest[place].max(f64::from(value));
            if let Some(before) = before {
                motion[place] += f64::from((value - before[place]).abs());
            }
        }
    }
    let pooling = &settings.pooling;
    let mut vector: Vec<f64> = Vec::with_capacity(pooling.dimension(length));
    for (block, weight) in [(mean, pooling.mean), (largest, pooling.max), (motion, pooling.motion)]
    {
        if weight > 0.0 {
            let whole = block.iter().map(|value| value * value).sum::<f64>().sqrt();
            let scale = if whole > 0.0 { f64::from(weight) / whole } else { 0.0 };
            vector.extend(block.iter().map(|value| value * scale));
        }
    }
    if pooling.slant > 0.0 {
        let slants = slants(spectrogram, settings.range_db);
        vector.extend(slants.iter().map(|value| value * f64::from(pooling.slant)));
    }
    let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
    if !length.is_finite() || length <= f64::from(f32::MIN_POSITIVE) {
        return None;
    }
    Some(vector.into_iter().map(|value| (value / length) as f32).collect())
}

/// Returns of the whole and of each quarter of the bands how much more there is change in time than in
/// pitch (-1: it lasts, 1: it is struck), and how far it rises (1) or falls (-1); those of quarters at
/// half the weight.
fn slants(spectrogram: &Pixels, range_db: f32) -> Vec<f64> {
    let (frames, bands) = (spectrogram.height, spectrogram.width);
    let values = smoothed(&standing_out(spectrogram, range_db), frames, bands);
    let at = |frame: usize, band: usize| values[frame * bands + band];
    let inner = bands.saturating_sub(2);
    // Sums of the squares of both slopes, and of their product, of each part.
    let mut sums = [[0.0_f64; 3]; PARTS];
    for frame in 1..frames.saturating_sub(1) {
        for band in 1..bands.saturating_sub(1) {
            let time = (at(frame + 1, band) - at(frame - 1, band)) / 2.0 * TIME_WEIGHT;
            let pitch = (at(frame, band + 1) - at(frame, band - 1)) / 2.0;
            let (time, pitch) = (f64::from(time), f64::from(pitch));
            let part = &mut sums[(band - 1) * PARTS / inner];
            part[0] += time * time;
            part[1] += pitch * pitch;
            part[2] += time * pitch;
        }
    }
    let mut whole = [0.0; 3];
    for part in &sums {
        whole.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
    }
    let ridge = TELLING * (whole[0] + whole[1]) + 1e-9;
    let mut found = Vec::with_capacity((PARTS + 1) * 2);
    for (place, [time, pitch, both]) in [whole].into_iter().chain(sums).enumerate() {
        let weight = if place == 0 { 1.0 } else { 0.5 };
        let scale = weight / (time + pitch + ridge);
        found.extend([(time - pitch) * scale, -2.0 * both * scale]);
    }
    found
}

/// Returns the values smoothed over time; before the first frame and after the last those go on.
fn smoothed(values: &[f32], frames: usize, bands: usize) -> Vec<f32> {
    let mut smooth = vec![0.0; values.len()];
    let reach = SMOOTH.len() / 2;
    for frame in 0..frames {
        for (step, weight) in SMOOTH.iter().enumerate() {
            let from = (frame + step).saturating_sub(reach).min(frames - 1) * bands;
            let row = smooth[frame * bands..][..bands].iter_mut().zip(&values[from..from + bands]);
            row.for_each(|(sum, value)| *sum += weight * value);
        }
    }
    smooth
}
