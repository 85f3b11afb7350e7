use super::{DecodeError, Format, Hint, Limits, TextContent, encoding};
use crate::document::{Payload, Section};

/// Returns the text as one section.
pub(super) fn decode(
    bytes: &[u8],
    _hint: &Hint<'_>,
    _limits: &Limits,
) -> Result<TextContent, DecodeError> {
    let text = encoding::to_text(bytes).into_owned();
    let sections = vec![Section { bytes: 0..text.len(), page: None, heading: None }];
    Ok(TextContent {
        text,
        sections,
        title: None,
        metadata: Payload::new(),
        format: Format::Plain,
        warnings: Vec::new(),
    })
}
