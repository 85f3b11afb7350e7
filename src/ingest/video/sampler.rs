use std::collections::VecDeque;
use std::sync::Arc;

use crate::cancel::Cancellation;
use crate::chunk::shots::{Look, look};
use crate::decode::video::Frame;
use crate::embed::video::ClipFrame;
use crate::embed::{EmbedderHandle, Lane, Modality};
use crate::ingest::ItemError;
use crate::picture::Picture;
use crate::vector::Vector;

/// The longest part where no model says how long a clip is, in milliseconds.
const WINDOW_MS: u64 = 4_000;
/// How many frames of a second are looked at where no model says it.
const FRAMES_PER_SECOND: f64 = 4.0;
/// The most frames that are kept at once; more of them in a window are not looked at.
const FRAMES_MAX: usize = 1_024;

/// Picks the frames of a video that are looked at, and has them seen.
#[derive(Debug)]
pub(super) struct Sampler {
    size: (u32, u32),
    gap_ms: f64,
    window_ms: u64,
    samples: VecDeque<Sample>,
    number: u64,
    due_ms: f64,
}

/// A frame that is looked at.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    /// Its place among all frames of the video.
    number: u64,
    frame: Frame,
    look: Look,
}

impl Sampler {
    /// Returns what picks frames as often as the most demanding of the models asks.
    pub(super) fn new(size: (u32, u32), embedders: &[&EmbedderHandle]) -> Self {
        let asked = embedders.iter().filter_map(|embedder| embedder.looks_at());
        let (rate, window_ms) = asked
            .reduce(|a, b| (a.0.max(b.0), a.1.min(b.1)))
            .unwrap_or((FRAMES_PER_SECOND, WINDOW_MS));
        let gap_ms = 1_000.0 / rate;
        Self { size, gap_ms, window_ms, samples: VecDeque::new(), number: 0, due_ms: 0.0 }
    }

    /// Returns how long a clip lasts at most, in milliseconds.
    pub(super) fn window_ms(&self) -> u64 {
        self.window_ms
    }

    /// Shows the next frame, which is kept if one is due.
    pub(super) fn see(&mut self, frame: Frame) {
        // A rate that divides that of the video must not miss by a rounded millisecond.
        if frame.start_ms as f64 + 1.0 >= self.due_ms && self.samples.len() < FRAMES_MAX {
            self.due_ms = self.due_ms.max(frame.start_ms as f64 - self.gap_ms) + self.gap_ms;
            let look = look(&frame.picture);
            self.samples.push_back(Sample { number: self.number, frame, look });
        }
        self.number += 1;
    }

    /// Lets the next frame be due, whenever it comes.
    pub(super) fn begin_anew(&mut self) {
        self.due_ms = 0.0;
    }

    /// Takes the frames that come before one, by its number.
    pub(super) fn take_before(&mut self, number: u64) -> Vec<Sample> {
        let own = self.samples.partition_point(|sample| sample.number < number);
        self.samples.drain(..own).collect()
    }

    /// Lets go of the frames that were seen before a time.
    pub(super) fn forget_before(&mut self, start_ms: u64) {
        let gone = self.samples.partition_point(|sample| sample.frame.start_ms < start_ms);
        self.samples.drain(..gone);
    }

    /// Returns the frames that are kept.
    pub(super) fn kept(&self) -> Vec<Sample> {
        self.samples.iter().cloned().collect()
    }

    /// Returns what consecutive frames look like to a model: a clip to one that reads videos, the
    /// sharpest of them to one that reads pictures. Frames of one colour are left out; none if there is
    /// no other.
    pub(super) fn vector(
        &self,
        samples: &[Sample],
        embedder: &EmbedderHandle,
        lane: Lane,
        cancel: &Cancellation,
    ) -> Result<Option<Vector>, ItemError> {
        let seen = samples.iter().filter(|sample| !sample.look.is_blank());
        let Some(sharpest) = sharpest(samples) else { return Ok(None) };
        let failed = |error| ItemError::from_error(&error);
        if embedder.specification().modalities.contains(&Modality::Video) {
            let clip: Vec<ClipFrame> = seen.map(|sample| clip_frame(&sample.frame)).collect();
            let clip = embedder.embed_clip(&clip, self.size, lane, cancel).map_err(failed)?;
            return Ok(clip.vector);
        }
        let picture = std::slice::from_ref(sharpest);
        let embedded = embedder.embed_pictures(picture, lane, cancel).map_err(failed)?;
        Ok(embedded.embeddings.into_iter().find_map(|embedding| embedding.vector))
    }
}

/// Returns the sharpest of the frames that are not of one colour; none if there is no other.
pub(super) fn sharpest(samples: &[Sample]) -> Option<&Arc<Picture>> {
    let seen = samples.iter().filter(|sample| !sample.look.is_blank());
    let sharpest = seen.max_by(|a, b| a.look.sharpness.total_cmp(&b.look.sharpness));
    sharpest.map(|sample| &sample.frame.picture)
}

fn clip_frame(frame: &Frame) -> ClipFrame {
    let Frame { picture, start_ms, end_ms } = frame;
    ClipFrame { picture: Arc::clone(picture), start_ms: *start_ms, end_ms: *end_ms }
}
