use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use simile_storage::{Database, Options};

use super::catalogue::CollectionsOptions;
use super::checkpoint::Checkpoint;
use super::commit::{Committer, Ends};
use super::engine::{Beginning, Engine, EngineClock, Kept, damaged};
use super::error::{Error, described};
use super::memory::Budget;
use super::records::{
    BODIES, DOCUMENTS, FIELDS, HEADER, HEADER_KEY, HeaderRecord, LOG, Run, SPARSE, VECTORS,
    field_types,
};
use super::settings::Settings;
use super::upkeep::{self, Maintenance};
use super::view::{View, Views};
use super::{SharedEmbedders, files};
use crate::document::{DocumentId, FieldType, FieldTypes, Payload, Sequence, Slot, SlotSet, Span};
use crate::error::{Classified as _, ErrorKind};
use crate::index::dense::{DenseError, DenseIndex, DenseOptions};
use crate::index::lexical::{LexicalError, LexicalIndex, LexicalOptions, LexicalPart};

/// Tables of at most so many bytes are read whole on opening; larger ones by upkeep.
const VERIFIED_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// How many parts are handed to an index at a time while it is filled from the tables.
const REFILL_PARTS: usize = 512;

/// One open collection. Shared between threads; closed when dropped.
#[derive(Debug)]
pub struct Collection {
    pub(super) engine: Arc<Engine>,
    pub(super) committer: Arc<Committer>,
    pub(super) embedders: SharedEmbedders,
    /// Held while a note is changed.
    pub(super) notes: Mutex<()>,
    /// How often it was looked at since somebody asked for it.
    pub(super) looks: AtomicU32,
    upkeep: Mutex<Option<(crossbeam_channel::Sender<()>, JoinHandle<()>)>>,
}

impl std::fmt::Debug for dyn super::Embedders {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Embedders")
    }
}

impl Collection {
    /// Opens the collection in a folder: brings the indexes to where the tables are.
    pub(super) fn open(
        name: &str,
        folder: &Path,
        options: &CollectionsOptions,
        budget: Arc<Budget>,
        embedders: SharedEmbedders,
    ) -> Result<Self, Error> {
        let settings = Settings::read(folder)?;
        let tables = folder.join(files::TABLES);
        let options_of_tables = Options {
            cache_bytes_max: options.cache_bytes_max,
            // Records carry their own checksums; reading all of them would make start-up depend on
            // size, so that upkeep does it where they are many.
            verify_on_open: files::size(&tables) <= VERIFIED_BYTES_MAX,
            ..Options::default()
        };
        let database = Arc::new(Database::open(&tables, &options_of_tables)?);
        let Opened { mut view, ends, retired } = current_view(folder, &database)?;
        if let Some(tenant) = &settings.about.tenant {
            // Known from the beginning, since every document will have it.
            Arc::make_mut(&mut view.fields).insert(&tenant.0, FieldType::Keyword);
        }
        let views = Views::new(view);
        for (sequence, runs) in retired {
            views.retire(sequence, runs);
        }
        remove_other_indexes(&folder.join(files::DENSE), &settings)?;
        let mut dense = BTreeMap::new();
        for (vector, settings) in &settings.vectors {
            let folder = folder.join(files::DENSE).join(settings.folder_name(vector));
            let index = open_dense(&folder, settings.dense_options(options.seal_at), ends)?;
            dense.insert(vector.clone(), Arc::new(index));
        }
        let sparse = settings.sparse.keys().map(|name| (name.clone(), Arc::default()));
        let multi = settings.multi.keys().map(|name| (name.clone(), Arc::default()));
        let (sparse, multi) = (sparse.collect(), multi.collect());
        let lexical = open_lexical(&folder.join(files::LEXICAL), views.current().sequence)?;
        let engine = Engine::new(Beginning {
            name: name.to_owned(),
            folder: folder.to_owned(),
            database,
            kept: Kept::new(settings, dense, sparse, multi),
            lexical,
            views,
            maintenance: Maintenance::new(options),
            budget,
            clock: EngineClock(Arc::clone(&options.clock)),
            limits: options.limits.clone(),
        });
        engine.load_expiries()?;
        engine.refill_dense()?;
        engine.refill_sparse()?;
        engine.refill_multi()?;
        engine.refill_lexical()?;
        if Checkpoint::is_damaged(folder)
            && let Err(error) = engine.write_checkpoint()
        {
            tracing::warn!(%error, "a damaged checkpoint could not be written anew");
        }
        engine.note_memory();
        let engine = Arc::new(engine);
        let committer = Arc::new(Committer::start(Arc::clone(&engine), ends)?);
        let upkeep = upkeep::start(Arc::clone(&engine), Arc::downgrade(&committer))?;
        let (notes, upkeep) = (Mutex::default(), Mutex::new(Some(upkeep)));
        let looks = AtomicU32::new(0);
        Ok(Self { engine, committer, embedders, notes, looks, upkeep })
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.engine.name
    }

    /// Returns what the collection is like.
    pub fn settings(&self) -> Settings {
        self.engine.kept().settings.clone()
    }

    /// Ends writing and upkeep; what waits is still written. Further writes are refused.
    pub fn close(&self) {
        self.committer.close();
        let upkeep = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, thread)) = upkeep {
            drop(stop);
            // A panic there was reported by the thread itself.
            let _ended = thread.join();
        }
    }
}

impl Drop for Collection {
    fn drop(&mut self) {
        self.close();
    }
}

/// Removes the folders of indexes of vectors that were dropped.
fn remove_other_indexes(folder: &Path, settings: &Settings) -> Result<(), Error> {
    if !folder.is_dir() {
        return Ok(());
    }
    let known = settings.vectors.iter().map(|(name, vector)| vector.folder_name(name));
    let known: BTreeSet<String> = known.collect();
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !known.contains(&name) {
            files::remove_folder(&path)?;
        }
    }
    Ok(())
}

/// Opens a dense index. Derived: one that is none, or holds slots that the tables have not given yet,
/// is made anew.
pub(super) fn open_dense(
    folder: &Path,
    options: DenseOptions,
    ends: Ends,
) -> Result<DenseIndex, Error> {
    let opened = DenseIndex::open(folder, options.clone());
    let index = match opened {
        Err(DenseError::Corrupt { .. }) => None,
        Err(DenseError::Io(error)) if error.kind() == std::io::ErrorKind::NotADirectory => None,
        Ok(index) if index.sealed().max().is_some_and(|slot| slot >= ends.next_slot) => None,
        other => Some(other?),
    };
    let index = match index {
        Some(index) => index,
        None => {
            tracing::warn!(folder = %folder.display(), "a dense index is not of these tables");
            files::remove_folder(folder)?;
            DenseIndex::open(folder, options)?
        }
    };
    for damaged in index.discarded() {
        let (file, reason) = (damaged.file.display(), &damaged.reason);
        tracing::warn!(%file, reason, "a damaged part of a dense index is made anew");
    }
    Ok(index)
}

/// Opens the lexical index. Derived: one that cannot be read, or knows more than the tables, is made
/// anew.
fn open_lexical(folder: &Path, last: Sequence) -> Result<LexicalIndex, Error> {
    let open = || LexicalIndex::open(folder, &LexicalOptions::default());
    let reason = match open() {
        Ok(index) if index.applied() <= last => return Ok(index),
        Ok(index) => format!("it has {} mutations, the tables {}", index.applied().0, last.0),
        // What the system refuses now it may allow later: nothing is wrong with the files.
        Err(error) if error.kind() == ErrorKind::Unavailable && folder.is_dir() => {
            return Err(error.into());
        }
        Err(error) => described(&error),
    };
    tracing::warn!(folder = %folder.display(), reason, "the lexical index is made anew");
    files::remove_folder(folder)?;
    Ok(open()?)
}

/// What the tables say on opening.
struct Opened {
    view: View,
    ends: Ends,
    /// What was removed and has rows still.
    retired: Vec<(Sequence, Vec<Run>)>,
}

/// Returns the state after the newest mutation: a checkpoint and the log after it, or a scan.
fn current_view(folder: &Path, database: &Database) -> Result<Opened, Error> {
    let header = database
        .get(&HEADER, &HEADER_KEY)?
        .unwrap_or(HeaderRecord { last_sequence: 0, next_slot: 0 });
    let last = Sequence(header.last_sequence);
    let checkpoint = Checkpoint::read(folder).filter(|checkpoint| checkpoint.sequence <= last);
    let replayed = checkpoint.map(|checkpoint| replay(checkpoint, database, last)).transpose()?;
    let (live, starts) = match replayed.flatten() {
        Some(sets) => sets,
        None => scan(database)?,
    };
    let mut fields = FieldTypes::default();
    for row in database.scan(&FIELDS) {
        let (path, record) = row?;
        for kind in field_types(record.types) {
            fields.insert(&path, kind);
        }
    }
    let fields = Arc::new(fields);
    let view = View { sequence: last, live, starts, fields, shown_by: None };
    let ends = Ends { last_sequence: header.last_sequence, next_slot: header.next_slot };
    Ok(Opened { view, ends, retired: retired(database)? })
}

/// Returns what the log says was removed and has rows still: the log is kept that long.
fn retired(database: &Database) -> Result<Vec<(Sequence, Vec<Run>)>, Error> {
    let mut retired = Vec::new();
    for row in database.scan(&LOG) {
        let (sequence, record) = row?;
        let mut runs = Vec::new();
        for run in record.removed {
            if database.contains(&BODIES, &run.first)? {
                runs.push(run);
            }
        }
        if !runs.is_empty() {
            retired.push((Sequence(sequence), runs));
        }
    }
    Ok(retired)
}

/// Returns the sets after the log that follows the checkpoint; nothing if the log has a gap.
fn replay(
    checkpoint: Checkpoint,
    database: &Database,
    last: Sequence,
) -> Result<Option<(SlotSet, SlotSet)>, Error> {
    let Checkpoint { sequence, mut live, mut starts } = checkpoint;
    let mut next = sequence.0 + 1;
    for row in database.range(&LOG, next..) {
        let (sequence, record) = row?;
        if sequence != next {
            return Ok(None);
        }
        next += 1;
        for run in record.removed {
            live.remove_range(run.slots());
            starts.remove(run.first);
        }
        if let Some(run) = record.added {
            live.insert_range(run.slots());
            starts.insert(run.first);
        }
    }
    Ok((next == last.0 + 1).then_some((live, starts)))
}

/// Returns the sets as the tables of documents say.
pub(super) fn scan(database: &Database) -> Result<(SlotSet, SlotSet), Error> {
    let (mut live, mut starts) = (SlotSet::new(), SlotSet::new());
    for row in database.scan(&DOCUMENTS) {
        let (_, record) = row?;
        live.insert_range(record.run().slots());
        starts.insert(record.first);
    }
    Ok((live, starts))
}

impl Engine {
    /// Inserts what is live and in no sealed segment into the heads.
    pub(super) fn refill_dense(&self) -> Result<(), Error> {
        let (view, kept) = (self.views.current(), self.kept());
        for (name, index) in &kept.dense {
            let Some(settings) = kept.settings.vectors.get(name) else { continue };
            let missing: Vec<u32> = (&view.live - index.slots()).iter().collect();
            for slots in missing.chunks(REFILL_PARTS) {
                let mut rows = Vec::with_capacity(slots.len());
                for &slot in slots {
                    if let Some(record) = self.database.get(&VECTORS, &(settings.number, slot))? {
                        rows.push((Slot(slot), record.components()));
                    }
                }
                let items: Vec<(Slot, &[f32])> =
                    rows.iter().map(|(slot, vector)| (*slot, vector.as_slice())).collect();
                index.insert(&items)?;
            }
        }
        Ok(())
    }

    /// Inserts what is live and not in the sparse indexes.
    pub(super) fn refill_sparse(&self) -> Result<(), Error> {
        let (view, kept) = (self.views.current(), self.kept());
        for (name, index) in &kept.sparse {
            let Some(settings) = kept.settings.sparse.get(name) else { continue };
            let missing: Vec<u32> = (&view.live - index.slots()).iter().collect();
            for slots in missing.chunks(REFILL_PARTS) {
                let mut rows = Vec::with_capacity(slots.len());
                for &slot in slots {
                    if let Some(record) = self.database.get(&SPARSE, &(settings.number, slot))? {
                        let vector = record
                            .vector()
                            .map_err(|error| damaged("sparse vector", slot, error))?;
                        rows.push((Slot(slot), vector));
                    }
                }
                index.insert(rows.iter().map(|(slot, vector)| (*slot, vector)));
            }
        }
        Ok(())
    }

    /// Inserts what is live and not in the indexes of multivectors.
    pub(super) fn refill_multi(&self) -> Result<(), Error> {
        let (view, kept) = (self.views.current(), self.kept());
        for (name, index) in &kept.multi {
            let Some(settings) = kept.settings.multi.get(name) else { continue };
            for slot in &view.live - index.slots() {
                if let Some(vector) = self.multi_vector(settings, Slot(slot))? {
                    index.insert([(Slot(slot), &vector)]);
                }
            }
        }
        Ok(())
    }

    /// Adds what was stored after the lexical index was last committed, and forgets what is gone.
    pub(super) fn refill_lexical(&self) -> Result<(), Error> {
        let view = self.views.current();
        let applied = self.lexical.applied();
        let since = match self.added_since(applied)? {
            Some(slots) => &slots & &view.live,
            None => view.live.clone(),
        };
        self.lexical.remove(view.sequence, &(self.lexical.slots() - &view.live))?;
        self.add_to_lexical(&since, &mut |parts| self.lexical.add(view.sequence, parts))
    }

    /// Builds the lexical index anew from the tables.
    pub(super) fn rebuild_lexical(&self) -> Result<(), Error> {
        self.lexical.rebuild(|take| {
            let view = {
                // What the index was given before is visible after.
                let _applying = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
                self.views.current()
            };
            self.add_to_lexical(&view.live, take)?;
            Ok(view.sequence)
        })
    }

    /// Returns the slots that mutations after this one brought; nothing if the log does not reach
    /// back so far.
    fn added_since(&self, applied: Sequence) -> Result<Option<SlotSet>, Error> {
        let mut slots = SlotSet::new();
        let mut next = applied.0 + 1;
        for row in self.database.range(&LOG, next..) {
            let (sequence, record) = row?;
            if sequence != next {
                return Ok(None);
            }
            next += 1;
            if let Some(run) = record.added {
                slots.insert_range(run.slots());
            }
        }
        Ok((next == self.views.current().sequence.0 + 1).then_some(slots))
    }

    /// Hands the parts in these slots to the lexical index, some at a time.
    pub(super) fn add_to_lexical(
        &self,
        slots: &SlotSet,
        take: &mut dyn FnMut(&[LexicalPart<'_>]) -> Result<(), LexicalError>,
    ) -> Result<(), Error> {
        let slots: Vec<u32> = slots.iter().collect();
        for slots in slots.chunks(REFILL_PARTS) {
            let rows = slots.iter().map(|&slot| self.lexical_row(Slot(slot)));
            let rows: Vec<LexicalRow> = rows.collect::<Result<_, _>>()?;
            let parts: Vec<LexicalPart<'_>> = rows.iter().map(|row| row.part(self)).collect();
            take(&parts)?;
        }
        Ok(())
    }

    /// Reads what the lexical index takes of a part.
    pub(super) fn lexical_row(&self, slot: Slot) -> Result<LexicalRow, Error> {
        let part = self.part(slot)?.ok_or_else(|| damaged("part", slot.0, "missing"))?;
        let body =
            self.body(Slot(part.first))?.ok_or_else(|| damaged("body", part.first, "missing"))?;
        let (id, payload, text) = (body.id, body.payload, part.text);
        Ok(LexicalRow { slot, id, payload, span: Span::from(part.span), text })
    }
}

/// What the lexical index takes of a part, as it was read.
pub(super) struct LexicalRow {
    slot: Slot,
    id: DocumentId,
    payload: Payload,
    span: Span,
    text: String,
}

impl LexicalRow {
    /// Returns the part.
    pub(super) fn part<'a>(&'a self, engine: &Engine) -> LexicalPart<'a> {
        engine.lexical_part(self.slot, &self.id, &self.payload, &self.span, &self.text)
    }
}
