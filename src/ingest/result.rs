use crate::document::{DocumentId, Sequence};
use crate::error::{Classified, ErrorKind};

/// What became of one source.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemResult {
    /// The id of the source.
    pub id: DocumentId,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a source.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It is stored, and survives power loss.
    Stored(Stored),
    /// This version was stored already.
    Unchanged,
    /// It is not stored, and the version before it stays.
    Failed(ItemError),
}

/// What was stored of a source.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stored {
    /// The place of its (last) mutation in the order of the collection.
    pub sequence: Sequence,
    /// Its parts; of a file of records, those of all records that were stored now.
    pub parts: u32,
    /// Whether it took the place of an older version.
    pub is_replaced: bool,
    /// Whether the same request had been done before, so that nothing was done now.
    pub is_repeat: bool,
    /// The tokens that were embedded.
    pub tokens: u64,
    /// What was left out, and why.
    pub warnings: Vec<String>,
    /// How long each stage took.
    pub timings: ItemTimings,
    /// Of a file of records: the ids of its documents in their order, unchanged ones included.
    pub record_ids: Vec<DocumentId>,
    /// Of a file of records: how many were stored already.
    pub records_unchanged: u64,
    /// Of a file of records: how many were refused; the warnings say why.
    pub records_failed: u64,
    /// Of a file of records: how many records of the version before it are gone.
    pub records_removed: u64,
}

/// How long each stage of an item took, waiting apart from working.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ItemTimings {
    /// Reading the bytes and cutting the text.
    pub decode: std::time::Duration,
    /// Waiting for the embedder and embedding, with the items of the same batches.
    pub embed: std::time::Duration,
    /// Waiting for the committer, writing, and making it visible.
    pub commit: std::time::Duration,
}

/// Why a source was not stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ItemError {
    /// What can be done about it.
    pub kind: ErrorKind,
    /// What is wrong.
    pub message: String,
}

impl Classified for ItemError {
    fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl ItemError {
    /// Returns the error with the messages of its causes.
    pub fn from_error(error: &(impl Classified + ?Sized)) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            let text = inner.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            cause = inner.source();
        }
        Self { kind: error.kind(), message }
    }
}
