use std::sync::Arc;

use super::{
    Latent, Patch, SpacetimeOutput, SpacetimeSettings, TimedLatent, clip_vector, multivector,
    patches,
};
use crate::cancel::Cancellation;
use crate::embed::{EmbedError, EmbedderHandle, Embedding, Grid, Lane, Modality};
use crate::picture::{Area, Picture};
use crate::vector::{DenseVector, Vector};

/// A frame of a clip.
#[derive(Debug, Clone, PartialEq)]
pub struct ClipFrame {
    /// What is seen.
    pub picture: Arc<Picture>,
    /// From when on, in milliseconds from the start of the video.
    pub start_ms: u64,
    /// Until when; later than the start.
    pub end_ms: u64,
}

/// What became of a clip.
#[derive(Debug, Clone, PartialEq)]
pub struct Clip {
    /// Its vector, of length one, or its patches as a multivector; none where the model sees nothing.
    pub vector: Option<Vector>,
    /// Its tokens, in the order of time, then rows, then columns.
    pub patches: Vec<Patch>,
}

/// Stands for the picture where nobody asks where its patches lie.
const WHEREVER: Area = Area { left: 0, top: 0, width: 1, height: 1 };

impl EmbedderHandle {
    /// Returns the clip that consecutive frames are; waits for it. `size` is the width and height of the
    /// picture that the areas of the patches are told in, of which the frames are smaller copies.
    ///
    /// # Errors
    /// [`EmbedError`]: invalid input if the model reads no videos; else as [`Self::embed_pictures`].
    pub fn embed_clip(
        &self,
        frames: &[ClipFrame],
        size: (u32, u32),
        lane: Lane,
        cancel: &Cancellation,
    ) -> Result<Clip, EmbedError> {
        if let Some(reading) = self.clip_reading() {
            let places = reading.places(frames.len()).into_iter();
            let read = places.filter_map(|place| frames.get(place));
            let pictures: Vec<Arc<Picture>> =
                read.map(|frame| Arc::clone(&frame.picture)).collect();
            let vector = self.embed_stack(&pictures, lane, cancel)?;
            return Ok(Clip { vector, patches: Vec::new() });
        }
        let (settings, grid) = self.spacetime_of()?;
        let frames = match settings.output {
            SpacetimeOutput::Clip => frames.iter().collect(),
            // As many as a multivector has room for, however many others are looked at.
            SpacetimeOutput::Patches => thinned(frames, settings.frames_per_second),
        };
        let pictures: Vec<Arc<Picture>> =
            frames.iter().map(|frame| Arc::clone(&frame.picture)).collect();
        let embedded = self.embed_latents(&pictures, lane, cancel)?;
        // A frame in which the model sees nothing takes no part.
        let latents: Vec<TimedLatent> = frames
            .iter()
            .zip(embedded.embeddings)
            .filter_map(|(frame, embedding)| {
                let latent = latent_of(embedding.vector?, grid)?;
                Some(TimedLatent { latent, start_ms: frame.start_ms, end_ms: frame.end_ms })
            })
            .collect();
        let (width, height) = size;
        let covered = self.covered(Area { left: 0, top: 0, width, height });
        let patches = patches(&latents, settings.patch, covered).unwrap_or_default();
        let vector = match settings.output {
            SpacetimeOutput::Clip => vector_of(&latents, &settings)?.map(Vector::from),
            SpacetimeOutput::Patches => {
                multivector(patches.iter().map(|patch| patch.vector.clone()))?.map(Vector::from)
            }
        };
        Ok(Clip { vector, patches })
    }

    /// Returns the clips that single pictures are; their latents are given.
    pub(in crate::embed) fn stills(
        &self,
        latents: Vec<Embedding>,
    ) -> Result<Vec<Embedding>, EmbedError> {
        let (settings, grid) = self.spacetime_of()?;
        let still = |embedding: Embedding| {
            let latent = embedding.vector.and_then(|vector| latent_of(vector, grid));
            let timed = latent.map(|latent| TimedLatent { latent, start_ms: 0, end_ms: 1 });
            let vector = match (timed, settings.output) {
                (Some(timed), SpacetimeOutput::Clip) => {
                    vector_of(&[timed], &settings)?.map(Vector::from)
                }
                (Some(timed), SpacetimeOutput::Patches) => {
                    let patches = patches(&[timed], settings.patch, WHEREVER).unwrap_or_default();
                    multivector(patches.into_iter().map(|patch| patch.vector))?.map(Vector::from)
                }
                (None, _) => None,
            };
            Ok(Embedding { vector, ..embedding })
        };
        latents.into_iter().map(still).collect()
    }

    fn spacetime_of(&self) -> Result<(Arc<SpacetimeSettings>, Grid), EmbedError> {
        self.specification().require(Modality::Video)?;
        self.spacetime().zip(self.grid()).ok_or_else(|| {
            let name = self.specification().name.clone();
            EmbedError::Failed { name, reason: "it does not say how clips are made".to_owned() }
        })
    }

    /// Returns the part of a picture that the model sees.
    pub(super) fn covered(&self, whole: Area) -> Area {
        let whole = Area { width: whole.width.max(1), height: whole.height.max(1), ..whole };
        self.preprocessor().map_or(whole, |preprocessor| preprocessor.covered(whole))
    }
}

fn vector_of(
    latents: &[TimedLatent],
    settings: &SpacetimeSettings,
) -> Result<Option<DenseVector>, EmbedError> {
    let vector = clip_vector(latents, &settings.pooling, &settings.centre);
    Ok(vector.map(DenseVector::new).transpose()?)
}

/// Returns frames that are about so many a second.
fn thinned(frames: &[ClipFrame], rate: f64) -> Vec<&ClipFrame> {
    let gap_ms = 1_000.0 / rate;
    let mut kept: Vec<&ClipFrame> = Vec::new();
    let mut due_ms = 0.0;
    for frame in frames {
        // A rate that divides that of the frames must not miss by a rounded millisecond.
        let at_ms = frame.start_ms as f64;
        if kept.is_empty() || at_ms + 1.0 >= due_ms {
            due_ms = if kept.is_empty() { at_ms } else { due_ms.max(at_ms - gap_ms) } + gap_ms;
            kept.push(frame);
        }
    }
    kept
}

pub(super) fn latent_of(vector: Vector, grid: Grid) -> Option<Latent> {
    match vector {
        Vector::Dense(vector) => {
            Latent::new(grid.channels, grid.rows, grid.columns, vector.as_slice().to_vec())
        }
        Vector::Sparse(_) | Vector::Multi(_) => None,
    }
}
