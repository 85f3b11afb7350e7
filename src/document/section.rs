use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A stretch of a document's extracted text that stands on one page and under one heading.
///
/// Decoders give the sections of a text in order, none overlapping the next; text between two
/// sections is blank.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Section {
    /// The bytes of the extracted text, in UTF-8.
    pub bytes: Range<usize>,
    /// The page, from 1, where the format has pages.
    pub page: Option<u32>,
    /// The headings above it, outermost first, joined by " > ".
    pub heading: Option<String>,
}
