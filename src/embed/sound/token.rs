use std::f64::consts::PI;

use super::SoundSettings;
use super::spectrogram::HOP_MS;
use crate::embed::image::Pixels;
use crate::embed::video::{Latent, Patch, PatchSizes, TimedLatent, patches};
use crate::picture::Area;

/// Returns how far each band stands out in each frame: 0 for what is softer than the loudest by the
/// range, 1 for the loudest itself, so that gain does not count. Frames x bands, as they came.
pub(super) fn standing_out(spectrogram: &Pixels, range_db: f32) -> Vec<f32> {
    let loudest = spectrogram.values.iter().copied().fold(f32::MIN, f32::max);
    let stands = |value: &f32| ((value - loudest) / range_db + 1.0).max(0.0);
    spectrogram.values.iter().map(stands).collect()
}

/// Returns the patches of a mel spectrogram, each by its lowest cosine coefficients (of time, then of
/// bands): in the order of time, half over each other, then from low bands to high ones. The area of a
/// patch says its bands, `top` being the lowest of them; its width is 1.
pub fn sound_patches(spectrogram: &Pixels, settings: &SoundSettings) -> Vec<Patch> {
    let (frames, bands) = (spectrogram.height, spectrogram.width);
    let mut values = standing_out(spectrogram, settings.range_db);
    let mean =
        values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len().max(1) as f64;
    values.iter_mut().for_each(|value| *value -= mean as f32);
    let latent = |(at, frame): (usize, &[f32])| {
        let latent = Latent::new(1, bands, 1, frame.to_vec())?;
        let start_ms = at as u64 * HOP_MS;
        Some(TimedLatent { latent, start_ms, end_ms: start_ms + HOP_MS })
    };
    let latents: Vec<TimedLatent> =
        values.chunks(bands.max(1)).enumerate().filter_map(latent).collect();
    let sizes = PatchSizes { time: settings.patch.frames, height: settings.patch.bands, width: 1 };
    let whole =
        Area { left: 0, top: 0, width: 1, height: u32::try_from(bands).unwrap_or(u32::MAX) };
    let half = (sizes.time / 2).max(1);
    let mut found = Vec::new();
    for from in [0, half] {
        // Whole patches only; a sound that is shorter than one is one all the same.
        let count = frames.saturating_sub(from) / sizes.time * sizes.time;
        let count = if from == 0 { count.max(sizes.time.min(frames)) } else { count };
        let group = &latents[from.min(latents.len())..(from + count).min(latents.len())];
        found.extend(patches(group, sizes, whole).unwrap_or_default());
    }
    found.sort_by_key(|patch| (patch.start_ms, patch.area.top));
    let time = cosines(sizes.time, settings.patch.coefficients_time);
    let pitch = cosines(sizes.height, settings.patch.coefficients_bands);
    for patch in &mut found {
        patch.vector = coefficients(&patch.vector, &time, &pitch);
    }
    found
}

/// Returns the first so many of the orthonormal cosines of a length (DCT-II).
fn cosines(length: usize, count: usize) -> Vec<Vec<f32>> {
    let one = |order: usize| {
        let scale = if order == 0 { 1.0 } else { 2.0_f64 } / length as f64;
        let angle = |at: usize| PI * (at as f64 + 0.5) * order as f64 / length as f64;
        (0..length).map(|at| (scale.sqrt() * angle(at).cos()) as f32).collect()
    };
    (0..count).map(one).collect()
}

/// Returns the coefficients of a patch, frames x bands, by the cosines of both.
fn coefficients(patch: &[f32], time: &[Vec<f32>], pitch: &[Vec<f32>]) -> Vec<f32> {
    let bands = pitch.first().map_or(1, Vec::len);
    let mut found = Vec::with_capacity(time.len() * pitch.len());
    for over_time in time {
        let mut sums = vec![0.0_f32; bands];
        for (frame, weight) in patch.chunks(bands).zip(over_time) {
            sums.iter_mut().zip(frame).for_each(|(sum, value)| *sum += weight * value);
        }
        for over_bands in pitch {
            found.push(sums.iter().zip(over_bands).map(|(sum, weight)| sum * weight).sum());
        }
    }
    found
}
