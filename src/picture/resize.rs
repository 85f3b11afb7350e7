//! How is a picture resized as Pillow and torchvision do it?
//!
//! Both are the same separable filter: the support grows with the reduction, columns are made first, and
//! the weights of a pixel add up to one. They differ in the arithmetic. Only the stretch of the result that
//! is wanted is computed, so that a picture of one row costs no more than others.

use std::f64::consts::PI;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// The fraction of Pillow's fixed-point weights: 32 bits less 8 for the sample and 2 for the sum.
pub(crate) const PILLOW_BITS: u32 = 22;

/// What a new pixel is made of old ones by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// The one old pixel under its middle.
    Nearest,
    /// The mean over its area.
    Box,
    /// A triangle.
    Bilinear,
    /// A sinc under the window of Hamming.
    Hamming,
    /// The cubic of Keys (1981) with a = -1/2.
    Bicubic,
    /// A sinc under a sinc, three zeros wide.
    Lanczos,
}

/// One direction of a resize.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    /// How many pixels there are.
    pub(crate) from: u32,
    /// How many there would be after it.
    pub(crate) to: u64,
    /// Those of them that are wanted.
    pub(crate) wanted: Range<u64>,
}

/// For each wanted pixel of an axis the old ones that it is made of.
pub(crate) struct Taps<W> {
    /// The first of them, and where their weights are.
    pixels: Vec<(usize, Range<usize>)>,
    weights: Vec<W>,
    /// The fraction of fixed-point weights.
    bits: u32,
}

impl Taps<f64> {
    /// Returns how each wanted pixel is made, the weights adding up to one.
    pub(crate) fn of(axis: &Axis, filter: Filter) -> Self {
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

    /// Returns the same with fixed-point weights of so many bits of fraction.
    pub(crate) fn fixed(&self, bits: u32) -> Taps<i32> {
        #[expect(clippy::cast_possible_truncation, reason = "a weight is about one at most")]
        let round = |weight: &f64| {
            let half = if *weight < 0.0 { -0.5 } else { 0.5 };
            (weight * f64::from(1_u32 << bits) + half) as i32
        };
        self.with(self.weights.iter().map(round).collect(), bits)
    }

    /// Returns the same with weights of single precision.
    pub(crate) fn float(&self) -> Taps<f32> {
        #[expect(clippy::cast_possible_truncation, reason = "as torch computes")]
        self.with(self.weights.iter().map(|&weight| weight as f32).collect(), 0)
    }

    /// Returns the largest weight.
    pub(crate) fn largest(&self) -> f64 {
        self.weights.iter().copied().fold(0.0, f64::max)
    }

    fn with<W>(&self, weights: Vec<W>, bits: u32) -> Taps<W> {
        Taps { pixels: self.pixels.clone(), weights, bits }
    }
}

/// Samples that weighted sums are made of.
pub(crate) trait Sample: Copy {
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

/// Makes the columns, of the rows that are needed, and of these the rows; rows of `width` pixels of
/// `CHANNELS` samples.
pub(crate) fn passes<S: Sample, const CHANNELS: usize>(
    samples: &[S],
    width: usize,
    across: &Taps<S::Weight>,
    down: &Taps<S::Weight>,
) -> Vec<S> {
    let first = down.pixels.iter().map(|(first, _)| *first).min().unwrap_or(0);
    let end = down.pixels.iter().map(|(first, taps)| first + taps.len()).max().unwrap_or(0);
    let row = width * CHANNELS;
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
