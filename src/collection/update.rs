use std::sync::Arc;

use super::change::{Change, PayloadChange};
use super::commit::Write;
use super::error::Error;
use super::open::Collection;
use super::terms::Terms;
use crate::document::{DocumentId, Filter, Sequence, check_payload};

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
        let mut waiting = Vec::new();
        for id in ids {
            let (change, terms) = (Arc::clone(&change), terms.clone());
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
        self.update(self.ids_of(filter)?, change, terms)
    }
}
