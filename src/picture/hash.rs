//! Do two pictures look the same? Fingerprints of what is seen, which stay nearly what they are when a
//! picture is saved again, smaller or with less care.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use super::resample::Samples;
use super::{Filter, Picture};

/// The rows and columns of a hash.
const SIDE: usize = 8;
/// The sides of the picture whose slow changes are looked at.
const SEEN: usize = 32;
/// The bits of each hash.
const BITS: u32 = 64;
/// How far the hashes of one picture, saved in two ways, are apart at most.
const PHASH_MAX: u32 = 10;
const DHASH_MAX: u32 = 12;
/// No side is longer than this where sharpness is measured, so that a small copy has no advantage.
const SHARP_SIDE_MAX: u32 = 512;
/// A picture with fewer changes than half as many as there are bits has nothing to be told by.
const PLAIN_BITS: u32 = 24;

/// The two perceptual hashes of a picture, 64 bits each, row by row, the first bit the highest. Two
/// pictures are compared by the number of bits in which their hashes differ. Persisted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PerceptualHash {
    /// Which of the 64 slowest changes of brightness (a discrete cosine transform of 32 by 32 pixels)
    /// are above their median; pHash, as Hacker Factor, 2011, "Looks Like It", has it.
    pub phash: u64,
    /// Where brightness rises from one of 9 columns to the next, in 8 rows; dHash, as Hacker Factor,
    /// 2013, "Kind of Like That", has it.
    pub dhash: u64,
}

/// The hashes of a picture as it is and as a mirror shows it. Persisted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Likeness {
    /// As it is.
    pub upright: PerceptualHash,
    /// With left for right.
    pub mirrored: PerceptualHash,
}

impl Likeness {
    /// Returns the hashes of a picture.
    pub fn of(picture: &Picture) -> Self {
        let grey = grey(picture);
        let seen = grey.resized(SEEN, SEEN, Filter::Lanczos);
        let steps = grey.resized(SIDE + 1, SIDE, Filter::Lanczos);
        let of = |seen: &Samples<'_>, steps: &Samples<'_>| PerceptualHash {
            phash: phash(&seen.bytes),
            dhash: dhash(&steps.bytes),
        };
        Self { upright: of(&seen, &steps), mirrored: of(&mirrored(&seen), &mirrored(&steps)) }
    }

    /// Returns whether the two are of one picture, saved in different ways, scaled or mirrored. What is
    /// similar in any other way is not; a picture of one colour is like no other.
    pub fn is_same(&self, other: &Self) -> bool {
        let is_plain = |hash: &PerceptualHash| hash.phash.count_ones() < PLAIN_BITS;
        let is_near = |a: &PerceptualHash, b: &PerceptualHash| {
            (a.phash ^ b.phash).count_ones() <= PHASH_MAX
                && (a.dhash ^ b.dhash).count_ones() <= DHASH_MAX
        };
        !is_plain(&self.upright)
            && !is_plain(&other.upright)
            && (is_near(&self.upright, &other.upright) || is_near(&self.upright, &other.mirrored))
    }
}

/// Returns how sharp a picture is: the standard deviation of how much the brightness of a pixel differs
/// from its four neighbours together (the Laplacian; Pech-Pacheco et al. 2000), in steps of 1/255. To be
/// compared between pictures of one scene only.
pub fn sharpness(picture: &Picture) -> f64 {
    let grey = grey(&picture.fitted(SHARP_SIDE_MAX));
    let (width, bytes) = (grey.width, &grey.bytes);
    let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0_f64);
    for row in 1..grey.height.saturating_sub(1) {
        for at in row * width + 1..(row + 1) * width - 1 {
            let of = |at: usize| f64::from(bytes[at]);
            let beside = of(at - 1) + of(at + 1) + of(at - width) + of(at + width);
            let differs = beside - 4.0 * of(at);
            sum += differs;
            squares += differs * differs;
            count += 1.0;
        }
    }
    if count == 0.0 {
        return 0.0;
    }
    (squares / count - (sum / count).powi(2)).max(0.0).sqrt()
}

/// Returns the brightness of each pixel, ITU-R 601-2, as Pillow rounds it.
pub(super) fn grey(picture: &Picture) -> Samples<'static> {
    let brightness = |pixel: &[u8]| {
        let [red, green, blue] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
        let sum = red * 19_595 + green * 38_470 + blue * 7_471 + 0x8000;
        u8::try_from(sum >> 16).unwrap_or(u8::MAX)
    };
    Samples {
        width: picture.width() as usize,
        height: picture.height() as usize,
        channels: 1,
        bytes: picture.samples().chunks_exact(3).map(brightness).collect(),
    }
}

pub(super) fn mirrored(samples: &Samples<'static>) -> Samples<'static> {
    let rows = samples.bytes.chunks_exact(samples.width);
    Samples { bytes: rows.flat_map(|row| row.iter().rev()).copied().collect(), ..samples.clone() }
}

fn phash(seen: &[u8]) -> u64 {
    let waves: Vec<[f64; SEEN]> = (0..SIDE)
        .map(|slow| {
            let angle = |place: usize| PI * slow as f64 * (2 * place + 1) as f64;
            std::array::from_fn(|place| (angle(place) / (2 * SEEN) as f64).cos())
        })
        .collect();
    let columns: Vec<Vec<f64>> = waves
        .iter()
        .map(|wave| {
            let sum = |column: usize| {
                let column = seen.iter().skip(column).step_by(SEEN);
                column.zip(wave).map(|(&sample, wave)| f64::from(sample) * wave).sum()
            };
            (0..SEEN).map(sum).collect()
        })
        .collect();
    let amounts: Vec<f64> = columns
        .iter()
        .flat_map(|column| {
            waves.iter().map(|wave| column.iter().zip(wave).map(|(sum, wave)| sum * wave).sum())
        })
        .collect();
    let mut sorted = amounts.clone();
    sorted.sort_by(f64::total_cmp);
    let median = f64::midpoint(sorted[sorted.len() / 2 - 1], sorted[sorted.len() / 2]);
    bits(amounts.into_iter().map(|amount| amount > median))
}

fn dhash(steps: &[u8]) -> u64 {
    bits(steps.chunks_exact(SIDE + 1).flat_map(|row| row.windows(2)).map(|two| two[1] > two[0]))
}

fn bits(bits: impl Iterator<Item = bool>) -> u64 {
    bits.take(BITS as usize).fold(0, |hash, bit| hash << 1 | u64::from(bit))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waves of three lengths, seen a little off the middle.
    fn waves(width: u32, height: u32) -> Picture {
        let samples = (0..height).flat_map(|y| {
            (0..width).flat_map(move |x| {
                let (x, y) = (f64::from(x) / f64::from(width), f64::from(y) / f64::from(height));
                let value = (7.0 * x + 3.0 * y).sin() + (5.0 * y * y).cos() + (11.0 * x * y).sin();
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "-3 to 3"
                )]
                let sample = (value * 40.0 + 127.0) as u8;
                [sample, 255 - sample, sample / 2]
            })
        });
        Picture::new(width, height, samples.collect()).unwrap()
    }

    fn apart(a: &PerceptualHash, b: &PerceptualHash) -> (u32, u32) {
        ((a.phash ^ b.phash).count_ones(), (a.dhash ^ b.dhash).count_ones())
    }

    #[test]
    fn a_picture_of_another_size_or_mirrored_is_the_same_picture() {
        let large = Likeness::of(&waves(640, 480));
        let small = Likeness::of(&waves(97, 71));
        let (phash, dhash) = apart(&large.upright, &small.upright);
        assert!(phash <= 2 && dhash <= 3, "{phash} {dhash}");
        assert!(large.is_same(&small));
        let picture = waves(320, 240);
        let rows = (0..picture.height()).map(|row| picture.row(row));
        let mirrored = rows.flat_map(|row| row.chunks_exact(3).rev().flatten()).copied().collect();
        let mirrored = Likeness::of(&Picture::new(320, 240, mirrored).unwrap());
        assert!(!large.upright.eq(&mirrored.upright) && large.is_same(&mirrored));
        assert!(mirrored.is_same(&large));
    }

    #[test]
    fn a_picture_with_less_detail_is_less_sharp_and_size_alone_changes_little() {
        let large = squares(1_024);
        let blurred = enlarged(&large.fitted(60), 1_024);
        assert!(sharpness(&large) > 1.5 * sharpness(&blurred));
        let twice = sharpness(&large) / sharpness(&squares(512));
        assert!((0.5..1.5).contains(&twice), "{twice}");
        let line = Picture::new(9, 1, vec![7; 27]).unwrap();
        assert_eq!((sharpness(&line), sharpness(&line.fitted(1))), (0.0, 0.0));
    }

    /// Black and white squares, 16 by 16.
    fn squares(side: u32) -> Picture {
        let is_white = |x: u32, y: u32| (x * 16 / side + y * 16 / side).is_multiple_of(2);
        let pixels = (0..side).flat_map(|y| (0..side).map(move |x| is_white(x, y)));
        let samples = pixels.flat_map(|white| [if white { 250 } else { 5 }; 3]).collect();
        Picture::new(side, side, samples).unwrap()
    }

    /// The picture made larger, without anything being added to it.
    fn enlarged(picture: &Picture, side: usize) -> Picture {
        let whole = Samples {
            width: picture.width() as usize,
            height: picture.height() as usize,
            channels: 3,
            bytes: picture.samples().into(),
        };
        let bytes = whole.resized(side, side, Filter::Bilinear).bytes.into_owned();
        Picture::new(side as u32, side as u32, bytes).unwrap()
    }

    #[test]
    fn pictures_of_one_colour_are_like_no_other() {
        let plain = |value| Likeness::of(&Picture::new(40, 40, vec![value; 4_800]).unwrap());
        assert!(!plain(0).is_same(&plain(0)) && !plain(0).is_same(&plain(200)));
        assert!(!plain(90).is_same(&Likeness::of(&waves(64, 64))));
    }
}
