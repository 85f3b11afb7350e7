use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use super::engine::damaged;
use super::error::{Error, described};
use super::open::Collection;
use super::records::{DOCUMENTS, DocumentRecord};
use super::view::View;
use crate::document::{DocumentId, Filter, Payload, Sequence, Slot, SlotSet, Span};
use crate::index::lexical::LexicalError;
use crate::vector::Vector;

/// The most ids of one request.
const IDS_MAX: usize = 10_000;
/// The most documents of one page.
pub(super) const PAGE_MAX: usize = 1_000;
/// How often a document is looked up that is replaced at the same moment.
const LOOKS_MAX: usize = 1_000;

/// A document as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredDocument {
    /// Its id.
    pub id: DocumentId,
    /// Its fields.
    pub payload: Payload,
    /// The mutation that stored this version.
    pub sequence: Sequence,
    /// When it expires, in milliseconds since 1970-01-01 UTC; none: never.
    pub expires_unix_ms: Option<u64>,
    /// Its parts, in order; empty if they were not asked for.
    pub parts: Vec<StoredPart>,
}

/// A part as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredPart {
    /// Where it stands.
    pub span: Span,
    /// Its text.
    pub text: String,
    /// Its vectors by name; empty if they were not asked for.
    pub vectors: BTreeMap<String, Vector>,
}

/// How many documents and parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Documents.
    pub documents: u64,
    /// Their parts.
    pub parts: u64,
}

impl Collection {
    /// Returns the documents with these ids, in the order of the ids; those that are missing are
    /// left out.
    ///
    /// # Errors
    /// Invalid input for too many ids; corrupt for damaged rows.
    pub fn get(
        &self,
        ids: &[DocumentId],
        with_vectors: bool,
    ) -> Result<Vec<StoredDocument>, Error> {
        check_ids(ids.len())?;
        let mut documents = Vec::with_capacity(ids.len());
        for id in ids {
            // The view keeps the rows while they are read.
            if let Some((_view, first)) = self.first_slot(id)? {
                documents.push(self.stored(first, true, with_vectors)?);
            }
        }
        Ok(documents)
    }

    /// Returns up to `limit` documents after an id in the order of ids, and whether there are more.
    ///
    /// # Errors
    /// Invalid input for a limit out of 1 to 1,000 or a filter that does not fit.
    pub fn scroll(
        &self,
        filter: Option<&Filter>,
        after: Option<&DocumentId>,
        limit: usize,
        with_parts: bool,
        with_vectors: bool,
    ) -> Result<(Vec<StoredDocument>, bool), Error> {
        if limit == 0 || limit > PAGE_MAX {
            return Err(Error::TooMuch { what: "limit", limit: PAGE_MAX, actual: limit });
        }
        self.check_tenant(filter)?;
        let mut view = self.view();
        let mut allowed = self.allowed(&view, filter)?.into_owned();
        let start = after.map_or(Bound::Unbounded, |id| Bound::Excluded(id.as_str().to_owned()));
        let mut page = Vec::new();
        let mut has_more = false;
        for row in self.engine.database.range(&DOCUMENTS, (start, Bound::Unbounded)) {
            let (id, record) = row?;
            let mut first = Slot(record.first);
            if !view.starts.contains(first.0) {
                // The table is ahead of the view.
                let Some((newer, slot)) = self.first_slot(&DocumentId::new(id)?)? else { continue };
                if newer.sequence > view.sequence {
                    allowed = self.allowed(&newer, filter)?.into_owned();
                    view = newer;
                }
                first = slot;
            }
            if !allowed.contains(first.0) {
                continue;
            }
            if page.len() == limit {
                has_more = true;
                break;
            }
            page.push(self.stored(first, with_parts, with_vectors)?);
        }
        // What a commit removes is in no row any more, and is there until the commit is done.
        for (id, record) in self.engine.changing() {
            let is_within = after.is_none_or(|after| id > *after)
                && (!has_more || page.last().is_some_and(|last: &StoredDocument| id < last.id));
            let is_shown = view.starts.contains(record.first) && allowed.contains(record.first);
            if is_within && is_shown && page.iter().all(|found| found.id != id) {
                page.push(self.stored(Slot(record.first), with_parts, with_vectors)?);
            }
        }
        page.sort_by(|a, b| a.id.cmp(&b.id));
        has_more |= page.len() > limit;
        page.truncate(limit);
        Ok((page, has_more))
    }

    /// Returns how many documents and parts there are, or how many the filter means.
    ///
    /// # Errors
    /// Invalid input for a filter that does not fit.
    pub fn count(&self, filter: Option<&Filter>) -> Result<Counts, Error> {
        self.check_tenant(filter)?;
        let view = self.view();
        let allowed = self.allowed(&view, filter)?;
        Ok(Counts { documents: (&*allowed & &view.starts).len(), parts: allowed.len() })
    }

    /// Returns which of these ids hold content with these hashes.
    ///
    /// # Errors
    /// Invalid input for too many.
    pub fn compare(&self, contents: &[(DocumentId, [u8; 32])]) -> Result<Vec<DocumentId>, Error> {
        check_ids(contents.len())?;
        let mut unchanged = Vec::new();
        for (id, hash) in contents {
            let stored = self.record(id)?.map(|record| record.content);
            let stored = match stored {
                Some(content) => Some(content),
                None => self.file_content(id)?,
            };
            if stored == Some(*hash) {
                unchanged.push(id.clone());
            }
        }
        Ok(unchanged)
    }

    /// Returns the newest view.
    pub(super) fn view(&self) -> Arc<View> {
        self.engine.unexpired()
    }

    pub(super) fn record(&self, id: &DocumentId) -> Result<Option<DocumentRecord>, Error> {
        let now = self.engine.now();
        Ok(self.engine.record(id)?.filter(|record| !record.is_expired(now)))
    }

    /// Returns the ids of the documents that the filter means.
    pub(super) fn ids_of(&self, filter: &Filter) -> Result<BTreeSet<DocumentId>, Error> {
        let view = self.view();
        let allowed = self.allowed(&view, Some(filter))?;
        let mut ids = BTreeSet::new();
        for first in &*allowed & &view.starts {
            let body = self.engine.body(Slot(first))?;
            ids.insert(body.ok_or_else(|| damaged("body", first, "missing"))?.id);
        }
        Ok(ids)
    }

    /// Returns the slots that a request is about.
    pub(super) fn allowed<'a>(
        &self,
        view: &'a View,
        filter: Option<&Filter>,
    ) -> Result<std::borrow::Cow<'a, SlotSet>, Error> {
        Ok(match filter {
            None => std::borrow::Cow::Borrowed(&view.live),
            Some(filter) => {
                // The parts of a document follow one another: it is read once for all of them.
                let last = std::cell::RefCell::new(None::<(Slot, Arc<(DocumentId, Payload)>)>);
                let document_of = |slot: Slot| {
                    let first = view.start_of(slot);
                    if let Some((known, document)) = &*last.borrow()
                        && *known == first
                    {
                        return Ok(Some(Arc::clone(document)));
                    }
                    let body = self.engine.body(first);
                    let body = body.map_err(|error| LexicalError::Corrupt(described(&error)))?;
                    let Some(body) = body else { return Ok(None) };
                    let document = Arc::new((body.id, body.payload));
                    last.replace(Some((first, Arc::clone(&document))));
                    Ok(Some(document))
                };
                let lexical = &self.engine.lexical;
                let slots =
                    lexical.evaluate_with(filter, &view.fields, &view.live, &document_of)?;
                std::borrow::Cow::Owned(slots)
            }
        })
    }

    /// Returns where the newest version of a document begins, and a view that shows it.
    pub(super) fn first_slot(&self, id: &DocumentId) -> Result<Option<(Arc<View>, Slot)>, Error> {
        for _ in 0..LOOKS_MAX {
            let view = self.view();
            let Some(record) = self.record(id)? else { return Ok(None) };
            if view.starts.contains(record.first) {
                return Ok(Some((view, Slot(record.first))));
            }
            // It was replaced between the two lines: the newer version is there by now.
        }
        Err(Error::Overloaded { name: self.engine.name.clone(), waiting: self.committer.waiting() })
    }

    pub(super) fn stored(
        &self,
        first: Slot,
        with_parts: bool,
        with_vectors: bool,
    ) -> Result<StoredDocument, Error> {
        let missing = |table| damaged(table, first.0, "missing");
        let body = self.engine.body(first)?.ok_or_else(|| missing("body"))?;
        let mut parts = Vec::new();
        for slot in (first.0..first.0 + body.parts).filter(|_| with_parts).map(Slot) {
            let part = self.engine.part(slot)?.ok_or_else(|| missing("part"))?;
            let vectors = if with_vectors { self.engine.vectors(slot)? } else { BTreeMap::new() };
            parts.push(StoredPart { span: part.span.into(), text: part.text, vectors });
        }
        let sequence = Sequence(body.sequence);
        let record = self.engine.record(&body.id)?;
        let record = record.filter(|record| record.first == first.0 && record.expires != 0);
        let expires_unix_ms = record.map(|record| record.expires);
        Ok(StoredDocument { id: body.id, payload: body.payload, sequence, expires_unix_ms, parts })
    }
}

fn check_ids(actual: usize) -> Result<(), Error> {
    if actual > IDS_MAX {
        return Err(Error::TooMuch { what: "ids", limit: IDS_MAX, actual });
    }
    Ok(())
}
