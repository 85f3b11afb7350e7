use std::io;
use std::path::Path;

use super::files;
use crate::document::{Sequence, SlotSet};

/// Tells the file and its layout apart from others.
const MAGIC: &[u8; 8] = b"simchk01";
const HASH_BYTES: usize = 32;

/// What the tables say of all documents together, so that opening need not read each of them.
///
/// Derived: with the op-log after `sequence` it gives the newest state, and a scan of the tables
/// gives the same.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Checkpoint {
    pub(super) sequence: Sequence,
    pub(super) live: SlotSet,
    pub(super) starts: SlotSet,
}

impl Checkpoint {
    /// Writes the checkpoint into the folder of a collection, whole or not at all.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&self.sequence.0.to_le_bytes());
        for set in [&self.live, &self.starts] {
            bytes.extend_from_slice(&(set.serialized_size() as u64).to_le_bytes());
            set.serialize_into(&mut bytes)?;
        }
        let hash = blake3::hash(&bytes);
        bytes.extend_from_slice(hash.as_bytes());
        files::write_whole(&folder.join(files::CHECKPOINT), &bytes)
    }

    /// Returns whether the folder has something in the place of a checkpoint that is none.
    pub(super) fn is_damaged(folder: &Path) -> bool {
        folder.join(files::CHECKPOINT).exists() && Self::read(folder).is_none()
    }

    /// Returns the checkpoint of the folder; none if there is none that holds what was written.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        let bytes = fs_err::read(folder.join(files::CHECKPOINT)).ok()?;
        let (body, hash) = bytes.split_at_checked(bytes.len().checked_sub(HASH_BYTES)?)?;
        if blake3::hash(body).as_bytes() != hash {
            return None;
        }
        let mut rest = body.strip_prefix(MAGIC.as_slice())?;
        let sequence = Sequence(take_u64(&mut rest)?);
        let live = take_set(&mut rest)?;
        let starts = take_set(&mut rest)?;
        rest.is_empty().then_some(Self { sequence, live, starts })
    }
}

fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    let (bytes, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u64::from_le_bytes(*bytes))
}

fn take_set(rest: &mut &[u8]) -> Option<SlotSet> {
    let length = usize::try_from(take_u64(rest)?).ok()?;
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    SlotSet::deserialize_from(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_comes_back_as_it_was_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint {
            sequence: Sequence(77),
            live: (0..100_000).filter(|slot| slot % 7 != 0).collect(),
            starts: (0..100_000).step_by(3).collect(),
        };
        assert_eq!(Checkpoint::read(folder.path()), None);
        checkpoint.write(folder.path()).unwrap();
        assert_eq!(Checkpoint::read(folder.path()), Some(checkpoint));

        let path = folder.path().join(files::CHECKPOINT);
        let whole = fs_err::read(&path).unwrap();
        for place in [0, 9, 20, whole.len() / 2, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[place] ^= 1;
            fs_err::write(&path, &damaged).unwrap();
            assert_eq!(Checkpoint::read(folder.path()), None, "byte {place}");
        }
        fs_err::write(&path, &whole[..whole.len() - 5]).unwrap();
        assert_eq!(Checkpoint::read(folder.path()), None);
    }
}
