//! Where may it be cut?
//!
//! A passage is as much of a text as a model reads at once, cut where a reader would pause: at a
//! heading, else between paragraphs and sentences, else between clauses and words, and inside a word
//! only if nothing else is left.
//!
//! - Sections with different headings are never in one passage, with two exceptions: a heading that
//!   has nothing under it but deeper headings goes to the first of those; and neighbours under one
//!   parent go together, under the parent's heading, while each is shorter than a quarter of a
//!   passage and all of them fit.
//! - Sections with the same heading flow on, as the pages of one chapter do: a sentence may run over
//!   the page, and the start of a page is a good place to cut but not a needed one.
//! - A line break inside a paragraph ends a sentence only if it is no mere wrapping: if the first
//!   word of the next line would have had room, the break was meant.

mod group;
mod passage;
mod sentence;
pub mod shots;
#[cfg(test)]
mod tests;
mod unit;

pub use passage::{ChunkOptions, Passage, TOKENS_MAX_LEAST, chunk};

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
    /// finished passages need not be counted again. True for `WordPiece`, not for byte-pair
    /// encodings or `SentencePiece`.
    fn is_additive(&self) -> bool {
        false
    }
}
