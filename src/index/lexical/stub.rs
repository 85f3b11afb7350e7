use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{LexicalError, LexicalOptions, LexicalPart, LexicalQuery, LexicalStatistics, Snippet};
use crate::cancel::Cancellation;
use crate::document::{
    DocumentId, FieldTypes, Filter, Payload, Sequence, Slot, SlotSet,
    words::{fold, terms, words},
};
use crate::vector::Score;

/// The lexical index of a collection. Shared between threads; searches and additions go on beside
/// each other and beside a commit.
#[derive(Debug)]
pub struct LexicalIndex(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    sequence: Sequence,
    parts: BTreeMap<u32, (DocumentId, Vec<String>, Payload)>,
}

impl LexicalIndex {
    /// Opens the index in the folder, which is created if it is not there.
    ///
    /// # Errors
    /// [`LexicalError::Corrupt`] if the folder holds something that is no index of this build, or a
    /// damaged one: the caller deletes the folder, opens again and adds everything anew.
    /// [`LexicalError::Io`] (unavailable) if the folder cannot be read or written.
    pub fn open(_folder: &Path, _options: &LexicalOptions) -> Result<Self, LexicalError> {
        Ok(Self(Mutex::default()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the last mutation that the folder holds: those after it are to be added again after
    /// opening.
    pub fn applied(&self) -> Sequence {
        Sequence::default()
    }

    /// Adds parts; searches that begin afterwards see them. A slot that the index holds is replaced.
    ///
    /// # Errors
    /// [`LexicalError::Engine`] (internal) if the engine fails.
    pub fn add(&self, sequence: Sequence, parts: &[LexicalPart<'_>]) -> Result<(), LexicalError> {
        let mut state = self.state();
        state.sequence = state.sequence.max(sequence);
        for part in parts {
            let mut words = terms(part.heading.unwrap_or_default());
            words.extend(terms(part.text));
            state.parts.insert(part.slot.0, (part.document.clone(), words, part.payload.clone()));
        }
        Ok(())
    }

    /// Forgets slots that are no longer live, so that merges reclaim their space.
    ///
    /// # Errors
    /// [`LexicalError::Engine`] (internal) if the engine fails.
    pub fn remove(&self, sequence: Sequence, slots: &SlotSet) -> Result<(), LexicalError> {
        let mut state = self.state();
        state.sequence = state.sequence.max(sequence);
        for slot in slots {
            state.parts.remove(&slot);
        }
        Ok(())
    }

    /// Moves what was added so far to the folder, durably, and returns the mutation up to which the
    /// folder is complete. Takes 100 ms and more: for a background thread. Additions and searches
    /// go on meanwhile; a second commit waits.
    ///
    /// # Errors
    /// [`LexicalError::Io`] (unavailable) or [`LexicalError::Engine`] (internal); everything stays
    /// searchable, and the next commit tries again.
    pub fn commit(&self) -> Result<Sequence, LexicalError> {
        Ok(self.state().sequence)
    }

    /// Waits for merges that commits have started and gives up the threads and the memory that
    /// writing took. For a background thread with nothing else to do.
    ///
    /// # Errors
    /// [`LexicalError::Engine`] (internal) if a merge failed; the index stays as it was.
    pub fn settle(&self) -> Result<(), LexicalError> {
        Ok(())
    }

    /// Returns the best `limit` of the allowed slots with their scores, best first, ties by slot.
    /// Slots that match nothing of the query are not among them.
    ///
    /// # Errors
    /// [`LexicalError::Query`] (invalid input) if the query is malformed or too large;
    /// [`LexicalError::Interrupted`] if it was cancelled.
    pub fn search(
        &self,
        query: &LexicalQuery<'_>,
        allowed: &SlotSet,
        limit: usize,
        cancel: &Cancellation,
    ) -> Result<Vec<(Slot, Score)>, LexicalError> {
        cancel.check()?;
        let state = self.state();
        let mut frequency: HashMap<&str, f32> = HashMap::new();
        for (_, words, _) in state.parts.values() {
            let distinct: std::collections::HashSet<&str> =
                words.iter().map(String::as_str).collect();
            for word in distinct {
                *frequency.entry(word).or_default() += 1.0;
            }
        }
        let count = state.parts.len() as f32;
        let asked = terms(query.text);
        let mut hits: Vec<(Slot, Score)> = Vec::new();
        for (&slot, (_, words, _)) in &state.parts {
            if !allowed.contains(slot) {
                continue;
            }
            let score: f32 = asked
                .iter()
                .map(|word| {
                    let tf = words.iter().filter(|w| *w == word).count() as f32;
                    let df = frequency.get(word.as_str()).copied().unwrap_or_default();
                    (1.0 + (count - df + 0.5) / (df + 0.5)).ln() * tf / (tf + 1.2)
                })
                .sum();
            if score > 0.0 {
                hits.push((Slot(slot), Score(score)));
            }
        }
        hits.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        hits.truncate(limit);
        Ok(hits)
    }

    /// Returns the live slots of the documents that the filter means; the filter is checked against
    /// the fields first.
    ///
    /// # Errors
    /// [`LexicalError::Filter`] (invalid input) if the filter does not fit the fields.
    pub fn evaluate(
        &self,
        filter: &Filter,
        fields: &FieldTypes,
        live: &SlotSet,
    ) -> Result<SlotSet, LexicalError> {
        filter.check(fields)?;
        let state = self.state();
        let found = state.parts.iter().filter(|(_, (id, _, payload))| filter.matches(payload, id));
        let found: SlotSet = found.map(|(&slot, _)| slot).collect();
        Ok(found & live)
    }

    /// Returns the stretch of the text that shows best why the query found it, of about
    /// `length_max` letters, or nothing if no word of the query stands in it.
    pub fn snippet(
        &self,
        query: &LexicalQuery<'_>,
        text: &str,
        length_max: usize,
    ) -> Option<Snippet> {
        let asked = terms(query.text);
        let hit = words(text).find(|word| asked.contains(&fold(word.text)))?;
        let end = text[hit.start..]
            .char_indices()
            .nth(length_max)
            .map_or(text.len(), |(offset, _)| hit.start + offset);
        Some(Snippet { bytes: hit.start..end, highlights: vec![hit.bytes()] })
    }

    /// Returns what the index holds at the moment.
    pub fn statistics(&self) -> LexicalStatistics {
        LexicalStatistics {
            parts_committed: 0,
            parts_pending: self.state().parts.len() as u64,
            pending_bytes: 0,
            segments: 0,
        }
    }
}
