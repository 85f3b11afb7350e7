use serde::{Deserialize, Serialize};

use super::TimedLatent;
use crate::picture::Area;

/// How far a patch reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchSizes {
    /// In frames, at least 1.
    pub time: usize,
    /// In rows of cells, at least 1.
    pub height: usize,
    /// In cells of a row, at least 1.
    pub width: usize,
}

/// A block of a clip's latents: a token that knows its moment and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Patch {
    /// When its first frame is seen, in milliseconds.
    pub start_ms: u64,
    /// When its last frame is gone.
    pub end_ms: u64,
    /// Where it lies, in pixels of the source.
    pub area: Area,
    /// `time` x `channels` x `height` x `width`, flattened; as long as [`PatchSizes::dimension`].
    pub vector: Vec<f32>,
}

impl PatchSizes {
    /// Returns how many values a patch has.
    pub fn dimension(&self, channels: usize) -> usize {
        self.time * channels * self.height * self.width
    }
}

impl Default for PatchSizes {
    fn default() -> Self {
        Self { time: 2, height: 2, width: 2 }
    }
}

/// Returns the patches of consecutive latents in the order of time, then rows, then columns. `covered`
/// is the part of the source's picture that a latent shows. Where the clip or the grid is no multiple
/// of the sizes, the last frame, row or column is repeated, and the patch ends where the source does.
/// None for latents of different shapes, and nothing for none.
pub fn patches(latents: &[TimedLatent], sizes: PatchSizes, covered: Area) -> Option<Vec<Patch>> {
    let Some(first) = latents.first() else { return Some(Vec::new()) };
    let [channels, rows, columns] = first.latent.shape();
    if latents.iter().any(|timed| timed.latent.shape() != first.latent.shape()) {
        return None;
    }
    let (time, height, width) = (sizes.time.max(1), sizes.height.max(1), sizes.width.max(1));
    let mut found = Vec::new();
    for group in latents.chunks(time) {
        let last = &group[group.len() - 1];
        for top in (0..rows).step_by(height) {
            for left in (0..columns).step_by(width) {
                let mut vector = Vec::with_capacity(time * channels * height * width);
                for step in 0..time {
                    let latent = &group.get(step).unwrap_or(last).latent;
                    for channel in 0..channels {
                        for row in top..top + height {
                            vector.extend(
                                (left..left + width).map(|column| latent.at(channel, row, column)),
                            );
                        }
                    }
                }
                let (y, high) = stretch(top, height, rows, covered.height);
                let (x, wide) = stretch(left, width, columns, covered.width);
                let area = Area {
                    left: covered.left + x,
                    top: covered.top + y,
                    width: wide,
                    height: high,
                };
                found.push(Patch {
                    start_ms: group[0].start_ms,
                    end_ms: last.end_ms,
                    area,
                    vector,
                });
            }
        }
    }
    Some(found)
}

/// Returns where the cells from `first` on lie among `pixels`, and how many of those they cover.
pub(super) fn stretch(first: usize, cells: usize, of: usize, pixels: u32) -> (u32, u32) {
    let edge = |cell: usize| (cell.min(of) as u64 * u64::from(pixels) / of as u64) as u32;
    let start = edge(first).min(pixels.saturating_sub(1));
    (start, (edge(first + cells) - start.min(edge(first + cells))).max(1))
}
