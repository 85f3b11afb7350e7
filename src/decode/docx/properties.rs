use super::super::{DecodeError, Limits, metadata};
use super::archive::{Piece, read};
use crate::document::Payload;

/// What the document says of itself.
#[derive(Debug, Default)]
pub(super) struct Properties {
    pub(super) title: Option<String>,
    pub(super) metadata: Payload,
}

/// Reads the core properties.
pub(super) fn read_core(source: &str, limits: &Limits) -> Result<Properties, DecodeError> {
    let mut properties = Properties::default();
    let mut text = String::new();
    read(source, limits, |piece| match piece {
        Piece::Start(..) => text.clear(),
        Piece::Text(piece) => text.push_str(piece),
        Piece::End(name) => {
            let fields = &mut properties.metadata;
            match *name {
                "title" => properties.title = metadata::clean(&text),
                "creator" => metadata::add(fields, "author", &text),
                "subject" | "keywords" | "description" | "language" => {
                    metadata::add(fields, name, &text);
                }
                "created" | "modified" => metadata::add_time(fields, name, &text),
                _ => {}
            }
            text.clear();
        }
    })?;
    Ok(properties)
}
