use std::{
    io::{self, Read as _, Seek as _, Write as _},
    path::Path,
};

use fs_err::{File, OpenOptions};

/// `[format u16][crc32 u32][commit u64]`, little-endian.
const PROMISE_BYTES: usize = 14;
const FORMAT: u16 = 1;

/// The file that says up to which commit durability was promised.
///
/// It is written after each barrier and itself not synced: it may lag behind what is durable and
/// never runs ahead of it. A database that opens with fewer commits than it says has lost some.
#[derive(Debug)]
pub(crate) struct Promise {
    file: File,
}

impl Promise {
    pub(crate) const FILE_NAME: &str = "promised";

    /// Opens or creates the file, and returns the commit in it. A file that fails its checksum, as
    /// after a power cut, promises nothing.
    pub(crate) fn open(folder: &Path) -> io::Result<(Self, u64)> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(folder.join(Self::FILE_NAME))?;
        let mut bytes = Vec::with_capacity(PROMISE_BYTES);
        (&mut file).take(PROMISE_BYTES as u64).read_to_end(&mut bytes)?;
        Ok((Self { file }, decode(&bytes).unwrap_or(0)))
    }

    pub(crate) fn write(&mut self, commit: u64) -> io::Result<()> {
        self.file.rewind()?;
        self.file.write_all(&encode(commit))
    }
}

fn encode(commit: u64) -> [u8; PROMISE_BYTES] {
    let mut bytes = [0; PROMISE_BYTES];
    bytes[..2].copy_from_slice(&FORMAT.to_le_bytes());
    bytes[2..6].copy_from_slice(&crc32fast::hash(&commit.to_le_bytes()).to_le_bytes());
    bytes[6..].copy_from_slice(&commit.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<u64> {
    let (format, bytes) = bytes.split_first_chunk()?;
    let (checksum, bytes) = bytes.split_first_chunk()?;
    let commit: [u8; 8] = bytes.try_into().ok()?;
    let intact = u16::from_le_bytes(*format) == FORMAT
        && u32::from_le_bytes(*checksum) == crc32fast::hash(&commit);
    intact.then(|| u64::from_le_bytes(commit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_promise_is_read_back_and_a_damaged_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let (mut promise, commit) = Promise::open(folder.path()).unwrap();
        assert_eq!(commit, 0);
        promise.write(4).unwrap();
        promise.write(5).unwrap();
        assert_eq!(Promise::open(folder.path()).unwrap().1, 5);

        let mut bytes = encode(5);
        bytes[9] ^= 1;
        fs_err::write(folder.path().join(Promise::FILE_NAME), bytes).unwrap();
        assert_eq!(Promise::open(folder.path()).unwrap().1, 0);
    }
}
