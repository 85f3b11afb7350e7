//! What is in these bytes?
//!
//! The format is told by the bytes themselves first, then by the ending of the file's name, then by
//! the media type. What comes out is one text with its sections, a stream of records, a picture, the
//! frames of a video, or the samples of a sound.
//! Everything that arrives here is hostile until proven otherwise: sizes are checked before memory is
//! taken, and a parser that panics is an error of that input, not the end of the program. A server goes
//! further and reads in processes of their own ([`Apart`]).

mod apart;
mod contain;
mod content;
mod docx;
mod encoding;
mod error;
mod flow;
mod format;
mod html;
mod image;
mod limits;
mod markdown;
mod metadata;
mod pdf;
mod plain;
mod records;
pub mod sound;
#[cfg(test)]
mod tests;
pub mod video;
mod writer;

pub use apart::{Apart, ApartOptions, answer};
pub use content::{Content, TextContent};
pub use error::DecodeError;
pub use format::{Format, detect};
pub use image::{
    ImageFormat, PictureContent, THUMBNAIL_BYTES_MAX, decode_picture, encode_jpeg, thumbnail,
};
pub use limits::Limits;
pub use records::{FieldNames, Record, RecordError, RecordProblem, Records};

use std::io::Cursor;

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

/// Returns what the bytes hold: one text with sections, records, a picture, frames or samples.
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
    check_bytes(bytes, limits)?;
    cancel.check()?;
    let format = detect(bytes, hint)?;
    if let Some(apart) = limits.apart_for(format) {
        return apart.decode(bytes, format, hint, limits, cancel);
    }
    let declared = hint.media_type.and_then(charset_of);
    if format.has_records() {
        return match encoding::wide(bytes) {
            // Line ends are two bytes in these, so the text is told before lines are looked for.
            Some(_) => {
                let text = encoding::decode(bytes, declared).text.into_owned();
                Records::read(Cursor::new(text), format, hint, limits).map(Content::Records)
            }
            None => Records::read(bytes, format, hint, limits).map(Content::Records),
        };
    }
    match format {
        Format::Image(format) => return image::decode(bytes, format, limits).map(Content::Picture),
        Format::Video(container) => {
            return video::frames(bytes, container, &limits.video, cancel).map(Content::Video);
        }
        Format::Sound(format) => {
            return sound::sounds(bytes, format, &limits.sound, cancel).map(Content::Sound);
        }
        Format::Pdf => pdf::decode(bytes, limits, cancel),
        Format::Docx => contain::panics(format, || docx::decode(bytes, limits, cancel)),
        Format::Plain
        | Format::Markdown
        | Format::Html
        | Format::JsonLines
        | Format::Csv
        | Format::Tsv => text_content(bytes, format, declared, limits, cancel),
    }
    .map(Content::Text)
}

/// Returns the frames of a video in memory.
///
/// # Errors
/// As [`video::frames`]; invalid input also for more bytes than the limits allow.
pub fn decode_frames<'a>(
    bytes: &'a [u8],
    container: video::Container,
    limits: &Limits,
    cancel: &Cancellation,
) -> Result<video::Frames<'a>, DecodeError> {
    check_bytes(bytes, limits)?;
    let format = Format::Video(container);
    match limits.apart_for(format) {
        Some(apart) => apart.decode_frames(bytes, container, limits, cancel),
        None => video::frames(bytes, container, &limits.video, cancel),
    }
}

/// Returns the samples of a sound in memory.
///
/// # Errors
/// As [`sound::sounds`]; invalid input also for more bytes than the limits allow.
pub fn decode_sounds<'a>(
    bytes: &'a [u8],
    format: sound::SoundFormat,
    limits: &Limits,
    cancel: &Cancellation,
) -> Result<sound::Sounds<'a>, DecodeError> {
    check_bytes(bytes, limits)?;
    match limits.apart_for(Format::Sound(format)) {
        Some(apart) => apart.decode_sounds(bytes, format, limits, cancel),
        None => sound::sounds(bytes, format, &limits.sound, cancel),
    }
}

fn check_bytes(bytes: &[u8], limits: &Limits) -> Result<(), DecodeError> {
    let (limit, actual) = (limits.bytes_max as u64, bytes.len() as u64);
    if actual > limit {
        return Err(DecodeError::TooLarge { what: "bytes", limit, actual });
    }
    Ok(())
}

fn text_content(
    bytes: &[u8],
    format: Format,
    declared: Option<&str>,
    limits: &Limits,
    cancel: &Cancellation,
) -> Result<TextContent, DecodeError> {
    let declared = match format {
        Format::Html => declared.or_else(|| encoding::declared_in_html(bytes)),
        Format::Plain
        | Format::Markdown
        | Format::Pdf
        | Format::Docx
        | Format::JsonLines
        | Format::Csv
        | Format::Tsv
        | Format::Image(_)
        | Format::Video(_)
        | Format::Sound(_) => declared,
    };
    let decoded = encoding::decode(bytes, declared);
    cancel.check()?;
    let mut content = contain::panics(format, || match format {
        Format::Markdown => markdown::decode(&decoded.text, limits),
        Format::Html => html::decode(&decoded.text, limits),
        Format::Plain
        | Format::Pdf
        | Format::Docx
        | Format::JsonLines
        | Format::Csv
        | Format::Tsv
        | Format::Image(_)
        | Format::Video(_)
        | Format::Sound(_) => plain::decode(decoded.text.into_owned(), limits),
    })?;
    content.warnings.splice(0..0, decoded.warnings);
    if content.text.trim().is_empty() {
        content.warnings.push("no text".to_owned());
    }
    Ok(content)
}

/// Returns the encoding that a media type names.
fn charset_of(media_type: &str) -> Option<&str> {
    media_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    })
}
