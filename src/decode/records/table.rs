use std::io::BufRead;

use super::field::{Roles, listed};
use super::{DecodeError, Format, Limits, Record, RecordError, RecordProblem};

/// The records of a table whose first line names the fields.
pub(super) struct Table<'a> {
    reader: csv::Reader<Box<dyn BufRead + Send + 'a>>,
    names: Vec<String>,
    roles: Roles,
}

impl<'a> Table<'a> {
    pub(super) fn new(
        source: Box<dyn BufRead + Send + 'a>,
        delimiter: u8,
        format: Format,
        roles: Roles,
        _limits: &Limits,
    ) -> Result<Self, DecodeError> {
        let mut reader =
            csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(source);
        let names: Vec<String> = reader
            .byte_headers()
            .map_err(|error| DecodeError::Damaged { format, reason: error.to_string() })?
            .iter()
            .map(|name| super::super::encoding::to_text(name).into_owned())
            .collect();
        if roles.text_of(names.iter().map(String::as_str)).is_none() {
            return Err(DecodeError::NoTextField {
                looked_for: roles.text_names(),
                found: listed(names.iter().map(String::as_str)),
            });
        }
        Ok(Self { reader, names, roles })
    }

    pub(super) fn next(&mut self) -> Option<Result<Record, RecordError>> {
        let mut row = csv::ByteRecord::new();
        match self.reader.read_byte_record(&mut row) {
            Ok(false) => return None,
            Ok(true) => {}
            Err(error) => {
                return Some(Err(RecordProblem::Source(error.to_string()).at(0)));
            }
        }
        let line = row.position().map_or(0, csv::Position::line);
        let fields = self
            .names
            .iter()
            .zip(&row)
            .map(|(name, cell)| {
                let cell = super::super::encoding::to_text(cell).into_owned();
                (name.clone(), serde_json::Value::String(cell))
            })
            .collect();
        Some(self.roles.record(fields, line).map_err(|problem| problem.at(line)))
    }
}
