//! Folder and memory as one, at one moment.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use tantivy::columnar::Column;
use tantivy::index::InvertedIndexReader;
use tantivy::postings::TermInfo;
use tantivy::query::{Bm25StatisticsProvider, EnableScoring};
use tantivy::schema::{Field, Term};
use tantivy::{Searcher, SegmentReader};

use super::LexicalError;
use super::analysis::{language_terms, marked_language};
use super::folder::{Committed, failed, slot_at, slot_column};
use super::language::Language;
use super::schema::Fields;
use super::tail::Tail;
use crate::document::SlotSet;

/// Everything that a search reads; does not change.
pub(super) struct View {
    pub(super) leaves: Vec<Leaf>,
    pub(super) fields: Fields,
    /// The engine asks it for the schema; its segments are among the leaves.
    searcher: Searcher,
    documents: u64,
    languages: OnceLock<Vec<Language>>,
}

/// A segment and which of its documents count.
pub(super) struct Leaf {
    pub(super) reader: SegmentReader,
    slots: Column<u64>,
    /// The slots that another leaf holds now, or none.
    masked: Arc<SlotSet>,
}

impl std::fmt::Debug for View {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut view = formatter.debug_struct("View");
        view.field("leaves", &self.leaves.len()).field("documents", &self.documents);
        view.finish_non_exhaustive()
    }
}

impl Leaf {
    fn new(reader: SegmentReader, masked: Arc<SlotSet>) -> Result<Self, LexicalError> {
        let slots = slot_column(&reader)?;
        Ok(Self { reader, slots, masked })
    }

    /// Returns the slot of a document if this is the document that holds it now.
    pub(super) fn slot(&self, document: u32) -> Option<u32> {
        let slot = slot_at(&self.slots, document)?;
        (!self.reader.is_deleted(document) && !self.masked.contains(slot)).then_some(slot)
    }

    /// Returns the terms and postings of a field.
    pub(super) fn field(&self, field: Field) -> Result<Arc<InvertedIndexReader>, LexicalError> {
        self.reader.inverted_index(field).map_err(|error| failed("read the terms", error))
    }

    /// Returns the documents that hold one of the slots, ascending.
    pub(super) fn documents_of(&self, slots: &SlotSet) -> Vec<u32> {
        (0..self.reader.max_doc())
            .filter(|&document| self.slot(document).is_some_and(|slot| slots.contains(slot)))
            .collect()
    }
}

impl View {
    /// Returns the view of the folder alone.
    pub(super) fn of_folder(
        committed: &Committed,
        masked: SlotSet,
        fields: Fields,
    ) -> Result<Self, LexicalError> {
        let masked = Arc::new(masked);
        let leaves = committed.searcher.segment_readers().iter();
        let leaves = leaves.map(|reader| Leaf::new(reader.clone(), Arc::clone(&masked)));
        let leaves: Vec<Leaf> = leaves.collect::<Result<_, _>>()?;
        let documents = leaves.iter().map(|leaf| u64::from(leaf.reader.max_doc())).sum();
        let searcher = committed.searcher.clone();
        Ok(Self { leaves, fields, searcher, documents, languages: OnceLock::new() })
    }

    /// Returns the view of folder and memory, all of which has been indexed.
    pub(super) fn of_all(
        committed: &Committed,
        tail: &Tail,
        fields: Fields,
    ) -> Result<Self, LexicalError> {
        let (masked, layers) = tail.layers();
        let mut view = Self::of_folder(committed, masked, fields)?;
        for (segment, masked) in layers {
            let Some(reader) = &segment.reader else { continue };
            view.documents += u64::from(reader.max_doc());
            view.leaves.push(Leaf::new(reader.clone(), Arc::new(masked))?);
        }
        Ok(view)
    }

    /// Returns for each leaf where the postings of the term are, if it has any.
    pub(super) fn entries(&self, term: &Term) -> Result<Vec<Option<TermInfo>>, LexicalError> {
        let entry = |leaf: &Leaf| {
            let terms = leaf.field(term.field())?;
            terms.get_term_info(term).map_err(|error| failed("read a term", error))
        };
        self.leaves.iter().map(entry).collect()
    }

    /// Returns how many documents have the term, dead ones included that a merge has not dropped.
    pub(super) fn frequency(&self, term: &Term) -> Result<u64, LexicalError> {
        let mut frequency = 0;
        for leaf in &self.leaves {
            let terms = leaf.field(term.field())?;
            let count = terms.doc_freq(term).map_err(|error| failed("read a term", error))?;
            frequency += u64::from(count);
        }
        Ok(frequency)
    }

    /// Returns how many documents there are, as frequencies count them.
    pub(super) fn documents(&self) -> u64 {
        self.documents
    }

    /// Returns how many terms a document has on average in a field, at least one.
    pub(super) fn length_mean(&self, field: Field) -> Result<f32, LexicalError> {
        Ok((self.tokens(field)? as f32 / self.documents.max(1) as f32).max(1.0))
    }

    fn tokens(&self, field: Field) -> Result<u64, LexicalError> {
        self.leaves.iter().map(|leaf| Ok(leaf.field(field)?.total_num_tokens())).sum()
    }

    /// Returns the languages, besides the defaults of their scripts, by which texts were stemmed.
    pub(super) fn languages(&self) -> Result<&[Language], LexicalError> {
        if let Some(languages) = self.languages.get() {
            return Ok(languages);
        }
        let (lower, upper) = language_terms();
        let mut languages = Vec::new();
        for leaf in &self.leaves {
            let terms = leaf.field(self.fields.words)?;
            let range = terms.terms().range().ge(&lower).lt(&upper);
            let mut stream = range.into_stream().map_err(|error| failed("read terms", error))?;
            while stream.advance() {
                let name = std::str::from_utf8(stream.key()).unwrap_or_default();
                languages
                    .extend(marked_language(name).filter(|language| !languages.contains(language)));
            }
        }
        Ok(self.languages.get_or_init(|| languages))
    }

    /// Returns what the engine needs to weigh a query by.
    pub(super) fn scoring<'a>(&'a self, statistics: &'a Statistics<'a>) -> EnableScoring<'a> {
        EnableScoring::enabled_from_statistics_provider(statistics, &self.searcher)
    }
}

/// Term statistics over all leaves. Terms that stand for the same word of a query are given the
/// frequency of the word, so that a rare spelling of a common word does not weigh more than it.
pub(super) struct Statistics<'a> {
    view: &'a View,
    frequencies: HashMap<Term, u64>,
}

impl<'a> Statistics<'a> {
    pub(super) fn new(view: &'a View) -> Self {
        Self { view, frequencies: HashMap::new() }
    }

    /// Sets how frequent the term is taken to be; the largest number given for it counts.
    pub(super) fn set(&mut self, term: &Term, frequency: u64) {
        let frequency = frequency.min(self.view.documents());
        let known = self.frequencies.entry(term.clone()).or_default();
        *known = frequency.max(*known);
    }
}

impl Bm25StatisticsProvider for Statistics<'_> {
    fn total_num_tokens(&self, field: Field) -> tantivy::Result<u64> {
        let tokens = self.view.tokens(field).map_err(as_engine_error)?;
        // The mean length must not be zero.
        Ok(tokens.max(1))
    }

    fn total_num_docs(&self) -> tantivy::Result<u64> {
        Ok(self.view.documents().max(1))
    }

    fn doc_freq(&self, term: &Term) -> tantivy::Result<u64> {
        match self.frequencies.get(term) {
            Some(&frequency) => Ok(frequency),
            None => self.view.frequency(term).map_err(as_engine_error),
        }
    }
}

fn as_engine_error(error: LexicalError) -> tantivy::TantivyError {
    if let LexicalError::Engine { source, .. } = error {
        return source;
    }
    tantivy::TantivyError::InternalError(error.to_string())
}
