//! What an excerpt of a sound is like, stretch by stretch, so that its place can be found.

use super::stretches::{Stretches, milliseconds};
use super::{heard, is_damage, nothing_to_hear};
use crate::cancel::Cancellation;
use crate::decode::sound::Sounds;
use crate::embed::{EmbedderHandle, Lane, Modality};
use crate::ingest::video::{STEPS, STRETCHES_MAX};
use crate::ingest::{Excerpt, ItemError, Stretch};

/// Returns what an excerpt sounds like to a model.
///
/// # Errors
/// Invalid input for a model that reads no sounds, for an excerpt in which there is nothing to hear, and
/// for what decoding ends with; what the model says.
pub fn sound_excerpt(
    sounds: Sounds<'_>,
    embedder: &EmbedderHandle,
    cancel: &Cancellation,
) -> Result<Excerpt, ItemError> {
    let refused = |error| ItemError::from_error(&error);
    embedder.specification().require(Modality::Sound).map_err(refused)?;
    let (window_ms, _) = embedder.listens_to().unwrap_or((1, 1));
    let mut stretches = Stretches::every(window_ms, (window_ms / STEPS).max(1));
    let mut excerpt =
        Excerpt { stretches: Vec::new(), length_ms: 0, window_ms, warnings: Vec::new() };
    for block in sounds {
        let block = match block {
            Ok(block) => block,
            Err(error) if stretches.heard() > 0 && is_damage(&error) => {
                excerpt.warnings.push(format!("the excerpt ends early: {error}"));
                break;
            }
            Err(error) => return Err(ItemError::from_error(&error)),
        };
        stretches.hear(&block);
        while let Some(stretch) = stretches.next() {
            if excerpt.stretches.len() >= STRETCHES_MAX {
                break;
            }
            let vector = heard(stretch.samples, embedder, Lane::Query, cancel)?;
            let start_ms = stretch.start_ms;
            excerpt.stretches.extend(vector.map(|vector| Stretch { start_ms, vector }));
        }
        excerpt.length_ms = milliseconds(stretches.heard());
        if excerpt.stretches.len() >= STRETCHES_MAX {
            let seconds = excerpt.length_ms as f64 / 1_000.0;
            excerpt.warnings.push(format!("only the first {seconds:.0} s of it were listened to"));
            return Ok(excerpt);
        }
    }
    // A short one is its only stretch.
    if let Some(stretch) = stretches.last() {
        let vector = heard(stretch.samples, embedder, Lane::Query, cancel)?;
        let start_ms = stretch.start_ms;
        excerpt.stretches.extend(vector.map(|vector| Stretch { start_ms, vector }));
    }
    if excerpt.stretches.is_empty() {
        return Err(nothing_to_hear());
    }
    Ok(excerpt)
}
