use std::path::PathBuf;

use crate::error::{Classified, ErrorKind};

/// Why a file holds no model of the kind that was expected.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The file could not be read or written.
    #[error("cannot read or write a model")]
    File(#[from] std::io::Error),
    /// A place in the file that cannot be read as the format says.
    #[error("{}: {place}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where in the file: a line, a word, a table.
        place: String,
        /// What is wrong there, both sides.
        reason: String,
    },
    /// A form of the format that this build does not read.
    #[error("{}: {what}, which is not supported", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The form.
        what: String,
    },
    /// A word that cannot be written in the format that was asked for.
    #[error("the word {word:?} cannot be written to {}: {reason}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The word.
        word: String,
        /// Why not.
        reason: String,
    },
}

impl Classified for FormatError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::File(_) => ErrorKind::Unavailable,
            Self::Malformed { .. } | Self::Unwritable { .. } => ErrorKind::InvalidInput,
            Self::Unsupported { .. } => ErrorKind::Unsupported,
        }
    }
}
