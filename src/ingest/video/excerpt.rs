//! What an excerpt of a video looks like, stretch by stretch, so that its place can be found.

use super::sampler::Sampler;
use super::{is_damage, nothing_to_see};
use crate::cancel::Cancellation;
use crate::decode::video::Frames;
use crate::embed::{EmbedderHandle, Lane};
use crate::ingest::ItemError;
use crate::vector::Vector;

/// The most stretches of an excerpt: a search for each of them is one answer.
pub(in crate::ingest) const STRETCHES_MAX: usize = 256;
/// Stretches begin so many times in the length of one.
pub(in crate::ingest) const STEPS: u64 = 4;

/// A stretch of an excerpt.
#[derive(Debug, Clone, PartialEq)]
pub struct Stretch {
    /// When it begins, in milliseconds from the start of the excerpt.
    pub start_ms: u64,
    /// What it looks like.
    pub vector: Vector,
}

/// An excerpt as a model sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Excerpt {
    /// Its stretches in their order, overlapping.
    pub stretches: Vec<Stretch>,
    /// How long it lasts, in milliseconds; of one that is too long, what was looked at of it.
    pub length_ms: u64,
    /// How long a stretch lasts at most, as long as a part of a stored video.
    pub window_ms: u64,
    /// What was left out, and why.
    pub warnings: Vec<String>,
}

/// Returns what an excerpt looks like to a model that reads videos or pictures.
///
/// # Errors
/// Invalid input for a model that reads neither, for an excerpt in which there is nothing to see, and
/// for what decoding ends with; what the model says.
pub fn excerpt(
    frames: Frames<'_>,
    embedder: &EmbedderHandle,
    cancel: &Cancellation,
) -> Result<Excerpt, ItemError> {
    let mut sampler = Sampler::new(frames.size(), &[embedder]);
    let window_ms = sampler.window_ms();
    let step_ms = (window_ms / STEPS).max(1);
    let mut excerpt =
        Excerpt { stretches: Vec::new(), length_ms: 0, window_ms, warnings: Vec::new() };
    let mut start_ms = 0;
    for frame in frames {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) if excerpt.length_ms > 0 && is_damage(&error) => {
                excerpt.warnings.push(format!("the excerpt ends early: {error}"));
                break;
            }
            Err(error) => return Err(ItemError::from_error(&error)),
        };
        if frame.start_ms >= start_ms + window_ms {
            excerpt.take(&sampler, embedder, start_ms, cancel)?;
            start_ms += step_ms;
            // An excerpt without frames for a while has no stretches there.
            start_ms = start_ms.max((frame.start_ms + step_ms).saturating_sub(window_ms));
            sampler.forget_before(start_ms);
        }
        if excerpt.stretches.len() >= STRETCHES_MAX {
            let seconds = frame.start_ms as f64 / 1_000.0;
            excerpt.warnings.push(format!("only the first {seconds:.0} s of it were looked at"));
            break;
        }
        excerpt.length_ms = frame.end_ms;
        sampler.see(frame);
    }
    // The last stretch ends with the excerpt; a short one is its only one.
    let is_new = excerpt.stretches.last().is_none_or(|last| last.start_ms < start_ms);
    if is_new && excerpt.stretches.len() < STRETCHES_MAX {
        excerpt.take(&sampler, embedder, start_ms, cancel)?;
    }
    if excerpt.stretches.is_empty() {
        return Err(nothing_to_see());
    }
    Ok(excerpt)
}

impl Excerpt {
    fn take(
        &mut self,
        sampler: &Sampler,
        embedder: &EmbedderHandle,
        start_ms: u64,
        cancel: &Cancellation,
    ) -> Result<(), ItemError> {
        if let Some(vector) = sampler.vector(&sampler.kept(), embedder, Lane::Query, cancel)? {
            self.stretches.push(Stretch { start_ms, vector });
        }
        Ok(())
    }
}
