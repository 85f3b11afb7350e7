//! Paragraphs, lists and tables as text, the same for every format that has them.

use super::DecodeError;
use super::writer::{Inline, Writer};
use crate::document::Section;

/// Deeper lists are not indented further.
const INDENT_LEVELS_MAX: usize = 8;

/// A row with more cells than this is cut off.
const CELLS_MAX: usize = 4_096;

/// A row with more text than this is no row of a table but part of a layout.
const ROW_BYTES_MAX: usize = 2_000;

/// Takes blocks and what flows inside them, and writes lines: `- ` and `1. ` before items, ` | `
/// between cells.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) inline: Inline,
    writer: Writer,
    /// The number of the next item of each open list; none for a list of points.
    lists: Vec<Option<u64>>,
    /// What is to be put before the next line, and whether it begins a list.
    marker: Option<(String, bool)>,
    /// Whether the outermost open list has an item already.
    is_in_list: bool,
    cells: Vec<String>,
    is_in_cell: bool,
    /// Whether the open table has a row already.
    is_in_table: bool,
}

impl Flow {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            inline: Inline::default(),
            writer: Writer::new(bytes_max),
            lists: Vec::new(),
            marker: None,
            is_in_list: false,
            cells: Vec::new(),
            is_in_cell: false,
            is_in_table: false,
        }
    }

    /// Writes what was collected since the last border: an item as a line of its list, other text as
    /// a paragraph. Inside a cell, it only ends the line.
    pub(super) fn end_block(&mut self) {
        if self.is_in_cell {
            self.inline.end_line();
            return;
        }
        let text = self.inline.take();
        if text.is_empty() {
            return;
        }
        match self.marker.take() {
            Some((marker, true)) => self.writer.block(&format!("{marker}{text}")),
            Some((marker, false)) => self.writer.line(&format!("{marker}{text}")),
            None if self.lists.is_empty() => self.writer.block(&text),
            None => self.writer.line(&text),
        }
    }

    /// Writes text as it is, as a paragraph.
    pub(super) fn verbatim(&mut self, source: &str) {
        self.end_block();
        self.inline.push_verbatim(source);
        let text = self.inline.take();
        self.writer.block(&text);
    }

    /// Writes what was collected as a heading, and returns it.
    pub(super) fn end_heading(&mut self, level: u8) -> String {
        let title = self.inline.take();
        // A heading inside a cell, with what may stand before it there.
        let title = match title.rsplit_once('\n') {
            Some((before, title)) if self.is_in_cell => {
                self.writer.block(before);
                title.to_owned()
            }
            _ => title,
        };
        self.marker = None;
        self.writer.heading(level, &title);
        title
    }

    /// Ends all headings.
    pub(super) fn end_headings(&mut self) {
        self.end_block();
        self.writer.end_headings();
    }

    /// Opens a list; its items are numbered from `first`, or are points.
    pub(super) fn begin_list(&mut self, first: Option<u64>) {
        self.end_block();
        self.lists.push(first);
    }

    pub(super) fn end_list(&mut self) {
        self.end_block();
        self.lists.pop();
        self.is_in_list = !self.lists.is_empty();
    }

    pub(super) fn begin_item(&mut self) {
        self.end_block();
        let depth = self.lists.len();
        let number = self.lists.last_mut().and_then(|next| {
            let number = (*next)?;
            *next = Some(number.saturating_add(1));
            Some(number)
        });
        self.mark(depth.saturating_sub(1), number);
    }

    /// Puts a number or a point before the next paragraph, where a format has items without lists.
    pub(super) fn mark(&mut self, indent: usize, number: Option<u64>) {
        // A cell is one line, and has no room for lists.
        if self.is_in_cell {
            return;
        }
        let indent = "  ".repeat(indent.min(INDENT_LEVELS_MAX));
        let marker = match number {
            Some(number) => format!("{indent}{number}. "),
            None => format!("{indent}- "),
        };
        self.marker = Some((marker, !self.is_in_list));
        self.is_in_list = true;
    }

    /// Ends a list that was made of marks alone.
    pub(super) fn end_marks(&mut self) {
        self.is_in_list = false;
    }

    /// Opens a table; one inside a cell makes the outer one a mere layout.
    pub(super) fn begin_table(&mut self) {
        self.end_row();
        self.end_block();
        self.is_in_table = false;
    }

    pub(super) fn end_table(&mut self) {
        self.end_row();
        self.is_in_table = false;
    }

    /// Opens a cell, and closes the one before if that was left open.
    pub(super) fn begin_cell(&mut self) {
        if self.is_in_cell {
            self.end_cell();
        }
        self.is_in_cell = true;
    }

    pub(super) fn end_cell(&mut self) {
        self.is_in_cell = false;
        let cell = self.inline.take();
        if self.cells.len() < CELLS_MAX {
            self.cells.push(cell);
        }
    }

    /// Writes the cells of a row as a line, those of a layout as paragraphs.
    pub(super) fn end_row(&mut self) {
        if self.is_in_cell {
            self.end_cell();
        }
        let cells = std::mem::take(&mut self.cells);
        let filled = || cells.iter().filter(|cell| !cell.is_empty());
        if filled().count() < 2 || cells.iter().map(String::len).sum::<usize>() > ROW_BYTES_MAX {
            for cell in filled() {
                if self.is_in_table && cell.len() <= ROW_BYTES_MAX {
                    self.writer.line(cell);
                } else {
                    self.writer.block(cell);
                }
            }
        } else {
            let row: Vec<String> = cells.iter().map(|cell| cell.replace('\n', " ")).collect();
            if self.is_in_table {
                self.writer.line(&row.join(" | "));
            } else {
                self.writer.block(&row.join(" | "));
            }
        }
        self.is_in_table |= !cells.is_empty();
    }

    /// Returns whether there is more text than may be; nothing more is written.
    pub(super) fn is_full(&self) -> bool {
        self.writer.is_full()
    }

    /// Returns the text and its sections.
    ///
    /// # Errors
    /// [`DecodeError::TooLarge`] if there is more text than may be.
    pub(super) fn finish(mut self) -> Result<(String, Vec<Section>), DecodeError> {
        self.end_row();
        self.end_block();
        self.writer.finish()
    }
}
