//! How decoders write the text they find: headings, blocks and lines become one text with sections.

use super::DecodeError;
use crate::document::Section;

/// A heading's place in a path is no place for a page of text.
const HEADING_CHARS_MAX: usize = 200;

/// Collects a text and its sections.
#[derive(Debug)]
pub(super) struct Writer {
    text: String,
    bytes_max: usize,
    is_full: bool,
    sections: Vec<Section>,
    /// The open headings with their levels, outermost first.
    path: Vec<(u8, String)>,
    page: Option<u32>,
    section_begins: usize,
}

impl Writer {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            text: String::new(),
            bytes_max,
            is_full: false,
            sections: Vec::new(),
            path: Vec::new(),
            page: None,
            section_begins: 0,
        }
    }

    /// Begins a section under a heading, which becomes a line of the text; level 1 is the outermost.
    pub(super) fn heading(&mut self, level: u8, title: &str) {
        let label: Vec<&str> = title.split_whitespace().collect();
        let label = label.join(" ");
        if label.is_empty() {
            return;
        }
        self.end_section();
        self.path.retain(|(above, _)| *above < level);
        self.path.push((level, label.chars().take(HEADING_CHARS_MAX).collect()));
        self.block(&label);
    }

    /// Ends the section; the next one stands under no heading.
    pub(super) fn end_headings(&mut self) {
        self.end_section();
        self.path.clear();
    }

    /// Begins a page; a section ends with its page.
    pub(super) fn page(&mut self, page: u32) {
        self.end_section();
        self.page = Some(page);
    }

    /// Adds a paragraph; an empty line parts it from what was before.
    pub(super) fn block(&mut self, text: &str) {
        self.add("\n\n", text);
    }

    /// Adds a line to what was before.
    pub(super) fn line(&mut self, text: &str) {
        self.add("\n", text);
    }

    /// Returns the last character that was written.
    pub(super) fn last(&self) -> Option<char> {
        self.text.chars().next_back()
    }

    /// Returns whether there is more text than may be; nothing more is added.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Returns the text and its sections.
    pub(super) fn finish(mut self) -> Result<(String, Vec<Section>), DecodeError> {
        if self.is_full {
            return Err(DecodeError::TooLarge {
                what: "bytes of text",
                limit: self.bytes_max as u64,
                actual: self.bytes_max as u64 + 1,
            });
        }
        self.end_section();
        Ok((self.text, self.sections))
    }

    fn add(&mut self, parted_by: &str, text: &str) {
        let text = text.trim_end();
        if text.trim_start().is_empty() {
            return;
        }
        let parted_by = if self.text.is_empty() { "" } else { parted_by };
        if self.is_full || self.text.len() + parted_by.len() + text.len() > self.bytes_max {
            self.is_full = true;
            return;
        }
        self.text.push_str(parted_by);
        if self.section_begins == usize::MAX {
            self.section_begins = self.text.len();
        }
        self.text.push_str(text);
    }

    fn end_section(&mut self) {
        if self.section_begins < self.text.len() {
            let path: Vec<&str> = self.path.iter().map(|(_, label)| label.as_str()).collect();
            self.sections.push(Section {
                bytes: self.section_begins..self.text.len(),
                page: self.page,
                heading: (!path.is_empty()).then(|| path.join(" > ")),
            });
        }
        // The next section begins where its first text is written, after what parts it from this one.
        self.section_begins = if self.text.is_empty() { 0 } else { usize::MAX };
    }
}

/// Collects text that flows, in which any run of blanks is one blank.
#[derive(Debug, Default)]
pub(super) struct Inline {
    text: String,
    pending: Pending,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Pending {
    #[default]
    Nothing,
    Blank,
    Break,
}

impl Inline {
    /// Adds text; characters that are neither seen nor needed are left out.
    pub(super) fn push(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '\n' | '\r' => self.pending = Pending::Break,
                _ if character.is_whitespace() => {
                    if self.pending == Pending::Nothing {
                        self.pending = Pending::Blank;
                    }
                }
                _ if is_unseen(character) => {}
                _ => {
                    self.part(character);
                    self.text.push(character);
                }
            }
        }
    }

    /// Adds text as it is, line breaks and all.
    pub(super) fn push_verbatim(&mut self, text: &str) {
        self.pending = Pending::Nothing;
        self.text.extend(
            text.chars()
                .filter(|&character| matches!(character, '\n' | '\t') || !is_unseen(character)),
        );
    }

    /// Returns whether nothing was collected.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Ends the line; more than two ends of lines in a row say no more than two.
    pub(super) fn end_line(&mut self) {
        self.pending = Pending::Nothing;
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// Returns the text without blanks at its ends, and begins anew.
    pub(super) fn take(&mut self) -> String {
        self.pending = Pending::Nothing;
        let text = std::mem::take(&mut self.text);
        text.trim_matches(|character: char| character == '\n').trim_end().to_owned()
    }

    fn part(&mut self, next: char) {
        let before = self.text.chars().next_back();
        let is_parted = match (self.pending, before) {
            (Pending::Nothing, _) | (_, None | Some('\n')) => false,
            (Pending::Blank, Some(_)) => true,
            (Pending::Break, Some(before)) => !(is_unspaced(before) && is_unspaced(next)),
        };
        if is_parted {
            self.text.push(' ');
        }
        self.pending = Pending::Nothing;
    }
}

/// Returns whether the character is of a script, or a mark of one, that puts no blanks between words,
/// so that a line break is none either.
pub(super) fn is_unspaced(character: char) -> bool {
    matches!(character,
        '\u{2E80}'..='\u{312F}' | '\u{3190}'..='\u{A4CF}' | '\u{F900}'..='\u{FAFF}'
        | '\u{FE30}'..='\u{FE4F}' | '\u{FF01}'..='\u{FF9F}' | '\u{20000}'..='\u{3FFFD}'
        | '\u{0E00}'..='\u{0EFF}' | '\u{1780}'..='\u{17FF}' | '\u{1000}'..='\u{109F}')
}

/// Returns whether the character has no place in a text: controls, marks of byte order, and hyphens
/// that are only there where a line could break.
pub(super) fn is_unseen(character: char) -> bool {
    (character.is_control() && !matches!(character, '\n' | '\t'))
        || matches!(character, '\u{FEFF}' | '\u{AD}' | '\u{FFFE}' | '\u{FFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_carry_the_path_of_their_headings_and_their_page() {
        let mut writer = Writer::new(1_000);
        writer.block("Before.");
        writer.heading(1, "A");
        writer.heading(2, "B\n b");
        writer.block("Under B.");
        writer.page(2);
        writer.line("Still B.");
        writer.heading(1, "C");
        let (text, sections) = writer.finish().unwrap();
        assert_eq!(text, "Before.\n\nA\n\nB b\n\nUnder B.\nStill B.\n\nC");
        let seen: Vec<_> = sections
            .iter()
            .map(|part| (&text[part.bytes.clone()], part.page, part.heading.as_deref()))
            .collect();
        assert_eq!(
            seen,
            [
                ("Before.", None, None),
                ("A", None, Some("A")),
                ("B b\n\nUnder B.", None, Some("A > B b")),
                ("Still B.", Some(2), Some("A > B b")),
                ("C", Some(2), Some("C")),
            ]
        );
    }

    #[test]
    fn more_text_than_may_be_is_an_error_that_says_how_much() {
        let mut writer = Writer::new(10);
        writer.block("123456");
        writer.block("789");
        assert_eq!(
            writer.finish().unwrap_err().to_string(),
            "too many bytes of text: at most 10, got 11"
        );
    }

    #[test]
    fn a_line_break_is_a_blank_only_between_words_that_are_parted_by_blanks() {
        let mut inline = Inline::default();
        inline.push("  one\n  two\u{AD}three 猫\n追 \u{0}");
        inline.push(" 老鼠");
        assert_eq!(inline.take(), "one twothree 猫追 老鼠");
    }
}
