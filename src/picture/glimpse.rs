//! Is one picture cut out of another? Hashes do not tell, since all that they look at has moved; so the
//! one is laid on the other, small, in every size and place.

use super::{Filter, Picture, Samples, hash};

/// The longest side at which pictures are compared, and at which places are looked for first.
const SIDE: u32 = 64;
const COARSE: usize = 32;
/// A part has at least this share of the width.
const SHARE_MIN: f64 = 0.5;
/// A side of a part has at least so many pixels.
const PART_SIDE_MIN: usize = 6;
/// From which correlation on a place is looked at closely, and is the one.
const COARSE_MIN: f32 = 0.8;
const FINE_MIN: f32 = 0.965;
/// How far from the place found first it is looked for closely, in pixels.
const FINE_REACH: usize = 2;
/// What differs less than this from its mean, of 255 steps, has nothing to be told by.
const DEVIATION_MIN: f32 = 8.0;

/// The brightness of a picture, small: what is needed to see whether one is cut out of another.
#[derive(Debug, Clone)]
pub struct Glimpse(Samples<'static>);

/// A place of a part in a whole, from the upper left corner, and how wide the part is there.
#[derive(Debug, Clone, Copy)]
struct Place {
    correlation: f32,
    width: usize,
    left: usize,
    top: usize,
}

impl Glimpse {
    /// Returns how a picture looks, small.
    pub fn of(picture: &Picture) -> Self {
        Self(hash::grey(&picture.fitted(SIDE)))
    }

    /// Returns whether one of the two is cut out of the other, or out of its mirror image: at least half
    /// as wide, and all of it is there.
    pub fn is_cut_out(&self, other: &Self) -> bool {
        let mirrored = Self(hash::mirrored(&other.0));
        [other, &mirrored].into_iter().any(|other| other.shows(self) || self.shows(other))
    }

    /// Returns whether a part is somewhere in this.
    fn shows(&self, part: &Self) -> bool {
        let whole = self.fitted(COARSE);
        let least = (whole.width as f64 * SHARE_MIN).ceil() as usize;
        let found = best(&whole, &part.0, least..=whole.width, |_| true);
        let Some(place) = found.filter(|place| place.correlation >= COARSE_MIN) else {
            return false;
        };
        let times = self.0.width as f64 / whole.width as f64;
        let scaled = |at: usize| (at as f64 * times).round() as usize;
        let width = scaled(place.width);
        let widths = width.saturating_sub(FINE_REACH)..=(width + FINE_REACH).min(self.0.width);
        let (left, top) = (scaled(place.left), scaled(place.top));
        let is_near =
            |at: Place| at.left.abs_diff(left) <= FINE_REACH && at.top.abs_diff(top) <= FINE_REACH;
        best(&self.0, &part.0, widths, is_near).is_some_and(|place| place.correlation >= FINE_MIN)
    }

    fn fitted(&self, side: usize) -> Samples<'static> {
        let longest = self.0.width.max(self.0.height);
        let scaled = |length: usize| (length * side).div_ceil(longest).clamp(1, side);
        self.0.resized(scaled(self.0.width), scaled(self.0.height), Filter::Bilinear)
    }
}

/// Returns where a part correlates best with what it would cover, of these widths.
fn best(
    whole: &Samples<'_>,
    part: &Samples<'_>,
    widths: impl Iterator<Item = usize>,
    is_looked_at: impl Fn(Place) -> bool,
) -> Option<Place> {
    let sums = Sums::new(whole);
    let mut best: Option<Place> = None;
    for width in widths {
        let height = (width * part.height + part.width / 2) / part.width;
        if width.min(height) < PART_SIDE_MIN || height > whole.height || width > whole.width {
            continue;
        }
        let part = part.resized(width, height, Filter::Bilinear);
        let count = (width * height) as f32;
        let mean = part.bytes.iter().map(|&byte| f32::from(byte)).sum::<f32>() / count;
        let part: Vec<f32> = part.bytes.iter().map(|&byte| f32::from(byte) - mean).collect();
        let length = part.iter().map(|value| value * value).sum::<f32>().sqrt();
        let plain = DEVIATION_MIN * count.sqrt();
        if length < plain {
            continue;
        }
        for top in 0..=whole.height - height {
            for left in 0..=whole.width - width {
                let place = Place { correlation: 0.0, width, left, top };
                if !is_looked_at(place) {
                    continue;
                }
                let covered = sums.deviation(left, top, width, height);
                if covered < plain {
                    continue;
                }
                let rows = part.chunks_exact(width).enumerate();
                let product = rows.map(|(row, part)| {
                    let from = (top + row) * whole.width + left;
                    let whole = &whole.bytes[from..from + width];
                    part.iter().zip(whole).map(|(a, &b)| a * f32::from(b)).sum::<f32>()
                });
                let correlation = product.sum::<f32>() / (length * covered);
                if best.is_none_or(|best| correlation > best.correlation) {
                    best = Some(Place { correlation, ..place });
                }
            }
        }
    }
    best
}

/// Sums of all that is above and to the left, and of its squares.
struct Sums {
    width: usize,
    of: Vec<(u32, u64)>,
}

impl Sums {
    fn new(samples: &Samples<'_>) -> Self {
        let width = samples.width + 1;
        let mut of = vec![(0, 0); width * (samples.height + 1)];
        for (row, bytes) in samples.bytes.chunks_exact(samples.width).enumerate() {
            let (mut sum, mut squares) = (0, 0);
            for (column, &byte) in bytes.iter().enumerate() {
                sum += u32::from(byte);
                squares += u64::from(byte) * u64::from(byte);
                let above = of[row * width + column + 1];
                of[(row + 1) * width + column + 1] = (above.0 + sum, above.1 + squares);
            }
        }
        Self { width, of }
    }

    /// Returns the length of what a rectangle differs from its mean by.
    fn deviation(&self, left: usize, top: usize, width: usize, height: usize) -> f32 {
        let at = |row: usize, column: usize| self.of[row * self.width + column];
        let corners = [
            at(top + height, left + width),
            at(top, left),
            at(top, left + width),
            at(top + height, left),
        ];
        let sum = f64::from(corners[0].0 + corners[1].0 - corners[2].0 - corners[3].0);
        let squares = (corners[0].1 + corners[1].1 - corners[2].1 - corners[3].1) as f64;
        #[expect(clippy::cast_possible_truncation, reason = "a root of at most 2^28")]
        let deviation = (squares - sum * sum / (width * height) as f64).max(0.0).sqrt() as f32;
        deviation
    }
}

#[cfg(test)]
mod tests {
    use super::super::Area;
    use super::*;

    /// A scene of blots that no two seeds share.
    fn scene(seed: u32) -> Picture {
        let blot = |number: u32| {
            let chance = |salt: u32| {
                // Mixed well (as SplitMix64 does it), or scenes would be each other, shifted.
                let mut mixed = u64::from(seed * 1_000_000 + number * 1_000 + salt);
                mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
                f64::from((mixed >> 40 & 0xFF) as u8) / 255.0
            };
            (chance(1), chance(2), 0.05 + 0.15 * chance(3), 200.0 * chance(4) - 100.0)
        };
        let blots: Vec<_> = (0..24).map(blot).collect();
        let samples = (0..240).flat_map(|y| (0..320).map(move |x| (x, y))).flat_map(|(x, y)| {
            let (x, y) = (f64::from(x) / 320.0, f64::from(y) / 320.0);
            let light = blots.iter().map(|&(at_x, at_y, wide, strong)| {
                let away = ((x - at_x).powi(2) + (y - at_y).powi(2)) / (wide * wide);
                strong * (-away).exp()
            });
            [(light.sum::<f64>() + 128.0).clamp(0.0, 255.0) as u8; 3]
        });
        Picture::new(320, 240, samples.collect()).unwrap()
    }

    #[test]
    fn what_is_cut_out_is_found_wherever_it_lay_and_strangers_are_not() {
        let areas = [(0, 0, 250, 190), (60, 40, 200, 150), (150, 90, 170, 150), (20, 0, 300, 120)];
        for seed in 1..6 {
            let whole = Glimpse::of(&scene(seed));
            for (left, top, width, height) in areas {
                let part = scene(seed).crop(Area { left, top, width, height }).unwrap();
                let part = Glimpse::of(&part.fitted(120));
                assert!(whole.is_cut_out(&part) && part.is_cut_out(&whole), "{seed} {left}");
                let stranger = Glimpse::of(&scene(seed + 7));
                assert!(!stranger.is_cut_out(&part), "{seed} {left}");
                let mirrored = Glimpse(hash::mirrored(&part.0));
                assert!(whole.is_cut_out(&mirrored), "{seed} {left} mirrored");
            }
        }
    }

    #[test]
    fn what_is_plain_is_cut_out_of_nothing() {
        let plain = Glimpse::of(&Picture::new(80, 60, vec![120; 80 * 60 * 3]).unwrap());
        assert!(!plain.is_cut_out(&plain) && !Glimpse::of(&scene(3)).is_cut_out(&plain));
        let point = Glimpse::of(&Picture::new(1, 1, vec![0; 3]).unwrap());
        assert!(!point.is_cut_out(&plain));
    }
}
