use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use simile_storage::Batch;

use super::alter::fill;
use super::change::Change;
use super::engine::{Engine, Kept};
use super::error::{Error, described};
use super::mutation::remove_expiry;
use super::open::scan;
use super::records::{
    BODIES, DOCUMENTS, DocumentRecord, FIELDS, FILES, FieldRecord, FileRecord, HEADER, HEADER_KEY,
    HeaderRecord, KeyRecord, LIKENESSES, LOG, LogRecord, MULTI, PARTS, Run, SPARSE, THUMBNAILS,
    VECTORS, field_bit,
};
use super::replace::Numbers;
use super::rows::put_document;
use super::snapshot::Heads;
use super::terms::Terms;
use super::view::{Released, View};
use crate::document::{DocumentId, FieldTypes, Sequence, Slot, SlotSet};
use crate::error::{Classified as _, ErrorKind};
use crate::fail;
use crate::index::lexical::LexicalPart;
use crate::ingest::Prepared;
use crate::vector::{MultiVector, SparseVector, Vector};

/// The most writes that wait.
const QUEUE_MAX: usize = 1_024;
/// The most writes, and about the most bytes, that share one barrier.
const GROUP_WRITES_MAX: usize = 512;
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// About how many slots that nobody sees any more are cleared with a group.
const RELEASED_SLOTS_MAX: u64 = 16_384;

/// A mutation.
#[derive(Debug)]
pub(super) enum Write {
    /// Stores a document, in place of the one with its id; its vectors were made for those that had
    /// these numbers.
    Put(Box<Prepared>, Terms, Numbers),
    /// Removes the document, if it is there.
    Remove(DocumentId, Terms),
    /// Changes the payload of a document.
    Change(Box<Change>),
    /// Removes the version of a document that begins at this slot, if it has expired.
    Expire(DocumentId, u32),
    /// Remembers which version of a file of records is stored now.
    File(DocumentId, FileRecord),
    /// Clears rows that nobody sees any more, though nothing else is to be written.
    Clear,
    /// Makes the view again from the tables.
    Rescan,
    /// Stores vectors that parts lack under a name that was added; those of parts that are gone are
    /// passed over.
    Fill(String, u16, Vec<(Slot, Vector)>),
    /// Reads what a snapshot begins with, while nobody writes.
    Heads(Sender<Heads>),
}

/// What a mutation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Done {
    pub(super) sequence: Sequence,
    pub(super) was_there: bool,
    /// Whether nothing was done, since all was as it was to be or the same was done before.
    pub(super) is_repeat: bool,
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

    /// Returns how many writes wait.
    pub(super) fn waiting(&self) -> usize {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.as_ref().map_or(0, Sender::len)
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
    let mut waiting: VecDeque<Request> = VecDeque::new();
    loop {
        if waiting.is_empty() {
            let Ok(first) = queue.recv() else { return };
            waiting.push_back(first);
        }
        let mut bytes: usize = waiting.iter().map(|request| request.write.bytes()).sum();
        while waiting.len() < GROUP_WRITES_MAX
            && bytes < GROUP_BYTES_MAX
            && let Ok(next) = queue.try_recv()
        {
            bytes += next.write.bytes();
            waiting.push_back(next);
        }
        let writes = waiting.make_contiguous();
        let committed = catch_unwind(AssertUnwindSafe(|| commit(engine, &mut ends, writes)));
        let committed = match committed {
            Ok(committed) => committed.map_err(|error| described(&error)),
            // What it did so far is unknown; the panic was reported when it happened.
            Err(_) => Err("writing ended in a defect, of which the log has more".to_owned()),
        };
        match committed {
            Ok(results) => {
                for (request, result) in waiting.drain(..results.len()).zip(results) {
                    // Who does not wait any longer need not know.
                    let _nobody_waits = request.reply.send(result);
                }
            }
            Err(reason) => {
                engine.stop_writing(reason.clone());
                for request in waiting.drain(..) {
                    let (name, reason) = (engine.name.clone(), reason.clone());
                    let _nobody_waits = request.reply.send(Err(Error::ReadOnly { name, reason }));
                }
            }
        }
    }
}

impl Write {
    fn bytes(&self) -> usize {
        match self {
            Self::Put(prepared, ..) => prepared.bytes(),
            Self::Fill(_, _, vectors) => vectors.iter().map(|(_, vector)| vector.bytes()).sum(),
            // It is stored anew, with parts that are read while it is written.
            Self::Change(_) => 16 * 1024,
            Self::Remove(..)
            | Self::Expire(..)
            | Self::File(..)
            | Self::Clear
            | Self::Rescan
            | Self::Heads(_) => 256,
        }
    }
}

/// A group of mutations on its way into one batch.
pub(super) struct Group<'a> {
    pub(super) engine: &'a Engine,
    /// What the collection is like for all of the group.
    pub(super) kept: Arc<Kept>,
    pub(super) batch: Batch,
    pub(super) ends: Ends,
    pub(super) view: View,
    pub(super) removed: Vec<Run>,
    /// What was stored under the ids that the group changes.
    pub(super) before: HashMap<DocumentId, Option<DocumentRecord>>,
    /// What earlier mutations of the group made of a document.
    pub(super) documents: HashMap<DocumentId, Option<DocumentRecord>>,
    pub(super) added: Vec<(Cow<'a, Prepared>, Run)>,
    /// What earlier mutations of the group came with.
    pub(super) keys: HashMap<String, KeyRecord>,
    /// The versions that expire and are new, and those that are gone.
    pub(super) expiring: Vec<(u64, Run)>,
    pub(super) gone: Vec<(u64, Run)>,
    pub(super) now: u64,
}

/// What became of a mutation that was to join a group: it did, it is refused alone, or it is for the
/// next group.
pub(super) enum Added {
    Done(Done),
    Refused(Error),
    Next,
}

/// Commits writes durably and makes them visible: as many of the first ones as go into one batch,
/// one at least. Returns what became of each. An error ends all writing.
fn commit(
    engine: &Engine,
    ends: &mut Ends,
    requests: &[Request],
) -> Result<Vec<Result<Done, Error>>, Error> {
    if let [Request { write: Write::Heads(reply), .. }, ..] = requests {
        // A table that cannot be read is no reason to end writing.
        let heads = Heads::read(engine).map(|heads| {
            // Who does not wait any longer need not know.
            let _nobody_waits = reply.send(heads);
            Done { sequence: Sequence(ends.last_sequence), was_there: true, is_repeat: false }
        });
        return Ok(vec![heads]);
    }
    engine.check_writable()?;
    if matches!(requests, [Request { write: Write::Rescan, .. }, ..]) {
        return rescan(engine, *ends).map(|done| vec![Ok(done)]);
    }
    if let [Request { write: Write::Fill(name, number, vectors), .. }, ..] = requests {
        if engine.kept().settings.number(name) != Some(*number) {
            return Ok(vec![Err(Error::Replaced(name.clone()))]);
        }
        return fill(engine, *ends, name, vectors).map(|done| vec![Ok(done)]);
    }
    let kept = engine.kept();
    let mut group = Group {
        engine,
        kept: Arc::clone(&kept),
        batch: Batch::new(),
        ends: *ends,
        view: View::clone(&engine.views.current()),
        removed: Vec::new(),
        before: HashMap::new(),
        documents: HashMap::new(),
        added: Vec::new(),
        keys: HashMap::new(),
        expiring: Vec::new(),
        gone: Vec::new(),
        now: engine.now(),
    };
    let mut results = Vec::with_capacity(requests.len());
    for Request { write, .. } in requests {
        match group.add(write)? {
            Added::Done(done) => results.push(Ok(done)),
            Added::Refused(error) => results.push(Err(error)),
            Added::Next => break,
        }
    }
    let released = group.clear_released()?;
    group.forget_keys()?;
    let Group { batch, ends: new_ends, mut view, removed, before, added, expiring, gone, .. } =
        group;
    if batch.is_empty() {
        return Ok(results);
    }
    // Until the new versions are durable and visible, readers go by these.
    engine.begin_change(before);
    fail::reached("commit: before the batch", &engine.folder);
    engine.database.commit(batch)?;
    fail::reached("commit: after the batch", &engine.folder);
    *ends = new_ends;
    view.sequence = Sequence(new_ends.last_sequence);
    let applying = engine.applying.lock().unwrap_or_else(PoisonError::into_inner);
    show(engine, &kept, view.sequence, &added, &released)?;
    for (expires, run) in expiring {
        engine.expiries.insert(expires, run);
    }
    engine.views.publish(view, removed);
    for (expires, run) in gone {
        engine.expiries.remove(expires, run);
    }
    drop(applying);
    engine.end_change();
    engine.note_memory();
    engine.views.forget(&released);
    fail::reached("commit: after publishing", &engine.folder);
    Ok(results)
}

/// Makes the view again from the tables.
fn rescan(engine: &Engine, ends: Ends) -> Result<Done, Error> {
    let before = engine.views.current();
    let (live, starts) = scan(&engine.database)?;
    let sequence = Sequence(ends.last_sequence);
    let gone = (&before.starts - &starts).into_iter().map(|first| Run { first, count: 1 });
    let removed = gone.collect();
    let fields = Arc::clone(&before.fields);
    engine.views.publish(View { sequence, live, starts, fields, shown_by: None }, removed);
    Ok(Done { sequence, was_there: true, is_repeat: false })
}

impl<'a> Group<'a> {
    /// Adds one mutation.
    fn add(&mut self, write: &'a Write) -> Result<Added, Error> {
        if self.batch.bytes() >= GROUP_BYTES_MAX {
            return Ok(Added::Next);
        }
        match write {
            Write::Put(prepared, terms, numbers) => {
                self.on_terms(&prepared.id, terms, |group, _| {
                    if let Err(error) = group.kept.settings.check_numbers(numbers) {
                        return Ok(Added::Refused(error));
                    }
                    let expires = terms.expires_unix_ms.unwrap_or(0);
                    group.put(Cow::Borrowed(prepared), expires)
                })
            }
            Write::Remove(id, terms) => {
                self.on_terms(id, terms, |group, _| group.remove(id).map(Added::Done))
            }
            Write::Change(change) => self
                .on_terms(&change.id, &change.terms, |group, before| group.change(change, before)),
            Write::Expire(id, first) => self.expire(id, *first).map(Added::Done),
            Write::File(id, record) => {
                self.batch.put(&FILES, &id.as_str().to_owned(), record)?;
                Ok(Added::Done(self.nothing_done(false)))
            }
            Write::Clear => Ok(Added::Done(self.nothing_done(false))),
            Write::Rescan | Write::Fill(..) | Write::Heads(_) => Ok(Added::Next),
        }
    }

    pub(super) fn put(
        &mut self,
        prepared: Cow<'a, Prepared>,
        expires: u64,
    ) -> Result<Added, Error> {
        let count = u32::try_from(prepared.parts.len()).unwrap_or(u32::MAX);
        let Some(next_slot) = self.ends.next_slot.checked_add(count) else {
            return Ok(Added::Refused(Error::Full));
        };
        let before = self.document(&prepared.id)?;
        let run = Run { first: self.ends.next_slot, count };
        let ends = Ends { next_slot, last_sequence: self.ends.last_sequence + 1 };
        let sequence = ends.last_sequence;
        let removed: Vec<Run> = before.iter().map(DocumentRecord::run).collect();
        let fields = self.fields_with(&FieldTypes::infer(&prepared.payload));
        let rows = || -> Result<(Batch, DocumentRecord), Error> {
            let mut rows = Batch::new();
            if let Some(fields) = &fields {
                put_fields(&mut rows, &self.view.fields, fields)?;
            }
            if let Some(before) = &before {
                remove_expiry(&mut rows, before)?;
            }
            let record =
                put_document(&mut rows, &self.kept.settings, &prepared, run, sequence, expires)?;
            if !prepared.pictures.is_empty() {
                self.engine.has_pictures.store(true, Ordering::Relaxed);
            }
            log(&mut rows, ends, &prepared.id, Some(run), removed.clone())?;
            Ok((rows, record))
        };
        // A document that cannot be stored is refused; it is no reason to refuse the others.
        let (rows, record) = match rows() {
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                return Ok(Added::Refused(error));
            }
            other => other?,
        };
        if self.batch.append(rows).is_err() {
            // It fits into a batch of its own.
            return Ok(Added::Next);
        }
        self.ends = ends;
        self.show(Some(run), &removed);
        self.documents.insert(prepared.id.clone(), Some(record));
        if let Some(fields) = fields {
            self.view.fields = Arc::new(fields);
        }
        self.added.push((prepared, run));
        self.note_expiry(before.as_ref(), Some((expires, run)));
        let was_there = before.is_some_and(|before| !before.is_expired(self.now));
        Ok(Added::Done(Done { sequence: Sequence(sequence), was_there, is_repeat: false }))
    }

    pub(super) fn remove(&mut self, id: &DocumentId) -> Result<Done, Error> {
        let Some(before) = self.document(id)? else {
            return Ok(self.nothing_done(false));
        };
        self.ends.last_sequence += 1;
        let removed = vec![before.run()];
        self.batch.remove(&DOCUMENTS, &id.as_str().to_owned())?;
        log(&mut self.batch, self.ends, id, None, removed.clone())?;
        self.documents.insert(id.clone(), None);
        self.show(None, &removed);
        remove_expiry(&mut self.batch, &before)?;
        self.note_expiry(Some(&before), None);
        let was_there = !before.is_expired(self.now);
        let sequence = Sequence(self.ends.last_sequence);
        Ok(Done { sequence, was_there, is_repeat: false })
    }

    /// Returns the newest version of a document, as far as the group is.
    pub(super) fn document(&mut self, id: &DocumentId) -> Result<Option<DocumentRecord>, Error> {
        if let Some(record) = self.documents.get(id) {
            return Ok(record.clone());
        }
        let record = self.engine.database.get(&DOCUMENTS, &id.as_str().to_owned())?;
        self.before.insert(id.clone(), record.clone());
        Ok(record)
    }

    /// Makes the view what it is after a mutation.
    fn show(&mut self, added: Option<Run>, removed: &[Run]) {
        for run in removed {
            self.view.live.remove_range(run.slots());
            self.view.starts.remove(run.first);
            self.removed.push(*run);
        }
        if let Some(run) = added {
            self.view.live.insert_range(run.slots());
            self.view.starts.insert(run.first);
        }
    }

    /// Returns the types of all fields with those that were seen, if there are new ones among them.
    fn fields_with(&self, seen: &FieldTypes) -> Option<FieldTypes> {
        let mut fields = FieldTypes::clone(&self.view.fields);
        fields.merge(seen).then_some(fields)
    }

    /// Clears the rows of slots that no view shows any more; what does not fit is for a later group.
    fn clear_released(&mut self) -> Result<Released, Error> {
        let released = self.engine.views.released(RELEASED_SLOTS_MAX);
        let has_pictures = self.engine.has_pictures.load(Ordering::Relaxed);
        let mut rows = Batch::new();
        for run in &released.runs {
            rows.remove(&BODIES, &run.first)?;
            for slot in run.slots() {
                rows.remove(&PARTS, &slot)?;
                if has_pictures {
                    rows.remove(&LIKENESSES, &slot)?;
                    rows.remove(&THUMBNAILS, &slot)?;
                }
                for settings in self.kept.settings.vectors.values() {
                    rows.remove(&VECTORS, &(settings.number, slot))?;
                }
                for settings in self.kept.settings.sparse.values() {
                    rows.remove(&SPARSE, &(settings.number, slot))?;
                }
                for settings in self.kept.settings.multi.values() {
                    let keys = (settings.number, slot, 0)..=(settings.number, slot, u16::MAX);
                    for row in self.engine.database.range(&MULTI, keys) {
                        rows.remove(&MULTI, &row?.0)?;
                    }
                }
            }
        }
        Ok(if self.batch.append(rows).is_ok() { released } else { Released::default() })
    }
}

/// Stores the types of the fields that have others than before.
fn put_fields(batch: &mut Batch, before: &FieldTypes, after: &FieldTypes) -> Result<(), Error> {
    for (path, types) in after.iter() {
        if before.get(path) != Some(types) {
            let types = types.iter().fold(0, |bits, &kind| bits | field_bit(kind));
            batch.put(&FIELDS, &path.to_owned(), &FieldRecord { types })?;
        }
    }
    Ok(())
}

fn log(
    batch: &mut Batch,
    ends: Ends,
    id: &DocumentId,
    added: Option<Run>,
    removed: Vec<Run>,
) -> Result<(), Error> {
    let Ends { last_sequence, next_slot } = ends;
    let record = LogRecord { ids: vec![id.as_str().to_owned()], added, removed };
    batch.put(&LOG, &last_sequence, &record)?;
    batch.put(&HEADER, &HEADER_KEY, &HeaderRecord { last_sequence, next_slot })?;
    Ok(())
}

/// Hands what was committed to the indexes, so that the next view may show it.
fn show(
    engine: &Engine,
    kept: &Kept,
    sequence: Sequence,
    added: &[(Cow<'_, Prepared>, Run)],
    released: &Released,
) -> Result<(), Error> {
    for (name, index) in &kept.dense {
        let mut items: Vec<(Slot, &[f32])> = Vec::new();
        for (prepared, run) in added {
            for (slot, part) in run.slots().zip(&prepared.parts) {
                if let Some(vector) = part.vectors.get(name).and_then(Vector::as_dense) {
                    items.push((Slot(slot), vector.as_slice()));
                }
            }
        }
        index.insert(&items).map_err(|error| Error::StoredNotShown(described(&error)))?;
    }
    for (name, index) in &kept.sparse {
        let mut items: Vec<(Slot, &SparseVector)> = Vec::new();
        for (prepared, run) in added {
            for (slot, part) in run.slots().zip(&prepared.parts) {
                let vector = part.vectors.get(name).and_then(Vector::as_sparse);
                items.extend(vector.map(|vector| (Slot(slot), vector)));
            }
        }
        index.insert(items);
    }
    for (name, index) in &kept.multi {
        let mut items: Vec<(Slot, &MultiVector)> = Vec::new();
        for (prepared, run) in added {
            for (slot, part) in run.slots().zip(&prepared.parts) {
                let vector = part.vectors.get(name).and_then(Vector::as_multi);
                items.extend(vector.map(|vector| (Slot(slot), vector)));
            }
        }
        index.insert(items);
    }
    let mut parts: Vec<LexicalPart<'_>> = Vec::new();
    for (prepared, run) in added {
        for (slot, part) in run.slots().zip(&prepared.parts) {
            let slot = Slot(slot);
            let (id, payload) = (&prepared.id, &prepared.payload);
            parts.push(engine.lexical_part(slot, id, payload, &part.span, &part.text));
        }
    }
    let mut gone = SlotSet::new();
    for run in &released.runs {
        gone.insert_range(run.slots());
    }
    let lexical = &engine.lexical;
    lexical
        .remove(sequence, &gone)
        .and_then(|()| lexical.add(sequence, &parts))
        .map_err(|error| Error::StoredNotShown(described(&error)))
}
