//! What do its words say about a text?
//!
//! Models that need no neural network to run: a vector for each word ([`WordTable`], [`FastText`]),
//! the mean of them in its several forms ([`Averaging`]), topics ([`Topics`]) and vectors of whole
//! documents ([`Paragraphs`]). How they are fitted stands in [`super::train`].

mod averaging;
mod error;
mod fasttext;
mod files;
mod format;
mod model;
mod neighbours;
mod objective;
mod paragraphs;
mod random;
mod subwords;
mod table;
mod topics;
mod vocabulary;
mod words;

pub use averaging::{Averaging, Frequencies, Power, Weighting};
pub use error::FormatError;
pub use fasttext::{FastText, FastTextKind, FastTextSettings};
pub use model::{AverageSettings, TOKENS_MAX, TopicSettings, WordSettings};
pub(super) use model::{
    FASTTEXT_FILE, TOPICS_FILE, TextModel, WORDS_FILE, write_averaging, write_paragraphs,
};
pub use neighbours::{Neighbour, Neighbours};
pub(super) use objective::{Objective, Sigmoid};
pub use paragraphs::{ParagraphKind, ParagraphRows, ParagraphSettings, Paragraphs};
pub(super) use paragraphs::{chances_to_stay, drawn_window, thinned, whole_window};
pub(super) use random::{Lottery, Random};
pub use subwords::Subwords;
pub use table::{WordTable, WordVectors};
pub use topics::Topics;
pub use vocabulary::{Vocabulary, WORDS_MAX};
pub use words::{Segmentation, Words};

#[cfg(test)]
mod tests;
