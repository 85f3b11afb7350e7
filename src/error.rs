//! What can a caller do about an error? The kinds stand at the bottom; each module keeps its own
//! error type beside its code and says of which kind each case is.

/// What the caller of a failed operation can do about it.
///
/// A new kind is added only if callers act differently on it. The server maps each kind to one
/// gRPC status, the command line to one exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong and stays wrong: correct it.
    InvalidInput,
    /// What was named does not exist.
    NotFound,
    /// What was to be created exists.
    AlreadyExists,
    /// The request does not fit the present state (another embedder, another version).
    Conflict,
    /// This build or this format does not do that.
    Unsupported,
    /// A bounded queue is full: try again later.
    Overloaded,
    /// A part that the work needs is not there (no runtime, no model, read-only): an operator acts.
    Unavailable,
    /// The deadline passed.
    TimedOut,
    /// The caller withdrew.
    Cancelled,
    /// Stored data failed its checksum or its own rules.
    Corrupt,
    /// A defect of this program.
    Internal,
}

/// An error that knows what its receiver can do about it.
pub trait Classified: std::error::Error {
    /// Returns the kind; exhaustive over the cases of the error.
    fn kind(&self) -> ErrorKind;
}
