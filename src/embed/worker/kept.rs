use std::sync::Arc;
use std::time::Instant;

use super::{Embedded, EmbedderHandle, Lane};
use crate::cancel::Cancellation;
use crate::embed::cache::{Cache, Key};
use crate::embed::late::own_tokens;
use crate::embed::{EmbedError, Embedding, Encoded, Modality, Passage, Role};

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
        let (known, new) = known(cache, &keys, cancel)?;
        let asked: Vec<&str> = new.iter().map(|&place| texts[place]).collect();
        let made = self.run_texts(&asked, role, lane, cancel)?;
        Ok(kept(cache, &keys, known, new, made))
    }

    /// Returns the vector of each passage, in order, those of one document after those of another; waits
    /// for them. A model of late chunking reads them with what stands around them in their document; for
    /// any other they are texts.
    ///
    /// # Errors
    /// As [`Self::embed`].
    pub fn embed_passages(
        &self,
        documents: &[Vec<Passage<'_>>],
        lane: Lane,
        cancel: &Cancellation,
    ) -> Result<Embedded, EmbedError> {
        if !self.tokenizer.reads_around() {
            let texts: Vec<&str> = documents.iter().flatten().map(|passage| passage.text).collect();
            return self.embed(&texts, Role::Passage, lane, cancel);
        }
        let began = Instant::now();
        let mut encoded = Vec::new();
        for passages in documents {
            cancel.check()?;
            encoded.extend(self.tokenizer.encode_passages(passages)?);
        }
        let Some(cache) = &self.cache else {
            return self.run_passages(encoded, began, lane, cancel);
        };
        // What stands around a passage shapes its vector, and is in what is read.
        let fingerprint = &self.specification.fingerprint;
        let key = |encoded: &Encoded| Key::of_encoded(fingerprint, encoded);
        let keys: Vec<Key> = encoded.iter().map(key).collect();
        let (known, new) = known(cache, &keys, cancel)?;
        let mut missing = known.iter().map(Option::is_none);
        encoded.retain(|_| missing.next().unwrap_or(false));
        let made = self.run_passages(encoded, began, lane, cancel)?;
        Ok(kept(cache, &keys, known, new, made))
    }

    fn run_passages(
        &self,
        encoded: Vec<Encoded>,
        began: Instant,
        lane: Lane,
        cancel: &Cancellation,
    ) -> Result<Embedded, EmbedError> {
        let tokens: Vec<usize> = encoded.iter().map(own_tokens).collect();
        let mut made = self.run_encoded(encoded, began, lane, cancel)?;
        for (embedding, tokens) in made.embeddings.iter_mut().zip(tokens) {
            embedding.tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        }
        Ok(made)
    }
}

/// Returns what is known, place by place, and the places of what is not.
fn known(
    cache: &Cache,
    keys: &[Key],
    cancel: &Cancellation,
) -> Result<(Vec<Option<Embedding>>, Vec<usize>), EmbedError> {
    let mut known = Vec::with_capacity(keys.len());
    for key in keys {
        cancel.check()?;
        known.push(cache.get(*key));
    }
    let new = (0..known.len()).filter(|&place| known[place].is_none()).collect();
    Ok((known, new))
}

/// Keeps what was made, and returns it among what was known.
fn kept(
    cache: &Cache,
    keys: &[Key],
    mut known: Vec<Option<Embedding>>,
    new: Vec<usize>,
    made: Embedded,
) -> Embedded {
    let Embedded { embeddings, timings } = made;
    for (place, embedding) in new.into_iter().zip(embeddings) {
        cache.put(keys[place], &embedding);
        known[place] = Some(embedding);
    }
    Embedded { embeddings: known.into_iter().flatten().collect(), timings }
}
