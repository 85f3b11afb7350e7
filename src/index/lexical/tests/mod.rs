//! The index as its callers see it.

mod durability;
mod filtering;
mod model;
mod searching;

use super::*;
use crate::cancel::Cancellation;
use crate::document::{DocumentId, Payload, Sequence, Slot, SlotSet};

/// An index in a folder of its own.
struct Fixture {
    folder: tempfile::TempDir,
    index: LexicalIndex,
    sequence: u64,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let index = LexicalIndex::open(folder.path(), &LexicalOptions::default()).unwrap();
        Self { folder, index, sequence: 0 }
    }

    /// An index of texts, the first in slot 0.
    fn of(texts: &[&str]) -> Self {
        let mut fixture = Self::new();
        for (slot, text) in (0..).zip(texts) {
            fixture.add(slot, text);
        }
        fixture
    }

    fn add(&mut self, slot: u32, text: &str) {
        self.add_with(slot, text, None, &Payload::new());
    }

    fn add_with(&mut self, slot: u32, text: &str, heading: Option<&str>, payload: &Payload) {
        self.sequence += 1;
        let document = id(slot);
        let part = LexicalPart { slot: Slot(slot), document: &document, text, heading, payload };
        self.index.add(Sequence(self.sequence), &[part]).unwrap();
    }

    fn remove(&mut self, slot: u32) {
        self.sequence += 1;
        self.index.remove(Sequence(self.sequence), &SlotSet::from_iter([slot])).unwrap();
    }

    fn reopen(&mut self) {
        // The old index goes first: two writers must not meet in a folder.
        let empty = tempfile::tempdir().unwrap();
        self.index = LexicalIndex::open(empty.path(), &LexicalOptions::default()).unwrap();
        self.index = LexicalIndex::open(self.folder.path(), &LexicalOptions::default()).unwrap();
    }

    fn search(&self, text: &str) -> Vec<u32> {
        self.search_as(text, WordSyntax::Plain).unwrap()
    }

    /// The slots that a query of the syntax finds, ascending.
    fn query(&self, text: &str) -> Vec<u32> {
        let mut slots = self.search_as(text, WordSyntax::Query).unwrap();
        slots.sort_unstable();
        slots
    }

    fn search_as(&self, text: &str, syntax: WordSyntax) -> Result<Vec<u32>, LexicalError> {
        let hits = self.hits(text, syntax, &everything())?;
        assert!(hits.windows(2).all(|pair| pair[0].1 >= pair[1].1), "{hits:?}");
        Ok(hits.into_iter().map(|(slot, _)| slot.0).collect())
    }

    fn hits(
        &self,
        text: &str,
        syntax: WordSyntax,
        allowed: &SlotSet,
    ) -> Result<Vec<(Slot, crate::vector::Score)>, LexicalError> {
        self.index.search(&LexicalQuery { text, syntax }, allowed, 1_000, &Cancellation::new())
    }
}

fn id(slot: u32) -> DocumentId {
    DocumentId::new(format!("document {slot}")).unwrap()
}

fn everything() -> SlotSet {
    let mut slots = SlotSet::new();
    slots.insert_range(0..100_000);
    slots
}
