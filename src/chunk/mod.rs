//! Where may it be cut?
//!
//! A passage is as much of a text as a model reads at once, cut where a reader would pause: at a
//! heading, else between sentences, else between words.

mod passage;

pub use passage::{ChunkOptions, Passage, chunk};

use std::ops::Range;

/// A tokenizer, as far as cutting needs it.
///
/// Ranges rather than a number, so that a text is tokenised once and not once for each place where
/// it might be cut.
pub trait CountTokens {
    /// Returns the bytes of each token of the text in order, none of them special tokens that the
    /// model puts around a passage. Blanks may belong to no token.
    fn token_ranges(&self, text: &str) -> Vec<Range<usize>>;

    /// Returns whether a cut between two words leaves the tokens of both sides as they were, so that
    /// finished passages need not be counted again. True for WordPiece, not for byte-pair encodings
    /// or SentencePiece.
    fn is_additive(&self) -> bool {
        false
    }
}
