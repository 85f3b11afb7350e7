use std::{
    any::Any,
    fmt, io,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    thread,
    time::{Duration, Instant},
};

use sled::IVec;

use crate::{
    batch::Batch,
    error::{ReadOnlyReason, StorageError},
};

/// The size of the engine's log segments. Persisted in its file `conf`; never change it.
///
/// The engine writes a page over a quarter of a segment to a file of its own, which nobody syncs,
/// and it cuts pages by their number of records (up to about twenty), not by their size. With its
/// default of 512 KiB that happens at values of 8 KiB; with 8 MiB it cannot happen below
/// [`crate::VALUE_BYTES_MAX`] and [`crate::KEY_BYTES_MAX`].
pub(crate) const SEGMENT_BYTES: usize = 8 * 1024 * 1024;

/// How long an opening waits for the threads of a handle just dropped to let go of the file.
const RELEASE_WAIT_MAX: Duration = Duration::from_secs(15);

/// sled, with its panics contained: it asserts, and panics, on what it reads from a damaged file.
pub(crate) struct Engine {
    /// Taken only by `drop`.
    tree: Option<sled::Db>,
    folder: PathBuf,
    read_only: OnceLock<ReadOnlyReason>,
}

impl Engine {
    /// Opens or creates the engine's files. The caller holds the lock of the folder.
    pub(crate) fn open(folder: &Path, cache_bytes_max: u64) -> Result<Self, StorageError> {
        let configuration = sled::Config::new()
            .path(folder)
            .cache_capacity(cache_bytes_max)
            .mode(sled::Mode::HighThroughput)
            .flush_every_ms(None)
            .segment_size(SEGMENT_BYTES);
        let deadline = Instant::now() + RELEASE_WAIT_MAX;
        loop {
            return match contained(|| configuration.open()) {
                Ok(Ok(tree)) => Ok(Self {
                    tree: Some(tree),
                    folder: folder.to_owned(),
                    read_only: OnceLock::new(),
                }),
                Ok(Err(error)) if is_locked(&error) => {
                    if Instant::now() < deadline {
                        thread::sleep(Duration::from_millis(5));
                        continue;
                    }
                    Err(StorageError::InUse { folder: folder.to_owned() })
                }
                Ok(Err(error)) => Err(classify(error, "open", folder)),
                Err(panic) => Err(StorageError::CorruptDatabase {
                    folder: folder.to_owned(),
                    reason: format!("the engine stopped while opening: {panic}"),
                }),
            };
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn read_only(&self) -> Option<&ReadOnlyReason> {
        self.read_only.get()
    }

    /// Makes the database read-only for good; the first reason stays.
    pub(crate) fn stop_writing(&self, reason: ReadOnlyReason) {
        let _stays = self.read_only.set(reason);
    }

    pub(crate) fn check_writable(&self) -> Result<(), StorageError> {
        match self.read_only.get() {
            None => Ok(()),
            Some(reason) => {
                Err(StorageError::ReadOnly { folder: self.folder.clone(), reason: reason.clone() })
            }
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<IVec>, StorageError> {
        self.run("read", |tree| tree.get(key))
    }

    pub(crate) fn range(&self, low: Bound<Vec<u8>>, high: Bound<Vec<u8>>) -> EngineRange<'_> {
        let range = self.tree.as_ref().map(|tree| tree.range((low, high)));
        EngineRange { engine: self, range }
    }

    pub(crate) fn empty_range(&self) -> EngineRange<'_> {
        EngineRange { engine: self, range: None }
    }

    /// Applies the changes and those of `marker` as one: after a crash all of them are there or
    /// none. A failure leaves an unknown part of them visible, so it ends all writing.
    pub(crate) fn apply(&self, batch: &Batch, marker: (&[u8], &[u8])) -> Result<(), StorageError> {
        self.check_writable()?;
        let mut changes = sled::Batch::default();
        for (key, value) in batch.changes() {
            match value {
                Some(value) => changes.insert(key, value),
                None => changes.remove(key),
            }
        }
        changes.insert(marker.0, marker.1);
        self.run("write", |tree| tree.apply_batch(changes)).inspect_err(|error| {
            self.stop_writing(ReadOnlyReason::WriteFailed(described(error)));
        })
    }

    /// Hands everything applied to the operating system. This is not durable yet.
    pub(crate) fn flush(&self) -> Result<(), StorageError> {
        let flushed = self.run("flush", |tree| tree.flush()).map(|_bytes| ());
        flushed.inspect_err(|error| {
            self.stop_writing(ReadOnlyReason::WriteFailed(described(error)));
        })
    }

    fn run<T>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&sled::Db) -> sled::Result<T>,
    ) -> Result<T, StorageError> {
        let tree = self.tree.as_ref().expect("the tree is taken only by drop");
        self.contain(operation, || work(tree))
    }

    fn contain<T>(
        &self,
        operation: &'static str,
        work: impl FnOnce() -> sled::Result<T>,
    ) -> Result<T, StorageError> {
        match contained(work) {
            Ok(result) => result.map_err(|error| match (error, self.read_only.get()) {
                // The engine repeats the error that ended its writing.
                (sled::Error::Io(_), Some(reason @ ReadOnlyReason::WriteFailed(_))) => {
                    StorageError::ReadOnly { folder: self.folder.clone(), reason: reason.clone() }
                }
                (error, _) => classify(error, operation, &self.folder),
            }),
            Err(panic) => {
                self.stop_writing(ReadOnlyReason::EngineFailed(panic.clone()));
                Err(StorageError::CorruptDatabase {
                    folder: self.folder.clone(),
                    reason: format!("the engine stopped on a {operation}: {panic}"),
                })
            }
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Engine")
            .field("folder", &self.folder)
            .field("read_only", &self.read_only)
            .finish_non_exhaustive()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Dropping flushes and syncs, and panics if that fails; nothing was promised about it.
        let tree = self.tree.take();
        let _contained = contained(|| drop(tree));
    }
}

/// The stored keys and values of a range, from either end.
pub(crate) struct EngineRange<'a> {
    engine: &'a Engine,
    /// `None` after an error: a damaged page would be met again and again.
    range: Option<sled::Iter>,
}

impl EngineRange<'_> {
    fn step(
        &mut self,
        step: impl FnOnce(&mut sled::Iter) -> Option<sled::Result<(IVec, IVec)>>,
    ) -> Option<Result<(IVec, IVec), StorageError>> {
        let range = self.range.as_mut()?;
        let stepped = self.engine.contain("read", || step(range).transpose());
        if stepped.is_err() {
            self.range = None;
        }
        stepped.transpose()
    }
}

impl Iterator for EngineRange<'_> {
    type Item = Result<(IVec, IVec), StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(Iterator::next)
    }
}

impl DoubleEndedIterator for EngineRange<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(DoubleEndedIterator::next_back)
    }
}

/// Runs the work; a panic becomes its message.
pub(crate) fn contained<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| message(panic.as_ref()))
}

fn message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

/// Returns an error and what is behind it in one line.
pub(crate) fn described(error: &StorageError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn is_locked(error: &sled::Error) -> bool {
    // The engine wraps the reason in text of its own.
    matches!(error, sled::Error::Io(error) if error.to_string().starts_with("could not acquire lock"))
}

fn classify(error: sled::Error, operation: &'static str, folder: &Path) -> StorageError {
    let folder = folder.to_owned();
    match error {
        // The engine reads only where it has written: what is not there is lost.
        sled::Error::Io(source)
            if matches!(
                source.kind(),
                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::NotFound
            ) =>
        {
            StorageError::CorruptDatabase { folder, reason: format!("a file ends early: {source}") }
        }
        sled::Error::Io(source) => StorageError::Io { operation, folder, source: Arc::new(source) },
        sled::Error::Unsupported(reason) => StorageError::UnsupportedDatabase { folder, reason },
        sled::Error::Corruption { at, .. } => StorageError::CorruptDatabase {
            folder,
            reason: match at {
                Some(at) => format!("a checksum of the engine fails at {at:?}"),
                None => "a checksum of the engine fails".to_owned(),
            },
        },
        sled::Error::ReportableBug(reason) => StorageError::CorruptDatabase {
            folder,
            reason: format!("the engine stopped: {reason}"),
        },
        sled::Error::CollectionNotFound(name) => StorageError::CorruptDatabase {
            folder,
            reason: format!("the engine lost its tree {name:?}"),
        },
    }
}
