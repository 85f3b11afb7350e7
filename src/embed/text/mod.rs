//! What do its words say about a text?
//!
//! Models that need no neural network to run: a vector for each word ([`WordTable`], [`FastText`]),
//! the mean of them in its several forms ([`Averaging`]), topics ([`Topics`]) and vectors of whole
//! documents ([`Paragraphs`]). How they are fitted stands in [`super::train`].

mod error;
mod fasttext;
mod format;
mod neighbours;
mod objective;
mod random;
mod subwords;
mod table;
mod vocabulary;
mod words;

pub use error::FormatError;
pub use fasttext::{FastText, FastTextKind, FastTextSettings};
pub use neighbours::{Neighbour, Neighbours};
pub(super) use objective::{Objective, Sigmoid};
pub(super) use random::{Lottery, Random};
pub use subwords::Subwords;
pub(super) use table::add_scaled;
pub use table::{WordTable, WordVectors};
pub use vocabulary::{Vocabulary, WORDS_MAX};
pub use words::{Segmentation, Words};

#[cfg(test)]
mod tests;
