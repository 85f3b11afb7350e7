use std::collections::VecDeque;
use std::io::{self, BufRead, Read};

use super::super::encoding::Pieces;
use super::field::{Roles, listed};
use super::{DecodeError, Format, Limits, Record, RecordError, RecordProblem};

/// So many rows are looked at to tell what the columns hold.
const SAMPLE_ROWS: usize = 1_000;

/// The records of a table whose first line names the fields.
pub(super) struct Table<'a> {
    reader: csv::Reader<Guard<'a>>,
    pieces: Pieces,
    columns: Vec<Column>,
    roles: Roles,
    sample: VecDeque<Result<csv::ByteRecord, RecordError>>,
    bytes_max: usize,
}

struct Column {
    name: String,
    kind: Kind,
}

/// What a column holds, the narrowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Unseen,
    Boolean,
    Integer,
    Float,
    Text,
}

impl<'a> Table<'a> {
    pub(super) fn new(
        mut source: Box<dyn BufRead + Send + 'a>,
        format: Format,
        roles: Roles,
        limits: &Limits,
    ) -> Result<Self, DecodeError> {
        let damaged = |reason: String| DecodeError::Damaged { format, reason };
        let beginning = source.fill_buf().map_err(|error| damaged(error.to_string()))?;
        let mut pieces = Pieces::new(beginning);
        let delimiter = match format {
            Format::Tsv => b'\t',
            Format::Csv
            | Format::JsonLines
            | Format::Plain
            | Format::Markdown
            | Format::Html
            | Format::Pdf
            | Format::Docx
            | Format::Image(_)
            | Format::Video(_)
            | Format::Sound(_) => delimiter_of(beginning),
        };
        let bytes_max = limits.record_bytes_max;
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .flexible(true)
            .from_reader(Guard { source, left: allowance(bytes_max), is_spent: false });
        let header = reader.byte_headers().map_err(|error| damaged(error.to_string()))?;
        let names: Vec<String> = header.iter().map(|name| pieces.text(name).into_owned()).collect();
        if roles.text_of(names.iter().map(String::as_str)).is_none() {
            return Err(DecodeError::NoTextField {
                looked_for: roles.text_names(),
                found: listed(names.iter().map(String::as_str)),
            });
        }
        let columns = names.into_iter().map(|name| Column { name, kind: Kind::Unseen }).collect();
        let sample = VecDeque::new();
        let mut table = Self { reader, pieces, columns, roles, sample, bytes_max };
        table.look_ahead();
        Ok(table)
    }

    pub(super) fn next(&mut self) -> Option<Result<Record, RecordError>> {
        let row = match self.sample.pop_front() {
            Some(row) => row,
            None => self.read()?,
        };
        Some(row.and_then(|row| {
            let line = row.position().map_or(0, csv::Position::line);
            let mut fields = Vec::with_capacity(self.columns.len());
            for (column, cell) in self.columns.iter().zip(&row) {
                let cell = self.pieces.text(cell);
                let is_needed = !cell.trim().is_empty() || self.roles.is_text(&column.name);
                if is_needed {
                    fields.push((column.name.clone(), value_of(&cell, column.kind)));
                }
            }
            self.roles.record(fields, line).map_err(|problem| problem.at(line))
        }))
    }

    /// Reads the first rows and tells from them what the columns hold.
    fn look_ahead(&mut self) {
        let mut bytes = 0;
        while self.sample.len() < SAMPLE_ROWS && bytes <= self.bytes_max {
            let Some(row) = self.read() else {
                break;
            };
            let is_last = row.is_err();
            if let Ok(row) = &row {
                bytes += row.as_slice().len();
                for (column, cell) in self.columns.iter_mut().zip(row) {
                    column.kind = column.kind.max(kind_of(&self.pieces.text(cell)));
                }
            }
            self.sample.push_back(row);
            if is_last {
                break;
            }
        }
        for column in &mut self.columns {
            if self.roles.is_text(&column.name) || column.kind == Kind::Unseen {
                column.kind = Kind::Text;
            }
        }
    }

    fn read(&mut self) -> Option<Result<csv::ByteRecord, RecordError>> {
        if self.reader.get_ref().is_spent {
            return None;
        }
        self.reader.get_mut().left = allowance(self.bytes_max);
        let line = self.reader.position().line();
        let mut row = csv::ByteRecord::new();
        match self.reader.read_byte_record(&mut row) {
            Ok(false) => None,
            Ok(true) if row.as_slice().len() > self.bytes_max => {
                Some(Err(RecordProblem::TooLarge { limit: self.bytes_max }.at(line)))
            }
            Ok(true) => Some(Ok(row)),
            Err(_) if self.reader.get_ref().is_spent => {
                Some(Err(RecordProblem::Endless { limit: self.bytes_max }.at(line)))
            }
            Err(error) => Some(Err(RecordProblem::Source(error.to_string()).at(line))),
        }
    }
}

/// A source that gives no more than is left, so that a quote that is never closed does not bring the
/// rest of the file into memory.
struct Guard<'a> {
    source: Box<dyn BufRead + Send + 'a>,
    left: usize,
    is_spent: bool,
}

impl Read for Guard<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            self.is_spent = true;
            return Err(io::Error::other("the record has no end"));
        }
        let asked = buffer.len().min(self.left);
        let count = self.source.read(&mut buffer[..asked])?;
        self.left -= count;
        Ok(count)
    }
}

/// Returns how much may be read for one record: its quotes are doubled at worst, and the reader reads
/// ahead.
fn allowance(bytes_max: usize) -> usize {
    bytes_max.saturating_mul(2).saturating_add(64 << 10)
}

/// Returns what parts the names in the first line: a comma, or what some programs write instead.
fn delimiter_of(head: &[u8]) -> u8 {
    let line = head.split(|&byte| byte == b'\n').next().unwrap_or(head);
    let mut is_quoted = false;
    let mut counts = [(b',', 0_usize), (b';', 0), (b'\t', 0), (b'|', 0)];
    for &byte in line {
        is_quoted ^= byte == b'"';
        for (delimiter, count) in &mut counts {
            *count += usize::from(!is_quoted && byte == *delimiter);
        }
    }
    let most = counts.iter().map(|&(_, count)| count).max().unwrap_or(0);
    counts.iter().find(|&&(_, count)| count == most).map_or(b',', |&(delimiter, _)| delimiter)
}

fn kind_of(cell: &str) -> Kind {
    let cell = cell.trim();
    if cell.is_empty() {
        Kind::Unseen
    } else if cell.eq_ignore_ascii_case("true") || cell.eq_ignore_ascii_case("false") {
        Kind::Boolean
    } else if integer(cell).is_some() {
        Kind::Integer
    } else if float(cell).is_some() {
        Kind::Float
    } else {
        Kind::Text
    }
}

/// Returns the cell as its column holds it, or as text where it does not fit.
fn value_of(cell: &str, kind: Kind) -> serde_json::Value {
    let trimmed = cell.trim();
    let value = match kind {
        Kind::Boolean if kind_of(cell) == Kind::Boolean => {
            Some(serde_json::Value::from(trimmed.eq_ignore_ascii_case("true")))
        }
        Kind::Integer => integer(trimmed).map(serde_json::Value::from),
        Kind::Float => float(trimmed).map(serde_json::Value::from),
        Kind::Unseen | Kind::Boolean | Kind::Text => None,
    };
    value.unwrap_or_else(|| serde_json::Value::from(cell))
}

/// Returns the whole number; one that begins with a zero is a code, such as a postal one.
fn integer(cell: &str) -> Option<i64> {
    let digits = cell.strip_prefix('-').unwrap_or(cell);
    let is_code = digits.len() > 1 && digits.starts_with('0');
    let is_number = !is_code && digits.bytes().all(|byte| byte.is_ascii_digit());
    cell.parse().ok().filter(|_| is_number)
}

fn float(cell: &str) -> Option<f64> {
    let is_number = cell.bytes().all(|byte| byte.is_ascii_digit() || b".-+eE".contains(&byte));
    let digits = cell.strip_prefix('-').unwrap_or(cell);
    let is_code =
        digits.starts_with('0') && digits.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
    cell.parse().ok().filter(|number: &f64| is_number && !is_code && number.is_finite())
}
