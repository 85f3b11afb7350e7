//! What was embedded before need not be embedded again: vectors of texts by model, role and content, in
//! files that survive the program and never grow beyond a bound.
//!
//! There are two files. The younger one is written to; when it has half of the bytes allowed, it becomes
//! the older one, and what the older one held is forgotten, unless it was asked for meanwhile and so
//! written again. Nothing here is needed: what cannot be read is embedded anew.

use std::collections::HashMap;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fs_err::File;

use super::{Embedding, Encoded, Fingerprint, Role};
use crate::vector::{DenseVector, MultiVector, SparseVector, Vector};

const NAMES: [&str; 2] = ["younger", "older"];
const LOCK: &str = "lock";
/// Begins each file; another format has another number.
const MAGIC: [u8; 8] = *b"simvec\x001";
/// Key, length and checksum of a record.
const HEAD: usize = 16 + 4 + 4;
/// The longest record that is kept, in bytes.
const RECORD_BYTES_MAX: usize = 4 << 20;

/// Names a text as one model reads it: the first half of a BLAKE3 hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 16]);

impl Key {
    pub(super) fn of(fingerprint: &Fingerprint, role: Role, text: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(fingerprint.to_string().as_bytes());
        hasher.update(match role {
            Role::Query => b"q",
            Role::Passage => b"p",
        });
        hasher.update(text.as_bytes());
        Self::from(&hasher)
    }

    /// Returns the key of what a model reads, where that is more than the text.
    pub(super) fn of_encoded(fingerprint: &Fingerprint, encoded: &Encoded) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(fingerprint.to_string().as_bytes());
        hasher.update(if encoded.truncated { b"E" } else { b"e" });
        for id in &encoded.ids {
            hasher.update(&id.to_le_bytes());
        }
        Self::from(&hasher)
    }

    fn from(hasher: &blake3::Hasher) -> Self {
        let mut key = [0; 16];
        key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(key)
    }
}

/// How often a cache was of use, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheStatistics {
    /// Texts whose vector was there.
    pub hits: u64,
    /// Texts whose vector was not.
    pub misses: u64,
    /// Vectors that are there.
    pub entries: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

/// Vectors of texts on disk. Shared between threads; one process at a time has a folder.
#[derive(Debug)]
pub struct Cache {
    state: Mutex<State>,
    file_bytes_max: u64,
    hits: AtomicU64,
    misses: AtomicU64,
    /// Whether the disk has refused something, so that no more is written.
    is_full: AtomicBool,
    #[expect(dead_code, reason = "holds the folder as long as the cache lives")]
    lock: File,
}

#[derive(Debug)]
struct State {
    folder: PathBuf,
    younger: Generation,
    older: Generation,
}

#[derive(Debug)]
struct Generation {
    file: File,
    bytes: u64,
    /// Where the content of each record begins, and how long it is.
    places: HashMap<Key, (u64, u32)>,
}

impl Cache {
    /// Opens the cache in a folder, which is made if it is not there, for at most so many bytes. None if
    /// another process has it.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn open(folder: &Path, bytes_max: u64) -> io::Result<Option<Self>> {
        fs_err::create_dir_all(folder)?;
        let lock = File::create(folder.join(LOCK))?;
        if lock.file().try_lock().is_err() {
            return Ok(None);
        }
        let [younger, older] = NAMES.map(|name| Generation::open(&folder.join(name)));
        let state = State { folder: folder.to_owned(), younger: younger?, older: older? };
        Ok(Some(Self {
            state: Mutex::new(state),
            file_bytes_max: bytes_max / 2,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            is_full: AtomicBool::new(false),
            lock,
        }))
    }

    /// Returns what was made of a text before.
    pub(super) fn get(&self, key: Key) -> Option<Embedding> {
        let mut state = self.state();
        let (content, is_old) = match state.younger.read(key) {
            Some(content) => (Some(content), false),
            None => (state.older.read(key), true),
        };
        let found = content.as_deref().and_then(decoded);
        if let (Some(content), Some(_), true) = (content, &found, is_old) {
            // What is asked for outlives what is not.
            self.write(&mut state, key, &content);
        }
        drop(state);
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Keeps what was made of a text.
    pub(super) fn put(&self, key: Key, embedding: &Embedding) {
        let content = encoded(embedding);
        self.write(&mut self.state(), key, &content);
    }

    /// Returns how often it was of use, and what it holds.
    pub fn statistics(&self) -> CacheStatistics {
        let state = self.state();
        let only_old = |key: &&Key| !state.younger.places.contains_key(*key);
        let old = state.older.places.keys().filter(only_old).count();
        CacheStatistics {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            entries: (state.younger.places.len() + old) as u64,
            bytes: state.younger.bytes + state.older.bytes,
        }
    }

    fn write(&self, state: &mut State, key: Key, content: &[u8]) {
        let bytes = (HEAD + content.len()) as u64;
        let fits = content.len() <= RECORD_BYTES_MAX && bytes + 8 <= self.file_bytes_max;
        if !fits || self.is_full.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = state.write(key, content, self.file_bytes_max) {
            self.is_full.store(true, Ordering::Relaxed);
            tracing::warn!(reason = %error, "no more vectors are kept for later");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&mut self, key: Key, content: &[u8], file_bytes_max: u64) -> io::Result<()> {
        if self.younger.bytes + (HEAD + content.len()) as u64 > file_bytes_max {
            self.turn()?;
        }
        self.younger.write(key, content)
    }

    /// Makes the younger file the older one.
    fn turn(&mut self) -> io::Result<()> {
        let [younger, older] = NAMES.map(|name| self.folder.join(name));
        // Some systems rename no open files.
        let scratch = self.folder.join("turning");
        self.younger = Generation::open(&scratch)?;
        self.older = Generation::open(&scratch)?;
        fs_err::rename(&younger, &older)?;
        self.older = Generation::open(&older)?;
        self.younger = Generation::open(&younger)?;
        fs_err::remove_file(scratch)
    }
}

impl Generation {
    /// Reads which records a file has, up to the first that is not whole.
    fn open(path: &Path) -> io::Result<Self> {
        let file = fs_err::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let mut places = HashMap::new();
        let mut reader = BufReader::new(&file);
        let mut magic = [0; 8];
        let mut end = 0;
        if reader.read_exact(&mut magic).is_ok() && magic == MAGIC {
            end = 8;
            while let Some((key, content)) = next_record(&mut reader) {
                let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
                places.insert(key, (end + HEAD as u64, length));
                end += (HEAD + content.len()) as u64;
            }
        }
        drop(reader);
        if end == 0 {
            file.set_len(0)?;
            (&file).seek(SeekFrom::Start(0))?;
            (&file).write_all(&MAGIC)?;
            end = 8;
        }
        file.set_len(end)?;
        Ok(Self { file, bytes: end, places })
    }

    fn read(&mut self, key: Key) -> Option<Vec<u8>> {
        let &(at, length) = self.places.get(&key)?;
        let mut record = vec![0; HEAD + length as usize];
        self.file.seek(SeekFrom::Start(at - HEAD as u64)).ok()?;
        self.file.read_exact(&mut record).ok()?;
        let (head, content) = record.split_at(HEAD);
        (*head == head_of(key, content)).then(|| content.to_vec())
    }

    fn write(&mut self, key: Key, content: &[u8]) -> io::Result<()> {
        let mut record = head_of(key, content).to_vec();
        record.extend_from_slice(content);
        self.file.seek(SeekFrom::Start(self.bytes))?;
        self.file.write_all(&record)?;
        let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
        self.places.insert(key, (self.bytes + HEAD as u64, length));
        self.bytes += record.len() as u64;
        Ok(())
    }
}

fn head_of(key: Key, content: &[u8]) -> [u8; HEAD] {
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&key.0);
    hasher.update(content);
    let mut head = [0; HEAD];
    head[..16].copy_from_slice(&key.0);
    head[16..20].copy_from_slice(&length.to_le_bytes());
    head[20..].copy_from_slice(&hasher.finalize().as_bytes()[..4]);
    head
}

/// Reads a record, if there is a whole one.
fn next_record(reader: &mut impl Read) -> Option<(Key, Vec<u8>)> {
    let mut head = [0; HEAD];
    reader.read_exact(&mut head).ok()?;
    let mut key = [0; 16];
    key.copy_from_slice(&head[..16]);
    let length = u32::from_le_bytes([head[16], head[17], head[18], head[19]]) as usize;
    if length > RECORD_BYTES_MAX {
        return None;
    }
    let mut content = vec![0; length];
    reader.read_exact(&mut content).ok()?;
    (head == head_of(Key(key), &content)).then_some((Key(key), content))
}

/// Returns the bytes of an embedding: tokens, whether it was cut off, the form, and the vector.
fn encoded(embedding: &Embedding) -> Vec<u8> {
    let mut bytes = embedding.tokens.to_le_bytes().to_vec();
    bytes.push(u8::from(embedding.truncated));
    let floats = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    match &embedding.vector {
        None => bytes.push(0),
        Some(Vector::Dense(vector)) => {
            bytes.push(1);
            bytes.extend(floats(vector.as_slice()));
        }
        Some(Vector::Sparse(vector)) => {
            bytes.push(2);
            bytes.extend(vector.indices().iter().flat_map(|index| index.to_le_bytes()));
            bytes.extend(floats(vector.values()));
        }
        Some(Vector::Multi(vector)) => {
            bytes.push(3);
            let dimension = u32::try_from(vector.dimension()).unwrap_or(u32::MAX);
            bytes.extend(dimension.to_le_bytes());
            bytes.extend(floats(vector.as_slice()));
        }
    }
    bytes
}

fn decoded(bytes: &[u8]) -> Option<Embedding> {
    let (head, rest) = bytes.split_at_checked(6)?;
    let tokens = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
    let truncated = head[4] != 0;
    let (words, odd) = rest.as_chunks::<4>();
    if !odd.is_empty() {
        return None;
    }
    let floats = |words: &[[u8; 4]]| words.iter().map(|word| f32::from_le_bytes(*word)).collect();
    let vector = match head[5] {
        0 => None,
        1 => Some(DenseVector::new(floats(words)).ok()?.into()),
        2 => {
            let (indices, values) = words.split_at(words.len() / 2);
            let indices = indices.iter().map(|word| u32::from_le_bytes(*word)).collect();
            Some(SparseVector::new(indices, floats(values)).ok()?.into())
        }
        3 => {
            let (dimension, components) = words.split_first()?;
            let dimension = u32::from_le_bytes(*dimension) as usize;
            Some(MultiVector::new(dimension, floats(components)).ok()?.into())
        }
        _ => return None,
    };
    Some(Embedding { vector, tokens, truncated })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Key {
        let fingerprint = Fingerprint::of(&[("kind", "test".to_owned())]);
        Key::of(&fingerprint, Role::Query, &number.to_string())
    }

    fn embedding(number: u32) -> Embedding {
        let at = number as f32;
        let vector: Vector = match number % 3 {
            0 => DenseVector::new(vec![at, 0.5, -1.0]).unwrap().into(),
            1 => SparseVector::new(vec![1, number + 2], vec![at, 0.25]).unwrap().into(),
            _ => MultiVector::new(2, vec![at, 1.0, 2.0, -3.0]).unwrap().into(),
        };
        Embedding { vector: Some(vector), tokens: number, truncated: number.is_multiple_of(2) }
    }

    fn open(folder: &Path, bytes_max: u64) -> Cache {
        Cache::open(folder, bytes_max).unwrap().unwrap()
    }

    #[test]
    fn what_was_kept_is_there_again_after_a_restart_and_a_folder_has_one_owner() {
        let folder = tempfile::tempdir().unwrap();
        let nothing = Embedding { vector: None, tokens: 3, truncated: true };
        {
            let cache = open(folder.path(), 1 << 20);
            assert_eq!(cache.get(key(0)), None);
            (0..30).for_each(|number| cache.put(key(number), &embedding(number)));
            cache.put(key(99), &nothing);
            assert!(Cache::open(folder.path(), 1 << 20).unwrap().is_none());
        }
        let cache = open(folder.path(), 1 << 20);
        (0..30).for_each(|number| assert_eq!(cache.get(key(number)), Some(embedding(number))));
        assert_eq!(cache.get(key(99)), Some(nothing));
        assert_eq!(cache.get(key(100)), None);
        let counted = cache.statistics();
        assert_eq!((counted.hits, counted.misses, counted.entries), (31, 1, 31));
        // Another role or another model is another text.
        let fingerprint = Fingerprint::of(&[("kind", "test".to_owned())]);
        assert_ne!(Key::of(&fingerprint, Role::Passage, "1"), key(1));
        assert_ne!(Key::of(&Fingerprint::of(&[]), Role::Query, "1"), key(1));
    }

    #[test]
    fn it_stays_below_its_bound_and_keeps_what_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let cache = open(folder.path(), 4_000);
        cache.put(key(0), &embedding(0));
        for number in 1..2_000 {
            cache.put(key(number), &embedding(number));
            assert_eq!(cache.get(key(0)), Some(embedding(0)), "after {number}");
            assert!(cache.statistics().bytes <= 4_000);
        }
        assert_eq!(cache.get(key(1)), None, "nobody asked for it");
        assert_eq!(cache.get(key(1_999)), Some(embedding(1_999)));
        let on_disk: u64 = NAMES
            .iter()
            .map(|name| fs_err::metadata(folder.path().join(name)).unwrap().len())
            .sum();
        assert!(on_disk <= 4_000, "{on_disk}");
    }

    #[test]
    fn damaged_bytes_are_never_taken_for_a_vector() {
        let whole = tempfile::tempdir().unwrap();
        {
            let cache = open(whole.path(), 1 << 20);
            (0..6).for_each(|number| cache.put(key(number), &embedding(number)));
        }
        let bytes = fs_err::read(whole.path().join(NAMES[0])).unwrap();
        for at in 0..bytes.len() {
            let folder = tempfile::tempdir().unwrap();
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x41;
            // Cut off as well, every other time.
            damaged.truncate(if at % 2 == 0 { bytes.len() } else { at + 1 });
            fs_err::write(folder.path().join(NAMES[0]), damaged).unwrap();
            let cache = open(folder.path(), 1 << 20);
            for number in 0..6 {
                let found = cache.get(key(number));
                assert!(found.is_none() || found == Some(embedding(number)), "byte {at}");
            }
            cache.put(key(7), &embedding(7));
            assert_eq!(cache.get(key(7)), Some(embedding(7)), "byte {at}");
        }
    }
}
