use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::picture::Area;
use crate::vector::Vector;

/// Where in its document a part stands. Persisted; variants may be added at the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Span {
    /// The whole document (a document that came as a vector, or has no text).
    Whole,
    /// A range of the document's text.
    Text {
        /// The bytes of the extracted text, in UTF-8.
        bytes: Range<u64>,
        /// The page, from 1, where the format has pages.
        page: Option<u32>,
        /// The headings above the passage, outermost first, joined by " > ".
        heading: Option<String>,
    },
    /// A stretch of time, an area of the picture, or both: part of a picture, a video or a sound.
    Media {
        /// In milliseconds from the start; none for a still picture.
        time: Option<Range<u64>>,
        /// Where in the picture; none: all of it.
        area: Option<Area>,
    },
}

/// The unit of search: a span of a document, its text, and a vector for each of the collection's
/// vector names that has one.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Where it stands in the document.
    pub span: Span,
    /// The passage itself; empty for a part that has no text.
    pub text: String,
    /// The vectors by vector name.
    pub vectors: BTreeMap<String, Vector>,
}
