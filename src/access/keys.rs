use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Classified, ErrorKind};

/// The random bytes of a key, and of the secret that keys are hashed with.
pub const SECRET_BYTES: usize = 32;
/// What every key begins with, so that one that leaks is recognised.
const PREFIX: &str = "simile";
/// How many of the random bytes the id of a key shows.
const ID_BYTES: usize = 4;
/// The longest name of a key, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// The most collections that one key is for.
const COLLECTIONS_MAX: usize = 1_024;

/// How much a key may do; each may what the one before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Read and search documents.
    Read,
    /// Store, change and delete documents.
    Write,
    /// Create and delete collections, and keep the server healthy.
    Admin,
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        })
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "read" => Ok(Self::Read),
            "write" => Ok(Self::Write),
            "admin" => Ok(Self::Admin),
            other => Err(format!("expected read, write or admin, got `{other}`")),
        }
    }
}

/// How fast a key may ask; what is not said is as the server's settings have it. Persisted as JSON; fields
/// may be added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    /// Requests a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_second_max: Option<u32>,
    /// Bytes that its messages bring in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second_max: Option<u64>,
}

/// What a key may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The id of the key; for records of who did what.
    pub id: String,
    /// How much.
    pub scope: Scope,
    /// To which collections; none: to all, and to what belongs to none.
    pub collections: Option<BTreeSet<String>>,
    /// How fast.
    pub rates: Rates,
}

impl Grant {
    /// Returns the grant of whoever needs no key.
    pub fn everything() -> Self {
        let (id, rates) = ("none".to_owned(), Rates::default());
        Self { id, scope: Scope::Admin, collections: None, rates }
    }
}

/// A key as it is kept: not what is needed to use it. Persisted as JSON; fields may be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Names the key in lists and records; the key itself shows it, too.
    pub id: String,
    /// What the person who made it calls it.
    pub name: String,
    /// How much it may do.
    pub scope: Scope,
    /// To which collections; none: to all.
    pub collections: Option<BTreeSet<String>>,
    /// When it was made, in milliseconds since 1970-01-01 UTC.
    pub created_unix_ms: u64,
    /// From when on it is worth nothing; none: never.
    pub expires_unix_ms: Option<u64>,
    /// How fast it may ask.
    #[serde(default)]
    pub rates: Rates,
    /// The BLAKE3 hash of the key, keyed with the secret of the store, in hexadecimal digits.
    pub(super) hash: String,
}

/// What a new key is to be like.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// What it is called.
    pub name: String,
    /// How much it may do.
    pub scope: Scope,
    /// To which collections; none: to all.
    pub collections: Option<BTreeSet<String>>,
    /// From when on it is worth nothing; none: never.
    pub expires_unix_ms: Option<u64>,
    /// How fast it may ask.
    pub rates: Rates,
}

/// Why a key opens nothing. Whoever asks is told no more than that it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is none.
    #[error("a key is needed: send it as `authorization: Bearer KEY` or `api-key: KEY`")]
    Missing,
    /// It is not known, or is not worth anything any more.
    #[error("the key is not valid")]
    Invalid,
}

/// Why keys cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A name or a list that is none.
    #[error("{0}")]
    Wrong(String),
    /// A key that is not there.
    #[error("there is no key `{0}`")]
    Unknown(String),
    /// A file that is damaged.
    #[error("the file {file} is damaged: {reason}")]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file system refuses.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Classified for KeyError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Wrong(_) => ErrorKind::InvalidInput,
            Self::Unknown(_) => ErrorKind::NotFound,
            Self::Damaged { .. } => ErrorKind::Corrupt,
            Self::Io(_) => ErrorKind::Unavailable,
        }
    }
}

impl Key {
    /// Returns a new key, and the text that opens with it.
    pub(super) fn make(
        new: NewKey,
        secret: &[u8; SECRET_BYTES],
        random: &[u8; SECRET_BYTES],
        now: u64,
    ) -> Result<(Self, String), KeyError> {
        let name = new.name.trim().to_owned();
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return Err(KeyError::Wrong(format!(
                "the name of a key has 1 to {NAME_BYTES_MAX} bytes and no control characters, got \
                 {} bytes",
                name.len()
            )));
        }
        if let Some(expires) = new.expires_unix_ms
            && expires <= now
        {
            return Err(KeyError::Wrong("a key expires in the future".to_owned()));
        }
        let count = new.collections.as_ref().map_or(1, BTreeSet::len);
        if count == 0 || count > COLLECTIONS_MAX {
            return Err(KeyError::Wrong(format!(
                "a key is for 1 to {COLLECTIONS_MAX} collections, got {count}"
            )));
        }
        let rates = new.rates;
        if rates.requests_per_second_max == Some(0) || rates.bytes_per_second_max == Some(0) {
            return Err(KeyError::Wrong("a key may ask something, expected 1 or more".to_owned()));
        }
        let text = format!("{PREFIX}_{}", hexadecimal(random));
        let key = Self {
            id: hexadecimal(&random[..ID_BYTES]),
            name,
            scope: new.scope,
            collections: new.collections,
            created_unix_ms: now,
            expires_unix_ms: new.expires_unix_ms,
            rates,
            hash: hash(secret, &text).to_hex().to_string(),
        };
        Ok((key, text))
    }

    pub(super) fn is_expired(&self, now: u64) -> bool {
        self.expires_unix_ms.is_some_and(|expires| expires <= now)
    }

    pub(super) fn grant(&self) -> Grant {
        let (id, collections) = (self.id.clone(), self.collections.clone());
        Grant { id, scope: self.scope, collections, rates: self.rates }
    }
}

/// Returns the hash under which a key is kept. Two of them are compared in constant time.
pub(super) fn hash(secret: &[u8; SECRET_BYTES], text: &str) -> blake3::Hash {
    blake3::keyed_hash(secret, text.as_bytes())
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
