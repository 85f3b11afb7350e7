use std::collections::BTreeMap;

use crate::document::{DocumentId, Part, Payload};
use crate::picture::Likeness;
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
    /// What is kept of the parts that are pictures, by their place among the parts.
    pub pictures: BTreeMap<u32, PartPicture>,
    /// The hash of what it was made from.
    pub content: ContentHash,
    /// What decided how it came to be.
    pub version: Version,
    /// The file that it is a record of; its id then begins with that of the file.
    pub file: Option<DocumentId>,
}

/// What is kept of a part that is a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartPicture {
    /// A small JPEG of it.
    pub thumbnail: Vec<u8>,
    /// What it looks like, by which the same picture is found again.
    pub likeness: Likeness,
}

impl Prepared {
    /// Returns about how many bytes of memory the document takes.
    pub fn bytes(&self) -> usize {
        let part = |part: &Part| {
            let vectors: usize = part.vectors.values().map(Vector::bytes).sum();
            part.text.len() + vectors + 128
        };
        let pictures = self.pictures.values().map(|picture| picture.thumbnail.len() + 128);
        self.parts.iter().map(part).sum::<usize>() + pictures.sum::<usize>() + 1_024
    }
}
