//! Samples of one or three channels, made fewer.

use std::borrow::Cow;

use super::resize::{Axis, Filter, PILLOW_BITS, Taps, passes};

/// Rows from the top of one or three samples a pixel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Samples<'a> {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) channels: usize,
    pub(super) bytes: Cow<'a, [u8]>,
}

impl Samples<'_> {
    /// Returns the samples resized as Pillow does it; both sides at least 1.
    pub(super) fn resized(&self, width: usize, height: usize, filter: Filter) -> Samples<'static> {
        let taps = |from: usize, to: usize| {
            let to = to as u64;
            let from = u32::try_from(from).unwrap_or(u32::MAX);
            Taps::of(&Axis { from, to, wanted: 0..to }, filter).fixed(PILLOW_BITS)
        };
        let (across, down) = (taps(self.width, width), taps(self.height, height));
        let channels = self.channels;
        let bytes = match channels {
            1 => passes::<u8, 1>(&self.bytes, self.width, &across, &down),
            _ => passes::<u8, 3>(&self.bytes, self.width, &across, &down),
        };
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
