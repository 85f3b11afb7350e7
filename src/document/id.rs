use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Classified, ErrorKind};

/// The longest document id, in bytes of UTF-8.
pub const DOCUMENT_ID_BYTES_MAX: usize = 512;

/// The user's name of a document: any text of 1 to [`DOCUMENT_ID_BYTES_MAX`] bytes without control
/// characters. Persisted as it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct DocumentId(String);

/// Why a text is not a document id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The empty text.
    #[error("a document id must not be empty")]
    Empty,
    /// A text that is too long.
    #[error("a document id has at most {DOCUMENT_ID_BYTES_MAX} bytes, got {0}")]
    TooLong(usize),
    /// A text with a control character in it.
    #[error("a document id has no control characters, got {0:?}")]
    Control(char),
}

impl Classified for IdError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }
}

impl DocumentId {
    /// Returns the text as an id.
    ///
    /// # Errors
    /// [`IdError`] (invalid input) if it is empty, too long, or has a control character.
    pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
        let text = text.into();
        if text.is_empty() {
            return Err(IdError::Empty);
        }
        if text.len() > DOCUMENT_ID_BYTES_MAX {
            return Err(IdError::TooLong(text.len()));
        }
        if let Some(control) = text.chars().find(|character| character.is_control()) {
            return Err(IdError::Control(control));
        }
        Ok(Self(text))
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for DocumentId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// The dense number that indexes know a part by; never given twice in one collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Slot(pub u32);

/// A set of slots: the live ones, or those that a filter admits.
pub type SlotSet = roaring::RoaringBitmap;

/// The place of a mutation in the one order of its collection, from 1; 0 is the empty collection.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
pub struct Sequence(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_any_short_text_without_control_characters() {
        assert_eq!(DocumentId::new("猫 cat/1").unwrap().as_str(), "猫 cat/1");
        assert_eq!(DocumentId::new(""), Err(IdError::Empty));
        assert_eq!(DocumentId::new("x".repeat(513)), Err(IdError::TooLong(513)));
        assert_eq!(DocumentId::new("a\nb"), Err(IdError::Control('\n')));
    }
}
