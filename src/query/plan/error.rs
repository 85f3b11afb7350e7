use super::super::request::PREFETCH_DEPTH_MAX;
use crate::error::{Classified, ErrorKind};
use crate::vector::VectorError;

/// Why a request cannot be answered.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// Nothing to search for.
    #[error("a search needs a text or a vector; to list documents, scroll")]
    Empty,
    /// A number out of its range.
    #[error("{name} is {actual}, expected {minimum} to {maximum}")]
    OutOfRange {
        /// What the number says.
        name: &'static str,
        /// What it is.
        actual: usize,
        /// The least it may be.
        minimum: usize,
        /// The most it may be.
        maximum: usize,
    },
    /// Searches within searches without end.
    #[error("searches are nested at most {PREFETCH_DEPTH_MAX} deep")]
    TooDeep,
    /// Two things that exclude each other.
    #[error("{0}")]
    Combination(&'static str),
    /// A share that is none.
    #[error("{name} is {actual}, expected 0 to 1")]
    Share {
        /// What the number says.
        name: &'static str,
        /// What it is.
        actual: f32,
    },
    /// A threshold that compares with nothing.
    #[error("score_threshold is {0}, expected a finite number")]
    Threshold(f32),
    /// An example that counts for nothing, or for less.
    #[error("the weight of an example is {0}, expected a number above 0")]
    Weight(f32),
    /// A vector name that the collection does not have.
    #[error("the collection has no vector `{name}`; it has {known}")]
    UnknownVector {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A vector that does not fit the collection's.
    #[error("vector `{name}`: {source}")]
    Vector {
        /// The vector name.
        name: String,
        /// What is wrong.
        #[source]
        source: VectorError,
    },
    /// A text for a vector that only takes vectors.
    #[error("vector `{name}` has no embedder, so the question has to be a vector")]
    NoEmbedder {
        /// The vector name.
        name: String,
    },
    /// A text for a vector of pictures.
    #[error("vector `{name}` is made of pictures, so the question has to be a picture, not a text")]
    ReadsNoText {
        /// The vector name.
        name: String,
    },
    /// A picture for a vector of texts.
    #[error("vector `{name}` is made of texts, so the question has to be a text, not a picture")]
    ReadsNoPicture {
        /// The vector name.
        name: String,
    },
    /// A text or a picture for a vector of sounds.
    #[error(
        "vector `{name}` is made of sounds, so the question has to be an excerpt of one (a clip), not a \
         text or a picture"
    )]
    ReadsSounds {
        /// The vector name.
        name: String,
    },
    /// A picture where no vector has an embedder that reads pictures.
    #[error("no vector of the collection is made of pictures; it has {known}")]
    NoneSees {
        /// The vectors there are.
        known: String,
    },
    /// A text where no vector has an embedder.
    #[error(
        "no vector of the collection has an embedder, so a semantic question has to be a vector"
    )]
    NoneEmbeds,
    /// A text that could be embedded in several ways.
    #[error("several vectors have an embedder ({0}): name one of them in `using`")]
    Ambiguous(String),
    /// Examples that could be compared in several ways.
    #[error("examples are compared by one vector, and the collection has {0}: name it")]
    Several(String),
    /// A lexical search without words.
    #[error("a {mode} search needs a text")]
    NoText {
        /// The mode that was asked for.
        mode: &'static str,
    },
    /// A lexical search where words are not indexed.
    #[error("the lexical index of the collection is disabled")]
    NoWords,
    /// No leg can run.
    #[error("the collection can answer neither by words nor by an embedder: give a vector")]
    NoLeg,
}

impl Classified for PlanError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }
}
