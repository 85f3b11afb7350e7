use std::collections::HashMap;

use quick_xml::events::BytesStart;

use super::super::flow::Flow;
use super::super::{DecodeError, Limits, metadata};
use super::archive::{Piece, attribute, read};
use super::style::{Lists, Role, Styles, of_outline};
use crate::document::Section;

/// Writes the paragraphs of document parts as text.
pub(super) struct Body<'a> {
    flow: Flow,
    styles: &'a Styles,
    lists: Lists,
    limits: &'a Limits,
    /// The open paragraphs; a text box stands inside the paragraph that it is fixed to.
    paragraphs: Vec<Paragraph>,
    /// How deep inside an element that is passed over.
    passed_over: usize,
    is_text: bool,
    /// Whether the properties of a run, not of a style or a paragraph mark, are being read.
    is_run: bool,
    is_hidden: bool,
    /// The last number given in each list on each level.
    counted: HashMap<(String, u8), u64>,
    title: Option<String>,
}

#[derive(Debug, Default)]
struct Paragraph {
    role: Role,
    list: Option<String>,
    level: u8,
}

impl<'a> Body<'a> {
    pub(super) fn new(styles: &'a Styles, lists: Lists, limits: &'a Limits) -> Self {
        Self {
            flow: Flow::new(limits.text_bytes_max),
            styles,
            lists,
            limits,
            paragraphs: Vec::new(),
            passed_over: 0,
            is_text: false,
            is_run: false,
            is_hidden: false,
            counted: HashMap::new(),
            title: None,
        }
    }

    /// Adds the text of a part.
    pub(super) fn read(&mut self, source: &str) -> Result<(), DecodeError> {
        read(source, self.limits, |piece| match piece {
            Piece::Start(tag, is_empty) => self.start(tag, *is_empty),
            Piece::End(name) => self.end(name),
            Piece::Text(text) => {
                if self.is_text && self.passed_over == 0 && !self.is_hidden {
                    self.flow.inline.push(text);
                }
            }
        })
    }

    /// Ends all headings: what comes now stands under none.
    pub(super) fn end_headings(&mut self) {
        self.flow.end_headings();
    }

    /// Returns the text, its sections, and the title if a paragraph is styled as one.
    pub(super) fn finish(self) -> Result<(String, Vec<Section>, Option<String>), DecodeError> {
        let (text, sections) = self.flow.finish()?;
        Ok((text, sections, self.title))
    }

    fn start(&mut self, tag: &BytesStart<'_>, is_empty: bool) {
        let name = tag.local_name().into_inner();
        if self.passed_over > 0 || is_passed_over(name) {
            self.passed_over += usize::from(!is_empty);
            return;
        }
        match name {
            "p" if !is_empty => {
                // The text before a text box is written before it.
                if !self.paragraphs.is_empty() {
                    self.flow.end_block();
                }
                self.paragraphs.push(Paragraph::default());
            }
            "r" => (self.is_run, self.is_hidden) = (!is_empty, false),
            "t" => self.is_text = !is_empty,
            "tab" if self.is_run => self.flow.inline.push("\t"),
            "br" | "cr" if self.is_run => self.flow.inline.end_line(),
            "noBreakHyphen" => self.flow.inline.push("\u{2011}"),
            "vanish" if self.is_run => {
                self.is_hidden = attribute(tag, "val").is_none_or(|value| is_true(&value));
            }
            "tbl" => self.flow.begin_table(),
            "tc" => self.flow.begin_cell(),
            _ => self.property(name, tag),
        }
    }

    fn property(&mut self, name: &str, tag: &BytesStart<'_>) {
        let Some(paragraph) = self.paragraphs.last_mut() else {
            return;
        };
        let Some(value) = attribute(tag, "val") else {
            return;
        };
        match name {
            "pStyle" => paragraph.role = self.styles.get(&value).copied().unwrap_or_default(),
            "outlineLvl" => {
                if let Ok(level) = value.parse() {
                    paragraph.role = of_outline(level);
                }
            }
            // List 0 takes a paragraph out of the list of its style.
            "numId" => paragraph.list = Some(value).filter(|list| list != "0"),
            "ilvl" => paragraph.level = value.parse().unwrap_or(0),
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        if self.passed_over > 0 {
            self.passed_over -= 1;
            return;
        }
        match name {
            "p" => {
                if let Some(paragraph) = self.paragraphs.pop() {
                    self.end_paragraph(paragraph);
                }
            }
            "r" => (self.is_run, self.is_hidden) = (false, false),
            "t" => self.is_text = false,
            "tc" => self.flow.end_cell(),
            "tr" => self.flow.end_row(),
            "tbl" => self.flow.end_table(),
            _ => {}
        }
    }

    fn end_paragraph(&mut self, paragraph: Paragraph) {
        match paragraph.role {
            Role::Contents => drop(self.flow.inline.take()),
            Role::Title | Role::Heading(_) => {
                let level = match paragraph.role {
                    Role::Heading(level) => level,
                    Role::Title | Role::Text | Role::Contents => 0,
                };
                self.flow.end_marks();
                let title = self.flow.end_heading(level);
                if level == 0 && self.title.is_none() {
                    self.title = metadata::clean(&title);
                }
            }
            Role::Text => {
                match paragraph.list {
                    Some(list) if !self.flow.inline.is_empty() => {
                        let number = self.next_number(list, paragraph.level);
                        self.flow.mark(usize::from(paragraph.level), number);
                    }
                    Some(_) => {}
                    None => self.flow.end_marks(),
                }
                self.flow.end_block();
            }
        }
    }

    /// Counts an item, unless its list has points; deeper levels begin anew.
    fn next_number(&mut self, list: String, level: u8) -> Option<u64> {
        if !self.lists.is_numbered(&list, level) {
            return None;
        }
        for deeper in level.saturating_add(1)..9 {
            self.counted.remove(&(list.clone(), deeper));
        }
        let number = self.counted.entry((list, level)).or_default();
        *number += 1;
        Some(*number)
    }
}

/// Returns whether what is inside is not part of the text: what was deleted under tracking, what old
/// programs are to show instead of something, the codes of fields, and former properties.
fn is_passed_over(name: &str) -> bool {
    matches!(
        name,
        "del"
            | "moveFrom"
            | "Fallback"
            | "instrText"
            | "delText"
            | "rPrChange"
            | "pPrChange"
            | "sectPr"
            | "tblPrChange"
    )
}

fn is_true(value: &str) -> bool {
    !matches!(value, "0" | "false" | "off")
}
