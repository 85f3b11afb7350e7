use crate::document::{DocumentId, Part, Payload};
use crate::vector::Vector;

use super::{ContentHash, Version};

/// A document that is ready to be stored: cut, embedded and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// Its id.
    pub id: DocumentId,
    /// Its fields.
    pub payload: Payload,
    /// Its parts, at least one. Vectors have the dimension of their name, and length one where only
    /// directions count.
    pub parts: Vec<Part>,
    /// The hash of what it was made from.
    pub content: ContentHash,
    /// What decided how it came to be.
    pub version: Version,
    /// The file that it is a record of; its id then begins with that of the file.
    pub file: Option<DocumentId>,
}

impl Prepared {
    /// Returns about how many bytes of memory the document takes.
    pub fn bytes(&self) -> usize {
        let part = |part: &Part| {
            let vectors: usize = part.vectors.values().map(Vector::bytes).sum();
            part.text.len() + vectors + 128
        };
        self.parts.iter().map(part).sum::<usize>() + 1_024
    }
}
