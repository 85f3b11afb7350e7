use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Receiver;

use super::commit::{Done, Write};
use super::error::Error;
use super::open::Collection;
use super::records::{DOCUMENTS, FILES, FileRecord, KEYS};
use super::replace::Numbers;
use super::terms::{Terms, Upsert};
use crate::cancel::Cancellation;
use crate::document::{DocumentId, Filter, Sequence};
use crate::embed::EmbedderHandle;
use crate::ingest::{
    ItemError, ItemResult, Outcome, PrepareContext, PreparedSource, Source, SourceContent, Stored,
    TargetForm, VectorTarget, Version, prepare,
};

/// What stands between the id of a file of records and the name of a record.
const RECORD_SEPARATOR: char = '#';

/// A source that was handed to the committer.
struct Sent {
    prepared: PreparedSource,
    waiting: Vec<(DocumentId, Receiver<Result<Done, Error>>)>,
    removed: u64,
    file: Option<(DocumentId, FileRecord)>,
}

impl Collection {
    /// Stores sources, and returns what became of each in their order. Short ones are embedded
    /// together. A version that is stored already is left as it is.
    ///
    /// # Errors
    /// The collection takes no writes, or its embedder is not there. What is wrong with one source
    /// is in its result.
    pub fn store(
        &self,
        sources: Vec<Source>,
        cancel: &Cancellation,
    ) -> Result<Vec<ItemResult>, Error> {
        self.store_on(sources.into_iter().map(Upsert::from).collect(), cancel)
    }

    /// Stores sources on terms; as [`Self::store`].
    ///
    /// # Errors
    /// As [`Self::store`]; a document in another state than expected is a conflict in its result.
    pub fn store_on(
        &self,
        upserts: Vec<Upsert>,
        cancel: &Cancellation,
    ) -> Result<Vec<ItemResult>, Error> {
        self.store_given(upserts, &BTreeSet::new(), cancel)
    }

    /// Returns the names of vectors that may be given though an embedder makes them: those that this
    /// embedder made, given as vector name and fingerprint.
    ///
    /// # Errors
    /// Invalid input for a vector that is none or has no embedder; conflict for another embedder.
    pub fn givable(
        &self,
        fingerprints: impl IntoIterator<Item = (String, String)>,
    ) -> Result<BTreeSet<String>, Error> {
        let kept = self.engine.kept();
        let mut names = BTreeSet::new();
        for (vector, offered_fingerprint) in fingerprints {
            kept.shape.form(&vector)?;
            let Some(bound) = kept.settings.embedder(&vector) else {
                return Err(Error::Settings(format!(
                    "vector `{vector}` has no embedder, so its vectors need no fingerprint"
                )));
            };
            if bound.fingerprint != offered_fingerprint {
                return Err(Error::OtherEmbedder {
                    vector,
                    bound: bound.name.clone(),
                    bound_fingerprint: bound.fingerprint.clone(),
                    offered: "the embedder of what is imported".to_owned(),
                    offered_fingerprint,
                });
            }
            names.insert(vector);
        }
        Ok(names)
    }

    /// Stores sources on terms, with vectors of these names as they are given; as [`Self::store_on`].
    ///
    /// # Errors
    /// As [`Self::store_on`].
    pub fn store_given(
        &self,
        upserts: Vec<Upsert>,
        given: &BTreeSet<String>,
        cancel: &Cancellation,
    ) -> Result<Vec<ItemResult>, Error> {
        self.engine.check_writable()?;
        let bytes = |upsert: &Upsert| upsert.source.content.bytes();
        self.check_memory(upserts.iter().map(bytes).sum())?;
        let mut results: Vec<Option<ItemResult>> = Vec::with_capacity(upserts.len());
        let (mut changed, mut terms) = (Vec::new(), Vec::new());
        let mut places = Vec::new();
        for Upsert { source, terms: given } in upserts {
            let outcome = match self.known(&source, &given) {
                Err(error) => Some(Outcome::Failed(ItemError::from_error(&error))),
                Ok(known) => known,
            };
            let is_known = outcome.is_some();
            results.push(outcome.map(|outcome| ItemResult { id: source.id.clone(), outcome }));
            if !is_known {
                places.push(results.len() - 1);
                changed.push(source);
                terms.push(given);
            }
        }
        if !changed.is_empty() {
            // Before the embedders are asked for, so that what one of them makes is for the right vector.
            let numbers = self.engine.kept().settings.numbers();
            let context = self.prepare_context(given)?;
            let prepared = prepare(&changed, &context, cancel);
            let sent: Vec<Result<Sent, ItemError>> = changed
                .iter()
                .zip(&terms)
                .zip(prepared)
                .map(|((source, terms), prepared)| {
                    let send = |prepared| {
                        let sent = self.send(source, prepared, terms, &numbers);
                        sent.map_err(|error| ItemError::from_error(&error))
                    };
                    prepared.and_then(send)
                })
                .collect();
            for ((source, sent), place) in changed.iter().zip(sent).zip(places) {
                let outcome = match sent.and_then(|sent| self.finish(sent)) {
                    Ok(stored) => Outcome::Stored(stored),
                    Err(error) => Outcome::Failed(error),
                };
                results[place] = Some(ItemResult { id: source.id.clone(), outcome });
            }
        }
        Ok(results.into_iter().flatten().collect())
    }

    /// Removes the documents with these ids; returns how many there were, and the last mutation.
    ///
    /// # Errors
    /// The collection takes no writes.
    pub fn delete(
        &self,
        ids: impl IntoIterator<Item = DocumentId>,
    ) -> Result<(u64, Sequence), Error> {
        self.delete_on(ids, &Terms::default())
    }

    /// Removes documents on terms; as [`Self::delete`].
    ///
    /// # Errors
    /// As [`Self::delete`]; conflict for a document in another state than expected, where those
    /// before it are removed.
    pub fn delete_on(
        &self,
        ids: impl IntoIterator<Item = DocumentId>,
        terms: &Terms,
    ) -> Result<(u64, Sequence), Error> {
        self.engine.check_writable()?;
        terms.check(self.engine.now())?;
        let mut waiting = Vec::new();
        for id in ids {
            // Deleting a file of records deletes its records.
            for record in self.records_of(&id)? {
                let unexpected = Terms { expected: None, ..terms.clone() };
                waiting.push(self.committer.send(Write::Remove(record, unexpected))?);
            }
            waiting.push(self.committer.send(Write::Remove(id, terms.clone()))?);
        }
        let mut deleted = 0;
        let mut last = self.engine.views.current().sequence;
        for done in waiting {
            let done = self.committer.wait(&done)?;
            deleted += u64::from(done.was_there && !done.is_repeat);
            last = last.max(done.sequence);
        }
        Ok((deleted, last))
    }

    /// Removes the documents that the filter means; as [`Self::delete`].
    ///
    /// # Errors
    /// Invalid input for a filter that does not fit; the collection takes no writes.
    pub fn delete_where(&self, filter: &Filter) -> Result<(u64, Sequence), Error> {
        self.delete_where_on(filter, &Terms::default())
    }

    /// Removes the documents that the filter means, on terms; as [`Self::delete_on`].
    ///
    /// # Errors
    /// As [`Self::delete_on`] and [`Self::delete_where`].
    pub fn delete_where_on(
        &self,
        filter: &Filter,
        terms: &Terms,
    ) -> Result<(u64, Sequence), Error> {
        self.check_tenant(Some(filter))?;
        self.delete_on(self.ids_of(filter)?, terms)
    }

    /// Returns the embedder of a vector, checked to be the one that made the stored vectors.
    pub(super) fn embedder(&self, vector: &str) -> Result<Option<EmbedderHandle>, Error> {
        let kept = self.engine.kept();
        let Some(bound) = kept.settings.embedder(vector) else { return Ok(None) };
        let handle = self.embedders.get(&bound.name)?;
        let offered = handle.specification();
        if offered.fingerprint.to_string() != bound.fingerprint {
            return Err(Error::OtherEmbedder {
                vector: vector.to_owned(),
                bound: bound.name.clone(),
                bound_fingerprint: bound.fingerprint.clone(),
                offered: offered.name.clone(),
                offered_fingerprint: offered.fingerprint.to_string(),
            });
        }
        Ok(Some(handle))
    }

    pub(super) fn file_content(&self, id: &DocumentId) -> Result<Option<[u8; 32]>, Error> {
        let record = self.engine.database.get(&FILES, &id.as_str().to_owned())?;
        Ok(record.map(|record| record.content))
    }

    fn prepare_context(&self, given: &BTreeSet<String>) -> Result<PrepareContext, Error> {
        let settings = &self.engine.kept().settings;
        let embedder = |name: &String| match given.contains(name) {
            true => Ok(None),
            false => self.embedder(name),
        };
        let mut vectors = BTreeMap::new();
        for (name, vector) in &settings.vectors {
            let embedder = embedder(name)?;
            let form = TargetForm::Dense { dimension: vector.dimension, metric: vector.metric };
            vectors.insert(name.clone(), VectorTarget { form, embedder });
        }
        for name in settings.sparse.keys() {
            let embedder = embedder(name)?;
            vectors.insert(name.clone(), VectorTarget { form: TargetForm::Sparse, embedder });
        }
        for (name, vector) in &settings.multi {
            let embedder = embedder(name)?;
            let form = TargetForm::Multi { dimension: vector.dimension, metric: vector.metric };
            vectors.insert(name.clone(), VectorTarget { form, embedder });
        }
        Ok(PrepareContext {
            vectors,
            tokens_max: settings.chunk.tokens_max,
            tokens_overlap: settings.chunk.tokens_overlap,
            has_words: settings.has_words,
            limits: self.engine.limits.clone(),
        })
    }

    /// Returns what is to be said of a source without storing it: that this version is stored, or what
    /// the same request did before.
    fn known(&self, source: &Source, terms: &Terms) -> Result<Option<Outcome>, Error> {
        terms.check(self.engine.now())?;
        if let Some(key) = terms.key_of(&source.id)
            && let Some(done) = self.engine.database.get(&KEYS, &key)?
        {
            let sequence = Sequence(done.sequence);
            let (is_replaced, is_repeat) = (done.was_there, true);
            let stored = Stored { sequence, is_replaced, is_repeat, ..Stored::default() };
            return Ok(Some(Outcome::Stored(stored)));
        }
        if terms.expected.is_some() {
            // Seen before the work of embedding; what holds is seen again by the committer.
            let stored = self.record(&source.id)?.map(|record| Sequence(record.sequence));
            terms.check_state(&source.id, stored)?;
        }
        let version = terms.version(Version::of(source, source.content.hash()));
        Ok(self.is_stored(source, version)?.then_some(Outcome::Unchanged))
    }

    fn is_stored(&self, source: &Source, version: Version) -> Result<bool, Error> {
        if self.record(&source.id)?.is_some_and(|record| record.version() == version) {
            return Ok(true);
        }
        let file = self.engine.database.get(&FILES, &source.id.as_str().to_owned())?;
        let is_file = matches!(source.content, SourceContent::File { .. });
        Ok(is_file && file.is_some_and(|file| file.version == version.0))
    }

    fn send(
        &self,
        source: &Source,
        mut prepared: PreparedSource,
        terms: &Terms,
        numbers: &Numbers,
    ) -> Result<Sent, Error> {
        let is_file = prepared.documents.iter().any(|document| document.file.is_some());
        let documents = std::mem::take(&mut prepared.documents);
        if is_file && terms.expected.is_some() {
            return Err(Error::Settings(format!(
                "a state is expected of one document, and `{}` is a file of {} records",
                source.id,
                documents.len()
            )));
        }
        let mut waiting = Vec::with_capacity(documents.len());
        let ids: BTreeSet<DocumentId> =
            documents.iter().map(|document| document.id.clone()).collect();
        for mut document in documents {
            let id = document.id.clone();
            self.engine.kept().settings.about.check_payload(&id, &document.payload)?;
            document.version = terms.version(document.version);
            let write = Write::Put(Box::new(document), terms.clone(), Arc::clone(numbers));
            waiting.push((id, self.committer.send(write)?));
        }
        let mut removed = 0;
        let mut file = None;
        if is_file {
            for gone in self.records_of(&source.id)?.difference(&ids) {
                let write = Write::Remove(gone.clone(), Terms::default());
                let done = self.committer.send(write)?;
                removed += u64::from(self.committer.wait(&done)?.was_there);
            }
            let content = source.content.hash();
            let version = terms.version(Version::of(source, content)).0;
            file = Some((source.id.clone(), FileRecord { content: content.0, version }));
        }
        Ok(Sent { prepared, waiting, removed, file })
    }

    fn finish(&self, sent: Sent) -> Result<Stored, ItemError> {
        let began = Instant::now();
        let refused = |error: Error| ItemError::from_error(&error);
        let mut stored = Stored {
            tokens: sent.prepared.tokens,
            warnings: sent.prepared.warnings,
            records_failed: sent.prepared.records_failed,
            records_removed: sent.removed,
            ..Stored::default()
        };
        for (id, done) in sent.waiting {
            let done = self.committer.wait(&done).map_err(refused)?;
            stored.sequence = stored.sequence.max(done.sequence);
            stored.is_replaced |= done.was_there;
            stored.is_repeat |= done.is_repeat;
            let parts = self.record(&id).map_err(refused)?.map_or(0, |record| record.parts);
            stored.parts += parts;
            if sent.file.is_some() {
                stored.record_ids.push(id);
            }
        }
        if let Some((id, record)) = sent.file {
            // Last, so that a file that broke off is stored again.
            let done = self.committer.send(Write::File(id, record)).map_err(refused)?;
            self.committer.wait(&done).map_err(refused)?;
        }
        stored.timings.decode = sent.prepared.decode;
        stored.timings.embed = sent.prepared.embed;
        stored.timings.commit = began.elapsed();
        Ok(stored)
    }

    /// Returns the ids of the stored records of a file.
    fn records_of(&self, file: &DocumentId) -> Result<BTreeSet<DocumentId>, Error> {
        let start = format!("{file}{RECORD_SEPARATOR}");
        let mut ids = BTreeSet::new();
        for row in self.engine.database.range(&DOCUMENTS, start.clone()..) {
            let (id, record) = row?;
            if !id.starts_with(&start) {
                break;
            }
            let id = DocumentId::new(id)?;
            if record.file(&id) == Some(file.as_str()) {
                ids.insert(id);
            }
        }
        Ok(ids)
    }
}
