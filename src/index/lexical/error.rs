use crate::cancel::Interrupted;
use crate::document::FilterError;
use crate::error::{Classified, ErrorKind};

/// Why the lexical index did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LexicalError {
    /// The folder holds no index that this build can read: delete it and build it anew.
    #[error("the lexical index is damaged: {0}")]
    Corrupt(String),
    /// A query that is malformed or too large.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A filter that is malformed or does not fit the fields.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The work was withdrawn or ran out of time.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// The folder could not be read or written.
    #[error("the lexical index could not {action}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The search engine refused what it was given; a defect of this program.
    #[error("the lexical index could not {action}")]
    Engine {
        /// What was attempted.
        action: &'static str,
        /// Why it failed.
        source: tantivy::TantivyError,
    },
}

/// Why a text is not a query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// More text than is searched for.
    #[error("a query has at most {limit} bytes, got {actual}")]
    TooLong {
        /// The most bytes.
        limit: usize,
        /// The bytes it had.
        actual: usize,
    },
    /// More clauses than are searched for.
    #[error("a query has at most {limit} clauses, got {actual}")]
    TooManyClauses {
        /// The most clauses.
        limit: usize,
        /// The clauses it had.
        actual: usize,
    },
    /// Groups within groups without end.
    #[error("a query is nested at most {limit} deep")]
    TooDeep {
        /// The deepest nesting.
        limit: usize,
    },
    /// Something that the query syntax does not know, at a byte of the query.
    #[error("query, byte {position}: {reason}")]
    Syntax {
        /// The byte at which reading stopped.
        position: usize,
        /// What is wrong there.
        reason: String,
    },
}

impl Classified for QueryError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }
}

impl Classified for LexicalError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Corrupt(_) => ErrorKind::Corrupt,
            Self::Query(error) => error.kind(),
            Self::Filter(error) => error.kind(),
            Self::Interrupted(interrupted) => interrupted.kind(),
            Self::Io { .. } => ErrorKind::Unavailable,
            Self::Engine { .. } => ErrorKind::Internal,
        }
    }
}
