//! Resizing as Pillow does it: a separable filter whose support grows with the reduction, columns
//! first, rounded to bytes in between, with weights of 22 bits.

use std::borrow::Cow;

/// The fraction of the fixed-point weights: 32 bits less 8 for the sample and 2 for the sum.
const BITS: u32 = 22;

/// Which neighbours a new sample is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
    /// A triangle over one sample to each side.
    Bilinear,
    /// Lanczos's window over three samples to each side.
    Lanczos,
}

impl Filter {
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Lanczos => 3.0,
        }
    }

    fn weight(self, at: f64) -> f64 {
        let sinc = |x: f64| {
            let x = x * std::f64::consts::PI;
            if x == 0.0 { 1.0 } else { x.sin() / x }
        };
        match self {
            Self::Bilinear => (1.0 - at.abs()).max(0.0),
            Self::Lanczos if (-3.0..3.0).contains(&at) => sinc(at) * sinc(at / 3.0),
            Self::Lanczos => 0.0,
        }
    }
}

/// Rows from the top of one or three samples a pixel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Samples<'a> {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) channels: usize,
    pub(super) bytes: Cow<'a, [u8]>,
}

impl Samples<'_> {
    /// Returns the samples resized; both sides at least 1.
    pub(super) fn resized(&self, width: usize, height: usize, filter: Filter) -> Samples<'static> {
        let columns = taps(self.width, width, filter);
        let rows = taps(self.height, height, filter);
        let channels = self.channels;
        let mut narrow = Vec::with_capacity(width * self.height * channels);
        for row in self.bytes.chunks_exact(self.width * channels) {
            for (first, weights) in &columns {
                let pixels = &row[first * channels..];
                match channels {
                    1 => narrow.push(rounded(pixels.iter().zip(weights).map(product).sum())),
                    _ => narrow.extend(sums(pixels, weights).map(rounded)),
                }
            }
        }
        let stride = width * channels;
        let mut bytes = Vec::with_capacity(stride * height);
        let mut line_sums = vec![0_i32; stride];
        for (first, weights) in &rows {
            line_sums.fill(0);
            let lines = narrow[first * stride..].chunks_exact(stride);
            for (line, weight) in lines.zip(weights) {
                for (sum, sample) in line_sums.iter_mut().zip(line) {
                    *sum += product((sample, weight));
                }
            }
            bytes.extend(line_sums.iter().map(|&sum| rounded(sum)));
        }
        Samples { width, height, channels, bytes: bytes.into() }
    }

    /// Returns the samples with each square of `factor` pixels made one, its mean; what is left over
    /// at the right and lower edges is left out.
    pub(super) fn reduced(&self, factor: usize) -> Samples<'static> {
        let (width, height, channels) = (self.width / factor, self.height / factor, self.channels);
        let area = u32::try_from(factor * factor).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(width * height * channels);
        let mut sums = vec![0_u32; width * channels];
        for band in self.bytes.chunks_exact(self.width * channels * factor).take(height) {
            sums.fill(0);
            for row in band.chunks_exact(self.width * channels) {
                for (sums, square) in
                    sums.chunks_exact_mut(channels).zip(row.chunks_exact(channels * factor))
                {
                    for pixel in square.chunks_exact(channels) {
                        for (sum, &sample) in sums.iter_mut().zip(pixel) {
                            *sum += u32::from(sample);
                        }
                    }
                }
            }
            bytes.extend(
                sums.iter().map(|sum| u8::try_from((sum + area / 2) / area).unwrap_or(255)),
            );
        }
        Samples { width, height, channels, bytes: bytes.into() }
    }
}

/// Returns for each new sample of an axis the first old one that it is made of, and their weights.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places in the picture, and weights of about one at most"
)]
fn taps(from: usize, to: usize, filter: Filter) -> Vec<(usize, Vec<i32>)> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let support = filter.support() * stretch;
    let of = |place: usize| {
        let centre = (place as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(from);
        let weight = |at: usize| filter.weight((at as f64 - centre + 0.5) / stretch);
        let weights: Vec<f64> = (first..end).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |weight: f64| {
            let weight = if sum == 0.0 { weight } else { weight / sum };
            let half = if weight < 0.0 { -0.5 } else { 0.5 };
            (weight * f64::from(1_u32 << BITS) + half) as i32
        };
        (first, weights.into_iter().map(fixed).collect())
    };
    (0..to).map(of).collect()
}

/// Returns the weighted sum of each of three channels.
fn sums(pixels: &[u8], weights: &[i32]) -> [i32; 3] {
    let mut sums = [0; 3];
    for (pixel, weight) in pixels.chunks_exact(3).zip(weights) {
        for (sum, sample) in sums.iter_mut().zip(pixel) {
            *sum += product((sample, weight));
        }
    }
    sums
}

fn product((&sample, &weight): (&u8, &i32)) -> i32 {
    i32::from(sample) * weight
}

fn rounded(sum: i32) -> u8 {
    let sample = (sum + (1 << (BITS - 1))) >> BITS;
    u8::try_from(sample.clamp(0, 255)).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(width: usize, height: usize, bytes: &[u8]) -> Samples<'_> {
        Samples { width, height, channels: 1, bytes: bytes.into() }
    }

    #[test]
    fn what_is_of_one_colour_stays_so_and_keeps_its_brightness() {
        for filter in [Filter::Bilinear, Filter::Lanczos] {
            for (width, height) in [(1, 1), (3, 7), (40, 20)] {
                let resized = grey(13, 11, &[77; 143]).resized(width, height, filter);
                assert_eq!(*resized.bytes, vec![77; width * height], "{filter:?}");
            }
        }
        assert_eq!(grey(7, 5, &[9; 35]).reduced(3), grey(2, 1, &[9; 2]));
    }

    #[test]
    fn pixels_are_made_of_those_around_them_in_each_channel_apart() {
        let bytes = Cow::Borrowed(&[0, 10, 255, 100, 30, 255][..]);
        let pair = Samples { width: 2, height: 1, channels: 3, bytes };
        assert_eq!(*pair.resized(1, 1, Filter::Bilinear).bytes, [50, 20, 255]);
        let ramp: Vec<u8> = (0..8).map(|value| value * 30).collect();
        assert_eq!(grey(8, 1, &ramp).reduced(4).bytes.len(), 0, "no whole square");
        let both = [ramp.clone(), ramp].concat();
        let halved = grey(8, 2, &both).reduced(2);
        assert_eq!(*halved.bytes, [15, 75, 135, 195]);
    }
}
