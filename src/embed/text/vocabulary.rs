use std::collections::HashMap;
use std::sync::Arc;

/// The most words that a vocabulary holds.
pub const WORDS_MAX: usize = 1 << 28;

/// The words that a model knows, each with its id (from 0, in the order they were added) and how
/// often it was seen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Vocabulary {
    words: Vec<Arc<str>>,
    counts: Vec<u64>,
    ids: HashMap<Arc<str>, u32>,
}

impl Vocabulary {
    /// Adds a word and returns its id, or nothing if the word is known already or the vocabulary is
    /// full ([`WORDS_MAX`]).
    pub fn add(&mut self, word: &str, count: u64) -> Option<u32> {
        if self.ids.contains_key(word) || self.words.len() >= WORDS_MAX {
            return None;
        }
        let id = u32::try_from(self.words.len()).ok()?;
        let word: Arc<str> = word.into();
        self.ids.insert(Arc::clone(&word), id);
        self.words.push(word);
        self.counts.push(count);
        Some(id)
    }

    /// Returns the id of a word.
    #[inline]
    pub fn id(&self, word: &str) -> Option<u32> {
        self.ids.get(word).copied()
    }

    /// Returns the word of an id.
    ///
    /// # Panics
    /// If there is no such word.
    pub fn word(&self, id: u32) -> &str {
        &self.words[id as usize]
    }

    /// Returns the words in the order of their ids.
    pub fn words(&self) -> impl ExactSizeIterator<Item = &str> {
        self.words.iter().map(AsRef::as_ref)
    }

    /// Returns how often each word was seen, in the order of the ids; zeros where that is not known.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Returns how many words there are.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
}
