//! Vectors that come and go while the collection is in use, and other changes of what it is like.
//!
//! The settings change durably first; then whoever asks next goes by them. Rows and indexes follow:
//! those of a dropped vector are removed by upkeep, and one that is added is filled by its embedder
//! or by what is stored from now on.

use std::sync::{Arc, PoisonError};

use simile_storage::Batch;

use super::catalogue::facts_of;
use super::commit::{Done, Ends, Write};
use super::engine::{Engine, Kept, damaged};
use super::error::{Error, described};
use super::files;
use super::open::Collection;
use super::records::{MULTI, SPARSE, VECTORS};
use super::rows::put_vector;
use super::settings::{EmbedderFacts, NewVector, Settings, VECTORS_MAX};
use crate::cancel::Cancellation;
use crate::document::{Sequence, Slot, SlotSet, Span};
use crate::embed::{EmbedderHandle, Lane, Passage};
use crate::fail;
use crate::index::dense::DenseIndex;
use crate::ingest::fitted;
use crate::vector::Vector;

/// How many parts are embedded at a time.
const FILLED_PARTS: usize = 256;
/// About how many bytes of vectors are committed at a time.
const FILLED_BYTES: usize = 4 << 20;
/// How many rows of a dropped vector are removed at a time.
const PURGED_ROWS: usize = 4_096;

impl Collection {
    /// Adds a vector to every part, which has none until it is given, or until [`Self::fill_vector`]
    /// has made it. One that is there and is being filled is left as it is.
    ///
    /// # Errors
    /// Already exists; invalid input for settings out of bounds; what its embedder says; the collection
    /// takes no writes.
    pub fn add_vector(&self, name: &str, new: &NewVector) -> Result<(), Error> {
        let engine = &self.engine;
        let _altering = engine.altering.lock().unwrap_or_else(PoisonError::into_inner);
        engine.check_writable()?;
        let kept = engine.kept();
        if kept.settings.filling.contains(name) {
            return Ok(());
        }
        let facts = |embedder: &str| facts_of(&self.embedders, embedder);
        let mut settings = kept.settings.with_vector(name, new, &facts)?;
        if settings.embedder(name).is_some() {
            settings.filling.insert(name.to_owned());
        }
        settings.write(&engine.folder)?;
        fail::reached("alter: the settings are written", &engine.folder);
        let mut added = kept.with(settings);
        if let Some(settings) = added.settings.vectors.get(name) {
            let folder = engine.folder.join(files::DENSE).join(settings.folder_name(name));
            let options = settings.dense_options(engine.maintenance.seal_at);
            let index = DenseIndex::open(&folder, options)?;
            added.dense.insert(name.to_owned(), Arc::new(index));
        }
        if added.settings.sparse.contains_key(name) {
            added.sparse.insert(name.to_owned(), Arc::default());
        }
        if added.settings.multi.contains_key(name) {
            added.multi.insert(name.to_owned(), Arc::default());
        }
        engine.keep(added);
        Ok(())
    }

    /// Drops a vector from every part.
    ///
    /// # Errors
    /// Invalid input if there is no such vector, or nothing else is left to search by; the collection
    /// takes no writes.
    pub fn drop_vector(&self, name: &str) -> Result<(), Error> {
        self.drop_for(name, None)
    }

    /// Drops a vector, and lets another one take its name, if one is to.
    pub(super) fn drop_for(&self, name: &str, by: Option<&str>) -> Result<(), Error> {
        let engine = &self.engine;
        {
            let _altering = engine.altering.lock().unwrap_or_else(PoisonError::into_inner);
            engine.check_writable()?;
            let kept = engine.kept();
            let settings = match by {
                Some(by) => kept.settings.with_replaced(name, by)?,
                None => kept.settings.without_vector(name)?,
            };
            settings.write(&engine.folder)?;
            fail::reached("alter: the settings are written", &engine.folder);
            let mut left = kept.with(settings);
            left.dense.remove(name);
            left.sparse.remove(name);
            left.multi.remove(name);
            if let Some(by) = by {
                left.rename(by, name);
            }
            engine.keep(left);
            // What was learnt under either name is of another vector from now on.
            for name in by.into_iter().chain([name]) {
                engine.samples.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
                engine.forget_asked(name);
            }
            if let Some(dropped) = kept.settings.vectors.get(name) {
                let folder = engine.folder.join(files::DENSE).join(dropped.folder_name(name));
                files::remove_folder(&folder)?;
            }
        }
        // No group that began before writes rows of it any more.
        self.committer.wait(&self.committer.send(Write::Clear)?)?;
        engine.purge_dropped()
    }

    /// Makes the vectors of a name that parts lack with its embedder; returns how many it made. What was
    /// made stays if the work ends early, and the next call goes on from there. `progress` is told how
    /// many parts of how many are done.
    ///
    /// # Errors
    /// Invalid input for a vector that has no embedder; what the embedder says; the collection takes no
    /// writes; cancelled.
    pub fn fill_vector(
        &self,
        name: &str,
        progress: &dyn Fn(u64, u64),
        cancel: &Cancellation,
    ) -> Result<u64, Error> {
        let engine = &self.engine;
        let number = engine.kept().settings.number(name);
        let embedder = self.embedder(name)?.ok_or_else(|| {
            Error::Settings(format!("vector `{name}` has no embedder: its vectors are given"))
        })?;
        let number = number.ok_or_else(|| Error::Replaced(name.to_owned()))?;
        let (mut tried, mut made) = (SlotSet::new(), 0);
        loop {
            let missing = &engine.lacking(name)? - &tried;
            if missing.is_empty() {
                break;
            }
            let (before, total) = (tried.len(), tried.len() + missing.len());
            let slots: Vec<u32> = missing.iter().collect();
            for (done, slots) in slots.chunks(FILLED_PARTS).enumerate() {
                progress(before + (done * FILLED_PARTS) as u64, total);
                made += self.fill((name, number), &embedder, slots, cancel)?;
            }
            tried |= missing;
        }
        let _altering = engine.altering.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = engine.kept();
        let mut settings = kept.settings.clone();
        if settings.filling.remove(name) {
            settings.write(&engine.folder)?;
            engine.keep(kept.with(settings));
        }
        progress(tried.len(), tried.len());
        Ok(made)
    }

    fn fill(
        &self,
        (name, number): (&str, u16),
        embedder: &EmbedderHandle,
        slots: &[u32],
        cancel: &Cancellation,
    ) -> Result<u64, Error> {
        // The view keeps the rows while they are read.
        let view = self.engine.views.current();
        let asked = &slots.iter().copied().collect::<SlotSet>() & &view.live;
        let read =
            if embedder.tokenizer().reads_around() { view.whole(&asked) } else { asked.clone() };
        let mut texts: Vec<(Slot, String)> = Vec::with_capacity(slots.len());
        let mut spans: Vec<(u32, Span)> = Vec::with_capacity(slots.len());
        for slot in &read {
            let part = self.engine.part(Slot(slot))?;
            let part = part.ok_or_else(|| damaged("part", slot, "missing"))?;
            if !part.text.trim().is_empty() {
                texts.push((Slot(slot), part.text));
                spans.push((part.first, part.span.into()));
            }
        }
        if texts.is_empty() {
            return Ok(0);
        }
        let passages = texts.iter().zip(&spans);
        let passages: Vec<(u32, Passage<'_>)> =
            passages.map(|((_, text), (first, span))| (*first, Passage { text, span })).collect();
        let documents: Vec<Vec<Passage<'_>>> = passages
            .chunk_by(|a, b| a.0 == b.0)
            .map(|parts| parts.iter().map(|(_, passage)| *passage).collect())
            .collect();
        let embedded = embedder.embed_passages(&documents, Lane::Bulk, cancel)?;
        let (mut made, mut bytes, mut vectors) = (0, 0, Vec::<(Slot, Vector)>::new());
        let mut waiting = Vec::new();
        for ((slot, _), embedding) in texts.iter().zip(embedded.embeddings) {
            if !asked.contains(slot.0) {
                continue;
            }
            // A model that knows no word of a part leaves it to the other legs.
            let Some(vector) = embedding.vector else { continue };
            let (vector, _) = fitted(name, vector);
            made += 1;
            bytes += vector.bytes();
            vectors.push((*slot, vector));
            if bytes >= FILLED_BYTES {
                let full = Write::Fill(name.to_owned(), number, std::mem::take(&mut vectors));
                waiting.push(self.committer.send(full)?);
                bytes = 0;
            }
        }
        waiting.push(self.committer.send(Write::Fill(name.to_owned(), number, vectors))?);
        for done in waiting {
            self.committer.wait(&done)?;
        }
        Ok(made)
    }
}

impl Settings {
    /// Returns the settings with one vector more, for a collection that is there.
    pub(super) fn with_vector(
        &self,
        name: &str,
        vector: &NewVector,
        facts: &dyn Fn(&str) -> Result<EmbedderFacts, Error>,
    ) -> Result<Self, Error> {
        if self.names().any(|known| known == name) {
            return Err(Error::VectorExists(name.to_owned()));
        }
        if self.names().count() >= VECTORS_MAX {
            return Err(Error::Settings(format!(
                "a collection has at most {VECTORS_MAX} vectors, and it has them"
            )));
        }
        let mut settings = self.clone();
        let number = self.numbers_end();
        let end = number.checked_add(1).ok_or(Error::Full)?;
        settings.add(number, name, vector, facts)?;
        settings.numbers_end = Some(end);
        if let Some(added) = settings.vectors.get_mut(name) {
            added.is_added = true;
        }
        Ok(settings)
    }

    /// Returns the settings without one of the vectors.
    pub(super) fn without_vector(&self, name: &str) -> Result<Self, Error> {
        self.shape().form(name)?;
        if self.names().count() == 1 && !self.has_words {
            return Err(Error::Settings(format!(
                "vector `{name}` is all that the collection is searched by, since it has no words"
            )));
        }
        let mut settings = self.clone();
        settings.numbers_end = Some(self.numbers_end());
        settings.filling.remove(name);
        let dense = settings.vectors.remove(name).map(|settings| settings.number);
        let sparse = settings.sparse.remove(name).map(|settings| settings.number);
        let multi = settings.multi.remove(name).map(|settings| settings.number);
        settings.dropped.extend([dense, sparse, multi].into_iter().flatten());
        Ok(settings)
    }

    fn numbers_end(&self) -> u16 {
        let dense = self.vectors.values().map(|settings| settings.number);
        let sparse = self.sparse.values().map(|settings| settings.number);
        let multi = self.multi.values().map(|settings| settings.number);
        let used = dense.chain(sparse).chain(multi).max().map_or(0, |last| last.saturating_add(1));
        used.max(self.numbers_end.unwrap_or(0))
    }
}

/// Stores vectors under slots that have none of the name, and shows them.
pub(super) fn fill(
    engine: &Engine,
    ends: Ends,
    name: &str,
    vectors: &[(Slot, Vector)],
) -> Result<Done, Error> {
    let (kept, view) = (engine.kept(), engine.views.current());
    let live: Vec<&(Slot, Vector)> =
        vectors.iter().filter(|(slot, _)| view.live.contains(slot.0)).collect();
    let mut rows = Batch::new();
    for (slot, vector) in &live {
        put_vector(&mut rows, &kept.settings, name, slot.0, vector)?;
    }
    engine.database.commit(rows)?;
    fail::reached("commit: after filling", &engine.folder);
    kept.insert(name, &live)?;
    let sequence = Sequence(ends.last_sequence);
    Ok(Done { sequence, was_there: true, is_repeat: false })
}

impl Kept {
    /// Hands vectors of one name to its index.
    fn insert(&self, name: &str, vectors: &[&(Slot, Vector)]) -> Result<(), Error> {
        if let Some(index) = self.dense.get(name) {
            let rows =
                vectors.iter().filter_map(|(slot, vector)| Some((*slot, vector.as_dense()?)));
            let rows: Vec<(Slot, &[f32])> =
                rows.map(|(slot, vector)| (slot, vector.as_slice())).collect();
            index.insert(&rows).map_err(|error| Error::StoredNotShown(described(&error)))?;
        }
        if let Some(index) = self.sparse.get(name) {
            let rows = vectors.iter();
            index.insert(rows.filter_map(|(slot, vector)| Some((*slot, vector.as_sparse()?))));
        }
        if let Some(index) = self.multi.get(name) {
            let rows = vectors.iter();
            index.insert(rows.filter_map(|(slot, vector)| Some((*slot, vector.as_multi()?))));
        }
        Ok(())
    }

    /// Gives the index of one name another one.
    fn rename(&mut self, from: &str, to: &str) {
        let to = to.to_owned();
        if let Some(index) = self.dense.remove(from) {
            self.dense.insert(to, index);
        } else if let Some(index) = self.sparse.remove(from) {
            self.sparse.insert(to, index);
        } else if let Some(index) = self.multi.remove(from) {
            self.multi.insert(to, index);
        }
    }

    /// Returns the same indexes with other settings.
    pub(super) fn with(&self, settings: Settings) -> Self {
        let (dense, sparse, multi) = (self.dense.clone(), self.sparse.clone(), self.multi.clone());
        Self::new(settings, dense, sparse, multi)
    }
}

impl Engine {
    /// Returns the slots that are live and have no vector of a name.
    fn lacking(&self, name: &str) -> Result<SlotSet, Error> {
        let kept = self.kept();
        kept.shape.form(name)?;
        let dense = kept.dense.get(name).map(|index| index.slots());
        let sparse = || kept.sparse.get(name).map(|index| index.slots());
        let multi = || kept.multi.get(name).map(|index| index.slots());
        let held = dense.or_else(sparse).or_else(multi).unwrap_or_default();
        Ok(&self.views.current().live - &held)
    }

    /// Removes the rows of vectors that were dropped, some at a time.
    pub(super) fn purge_dropped(&self) -> Result<(), Error> {
        let dropped = self.kept().settings.dropped.clone();
        if dropped.is_empty() || self.check_writable().is_err() {
            return Ok(());
        }
        for number in &dropped {
            loop {
                let rows = self.dropped_rows(*number)?;
                if rows.is_empty() {
                    break;
                }
                self.database.commit(rows)?;
            }
        }
        let _altering = self.altering.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = self.kept();
        let mut settings = kept.settings.clone();
        settings.dropped.retain(|number| !dropped.contains(number));
        settings.write(&self.folder)?;
        self.keep(kept.with(settings));
        Ok(())
    }

    fn dropped_rows(&self, number: u16) -> Result<Batch, Error> {
        let mut rows = Batch::new();
        let slots = (number, 0)..=(number, u32::MAX);
        for row in self.database.range(&VECTORS, slots.clone()).take(PURGED_ROWS) {
            rows.remove(&VECTORS, &row?.0)?;
        }
        for row in self.database.range(&SPARSE, slots).take(PURGED_ROWS) {
            rows.remove(&SPARSE, &row?.0)?;
        }
        let slots = (number, 0, 0)..=(number, u32::MAX, u16::MAX);
        for row in self.database.range(&MULTI, slots).take(PURGED_ROWS) {
            rows.remove(&MULTI, &row?.0)?;
        }
        Ok(rows)
    }
}
