use std::{
    fmt,
    ops::{Bound, RangeBounds},
};

use crate::{
    engine::{Engine, EngineRange},
    error::StorageError,
    key::Key,
    record::Record,
    table::Table,
};

/// The records of a range of a table in the order of their keys, or from the back.
///
/// It is not a snapshot: a record written while it runs is met if its key is still ahead. After an
/// error of the engine it ends; after a corrupt record it goes on with the next.
pub struct Scan<'a, K, V> {
    table: Table<K, V>,
    range: EngineRange<'a>,
}

impl<'a, K: Key, V: Record> Scan<'a, K, V> {
    pub(crate) fn range(
        engine: &'a Engine,
        table: &Table<K, V>,
        bounds: &impl RangeBounds<K>,
    ) -> Self {
        let low = match bounds.start_bound() {
            Bound::Included(key) => Bound::Included(table.encode_key(key)),
            Bound::Excluded(key) => Bound::Excluded(table.encode_key(key)),
            Bound::Unbounded => Bound::Included(vec![table.prefix()]),
        };
        let high = match bounds.end_bound() {
            Bound::Included(key) => Bound::Included(table.encode_key(key)),
            Bound::Excluded(key) => Bound::Excluded(table.encode_key(key)),
            Bound::Unbounded => end_of_prefix(vec![table.prefix()]),
        };
        Self::between(engine, table, low, high)
    }

    pub(crate) fn prefix<L: Key>(engine: &'a Engine, table: &Table<K, V>, leading: &L) -> Self {
        let prefix = table.encode_key(leading);
        Self::between(engine, table, Bound::Included(prefix.clone()), end_of_prefix(prefix))
    }

    fn between(
        engine: &'a Engine,
        table: &Table<K, V>,
        low: Bound<Vec<u8>>,
        high: Bound<Vec<u8>>,
    ) -> Self {
        // The engine panics on bounds in the wrong order where a map of the language does too.
        let empty = match (&low, &high) {
            (Bound::Included(low), Bound::Included(high)) => low > high,
            (
                Bound::Included(low) | Bound::Excluded(low),
                Bound::Included(high) | Bound::Excluded(high),
            ) => low >= high,
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        };
        let range = if empty { engine.empty_range() } else { engine.range(low, high) };
        Self { table: *table, range }
    }

    fn unseal(
        table: Table<K, V>,
        entry: Result<(sled::IVec, sled::IVec), StorageError>,
    ) -> Result<(K, V), StorageError> {
        let (key, value) = entry?;
        Ok((table.unseal_key(&key)?, table.unseal_value(&key, &value)?))
    }
}

impl<K: Key, V: Record> Iterator for Scan<'_, K, V> {
    type Item = Result<(K, V), StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.range.next().map(|entry| Self::unseal(self.table, entry))
    }
}

impl<K: Key, V: Record> DoubleEndedIterator for Scan<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.range.next_back().map(|entry| Self::unseal(self.table, entry))
    }
}

impl<K, V> fmt::Debug for Scan<'_, K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Scan").field("table", &self.table).finish_non_exhaustive()
    }
}

/// Returns the bound above all keys that begin with `prefix`.
fn end_of_prefix(mut prefix: Vec<u8>) -> Bound<Vec<u8>> {
    while let Some(last) = prefix.pop() {
        if let Some(next) = last.checked_add(1) {
            prefix.push(next);
            return Bound::Excluded(prefix);
        }
    }
    Bound::Unbounded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_carries_over_full_bytes() {
        assert_eq!(end_of_prefix(vec![1, 2]), Bound::Excluded(vec![1, 3]));
        assert_eq!(end_of_prefix(vec![1, 255, 255]), Bound::Excluded(vec![2]));
        assert_eq!(end_of_prefix(vec![255]), Bound::Unbounded);
    }
}
