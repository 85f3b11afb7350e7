use std::io::{Cursor, Read};

use quick_xml::events::{BytesStart, Event};
use zip::ZipArchive;
use zip::result::ZipError;

use super::super::{DecodeError, Format, Limits, encoding};
use super::damaged;

/// A part smaller than this does no harm, however well it is compressed.
const RATIO_FREE_BYTES: u64 = 1 << 20;

/// The parts of a document, unpacked within the limits.
pub(super) struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    limits: &'a Limits,
    unpacked: u64,
}

impl<'a> Archive<'a> {
    pub(super) fn open(bytes: &'a [u8], limits: &'a Limits) -> Result<Self, DecodeError> {
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| of_zip(&error))?;
        if zip.len() > limits.zip_entries_max {
            return Err(DecodeError::TooLarge {
                what: "entries of the archive",
                limit: limits.zip_entries_max as u64,
                actual: zip.len() as u64,
            });
        }
        Ok(Self { zip, limits, unpacked: 0 })
    }

    /// Returns the name of the part with the text, which the relations of the package name.
    pub(super) fn main_part(&mut self) -> Result<String, DecodeError> {
        const USUAL: &str = "word/document.xml";
        let mut main = None;
        if let Some(relations) = self.part("_rels/.rels")? {
            read(&relations, self.limits, |event| {
                if let Piece::Start(tag, _) = event
                    && attribute(tag, "Type").is_some_and(|kind| kind.ends_with("/officeDocument"))
                {
                    main = attribute(tag, "Target");
                }
            })?;
        }
        let main = main.unwrap_or_else(|| USUAL.to_owned());
        Ok(main.trim_start_matches('/').to_owned())
    }

    /// Returns a part as text, or nothing if there is none of this name.
    pub(super) fn part(&mut self, name: &str) -> Result<Option<String>, DecodeError> {
        let too_large = |actual| DecodeError::TooLarge {
            what: "bytes of unpacked parts",
            limit: self.limits.unpacked_bytes_max,
            actual,
        };
        let mut entry = match self.zip.by_name(name) {
            Ok(entry) => entry,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(error) => return Err(of_zip(&error)),
        };
        let packed = entry.compressed_size();
        let ratio_max = packed.saturating_mul(self.limits.zip_ratio_max).max(RATIO_FREE_BYTES);
        let left = self.limits.unpacked_bytes_max.saturating_sub(self.unpacked);
        if entry.size() > left {
            return Err(too_large(self.unpacked + entry.size()));
        }
        // What an entry says of its size may be a lie, so what comes out is counted.
        let most = left.min(ratio_max);
        let mut bytes = Vec::new();
        entry
            .by_ref()
            .take(most + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| damaged(&format!("part {name}: {error}")))?;
        let size = bytes.len() as u64;
        if size > left {
            return Err(too_large(self.unpacked + size));
        }
        if size > ratio_max {
            return Err(DecodeError::TooLarge {
                what: "bytes unpacked from one byte",
                limit: self.limits.zip_ratio_max,
                actual: size / packed.max(1),
            });
        }
        self.unpacked += size;
        Ok(Some(encoding::decode(&bytes, None).text.into_owned()))
    }
}

fn of_zip(error: &ZipError) -> DecodeError {
    if matches!(error, ZipError::UnsupportedArchive(reason) if reason.contains("assword")) {
        return DecodeError::Encrypted(Format::Docx);
    }
    damaged(&error.to_string())
}

/// A piece of XML.
pub(super) enum Piece<'e> {
    /// The beginning of an element, and whether it is empty; then no end comes.
    Start(&'e BytesStart<'e>, bool),
    /// The end of an element, by its name without a prefix.
    End(&'e str),
    Text(&'e str),
}

/// Gives the pieces of a part in order. Entities other than the five of XML are left out: nothing is
/// ever expanded.
pub(super) fn read(
    source: &str,
    limits: &Limits,
    mut give: impl FnMut(&Piece<'_>),
) -> Result<(), DecodeError> {
    let mut reader = quick_xml::Reader::from_str(source);
    let mut depth = 0_usize;
    loop {
        let event = reader.read_event().map_err(|error| {
            damaged(&format!("its XML is broken at byte {}: {error}", reader.buffer_position()))
        })?;
        match event {
            Event::Start(tag) => {
                depth += 1;
                if depth > limits.depth_max {
                    return Err(DecodeError::TooLarge {
                        what: "levels of nested elements",
                        limit: limits.depth_max as u64,
                        actual: depth as u64,
                    });
                }
                give(&Piece::Start(&tag, false));
            }
            Event::Empty(tag) => give(&Piece::Start(&tag, true)),
            Event::End(tag) => {
                depth = depth.saturating_sub(1);
                give(&Piece::End(tag.local_name().into_inner()));
            }
            Event::Text(text) => give(&Piece::Text(&text.xml10_content())),
            Event::CData(text) => give(&Piece::Text(&text.xml10_content())),
            Event::GeneralRef(entity) => {
                let mut buffer = [0; 4];
                if let Ok(Some(character)) = entity.resolve_char_ref() {
                    give(&Piece::Text(character.encode_utf8(&mut buffer)));
                } else if let Some(text) =
                    quick_xml::escape::resolve_predefined_entity(&entity.xml10_content())
                {
                    give(&Piece::Text(text));
                }
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            Event::Eof if depth > 0 => return Err(damaged("its XML breaks off")),
            Event::Eof => return Ok(()),
        }
    }
}

/// Returns an attribute by its name without a prefix.
pub(super) fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    // Twice the same attribute is wrong, and looking for it takes time that grows with the square.
    let mut attributes = tag.attributes();
    let attribute = attributes
        .with_checks(false)
        .flatten()
        .find(|attribute| attribute.key.local_name().into_inner() == name)?;
    attribute.unescape_value().ok().map(std::borrow::Cow::into_owned)
}
