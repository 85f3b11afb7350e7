//! How is a picture resized as the libraries do it that networks were trained with?
//!
//! Pillow's resize and torchvision's antialiased one are the same separable filter: the support grows
//! with the reduction, columns are made first, and the weights of a pixel add up to one. They differ
//! in the arithmetic. Only the stretch of the result that is wanted is computed, so that a picture of
//! one row costs no more than others.

use std::f64::consts::PI;
use std::ops::Range;

use super::{Filter, Resampler};
use crate::picture::Picture;

/// The fraction of Pillow's fixed-point weights: 32 bits less 8 for the sample and 2 for the sum.
const PILLOW_BITS: u32 = 22;
const CHANNELS: usize = 3;

/// One direction of a resize.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    /// How many pixels there are.
    pub(super) from: u32,
    /// How many there would be after it.
    pub(super) to: u64,
    /// Those of them that are wanted.
    pub(super) wanted: Range<u64>,
}

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
    match resampler {
        Resampler::Pillow => {
            let bits = |_: &Taps<f64>| PILLOW_BITS;
            Resized::Bytes(passes(
                picture.samples(),
                picture,
                &across.fixed(bits),
                &down.fixed(bits),
            ))
        }
        Resampler::TorchBytes => {
            let (across, down) = (across.fixed(short_bits), down.fixed(short_bits));
            Resized::Bytes(passes(picture.samples(), picture, &across, &down))
        }
        Resampler::TorchFloats => {
            let samples = floats(picture.samples());
            Resized::Floats(passes(&samples, picture, &across.float(), &down.float()))
        }
    }
}

/// For each wanted pixel of an axis the old ones that it is made of.
struct Taps<W> {
    /// The first of them, and where their weights are.
    pixels: Vec<(usize, Range<usize>)>,
    weights: Vec<W>,
    /// The fraction of fixed-point weights.
    bits: u32,
}

impl Taps<f64> {
    fn of(axis: &Axis, filter: Filter) -> Self {
        let (from, to) = (f64::from(axis.from), axis.to as f64);
        let scale = from / to;
        let stretch = scale.max(1.0);
        let shrink = 1.0 / stretch;
        let support = filter.support() * stretch;
        let mut taps = Self { pixels: Vec::new(), weights: Vec::new(), bits: 0 };
        for pixel in axis.wanted.clone() {
            let center = (pixel as f64 + 0.5) * scale;
            let first = (center - support + 0.5).max(0.0).floor();
            let end = (center + support + 0.5).floor().min(from);
            let start = taps.weights.len();
            let mut place = first;
            while place < end {
                taps.weights.push(filter.weight((place - center + 0.5) * shrink));
                place += 1.0;
            }
            let weights = &mut taps.weights[start..];
            let sum: f64 = weights.iter().sum();
            if sum != 0.0 {
                weights.iter_mut().for_each(|weight| *weight /= sum);
            }
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a place in the picture"
            )]
            taps.pixels.push((first as usize, start..taps.weights.len()));
        }
        taps
    }

    fn fixed(&self, bits: impl Fn(&Self) -> u32) -> Taps<i32> {
        let bits = bits(self);
        #[expect(clippy::cast_possible_truncation, reason = "a weight is about one at most")]
        let round = |weight: &f64| {
            let half = if *weight < 0.0 { -0.5 } else { 0.5 };
            (weight * f64::from(1_u32 << bits) + half) as i32
        };
        self.with(self.weights.iter().map(round).collect(), bits)
    }

    fn float(&self) -> Taps<f32> {
        #[expect(clippy::cast_possible_truncation, reason = "as torch computes")]
        self.with(self.weights.iter().map(|&weight| weight as f32).collect(), 0)
    }

    fn with<W>(&self, weights: Vec<W>, bits: u32) -> Taps<W> {
        Taps { pixels: self.pixels.clone(), weights, bits }
    }
}

/// The most bits of fraction with which the largest weight fits into 16, as torch finds them.
fn short_bits(taps: &Taps<f64>) -> u32 {
    let largest = taps.weights.iter().copied().fold(0.0, f64::max);
    let fits = |bits: &u32| 0.5 + largest * f64::from(1_u32 << (bits + 1)) < f64::from(1 << 15);
    (0..PILLOW_BITS).find(|bits| !fits(bits)).unwrap_or(PILLOW_BITS)
}

/// Samples that weighted sums are made of.
trait Sample: Copy {
    type Weight: Copy;
    type Sum: Copy;
    fn begin(bits: u32) -> Self::Sum;
    fn add(self, weight: Self::Weight, sum: &mut Self::Sum);
    fn end(sum: Self::Sum, bits: u32) -> Self;
}

impl Sample for u8 {
    type Weight = i32;
    type Sum = i32;

    fn begin(bits: u32) -> i32 {
        1 << (bits - 1)
    }

    fn add(self, weight: i32, sum: &mut i32) {
        *sum = sum.wrapping_add(i32::from(self) * weight);
    }

    fn end(sum: i32, bits: u32) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let sample = (sum >> bits).clamp(0, 255) as Self;
        sample
    }
}

impl Sample for f32 {
    type Weight = Self;
    type Sum = Self;

    fn begin(_: u32) -> Self {
        0.0
    }

    fn add(self, weight: Self, sum: &mut Self) {
        *sum += self * weight;
    }

    fn end(sum: Self, _: u32) -> Self {
        sum
    }
}

/// Makes the columns, of the rows that are needed, and of these the rows.
fn passes<S: Sample>(
    samples: &[S],
    picture: &Picture,
    across: &Taps<S::Weight>,
    down: &Taps<S::Weight>,
) -> Vec<S> {
    let first = down.pixels.iter().map(|(first, _)| *first).min().unwrap_or(0);
    let end = down.pixels.iter().map(|(first, taps)| first + taps.len()).max().unwrap_or(0);
    let row = picture.width() as usize * CHANNELS;
    let width = across.pixels.len() * CHANNELS;
    let mut narrowed = Vec::with_capacity((end - first) * width);
    for samples in samples[first * row..end * row].chunks_exact(row) {
        for (place, taps) in &across.pixels {
            let mut sums = [S::begin(across.bits); CHANNELS];
            let pixels = samples[place * CHANNELS..].chunks_exact(CHANNELS);
            for (pixel, weight) in pixels.zip(&across.weights[taps.clone()]) {
                for (sum, sample) in sums.iter_mut().zip(pixel) {
                    sample.add(*weight, sum);
                }
            }
            narrowed.extend(sums.map(|sum| S::end(sum, across.bits)));
        }
    }
    let mut resized = Vec::with_capacity(down.pixels.len() * width);
    let mut sums = vec![S::begin(down.bits); width];
    for (place, taps) in &down.pixels {
        sums.fill(S::begin(down.bits));
        let rows = narrowed[(place - first) * width..].chunks_exact(width);
        for (row, weight) in rows.zip(&down.weights[taps.clone()]) {
            for (sum, sample) in sums.iter_mut().zip(row) {
                sample.add(*weight, sum);
            }
        }
        resized.extend(sums.iter().map(|&sum| S::end(sum, down.bits)));
    }
    resized
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

impl Filter {
    /// How far from the middle of a new pixel, in new pixels, old ones count.
    fn support(self) -> f64 {
        match self {
            Self::Nearest | Self::Box => 0.5,
            Self::Bilinear | Self::Hamming => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    /// How much an old pixel counts at this distance.
    fn weight(self, distance: f64) -> f64 {
        const A: f64 = -0.5;
        let x = distance.abs();
        let sinc = |x: f64| if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) };
        match self {
            Self::Nearest | Self::Box if distance > -0.5 && distance <= 0.5 => 1.0,
            Self::Bilinear if x < 1.0 => 1.0 - x,
            // Its constants have 32 bits in Pillow, which is seen in the last place.
            Self::Hamming if x < 1.0 => {
                sinc(x) * (f64::from(0.54_f32) + f64::from(0.46_f32) * (x * PI).cos())
            }
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            Self::Lanczos if (-3.0..3.0).contains(&distance) => sinc(x) * sinc(x / 3.0),
            Self::Nearest
            | Self::Box
            | Self::Bilinear
            | Self::Hamming
            | Self::Bicubic
            | Self::Lanczos => 0.0,
        }
    }
}
