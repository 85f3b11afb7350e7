use super::engine::damaged;
use super::error::Error;
use super::open::Collection;
use crate::document::{DocumentId, Slot};

/// The most thumbnails of one request: about what a message of 16 MiB holds.
pub const THUMBNAILS_MAX: usize = 256;

/// A small picture of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thumbnail {
    /// The document.
    pub id: DocumentId,
    /// Which of its parts, from 0.
    pub part: u32,
    /// A JPEG of at most 256 pixels a side and 48 KiB.
    pub jpeg: Vec<u8>,
}

impl Collection {
    /// Returns the thumbnails of parts, in the order of the parts; parts that are missing, or are no
    /// pictures, are left out.
    ///
    /// # Errors
    /// Invalid input for more than [`THUMBNAILS_MAX`]; corrupt for damaged rows.
    pub fn thumbnails(&self, parts: &[(DocumentId, u32)]) -> Result<Vec<Thumbnail>, Error> {
        let (what, limit, actual) = ("thumbnails", THUMBNAILS_MAX, parts.len());
        if actual > limit {
            return Err(Error::TooMuch { what, limit, actual });
        }
        let mut thumbnails = Vec::new();
        for (id, part) in parts {
            // The view keeps the rows while they are read.
            let Some((_view, first)) = self.first_slot(id)? else { continue };
            let body = self.engine.body(first)?;
            let body = body.ok_or_else(|| damaged("body", first.0, "missing"))?;
            if *part >= body.parts {
                continue;
            }
            if let Some(jpeg) = self.engine.thumbnail(Slot(first.0 + part))? {
                let (id, part) = (id.clone(), *part);
                thumbnails.push(Thumbnail { id, part, jpeg });
            }
        }
        Ok(thumbnails)
    }
}
