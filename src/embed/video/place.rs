use std::ops::Range;
use std::sync::Arc;

use super::patch::stretch;
use super::{Latent, PatchSizes, SpacetimeOutput};
use crate::cancel::Cancellation;
use crate::embed::{EmbedError, EmbedderHandle, Lane};
use crate::picture::{Area, Picture};
use crate::vector::{MultiVector, Vector, VectorError};

/// Where a patch of a multivector lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchPlace {
    /// When it is seen, in milliseconds from the start of the video; none in a still picture. Told by its
    /// place among the patches: the stretch is divided evenly.
    pub time: Option<Range<u64>>,
    /// Where, in pixels of the picture.
    pub area: Area,
}

/// Returns vectors of patches as one multivector, each of length one; one in which there is nothing
/// stays nothing, so that each keeps its place. None if there is nothing in any of them.
///
/// # Errors
/// [`VectorError`] (invalid input) for too many of them, or one that is not finite.
pub fn multivector(
    rows: impl IntoIterator<Item = Vec<f32>>,
) -> Result<Option<MultiVector>, VectorError> {
    let mut is_seen = false;
    let rows = rows.into_iter().map(|mut row| {
        let length = row.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
        if length > f64::from(f32::MIN_POSITIVE) {
            is_seen = true;
            row.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
        } else {
            row.fill(0.0);
        }
        row
    });
    let rows: Vec<Vec<f32>> = rows.collect();
    if !is_seen {
        return Ok(None);
    }
    MultiVector::from_rows(rows).map(Some)
}

impl EmbedderHandle {
    /// Returns whether the model keeps the patches of clips and pictures apart, so that each of its
    /// vectors is a place.
    pub fn has_places(&self) -> bool {
        self.spacetime().is_some_and(|settings| settings.output == SpacetimeOutput::Patches)
    }

    /// Returns where the patch of a row of a multivector of `count` vectors lies. `time` is when the clip
    /// is seen, and `whole` the picture. None if the model keeps no patches, or makes no so many of them.
    pub fn patch_place(
        &self,
        row: usize,
        count: usize,
        time: Option<&Range<u64>>,
        whole: Area,
    ) -> Option<PatchPlace> {
        let settings = self.spacetime().filter(|_| self.has_places())?;
        let grid = self.grid()?;
        let (down, across) = settings.patches_across(grid);
        let moment = down * across;
        if count == 0 || !count.is_multiple_of(moment) || row >= count {
            return None;
        }
        let (steps, step) = (count / moment, row / moment);
        let (top, left) = (row % moment / across, row % across);
        let covered = self.covered(whole);
        let PatchSizes { height, width, .. } = settings.patch;
        let (y, high) = stretch(top * height, height, grid.rows, covered.height);
        let (x, wide) = stretch(left * width, width, grid.columns, covered.width);
        let time = time.map(|time| {
            let length = time.end.saturating_sub(time.start);
            let at = |step: usize| time.start + length * step as u64 / steps as u64;
            at(step)..at(step + 1)
        });
        let (left, top) = (covered.left + x, covered.top + y);
        Some(PatchPlace { time, area: Area { left, top, width: wide, height: high } })
    }

    /// Returns the vector of a part of a picture; waits for it. A model that keeps patches apart sees
    /// the whole picture, and the patches in the part are asked with, wherever between those that are
    /// stored they lie; any other sees the part alone. None for a part in which there is nothing to be
    /// seen, and for an area that does not lie in the picture.
    ///
    /// # Errors
    /// As [`Self::embed_pictures`].
    pub fn embed_area(
        &self,
        picture: &Arc<Picture>,
        area: Area,
        lane: Lane,
        cancel: &Cancellation,
    ) -> Result<Option<Vector>, EmbedError> {
        let Some(part) = picture.crop(area) else { return Ok(None) };
        let first = |embedded: crate::embed::Embedded| {
            embedded.embeddings.into_iter().next().and_then(|embedding| embedding.vector)
        };
        let Some(settings) = self.spacetime().filter(|_| self.has_places()) else {
            return Ok(first(self.embed_pictures(&[Arc::new(part)], lane, cancel)?));
        };
        let Some(grid) = self.grid() else { return Ok(None) };
        let latents = self.embed_latents(std::slice::from_ref(picture), lane, cancel)?;
        let latent = first(latents).and_then(|vector| super::clip::latent_of(vector, grid));
        let Some(latent) = latent else { return Ok(None) };
        let (width, height) = (picture.width(), picture.height());
        let covered = self.covered(Area { left: 0, top: 0, width, height });
        let rows = patches_in(&latent, settings.patch, covered, area);
        Ok(multivector(rows)?.map(Vector::from))
    }
}

/// Returns the patches of a still latent whose middle lies in an area, from every cell on; or, if there
/// is none, the one that is nearest to the middle of the area.
pub(super) fn patches_in(
    latent: &Latent,
    sizes: PatchSizes,
    covered: Area,
    area: Area,
) -> Vec<Vec<f32>> {
    let [channels, rows, columns] = latent.shape();
    let PatchSizes { time, height, width } = sizes;
    let (height, width) = (height.clamp(1, rows), width.clamp(1, columns));
    let pixel = |start: u32, cells: f64, of: usize, pixels: u32| {
        f64::from(start) + cells / of as f64 * f64::from(pixels)
    };
    let middle_of = |top: usize, left: usize| {
        let x = pixel(covered.left, left as f64 + width as f64 / 2.0, columns, covered.width);
        let y = pixel(covered.top, top as f64 + height as f64 / 2.0, rows, covered.height);
        (x, y)
    };
    let (x, y) = (f64::from(area.left), f64::from(area.top));
    let (right, bottom) = (x + f64::from(area.width), y + f64::from(area.height));
    let middle = (f64::midpoint(x, right), f64::midpoint(y, bottom));
    let mut inside = Vec::new();
    let mut nearest = (f64::INFINITY, (0, 0));
    for top in 0..=rows - height {
        for left in 0..=columns - width {
            let (at_x, at_y) = middle_of(top, left);
            if (x..right).contains(&at_x) && (y..bottom).contains(&at_y) {
                inside.push((top, left));
            }
            let far = (at_x - middle.0).hypot(at_y - middle.1);
            if far < nearest.0 {
                nearest = (far, (top, left));
            }
        }
    }
    if inside.is_empty() {
        inside.push(nearest.1);
    }
    let patch = |(top, left): (usize, usize)| {
        let mut still = Vec::with_capacity(sizes.dimension(channels));
        for channel in 0..channels {
            for row in top..top + sizes.height.max(1) {
                let columns = left..left + sizes.width.max(1);
                still.extend(columns.map(|column| latent.at(channel, row, column)));
            }
        }
        still.repeat(time.max(1))
    };
    inside.into_iter().map(patch).collect()
}
