use std::sync::Arc;

use super::{Embedded, EmbedderHandle, Lane};
use crate::cancel::Cancellation;
use crate::embed::cache::{Cache, Key};
use crate::embed::{EmbedError, Modality, Role};

impl EmbedderHandle {
    /// Returns a handle that looks up what was made of texts before.
    pub(in crate::embed) fn with_cache(self, cache: Option<Arc<Cache>>) -> Self {
        Self { cache, ..self }
    }

    /// Returns the vector of each text, in order; waits for them.
    ///
    /// # Errors
    /// [`EmbedError`]: invalid input if the model reads no texts; overloaded if the query lane is full;
    /// cancelled or timed out as the token says; internal if the model fails.
    pub fn embed(
        &self,
        texts: &[&str],
        role: Role,
        lane: Lane,
        cancel: &Cancellation,
    ) -> Result<Embedded, EmbedError> {
        self.specification.require(Modality::Text)?;
        let Some(cache) = &self.cache else { return self.run_texts(texts, role, lane, cancel) };
        let fingerprint = &self.specification.fingerprint;
        let keys: Vec<Key> = texts.iter().map(|text| Key::of(fingerprint, role, text)).collect();
        let mut known = Vec::with_capacity(texts.len());
        for key in &keys {
            cancel.check()?;
            known.push(cache.get(*key));
        }
        let is_new = |place: &usize| known[*place].is_none();
        let places: Vec<usize> = (0..texts.len()).filter(is_new).collect();
        let asked: Vec<&str> = places.iter().map(|&place| texts[place]).collect();
        let Embedded { embeddings, timings } = self.run_texts(&asked, role, lane, cancel)?;
        for (place, embedding) in places.into_iter().zip(embeddings) {
            cache.put(keys[place], &embedding);
            known[place] = Some(embedding);
        }
        Ok(Embedded { embeddings: known.into_iter().flatten().collect(), timings })
    }
}
