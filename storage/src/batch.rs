use std::collections::BTreeMap;

use crate::{error::StorageError, key::Key, record::Record, table::Table};

/// The largest batch, in bytes of stored keys and values.
pub const BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Changes that are stored together or not at all. Of two changes to one key the later one holds.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    bytes: usize,
}

impl Batch {
    /// Returns a batch of no changes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds: the record at `key` becomes `value`.
    ///
    /// # Errors
    /// Invalid input if key, value or batch become too large; the batch is as before then.
    pub fn put<K: Key, V: Record>(
        &mut self,
        table: &Table<K, V>,
        key: &K,
        value: &V,
    ) -> Result<(), StorageError> {
        let key = table.seal_key(key)?;
        let value = table.seal_value(&key, value)?;
        self.change(key, Some(value))
    }

    /// Adds: there is no record at `key`.
    ///
    /// # Errors
    /// Invalid input if key or batch become too large; the batch is as before then.
    pub fn remove<K: Key, V: Record>(
        &mut self,
        table: &Table<K, V>,
        key: &K,
    ) -> Result<(), StorageError> {
        let key = table.seal_key(key)?;
        self.change(key, None)
    }

    /// Returns how many keys change.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Returns whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Returns the size of all stored keys and values, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn changes(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.changes.iter().map(|(key, value)| (key.as_slice(), value.as_deref()))
    }

    /// Adds the changes of a batch that comes after this one.
    ///
    /// # Errors
    /// Invalid input if this batch becomes too large; it is as before then.
    pub fn append(&mut self, later: Self) -> Result<(), StorageError> {
        let bytes = self.bytes + later.bytes;
        if bytes > BATCH_BYTES_MAX {
            return Err(StorageError::BatchTooLarge { bytes });
        }
        self.join(later);
        Ok(())
    }

    /// Adds the changes of a batch that comes after this one, without asking whether they fit.
    pub(crate) fn join(&mut self, later: Self) {
        if self.is_empty() {
            *self = later;
            return;
        }
        for (key, value) in later.changes {
            self.set(key, value);
        }
    }

    fn change(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<(), StorageError> {
        let bytes = self.bytes + key.len() + value.as_ref().map_or(0, Vec::len);
        if bytes > BATCH_BYTES_MAX {
            return Err(StorageError::BatchTooLarge { bytes });
        }
        self.set(key, value);
        Ok(())
    }

    /// Adds a change without asking whether it fits.
    pub(crate) fn set(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        let key_bytes = key.len();
        self.bytes += key_bytes + value.as_ref().map_or(0, Vec::len);
        if let Some(replaced) = self.changes.insert(key, value) {
            self.bytes -= key_bytes + replaced.map_or(0, |value| value.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::VALUE_BYTES_MAX;

    const TABLE: Table<u32, Bytes> = Table::new(1, "blobs");

    #[derive(bincode::Encode, bincode::Decode)]
    struct Bytes(Vec<u8>);

    impl Record for Bytes {
        const FORMAT: u16 = 1;
    }

    #[test]
    fn a_value_over_the_limit_is_refused_with_both_sizes() {
        let mut batch = Batch::new();
        // The header and the length take nine bytes.
        batch.put(&TABLE, &1, &Bytes(vec![0; VALUE_BYTES_MAX - 9])).unwrap();
        let error = batch.put(&TABLE, &2, &Bytes(vec![0; VALUE_BYTES_MAX - 8])).unwrap_err();
        assert_eq!(error.to_string(), "a value of table blobs has at most 65536 bytes, got 65537");
        assert_eq!(batch.len(), 1);
    }

    #[test]
    fn a_batch_that_does_not_fit_is_refused_and_changes_nothing() {
        let half = |key| {
            let mut batch = Batch::new();
            batch.set(vec![key], Some(vec![0; BATCH_BYTES_MAX / 2]));
            batch
        };
        let mut batch = half(1);
        let error = batch.append(half(2)).unwrap_err();
        assert!(matches!(error, StorageError::BatchTooLarge { bytes } if bytes > BATCH_BYTES_MAX));
        assert_eq!((batch.len(), batch.bytes()), (1, BATCH_BYTES_MAX / 2 + 1));
        let mut small = Batch::new();
        small.remove(&TABLE, &1).unwrap();
        batch.append(small).unwrap();
        assert_eq!(batch.len(), 2);
    }

    #[test]
    fn the_later_of_two_changes_to_a_key_holds_and_is_counted_alone() {
        let mut batch = Batch::new();
        batch.put(&TABLE, &1, &Bytes(vec![0; 100])).unwrap();
        batch.remove(&TABLE, &1).unwrap();
        assert_eq!((batch.len(), batch.bytes()), (1, 5));
        assert_eq!(batch.changes().next(), Some((&[1, 0, 0, 0, 1][..], None)));
    }
}
