//! Small collections that nobody asks for close, and open again when somebody does.
//!
//! An open collection takes 8 MiB and two threads even if it is empty, and milliseconds to open. So one
//! that is small, at rest, and in nobody's hands is closed after a while, and leaves a summary that
//! answers what there is to say of it. The summary is gone before the collection opens again: after a
//! crash, what was open is opened and verified at once, and only what slept sleeps on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use serde::{Deserialize, Serialize};

use super::catalogue::{CollectionState, Entry, Info};
use super::error::Error;
use super::files;
use super::memory::Budget;
use super::open::Collection;
use super::settings::Settings;
use crate::document::{FieldType, Sequence};
use crate::index::dense::DenseStatistics;
use crate::index::multi::MultiStatistics;
use crate::index::sparse::SparseStatistics;

/// How often it is looked who is at rest.
const SWEEP: Duration = Duration::from_secs(1);
/// After so many looks without a question a collection is at rest; where more than a few are open,
/// after fewer.
const REST_LOOKS: u32 = 60;
const BRIEF_LOOKS: u32 = 2;
pub(super) const OPEN_MAX: usize = 16;
/// The most parts of a collection that is closed: a large one takes long to open.
const PARTS_MAX: u64 = 10_000;
/// The file of the summary, and the format of it.
const SUMMARY: &str = "asleep.json";
const FORMAT: u32 = 1;
/// The engine's log, among the tables.
const LOG: &str = "db";

/// A collection that is closed, and its summary; none once it is open again. Held while it falls
/// asleep and while it wakes.
#[derive(Debug, Default)]
pub(super) struct Sleeper(Mutex<Option<Asleep>>);

/// What a collection that is closed is like, and its summary, if there is one.
type Asleep = (Settings, Option<Summary>);

/// What there is to say of a collection without opening it. Persisted as JSON; fields may be added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Summary {
    documents: u64,
    parts: u64,
    last_sequence: u64,
    fields: BTreeMap<String, Vec<FieldType>>,
    disk_bytes: u64,
    /// The bytes of the engine's log, which never shrinks.
    log_bytes: u64,
    /// Vectors in sealed segments and in the head, and segments.
    dense: BTreeMap<String, (u64, u64, u64)>,
    /// Vectors, those in the head, entries and chunks.
    sparse: BTreeMap<String, (u64, u64, u64, u64)>,
    /// Multivectors, and all their vectors.
    multi: BTreeMap<String, (u64, u64)>,
}

#[derive(Serialize, Deserialize)]
struct SummaryFile {
    format: u32,
    /// The BLAKE3 hash of the summary as compact JSON.
    checksum: String,
    summary: Summary,
}

/// The collections of a data directory, by name.
pub(super) type Entries = RwLock<BTreeMap<String, Entry>>;

/// Looks after who is at rest, until it is dropped.
#[derive(Debug)]
pub(super) struct Keeper(Option<(Sender<()>, JoinHandle<()>)>);

impl Keeper {
    /// Begins to look.
    pub(super) fn start(
        entries: Arc<Entries>,
        folder: PathBuf,
        budget: Arc<Budget>,
    ) -> Result<Self, Error> {
        let (stop, stopped) = bounded::<()>(0);
        let look = move || {
            while matches!(stopped.recv_timeout(SWEEP), Err(RecvTimeoutError::Timeout)) {
                for name in at_rest(&entries) {
                    fall_asleep(&entries, &folder, &budget, &name);
                }
            }
        };
        let thread = std::thread::Builder::new().name("rest".to_owned()).spawn(look)?;
        Ok(Self(Some((stop, thread))))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.0.take() {
            drop(stop);
            // A panic there was reported by the thread itself.
            let _ended = thread.join();
        }
    }
}

/// Counts a look at each open collection; returns the names of those that nobody asked for lately,
/// the longest first.
fn at_rest(entries: &Entries) -> Vec<String> {
    let entries = entries.read().unwrap_or_else(PoisonError::into_inner);
    let open = entries.values().filter(|entry| matches!(entry, Entry::Open(_))).count();
    let mut resting = Vec::new();
    for (name, entry) in &*entries {
        let Entry::Open(collection) = entry else { continue };
        let looks = collection.looks.fetch_add(1, Ordering::Relaxed) + 1;
        if looks >= BRIEF_LOOKS && Arc::strong_count(collection) == 1 && collection.is_at_rest() {
            resting.push((looks, name.clone()));
        }
    }
    resting.sort_by(|one, other| other.cmp(one));
    let mut more = open.saturating_sub(OPEN_MAX);
    resting.retain(|(looks, _)| {
        let is_one_of_many = more > 0;
        more = more.saturating_sub(1);
        *looks >= REST_LOOKS || is_one_of_many
    });
    resting.into_iter().map(|(_, name)| name).collect()
}

/// Closes a collection, unless somebody has it by now.
pub(super) fn fall_asleep(entries: &Entries, folder: &Path, budget: &Budget, name: &str) {
    let sleeper = Arc::new(Sleeper::default());
    let mut summary = sleeper.lock();
    let collection = {
        let mut entries = entries.write().unwrap_or_else(PoisonError::into_inner);
        match entries.get_mut(name) {
            Some(Entry::Open(collection))
                if Arc::strong_count(collection) == 1 && collection.is_at_rest() =>
            {
                let collection = Arc::clone(collection);
                entries.insert(name.to_owned(), Entry::Asleep(Arc::clone(&sleeper)));
                collection
            }
            _ => return,
        }
    };
    let told = collection.rest(folder).inspect_err(|error| {
        tracing::warn!(collection = name, %error, "no summary could be kept");
    });
    *summary = Some((collection.settings(), told.ok()));
    drop(collection);
    budget.remove(name);
}

/// Forgets the summary of a collection that is about to be open.
pub(super) fn forget(folder: &Path) -> Result<(), Error> {
    match fs_err::remove_file(folder.join(SUMMARY)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(files::sync_folder(folder)?),
    }
}

impl Sleeper {
    /// Returns the collection in a folder if it was closed in order and may stay so.
    pub(super) fn find(folder: &Path) -> Option<Self> {
        let bytes = fs_err::read(folder.join(SUMMARY)).ok()?;
        let file: SummaryFile = serde_json::from_slice(&bytes).ok()?;
        let is_whole = file.format == FORMAT && file.checksum == file.summary.checksum();
        let log = fs_err::metadata(folder.join(files::TABLES).join(LOG)).ok()?;
        if !is_whole || log.len() < file.summary.log_bytes {
            return None;
        }
        let settings = Settings::read(folder).ok()?;
        Some(Self(Mutex::new(Some((settings, Some(file.summary))))))
    }

    /// Returns the summary, once nobody closes or opens the collection; none if it is open.
    pub(super) fn lock(&self) -> MutexGuard<'_, Option<Asleep>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what there is to say of the collection; nothing if it is open by now, or has to be
    /// opened for it.
    pub(super) fn info(&self, name: &str) -> Option<Info> {
        let guard = self.lock();
        let (settings, told) = guard.as_ref()?;
        let told = told.as_ref()?;
        let dense = |&(sealed, head, segments): &(u64, u64, u64)| DenseStatistics {
            sealed,
            head,
            segments,
            ..DenseStatistics::default()
        };
        let sparse = |&(vectors, head, entries, chunks): &(u64, u64, u64, u64)| SparseStatistics {
            vectors,
            head,
            entries,
            chunks,
            ..SparseStatistics::default()
        };
        let multi = |&(multivectors, vectors): &(u64, u64)| MultiStatistics {
            multivectors,
            vectors,
            ..MultiStatistics::default()
        };
        Some(Info {
            name: name.to_owned(),
            settings: Some(settings.clone()),
            vectors: told.dense.iter().map(|(name, held)| (name.clone(), dense(held))).collect(),
            sparse: told.sparse.iter().map(|(name, held)| (name.clone(), sparse(held))).collect(),
            multi: told.multi.iter().map(|(name, held)| (name.clone(), multi(held))).collect(),
            aliases: Vec::new(),
            documents: told.documents,
            parts: told.parts,
            last_sequence: Sequence(told.last_sequence),
            fields: told.fields.clone(),
            state: CollectionState::Ready,
            disk_bytes: told.disk_bytes,
            deleted: BTreeMap::new(),
            waiting: 0,
            activity: None,
            upkeep_problem: None,
            memory: Vec::new(),
        })
    }
}

impl Summary {
    fn checksum(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        blake3::hash(&json).to_hex().to_string()
    }
}

impl Collection {
    /// Returns whether nothing is going on, nothing is due, and opening it again takes little time.
    pub(super) fn is_at_rest(&self) -> bool {
        let engine = &self.engine;
        let settings = &engine.kept().settings;
        engine.damage.get().is_none()
            && engine.read_only().is_none()
            && engine.views.current().live.len() <= PARTS_MAX
            && engine.expiries.is_empty()
            && engine.maintenance.activity().is_none()
            && engine.maintenance.problem().is_none()
            && settings.filling.is_empty()
            && settings.dropped.is_empty()
            && self.committer.waiting() == 0
    }

    /// Closes the collection and keeps a summary of it beside it, which is returned.
    pub(super) fn rest(&self, collections: &Path) -> Result<Summary, Error> {
        self.close();
        let info = self.info()?;
        let folder = collections.join(self.name());
        let log = fs_err::metadata(folder.join(files::TABLES).join(LOG))?;
        let dense = info.vectors.iter();
        let dense =
            dense.map(|(name, held)| (name.clone(), (held.sealed, held.head, held.segments)));
        let sparse = info.sparse.iter().map(|(name, held)| {
            (name.clone(), (held.vectors, held.head, held.entries, held.chunks))
        });
        let multi = info.multi.iter();
        let multi = multi.map(|(name, held)| (name.clone(), (held.multivectors, held.vectors)));
        let summary = Summary {
            documents: info.documents,
            parts: info.parts,
            last_sequence: info.last_sequence.0,
            fields: info.fields,
            disk_bytes: info.disk_bytes,
            log_bytes: log.len(),
            dense: dense.collect(),
            sparse: sparse.collect(),
            multi: multi.collect(),
        };
        let checksum = summary.checksum();
        let file = SummaryFile { format: FORMAT, checksum, summary: summary.clone() };
        let json = serde_json::to_vec(&file).map_err(std::io::Error::other)?;
        // Not synced: half of one fails its checksum, and one that is lost costs an opening.
        let unfinished = folder.join(SUMMARY).with_extension("new");
        fs_err::write(&unfinished, json)?;
        fs_err::rename(&unfinished, folder.join(SUMMARY))?;
        Ok(summary)
    }
}
