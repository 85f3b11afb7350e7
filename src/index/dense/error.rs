use std::path::PathBuf;

use crate::cancel::Interrupted;
use crate::error::{Classified, ErrorKind};
use crate::vector::VectorError;

/// Why the dense index could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DenseError {
    /// A vector that does not fit the index.
    #[error(transparent)]
    Vector(#[from] VectorError),
    /// Options out of bounds.
    #[error("{name} is {least} to {most}, got {actual}")]
    Option {
        /// Which option.
        name: &'static str,
        /// The least it may be.
        least: usize,
        /// The most it may be.
        most: usize,
        /// What was given.
        actual: usize,
    },
    /// More vectors than one index numbers.
    #[error("a segment holds at most {limit} vectors, got {actual}")]
    TooMany {
        /// The most vectors.
        limit: usize,
        /// How many there were.
        actual: usize,
    },
    /// A file that does not hold what it should.
    #[error("{}: {reason}", file.display())]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file system refused.
    #[error("dense index")]
    Io(#[from] std::io::Error),
    /// The work was ended early.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// The graph could not be built.
    #[error("building the graph: {0}")]
    Build(String),
}

impl Classified for DenseError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Vector(error) => error.kind(),
            Self::Option { .. } | Self::TooMany { .. } => ErrorKind::InvalidInput,
            Self::Corrupt { .. } => ErrorKind::Corrupt,
            Self::Io(_) => ErrorKind::Unavailable,
            Self::Interrupted(interrupted) => interrupted.kind(),
            Self::Build(_) => ErrorKind::Internal,
        }
    }
}
