use std::{io, path::PathBuf, sync::Arc};

use crate::{batch::BATCH_BYTES_MAX, key::KEY_BYTES_MAX, record::VALUE_BYTES_MAX};

/// What the caller of a failed storage operation can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StorageErrorKind {
    /// The key, value or batch can never be stored: correct it.
    InvalidInput,
    /// Stored data failed its checksum or its own rules: restore or rebuild.
    Corrupt,
    /// An earlier failure made the database read-only for good: reopen it.
    ReadOnly,
    /// Another process, or another handle of this one, has the database open.
    InUse,
    /// The operating system refused: look at the disk.
    Io,
    /// The data was written by a version of the program that this one does not know.
    Unsupported,
}

/// Why a storage operation failed. Cheap to clone: a group commit hands one error to many callers.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// An encoded value over [`VALUE_BYTES_MAX`].
    #[error("a value of table {table} has at most {VALUE_BYTES_MAX} bytes, got {bytes}")]
    ValueTooLarge {
        /// The table's name.
        table: &'static str,
        /// The size of the value as it would be stored.
        bytes: usize,
    },
    /// An encoded key over [`KEY_BYTES_MAX`].
    #[error("a key of table {table} has at most {KEY_BYTES_MAX} bytes, got {bytes}")]
    KeyTooLarge {
        /// The table's name.
        table: &'static str,
        /// The size of the key as it would be stored.
        bytes: usize,
    },
    /// A batch over [`BATCH_BYTES_MAX`].
    #[error("a batch has at most {BATCH_BYTES_MAX} bytes, got {bytes}")]
    BatchTooLarge {
        /// The size of all keys and values of the batch.
        bytes: usize,
    },
    /// A value that cannot be encoded; a defect of its `Encode`.
    #[error("a value of table {table} cannot be encoded: {reason}")]
    Unencodable {
        /// The table's name.
        table: &'static str,
        /// What the encoder said.
        reason: String,
    },
    /// A stored record that failed its checksum or does not decode.
    #[error("table {table} has a corrupt record at key {key}: {reason}")]
    CorruptRecord {
        /// The table's name.
        table: &'static str,
        /// The stored key, in hexadecimal.
        key: String,
        /// What does not hold.
        reason: String,
    },
    /// A record in a format that this program does not know.
    #[error(
        "table {table} has a record of format {found} at key {key}, known up to format {known}"
    )]
    UnknownFormat {
        /// The table's name.
        table: &'static str,
        /// The stored key, in hexadecimal.
        key: String,
        /// The format found.
        found: u16,
        /// The newest format that is known.
        known: u16,
    },
    /// The files of the database contradict themselves or what was promised about them.
    #[error("the database in {folder} is corrupt: {reason}")]
    CorruptDatabase {
        /// The folder of the database.
        folder: PathBuf,
        /// What does not hold.
        reason: String,
    },
    /// The files were written by another version of the engine.
    #[error("the database in {folder} cannot be read by this version: {reason}")]
    UnsupportedDatabase {
        /// The folder of the database.
        folder: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// The folder is held by another handle.
    #[error("the database in {folder} is in use by another process")]
    InUse {
        /// The folder of the database.
        folder: PathBuf,
    },
    /// Writing is over for this handle.
    #[error("the database in {folder} is read-only: {reason}")]
    ReadOnly {
        /// The folder of the database.
        folder: PathBuf,
        /// What happened.
        reason: ReadOnlyReason,
    },
    /// The operating system failed.
    #[error("cannot {operation} the database in {folder}")]
    Io {
        /// What was being done, as a verb.
        operation: &'static str,
        /// The folder of the database.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
}

/// Why a database takes no more writes. It stays so until it is opened anew.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadOnlyReason {
    /// A sync failed. The kernel may have dropped what it could not write, so that a second sync
    /// would succeed and lie (<https://lwn.net/Articles/752063/>); it is never tried.
    #[error("a sync failed, and what was written since the last one may be lost: {0}")]
    SyncFailed(String),
    /// A write failed part of the way. The engine reads nothing more then, either.
    #[error("a write failed, and nothing is read until it is opened anew: {0}")]
    WriteFailed(String),
    /// The engine found its own state broken.
    #[error("the engine stopped: {0}")]
    EngineFailed(String),
}

impl StorageError {
    /// Returns the kind; exhaustive over the cases.
    pub fn kind(&self) -> StorageErrorKind {
        match self {
            Self::ValueTooLarge { .. }
            | Self::KeyTooLarge { .. }
            | Self::BatchTooLarge { .. }
            | Self::Unencodable { .. } => StorageErrorKind::InvalidInput,
            Self::CorruptRecord { .. } | Self::CorruptDatabase { .. } => StorageErrorKind::Corrupt,
            Self::UnknownFormat { .. } | Self::UnsupportedDatabase { .. } => {
                StorageErrorKind::Unsupported
            }
            Self::InUse { .. } => StorageErrorKind::InUse,
            Self::ReadOnly { .. } => StorageErrorKind::ReadOnly,
            Self::Io { .. } => StorageErrorKind::Io,
        }
    }
}

/// Returns bytes in hexadecimal, cut after 64 of them: enough to find a key by.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    const SHOWN_MAX: usize = 64;
    let mut text = String::with_capacity(2 * bytes.len().min(SHOWN_MAX) + 3);
    for byte in bytes.iter().take(SHOWN_MAX) {
        // Writing to a string cannot fail.
        let _written = write!(text, "{byte:02x}");
    }
    if bytes.len() > SHOWN_MAX {
        text.push_str("...");
    }
    text
}
