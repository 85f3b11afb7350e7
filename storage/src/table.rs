use std::{fmt, marker::PhantomData};

use crate::{
    error::{StorageError, hexadecimal},
    key::{KEY_BYTES_MAX, Key, decode_all},
    record::{Record, RecordError, VALUE_BYTES_MAX, seal, unseal},
};

/// The prefix that the package keeps for its own records.
pub(crate) const RESERVED_PREFIX: u8 = 0;

/// A typed view of the keys under one prefix. All tables of a database share one tree, because
/// the engine's batches are atomic in one tree only. The prefix is persisted, the name is not.
///
/// Tables whose records change with every commit cost least when they are small and their prefixes
/// are neighbours: the engine rewrites whole pages of about sixteen neighbouring records.
pub struct Table<K, V> {
    prefix: u8,
    name: &'static str,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Table<K, V> {
    /// Returns the table under `prefix`; `name` stands in errors.
    ///
    /// # Panics
    /// If `prefix` is 0, which the package keeps for itself. As a constant, at build time.
    pub const fn new(prefix: u8, name: &'static str) -> Self {
        assert!(prefix != RESERVED_PREFIX, "prefix 0 is reserved");
        Self { prefix, name, types: PhantomData }
    }

    /// Returns the first byte of every key of the table.
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Returns the name that stands in errors.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<K, V> Clone for Table<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for Table<K, V> {}

impl<K, V> fmt::Debug for Table<K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Table")
            .field("prefix", &self.prefix)
            .field("name", &self.name)
            .finish()
    }
}

impl<K: Key, V: Record> Table<K, V> {
    /// Returns the stored form of a key, or of the leading part of one.
    pub(crate) fn encode_key<L: Key>(&self, key: &L) -> Vec<u8> {
        let mut bytes = vec![self.prefix];
        key.encode(&mut bytes);
        bytes
    }

    /// Returns the stored form of a key that is to be written.
    pub(crate) fn seal_key(&self, key: &K) -> Result<Vec<u8>, StorageError> {
        let bytes = self.encode_key(key);
        if bytes.len() > KEY_BYTES_MAX {
            return Err(StorageError::KeyTooLarge { table: self.name, bytes: bytes.len() });
        }
        Ok(bytes)
    }

    /// Returns the stored form of a value under a stored key.
    pub(crate) fn seal_value(&self, key: &[u8], value: &V) -> Result<Vec<u8>, StorageError> {
        let bytes = seal(key, value)
            .map_err(|reason| StorageError::Unencodable { table: self.name, reason })?;
        if bytes.len() > VALUE_BYTES_MAX {
            return Err(StorageError::ValueTooLarge { table: self.name, bytes: bytes.len() });
        }
        Ok(bytes)
    }

    /// Returns the key that a stored key holds.
    pub(crate) fn unseal_key(&self, key: &[u8]) -> Result<K, StorageError> {
        decode_all(key.get(1..).unwrap_or_default()).map_err(|error| StorageError::CorruptRecord {
            table: self.name,
            key: hexadecimal(key),
            reason: error.to_string(),
        })
    }

    /// Returns the value that stored bytes under a stored key hold.
    pub(crate) fn unseal_value(&self, key: &[u8], bytes: &[u8]) -> Result<V, StorageError> {
        unseal(key, bytes).map_err(|error| match error {
            RecordError::UnknownFormat(found) => StorageError::UnknownFormat {
                table: self.name,
                key: hexadecimal(key),
                found,
                known: V::FORMAT,
            },
            RecordError::Corrupt(reason) => {
                StorageError::CorruptRecord { table: self.name, key: hexadecimal(key), reason }
            }
        })
    }
}
