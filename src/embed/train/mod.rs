//! How is a model fitted on a collection?
//!
//! Texts become a [`TokenCorpus`] of numbered words, which stays in memory (four bytes a word) and is gone
//! through as often as a trainer likes. Every trainer takes its options and a [`Run`],
//! which it tells how far it is, and stops when that is cancelled. With one thread the same corpus, options
//! and seed give the same model to the last bit; more threads share the rows, so their updates meet in
//! no fixed order.

mod averaging;
mod corpus;
mod drive;
mod error;
mod glove;
mod network;
mod paragraphs;
mod recipes;
mod rows;
mod topics;
mod words;

pub use averaging::{count_frequencies, fit_averaging};
pub use corpus::{TOKENS_MAX, TokenCorpus, TokenCorpusBuilder};
pub use error::TrainError;
pub use glove::{GloveOptions, train_glove};
pub use paragraphs::{ParagraphOptions, train_paragraphs};
pub use recipes::{
    AverageRecipe, Doc2VecRecipe, FastTextRecipe, GloveRecipe, LdaRecipe, Share, VocabularyLimits,
    Word2VecRecipe,
};
pub use topics::{TopicOptions, train_topics};
pub use words::{Architecture, Loss, WordOptions, train_subwords, train_words};

use crate::cancel::Cancellation;

/// One training: what its chance starts from, how many threads work, who wants to know how far it is,
/// and who may end it.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// What all chance follows from.
    pub seed: u64,
    /// How many threads work; one gives the same model every time.
    pub threads: usize,
    /// How many bytes of memory its tables may take.
    pub table_bytes_max: u64,
    /// Told what is being done, how much of it is done, and of how much.
    pub progress: &'a dyn Fn(&str, u64, Option<u64>),
    /// Ends the training early.
    pub cancel: &'a Cancellation,
}

impl Run<'_> {
    /// Returns an error if this many numbers of four bytes are more than the memory it may take.
    fn require_room(&self, numbers: usize) -> Result<(), TrainError> {
        let bytes = (numbers as u64).saturating_mul(4);
        if bytes > self.table_bytes_max {
            return Err(TrainError::Memory { actual: bytes, most: self.table_bytes_max });
        }
        Ok(())
    }
}

impl std::fmt::Debug for Run<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Run")
            .field("seed", &self.seed)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
