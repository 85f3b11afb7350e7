use std::ops::Range;

use super::CountTokens;
use crate::cancel::{Cancellation, Interrupted};
use crate::document::Section;

/// How long passages are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkOptions {
    /// The most tokens of a passage, without the special tokens that the model adds.
    pub tokens_max: usize,
    /// The tokens that a passage repeats of the one before it, about; whole sentences only, and
    /// never across a border between sections that are kept apart.
    pub tokens_overlap: usize,
    /// The most bytes of a passage, for texts whose tokens have no bound of their own.
    pub bytes_max: usize,
}

impl Default for ChunkOptions {
    fn default() -> Self {
        Self { tokens_max: 254, tokens_overlap: 32, bytes_max: 32 << 10 }
    }
}

/// One passage of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// Its bytes in the text that was cut, without blanks at either end.
    pub bytes: Range<usize>,
    /// The page that it begins on, from 1, where the text has pages.
    pub page: Option<u32>,
    /// The headings above it, outermost first, joined by " > ".
    pub heading: Option<String>,
    /// Its tokens, without the special tokens that the model adds.
    pub tokens: usize,
}

/// Returns the passages of the text in order.
///
/// They cover all of the text that is not blank, whatever the sections cover; each has at most
/// `options.tokens_max` tokens. The same input gives the same passages.
///
/// # Errors
/// [`Interrupted`] once the token ends.
pub fn chunk(
    text: &str,
    sections: &[Section],
    counter: &dyn CountTokens,
    options: &ChunkOptions,
    cancel: &Cancellation,
) -> Result<Vec<Passage>, Interrupted> {
    let mut passages = Vec::new();
    for section in sections {
        cancel.check()?;
        let base = section.bytes.start;
        let tokens = counter.token_ranges(&text[section.bytes.clone()]);
        for group in tokens.chunks(options.tokens_max.max(1)) {
            let bytes = base + group[0].start..base + group[group.len() - 1].end;
            passages.push(Passage {
                bytes,
                page: section.page,
                heading: section.heading.clone(),
                tokens: group.len(),
            });
        }
    }
    Ok(passages)
}
