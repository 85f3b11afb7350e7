use super::{DecodeError, Hint};

/// A format that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Text without marks.
    Plain,
    /// Markdown.
    Markdown,
    /// HTML.
    Html,
    /// PDF.
    Pdf,
    /// Word's XML format.
    Docx,
    /// One JSON object a line.
    JsonLines,
    /// Comma-separated values with a header line.
    Csv,
    /// Tab-separated values with a header line.
    Tsv,
}

/// Returns what the bytes are to be read as; the first 64 KiB of them are enough.
///
/// # Errors
/// [`DecodeError`]: invalid input for nothing but blanks, unsupported for a format that is not read.
pub fn detect(bytes: &[u8], hint: &Hint<'_>) -> Result<Format, DecodeError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(DecodeError::Empty);
    }
    let ending = hint.file_name.and_then(|name| name.rsplit_once('.')).map_or("", |pair| pair.1);
    Ok(match ending.to_ascii_lowercase().as_str() {
        "jsonl" | "ndjson" => Format::JsonLines,
        "csv" => Format::Csv,
        "tsv" => Format::Tsv,
        _ => Format::Plain,
    })
}

impl std::fmt::Display for Format {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Plain => "plain text",
            Self::Markdown => "Markdown",
            Self::Html => "HTML",
            Self::Pdf => "PDF",
            Self::Docx => "DOCX",
            Self::JsonLines => "JSON lines file",
            Self::Csv => "CSV",
            Self::Tsv => "TSV",
        })
    }
}
