//! The outer form of a snapshot: a tar archive of a header, of blocks of items, and of a manifest.
//!
//! There is one way to write each archive, so that reading need not interpret what it finds: every
//! tar header and the manifest are compared with what this program would have written. A changed
//! byte, a link, another name, an entry too many or too few, and anything after the end are refused.

use std::io::{self, Read, Write};

use super::SnapshotError;

/// The name of the first entry: what the snapshot is of, as JSON.
const HEADER: &str = "snapshot.json";
/// The name of the last entry: what has to add up, as JSON.
const MANIFEST: &str = "manifest.json";
/// The most bytes of the header.
const HEADER_BYTES_MAX: usize = 1 << 20;
/// A block is full with so many bytes; it has one item at least.
const BLOCK_BYTES: usize = 4 << 20;
/// The most bytes of a block, its hash included.
const BLOCK_BYTES_MAX: usize = BLOCK_BYTES + ITEM_BYTES_MAX + HASH_BYTES + 8;
/// The most bytes of an item.
const ITEM_BYTES_MAX: usize = 4 << 20;
/// What tar measures in.
const TAR_BLOCK: usize = 512;
const HASH_BYTES: usize = 32;

/// Writes an archive.
pub(super) struct ArchiveWriter<W> {
    out: W,
    sums: Sums,
    block: Vec<u8>,
}

/// Reads an archive, checking all of it on the way.
pub(super) struct ArchiveReader<R> {
    input: R,
    sums: Sums,
    /// What is left of the block that was read last.
    block: Vec<u8>,
    at: usize,
}

/// What has to add up.
struct Sums {
    blocks: u64,
    items: u64,
    bytes: u64,
    /// Over the header and the hashes of all blocks.
    chain: blake3::Hasher,
}

impl Sums {
    fn new(header: &[u8]) -> Self {
        let mut chain = blake3::Hasher::new();
        chain.update(header);
        Self { blocks: 0, items: 0, bytes: 0, chain }
    }

    fn add(&mut self, hash: &blake3::Hash) {
        self.blocks += 1;
        self.chain.update(hash.as_bytes());
    }

    fn manifest(&self) -> Vec<u8> {
        let Self { blocks, items, bytes, chain } = self;
        let chain = chain.finalize().to_hex();
        format!(
            "{{\"format\":1,\"blocks\":{blocks},\"items\":{items},\"bytes\":{bytes},\"blake3\":\"{chain}\"}}\n"
        )
        .into_bytes()
    }
}

impl<W: Write> ArchiveWriter<W> {
    /// Begins an archive with its header.
    pub(super) fn new(mut out: W, header: &[u8]) -> io::Result<Self> {
        write_entry(&mut out, HEADER, header)?;
        Ok(Self { out, sums: Sums::new(header), block: Vec::new() })
    }

    /// Adds an item.
    pub(super) fn push(&mut self, item: &[u8]) -> io::Result<()> {
        if item.len() > ITEM_BYTES_MAX {
            let reason = format!("an item has {} bytes, at most {ITEM_BYTES_MAX}", item.len());
            return Err(io::Error::other(reason));
        }
        let length = u32::try_from(item.len()).unwrap_or(u32::MAX);
        self.block.extend_from_slice(&length.to_le_bytes());
        self.block.extend_from_slice(item);
        self.sums.items += 1;
        self.sums.bytes += u64::from(length);
        if self.block.len() >= BLOCK_BYTES { self.end_block() } else { Ok(()) }
    }

    /// Ends the archive; returns what was written to.
    pub(super) fn finish(mut self) -> io::Result<W> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        write_entry(&mut self.out, MANIFEST, &self.sums.manifest())?;
        self.out.write_all(&[0; 2 * TAR_BLOCK])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn end_block(&mut self) -> io::Result<()> {
        let hash = blake3::hash(&self.block);
        self.sums.add(&hash);
        self.block.extend_from_slice(hash.as_bytes());
        write_entry(&mut self.out, &block_name(self.sums.blocks), &self.block)?;
        self.block.clear();
        Ok(())
    }
}

impl<R: Read> ArchiveReader<R> {
    /// Begins to read; returns the header, of which nothing is known until the archive was read to its
    /// end.
    pub(super) fn new(mut input: R) -> Result<(Self, Vec<u8>), SnapshotError> {
        let (name, header) = read_entry(&mut input)?;
        if name != HEADER {
            return Err(SnapshotError::damaged(format!("expected `{HEADER}`, got `{name}`")));
        }
        if header.len() > HEADER_BYTES_MAX {
            let (most, actual) = (HEADER_BYTES_MAX, header.len());
            return Err(SnapshotError::damaged(format!(
                "a header of {actual} bytes, at most {most}"
            )));
        }
        let sums = Sums::new(&header);
        Ok((Self { input, sums, block: Vec::new(), at: 0 }, header))
    }

    /// Returns the next item; nothing once the archive has ended as it should.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, SnapshotError> {
        if self.at == self.block.len() && !self.read_block()? {
            return Ok(None);
        }
        let short = || SnapshotError::damaged("an item goes beyond its block");
        let rest = &self.block[self.at..];
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let length = u32::from_le_bytes(*length) as usize;
        if length > rest.len() || length > ITEM_BYTES_MAX {
            return Err(short());
        }
        let start = self.at + 4;
        self.at = start + length;
        self.sums.items += 1;
        self.sums.bytes += length as u64;
        Ok(Some(&self.block[start..self.at]))
    }

    /// Reads the next block; nothing if it is the manifest, and all is as it says.
    fn read_block(&mut self) -> Result<bool, SnapshotError> {
        let (name, mut block) = read_entry(&mut self.input)?;
        if name == MANIFEST {
            if block != self.sums.manifest() {
                return Err(SnapshotError::damaged("it does not add up to what its manifest says"));
            }
            let mut end = Vec::new();
            (&mut self.input).take(2 * TAR_BLOCK as u64 + 1).read_to_end(&mut end)?;
            if end != [0; 2 * TAR_BLOCK] {
                return Err(SnapshotError::damaged("it does not end after its manifest"));
            }
            return Ok(false);
        }
        let expected = block_name(self.sums.blocks + 1);
        if name != expected {
            return Err(SnapshotError::damaged(format!("expected `{expected}`, got `{name}`")));
        }
        let Some(length) = block.len().checked_sub(HASH_BYTES).filter(|&length| length > 0) else {
            return Err(SnapshotError::damaged(format!("`{name}` is empty")));
        };
        let hash = blake3::hash(&block[..length]);
        if hash.as_bytes() != &block[length..] {
            return Err(SnapshotError::damaged(format!("`{name}` fails its checksum")));
        }
        self.sums.add(&hash);
        block.truncate(length);
        (self.block, self.at) = (block, 0);
        Ok(true)
    }
}

fn block_name(number: u64) -> String {
    format!("blocks/{number:010}")
}

fn write_entry(out: &mut impl Write, name: &str, content: &[u8]) -> io::Result<()> {
    out.write_all(header_of(name, content.len() as u64)?.as_bytes())?;
    out.write_all(content)?;
    out.write_all(&[0; TAR_BLOCK][..padding(content.len())])
}

/// Reads an entry, which has to be as [`write_entry`] writes one.
fn read_entry(input: &mut impl Read) -> Result<(String, Vec<u8>), SnapshotError> {
    let mut bytes = [0; TAR_BLOCK];
    input.read_exact(&mut bytes)?;
    let header = tar::Header::from_byte_slice(&bytes);
    let (name, size) = match (std::str::from_utf8(&header.path_bytes()), header.size()) {
        (Ok(name), Ok(size)) => (name.to_owned(), size),
        _ => return Err(SnapshotError::damaged("an entry has no name or no size")),
    };
    let is_ours = header_of(&name, size).is_ok_and(|ours| ours.as_bytes() == &bytes);
    if !is_ours {
        let name: String = name.chars().take(80).collect();
        return Err(SnapshotError::damaged(format!("`{name}` is no entry of a snapshot")));
    }
    let most = BLOCK_BYTES_MAX as u64;
    if size > most {
        return Err(SnapshotError::damaged(format!("`{name}` has {size} bytes, at most {most}")));
    }
    let mut content = Vec::new();
    input.take(size).read_to_end(&mut content)?;
    if content.len() as u64 != size {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    let mut zeros = [0; TAR_BLOCK];
    let zeros = &mut zeros[..padding(content.len())];
    input.read_exact(zeros)?;
    if zeros.iter().any(|&byte| byte != 0) {
        return Err(SnapshotError::damaged(format!("`{name}` is followed by what is no padding")));
    }
    Ok((name, content))
}

fn header_of(name: &str, size: u64) -> io::Result<tar::Header> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name)?;
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    Ok(header)
}

fn padding(length: usize) -> usize {
    length.next_multiple_of(TAR_BLOCK) - length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|number| vec![u8::try_from(number % 251).unwrap(); number * 37]).collect()
    }

    fn archive(items: &[Vec<u8>]) -> Vec<u8> {
        let mut writer = ArchiveWriter::new(Vec::new(), b"{}").unwrap();
        for item in items {
            writer.push(item).unwrap();
        }
        writer.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Vec<Vec<u8>>, SnapshotError> {
        let (mut reader, header) = ArchiveReader::new(bytes)?;
        let mut items = Vec::new();
        while let Some(item) = reader.next()? {
            items.push(item.to_vec());
        }
        if header != b"{}" {
            return Err(SnapshotError::damaged("another header"));
        }
        Ok(items)
    }

    #[test]
    fn items_come_back_in_their_order_over_several_blocks() {
        for count in [0, 1, 700] {
            let items = items(count);
            assert_eq!(read(&archive(&items)).unwrap(), items);
        }
    }

    #[test]
    fn what_others_call_a_tar_archive_is_one() {
        let bytes = archive(&items(700));
        let mut archive = tar::Archive::new(bytes.as_slice());
        let names = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            entry.path().unwrap().to_string_lossy().into_owned()
        });
        let names: Vec<String> = names.collect();
        assert_eq!(names.first().map(String::as_str), Some(HEADER));
        assert_eq!(names.last().map(String::as_str), Some(MANIFEST));
        assert!(names.len() > 4, "{names:?}");
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_noticed() {
        let whole = archive(&items(20));
        for place in 0..whole.len() {
            let mut changed = whole.clone();
            changed[place] ^= 1 << (place % 8);
            assert!(read(&changed).is_err(), "byte {place}");
        }
        for end in (0..whole.len()).step_by(97) {
            assert!(read(&whole[..end]).is_err(), "{end} bytes");
        }
        assert!(read(&[whole.clone(), vec![0]].concat()).is_err());
        assert!(read(&[whole.clone(), whole].concat()).is_err());
    }

    #[test]
    fn links_other_names_and_large_entries_are_refused() {
        let entry = |name: &str, size: u64, kind: tar::EntryType| {
            let mut header = header_of(name, size).unwrap();
            header.set_entry_type(kind);
            header.set_cksum();
            let padding = vec![0; 2 * TAR_BLOCK];
            read(&[header.as_bytes().as_slice(), &padding].concat()).unwrap_err().to_string()
        };
        let file = tar::EntryType::Regular;
        assert!(entry(HEADER, 0, tar::EntryType::Symlink).contains("no entry of a snapshot"));
        assert!(entry("etc/passwd", 5, file).contains("expected `snapshot.json`"));
        assert!(entry(HEADER, 1 << 40, file).contains("at most"));
    }
}
