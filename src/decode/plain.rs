use super::{DecodeError, Format, Limits, TextContent};
use crate::document::{Payload, Section};

/// Returns the text as it is; form feeds part pages.
pub(super) fn decode(text: String, limits: &Limits) -> Result<TextContent, DecodeError> {
    if text.len() > limits.text_bytes_max {
        return Err(DecodeError::TooLarge {
            what: "bytes of text",
            limit: limits.text_bytes_max as u64,
            actual: text.len() as u64,
        });
    }
    let mut sections = Vec::new();
    let has_pages = text.contains('\u{c}');
    let mut start = 0;
    for (page, part) in (1_u32..).zip(text.split_inclusive('\u{c}')) {
        let end = start + part.len();
        if !part.trim().is_empty() {
            sections.push(Section {
                bytes: start..end,
                page: has_pages.then_some(page),
                heading: None,
            });
        }
        start = end;
    }
    Ok(TextContent {
        text,
        sections,
        title: None,
        metadata: Payload::new(),
        format: Format::Plain,
        warnings: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_feeds_part_pages_and_the_text_stays_as_it_is() {
        let source = "One.\r\n\u{c}\u{c}Three.";
        let content = decode(source.to_owned(), &Limits::default()).unwrap();
        assert_eq!(content.text, source);
        let pages: Vec<_> = content.sections.iter().map(|section| section.page).collect();
        assert_eq!(pages, [Some(1), Some(3)]);
    }
}
