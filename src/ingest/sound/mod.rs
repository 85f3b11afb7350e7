//! What becomes of a sound: a part for each stretch of it, with the vectors of those who hear.
//!
//! Samples are decoded, listened to and let go; no more of them are held than a stretch has, so a long
//! recording takes no more memory than a short one. Stretches lie over each other, so that what lies across
//! the end of one is in the middle of the next.

mod excerpt;
mod stretches;

pub use excerpt::sound_excerpt;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use self::stretches::{Stretch, Stretches, milliseconds};
use super::ItemError;
use super::picture;
use super::prepare::PrepareContext;
use crate::cancel::Cancellation;
use crate::decode::DecodeError;
use crate::decode::sound::{SAMPLE_RATE, SoundFacts, Sounds};
use crate::document::{Part, Payload, Span, Value};
use crate::embed::sound::SOUND_RATE;
use crate::embed::{EmbedderHandle, Lane, Modality};
use crate::error::ErrorKind;
use crate::vector::Vector;

const _: () = assert!(SAMPLE_RATE == SOUND_RATE, "samples are decoded as they are heard");

/// The most stretches of a sound, which is stored in one batch: nine hours a second apart.
const STRETCHES_MAX: usize = 32_768;
/// What is softer than this, as a share of full scale (the root of the mean square), is silence: 70 dB
/// below it.
const SILENCE: f64 = 0.000_316;

/// What was made of a sound.
#[derive(Debug)]
pub(super) struct SoundParts {
    /// In the order of time.
    pub(super) parts: Vec<Part>,
    /// What was left out, and why.
    pub(super) warnings: Vec<String>,
    /// The title it gives itself.
    pub(super) title: Option<String>,
    /// What else it says of itself.
    pub(super) metadata: Payload,
    /// How long embedding took, waiting for the models included.
    pub(super) embed: Duration,
}

/// Cuts a sound into stretches and embeds them as they come.
///
/// # Errors
/// Unsupported if nothing in the collection hears; invalid input for a sound in which there is nothing to
/// hear, and for what decoding ends with; what the models say.
pub(super) fn cut_sound(
    mut sounds: Sounds<'_>,
    context: &PrepareContext,
    cancel: &Cancellation,
) -> Result<SoundParts, ItemError> {
    picture::require(context, Modality::Sound)?;
    let readers: Vec<(&str, &EmbedderHandle)> =
        picture::readers(context, Modality::Sound).collect();
    let mut stretches = Stretches::of(&readers);
    let mut work = Work { readers, parts: Vec::new(), embed: Duration::ZERO, cancel };
    let mut warnings = Vec::new();
    for block in &mut sounds {
        let block = match block {
            Ok(block) => block,
            // What was heard until then is worth keeping.
            Err(error) if stretches.heard() > 0 && is_damage(&error) => {
                warnings.push(format!("the sound ends early: {error}"));
                break;
            }
            Err(error) => return Err(ItemError::from_error(&error)),
        };
        stretches.hear(&block);
        while let Some(stretch) = stretches.next() {
            work.take(&stretch)?;
        }
        if work.parts.len() >= STRETCHES_MAX {
            let seconds = milliseconds(stretches.heard()) as f64 / 1_000.0;
            warnings.push(format!("only the first {seconds:.0} s of it were listened to"));
            break;
        }
    }
    if let Some(stretch) = stretches.last() {
        work.take(&stretch)?;
    }
    let Work { parts, embed, .. } = work;
    let length_ms = milliseconds(stretches.heard());
    if parts.is_empty() {
        return Err(nothing_to_hear());
    }
    let silent_ms = length_ms.saturating_sub(covered(&parts));
    if silent_ms > 0 {
        let seconds = silent_ms as f64 / 1_000.0;
        warnings.push(format!("{seconds:.1} s without anything to hear were left out"));
    }
    warnings.extend(sounds.take_warnings());
    let SoundFacts { format, rate, channels, title, artist, album } = sounds.facts().clone();
    let mut metadata = Payload::from([
        ("media".to_owned(), Value::Text("sound".to_owned())),
        ("format".to_owned(), Value::Text(format.name().to_owned())),
        ("seconds".to_owned(), Value::Float(length_ms as f64 / 1_000.0)),
        ("sample_rate".to_owned(), Value::Integer(rate.into())),
        ("channels".to_owned(), Value::Integer(channels.into())),
    ]);
    for (name, text) in [("artist", artist), ("album", album)] {
        metadata.extend(text.map(|text| (name.to_owned(), Value::Text(text))));
    }
    Ok(SoundParts { parts, warnings, title, metadata, embed })
}

/// A sound at work.
struct Work<'a> {
    /// The models that hear, by vector name.
    readers: Vec<(&'a str, &'a EmbedderHandle)>,
    parts: Vec<Part>,
    embed: Duration,
    cancel: &'a Cancellation,
}

impl Work<'_> {
    /// Makes a part of a stretch, if there is anything to hear in it.
    fn take(&mut self, stretch: &Stretch<'_>) -> Result<(), ItemError> {
        let began = Instant::now();
        let mut vectors = BTreeMap::new();
        for (name, embedder) in &self.readers {
            let heard = heard(stretch.samples, embedder, Lane::Bulk, self.cancel)?;
            vectors.extend(heard.map(|vector| ((*name).to_owned(), vector)));
        }
        self.embed += began.elapsed();
        if !vectors.is_empty() {
            let span = Span::Media { time: Some(stretch.start_ms..stretch.end_ms), area: None };
            self.parts.push(Part { span, text: String::new(), vectors });
        }
        Ok(())
    }
}

/// Returns what a stretch sounds like to a model; none for silence.
fn heard(
    samples: &[f32],
    embedder: &EmbedderHandle,
    lane: Lane,
    cancel: &Cancellation,
) -> Result<Option<Vector>, ItemError> {
    if is_silent(samples) {
        return Ok(None);
    }
    embedder.embed_sound(samples, lane, cancel).map_err(|error| ItemError::from_error(&error))
}

/// Whether there is nothing to hear: a constant is as silent as zero.
fn is_silent(samples: &[f32]) -> bool {
    let count = samples.len().max(1) as f64;
    let mean = samples.iter().map(|&sample| f64::from(sample)).sum::<f64>() / count;
    let square = samples.iter().map(|&sample| (f64::from(sample) - mean).powi(2)).sum::<f64>();
    (square / count).sqrt() < SILENCE
}

/// Returns how many milliseconds lie in one part or another, which are in the order of time.
fn covered(parts: &[Part]) -> u64 {
    let (mut sum, mut until) = (0, 0);
    for part in parts {
        if let Span::Media { time: Some(time), .. } = &part.span {
            sum += time.end.saturating_sub(time.start.max(until));
            until = until.max(time.end);
        }
    }
    sum
}

/// Whether the file is at fault for an error, so that what was read of it before is as good as ever.
fn is_damage(error: &DecodeError) -> bool {
    matches!(error, DecodeError::DamagedSound { .. })
}

fn nothing_to_hear() -> ItemError {
    let message = "there is nothing to hear in it: all of it is silent".to_owned();
    ItemError { kind: ErrorKind::InvalidInput, message }
}
