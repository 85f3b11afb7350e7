//! How is a picture resized as the library does it that a network was trained with?

use super::Resampler;
use crate::picture::Picture;
use crate::picture::resize::{Axis, Filter, PILLOW_BITS, Taps, passes};

const CHANNELS: usize = 3;

/// A resized picture: rows from the top, three samples a pixel.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Resized {
    /// As whole numbers.
    Bytes(Vec<u8>),
    /// As they came out, nothing rounded or cut.
    Floats(Vec<f32>),
}

/// Returns the wanted stretch of the picture resized along both axes.
pub(super) fn resize(
    picture: &Picture,
    columns: &Axis,
    rows: &Axis,
    filter: Filter,
    resampler: Resampler,
) -> Resized {
    let floats = |bytes: &[u8]| bytes.iter().map(|&byte| f32::from(byte)).collect::<Vec<_>>();
    if filter == Filter::Nearest {
        let bytes = nearest(picture, columns, rows, resampler);
        return match resampler {
            Resampler::Pillow | Resampler::TorchBytes => Resized::Bytes(bytes),
            Resampler::TorchFloats => Resized::Floats(floats(&bytes)),
        };
    }
    let [across, down] = [columns, rows].map(|axis| Taps::of(axis, filter));
    let width = picture.width() as usize;
    let bytes = |across_bits, down_bits| {
        let (across, down) = (across.fixed(across_bits), down.fixed(down_bits));
        Resized::Bytes(passes::<u8, CHANNELS>(picture.samples(), width, &across, &down))
    };
    match resampler {
        Resampler::Pillow => bytes(PILLOW_BITS, PILLOW_BITS),
        Resampler::TorchBytes => bytes(short_bits(&across), short_bits(&down)),
        Resampler::TorchFloats => {
            let samples = floats(picture.samples());
            let (across, down) = (across.float(), down.float());
            Resized::Floats(passes::<f32, CHANNELS>(&samples, width, &across, &down))
        }
    }
}

/// The most bits of fraction with which the largest weight fits into 16, as torch finds them.
fn short_bits(taps: &Taps<f64>) -> u32 {
    let largest = taps.largest();
    let fits = |bits: &u32| 0.5 + largest * f64::from(1_u32 << (bits + 1)) < f64::from(1 << 15);
    (0..PILLOW_BITS).find(|bits| !fits(bits)).unwrap_or(PILLOW_BITS)
}

/// Takes of each place the old pixel under it. Pillow adds the steps up, and takes the middle of a new
/// pixel; torch multiplies in `f32`, and takes its corner.
fn nearest(picture: &Picture, columns: &Axis, rows: &Axis, resampler: Resampler) -> Vec<u8> {
    let places = |axis: &Axis| -> Vec<usize> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place in the picture"
        )]
        let place = |at: f64| (at as usize).min(axis.from as usize - 1);
        match resampler {
            Resampler::Pillow => {
                let step = f64::from(axis.from) / axis.to as f64;
                let mut at = step * 0.5;
                let mut places = Vec::new();
                for pixel in 0..axis.wanted.end {
                    if pixel >= axis.wanted.start {
                        places.push(place(at));
                    }
                    at += step;
                }
                places
            }
            Resampler::TorchBytes | Resampler::TorchFloats => {
                let step = axis.from as f32 / axis.to as f32;
                axis.wanted.clone().map(|pixel| place(f64::from(pixel as f32 * step))).collect()
            }
        }
    };
    let columns = places(columns);
    let mut samples = Vec::new();
    for row in places(rows) {
        let row = &picture.samples()[row * picture.width() as usize * CHANNELS..];
        for column in &columns {
            samples.extend_from_slice(&row[column * CHANNELS..][..CHANNELS]);
        }
    }
    samples
}
