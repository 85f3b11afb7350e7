use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use simile_storage::{Batch, StorageErrorKind};

use super::engine::Engine;
use super::error::{Error, described};
use super::records::{
    BODIES, BodyRecord, DOCUMENTS, DocumentRecord, FIELDS, FILES, FieldRecord, FileRecord, HEADER,
    HEADER_KEY, HeaderRecord, LOG, LogRecord, PARTS, PartRecord, Run, StoredSpan, VECTORS,
    VectorRecord, field_bit,
};
use super::view::View;
use crate::document::{DocumentId, FieldTypes, Sequence, Slot};
use crate::index::lexical::LexicalPart;
use crate::ingest::Prepared;

/// The most writes that wait.
const QUEUE_MAX: usize = 1_024;
/// The most writes, and about the most bytes, that share one barrier.
const GROUP_WRITES_MAX: usize = 512;
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How many runs of slots that nobody sees any more are cleared with a group.
const RELEASED_RUNS_MAX: usize = 1_024;

/// A mutation.
#[derive(Debug)]
pub(super) enum Write {
    /// Stores a document, in place of the one with its id.
    Put(Box<Prepared>),
    /// Removes the document, if it is there.
    Remove(DocumentId),
    /// Remembers which version of a file of records is stored now.
    File(DocumentId, FileRecord),
}

/// What a mutation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Done {
    pub(super) sequence: Sequence,
    pub(super) was_there: bool,
}

struct Request {
    write: Write,
    reply: Sender<Result<Done, Error>>,
}

/// The ends of all numbering.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    pub(super) last_sequence: u64,
    pub(super) next_slot: u32,
}

/// The one thread that writes.
#[derive(Debug)]
pub(super) struct Committer {
    name: String,
    queue: Mutex<Option<Sender<Request>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.write.fmt(formatter)
    }
}

impl Committer {
    pub(super) fn start(engine: Arc<Engine>, ends: Ends) -> Result<Self, Error> {
        let (sender, receiver) = bounded(QUEUE_MAX);
        let name = engine.name.clone();
        let thread = std::thread::Builder::new()
            .name(format!("commit-{name}"))
            .spawn(move || serve(&engine, ends, &receiver))?;
        let (queue, thread) = (Mutex::new(Some(sender)), Mutex::new(Some(thread)));
        Ok(Self { name, queue, thread })
    }

    /// Hands a write to the thread; what it did comes through the receiver once it survives power
    /// loss and is visible. Waits while the queue is full.
    pub(super) fn send(&self, write: Write) -> Result<Receiver<Result<Done, Error>>, Error> {
        let (reply, done) = bounded(1);
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let queue = queue.ok_or_else(|| Error::Closed(self.name.clone()))?;
        match queue.try_send(Request { write, reply }) {
            Ok(()) => Ok(done),
            Err(TrySendError::Full(request)) => {
                queue.send(request).map_err(|_| Error::Closed(self.name.clone()))?;
                Ok(done)
            }
            Err(TrySendError::Disconnected(_)) => Err(Error::Closed(self.name.clone())),
        }
    }

    /// Waits for what a write did.
    pub(super) fn wait(&self, done: &Receiver<Result<Done, Error>>) -> Result<Done, Error> {
        done.recv().unwrap_or_else(|_| Err(Error::Closed(self.name.clone())))
    }

    /// Ends the thread once what waits is written.
    pub(super) fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic there was reported by the thread itself, and those who wait get an error.
            let _ended = thread.join();
        }
    }
}

fn serve(engine: &Engine, mut ends: Ends, queue: &Receiver<Request>) {
    while let Ok(first) = queue.recv() {
        let mut requests = vec![first];
        let mut bytes = requests[0].write.bytes();
        while requests.len() < GROUP_WRITES_MAX
            && bytes < GROUP_BYTES_MAX
            && let Ok(next) = queue.try_recv()
        {
            bytes += next.write.bytes();
            requests.push(next);
        }
        let (writes, replies): (Vec<Write>, Vec<_>) =
            requests.into_iter().map(|request| (request.write, request.reply)).unzip();
        match commit_or_refuse(engine, &mut ends, &writes) {
            Ok(results) => {
                for (reply, result) in replies.into_iter().zip(results) {
                    // Who does not wait any longer need not know.
                    let _nobody_waits = reply.send(result);
                }
            }
            Err(error) => {
                let reason = described(&error);
                engine.stop_writing(reason.clone());
                for reply in replies {
                    let (name, reason) = (engine.name.clone(), reason.clone());
                    let _nobody_waits = reply.send(Err(Error::ReadOnly { name, reason }));
                }
            }
        }
    }
}

impl Write {
    fn bytes(&self) -> usize {
        match self {
            Self::Put(prepared) => prepared.bytes(),
            Self::Remove(_) | Self::File(..) => 256,
        }
    }
}

/// A group of mutations on its way into one batch.
struct Group<'a> {
    engine: &'a Engine,
    batch: Batch,
    ends: Ends,
    view: View,
    removed: Vec<Run>,
    /// What earlier mutations of the group made of a document.
    documents: HashMap<DocumentId, Option<DocumentRecord>>,
    added: Vec<(&'a Prepared, Run)>,
}

/// Commits a group. A write that no row or no batch has room for is refused alone, whatever shares its
/// barrier: what a client sends must not end all writing.
fn commit_or_refuse(
    engine: &Engine,
    ends: &mut Ends,
    writes: &[Write],
) -> Result<Vec<Result<Done, Error>>, Error> {
    match commit(engine, ends, writes) {
        Err(error) if is_refusal(&error) && writes.len() == 1 => Ok(vec![Err(error)]),
        Err(error) if is_refusal(&error) => {
            let mut results = Vec::with_capacity(writes.len());
            for write in writes {
                results.extend(commit_or_refuse(engine, ends, std::slice::from_ref(write))?);
            }
            Ok(results)
        }
        committed => committed,
    }
}

/// The storage says so before anything is written.
fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Storage(error) if error.kind() == StorageErrorKind::InvalidInput)
}

/// Commits a group durably and makes it visible. An error other than a refusal ends all writing.
fn commit(
    engine: &Engine,
    ends: &mut Ends,
    writes: &[Write],
) -> Result<Vec<Result<Done, Error>>, Error> {
    engine.check_writable()?;
    let view = View::clone(&engine.views.current());
    let mut group = Group {
        engine,
        batch: Batch::new(),
        ends: *ends,
        view,
        removed: Vec::new(),
        documents: HashMap::new(),
        added: Vec::new(),
    };
    let mut results = Vec::with_capacity(writes.len());
    for write in writes {
        results.push(group.add(write)?);
    }
    group.clear_released()?;
    let Group { batch, ends: new_ends, mut view, removed, added, .. } = group;
    if batch.is_empty() {
        return Ok(results);
    }
    engine.database.commit(batch)?;
    *ends = new_ends;
    view.sequence = Sequence(new_ends.last_sequence);
    show(engine, view.sequence, &added)?;
    engine.views.publish(view, removed);
    Ok(results)
}

impl<'a> Group<'a> {
    /// Adds one mutation; the inner error refuses it alone.
    fn add(&mut self, write: &'a Write) -> Result<Result<Done, Error>, Error> {
        match write {
            Write::Put(prepared) => self.put(prepared),
            Write::Remove(id) => self.remove(id).map(Ok),
            Write::File(id, record) => {
                self.batch.put(&FILES, &id.as_str().to_owned(), record)?;
                Ok(Ok(Done { sequence: Sequence(self.ends.last_sequence), was_there: false }))
            }
        }
    }

    fn put(&mut self, prepared: &'a Prepared) -> Result<Result<Done, Error>, Error> {
        let count = u32::try_from(prepared.parts.len()).unwrap_or(u32::MAX);
        let Some(next_slot) = self.ends.next_slot.checked_add(count) else {
            return Ok(Err(Error::Full));
        };
        let before = self.document(&prepared.id)?;
        let run = Run { first: self.ends.next_slot, count };
        self.ends.next_slot = next_slot;
        self.ends.last_sequence += 1;
        let sequence = self.ends.last_sequence;
        self.put_rows(prepared, run, sequence)?;
        let removed: Vec<Run> = before.iter().map(DocumentRecord::run).collect();
        self.log(sequence, &prepared.id, Some(run), removed)?;
        let record = DocumentRecord {
            first: run.first,
            parts: run.count,
            sequence,
            content: prepared.content.0,
            version: prepared.version.0,
            file_bytes: prepared
                .file
                .as_ref()
                .and_then(|file| u16::try_from(file.as_str().len()).ok())
                .unwrap_or(0),
        };
        self.batch.put(&DOCUMENTS, &prepared.id.as_str().to_owned(), &record)?;
        self.documents.insert(prepared.id.clone(), Some(record));
        self.see_fields(&FieldTypes::infer(&prepared.payload))?;
        self.added.push((prepared, run));
        Ok(Ok(Done { sequence: Sequence(sequence), was_there: before.is_some() }))
    }

    fn put_rows(&mut self, prepared: &Prepared, run: Run, sequence: u64) -> Result<(), Error> {
        let payload = serde_json::to_string(&prepared.payload)
            .map_err(|error| Error::Settings(error.to_string()))?;
        let id = prepared.id.as_str().to_owned();
        let body = BodyRecord { id, parts: run.count, sequence, payload };
        self.batch.put(&BODIES, &run.first, &body)?;
        for (slot, part) in run.slots().zip(&prepared.parts) {
            let (span, text) = (StoredSpan::from(&part.span), part.text.clone());
            self.batch.put(&PARTS, &slot, &PartRecord { first: run.first, span, text })?;
            for (name, vector) in &part.vectors {
                if let Some(settings) = self.engine.settings.vectors.get(name) {
                    let record = VectorRecord::of(vector.as_slice());
                    self.batch.put(&VECTORS, &(settings.number, slot), &record)?;
                }
            }
        }
        Ok(())
    }

    fn remove(&mut self, id: &DocumentId) -> Result<Done, Error> {
        let Some(before) = self.document(id)? else {
            return Ok(Done { sequence: Sequence(self.ends.last_sequence), was_there: false });
        };
        self.ends.last_sequence += 1;
        let sequence = self.ends.last_sequence;
        self.batch.remove(&DOCUMENTS, &id.as_str().to_owned())?;
        self.documents.insert(id.clone(), None);
        self.log(sequence, id, None, vec![before.run()])?;
        Ok(Done { sequence: Sequence(sequence), was_there: true })
    }

    fn document(&self, id: &DocumentId) -> Result<Option<DocumentRecord>, Error> {
        match self.documents.get(id) {
            Some(record) => Ok(record.clone()),
            None => Ok(self.engine.database.get(&DOCUMENTS, &id.as_str().to_owned())?),
        }
    }

    fn log(
        &mut self,
        sequence: u64,
        id: &DocumentId,
        added: Option<Run>,
        removed: Vec<Run>,
    ) -> Result<(), Error> {
        for run in &removed {
            self.view.live.remove_range(run.slots());
            self.view.starts.remove(run.first);
            self.removed.push(*run);
        }
        if let Some(run) = added {
            self.view.live.insert_range(run.slots());
            self.view.starts.insert(run.first);
        }
        let record = LogRecord { ids: vec![id.as_str().to_owned()], added, removed };
        self.batch.put(&LOG, &sequence, &record)?;
        let Ends { last_sequence, next_slot } = self.ends;
        self.batch.put(&HEADER, &HEADER_KEY, &HeaderRecord { last_sequence, next_slot })?;
        Ok(())
    }

    fn see_fields(&mut self, seen: &FieldTypes) -> Result<(), Error> {
        let mut fields = FieldTypes::clone(&self.view.fields);
        if fields.merge(seen) {
            for (path, _) in seen.iter() {
                let types = fields.get(path).into_iter().flatten();
                let types = types.fold(0, |bits, &kind| bits | field_bit(kind));
                self.batch.put(&FIELDS, &path.to_owned(), &FieldRecord { types })?;
            }
            self.view.fields = Arc::new(fields);
        }
        Ok(())
    }

    /// Clears the rows of slots that no view shows any more.
    fn clear_released(&mut self) -> Result<(), Error> {
        let released = self.engine.views.release(RELEASED_RUNS_MAX);
        for run in released.runs {
            self.batch.remove(&BODIES, &run.first)?;
            for slot in run.slots() {
                self.batch.remove(&PARTS, &slot)?;
                for settings in self.engine.settings.vectors.values() {
                    self.batch.remove(&VECTORS, &(settings.number, slot))?;
                }
            }
        }
        Ok(())
    }
}

/// Hands what was committed to the indexes, so that the next view may show it.
fn show(engine: &Engine, sequence: Sequence, added: &[(&Prepared, Run)]) -> Result<(), Error> {
    for (name, index) in &engine.dense {
        let mut items: Vec<(Slot, &[f32])> = Vec::new();
        for (prepared, run) in added {
            for (slot, part) in run.slots().zip(&prepared.parts) {
                if let Some(vector) = part.vectors.get(name) {
                    items.push((Slot(slot), vector.as_slice()));
                }
            }
        }
        index.insert(&items).map_err(|error| Error::StoredNotShown(described(&error)))?;
    }
    let mut parts: Vec<LexicalPart<'_>> = Vec::new();
    for (prepared, run) in added {
        for (slot, part) in run.slots().zip(&prepared.parts) {
            let slot = Slot(slot);
            let (id, payload) = (&prepared.id, &prepared.payload);
            parts.push(engine.lexical_part(slot, id, payload, &part.span, &part.text));
        }
    }
    engine.lexical.add(sequence, &parts).map_err(|error| Error::StoredNotShown(described(&error)))
}
