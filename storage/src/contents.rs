use std::{fmt, ops::Bound};

use crate::{batch::Batch, engine::Engine, error::StorageError, table::RESERVED_PREFIX};

/// The key of the record that says what the database holds.
pub(crate) const CONTENTS_KEY: &[u8] = &[RESERVED_PREFIX];

/// `[format u16][crc32 u32][commit u64][entries u64][sum u64]`, little-endian.
const CONTENTS_BYTES: usize = 30;
const FORMAT: u16 = 1;

/// What a database holds, in three numbers: changed with every batch and inside it.
///
/// The engine takes a damaged record in its log for the end of what was written there, and goes on
/// with older pages or without them, silently. Then the sum does not hold. It is a sum over the
/// entries in no order, so that a batch changes it by what it takes out and puts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Contents {
    /// How many batches were applied, ever.
    pub(crate) commit: u64,
    entries: u64,
    sum: u64,
}

impl Contents {
    /// Writes the record of an empty database, and puts spacers beside it.
    pub(crate) fn create(engine: &Engine) -> Result<Self, StorageError> {
        let contents = Self::default();
        engine.apply(&spacers(), (CONTENTS_KEY, &contents.encode()))?;
        Ok(contents)
    }

    /// Returns what the database says it holds.
    pub(crate) fn load(engine: &Engine) -> Result<Option<Self>, StorageError> {
        let Some(bytes) = engine.get(CONTENTS_KEY)? else { return Ok(None) };
        Self::decode(&bytes).map(Some).ok_or_else(|| StorageError::CorruptDatabase {
            folder: engine.folder().to_owned(),
            reason: "its record of what it holds fails its checksum".to_owned(),
        })
    }

    /// Returns what it holds, by reading all of it.
    pub(crate) fn count(engine: &Engine, commit: u64) -> Result<Self, StorageError> {
        let mut contents = Self { commit, entries: 0, sum: 0 };
        let first = Bound::Included(vec![RESERVED_PREFIX + 1]);
        for entry in engine.range(first, Bound::Unbounded) {
            let (key, value) = entry?;
            contents.add(&key, &value);
        }
        Ok(contents)
    }

    /// Returns what the database will hold after the batch.
    pub(crate) fn after(mut self, batch: &Batch, engine: &Engine) -> Result<Self, StorageError> {
        self.commit += 1;
        for (key, value) in batch.changes() {
            if let Some(old) = engine.get(key)? {
                self.entries = self.entries.wrapping_sub(1);
                self.sum = self.sum.wrapping_sub(fingerprint(key, &old));
            }
            if let Some(value) = value {
                self.add(key, value);
            }
        }
        Ok(self)
    }

    pub(crate) fn encode(self) -> [u8; CONTENTS_BYTES] {
        let mut bytes = [0; CONTENTS_BYTES];
        bytes[..2].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[6..14].copy_from_slice(&self.commit.to_le_bytes());
        bytes[14..22].copy_from_slice(&self.entries.to_le_bytes());
        bytes[22..].copy_from_slice(&self.sum.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[6..]);
        bytes[2..6].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (format, bytes) = bytes.split_first_chunk()?;
        let (checksum, body) = bytes.split_first_chunk()?;
        let (commit, bytes) = body.split_first_chunk()?;
        let (entries, bytes) = bytes.split_first_chunk()?;
        let sum = bytes.try_into().ok()?;
        let intact = u16::from_le_bytes(*format) == FORMAT
            && u32::from_le_bytes(*checksum) == crc32fast::hash(body);
        intact.then(|| Self {
            commit: u64::from_le_bytes(*commit),
            entries: u64::from_le_bytes(*entries),
            sum: u64::from_le_bytes(sum),
        })
    }

    fn add(&mut self, key: &[u8], value: &[u8]) {
        self.entries = self.entries.wrapping_add(1);
        self.sum = self.sum.wrapping_add(fingerprint(key, value));
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} entries with sum {:016x}", self.entries, self.sum)
    }
}

/// The record of what the database holds changes with every batch, and with it the engine writes
/// the whole page that it stands on, every tenth time or so. Sixteen records make a page; these
/// keep the records of the first table off this one.
fn spacers() -> Batch {
    let mut batch = Batch::new();
    for number in 0..32 {
        batch.set(vec![RESERVED_PREFIX, number], Some(Vec::new()));
    }
    batch
}

/// The finaliser of splitmix64 (Steele et al. 2014) over a checksum, so that sums do not cancel.
fn fingerprint(key: &[u8], value: &[u8]) -> u64 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(value);
    let length = (value.len() as u64) << 32;
    let mut bits = (length | u64::from(hasher.finalize())).wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_and_any_flipped_bit_seen() {
        let contents = Contents { commit: 7, entries: 3, sum: u64::MAX - 1 };
        let bytes = contents.encode();
        assert_eq!(Contents::decode(&bytes), Some(contents));
        for bit in 0..CONTENTS_BYTES * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Contents::decode(&damaged), None, "bit {bit}");
        }
        assert_eq!(Contents::decode(&bytes[..29]), None);
    }

    #[test]
    fn the_sum_does_not_depend_on_the_order_but_on_every_entry() {
        let sum = |entries: &[(&[u8], &[u8])]| {
            let mut contents = Contents::default();
            for (key, value) in entries {
                contents.add(key, value);
            }
            contents.sum
        };
        assert_eq!(sum(&[(b"a", b"1"), (b"b", b"2")]), sum(&[(b"b", b"2"), (b"a", b"1")]));
        assert_ne!(sum(&[(b"a", b"1"), (b"b", b"2")]), sum(&[(b"a", b"2"), (b"b", b"1")]));
        assert_ne!(sum(&[(b"a", b"1")]), sum(&[(b"", b"a1")]));
    }
}
