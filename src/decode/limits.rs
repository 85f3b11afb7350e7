use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::sound::SoundOptions;
use super::video::VideoOptions;
use super::{Apart, Format};

/// How much of everything one file may ask for; checked before memory is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The most bytes of a file.
    pub bytes_max: usize,
    /// The most bytes of the text that is extracted from a file.
    pub text_bytes_max: usize,
    /// The most records of a file.
    pub records_max: u64,
    /// The most bytes of one record.
    pub record_bytes_max: usize,
    /// The most pages of a PDF.
    pub pages_max: usize,
    /// The longest that reading a PDF may take; a drawing is a program and could run for ever.
    pub pdf_time_max: Duration,
    /// The most bytes that the compressed parts of a file unpack to, together.
    pub unpacked_bytes_max: u64,
    /// The most entries of a zip archive, which a DOCX is.
    pub zip_entries_max: usize,
    /// The most bytes that one byte of an archive's entry may unpack to.
    pub zip_ratio_max: u64,
    /// The deepest nesting of elements.
    pub depth_max: usize,
    /// The most pixels of a picture.
    pub pixels_max: u64,
    /// How videos are read, and the bounds of their frames.
    pub video: VideoOptions,
    /// The bounds of sounds.
    pub sound: SoundOptions,
    /// The processes that read files; none: they are read in this one.
    #[serde(skip)]
    pub apart: Option<Apart>,
}

impl Limits {
    /// Returns the processes that read files of this format; none if this one does.
    pub(super) fn apart_for(&self, format: Format) -> Option<&Apart> {
        let is_read_here = match format {
            Format::JsonLines | Format::Csv | Format::Tsv => true,
            Format::Video(container) => container.needs_program(),
            Format::Plain
            | Format::Markdown
            | Format::Html
            | Format::Pdf
            | Format::Docx
            | Format::Image(_)
            | Format::Sound(_) => false,
        };
        self.apart.as_ref().filter(|_| !is_read_here)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes_max: 256 << 20,
            text_bytes_max: 64 << 20,
            records_max: 100_000_000,
            record_bytes_max: 8 << 20,
            pages_max: 20_000,
            pdf_time_max: Duration::from_mins(2),
            unpacked_bytes_max: 512 << 20,
            zip_entries_max: 10_000,
            zip_ratio_max: 100,
            depth_max: 256,
            pixels_max: 128 << 20,
            video: VideoOptions::default(),
            sound: SoundOptions::default(),
            apart: None,
        }
    }
}
