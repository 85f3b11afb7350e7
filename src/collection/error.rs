use std::path::PathBuf;

use simile_storage::{StorageError, StorageErrorKind};

use super::settings::NAME_BYTES_MAX;
use super::snapshot::SnapshotError;
use crate::cancel::Interrupted;
use crate::cluster::ClusterError;
use crate::decode::DecodeError;
use crate::document::{FilterError, IdError, PayloadError};
use crate::embed::EmbedError;
use crate::error::{Classified, ErrorKind};
use crate::index::dense::DenseError;
use crate::index::lexical::LexicalError;
use crate::ingest::ItemError;
use crate::query::{FuseError, PlanError};

/// Why a collection did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A collection that is not there.
    #[error("there is no collection `{0}`")]
    UnknownCollection(String),
    /// A collection that is there already.
    #[error("there is a collection `{0}` already")]
    CollectionExists(String),
    /// A vector that took the name of another one while something was made for that.
    #[error("vector `{0}` was replaced by another one meanwhile; try again")]
    Replaced(String),
    /// An alias that is not there.
    #[error("there is no alias `{0}`")]
    UnknownAlias(String),
    /// A name that stands for a collection already.
    #[error("`{alias}` is an alias of collection `{collection}`")]
    AliasExists {
        /// The name.
        alias: String,
        /// What it stands for.
        collection: String,
    },
    /// An alias where only a collection can be meant.
    #[error(
        "`{alias}` is an alias of collection `{collection}`: delete the alias, or name the collection"
    )]
    IsAlias {
        /// The name.
        alias: String,
        /// What it stands for.
        collection: String,
    },
    /// A snapshot that is not there.
    #[error("there is no snapshot `{name}` of collection `{collection}`")]
    UnknownSnapshot {
        /// The collection.
        collection: String,
        /// The name.
        name: String,
    },
    /// A snapshot that is there already.
    #[error("there is a snapshot `{name}` of collection `{collection}` already")]
    SnapshotExists {
        /// The collection.
        collection: String,
        /// The name.
        name: String,
    },
    /// An archive that cannot be restored.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A vector that is there already.
    #[error("there is a vector `{0}` already")]
    VectorExists(String),
    /// A document that is not there.
    #[error("there is no document `{0}`")]
    UnknownDocument(String),
    /// A document that is in another state than a mutation expects.
    #[error("document `{id}` is expected {expected}, and {actual}")]
    OtherState {
        /// The document.
        id: String,
        /// What is expected.
        expected: String,
        /// What it is.
        actual: String,
    },
    /// A text that names nothing.
    #[error(
        "the name of a {what} has 1 to {NAME_BYTES_MAX} of the letters A-Z a-z 0-9 _ -, got `{name}`"
    )]
    Name {
        /// What was to be named.
        what: &'static str,
        /// The text.
        name: String,
    },
    /// Settings that no collection can have.
    #[error("{0}")]
    Settings(String),
    /// A document or a question that does not say whose it is.
    #[error("{0}")]
    Tenant(String),
    /// A collection whose data failed verification.
    #[error(
        "collection `{name}` is not served, because its data is damaged: {reason}; repair it or restore it"
    )]
    Quarantined {
        /// The collection.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A collection that takes no more writes.
    #[error(
        "collection `{name}` is read-only since a failure: {reason}; mend its cause, then restart"
    )]
    ReadOnly {
        /// The collection.
        name: String,
        /// What failed.
        reason: String,
    },
    /// A collection that was closed or deleted while it was in use, or is being opened.
    #[error("collection `{0}` is closed")]
    Closed(String),
    /// A data directory that another process serves.
    #[error("the data directory {} is in use by another process{holder}", folder.display())]
    InUse {
        /// The data directory.
        folder: PathBuf,
        /// Who says to hold it.
        holder: String,
    },
    /// More writes than are waited for.
    #[error("collection `{name}` has {waiting} writes waiting already: try again later")]
    Overloaded {
        /// The collection.
        name: String,
        /// How many writes wait.
        waiting: usize,
    },
    /// More memory than the collections may take together.
    #[error(
        "the memory budget is {bytes_max} bytes, {used} are in use and {more} more are asked for: \
         try again when upkeep has moved some to disk, or raise `memory_bytes_max`"
    )]
    OverBudget {
        /// The most bytes.
        bytes_max: u64,
        /// The bytes in use.
        used: u64,
        /// The bytes that are asked for.
        more: u64,
    },
    /// An embedder whose vectors are not comparable with the stored ones.
    #[error(
        "vector `{vector}` was made by embedder `{bound}` with fingerprint {bound_fingerprint}, and \
         `{offered}` has fingerprint {offered_fingerprint} now: bring the former back, or store the \
         documents anew in another collection"
    )]
    OtherEmbedder {
        /// The vector name.
        vector: String,
        /// The embedder that made the stored vectors.
        bound: String,
        /// Its fingerprint.
        bound_fingerprint: String,
        /// The embedder there is now.
        offered: String,
        /// Its fingerprint.
        offered_fingerprint: String,
    },
    /// More of something than a request or a collection may have.
    #[error("{what}: at most {limit}, got {actual}")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// The most of it.
        limit: usize,
        /// How much there was.
        actual: usize,
    },
    /// Slots are never given twice, and there are 2^32 of them.
    #[error("the collection has given all of its slots: store its documents anew in another one")]
    Full,
    /// Data that does not hold what it should.
    #[error("{what} is damaged: {reason}")]
    Corrupt {
        /// What is damaged.
        what: String,
        /// What does not hold.
        reason: String,
    },
    /// Data of a later version of this program.
    #[error("the data has format {found}, and this build reads up to {known}: use a newer one")]
    NewerFormat {
        /// The format found.
        found: u32,
        /// The newest format that is known.
        known: u32,
    },
    /// A write that is stored, but that the indexes of this process do not show.
    #[error("the write is stored, and shows after a restart only: {0}")]
    StoredNotShown(String),
    /// A job that is not known.
    #[error("there is no job `{0}`")]
    UnknownJob(String),
    /// The tables could not be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The dense index failed.
    #[error(transparent)]
    Dense(#[from] DenseError),
    /// The lexical index failed.
    #[error(transparent)]
    Lexical(#[from] LexicalError),
    /// A search that cannot be answered.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Answers that cannot be joined.
    #[error(transparent)]
    Fuse(#[from] FuseError),
    /// A filter that cannot be meant.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A text that is no document id.
    #[error(transparent)]
    Id(#[from] IdError),
    /// A payload that cannot be stored.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// A question whose picture cannot be read.
    #[error("the picture of the question: {0}")]
    Picture(DecodeError),
    /// The embedder failed.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// Vectors that cannot be clustered.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// What is asked by cannot be seen.
    #[error(transparent)]
    Item(#[from] ItemError),
    /// Clustering.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The work was ended early.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// The file system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Classified for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownCollection(_)
            | Self::UnknownAlias(_)
            | Self::UnknownSnapshot { .. }
            | Self::UnknownDocument(_)
            | Self::UnknownJob(_) => ErrorKind::NotFound,
            Self::CollectionExists(_)
            | Self::VectorExists(_)
            | Self::AliasExists { .. }
            | Self::SnapshotExists { .. } => ErrorKind::AlreadyExists,
            Self::IsAlias { .. } => ErrorKind::Conflict,
            Self::Snapshot(error) => error.kind(),
            Self::Name { .. } | Self::Settings(_) | Self::Tenant(_) | Self::TooMuch { .. } => {
                ErrorKind::InvalidInput
            }
            Self::Quarantined { .. } | Self::Corrupt { .. } => ErrorKind::Corrupt,
            Self::ReadOnly { .. }
            | Self::Replaced(_)
            | Self::Closed(_)
            | Self::InUse { .. }
            | Self::StoredNotShown(_)
            | Self::Io(_) => ErrorKind::Unavailable,
            Self::Overloaded { .. } | Self::OverBudget { .. } => ErrorKind::Overloaded,
            Self::OtherEmbedder { .. } | Self::OtherState { .. } | Self::Full => {
                ErrorKind::Conflict
            }
            Self::NewerFormat { .. } => ErrorKind::Unsupported,
            Self::Storage(error) => storage_kind(error),
            Self::Dense(error) => error.kind(),
            Self::Lexical(error) => error.kind(),
            Self::Plan(error) => error.kind(),
            Self::Fuse(error) => error.kind(),
            Self::Filter(error) => error.kind(),
            Self::Id(error) => error.kind(),
            Self::Payload(error) => error.kind(),
            Self::Picture(error) => error.kind(),
            Self::Embed(error) => error.kind(),
            Self::Decode(error) => error.kind(),
            Self::Item(error) => error.kind(),
            Self::Cluster(error) => error.kind(),
            Self::Interrupted(error) => error.kind(),
        }
    }
}

fn storage_kind(error: &StorageError) -> ErrorKind {
    match error.kind() {
        StorageErrorKind::InvalidInput => ErrorKind::InvalidInput,
        StorageErrorKind::Corrupt => ErrorKind::Corrupt,
        StorageErrorKind::ReadOnly | StorageErrorKind::InUse | StorageErrorKind::Io => {
            ErrorKind::Unavailable
        }
        StorageErrorKind::Unsupported => ErrorKind::Unsupported,
    }
}

/// Returns the message of an error with those of its causes.
pub(super) fn described(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let message = inner.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        cause = inner.source();
    }
    text
}
