//! Which documents does a filter mean?

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use roaring::RoaringBitmap;
use tantivy::postings::Postings as _;
use tantivy::schema::{Field, IndexRecordOption, Term};
use tantivy::{DocSet as _, TERMINATED};

use super::LexicalError;
use super::folder::failed;
use super::keys::{
    ELEMENT_POSITIONS, all_values_keys, exists_key, length_keys, null_key, prefix_keys, range_keys,
    value_key, word_key,
};
use super::schema::Fields;
use super::view::Leaf;
use crate::document::words::{term_groups, terms};
use crate::document::{
    Bound, Condition, DocumentId, Filter, GeoBox, Payload, Range, Scalar, Slot, SlotSet,
};

/// Gives the document of a slot, for conditions that no set of terms can answer; none for a slot that
/// is not live.
pub type DocumentOf<'a> =
    &'a dyn Fn(Slot) -> Result<Option<Arc<(DocumentId, Payload)>>, LexicalError>;

/// Returns the slots in the leaf whose documents the filter means.
pub(super) fn select(
    leaf: &Leaf,
    fields: Fields,
    filter: &Filter,
    document_of: DocumentOf<'_>,
) -> Result<SlotSet, LexicalError> {
    let selection = Selection { leaf, fields, document_of };
    let documents = selection.documents(filter)?;
    let mut slots: Vec<u32> = documents.iter().filter_map(|document| leaf.slot(document)).collect();
    slots.sort_unstable();
    Ok(slots.into_iter().collect())
}

/// The documents of one leaf, dead ones included.
struct Selection<'a> {
    leaf: &'a Leaf,
    fields: Fields,
    document_of: DocumentOf<'a>,
}

impl Selection<'_> {
    fn documents(&self, filter: &Filter) -> Result<RoaringBitmap, LexicalError> {
        match filter {
            Filter::All(filters) => {
                let mut documents = self.all();
                for filter in filters {
                    if documents.is_empty() {
                        break;
                    }
                    documents &= self.documents(filter)?;
                }
                Ok(documents)
            }
            Filter::Any(filters) => {
                let mut documents = RoaringBitmap::new();
                for filter in filters {
                    documents |= self.documents(filter)?;
                }
                Ok(documents)
            }
            Filter::AtLeast(least, filters) => {
                let each = filters.iter().map(|filter| self.documents(filter));
                self.at_least(*least, each)
            }
            Filter::Nested { path, filter: inner } => {
                let candidates = self.candidates(&inner.below(path))?;
                self.verified(candidates, filter)
            }
            Filter::Not(filter) => Ok(self.all() - self.documents(filter)?),
            Filter::Ids(ids) => {
                let ids = ids.iter().map(|id| id.as_str().to_owned());
                self.with_any(self.fields.document, ids)
            }
            Filter::Field { condition: Condition::GeoBox(_) | Condition::GeoRadius(_), .. } => {
                let candidates = self.candidates(filter)?;
                self.verified(candidates, filter)
            }
            Filter::Field { path, condition } => self.satisfying(&path.0, condition),
        }
    }

    /// Returns documents among which are all that the filter means: where no terms tell whether it
    /// holds of one and the same element, those of which it holds somewhere.
    fn candidates(&self, filter: &Filter) -> Result<RoaringBitmap, LexicalError> {
        match filter {
            Filter::All(filters) => {
                let mut documents = self.all();
                for filter in filters {
                    documents &= self.candidates(filter)?;
                }
                Ok(documents)
            }
            Filter::Any(filters) => {
                let mut documents = RoaringBitmap::new();
                for filter in filters {
                    documents |= self.candidates(filter)?;
                }
                Ok(documents)
            }
            Filter::AtLeast(least, filters) => {
                let each = filters.iter().map(|filter| self.candidates(filter));
                self.at_least(*least, each)
            }
            // Another element than the one that does not satisfy it may.
            Filter::Not(_) => Ok(self.all()),
            Filter::Nested { path, filter } => self.candidates(&filter.below(path)),
            Filter::Ids(_) => self.documents(filter),
            Filter::Field { path, condition } => match condition {
                Condition::GeoBox(area) => self.around(&path.0, area),
                Condition::GeoRadius(circle) => self.around(&path.0, &circle.bounds()),
                Condition::Equals(_)
                | Condition::In(_)
                | Condition::Except(_)
                | Condition::Range(_)
                | Condition::Exists
                | Condition::Null
                | Condition::Length(_)
                | Condition::Text(_)
                | Condition::Phrase(_)
                | Condition::Prefix(_) => self.satisfying(&path.0, condition),
            },
        }
    }

    /// Returns those of the documents that the filter means, by their payloads.
    fn verified(
        &self,
        candidates: RoaringBitmap,
        filter: &Filter,
    ) -> Result<RoaringBitmap, LexicalError> {
        let mut documents = RoaringBitmap::new();
        for candidate in candidates {
            let Some(slot) = self.leaf.slot(candidate) else { continue };
            if let Some(document) = (self.document_of)(Slot(slot))?
                && filter.matches(&document.1, &document.0)
            {
                documents.insert(candidate);
            }
        }
        Ok(documents)
    }

    /// Returns documents with a latitude and a longitude within the box.
    fn around(&self, path: &str, area: &GeoBox) -> Result<RoaringBitmap, LexicalError> {
        let degrees = |name: &str, from: f64, to: f64| {
            let bound = |value| Some(Bound { value: Scalar::Float(value), is_inclusive: true });
            let range = Range { lower: bound(from), upper: bound(to) };
            self.within(&range_keys(&format!("{path}.{name}"), &range))
        };
        let latitudes = degrees("lat", area.south, area.north)?;
        let longitudes = if area.west <= area.east {
            degrees("lon", area.west, area.east)?
        } else {
            degrees("lon", area.west, 180.0)? | degrees("lon", -180.0, area.east)?
        };
        Ok(latitudes & longitudes)
    }

    /// Returns the documents that are in at least so many of the sets.
    fn at_least(
        &self,
        least: usize,
        sets: impl Iterator<Item = Result<RoaringBitmap, LexicalError>>,
    ) -> Result<RoaringBitmap, LexicalError> {
        // At place n: the documents in at least n + 1 of the sets so far.
        let mut levels = vec![RoaringBitmap::new(); least];
        for set in sets {
            let set = set?;
            for level in (1..least).rev() {
                let risen = &levels[level - 1] & &set;
                levels[level] |= risen;
            }
            if let Some(lowest) = levels.first_mut() {
                *lowest |= set;
            }
        }
        Ok(levels.pop().unwrap_or_else(|| self.all()))
    }

    fn satisfying(&self, path: &str, condition: &Condition) -> Result<RoaringBitmap, LexicalError> {
        let keys = self.fields.keys;
        match condition {
            Condition::Equals(value) => self.with_any(keys, value_key(path, value)),
            Condition::In(values) => {
                self.with_any(keys, values.iter().filter_map(|value| value_key(path, value)))
            }
            Condition::Except(values) => self.other_than(path, values),
            Condition::Range(range) => self.within(&range_keys(path, range)),
            Condition::Null => self.with_any(keys, [null_key(path)]),
            Condition::Length(range) => self.within(&length_keys(path, range)),
            // Terms give candidates only, see `documents`.
            Condition::GeoBox(area) => self.around(path, area),
            Condition::GeoRadius(circle) => self.around(path, &circle.bounds()),
            Condition::Exists => self.with_any(keys, [exists_key(path)]),
            Condition::Prefix(prefix) => self.beginning(&prefix_keys(path, prefix)),
            Condition::Text(text) => self.with_words(path, &term_groups(text)),
            Condition::Phrase(text) => self.with_words(path, &[terms(text)]),
        }
    }

    fn all(&self) -> RoaringBitmap {
        let mut documents = RoaringBitmap::new();
        documents.insert_range(0..self.leaf.reader.max_doc());
        documents
    }

    fn with_any(
        &self,
        field: Field,
        terms: impl IntoIterator<Item = String>,
    ) -> Result<RoaringBitmap, LexicalError> {
        let index = self.leaf.field(field)?;
        let mut documents = RoaringBitmap::new();
        for term in terms {
            let term = Term::from_field_text(field, &term);
            let postings = index
                .read_postings(&term, IndexRecordOption::Basic)
                .map_err(|error| failed("read postings", error))?;
            if let Some(postings) = postings {
                insert_all(postings, &mut documents)?;
            }
        }
        Ok(documents)
    }

    fn within(&self, ranges: &[RangeInclusive<String>]) -> Result<RoaringBitmap, LexicalError> {
        let mut documents = RoaringBitmap::new();
        for range in ranges {
            let is_within = |key: &[u8]| key <= range.end().as_bytes();
            self.insert_from(range.start(), &is_within, &mut documents)?;
        }
        Ok(documents)
    }

    fn beginning(&self, beginnings: &[String]) -> Result<RoaringBitmap, LexicalError> {
        let mut documents = RoaringBitmap::new();
        for beginning in beginnings {
            let is_within = |key: &[u8]| key.starts_with(beginning.as_bytes());
            self.insert_from(beginning, &is_within, &mut documents)?;
        }
        Ok(documents)
    }

    /// The documents whose field holds a value that is none of these.
    fn other_than(&self, path: &str, values: &[Scalar]) -> Result<RoaringBitmap, LexicalError> {
        let unwanted: BTreeSet<String> =
            values.iter().filter_map(|value| value_key(path, value)).collect();
        let mut documents = RoaringBitmap::new();
        for beginning in all_values_keys(path) {
            // Between the unwanted terms lie the others.
            let mut start = beginning.clone();
            for term in unwanted.iter().filter(|term| term.starts_with(&beginning)) {
                self.insert_from(&start, &|key| key < term.as_bytes(), &mut documents)?;
                start = format!("{term}\0");
            }
            let is_within = |key: &[u8]| key.starts_with(beginning.as_bytes());
            self.insert_from(&start, &is_within, &mut documents)?;
        }
        Ok(documents)
    }

    /// Inserts the documents of the keys from `start` on while they are wanted.
    fn insert_from(
        &self,
        start: &str,
        is_wanted: &dyn Fn(&[u8]) -> bool,
        documents: &mut RoaringBitmap,
    ) -> Result<(), LexicalError> {
        let index = self.leaf.field(self.fields.keys)?;
        let range = index.terms().range().ge(start);
        let mut stream = range.into_stream().map_err(|error| failed("read terms", error))?;
        while stream.advance() && is_wanted(stream.key()) {
            let postings = index
                .read_postings_from_terminfo(stream.value(), IndexRecordOption::Basic)
                .map_err(|error| failed("read postings", error))?;
            insert_all(postings, documents)?;
        }
        Ok(())
    }

    /// The documents of which one text of the field has every group of words, each group's one
    /// after another.
    fn with_words(
        &self,
        path: &str,
        groups: &[Vec<String>],
    ) -> Result<RoaringBitmap, LexicalError> {
        let field = self.fields.payload_words;
        let index = self.leaf.field(field)?;
        // For each word its group and its place there.
        let mut words = Vec::new();
        for (group, terms) in groups.iter().enumerate() {
            for (place, word) in terms.iter().enumerate() {
                let term = Term::from_field_text(field, &word_key(path, word));
                let postings = index
                    .read_postings(&term, IndexRecordOption::WithFreqsAndPositions)
                    .map_err(|error| failed("read postings", error))?;
                let Some(postings) = postings else { return Ok(RoaringBitmap::new()) };
                words.push((group, place, postings));
            }
        }
        let mut documents = RoaringBitmap::new();
        let Some((_, _, first)) = words.first() else { return Ok(documents) };
        let mut document = first.doc();
        let mut positions = Vec::new();
        'documents: while document != TERMINATED {
            for (_, _, postings) in &mut words {
                let next = if postings.doc() < document {
                    postings.seek(document)
                } else {
                    postings.doc()
                };
                if next != document {
                    document = next;
                    continue 'documents;
                }
            }
            let mut texts: Option<RoaringBitmap> = None;
            for group in words.chunk_by_mut(|a, b| a.0 == b.0) {
                let found = texts_with_group(group, &mut positions);
                texts = Some(texts.map_or_else(|| found.clone(), |texts| texts & &found));
            }
            if texts.is_some_and(|texts| !texts.is_empty()) {
                documents.insert(document);
            }
            document += 1;
        }
        Ok(documents)
    }
}

/// The texts of the present document that have the words of the group one after another.
fn texts_with_group(
    group: &mut [(usize, usize, tantivy::postings::SegmentPostings)],
    positions: &mut Vec<u32>,
) -> RoaringBitmap {
    let mut starts: Option<RoaringBitmap> = None;
    for (_, place, postings) in group {
        postings.positions(positions);
        let place = u32::try_from(*place).unwrap_or(u32::MAX);
        let found: RoaringBitmap =
            positions.iter().filter_map(|position| position.checked_sub(place)).collect();
        starts = Some(starts.map_or_else(|| found.clone(), |starts| starts & &found));
    }
    let text = |start: u32| start / u32::try_from(ELEMENT_POSITIONS).unwrap_or(u32::MAX);
    starts.into_iter().flatten().map(text).collect()
}

fn insert_all(
    mut postings: tantivy::postings::SegmentPostings,
    documents: &mut RoaringBitmap,
) -> Result<(), LexicalError> {
    // Postings ascend, so that they can be appended unless others came before.
    let mut found = Vec::with_capacity(postings.size_hint() as usize);
    while postings.doc() != TERMINATED {
        found.push(postings.doc());
        postings.advance();
    }
    let found = RoaringBitmap::from_sorted_iter(found)
        .map_err(|_| LexicalError::Corrupt("postings out of order".to_owned()))?;
    *documents |= found;
    Ok(())
}
