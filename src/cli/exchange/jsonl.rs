//! Lines of JSON, written and read.

use std::io::{BufRead, Read as _, Write};
use std::path::Path;

use serde_json::Value as Json;
use simile_proto::v1::{self as wire};

use super::line::{Heading, document, document_line};
use crate::cli::exit::CliError;
use crate::error::ErrorKind;

/// The longest line: a document with its vectors, in JSON.
const LINE_BYTES_MAX: u64 = 512 << 20;

/// Lines that are written.
pub(super) struct Writing {
    out: Box<dyn Write + Send>,
}

impl Writing {
    /// Begins with what the collection is like.
    pub(super) fn new(out: Box<dyn Write + Send>, heading: &Heading) -> Result<Self, CliError> {
        let mut this = Self { out };
        this.line(&heading.to_json())?;
        Ok(this)
    }

    pub(super) fn take(&mut self, document: &wire::StoredDocument) -> Result<(), CliError> {
        self.line(&document_line(document))
    }

    fn line(&mut self, line: &Json) -> Result<(), CliError> {
        serde_json::to_writer(&mut self.out, line).map_err(std::io::Error::from)?;
        Ok(self.out.write_all(b"\n")?)
    }

    pub(super) fn finish(mut self) -> Result<(), CliError> {
        Ok(self.out.flush()?)
    }
}

/// Lines one after another, with their numbers.
pub(super) struct Lines {
    input: Box<dyn BufRead + Send>,
    number: u64,
    bytes: u64,
    heading: Option<Heading>,
    /// The first line, where it is a document.
    first: Option<Json>,
}

impl Lines {
    /// Opens a file, or standard input; returns how many bytes it has, too, where that is known.
    pub(super) fn open(file: Option<&Path>) -> Result<(Self, Option<u64>), CliError> {
        let (input, total): (Box<dyn BufRead + Send>, _) = match file {
            None => (Box::new(std::io::BufReader::new(std::io::stdin())), None),
            Some(file) => {
                let file = fs_err::File::open(file)
                    .map_err(|error| CliError::local(ErrorKind::NotFound, error.to_string()))?;
                let size = file.metadata()?.len();
                (Box::new(std::io::BufReader::with_capacity(1 << 20, file)), Some(size))
            }
        };
        let mut this = Self { input, number: 0, bytes: 0, heading: None, first: None };
        let first = this.line()?;
        let heading = first.as_ref().map(Heading::from_json).transpose();
        this.heading = heading.map_err(|reason| this.wrong(&reason))?.flatten();
        this.first = first.filter(|_| this.heading.is_none());
        Ok((this, total))
    }

    /// Returns what the first line says of the collection, if it does.
    pub(super) fn heading(&self) -> Option<&Heading> {
        self.heading.as_ref()
    }

    /// Returns how many bytes were read.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the next document.
    pub(super) fn next(&mut self) -> Result<Option<wire::Document>, CliError> {
        let line = match self.first.take() {
            Some(first) => Some(first),
            None => self.line()?,
        };
        line.map(|line| document(&line).map_err(|reason| self.wrong(&reason))).transpose()
    }

    /// Returns the next line that is not empty, as JSON.
    fn line(&mut self) -> Result<Option<Json>, CliError> {
        loop {
            let mut line = Vec::new();
            let mut input = (&mut self.input).take(LINE_BYTES_MAX + 1);
            let read = input.read_until(b'\n', &mut line)?;
            if read == 0 {
                return Ok(None);
            }
            (self.number, self.bytes) = (self.number + 1, self.bytes + read as u64);
            if read as u64 > LINE_BYTES_MAX {
                return Err(self.wrong(&format!("a line has at most {LINE_BYTES_MAX} bytes")));
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            return match serde_json::from_slice(&line) {
                Ok(line) => Ok(Some(line)),
                Err(error) => Err(self.wrong(&error.to_string())),
            };
        }
    }

    fn wrong(&self, reason: &str) -> CliError {
        CliError::usage(format!("line {}: {reason}", self.number))
    }
}
