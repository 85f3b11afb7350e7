use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

use simile_storage::{Database, Options};

use super::SharedEmbedders;
use super::catalogue::CollectionsOptions;
use super::checkpoint::Checkpoint;
use super::commit::{Committer, Ends};
use super::engine::{Engine, EngineClock, damaged};
use super::error::Error;
use super::expiry::Expiries;
use super::files;
use super::records::{
    DOCUMENTS, FIELDS, HEADER, HEADER_KEY, HeaderRecord, LOG, SPARSE, VECTORS, field_types,
};
use super::settings::Settings;
use super::upkeep;
use super::view::{View, Views};
use crate::document::{DocumentId, FieldTypes, Sequence, Slot, SlotSet, Span};
use crate::index::dense::DenseIndex;
use crate::index::lexical::{LexicalIndex, LexicalOptions};
use crate::index::sparse::SparseIndex;

/// How many parts are handed to an index at a time while it is filled from the tables.
const REFILL_PARTS: usize = 512;

/// One open collection. Shared between threads; closed when dropped.
#[derive(Debug)]
pub struct Collection {
    pub(super) engine: Arc<Engine>,
    pub(super) committer: Arc<Committer>,
    pub(super) embedders: SharedEmbedders,
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
        kept: &CollectionsOptions,
        embedders: SharedEmbedders,
    ) -> Result<Self, Error> {
        let settings = Settings::read(folder)?;
        // Records carry their own checksums; reading all of them would make start-up depend on size.
        let cache_bytes_max = kept.cache_bytes_max;
        let options = Options { cache_bytes_max, verify_on_open: false, ..Options::default() };
        let database = Arc::new(Database::open(&folder.join(files::TABLES), &options)?);
        let (view, ends) = current_view(folder, &database)?;
        let mut dense = BTreeMap::new();
        for (vector, settings) in &settings.vectors {
            let folder = folder.join(files::DENSE).join(vector);
            dense.insert(vector.clone(), DenseIndex::open(&folder, settings.dense_options(None))?);
        }
        let sparse = settings.sparse.keys().map(|name| (name.clone(), SparseIndex::new()));
        let sparse = sparse.collect();
        let lexical_folder = folder.join(files::LEXICAL);
        let open_lexical = || {
            fs_err::create_dir_all(&lexical_folder)?;
            Ok::<_, Error>(LexicalIndex::open(&lexical_folder, &LexicalOptions::default())?)
        };
        let mut lexical = open_lexical();
        if lexical.as_ref().map_or(true, |index| index.applied() > view.sequence) {
            // Derived: what cannot be read, or knows more than the tables, is made anew.
            drop(lexical);
            files::remove_folder(&lexical_folder)?;
            lexical = open_lexical();
        }
        let engine = Engine {
            name: name.to_owned(),
            folder: folder.to_owned(),
            settings,
            database,
            dense,
            sparse,
            lexical: lexical?,
            views: Views::new(view),
            expiries: Expiries::default(),
            clock: EngineClock(Arc::clone(&kept.clock)),
            read_only: OnceLock::new(),
            samples: Mutex::default(),
        };
        engine.load_expiries()?;
        engine.refill_dense()?;
        engine.refill_sparse()?;
        engine.refill_lexical()?;
        let engine = Arc::new(engine);
        let committer = Arc::new(Committer::start(Arc::clone(&engine), ends)?);
        let upkeep = upkeep::start(Arc::clone(&engine), Arc::clone(&committer))?;
        Ok(Self { engine, committer, embedders, upkeep: Mutex::new(Some(upkeep)) })
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.engine.name
    }

    /// Returns what the collection is like.
    pub fn settings(&self) -> &Settings {
        &self.engine.settings
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

/// Returns the state after the newest mutation: a checkpoint and the log after it, or a scan.
fn current_view(folder: &Path, database: &Database) -> Result<(View, Ends), Error> {
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
    Ok((view, Ends { last_sequence: header.last_sequence, next_slot: header.next_slot }))
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

fn scan(database: &Database) -> Result<(SlotSet, SlotSet), Error> {
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
        let view = self.views.current();
        for (name, index) in &self.dense {
            let Some(settings) = self.settings.vectors.get(name) else { continue };
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
        let view = self.views.current();
        for (name, index) in &self.sparse {
            let Some(settings) = self.settings.sparse.get(name) else { continue };
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

    /// Adds what was stored after the lexical index was last committed.
    pub(super) fn refill_lexical(&self) -> Result<(), Error> {
        let view = self.views.current();
        let applied = self.lexical.applied();
        let since = match self.added_since(applied)? {
            Some(slots) => &slots & &view.live,
            None => view.live.clone(),
        };
        let slots: Vec<u32> = since.iter().collect();
        for slots in slots.chunks(REFILL_PARTS) {
            self.add_to_lexical(view.sequence, slots)?;
        }
        Ok(())
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

    fn add_to_lexical(&self, sequence: Sequence, slots: &[u32]) -> Result<(), Error> {
        struct Row {
            slot: Slot,
            id: DocumentId,
            payload: crate::document::Payload,
            span: Span,
            text: String,
        }
        let mut rows = Vec::with_capacity(slots.len());
        for &slot in slots {
            let part = self.part(Slot(slot))?.ok_or_else(|| damaged("part", slot, "missing"))?;
            let body = self
                .body(Slot(part.first))?
                .ok_or_else(|| damaged("body", part.first, "missing"))?;
            let span = Span::from(part.span);
            let (id, payload, text) = (body.id, body.payload, part.text);
            rows.push(Row { slot: Slot(slot), id, payload, span, text });
        }
        let parts: Vec<_> = rows
            .iter()
            .map(|row| self.lexical_part(row.slot, &row.id, &row.payload, &row.span, &row.text))
            .collect();
        self.lexical.add(sequence, &parts)?;
        Ok(())
    }
}
