//! What is in these bytes?
//!
//! The format is told by the bytes themselves first, then by the ending of the file's name, then by
//! the media type. What comes out is either one text with its sections, or a stream of records.
//! Everything that arrives here is hostile until proven otherwise: sizes are checked before memory is
//! taken, and a parser that panics is an error of that input, not the end of the program.

mod content;
mod encoding;
mod error;
mod format;
mod limits;
mod plain;
mod records;

pub use content::{Content, TextContent};
pub use error::DecodeError;
pub use format::{Format, detect};
pub use limits::Limits;
pub use records::{FieldNames, Record, RecordError, RecordProblem, Records};

use crate::cancel::Cancellation;

/// What the sender of the bytes says about them; all of it may be wrong or missing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hint<'a> {
    /// The name of the file, with or without folders; only its ending is looked at.
    pub file_name: Option<&'a str>,
    /// The media type, as in a `Content-Type` header, parameters included.
    pub media_type: Option<&'a str>,
    /// Which fields of a record are its text, title and id; by default the usual names are tried.
    pub fields: FieldNames<'a>,
}

/// Returns what the bytes hold: one text with sections, or records.
///
/// The records are read as they are asked for, so that a file of a million records is never held
/// twice.
///
/// # Errors
/// [`DecodeError`]: unsupported for a format that is not read (named in the message), invalid input
/// for bytes that are empty, damaged, encrypted or larger than the limits allow; cancelled or timed
/// out if the token ends first.
pub fn decode<'a>(
    bytes: &'a [u8],
    hint: &Hint<'_>,
    limits: &Limits,
    cancel: &Cancellation,
) -> Result<Content<'a>, DecodeError> {
    if bytes.len() > limits.bytes_max {
        return Err(DecodeError::TooLarge {
            what: "bytes",
            limit: limits.bytes_max as u64,
            actual: bytes.len() as u64,
        });
    }
    cancel.check()?;
    let format = format::detect(bytes, hint)?;
    match format {
        Format::JsonLines | Format::Csv | Format::Tsv => {
            Ok(Content::Records(Records::read(bytes, format, hint, limits)?))
        }
        Format::Plain | Format::Markdown | Format::Html | Format::Pdf | Format::Docx => {
            plain::decode(bytes, hint, limits).map(Content::Text)
        }
    }
}
