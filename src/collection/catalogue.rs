use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLockWriteGuard};
use std::time::Duration;

use simile_storage::FileLock;

use super::aliases::Aliases;
use super::error::{Error, described};
use super::jobs::Clock;
use super::memory::{Budget, MemoryUse};
use super::open::Collection;
use super::settings::{EmbedderFacts, NewCollection, Settings, check_name};
use super::sleep::{Entries, Keeper, OPEN_MAX, Sleeper, fall_asleep, forget};
use super::upkeep::{Activity, deleted as deleted_slots};
use super::{SharedEmbedders, files};
use crate::decode::Limits;
use crate::document::{FieldType, Sequence};
use crate::embed::Modality;
use crate::fail;
use crate::index::dense::DenseStatistics;
use crate::index::multi::MultiStatistics;
use crate::index::sparse::SparseStatistics;
use crate::query::Reads;

/// The folder of the collections in a data directory.
const COLLECTIONS: &str = "collections";
/// What a folder is renamed to before it is removed, so that half of one is never opened.
const REMOVED: &str = ".removed";
/// What a folder is called until it is complete.
const UNFINISHED: &str = ".new";

/// How the collections of a data directory are kept.
#[derive(Clone)]
pub struct CollectionsOptions {
    /// How much memory the page cache of each collection takes, in bytes; the rows of its last answers take
    /// up to half as much again.
    pub cache_bytes_max: u64,
    /// How much memory all of them take together, beside mapped files; writes are refused beyond.
    /// None: as much as there is.
    pub memory_bytes_max: Option<u64>,
    /// On how many threads a collection builds graphs.
    pub build_threads: usize,
    /// How many new vectors make a segment; none: the index decides.
    pub seal_at: Option<usize>,
    /// How often it is looked whether something is to be done.
    pub upkeep_interval: Duration,
    /// Whether small collections that nobody asks for are closed until somebody does.
    pub closes_idle: bool,
    /// The time, by which documents expire.
    pub clock: Clock,
    /// The bounds of decoding.
    pub limits: Limits,
}

impl std::fmt::Debug for CollectionsOptions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("CollectionsOptions")
            .field("cache_bytes_max", &self.cache_bytes_max)
            .field("memory_bytes_max", &self.memory_bytes_max)
            .finish_non_exhaustive()
    }
}

impl Default for CollectionsOptions {
    fn default() -> Self {
        Self {
            cache_bytes_max: 64 * 1024 * 1024,
            memory_bytes_max: None,
            build_threads: 1,
            seal_at: None,
            upkeep_interval: Duration::from_secs(1),
            closes_idle: false,
            // A clock that stands still: nothing expires.
            clock: Arc::new(|| 0),
            limits: Limits::default(),
        }
    }
}

/// Whether a collection is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CollectionState {
    /// It is.
    Ready,
    /// It takes no writes since something failed.
    ReadOnly(String),
    /// Its data failed verification.
    Quarantined(String),
}

/// What there is to say of a collection.
#[derive(Debug, Clone, PartialEq)]
pub struct Info {
    /// Its name.
    pub name: String,
    /// What it is like; none where that cannot be read.
    pub settings: Option<Settings>,
    /// What its vectors hold, by name.
    pub vectors: BTreeMap<String, VectorInfo>,
    /// What its sparse vectors hold, by name.
    pub sparse: BTreeMap<String, SparseStatistics>,
    /// What its multivectors hold, by name.
    pub multi: BTreeMap<String, MultiStatistics>,
    /// The other names it has, in order.
    pub aliases: Vec<String>,
    /// Its documents.
    pub documents: u64,
    /// Their parts.
    pub parts: u64,
    /// Its newest mutation.
    pub last_sequence: Sequence,
    /// What each payload field was seen to hold.
    pub fields: BTreeMap<String, Vec<FieldType>>,
    /// Whether it is served.
    pub state: CollectionState,
    /// The bytes of its tables.
    pub disk_bytes: u64,
    /// How many slots of sealed segments are deleted, by vector name; a merge drops them.
    pub deleted: BTreeMap<String, u64>,
    /// Writes that wait.
    pub waiting: u64,
    /// What upkeep is doing.
    pub activity: Option<Activity>,
    /// Why upkeep failed the last time it was due, if it did. It is tried again.
    pub upkeep_problem: Option<String>,
    /// What each component takes of memory.
    pub memory: Vec<MemoryUse>,
}

/// What a named vector holds.
pub type VectorInfo = DenseStatistics;

#[derive(Debug, Clone)]
pub(super) enum Entry {
    Open(Arc<Collection>),
    /// It is closed, and opened by whoever asks for it.
    Asleep(Arc<Sleeper>),
    Quarantined(String),
    /// It is being opened, or removed.
    Busy,
}

/// The collections of a data directory.
#[derive(Debug)]
pub struct Collections {
    /// The data directory.
    pub(super) root: PathBuf,
    folder: PathBuf,
    pub(super) options: CollectionsOptions,
    pub(super) aliases: Aliases,
    budget: Arc<Budget>,
    embedders: SharedEmbedders,
    entries: Arc<Entries>,
    _keeper: Option<Keeper>,
    _lock: FileLock,
}

impl Collections {
    /// Opens every collection of a data directory, which is created if it is missing. One whose
    /// data is damaged is quarantined, and the others are served.
    ///
    /// # Errors
    /// [`Error::InUse`] (unavailable) if another process serves the directory; the file system
    /// refuses.
    pub fn open(
        folder: &Path,
        options: CollectionsOptions,
        embedders: SharedEmbedders,
    ) -> Result<Self, Error> {
        let collections = folder.join(COLLECTIONS);
        fs_err::create_dir_all(&collections)?;
        let lock = FileLock::try_take(&folder.join("lock"))?
            .ok_or_else(|| Error::InUse { folder: folder.to_owned(), holder: String::new() })?;
        let mut names = Vec::new();
        for entry in fs_err::read_dir(&collections)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.ends_with(REMOVED) || name.ends_with(UNFINISHED) {
                if let Err(error) = files::remove_folder(&path) {
                    tracing::warn!(%error, "what was deleted could not be removed");
                }
            } else if check_name("collection", &name).is_ok() {
                names.push(name);
            }
        }
        let budget = Arc::new(Budget::new(options.memory_bytes_max));
        let aliases = Aliases::open(folder, &names)?;
        let (root, entries) = (folder.to_owned(), Arc::<Entries>::default());
        let folder = collections;
        let keeper = options
            .closes_idle
            .then(|| Keeper::start(Arc::clone(&entries), folder.clone(), Arc::clone(&budget)));
        let (keeper, lock) = (keeper.transpose()?, lock);
        let this = Self {
            root,
            folder,
            options,
            aliases,
            budget,
            embedders,
            entries,
            _keeper: keeper,
            _lock: lock,
        };
        this.remove_unfinished_snapshots()?;
        let mut open = 0;
        for name in names {
            let folder = this.folder.join(&name);
            let asleep = if this.options.closes_idle { Sleeper::find(&folder) } else { None };
            let entry = match asleep {
                Some(sleeper) => Entry::Asleep(Arc::new(sleeper)),
                None => this.open_entry(&name),
            };
            open += usize::from(matches!(entry, Entry::Open(_)));
            this.entries().insert(name.clone(), entry);
            if this.options.closes_idle && open > OPEN_MAX {
                fall_asleep(&this.entries, &this.folder, &this.budget, &name);
            }
        }
        Ok(this)
    }

    fn open_entry(&self, name: &str) -> Entry {
        let opened = forget(&self.folder.join(name)).and_then(|()| self.open_one(name));
        match opened {
            Ok(collection) => Entry::Open(Arc::new(collection)),
            Err(error) => {
                let reason = described(&error);
                tracing::error!(collection = name, reason, "quarantined");
                Entry::Quarantined(reason)
            }
        }
    }

    fn open_one(&self, name: &str) -> Result<Collection, Error> {
        let (budget, embedders) = (Arc::clone(&self.budget), Arc::clone(&self.embedders));
        let open =
            || Collection::open(name, &self.folder.join(name), &self.options, budget, embedders);
        // An engine that panics on what it reads has met damage; the others are to be served.
        catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(|_| {
            let what = format!("the folder of collection `{name}`");
            Err(Error::Corrupt { what, reason: "opening it failed; the log has more".into() })
        })
    }

    fn entries(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Entry>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates a collection.
    ///
    /// # Errors
    /// Already exists; invalid input for settings out of bounds; what its embedders say.
    pub fn create(&self, name: &str, new: &NewCollection) -> Result<Arc<Collection>, Error> {
        check_name("collection", name)?;
        let facts = |embedder: &str| facts_of(&self.embedders, embedder);
        let settings = Settings::decide(new, &facts)?;
        self.make(name, |folder| settings.write(folder))
    }

    /// Makes a collection of a folder that `fill` fills, whole or not at all.
    pub(super) fn make(
        &self,
        name: &str,
        fill: impl FnOnce(&Path) -> Result<(), Error>,
    ) -> Result<Arc<Collection>, Error> {
        check_name("collection", name)?;
        let naming = self.aliases.naming();
        if let Some(collection) = self.aliases.all().get(name) {
            let (alias, collection) = (name.to_owned(), collection.clone());
            return Err(Error::AliasExists { alias, collection });
        }
        let mut entries = self.entries();
        if entries.contains_key(name) {
            return Err(Error::CollectionExists(name.to_owned()));
        }
        entries.insert(name.to_owned(), Entry::Busy);
        drop((entries, naming));
        let created = self.create_folder(name, fill).and_then(|()| self.open_one(name));
        let mut entries = self.entries();
        match created {
            Ok(collection) => {
                let collection = Arc::new(collection);
                entries.insert(name.to_owned(), Entry::Open(Arc::clone(&collection)));
                Ok(collection)
            }
            Err(error) => {
                entries.remove(name);
                drop(entries);
                // Nothing is in it, and what stays of it does not stand in the way.
                let _unfinished = files::remove_folder(&self.unfinished(name));
                let _left = self.remove_folder(name);
                Err(error)
            }
        }
    }

    /// Makes the folder of a collection, whole or not at all.
    fn create_folder(
        &self,
        name: &str,
        fill: impl FnOnce(&Path) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let unfinished = self.unfinished(name);
        files::remove_folder(&unfinished)?;
        fs_err::create_dir_all(&unfinished)?;
        fill(&unfinished)?;
        fail::reached("create: before the folder has its name", &self.folder);
        fs_err::rename(&unfinished, self.folder.join(name))?;
        fail::reached("create: before its name is durable", &self.folder);
        Ok(files::sync_folder(&self.folder)?)
    }

    fn unfinished(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}{UNFINISHED}"))
    }

    /// Removes the folder of a collection, whole or not at all.
    fn remove_folder(&self, name: &str) -> Result<(), Error> {
        let removed = self.folder.join(format!("{name}{REMOVED}"));
        files::remove_folder(&removed)?;
        fs_err::rename(self.folder.join(name), &removed)?;
        files::sync_folder(&self.folder)?;
        fail::reached("delete: before the folder is removed", &self.folder);
        Ok(files::remove_folder(&removed)?)
    }

    /// Returns the collection of this name, or the one that the name is an alias of.
    ///
    /// # Errors
    /// Not found; corrupt if it is quarantined.
    pub fn get(&self, name: &str) -> Result<Arc<Collection>, Error> {
        check_name("collection", name)?;
        let name = &self.resolve(name);
        let entries = loop {
            self.wake(name);
            let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
            // Unless it fell asleep between the two lines.
            if !matches!(entries.get(name), Some(Entry::Asleep(_))) {
                break entries;
            }
        };
        match entries.get(name) {
            Some(Entry::Open(collection)) => match collection.engine.damage.get() {
                Some(reason) => {
                    Err(Error::Quarantined { name: name.to_owned(), reason: reason.clone() })
                }
                None => {
                    collection.looks.store(0, Ordering::Relaxed);
                    Ok(Arc::clone(collection))
                }
            },
            Some(Entry::Quarantined(reason)) => {
                Err(Error::Quarantined { name: name.to_owned(), reason: reason.clone() })
            }
            Some(Entry::Busy | Entry::Asleep(_)) => Err(Error::Closed(name.to_owned())),
            None => Err(Error::UnknownCollection(name.to_owned())),
        }
    }

    /// Returns what there is to say of a collection, quarantined or not.
    ///
    /// # Errors
    /// Not found.
    pub fn info(&self, name: &str) -> Result<Info, Error> {
        check_name("collection", name)?;
        let name = &self.resolve(name);
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(name).cloned();
        drop(entries);
        match entry {
            Some(Entry::Asleep(sleeper)) => {
                let told = sleeper.info(name).map_or_else(|| self.get(name)?.info(), Ok)?;
                Ok(Info { aliases: self.aliases_of(name), ..told })
            }
            Some(Entry::Open(collection)) => {
                Ok(Info { aliases: self.aliases_of(name), ..collection.info()? })
            }
            Some(Entry::Quarantined(reason)) => Ok(Info {
                name: name.to_owned(),
                settings: Settings::read(&self.folder.join(name)).ok(),
                vectors: BTreeMap::new(),
                sparse: BTreeMap::new(),
                multi: BTreeMap::new(),
                aliases: self.aliases_of(name),
                documents: 0,
                parts: 0,
                last_sequence: Sequence(0),
                fields: BTreeMap::new(),
                state: CollectionState::Quarantined(reason),
                disk_bytes: files::size(&self.folder.join(name).join(files::TABLES)),
                deleted: BTreeMap::new(),
                waiting: 0,
                activity: None,
                upkeep_problem: None,
                memory: Vec::new(),
            }),
            Some(Entry::Busy) => Err(Error::Closed(name.to_owned())),
            None => Err(Error::UnknownCollection(name.to_owned())),
        }
    }

    /// Returns the names of all collections, in order.
    pub fn names(&self) -> Vec<String> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.keys().cloned().collect()
    }

    /// Deletes a collection, all that is in it, and its aliases. Its snapshots stay.
    ///
    /// # Errors
    /// Not found; conflict for an alias; the file system refuses.
    pub fn delete(&self, name: &str) -> Result<(), Error> {
        check_name("collection", name)?;
        if let Some(collection) = self.aliases.all().get(name) {
            let (alias, collection) = (name.to_owned(), collection.clone());
            return Err(Error::IsAlias { alias, collection });
        }
        let entry = self.take(name)?;
        if let Entry::Open(collection) = &entry {
            collection.close();
        }
        match self.remove_folder(name) {
            Err(error) if self.folder.join(name).exists() => {
                let entry =
                    if matches!(entry, Entry::Open(_)) { self.open_entry(name) } else { entry };
                self.entries().insert(name.to_owned(), entry);
                Err(error)
            }
            // What is not removed yet bears another name, and is removed on the next start; so are
            // aliases of what is not there.
            _removed => {
                let forgotten = self.aliases.forget(&self.root, name);
                self.entries().remove(name);
                self.budget.remove(name);
                forgotten
            }
        }
    }

    /// Tries again to open a collection that is quarantined, with all derived files made anew; its
    /// tables and settings are left as they are. One that is open is left alone. Returns whether
    /// there was something to do.
    ///
    /// # Errors
    /// Not found; why it still does not open.
    pub fn reopen(&self, name: &str) -> Result<bool, Error> {
        check_name("collection", name)?;
        let name = &self.resolve(name);
        self.wake(name);
        let is_quarantined = {
            let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
            matches!(entries.get(name), Some(Entry::Quarantined(_)))
        };
        if !is_quarantined {
            return self.get(name).map(|_| false);
        }
        let before = self.take(name)?;
        let folder = self.folder.join(name);
        let opened = [files::DENSE, files::LEXICAL, files::CHECKPOINT]
            .into_iter()
            .try_for_each(|derived| files::remove_folder(&folder.join(derived)))
            .map_err(Error::from)
            .and_then(|()| self.open_one(name));
        let (entry, result) = match opened {
            Ok(collection) => (Entry::Open(Arc::new(collection)), Ok(true)),
            Err(error) => (before, Err(error)),
        };
        self.entries().insert(name.to_owned(), entry);
        result
    }

    /// Takes a collection out for a while; who asks for it meanwhile is told that it is closed.
    fn take(&self, name: &str) -> Result<Entry, Error> {
        self.wake(name);
        match self.entries().get_mut(name) {
            Some(Entry::Busy) => Err(Error::Closed(name.to_owned())),
            Some(entry) => Ok(std::mem::replace(entry, Entry::Busy)),
            None => Err(Error::UnknownCollection(name.to_owned())),
        }
    }

    /// Opens a collection that is asleep; returns when it is open, or quarantined.
    fn wake(&self, name: &str) {
        loop {
            let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
            let Some(Entry::Asleep(sleeper)) = entries.get(name) else { return };
            let sleeper = Arc::clone(sleeper);
            drop(entries);
            // Held while it opens; who waited finds it open.
            let mut asleep = sleeper.lock();
            if asleep.take().is_some() {
                let entry = self.open_entry(name);
                self.entries().insert(name.to_owned(), entry);
            }
        }
    }

    /// Returns the bytes of memory in use beside mapped files, and the most there may be. The former
    /// is kept up only where there is such a bound.
    pub fn memory(&self) -> (u64, Option<u64>) {
        (self.budget.used(), self.budget.bytes_max())
    }

    /// Ends all writing and upkeep; what waits is still written.
    pub fn close(&self) {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner).clone();
        for (name, entry) in &entries {
            let Entry::Open(collection) = entry else { continue };
            collection.close();
            if self.options.closes_idle
                && collection.is_at_rest()
                && let Err(error) = collection.rest(&self.folder)
            {
                tracing::warn!(collection = name, %error, "no summary could be kept");
            }
        }
    }
}

/// Returns what has to be known of an embedder to bind a vector to it.
pub(super) fn facts_of(
    embedders: &SharedEmbedders,
    embedder: &str,
) -> Result<EmbedderFacts, Error> {
    let handle = embedders.get(embedder)?;
    let specification = handle.specification();
    if specification.modalities == [Modality::Pair] {
        // It scores pairs, and gives no vectors.
        specification.require(Modality::Text)?;
    }
    Ok(EmbedderFacts {
        fingerprint: specification.fingerprint.to_string(),
        reads: Reads {
            texts: specification.modalities.contains(&Modality::Text),
            pictures: specification.modalities.contains(&Modality::Image),
            sounds: specification.modalities.contains(&Modality::Sound),
        },
        form: specification.form,
        dimension: specification.dimension,
        metric: specification.metric,
    })
}

impl Collection {
    /// Returns what there is to say of the collection; its aliases are for the catalogue to say.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn info(&self) -> Result<Info, Error> {
        let engine = &self.engine;
        let view = engine.unexpired();
        let fields = view
            .fields
            .iter()
            .map(|(path, types)| (path.to_owned(), types.iter().copied().collect()));
        let state = match (engine.damage.get(), engine.read_only()) {
            (Some(reason), _) => CollectionState::Quarantined(reason.clone()),
            (None, Some(reason)) => CollectionState::ReadOnly(reason),
            (None, None) => CollectionState::Ready,
        };
        let shown = engine.views.shown();
        let kept = engine.kept();
        let deleted = kept.dense.iter();
        let deleted = deleted.map(|(name, index)| (name.clone(), deleted_slots(index, &shown)));
        let vectors =
            kept.dense.iter().map(|(name, index)| (name.clone(), index.statistics())).collect();
        let sparse = kept.sparse.iter();
        let sparse = sparse.map(|(name, index)| (name.clone(), index.statistics()));
        let multi = kept.multi.iter();
        let multi = multi.map(|(name, index)| (name.clone(), index.statistics()));
        Ok(Info {
            name: engine.name.clone(),
            settings: Some(kept.settings.clone()),
            vectors,
            sparse: sparse.collect(),
            multi: multi.collect(),
            aliases: Vec::new(),
            documents: view.documents(),
            parts: view.live.len(),
            last_sequence: view.sequence,
            fields: fields.collect(),
            state,
            disk_bytes: engine.database.size_on_disk()?,
            deleted: deleted.collect(),
            waiting: self.committer.waiting() as u64,
            activity: engine.maintenance.activity(),
            upkeep_problem: engine.maintenance.problem(),
            memory: engine.memory(),
        })
    }
}
