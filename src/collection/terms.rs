use super::error::Error;
use crate::document::{DocumentId, Sequence};
use crate::ingest::{Source, Version};

/// The longest idempotency key, in bytes.
pub const KEY_BYTES_MAX: usize = 256;

/// A source with what is asked of its storing.
#[derive(Debug, Clone, PartialEq)]
pub struct Upsert {
    /// The source.
    pub source: Source,
    /// What is asked of its storing.
    pub terms: Terms,
}

/// On which terms a document is stored, changed or removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// The state that the document has to be in.
    pub expected: Option<Expected>,
    /// When the document expires, in milliseconds since 1970-01-01 UTC: from then on nobody sees it,
    /// and its space is given back soon after. 0: never. None: never for what is stored, and as it
    /// was for what is changed.
    pub expires_unix_ms: Option<u64>,
    /// Names the mutation of this document: sent again, it is answered and not done again. Remembered
    /// for the next 1,000,000 mutations.
    pub key: Option<String>,
}

/// The state that a document has to be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It is not stored.
    Absent,
    /// This mutation stored the version there is.
    Sequence(Sequence),
}

impl From<Source> for Upsert {
    fn from(source: Source) -> Self {
        Self { source, terms: Terms::default() }
    }
}

impl Terms {
    /// Checks what can be checked without the document; `now` in milliseconds since 1970.
    pub(super) fn check(&self, now: u64) -> Result<(), Error> {
        if let Some(key) = &self.key
            && (key.is_empty() || key.len() > KEY_BYTES_MAX)
        {
            return Err(Error::Settings(format!(
                "an idempotency key has 1 to {KEY_BYTES_MAX} bytes, got {}",
                key.len()
            )));
        }
        match self.expires_unix_ms {
            Some(expires) if expires != 0 && expires <= now => Err(Error::Settings(format!(
                "a document expires in the future: it is {now}, and expires_unix_ms is {expires}"
            ))),
            Some(_) | None => Ok(()),
        }
    }

    /// Checks the state of a document, given as the mutation that stored it.
    pub(super) fn check_state(
        &self,
        id: &DocumentId,
        stored: Option<Sequence>,
    ) -> Result<(), Error> {
        let expected = match (self.expected, stored) {
            (None, _) | (Some(Expected::Absent), None) => return Ok(()),
            (Some(Expected::Sequence(expected)), Some(stored)) if expected == stored => {
                return Ok(());
            }
            (Some(Expected::Absent), Some(_)) => "not to be stored".to_owned(),
            (Some(Expected::Sequence(sequence)), _) => format!("at sequence {}", sequence.0),
        };
        let actual = match stored {
            Some(sequence) => format!("is at sequence {}", sequence.0),
            None => "is not stored".to_owned(),
        };
        Err(Error::OtherState { id: id.to_string(), expected, actual })
    }

    /// Returns under which name the mutation of a document is remembered.
    pub(super) fn key_of(&self, id: &DocumentId) -> Option<String> {
        self.key.as_ref().map(|key| format!("{key}\u{1}{id}"))
    }

    /// Returns the version of something that is stored on these terms.
    pub(super) fn version(&self, version: Version) -> Version {
        match self.expires_unix_ms {
            Some(expires) if expires != 0 => version.changed(&expires.to_le_bytes()),
            Some(_) | None => version,
        }
    }
}
