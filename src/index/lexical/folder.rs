//! The committed part of the index: a folder that is whole after every interruption.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tantivy::columnar::Column;
use tantivy::directory::MmapDirectory;
use tantivy::directory::error::{LockError, OpenDirectoryError, OpenReadError, OpenWriteError};
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy};
use tantivy::schema::Term;
use tantivy::{
    Index, IndexReader, IndexWriter, ReloadPolicy, Searcher, SegmentReader, TantivyError,
};

use super::schema::{
    FINGERPRINT_COLUMN, Fields, PartDocument, PendingPart, SLOT_COLUMN, schema, tokenizers,
};
use super::{LexicalError, LexicalOptions};
use crate::document::{Sequence, SlotSet};
use crate::fail;

/// The format of what lies in the folder: the schema and the analysis of texts. An index of another
/// format is built anew.
const FORMAT: u32 = 3;
/// A segment of which more than this is dead is merged for that reason alone.
const DEAD_RATIO_MAX: f32 = 0.3;
/// How long a new writer waits for the lock of the one before. A child process that is just
/// starting has a copy of the file, and so of the lock.
const RELEASE_WAIT_MAX: Duration = Duration::from_secs(15);

/// What a commit says of itself. Persisted as JSON in the commit of the engine.
#[derive(Debug, Serialize, Deserialize)]
struct CommitNote {
    format: u32,
    applied: Sequence,
}

/// The folder and the means to write to it.
pub(super) struct Folder {
    path: PathBuf,
    index: Index,
    reader: IndexReader,
    fields: Fields,
    memory_bytes_max: usize,
    writer: Mutex<Option<IndexWriter<PartDocument>>>,
}

/// What the folder held at one moment; stays readable whatever is committed or merged later.
#[derive(Debug)]
pub(super) struct Committed {
    pub(super) searcher: Searcher,
    /// The slots of its parts that are not deleted.
    pub(super) slots: SlotSet,
    /// The last mutation that is in it.
    pub(super) sequence: Sequence,
}

impl std::fmt::Debug for Folder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Folder").field("index", &self.index).finish_non_exhaustive()
    }
}

impl Folder {
    /// Opens or creates the index in the folder; its files are verified where the options say so.
    pub(super) fn open(
        path: &Path,
        options: &LexicalOptions,
    ) -> Result<(Self, Committed), LexicalError> {
        fs_err::create_dir_all(path)
            .map_err(|source| LexicalError::Io { action: "create its folder", source })?;
        contain("opening it", || {
            let (schema, fields) = schema();
            let directory = MmapDirectory::open(path).map_err(|error| failed("open", error))?;
            let mut index = match Index::open_or_create(directory, schema) {
                Ok(index) => index,
                Err(TantivyError::SchemaError(reason)) => {
                    return Err(LexicalError::Corrupt(reason));
                }
                Err(error) => return Err(failed("open", error)),
            };
            index.set_tokenizers(tokenizers());
            if options.verifies_files {
                verify(&index)?;
            }
            let reader = index
                .reader_builder()
                .reload_policy(ReloadPolicy::Manual)
                .doc_store_cache_num_blocks(0)
                .try_into()
                .map_err(|error| failed("read its segments", error))?;
            let memory_bytes_max = options.memory_bytes_max;
            let writer = Mutex::new(None);
            let path = path.to_owned();
            let folder = Self { path, index, reader, fields, memory_bytes_max, writer };
            let committed = folder.committed()?;
            Ok((folder, committed))
        })
    }

    /// Reads every file and compares its checksum.
    pub(super) fn verify(&self) -> Result<(), LexicalError> {
        contain("verifying its files", || {
            // The engine reads what it has mapped, whether the file is there still or not.
            let gone = self.files()?.into_iter().find(|file| !self.path.join(file).exists());
            // Unless a merge has replaced it meanwhile.
            if let Some(file) = gone
                && self.files()?.contains(&file)
            {
                return Err(LexicalError::Corrupt(format!("{} is gone", file.display())));
            }
            verify(&self.index)
        })
    }

    /// Returns the files of the segments, but for those that say what is deleted.
    fn files(&self) -> Result<Vec<PathBuf>, LexicalError> {
        let metas = self.index.load_metas().map_err(|error| failed("read its commit", error))?;
        let ids: HashSet<String> =
            metas.segments.iter().map(|segment| segment.id().uuid_string()).collect();
        let is_of_segment = |file: &PathBuf| {
            let name = file.to_string_lossy();
            let (id, ending) = name.split_once('.').unwrap_or_default();
            ids.contains(id) && !ending.ends_with("del")
        };
        let known = self.index.directory().list_managed_files();
        Ok(known.into_iter().filter(is_of_segment).collect())
    }

    /// Takes a part for the next commit, which holds nothing of its slot yet.
    pub(super) fn write(&self, part: Arc<PendingPart>) -> Result<(), LexicalError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        contain("taking a part", || {
            let writer = match &mut *writer {
                Some(writer) => writer,
                none => none.insert(self.new_writer()?),
            };
            writer
                .add_document(PartDocument { part, fields: self.fields, has_payload: true })
                .map_err(|error| failed("take a part", error))?;
            Ok(())
        })
    }

    /// Returns the fields of the index.
    pub(super) fn fields(&self) -> Fields {
        self.fields
    }

    /// Commits the parts in place of whatever the folder holds in their slots, without the dead
    /// slots, and returns what it holds then.
    pub(super) fn commit(
        &self,
        sequence: Sequence,
        parts: &[Arc<PendingPart>],
        dead: &SlotSet,
        before: &Committed,
    ) -> Result<Committed, LexicalError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let result = contain("committing", || {
            let writer = match &mut *writer {
                Some(writer) => writer,
                none => none.insert(self.new_writer()?),
            };
            let mut replaced = dead.clone();
            replaced.extend(parts.iter().map(|part| part.slot.0));
            for slot in replaced & &before.slots {
                writer.delete_term(Term::from_field_u64(self.fields.slot, u64::from(slot)));
            }
            for part in parts {
                let part = Arc::clone(part);
                writer
                    .add_document(PartDocument { part, fields: self.fields, has_payload: true })
                    .map_err(|error| failed("take a part", error))?;
            }
            let note = CommitNote { format: FORMAT, applied: sequence };
            let note = serde_json::to_string(&note).unwrap_or_default();
            fail::reached("lexical: before a commit", &self.path);
            let mut prepared =
                writer.prepare_commit().map_err(|error| failed("prepare a commit", error))?;
            prepared.set_payload(&note);
            fail::reached("lexical: between the steps of a commit", &self.path);
            prepared.commit().map_err(|error| failed("commit", error))?;
            fail::reached("lexical: after a commit", &self.path);
            self.committed()
        });
        if result.is_err() {
            // What a failed writer holds is uncertain: the next commit begins with a fresh one,
            // and everything is still in memory.
            *writer = None;
        }
        result
    }

    /// Waits for merges, gives up the writer, and returns what the folder holds then; nothing if
    /// there was no writer.
    pub(super) fn settle(&self) -> Result<Option<Committed>, LexicalError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(writer) = writer.take() else { return Ok(None) };
        contain("merging", || {
            writer.wait_merging_threads().map_err(|error| failed("merge", error))?;
            self.committed().map(Some)
        })
    }

    fn new_writer(&self) -> Result<IndexWriter<PartDocument>, LexicalError> {
        let options = IndexWriterOptions::builder()
            .num_worker_threads(1)
            .num_merge_threads(1)
            .memory_budget_per_thread(self.memory_bytes_max)
            .build();
        let deadline = Instant::now() + RELEASE_WAIT_MAX;
        let writer = loop {
            match self.index.writer_with_options(options.clone()) {
                Ok(writer) => break writer,
                Err(TantivyError::LockFailure(LockError::LockBusy, _))
                    if Instant::now() < deadline =>
                {
                    thread::sleep(Duration::from_millis(5));
                }
                Err(error) => return Err(failed("open itself for writing", error)),
            }
        };
        let mut policy = LogMergePolicy::default();
        policy.set_del_docs_ratio_before_merge(DEAD_RATIO_MAX);
        writer.set_merge_policy(Box::new(policy));
        Ok(writer)
    }

    fn committed(&self) -> Result<Committed, LexicalError> {
        self.reader.reload().map_err(|error| failed("read its segments", error))?;
        let searcher = self.reader.searcher();
        let metas = self.index.load_metas().map_err(|error| failed("read its commit", error))?;
        let sequence = match metas.payload {
            Some(note) => read_note(&note)?,
            None if metas.segments.is_empty() => Sequence::default(),
            None => {
                return Err(LexicalError::Corrupt("a commit says nothing of itself".to_owned()));
            }
        };
        let mut slots = SlotSet::new();
        for segment in searcher.segment_readers() {
            let column = slot_column(segment)?;
            slots.extend(segment.doc_ids_alive().filter_map(|document| slot_at(&column, document)));
        }
        Ok(Committed { searcher, slots, sequence })
    }
}

impl Committed {
    /// Returns the fingerprint of every part that is not deleted, by slot.
    pub(super) fn fingerprints(&self) -> Result<HashMap<u32, u64>, LexicalError> {
        contain("reading its fingerprints", || {
            let mut fingerprints = HashMap::new();
            for segment in self.searcher.segment_readers() {
                let slots = slot_column(segment)?;
                let column = segment
                    .fast_fields()
                    .u64(FINGERPRINT_COLUMN)
                    .map_err(|error| failed("read the fingerprints", error))?;
                for document in segment.doc_ids_alive() {
                    if let Some(slot) = slot_at(&slots, document) {
                        fingerprints.insert(slot, column.first(document).unwrap_or(0));
                    }
                }
            }
            Ok(fingerprints)
        })
    }
}

/// Returns the column of slots of a segment.
pub(super) fn slot_column(segment: &SegmentReader) -> Result<Column<u64>, LexicalError> {
    segment.fast_fields().u64(SLOT_COLUMN).map_err(|error| failed("read the slots", error))
}

/// Returns the slot of a document of a segment.
pub(super) fn slot_at(column: &Column<u64>, document: u32) -> Option<u32> {
    column.first(document).and_then(|slot| u32::try_from(slot).ok())
}

/// Runs work that reads files of the index; a panic of the engine means that they are damaged.
pub(super) fn contain<T>(
    doing: &str,
    work: impl FnOnce() -> Result<T, LexicalError>,
) -> Result<T, LexicalError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let reason = payload
            .downcast_ref::<&str>()
            .map(|reason| (*reason).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        Err(LexicalError::Corrupt(format!("the engine stopped while {doing}: {reason}")))
    })
}

/// Sorts an error of the engine: files that are not what they should be, files that cannot be
/// reached, and defects.
pub(super) fn failed(action: &'static str, error: impl Into<TantivyError>) -> LexicalError {
    let error = error.into();
    let corrupt = || LexicalError::Corrupt(format!("could not {action}: {error}"));
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "everything else is a defect, whatever the engine adds"
    )]
    match &error {
        TantivyError::DataCorruption(_)
        | TantivyError::IncompatibleIndex(_)
        | TantivyError::DeserializeError(_)
        | TantivyError::OpenReadError(
            OpenReadError::FileDoesNotExist(_) | OpenReadError::IncompatibleIndex(_),
        ) => corrupt(),
        TantivyError::IoError(io)
        | TantivyError::OpenReadError(OpenReadError::IoError { io_error: io, .. })
        | TantivyError::OpenWriteError(OpenWriteError::IoError { io_error: io, .. })
        | TantivyError::OpenDirectoryError(OpenDirectoryError::IoError { io_error: io, .. }) => {
            if is_malformed(io) {
                return corrupt();
            }
            LexicalError::Io { action, source: std::io::Error::new(io.kind(), error.to_string()) }
        }
        _ => LexicalError::Engine { action, source: error },
    }
}

/// Whether the bytes were read and are not what they should be. The engine says `Other` of a file
/// without its end; the system says so of nothing.
fn is_malformed(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | Other | UnexpectedEof)
}

fn verify(index: &Index) -> Result<(), LexicalError> {
    let damaged = index.validate_checksum().map_err(|error| failed("verify its files", error))?;
    if damaged.is_empty() {
        return Ok(());
    }
    let mut names: Vec<String> = damaged.iter().map(|path| path.display().to_string()).collect();
    names.sort_unstable();
    Err(LexicalError::Corrupt(format!("wrong checksum: {}", names.join(", "))))
}

fn read_note(note: &str) -> Result<Sequence, LexicalError> {
    match serde_json::from_str(note) {
        Ok(CommitNote { format: FORMAT, applied }) => Ok(applied),
        Ok(CommitNote { format, .. }) => Err(LexicalError::Corrupt(format!(
            "expected format {FORMAT}, got {format}: built by another version"
        ))),
        Err(error) => Err(LexicalError::Corrupt(format!("unreadable commit: {error}"))),
    }
}
