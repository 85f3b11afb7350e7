//! Which parts contain these words, and which documents does this filter mean?
//!
//! An inverted index over words, letter n-grams and payloads. What was committed lies in a folder;
//! what was added since then lies in memory beside it, and both are searched as one.

mod analysis;
mod error;
mod folder;
mod index;
mod keys;
mod language;
mod plan;
mod ranking;
mod schema;
mod selection;
mod snippet;
mod syntax;
mod tail;
mod understanding;
mod view;

#[cfg(test)]
mod tests;

use std::ops::Range;

pub use error::{LexicalError, QueryError};
pub use index::LexicalIndex;
pub use selection::DocumentOf;
pub use snippet::Highlighter;

use crate::document::{DocumentId, Payload, Slot};

/// A part as the lexical index takes it.
#[derive(Debug, Clone, Copy)]
pub struct LexicalPart<'a> {
    /// The slot by which searches name the part. A slot that is added again replaces what it held.
    pub slot: Slot,
    /// The document to which the part belongs.
    pub document: &'a DocumentId,
    /// The passage.
    pub text: &'a str,
    /// The title of the document and the headings above the passage, searched with it.
    pub heading: Option<&'a str>,
    /// The fields of the document.
    pub payload: &'a Payload,
}

impl LexicalPart<'_> {
    /// Returns a number that two parts share only if they are the same, as good as certainly.
    pub fn fingerprint(&self) -> u64 {
        schema::PendingPart::new(self, std::sync::Arc::new(self.payload.clone())).fingerprint()
    }
}

/// What is asked of the texts.
#[derive(Debug, Clone, Copy)]
pub struct LexicalQuery<'a> {
    /// The words.
    pub text: &'a str,
    /// How they are read.
    pub syntax: WordSyntax,
}

/// How the text of a query is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WordSyntax {
    /// As plain words; parts with more and rarer ones of them come first, typing errors are forgiven.
    #[default]
    Plain,
    /// As a query: `"a phrase"`, `+must`, `-not`, `AND`, `OR`, `(groups)`, `fuzzy~`.
    Query,
}

/// How the index works.
#[derive(Debug, Clone)]
pub struct LexicalOptions {
    /// The memory that one commit may take for sorting its words, in bytes; at least 15,000,000.
    pub memory_bytes_max: usize,
    /// Whether opening reads every file and compares its checksum, about 1 s for 2 GB. Without it,
    /// damage shows later: in a search as an error, or as a wrong answer.
    pub verifies_files: bool,
}

impl Default for LexicalOptions {
    fn default() -> Self {
        Self { memory_bytes_max: 50_000_000, verifies_files: true }
    }
}

/// What the index holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LexicalStatistics {
    /// The parts in the folder, dead ones included until a merge drops them.
    pub parts_committed: u64,
    /// The parts in memory, which a commit moves to the folder.
    pub parts_pending: u64,
    /// About how many bytes of memory those take.
    pub pending_bytes: u64,
    /// The segments in the folder.
    pub segments: usize,
}

/// The stretch of a text that shows best why it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    /// The bytes of the text to show; both ends stand between letters.
    pub bytes: Range<usize>,
    /// The matched words, as bytes of the text within `bytes`: ascending, not overlapping.
    pub highlights: Vec<Range<usize>>,
}
