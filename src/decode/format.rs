use std::fmt;

use serde::{Deserialize, Serialize};

use super::sound::{SoundFormat, sound_format};
use super::video::{Container, container};
use super::{DecodeError, Hint, ImageFormat, encoding};

/// A format that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// A still picture.
    Image(ImageFormat),
    /// A video.
    Video(Container),
    /// A sound.
    Sound(SoundFormat),
}

impl Format {
    /// Returns whether a file in this format holds many documents.
    pub fn has_records(self) -> bool {
        match self {
            Self::JsonLines | Self::Csv | Self::Tsv => true,
            Self::Plain
            | Self::Markdown
            | Self::Html
            | Self::Pdf
            | Self::Docx
            | Self::Image(_)
            | Self::Video(_)
            | Self::Sound(_) => false,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Plain => "plain text",
            Self::Markdown => "Markdown",
            Self::Html => "HTML",
            Self::Pdf => "PDF",
            Self::Docx => "DOCX",
            Self::JsonLines => "JSON lines file",
            Self::Csv => "CSV",
            Self::Tsv => "TSV",
            Self::Image(format) => return format.fmt(formatter),
            Self::Video(container) => return container.fmt(formatter),
            Self::Sound(format) => return format.fmt(formatter),
        })
    }
}

/// Returns what the bytes are to be read as; the first 64 KiB of them are enough.
///
/// # Errors
/// [`DecodeError`]: invalid input for nothing but blanks, and for a PDF, DOCX, picture or sound by name
/// that is none;
/// unsupported for a format that is not read.
pub fn detect(bytes: &[u8], hint: &Hint<'_>) -> Result<Format, DecodeError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(DecodeError::Empty);
    }
    if let Some(format) = by_magic(bytes)? {
        return Ok(format);
    }
    let named = by_ending(hint.file_name).or_else(|| by_media_type(hint.media_type));
    if let Some(format @ (Format::Pdf | Format::Docx | Format::Image(_) | Format::Sound(_))) = named
    {
        let reason = "it does not begin as one".to_owned();
        return Err(DecodeError::Damaged { format, reason });
    }
    if !encoding::is_text(bytes) {
        let begins: Vec<String> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        return Err(DecodeError::Binary { begins_with: begins.join(" ") });
    }
    let beginning = encoding::preview(bytes);
    if beginning.trim_matches(|c: char| c.is_whitespace() || c == '\u{FEFF}').is_empty() {
        return Err(DecodeError::Empty);
    }
    by_text(&beginning, named, hint)
}

const ICON: (&str, &str) = ("an icon", "save it as PNG");
const LAYERED: (&str, &str) = ("a Photoshop document", "save it as PNG or JPEG");
const HEIC: (&str, &str) = ("a HEIC picture", "convert it to JPEG");
const AVIF: (&str, &str) = ("an AVIF picture", "convert it to JPEG or PNG");
const DRAWING: (&str, &str) = ("an SVG drawing", "save it as PNG");
const VIDEO: (&str, &str) = ("a video of an unusual kind", "convert it to MP4");
const AUDIO: (&str, &str) =
    ("a sound of an unusual kind", "convert it to WAV, FLAC, MP3, Ogg Vorbis or M4A");
const ARCHIVE: (&str, &str) = ("an archive", "unpack it first");
const PROGRAM: (&str, &str) = ("a program", READ);
const FONT: (&str, &str) = ("a font", READ);
const READ: &str = "texts, pictures, videos and sounds are read";
const DATABASE: (&str, &str) = ("a database file", "export it as JSON lines or CSV");

/// What begins so, at an offset, is this and is not read.
const OTHERS: [(usize, &[u8], (&str, &str)); 35] = [
    (0, b"\0\0\x01\0", ICON),
    (0, b"8BPS", LAYERED),
    (4, b"ftyphei", HEIC),
    (4, b"ftyphev", HEIC),
    (4, b"ftypmif1", HEIC),
    (4, b"ftypavif", AVIF),
    (4, b"ftyp", VIDEO),
    (0, b"\x1A\x45\xDF\xA3", VIDEO),
    (8, b"AVI ", VIDEO),
    (0, b"\0\0\x01\xBA", VIDEO),
    (0, b"\0\0\x01\xB3", VIDEO),
    (0, b"FLV\x01", VIDEO),
    (0, b"RF64", AUDIO),
    (0, b"OggS\0", AUDIO),
    (0, b"MThd\0", AUDIO),
    (0, b"#!AMR", AUDIO),
    (0, b"wvpk", AUDIO),
    (0, b"\x1F\x8B", ARCHIVE),
    (0, b"BZh", ARCHIVE),
    (0, b"\xFD7zXZ", ARCHIVE),
    (0, b"\x28\xB5\x2F\xFD", ARCHIVE),
    (0, b"7z\xBC\xAF\x27\x1C", ARCHIVE),
    (0, b"Rar!\x1A\x07", ARCHIVE),
    (257, b"ustar", ARCHIVE),
    (0, b"MZ", PROGRAM),
    (0, b"\x7FELF", PROGRAM),
    (0, b"\xCA\xFE\xBA\xBE", PROGRAM),
    (0, b"\xCF\xFA\xED\xFE", PROGRAM),
    (0, b"\0asm", PROGRAM),
    (0, b"wOFF", FONT),
    (0, b"wOF2", FONT),
    (0, b"\0\x01\0\0\0", FONT),
    (0, b"SQLite format 3\0", DATABASE),
    (0, b"PAR1", DATABASE),
    (0, b"ARROW1", DATABASE),
];

/// Returns what the bytes themselves say, before anything is believed that is said about them.
fn by_magic(bytes: &[u8]) -> Result<Option<Format>, DecodeError> {
    let head = &bytes[..bytes.len().min(1_024)];
    // Readers accept a PDF that begins a little later, and there are such files.
    if head.windows(5).any(|window| window == b"%PDF-") {
        return Ok(Some(Format::Pdf));
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return zip_format(bytes).map(Some);
    }
    if bytes.starts_with(b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1") {
        return Err(compound_file(bytes));
    }
    if bytes.starts_with(b"{\\rtf") {
        return Err(unsupported(("an RTF document", "save it as DOCX")));
    }
    if bytes.starts_with(b"%!PS") {
        return Err(unsupported(("a PostScript document", "convert it to PDF")));
    }
    if let Some(format) = image_format(bytes) {
        return Ok(Some(Format::Image(format)));
    }
    if let Some(container) = container(bytes) {
        return Ok(Some(Format::Video(container)));
    }
    if let Some(format) = sound_format(bytes) {
        return Ok(Some(Format::Sound(format)));
    }
    for (offset, magic, what) in OTHERS {
        // Two letters begin many a text; a program has a zero soon after.
        let is_certain = magic.len() > 2 || bytes.iter().take(64).any(|&byte| byte == 0);
        if bytes.get(offset..).is_some_and(|rest| rest.starts_with(magic)) && is_certain {
            let is_riff = bytes.starts_with(b"RIFF");
            if (offset != 8 || is_riff) && !is_plain_start(bytes, magic) {
                return Err(unsupported(what));
            }
        }
    }
    Ok(None)
}

/// Returns which of the formats of pictures that are read this is.
fn image_format(bytes: &[u8]) -> Option<ImageFormat> {
    let begins = |magic: &[u8]| bytes.starts_with(magic);
    // Two letters begin many a text; a bitmap has a header of one of these sizes soon after.
    let header =
        bytes.get(14..).and_then(|rest| rest.first_chunk()).map(|size| u32::from_le_bytes(*size));
    Some(if begins(b"\xFF\xD8\xFF") {
        ImageFormat::Jpeg
    } else if begins(b"\x89PNG\r\n\x1A\n") {
        ImageFormat::Png
    } else if begins(b"GIF87a") || begins(b"GIF89a") {
        ImageFormat::Gif
    } else if begins(b"RIFF") && bytes.get(8..).is_some_and(|rest| rest.starts_with(b"WEBP")) {
        ImageFormat::WebP
    } else if begins(b"II*\0") || begins(b"MM\0*") || begins(b"II+\0") || begins(b"MM\0+") {
        ImageFormat::Tiff
    } else if begins(b"BM") && header.is_some_and(|size| matches!(size, 12 | 16 | 40..=124)) {
        ImageFormat::Bmp
    } else {
        return None;
    })
}

/// Returns whether what looks like magic is the beginning of a text after all.
fn is_plain_start(bytes: &[u8], magic: &[u8]) -> bool {
    magic.is_ascii() && !magic.contains(&0) && encoding::is_text(bytes) && bytes.is_ascii()
}

/// Returns which of the formats that are zip archives this is; the names of the first entries stand
/// in the clear, those of the others at the end.
fn zip_format(bytes: &[u8]) -> Result<Format, DecodeError> {
    let has = |name: &[u8]| {
        let (head, tail) =
            (&bytes[..bytes.len().min(64 << 10)], bytes.len().saturating_sub(64 << 10));
        let within = |part: &[u8]| part.windows(name.len()).any(|window| window == name);
        within(head) || within(&bytes[tail..])
    };
    if has(b"word/document") || has(b"wordprocessingml") {
        return Ok(Format::Docx);
    }
    Err(unsupported(if has(b"xl/workbook") {
        ("an Excel workbook", "save it as CSV")
    } else if has(b"ppt/presentation") {
        ("a PowerPoint presentation", "save it as PDF")
    } else if has(b"opendocument.text") {
        ("an OpenDocument text", "save it as DOCX or PDF")
    } else if has(b"epub+zip") {
        ("an EPUB book", "convert it to HTML or PDF")
    } else {
        ("a zip archive", "unpack it first")
    }))
}

/// Returns what is to be said of a file in the container that Office used before 2007, and still uses
/// around a document with a password.
fn compound_file(bytes: &[u8]) -> DecodeError {
    let encrypted: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
    if bytes.windows(encrypted.len()).any(|window| window == encrypted) {
        DecodeError::Encrypted(Format::Docx)
    } else {
        unsupported(("an Office document of the old kind", "save it as DOCX, CSV or PDF"))
    }
}

fn unsupported((what, advice): (&'static str, &'static str)) -> DecodeError {
    DecodeError::UnsupportedFormat { what, advice }
}

fn by_ending(file_name: Option<&str>) -> Option<Format> {
    let name = file_name?.rsplit(['/', '\\']).next()?;
    Some(match name.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
        "md" | "markdown" | "mdown" | "mkd" => Format::Markdown,
        "html" | "htm" | "xhtml" => Format::Html,
        "pdf" => Format::Pdf,
        "docx" => Format::Docx,
        "jsonl" | "ndjson" => Format::JsonLines,
        "csv" => Format::Csv,
        "tsv" | "tab" => Format::Tsv,
        "jpg" | "jpeg" | "jpe" | "jfif" => Format::Image(ImageFormat::Jpeg),
        "png" | "apng" => Format::Image(ImageFormat::Png),
        "webp" => Format::Image(ImageFormat::WebP),
        "gif" => Format::Image(ImageFormat::Gif),
        "bmp" | "dib" => Format::Image(ImageFormat::Bmp),
        "tif" | "tiff" => Format::Image(ImageFormat::Tiff),
        "wav" | "wave" => Format::Sound(SoundFormat::Wav),
        "aif" | "aiff" | "aifc" => Format::Sound(SoundFormat::Aiff),
        "flac" => Format::Sound(SoundFormat::Flac),
        "mp3" => Format::Sound(SoundFormat::Mp3),
        "ogg" | "oga" => Format::Sound(SoundFormat::Ogg),
        "aac" => Format::Sound(SoundFormat::Aac),
        "m4a" | "m4b" => Format::Sound(SoundFormat::M4a),
        "txt" | "text" | "log" | "rst" | "adoc" | "tex" => Format::Plain,
        _ => return None,
    })
}

fn by_media_type(media_type: Option<&str>) -> Option<Format> {
    let essence = media_type?.split(';').next()?.trim().to_ascii_lowercase();
    Some(match essence.as_str() {
        "text/plain" => Format::Plain,
        "text/markdown" | "text/x-markdown" => Format::Markdown,
        "text/html" | "application/xhtml+xml" => Format::Html,
        "application/pdf" => Format::Pdf,
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => Format::Docx,
        "application/jsonl"
        | "application/x-ndjson"
        | "application/jsonlines"
        | "application/x-jsonlines" => Format::JsonLines,
        "text/csv" => Format::Csv,
        "text/tab-separated-values" => Format::Tsv,
        "image/jpeg" => Format::Image(ImageFormat::Jpeg),
        "image/png" | "image/apng" => Format::Image(ImageFormat::Png),
        "image/webp" => Format::Image(ImageFormat::WebP),
        "image/gif" => Format::Image(ImageFormat::Gif),
        "image/bmp" => Format::Image(ImageFormat::Bmp),
        "image/tiff" => Format::Image(ImageFormat::Tiff),
        "audio/wav" | "audio/x-wav" | "audio/vnd.wave" => Format::Sound(SoundFormat::Wav),
        "audio/aiff" | "audio/x-aiff" => Format::Sound(SoundFormat::Aiff),
        "audio/flac" | "audio/x-flac" => Format::Sound(SoundFormat::Flac),
        "audio/mpeg" | "audio/mp3" => Format::Sound(SoundFormat::Mp3),
        "audio/ogg" | "audio/vorbis" => Format::Sound(SoundFormat::Ogg),
        "audio/aac" => Format::Sound(SoundFormat::Aac),
        "audio/mp4" | "audio/x-m4a" => Format::Sound(SoundFormat::M4a),
        _ => return None,
    })
}

/// Returns what a text is, by what is said about it and by how it begins.
fn by_text(beginning: &str, named: Option<Format>, hint: &Hint<'_>) -> Result<Format, DecodeError> {
    if let Some(format) = named.filter(|&format| format != Format::Plain) {
        return Ok(format);
    }
    let start = beginning.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{FEFF}');
    let opening: String = start.chars().take(4_096).collect::<String>().to_ascii_lowercase();
    if opening.starts_with("<svg") || (opening.starts_with("<?xml") && opening.contains("<svg")) {
        return Err(unsupported(DRAWING));
    }
    if ["<!doctype html", "<html", "<head", "<body"].iter().any(|tag| opening.starts_with(tag))
        || (opening.starts_with("<?xml") && opening.contains("<html"))
    {
        return Ok(Format::Html);
    }
    let is_json_by_name =
        hint.file_name.is_some_and(|name| name.to_ascii_lowercase().ends_with(".json"))
            || hint.media_type.is_some_and(|kind| kind.starts_with("application/json"));
    if named.is_none() && begins_with_json_line(start) {
        return Ok(Format::JsonLines);
    }
    if is_json_by_name && start.starts_with(['[', '{']) {
        let advice = "write one JSON object a line (jq -c '.[]' does for a list)";
        return Err(unsupported(("a JSON document that is not JSON lines", advice)));
    }
    Ok(named.unwrap_or(Format::Plain))
}

/// Returns whether the first line is a whole JSON object.
fn begins_with_json_line(start: &str) -> bool {
    let line = start.lines().next().unwrap_or("");
    line.starts_with('{') && serde_json::from_str::<serde_json::Map<_, _>>(line).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(name: &str) -> Hint<'_> {
        Hint { file_name: Some(name), ..Hint::default() }
    }

    #[test]
    fn bytes_are_believed_before_names_and_names_before_media_types() {
        assert_eq!(detect(b"%PDF-1.7\n", &hint("a.txt")), Ok(Format::Pdf));
        let media = Hint { media_type: Some("text/html; charset=utf-8"), ..hint("A.MD") };
        assert_eq!(detect(b"# A", &media), Ok(Format::Markdown));
        let media = Hint { media_type: Some("Text/HTML; charset=utf-8"), ..hint("a") };
        assert_eq!(detect(b"hello", &media), Ok(Format::Html));
        assert_eq!(detect(b" <!DOCTYPE html><p>", &Hint::default()), Ok(Format::Html));
        assert_eq!(detect(b"{\"text\": 1}\n{", &Hint::default()), Ok(Format::JsonLines));
        assert_eq!(detect(b"{\"text\": 1}\n{", &hint("x.txt")), Ok(Format::Plain));
        let video = Format::Video(Container::Mp4);
        assert_eq!(detect(b"\0\0\0\x20ftypisom\0\0", &hint("a.txt")), Ok(video));
        assert_eq!(detect(b"MZ is how this text begins", &hint("x")), Ok(Format::Plain));
        assert_eq!(detect(b"BM25 is a ranking function", &hint("x")), Ok(Format::Plain));
        let png = Format::Image(ImageFormat::Png);
        assert_eq!(detect(b"\x89PNG\r\n\x1a\n", &hint("a.jpg")), Ok(png));
    }

    #[test]
    fn what_is_not_read_is_named() {
        for (bytes, name, message) in [
            (&b""[..], "a.txt", "the file is empty"),
            (b" \r\n\t", "a.pdf", "the file is empty"),
            (
                b"MZ\x90\0\x03\0",
                "a.exe",
                "a program is not supported: texts, pictures, videos and sounds are read",
            ),
            (b"hello", "a.wav", "the WAV sound is damaged: it does not begin as one"),
            (
                b"OggS\0\x02................\x01\x13OpusHead",
                "a.opus",
                "a sound of an unusual kind is not supported: convert it to WAV, FLAC, MP3, Ogg Vorbis or M4A",
            ),
            (
                b"\x7FELF\x02\x01",
                "a",
                "a program is not supported: texts, pictures, videos and sounds are read",
            ),
            (
                b"\0\0\0\x20ftypavif\0\0",
                "a.avif",
                "an AVIF picture is not supported: convert it to JPEG or PNG",
            ),
            (b"hello", "a.jpg", "the JPEG is damaged: it does not begin as one"),
            (b"\x1F\x8B\x08\0", "a.gz", "an archive is not supported: unpack it first"),
            (
                b"PK\x03\x04\x14\0xl/workbook.xml",
                "a.docx",
                "an Excel workbook is not supported: save it as CSV",
            ),
            (b"hello", "a.pdf", "the PDF is damaged: it does not begin as one"),
            (
                b"[{\"text\": 1}]",
                "a.json",
                "a JSON document that is not JSON lines is not supported: write one JSON object a line \
                 (jq -c '.[]' does for a list)",
            ),
            (
                b"\x01\x02\x00\x04abc",
                "a.bin",
                "the file is neither text nor a known format (it begins with the bytes 01 02 00 04 61 62 63)",
            ),
        ] {
            assert_eq!(detect(bytes, &hint(name)).unwrap_err().to_string(), message);
        }
    }
}
