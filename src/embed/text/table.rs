use std::fmt::Debug;

use super::{FormatError, Vocabulary};
use crate::vector::kernel;

/// Words that have vectors.
pub trait WordVectors: Send + Sync + Debug {
    /// Returns the known words.
    fn vocabulary(&self) -> &Vocabulary;

    /// Returns how many components a vector has.
    fn dimension(&self) -> usize;

    /// Adds `weight` times the vector of a word to `sum`, and returns whether the word has one; if
    /// not, `sum` stays as it is.
    ///
    /// # Panics
    /// If `sum` is not of [`Self::dimension`].
    fn add(&self, word: &str, weight: f32, sum: &mut [f32]) -> bool;

    /// Returns the vector of a word, if it has one.
    fn vector(&self, word: &str) -> Option<Vec<f32>> {
        let mut vector = vec![0.0; self.dimension()];
        self.add(word, 1.0, &mut vector).then_some(vector)
    }
}

/// A vector for each word of a vocabulary: what Word2Vec and GloVe make.
#[derive(Debug, Clone, PartialEq)]
pub struct WordTable {
    vocabulary: Vocabulary,
    dimension: usize,
    /// One row of `dimension` values for each word, in the order of the ids.
    values: Vec<f32>,
}

impl WordTable {
    /// Returns the table of a vocabulary; `values` are one row of `dimension` for each word.
    ///
    /// # Errors
    /// A reason, if the number of values does not fit, or one is not finite.
    pub fn new(vocabulary: Vocabulary, dimension: usize, values: Vec<f32>) -> Result<Self, String> {
        let expected = vocabulary.len().checked_mul(dimension);
        if dimension == 0 || expected != Some(values.len()) {
            let words = vocabulary.len();
            let actual = values.len();
            return Err(format!(
                "expected {words} rows of {dimension} values, got {actual} values"
            ));
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let word = vocabulary.words().nth(at / dimension).unwrap_or_default().to_owned();
            return Err(format!("a component of {word:?} is {}, expected a number", values[at]));
        }
        Ok(Self { vocabulary, dimension, values })
    }

    /// Returns the row of a word.
    ///
    /// # Panics
    /// If there is no such word.
    pub fn row(&self, id: u32) -> &[f32] {
        let start = id as usize * self.dimension;
        &self.values[start..start + self.dimension]
    }

    /// Returns all rows, one after another.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Returns all rows, giving the table up.
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// Reads a file of word vectors of whatever format: word2vec binary or text, GloVe text without
    /// a header, or the words of a fastText model. Which one it is, is told from its content.
    ///
    /// # Errors
    /// [`FormatError`]: unavailable; invalid input naming the place; unsupported.
    pub fn read(path: &std::path::Path) -> Result<Self, FormatError> {
        super::format::read(path)
    }

    /// Writes the table in the binary form of word2vec, which is exact.
    ///
    /// # Errors
    /// [`FormatError`]: unavailable; a word with a blank inside cannot be written.
    pub fn write_binary(&self, path: &std::path::Path) -> Result<(), FormatError> {
        super::format::write_binary(self, path)
    }

    /// Writes the table as text, with the header of word2vec: the shortest digits that read back as
    /// the same number.
    ///
    /// # Errors
    /// [`FormatError`]: unavailable; a word with a blank inside cannot be written.
    pub fn write_text(&self, path: &std::path::Path) -> Result<(), FormatError> {
        super::format::write_text(self, path)
    }
}

impl WordVectors for WordTable {
    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    fn add(&self, word: &str, weight: f32, sum: &mut [f32]) -> bool {
        let Some(id) = self.vocabulary.id(word) else { return false };
        kernel::add_scaled(sum, self.row(id), weight);
        true
    }
}
