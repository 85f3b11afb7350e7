//! Which documents are in these lines? JSON lines and tables with named fields, one record a
//! document, read as they are asked for.

mod field;
mod json;
mod table;
#[cfg(test)]
mod tests;

pub(super) use field::field_name;

use std::fmt;
use std::io::BufRead;

use super::{DecodeError, Format, Hint, Limits};
use crate::document::Payload;
use crate::error::{Classified, ErrorKind};

/// The names of the fields that mean something, where the sender says them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FieldNames<'a> {
    /// The field that is searched; by default the first of `text`, `body`, `content`, `abstract`.
    pub text: Option<&'a str>,
    /// The field that is put before the text; by default `title`, if there is one.
    pub title: Option<&'a str>,
    /// The field that names the document; by default the first of `id`, `_id`, if there is one.
    pub id: Option<&'a str>,
}

/// One document of a file of many.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its name, if it has one; whole numbers are taken as text.
    pub id: Option<String>,
    /// Its title, which also stands before the text and in the payload.
    pub title: Option<String>,
    /// What is searched: the title, a line break, and the text; one of them alone if the other is
    /// empty.
    pub text: String,
    /// All other fields. Dots in their names became underscores, because conditions name nested
    /// fields by dots.
    pub payload: Payload,
    /// The line that it begins on, from 1.
    pub line: u64,
}

/// Why one record is no document; the records after it are not concerned.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct RecordError {
    /// The line that the record begins on, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub problem: RecordProblem,
}

/// What can be wrong with one record.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RecordProblem {
    /// Not what its format asks for.
    #[error("{0}")]
    Malformed(String),
    /// No field that holds a text.
    #[error("no field holds the text: looked for {looked_for}, found {found}")]
    NoText {
        /// The names that were looked for.
        looked_for: String,
        /// The names that are there.
        found: String,
    },
    /// A field that holds no text where text is asked for.
    #[error("field `{field}` holds {found}, expected {expected}")]
    WrongType {
        /// The field.
        field: String,
        /// What may stand there.
        expected: &'static str,
        /// What stands there.
        found: &'static str,
    },
    /// A text of nothing but blanks.
    #[error("the text is empty")]
    EmptyText,
    /// More than fits.
    #[error("a record has at most {limit} bytes, this one has more")]
    TooLarge {
        /// The most bytes.
        limit: usize,
    },
    /// A record whose end was not found within twice the limit; none are read after this one.
    #[error(
        "a record has at most {limit} bytes, this one has no end (a quote that is not closed?)"
    )]
    Endless {
        /// The most bytes.
        limit: usize,
    },
    /// Records without end; none are read after this one.
    #[error("a file has at most {0} records, this one has more")]
    TooMany(u64),
    /// The source broke off; none are read after this one.
    #[error("reading failed: {0}")]
    Source(String),
}

impl Classified for RecordError {
    fn kind(&self) -> ErrorKind {
        match self.problem {
            RecordProblem::Source(_) => ErrorKind::Unavailable,
            RecordProblem::Malformed(_)
            | RecordProblem::NoText { .. }
            | RecordProblem::WrongType { .. }
            | RecordProblem::EmptyText
            | RecordProblem::TooLarge { .. }
            | RecordProblem::Endless { .. }
            | RecordProblem::TooMany(_) => ErrorKind::InvalidInput,
        }
    }
}

/// The records of a file in order, each read when it is asked for.
pub struct Records<'a> {
    format: Format,
    source: Source<'a>,
    read: u64,
    read_max: u64,
    is_done: bool,
}

enum Source<'a> {
    Lines(json::Lines<'a>),
    Table(table::Table<'a>),
}

impl<'a> Records<'a> {
    /// Returns the records of a source of bytes, such as an open file, whose format is already known.
    ///
    /// # Errors
    /// [`DecodeError`] (unsupported) for a format without records, (invalid input) for a table whose
    /// first line names no field that holds the text.
    pub fn read(
        source: impl BufRead + Send + 'a,
        format: Format,
        hint: &Hint<'_>,
        limits: &Limits,
    ) -> Result<Self, DecodeError> {
        let source: Box<dyn BufRead + Send + 'a> = Box::new(source);
        let roles = field::Roles::new(hint.fields);
        let source = match format {
            Format::JsonLines => Source::Lines(json::Lines::new(source, roles, limits)),
            Format::Csv | Format::Tsv => {
                Source::Table(table::Table::new(source, format, roles, limits)?)
            }
            Format::Plain
            | Format::Markdown
            | Format::Html
            | Format::Pdf
            | Format::Docx
            | Format::Image(_)
            | Format::Video(_)
            | Format::Sound(_) => {
                return Err(DecodeError::UnsupportedFormat {
                    what: "a file of records in this format",
                    advice: "records come as JSON lines, CSV or TSV",
                });
            }
        };
        Ok(Self { format, source, read: 0, read_max: limits.records_max, is_done: false })
    }

    /// Returns what the bytes were taken for.
    pub fn format(&self) -> Format {
        self.format
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let record = match &mut self.source {
            Source::Lines(lines) => lines.next(),
            Source::Table(table) => table.next(),
        };
        let Some(record) = record else {
            self.is_done = true;
            return None;
        };
        self.read += 1;
        if self.read > self.read_max {
            self.is_done = true;
            let line = record.map_or_else(|error| error.line, |record| record.line);
            return Some(Err(RecordProblem::TooMany(self.read_max).at(line)));
        }
        if let Err(RecordError { problem: RecordProblem::Source(_), .. }) = &record {
            self.is_done = true;
        }
        Some(record)
    }
}

impl fmt::Debug for Records<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Records")
            .field("format", &self.format)
            .field("read", &self.read)
            .finish_non_exhaustive()
    }
}

impl RecordProblem {
    fn at(self, line: u64) -> RecordError {
        RecordError { line, problem: self }
    }
}
