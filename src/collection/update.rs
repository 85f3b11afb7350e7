use std::collections::BTreeMap;
use std::sync::Arc;

use super::change::{Change, Changed, PayloadChange, VectorsChange};
use super::commit::Write;
use super::error::Error;
use super::open::Collection;
use super::terms::Terms;
use crate::document::{DocumentId, Filter, Sequence, check_payload};
use crate::ingest::SPARSE_STORED_MAX;
use crate::query::fitting;
use crate::vector::Vector;

/// What became of changes.
#[derive(Debug, Default)]
pub struct Updated {
    /// How many documents were changed.
    pub updated: u64,
    /// How many already were as they were to be, or were changed by the same request before.
    pub unchanged: u64,
    /// The last mutation.
    pub sequence: Sequence,
    /// The documents that are not stored.
    pub missing: Vec<DocumentId>,
    /// Those that cannot be changed in this way, and why.
    pub failed: Vec<(DocumentId, Error)>,
}

impl Collection {
    /// Changes the payloads of documents, or when they expire. Parts and vectors stay as they are and
    /// are not embedded again: each changed document moves to new slots in one mutation, so that a
    /// reader sees it as it was or as it is, and a crash leaves one of both.
    ///
    /// # Errors
    /// Invalid input for terms that cannot hold; the collection takes no writes. What is wrong with
    /// one document is in the answer.
    pub fn update(
        &self,
        ids: impl IntoIterator<Item = DocumentId>,
        change: PayloadChange,
        terms: &Terms,
    ) -> Result<Updated, Error> {
        self.engine.check_writable()?;
        terms.check(self.engine.now())?;
        if let PayloadChange::Set { fields, .. } | PayloadChange::Overwrite(fields) = &change {
            check_payload(fields)?;
        }
        let change = Arc::new(change);
        let changed = |id| (id, Changed::Payload(Arc::clone(&change)), terms.clone());
        self.change(ids.into_iter().map(changed))
    }

    /// Changes given vectors of documents, each in its own way and on its own terms; as
    /// [`Self::update`].
    ///
    /// # Errors
    /// Invalid input for a vector that does not fit, or that an embedder makes; as [`Self::update`].
    pub fn update_vectors(
        &self,
        changes: Vec<(DocumentId, VectorsChange, Terms)>,
    ) -> Result<Updated, Error> {
        self.engine.check_writable()?;
        let mut checked = Vec::with_capacity(changes.len());
        for (id, change, terms) in changes {
            terms.check(self.engine.now())?;
            checked.push((id, Changed::Vectors(Arc::new(self.checked(change)?)), terms));
        }
        self.change(checked)
    }

    /// Changes given vectors of the documents that the filter means, all in the same way; as
    /// [`Self::update_vectors`].
    ///
    /// # Errors
    /// As [`Self::update_vectors`] and [`Self::update_where`].
    pub fn update_vectors_where(
        &self,
        filter: &Filter,
        change: VectorsChange,
        terms: &Terms,
    ) -> Result<Updated, Error> {
        self.engine.check_writable()?;
        terms.check(self.engine.now())?;
        let change = Arc::new(self.checked(change)?);
        let changed = |id| (id, Changed::Vectors(Arc::clone(&change)), terms.clone());
        self.check_tenant(Some(filter))?;
        self.change(self.ids_of(filter)?.into_iter().map(changed))
    }

    /// Returns the change with vectors as they are stored.
    fn checked(&self, change: VectorsChange) -> Result<VectorsChange, Error> {
        let kept = self.engine.kept();
        let shape = &kept.shape;
        for name in change.set.keys().chain(&change.delete) {
            shape.form(name)?;
            if let Some(embedder) = kept.settings.embedder(name) {
                return Err(Error::Settings(format!(
                    "vector `{name}` is made by embedder `{}` of the texts, and cannot be given",
                    embedder.name
                )));
            }
        }
        let mut set = BTreeMap::new();
        for (name, vector) in change.set {
            let fitting = fitting(&name, &vector, shape)?;
            if let Vector::Sparse(sparse) = &fitting
                && sparse.indices().len() > SPARSE_STORED_MAX
            {
                let (limit, actual) = (SPARSE_STORED_MAX, sparse.indices().len());
                return Err(Error::TooMuch { what: "entries of a stored vector", limit, actual });
            }
            set.insert(name, fitting);
        }
        Ok(VectorsChange { set, ..change })
    }

    fn change(
        &self,
        changes: impl IntoIterator<Item = (DocumentId, Changed, Terms)>,
    ) -> Result<Updated, Error> {
        let mut waiting = Vec::new();
        for (id, change, terms) in changes {
            let write = Write::Change(Box::new(Change { id: id.clone(), change, terms }));
            waiting.push((id, self.committer.send(write)?));
        }
        let mut updated =
            Updated { sequence: self.engine.views.current().sequence, ..Updated::default() };
        for (id, done) in waiting {
            match self.committer.wait(&done) {
                Ok(done) => {
                    updated.sequence = updated.sequence.max(done.sequence);
                    updated.unchanged += u64::from(done.is_repeat);
                    updated.updated += u64::from(!done.is_repeat);
                }
                Err(Error::UnknownDocument(_)) => updated.missing.push(id),
                Err(error @ (Error::ReadOnly { .. } | Error::Closed(_))) => return Err(error),
                Err(error) => updated.failed.push((id, error)),
            }
        }
        Ok(updated)
    }

    /// Changes the documents that the filter means; as [`Self::update`].
    ///
    /// # Errors
    /// Invalid input for a filter that does not fit; as [`Self::update`].
    pub fn update_where(
        &self,
        filter: &Filter,
        change: PayloadChange,
        terms: &Terms,
    ) -> Result<Updated, Error> {
        self.check_tenant(Some(filter))?;
        self.update(self.ids_of(filter)?, change, terms)
    }
}
