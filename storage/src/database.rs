use std::{
    io,
    ops::RangeBounds,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use fs_err::File;

use crate::{
    batch::Batch,
    contents::{CONTENTS_KEY, Contents},
    engine::{Engine, contained, described},
    error::{ReadOnlyReason, StorageError},
    group::Group,
    key::{Key, Leading},
    lock::FileLock,
    promise::Promise,
    record::Record,
    scan::Scan,
    sync::{Fdatasync, SyncFile, create_folder, sync_folder},
    table::Table,
};

/// The file whose lock says that the folder is in use.
const LOCK_FILE: &str = "lock";
/// The engine's log.
const LOG_FILE: &str = "db";
/// Where the engine puts pages that are too large for its log. It stays empty here.
const BLOB_FOLDER: &str = "blobs";

/// A batch of more bytes is preceded by a barrier even if nothing was applied since the last one:
/// reads make the engine move records too, and see [`Database::apply`].
const SMALL_BATCH_BYTES_MAX: usize = 256 * 1024;

/// How a database is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// How much memory the page cache takes, in bytes.
    pub cache_bytes_max: u64,
    /// Whether opening reads everything and checks it against the recorded sum, as
    /// [`Database::verify`] does.
    pub verify_on_open: bool,
    /// What makes the log durable. Only tests have another than [`Fdatasync`].
    pub sync: Arc<dyn SyncFile>,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes_max: 64 * 1024 * 1024, verify_on_open: true, sync: Arc::new(Fdatasync) }
    }
}

/// Durable typed tables in one folder. Shared by reference between threads.
///
/// Several batches may be read before they are durable, but what [`Database::commit`] or
/// [`Database::barrier`] has acknowledged survives a power cut.
#[derive(Debug)]
pub struct Database {
    // The order matters: the lock is let go of last.
    engine: Engine,
    writer: Mutex<Writer>,
    group: Group,
    _lock: FileLock,
}

/// What only the one that writes touches.
#[derive(Debug)]
struct Writer {
    contents: Contents,
    /// Whether anything was applied since the last barrier.
    dirty: bool,
    log: File,
    promise: Promise,
    sync: Arc<dyn SyncFile>,
}

impl Database {
    /// Opens the database in a folder, which is created if it is missing.
    ///
    /// # Errors
    /// - in use, if another handle has it open;
    /// - corrupt, if its files fail their checksums, or hold less than what was promised;
    /// - unsupported, if another version of the engine wrote them;
    /// - I/O.
    pub fn open(folder: &Path, options: &Options) -> Result<Self, StorageError> {
        let io = |source| io_error("open", folder, source);
        create_folder(folder).map_err(io)?;
        let lock = FileLock::try_take(&folder.join(LOCK_FILE))
            .map_err(|source| io_error("lock", folder, source))?
            .ok_or_else(|| StorageError::InUse { folder: folder.to_owned() })?;
        remove_unfinished_snapshots(folder).map_err(io)?;
        let engine = Engine::open(folder, options.cache_bytes_max)?;
        let log = File::open(folder.join(LOG_FILE)).map_err(io)?;
        let (promise, promised) = Promise::open(folder).map_err(io)?;
        let recorded = Contents::load(&engine)?;
        let contents = match recorded {
            Some(contents) => contents,
            None => Contents::create(&engine)?,
        };
        if contents.commit < promised {
            return Err(StorageError::CorruptDatabase {
                folder: folder.to_owned(),
                reason: format!(
                    "it has {} commits, and {promised} were acknowledged",
                    contents.commit
                ),
            });
        }
        let writer =
            Writer { contents, dirty: true, log, promise, sync: Arc::clone(&options.sync) };
        let database =
            Self { engine, writer: Mutex::new(writer), group: Group::default(), _lock: lock };
        if options.verify_on_open || recorded.is_none() {
            database.verify()?;
        }
        // What recovery has changed, and the names it gave, must not be undone by a power cut.
        sync_names(folder).map_err(io)?;
        database.barrier()?;
        Ok(database)
    }

    /// Makes the changes of the batch visible, all at once. They are not durable yet, but after a
    /// crash all of them are there, or none.
    ///
    /// At most one batch is ever not durable: a second one first makes the first durable. The
    /// engine gives the place of records that a batch has replaced to later batches, so that a
    /// power cut could otherwise keep the new content of such a place and lose the replacement.
    ///
    /// # Errors
    /// Read-only, corrupt, I/O. After an I/O error the database is read-only.
    pub fn apply(&self, batch: &Batch) -> Result<(), StorageError> {
        self.lock_writer().apply(batch, &self.engine)
    }

    /// Returns when everything applied before the call is durable.
    ///
    /// # Errors
    /// Read-only, I/O. After an error the database is read-only for good.
    pub fn barrier(&self) -> Result<(), StorageError> {
        self.lock_writer().barrier(&self.engine)
    }

    /// Makes the changes of the batch visible, all at once, and returns when they are durable.
    /// Callers that commit at the same time share one barrier.
    ///
    /// # Errors
    /// As [`Database::apply`] and [`Database::barrier`]; it is unknown then whether the batch will
    /// be there after opening again.
    pub fn commit(&self, batch: Batch) -> Result<(), StorageError> {
        self.group.commit(batch, |batch| {
            contained(|| {
                let mut writer = self.lock_writer();
                writer.apply(batch, &self.engine)?;
                writer.barrier(&self.engine)
            })
            .unwrap_or_else(|panic| {
                self.engine.stop_writing(ReadOnlyReason::EngineFailed(panic));
                self.engine.check_writable()
            })
        })
    }

    /// Returns the record at a key.
    ///
    /// # Errors
    /// Corrupt, unsupported (the record's format), I/O.
    pub fn get<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        key: &K,
    ) -> Result<Option<V>, StorageError> {
        let key = table.encode_key(key);
        let Some(value) = self.engine.get(&key)? else { return Ok(None) };
        table.unseal_value(&key, &value).map(Some)
    }

    /// Returns whether there is a record at a key, without decoding it.
    ///
    /// # Errors
    /// Corrupt, I/O.
    pub fn contains<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        key: &K,
    ) -> Result<bool, StorageError> {
        Ok(self.engine.get(&table.encode_key(key))?.is_some())
    }

    /// Returns the records with keys in the bounds, in the order of the keys.
    pub fn range<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        bounds: impl RangeBounds<K>,
    ) -> Scan<'_, K, V> {
        Scan::range(&self.engine, table, &bounds)
    }

    /// Returns all records of a table, in the order of the keys.
    pub fn scan<K: Key, V: Record>(&self, table: &Table<K, V>) -> Scan<'_, K, V> {
        self.range(table, ..)
    }

    /// Returns the records whose composite keys begin with `leading`, in the order of the keys.
    pub fn scan_prefix<K: Key, V: Record, L: Leading<K>>(
        &self,
        table: &Table<K, V>,
        leading: &L,
    ) -> Scan<'_, K, V> {
        Scan::prefix(&self.engine, table, leading)
    }

    /// Returns the record with the least key.
    ///
    /// # Errors
    /// Corrupt, unsupported (the record's format), I/O.
    pub fn first<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
    ) -> Result<Option<(K, V)>, StorageError> {
        self.scan(table).next().transpose()
    }

    /// Returns the record with the greatest key.
    ///
    /// # Errors
    /// Corrupt, unsupported (the record's format), I/O.
    pub fn last<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
    ) -> Result<Option<(K, V)>, StorageError> {
        self.scan(table).next_back().transpose()
    }

    /// Reads everything and checks it against the recorded sum. Writers wait meanwhile.
    ///
    /// # Errors
    /// Corrupt, I/O.
    pub fn verify(&self) -> Result<(), StorageError> {
        let writer = self.lock_writer();
        let recorded = writer.contents;
        let counted = Contents::count(&self.engine, recorded.commit)?;
        if counted == recorded {
            return Ok(());
        }
        Err(StorageError::CorruptDatabase {
            folder: self.folder().to_owned(),
            reason: format!("its content does not add up: expected {recorded}, got {counted}"),
        })
    }

    /// Does the same without making writers wait. Returns false if something was written meanwhile,
    /// so that nothing is known.
    ///
    /// # Errors
    /// Corrupt, I/O.
    pub fn verify_beside_writers(&self) -> Result<bool, StorageError> {
        let before = self.lock_writer().contents;
        let counted = Contents::count(&self.engine, before.commit);
        let is_same = self.lock_writer().contents == before;
        match (is_same, counted) {
            (false, _) => Ok(false),
            (true, Ok(counted)) if counted == before => Ok(true),
            (true, Ok(_)) => self.verify().map(|()| true),
            (true, Err(error)) => Err(error),
        }
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        self.engine.folder()
    }

    /// Returns why no more writes are taken, if so. Opening the database anew is the way out; what
    /// was acknowledged is still there, what was not may be.
    pub fn is_read_only(&self) -> Option<&ReadOnlyReason> {
        self.engine.read_only()
    }

    /// Returns how many bytes the files of the folder have.
    ///
    /// # Errors
    /// I/O.
    pub fn size_on_disk(&self) -> Result<u64, StorageError> {
        [self.folder().to_owned(), self.folder().join(BLOB_FOLDER)]
            .iter()
            .map(|folder| size_of_files(folder))
            .sum::<io::Result<u64>>()
            .map_err(|source| io_error("measure", self.folder(), source))
    }

    fn lock_writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    fn apply(&mut self, batch: &Batch, engine: &Engine) -> Result<(), StorageError> {
        engine.check_writable()?;
        if batch.is_empty() {
            return Ok(());
        }
        if self.dirty || batch.bytes() > SMALL_BATCH_BYTES_MAX {
            self.dirty = true;
            self.barrier(engine)?;
        }
        let contents = self.contents.after(batch, engine)?;
        engine.apply(batch, (CONTENTS_KEY, &contents.encode()))?;
        self.contents = contents;
        self.dirty = true;
        Ok(())
    }

    fn barrier(&mut self, engine: &Engine) -> Result<(), StorageError> {
        engine.check_writable()?;
        if !self.dirty {
            return Ok(());
        }
        self.make_durable(engine).inspect_err(|error| {
            engine.stop_writing(ReadOnlyReason::SyncFailed(described(error)));
        })?;
        self.dirty = false;
        // It only helps to notice a loss, so that failing to write it is none.
        let _helps = self.promise.write(self.contents.commit);
        Ok(())
    }

    fn make_durable(&self, engine: &Engine) -> Result<(), StorageError> {
        engine.flush()?;
        let io = |source| io_error("sync", engine.folder(), source);
        self.sync.sync(&self.log).map_err(io)?;
        sync_blobs(engine.folder()).map_err(io)
    }
}

/// The engine takes a snapshot that a crash left half written for the newest one, and then does not
/// open. The one before it is still there.
fn remove_unfinished_snapshots(folder: &Path) -> io::Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs_err::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Makes durable which files there are, and the small ones with their content.
fn sync_names(folder: &Path) -> io::Result<()> {
    for file in files(folder)? {
        File::open(file)?.sync_all()?;
    }
    sync_folder(&folder.join(BLOB_FOLDER))?;
    sync_folder(folder)
}

/// Syncs the pages outside the log. With [`crate::engine::SEGMENT_BYTES`] there are none; the look
/// into an empty folder is the price of not trusting that.
fn sync_blobs(folder: &Path) -> io::Result<()> {
    let folder = folder.join(BLOB_FOLDER);
    let blobs = files(&folder)?;
    if blobs.is_empty() {
        return Ok(());
    }
    for blob in blobs {
        match File::open(blob) {
            // The engine removes pages that it has replaced, at any time.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => opened?.sync_all()?,
        }
    }
    sync_folder(&folder)
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    Ok(files)
}

fn size_of_files(folder: &Path) -> io::Result<u64> {
    files(folder)?.iter().map(|file| fs_err::metadata(file).map(|metadata| metadata.len())).sum()
}

fn io_error(operation: &'static str, folder: &Path, source: io::Error) -> StorageError {
    StorageError::Io { operation, folder: folder.to_owned(), source: Arc::new(source) }
}
