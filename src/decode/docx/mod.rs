//! The text of a Word document, which is a zip archive of XML parts (ECMA-376).

mod archive;
mod body;
mod properties;
mod style;
#[cfg(test)]
mod tests;

use self::archive::Archive;
use super::{DecodeError, Format, Limits, TextContent};
use crate::cancel::Cancellation;

/// Returns the text with the headings that its styles say, lists, tables and notes; text that was
/// deleted under tracking, hidden text, comments, running titles and tables of contents are left out.
pub(super) fn decode(
    bytes: &[u8],
    limits: &Limits,
    cancel: &Cancellation,
) -> Result<TextContent, DecodeError> {
    let mut archive = Archive::open(bytes, limits)?;
    let main = archive.main_part()?;
    let folder = main.rsplit_once('/').map_or("", |parts| parts.0).to_owned();
    let mut part = |name: &str| archive.part(&format!("{folder}/{name}"));
    let styles = part("styles.xml")?.map(|source| style::styles(&source, limits)).transpose()?;
    let numbering =
        part("numbering.xml")?.map(|source| style::lists(&source, limits)).transpose()?;
    let notes = [part("footnotes.xml")?, part("endnotes.xml")?];
    cancel.check()?;
    let source = archive.part(&main)?.ok_or_else(|| damaged("it has no document part"))?;
    let styles = styles.unwrap_or_default();
    let mut body = body::Body::new(&styles, numbering.unwrap_or_default(), limits);
    body.read(&source)?;
    cancel.check()?;
    body.end_headings();
    for notes in notes.into_iter().flatten() {
        body.read(&notes)?;
    }
    let (text, sections, title) = body.finish()?;
    let properties = match archive.part("docProps/core.xml")? {
        Some(source) => properties::read_core(&source, limits)?,
        None => properties::Properties::default(),
    };
    let warnings = if text.is_empty() { vec!["no text".to_owned()] } else { Vec::new() };
    Ok(TextContent {
        text,
        sections,
        title: properties.title.or(title),
        metadata: properties.metadata,
        format: Format::Docx,
        warnings,
    })
}

fn damaged(reason: &str) -> DecodeError {
    DecodeError::Damaged { format: Format::Docx, reason: reason.to_owned() }
}
