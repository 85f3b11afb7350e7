use std::io::{self, BufRead};

use super::super::encoding::Pieces;
use super::field::Roles;
use super::{Limits, Record, RecordError, RecordProblem};

/// The records of a file of JSON lines.
pub(super) struct Lines<'a> {
    source: Box<dyn BufRead + Send + 'a>,
    roles: Roles,
    pieces: Pieces,
    line: u64,
    bytes_max: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(
        mut source: Box<dyn BufRead + Send + 'a>,
        roles: Roles,
        limits: &Limits,
    ) -> Self {
        // A source that cannot be read says so again when its first line is asked for.
        let pieces = Pieces::new(source.fill_buf().unwrap_or_default());
        Self { source, roles, pieces, line: 0, bytes_max: limits.record_bytes_max }
    }

    /// Returns the next record; blank lines are passed over.
    pub(super) fn next(&mut self) -> Option<Result<Record, RecordError>> {
        loop {
            self.line += 1;
            let line = match read_line(&mut self.source, self.bytes_max) {
                Ok(Line::End) => return None,
                Ok(Line::Whole(bytes)) => bytes,
                Ok(Line::TooLong) => {
                    return Some(Err(
                        RecordProblem::TooLarge { limit: self.bytes_max }.at(self.line)
                    ));
                }
                Err(error) => {
                    return Some(Err(RecordProblem::Source(error.to_string()).at(self.line)));
                }
            };
            let text = self.pieces.text(&line);
            let text = text.trim_start_matches('\u{FEFF}');
            if !text.trim().is_empty() {
                return Some(self.record(text.trim_end()).map_err(|problem| problem.at(self.line)));
            }
        }
    }

    fn record(&self, text: &str) -> Result<Record, RecordProblem> {
        let value: serde_json::Value = serde_json::from_str(text)
            .map_err(|error| RecordProblem::Malformed(format!("not JSON: {error}")))?;
        let serde_json::Value::Object(fields) = value else {
            return Err(RecordProblem::Malformed("expected a JSON object a line".to_owned()));
        };
        self.roles.record(fields.into_iter().collect(), self.line)
    }
}

enum Line {
    Whole(Vec<u8>),
    TooLong,
    End,
}

/// Reads to the end of the line; of one that is too long, at most `bytes_max` bytes are ever held.
fn read_line(source: &mut dyn BufRead, bytes_max: usize) -> io::Result<Line> {
    let mut line = Vec::new();
    let mut is_too_long = false;
    loop {
        let available = source.fill_buf()?;
        if available.is_empty() {
            return Ok(match (is_too_long, line.is_empty()) {
                (true, _) => Line::TooLong,
                (false, true) => Line::End,
                (false, false) => Line::Whole(line),
            });
        }
        let end = available.iter().position(|&byte| byte == b'\n');
        let taken = end.map_or(available.len(), |at| at + 1);
        if is_too_long || line.len() + taken > bytes_max.saturating_add(1) {
            is_too_long = true;
            line = Vec::new();
        } else {
            line.extend_from_slice(&available[..taken]);
        }
        source.consume(taken);
        if end.is_some() {
            return Ok(if is_too_long { Line::TooLong } else { Line::Whole(line) });
        }
    }
}
