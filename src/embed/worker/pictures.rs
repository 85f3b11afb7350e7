use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Embedded, EmbedderHandle, Input, Lane, Request};
use crate::cancel::Cancellation;
use crate::embed::image::Pixels;
use crate::embed::{EmbedError, Modality};
use crate::picture::Picture;
use crate::vector::Vector;

impl EmbedderHandle {
    /// Returns the vector of each picture, in order; waits for them. Those of the bulk are made ready
    /// while the model works on the ones before them.
    ///
    /// # Errors
    /// [`EmbedError`]: invalid input if the model reads no pictures; overloaded if the query lane is
    /// full; cancelled or timed out as the token says; internal if the model fails.
    pub fn embed_pictures(
        &self,
        pictures: &[Arc<Picture>],
        lane: Lane,
        cancel: &Cancellation,
    ) -> Result<Embedded, EmbedError> {
        let latents = self.embed_latents(pictures, lane, cancel)?;
        if self.spacetime.is_none() {
            return Ok(latents);
        }
        // A picture is a clip of one frame.
        let Embedded { embeddings, timings } = latents;
        Ok(Embedded { embeddings: self.stills(embeddings)?, timings })
    }

    /// Returns what the network itself makes of each picture, in order; waits for them.
    pub(in crate::embed) fn embed_latents(
        &self,
        pictures: &[Arc<Picture>],
        lane: Lane,
        cancel: &Cancellation,
    ) -> Result<Embedded, EmbedError> {
        self.specification.require(Modality::Image)?;
        let Some(preprocessor) = &self.preprocessor else {
            let name = self.specification.name.clone();
            let reason = "it does not say how pictures are made ready".to_owned();
            return Err(EmbedError::Failed { name, reason });
        };
        let request = Request::of(pictures.len(), cancel);
        let mut took = Duration::ZERO;
        let mut first = None;
        let mut items = Vec::new();
        for (place, picture) in pictures.iter().enumerate() {
            cancel.check()?;
            let began = Instant::now();
            items.push(request.item(place, Input::Picture(preprocessor.preprocess(picture)?)));
            took += began.elapsed();
            if lane == Lane::Bulk {
                first.get_or_insert_with(Instant::now);
                self.enqueue(std::mem::take(&mut items), lane, cancel)?;
            }
        }
        if lane == Lane::Query {
            self.enqueue(items, lane, cancel)?;
        }
        self.embedded(&request, took, first.unwrap_or_else(Instant::now))
    }

    /// Returns what the network makes of pictures that it reads at once; waits for it.
    pub(in crate::embed) fn embed_stack(
        &self,
        pictures: &[Arc<Picture>],
        lane: Lane,
        cancel: &Cancellation,
    ) -> Result<Option<Vector>, EmbedError> {
        self.specification.require(Modality::Video)?;
        let Some(preprocessor) = self.preprocessor.as_ref().filter(|_| !pictures.is_empty()) else {
            return Ok(None);
        };
        cancel.check()?;
        self.embed_ready(preprocessor.stack(pictures)?, lane, cancel)
    }

    /// Returns what the network makes of what was made ready for it; waits for it.
    pub(in crate::embed) fn embed_ready(
        &self,
        pixels: Pixels,
        lane: Lane,
        cancel: &Cancellation,
    ) -> Result<Option<Vector>, EmbedError> {
        let request = Request::of(1, cancel);
        let item = request.item(0, Input::Picture(pixels));
        self.enqueue(vec![item], lane, cancel)?;
        let embedded = self.embedded(&request, Duration::ZERO, Instant::now())?;
        Ok(embedded.embeddings.into_iter().next().and_then(|embedding| embedding.vector))
    }
}
