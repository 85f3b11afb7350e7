//! A collection as one file: taken while writing goes on, restored anywhere.
//!
//! A snapshot holds the documents of one view with their vectors, as they were after one mutation. It
//! holds no index and no slot: what it is restored to gives its own and builds its own. Restoring
//! trusts nothing: an archive is checked to its last byte and every item of it as what comes from
//! outside is, into a folder of another name, before the collection is there.

mod archive;
mod items;
mod restore;
mod take;

use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::catalogue::Collections;
use super::error::Error;
use super::files;
use super::settings::{Settings, check_name};
use crate::cancel::Cancellation;
use crate::error::{Classified, ErrorKind};
use crate::fail;

pub(super) use restore::restore_into;
pub(super) use take::Heads;

/// The folder of the snapshots in a data directory; one below it for each collection.
pub(super) const SNAPSHOTS: &str = "snapshots";
/// How the file of a snapshot ends.
const ENDING: &str = ".tar";
/// How it ends until it is complete.
const UNFINISHED: &str = ".tar.new";
/// The format of the archives that this build writes.
const FORMAT: u32 = 2;
/// The oldest format that it reads: without notes.
const FORMAT_OLDEST: u32 = 1;

/// What a snapshot is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SnapshotHeader {
    /// The format of the archive.
    pub format: u32,
    /// The version of the program that took it.
    pub program: String,
    /// The collection.
    pub collection: String,
    /// The newest mutation that it shows.
    pub sequence: u64,
    /// When it was taken, in milliseconds since 1970-01-01 UTC.
    pub created_unix_ms: u64,
    /// The documents in it.
    pub documents: u64,
    /// Their parts.
    pub parts: u64,
    /// What the collection is like.
    pub settings: Settings,
}

/// A snapshot in the data directory.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// The size of its file.
    pub bytes: u64,
    /// What it is of.
    pub header: SnapshotHeader,
}

/// Why an archive is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It does not hold what it should.
    #[error("the snapshot is damaged: {0}")]
    Damaged(String),
    /// One of its documents is none that could be stored.
    #[error("the snapshot is damaged: document `{id}`: {reason}")]
    Document {
        /// The document.
        id: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It ends too early.
    #[error("the snapshot is damaged: it ends early")]
    Short,
    /// A later version of this program took it.
    #[error("the snapshot has format {found}, and this build reads up to {known}: use a newer one")]
    NewerFormat {
        /// The format found.
        found: u32,
        /// The newest format that is known.
        known: u32,
    },
    /// It could not be read.
    #[error("the snapshot could not be read: {0}")]
    Io(#[source] io::Error),
}

impl SnapshotError {
    fn damaged(reason: impl Into<String>) -> Self {
        Self::Damaged(reason.into())
    }

    fn document(id: &str, reason: String) -> Self {
        Self::Document { id: id.chars().take(80).collect(), reason }
    }
}

impl Classified for SnapshotError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Damaged(_) | Self::Document { .. } | Self::Short => ErrorKind::Corrupt,
            Self::NewerFormat { .. } => ErrorKind::Unsupported,
            Self::Io(_) => ErrorKind::Unavailable,
        }
    }
}

impl From<io::Error> for SnapshotError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Short,
            _ => Self::Io(error),
        }
    }
}

impl Collections {
    /// Takes a snapshot of a collection and keeps it under a name in the data directory. Reading goes
    /// on, and writing but for the moment in which the list of documents is read. `progress` is told
    /// how many documents of how many are written.
    ///
    /// # Errors
    /// Not found; already exists for a name that is taken; what the tables and the file system say;
    /// cancelled.
    pub fn create_snapshot(
        &self,
        collection: &str,
        name: Option<&str>,
        progress: &dyn Fn(u64, u64),
        cancel: &Cancellation,
    ) -> Result<Snapshot, Error> {
        let collection = self.get(collection)?;
        let created = (self.options.clock)();
        let sequence = collection.engine.views.current().sequence.0;
        let name = name.map_or_else(|| format!("{created}-{sequence}"), str::to_owned);
        check_name("snapshot", &name)?;
        let folder = self.root.join(SNAPSHOTS).join(collection.name());
        fs_err::create_dir_all(&folder)?;
        files::sync_folder(&self.root)?;
        let (path, unfinished) =
            (folder.join(format!("{name}{ENDING}")), folder.join(format!("{name}{UNFINISHED}")));
        if path.exists() {
            return Err(Error::SnapshotExists { collection: collection.name().to_owned(), name });
        }
        // Only one at a time has the file.
        let file = fs_err::OpenOptions::new().write(true).create_new(true).open(&unfinished)?;
        let mut out = io::BufWriter::with_capacity(1 << 20, file);
        let taken = collection.write_snapshot(&mut out, created, progress, cancel);
        let kept = taken.and_then(|header| {
            out.flush()?;
            let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_all()?;
            fail::reached("snapshot: before it has its name", &self.root);
            fs_err::rename(&unfinished, &path)?;
            files::sync_folder(&folder)?;
            let bytes = fs_err::metadata(&path)?.len();
            Ok(Snapshot { name, bytes, header })
        });
        if kept.is_err() {
            files::remove_folder(&unfinished)?;
        }
        kept
    }

    /// Returns the snapshots of a collection, or of all that there are or were, by collection and name.
    /// What cannot be read is left out.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn snapshots(&self, collection: Option<&str>) -> Result<Vec<Snapshot>, Error> {
        let all = self.root.join(SNAPSHOTS);
        let folders = match collection {
            Some(name) => {
                let name = self.resolve(name);
                check_name("collection", &name)?;
                vec![all.join(name)]
            }
            None => names_in(&all)?.into_iter().map(|name| all.join(name)).collect(),
        };
        let mut snapshots = Vec::new();
        for folder in folders {
            for file in names_in(&folder)? {
                let Some(name) = file.strip_suffix(ENDING) else { continue };
                let path = folder.join(&file);
                match header_of(&path) {
                    Ok((header, bytes)) => {
                        snapshots.push(Snapshot { name: name.to_owned(), bytes, header });
                    }
                    Err(error) => {
                        tracing::warn!(file = %path.display(), %error, "no snapshot");
                    }
                }
            }
        }
        Ok(snapshots)
    }

    /// Returns the open file of a snapshot.
    ///
    /// # Errors
    /// Not found; the file system refuses.
    pub fn open_snapshot(&self, collection: &str, name: &str) -> Result<fs_err::File, Error> {
        let path = self.snapshot_path(collection, name)?;
        match fs_err::File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(self.unknown_snapshot(collection, name))
            }
            other => Ok(other?),
        }
    }

    /// Deletes a snapshot.
    ///
    /// # Errors
    /// Not found; the file system refuses.
    pub fn delete_snapshot(&self, collection: &str, name: &str) -> Result<(), Error> {
        let path = self.snapshot_path(collection, name)?;
        match fs_err::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(self.unknown_snapshot(collection, name))
            }
            other => Ok(other?),
        }
    }

    /// Makes a new collection of what a snapshot holds; there is nothing of it unless the archive holds
    /// to its last byte. `progress` is told how many documents of how many are stored.
    ///
    /// # Errors
    /// Already exists; corrupt for an archive that is no snapshot; the file system refuses; cancelled.
    pub fn restore(
        &self,
        name: &str,
        archive: impl Read,
        progress: &dyn Fn(u64, u64),
        cancel: &Cancellation,
    ) -> Result<SnapshotHeader, Error> {
        let cache = self.options.cache_bytes_max;
        let mut header = None;
        self.make(name, |folder| {
            header = Some(restore_into(folder, archive, cache, progress, cancel)?);
            Ok(())
        })?;
        header.ok_or_else(|| Error::Closed(name.to_owned()))
    }

    fn snapshot_path(&self, collection: &str, name: &str) -> Result<PathBuf, Error> {
        let collection = self.resolve(collection);
        check_name("collection", &collection)?;
        check_name("snapshot", name)?;
        Ok(self.root.join(SNAPSHOTS).join(collection).join(format!("{name}{ENDING}")))
    }

    fn unknown_snapshot(&self, collection: &str, name: &str) -> Error {
        let (collection, name) = (self.resolve(collection), name.to_owned());
        Error::UnknownSnapshot { collection, name }
    }

    /// Removes what taking snapshots left unfinished when the program ended.
    pub(super) fn remove_unfinished_snapshots(&self) -> Result<(), Error> {
        let all = self.root.join(SNAPSHOTS);
        for folder in names_in(&all)? {
            let folder = all.join(folder);
            for file in names_in(&folder)? {
                if file.ends_with(UNFINISHED) {
                    files::remove_folder(&folder.join(file))?;
                }
            }
        }
        Ok(())
    }
}

/// Returns the names in a folder, in order; none if there is no such folder.
fn names_in(folder: &std::path::Path) -> Result<Vec<String>, Error> {
    let entries = match fs_err::read_dir(folder) {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(Vec::new());
        }
        other => other?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn header_of(path: &std::path::Path) -> Result<(SnapshotHeader, u64), Error> {
    let file = fs_err::File::open(path)?;
    let bytes = file.metadata()?.len();
    let (_, header) = archive::ArchiveReader::new(file)?;
    Ok((restore::read_header(&header)?, bytes))
}
