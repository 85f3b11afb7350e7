//! What becomes of a video: a part for each shot or window of one, with the vectors of those who see.
//!
//! Frames are decoded, looked at and let go; no more of them are held than a window has, so a long video
//! takes no more memory than a short one.

mod excerpt;
mod sampler;

pub use excerpt::{Excerpt, Stretch, excerpt};
pub(super) use excerpt::{STEPS, STRETCHES_MAX};

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use self::sampler::{Sample, Sampler, sharpest};
use super::picture::{part_of, whole};
use super::prepare::PrepareContext;
use super::{ItemError, PartPicture};
use crate::cancel::Cancellation;
use crate::chunk::shots::{Shot, ShotCutter, ShotOptions};
use crate::decode::DecodeError;
use crate::decode::video::Frames;
use crate::document::{Part, Payload, Span, Value};
use crate::embed::{EmbedderHandle, Lane, Modality};
use crate::error::ErrorKind;
use crate::vector::Vector;

/// The most bytes of the thumbnails of a video, which are stored with it in one batch.
const THUMBNAILS_BYTES_MAX: usize = 16 << 20;
/// The most bytes of the patches of a video, likewise: about twenty minutes of the model that comes with
/// the program.
const PATCHES_BYTES_MAX: usize = 36 << 20;

/// What was made of a video.
#[derive(Debug)]
pub(super) struct VideoParts {
    /// In the order of time.
    pub(super) parts: Vec<Part>,
    /// What is kept of what is seen in them, by their place.
    pub(super) pictures: BTreeMap<u32, PartPicture>,
    /// What was left out, and why.
    pub(super) warnings: Vec<String>,
    /// What the video says of itself.
    pub(super) metadata: Payload,
    /// How long embedding took, waiting for the models included.
    pub(super) embed: Duration,
}

/// Cuts a video into shots and windows and embeds them as they come.
///
/// # Errors
/// Unsupported if nothing in the collection sees; invalid input for a video without a frame that shows
/// anything, and for what decoding ends with; what the models say.
pub(super) fn cut_video(
    mut frames: Frames<'_>,
    context: &PrepareContext,
    cancel: &Cancellation,
) -> Result<VideoParts, ItemError> {
    let readers = readers(context)?;
    let embedders: Vec<&EmbedderHandle> = readers.iter().map(|(_, embedder)| *embedder).collect();
    let (width, height) = frames.size();
    let sampler = Sampler::new((width, height), &embedders);
    let window_ms = sampler.window_ms();
    let mut cutter = ShotCutter::new(ShotOptions { window_ms, ..ShotOptions::default() });
    let mut work = Work {
        readers,
        sampler,
        size: (width, height),
        parts: Vec::new(),
        pictures: BTreeMap::new(),
        thumbnails_bytes: 0,
        patches_bytes: 0,
        patches_end_ms: None,
        embed: Duration::ZERO,
        blank_ms: 0,
        cancel,
    };
    let (mut number, mut end_ms) = (0_u64, 0);
    let mut warnings = Vec::new();
    for frame in &mut frames {
        let frame = match frame {
            Ok(frame) => frame,
            // What was seen until then is worth keeping.
            Err(error) if number > 0 && is_damage(&error) => {
                warnings.push(format!("the video ends early: {error}"));
                break;
            }
            Err(error) => return Err(ItemError::from_error(&error)),
        };
        if let Some(shot) = cutter.push(&frame.picture, frame.start_ms, frame.end_ms) {
            work.finish(&shot)?;
            work.sampler.begin_anew();
        }
        end_ms = frame.end_ms;
        number += 1;
        work.sampler.see(frame);
    }
    if let Some(shot) = cutter.finish() {
        work.finish(&shot)?;
    }
    let Work { parts, pictures, embed, blank_ms, patches_end_ms, .. } = work;
    if parts.is_empty() {
        return Err(nothing_to_see());
    }
    if blank_ms > 0 {
        let seconds = blank_ms as f64 / 1_000.0;
        warnings.push(format!("{seconds:.1} s without anything to see were left out"));
    }
    if let Some(end_ms) = patches_end_ms {
        let (seconds, most) = (end_ms as f64 / 1_000.0, PATCHES_BYTES_MAX >> 20);
        warnings.push(format!(
            "patches were kept of the first {seconds:.0} s: those of a video take at most {most} MiB"
        ));
    }
    if pictures.len() < parts.len() {
        let (kept, all) = (pictures.len(), parts.len());
        warnings.push(format!("thumbnails were kept of {kept} of {all} parts"));
    }
    warnings.extend(frames.take_warnings());
    let integer = |number: u64| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let metadata = [
        ("media", Value::Text("video".to_owned())),
        ("width", integer(width.into())),
        ("height", integer(height.into())),
        ("frames", integer(number)),
        ("seconds", Value::Float(end_ms as f64 / 1_000.0)),
    ];
    let metadata = metadata.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
    Ok(VideoParts { parts, pictures, warnings, metadata, embed })
}

/// A video at work.
struct Work<'a> {
    /// The models that see, by vector name.
    readers: Vec<(&'a str, &'a EmbedderHandle)>,
    sampler: Sampler,
    /// The width and the height of its picture.
    size: (u32, u32),
    parts: Vec<Part>,
    pictures: BTreeMap<u32, PartPicture>,
    thumbnails_bytes: usize,
    patches_bytes: usize,
    /// Until when there was room for patches, if there is none left.
    patches_end_ms: Option<u64>,
    embed: Duration,
    /// How long nothing was to be seen.
    blank_ms: u64,
    cancel: &'a Cancellation,
}

impl Work<'_> {
    /// Makes a part of a shot that is over.
    fn finish(&mut self, shot: &Shot) -> Result<(), ItemError> {
        // Frames of the next shot may have come already.
        let samples = self.sampler.take_before(shot.frames.end);
        let began = Instant::now();
        let mut vectors = BTreeMap::new();
        let mut has_places = false;
        for (name, embedder) in &self.readers {
            if embedder.has_places() && self.patches_bytes >= PATCHES_BYTES_MAX {
                self.patches_end_ms.get_or_insert(shot.start_ms);
                continue;
            }
            let seen = self.sampler.vector(&samples, embedder, Lane::Bulk, self.cancel)?;
            if let Some(Vector::Multi(patches)) = &seen {
                self.patches_bytes += size_of_val(patches.as_slice());
                has_places = true;
            }
            vectors.extend(seen.map(|vector| ((*name).to_owned(), vector)));
        }
        self.embed += began.elapsed();
        if vectors.is_empty() && self.patches_end_ms.is_none() {
            self.blank_ms += shot.end_ms - shot.start_ms;
        } else if !vectors.is_empty() {
            self.keep_picture(&samples);
            // Places in a picture are told in its pixels.
            let area = has_places.then(|| whole(self.size));
            let span = Span::Media { time: Some(shot.start_ms..shot.end_ms), area };
            self.parts.push(Part { span, text: String::new(), vectors });
        }
        Ok(())
    }

    /// Keeps a small picture of the part that comes next, while there is room.
    fn keep_picture(&mut self, samples: &[Sample]) {
        let Ok(part) = u32::try_from(self.parts.len()) else { return };
        let Some(picture) = sharpest(samples) else { return };
        if self.thumbnails_bytes < THUMBNAILS_BYTES_MAX {
            let (_, kept) = part_of(picture);
            self.thumbnails_bytes += kept.thumbnail.len();
            self.pictures.insert(part, kept);
        }
    }
}

/// Returns the embedders that see videos or the pictures in them, with the names of their vectors.
fn readers(context: &PrepareContext) -> Result<Vec<(&str, &EmbedderHandle)>, ItemError> {
    let mut readers = Vec::new();
    let mut others = Vec::new();
    for (name, target) in &context.vectors {
        let Some(embedder) = &target.embedder else {
            others.push(format!("vector `{name}` is given"));
            continue;
        };
        let specification = embedder.specification();
        let reads = specification.modalities;
        if reads.contains(&Modality::Video) || reads.contains(&Modality::Image) {
            readers.push((name.as_str(), embedder));
        } else {
            let reads: Vec<&str> = reads.iter().map(|one| one.name()).collect();
            let (model, reads) = (&specification.name, reads.join(" and "));
            others.push(format!("vector `{name}` is made by {model}, which reads {reads}"));
        }
    }
    if !readers.is_empty() {
        return Ok(readers);
    }
    let others = match others.join("; ") {
        none if none.is_empty() => "it has no vector".to_owned(),
        some => some,
    };
    let message = format!("the collection sees no videos: {others}");
    Err(ItemError { kind: ErrorKind::Unsupported, message })
}

/// Whether the file is at fault for an error, so that what was read of it before is as good as ever.
fn is_damage(error: &DecodeError) -> bool {
    matches!(error, DecodeError::DamagedVideo { .. })
}

fn nothing_to_see() -> ItemError {
    let message = "there is nothing to see in it: all of its frames are of one colour".to_owned();
    ItemError { kind: ErrorKind::InvalidInput, message }
}
