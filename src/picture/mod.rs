//! What does one still picture look like?
//!
//! Decoders make pictures of files and of the frames of videos; embedders read them. Neither knows
//! the other, so what they share stands here.

mod glimpse;
mod hash;
mod resample;
pub(crate) mod resize;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use glimpse::Glimpse;
pub use hash::{Likeness, PerceptualHash, sharpness};
use resample::Samples;
pub use resize::Filter;

/// An upright picture in sRGB, 8 bits a channel, red, green, blue.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    samples: Vec<u8>,
}

/// A rectangle of a picture, in pixels from its upper left corner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Area {
    /// From the left edge.
    pub left: u32,
    /// From the upper edge.
    pub top: u32,
    /// How wide; at least 1.
    pub width: u32,
    /// How high; at least 1.
    pub height: u32,
}

impl Picture {
    /// Returns a picture of these samples: rows from the top, three bytes a pixel. None if there is
    /// no pixel, or their number is not what the size says.
    pub fn new(width: u32, height: u32, samples: Vec<u8>) -> Option<Self> {
        let expected = (width as usize).checked_mul(height as usize)?.checked_mul(3)?;
        (expected > 0 && samples.len() == expected).then_some(Self { width, height, samples })
    }

    /// Returns how many pixels a row has; at least 1.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Returns how many rows there are; at least 1.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Returns the samples: `height` rows of `width` pixels of 3 bytes.
    pub fn samples(&self) -> &[u8] {
        &self.samples
    }

    /// Returns the samples of a row, counted from the top.
    ///
    /// # Panics
    /// There is no such row.
    pub fn row(&self, row: u32) -> &[u8] {
        let bytes = self.width as usize * 3;
        &self.samples[row as usize * bytes..][..bytes]
    }

    /// Returns what lies in an area; none if the area is empty or reaches outside.
    pub fn crop(&self, area: Area) -> Option<Self> {
        let right = area.left.checked_add(area.width)?;
        let bottom = area.top.checked_add(area.height)?;
        if right > self.width || bottom > self.height {
            return None;
        }
        let columns = area.left as usize * 3..right as usize * 3;
        let samples =
            (area.top..bottom).flat_map(|row| &self.row(row)[columns.clone()]).copied().collect();
        Self::new(area.width, area.height, samples)
    }

    /// Returns the picture made so small that no side is longer than this; one that is small already
    /// stays as it is.
    #[must_use]
    pub fn fitted(&self, side_max: u32) -> Self {
        let side_max = side_max.max(1);
        let longest = self.width.max(self.height);
        if longest <= side_max {
            return self.clone();
        }
        let scaled = |side: u32| {
            let side = (u64::from(side) * u64::from(side_max)).div_ceil(longest.into());
            u32::try_from(side).unwrap_or(side_max).clamp(1, side_max)
        };
        let (width, height) = (scaled(self.width), scaled(self.height));
        let whole = Samples {
            width: self.width as usize,
            height: self.height as usize,
            channels: 3,
            bytes: self.samples.as_slice().into(),
        };
        // By whole steps to about twice the size, which is quick, and the rest with care.
        let factor = (longest / (2 * side_max)).min(self.width.min(self.height)) as usize;
        let whole = if factor > 1 { whole.reduced(factor) } else { whole };
        let small = whole.resized(width as usize, height as usize, Filter::Bilinear);
        Self { width, height, samples: small.bytes.into_owned() }
    }
}

/// Pixels would flood a message.
impl fmt::Debug for Picture {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Picture({} x {})", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        Picture::new(3, 2, (0..18).collect()).unwrap()
    }

    #[test]
    fn samples_have_to_fill_the_size() {
        assert!(Picture::new(2, 2, vec![0; 11]).is_none());
        assert!(Picture::new(0, 2, vec![]).is_none());
        assert!(Picture::new(u32::MAX, u32::MAX, vec![]).is_none());
    }

    #[test]
    fn a_fitted_picture_keeps_its_shape_and_a_small_one_all() {
        let gradient = (0..900).flat_map(|y| (0..1_600).map(move |x| (x, y)));
        let samples = gradient
            .flat_map(|(x, y)| [u8::try_from(x / 7).unwrap(), u8::try_from(y / 4).unwrap(), 50]);
        let large = Picture::new(1_600, 900, samples.collect()).unwrap();
        let small = large.fitted(256);
        assert_eq!((small.width(), small.height()), (256, 144));
        let middle = &small.row(72)[128 * 3..][..3];
        assert!(middle[0].abs_diff(114) <= 2 && middle[1].abs_diff(112) <= 2, "{middle:?}");
        assert_eq!(picture().fitted(256), picture());
        let line = Picture::new(4_000, 1, vec![9; 12_000]).unwrap().fitted(100);
        assert_eq!((line.width(), line.height(), line.samples()[0]), (100, 1, 9));
    }

    #[test]
    fn a_crop_takes_the_rows_and_columns_of_its_area_or_nothing() {
        let area = |left, top, width, height| Area { left, top, width, height };
        let crop = picture().crop(area(1, 0, 2, 2)).unwrap();
        assert_eq!((crop.width(), crop.height()), (2, 2));
        assert_eq!(crop.samples(), [3, 4, 5, 6, 7, 8, 12, 13, 14, 15, 16, 17]);
        for outside in [area(2, 0, 2, 1), area(0, 0, 0, 1), area(u32::MAX, 0, 1, 1)] {
            assert_eq!(picture().crop(outside), None, "{outside:?}");
        }
    }
}
