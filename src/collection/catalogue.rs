use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use super::SharedEmbedders;
use super::error::{Error, described};
use super::files;
use super::open::Collection;
use super::settings::{EmbedderFacts, NewCollection, Settings, check_name};
use crate::document::{FieldType, Sequence};
use crate::index::dense::DenseStatistics;
use crate::vector::Form;

/// The folder of the collections in a data directory.
const COLLECTIONS: &str = "collections";
/// What a folder is renamed to before it is removed, so that half of one is never opened.
const REMOVED: &str = ".removed";
/// What a folder is called until it is complete.
const UNFINISHED: &str = ".new";

/// How the collections of a data directory are kept.
#[derive(Debug, Clone, Copy)]
pub struct CollectionsOptions {
    /// How much memory the page cache of each collection takes, in bytes.
    pub cache_bytes_max: u64,
}

impl Default for CollectionsOptions {
    fn default() -> Self {
        Self { cache_bytes_max: 64 * 1024 * 1024 }
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
}

/// What a named vector holds.
pub type VectorInfo = DenseStatistics;

#[derive(Debug, Clone)]
enum Entry {
    Open(Arc<Collection>),
    Quarantined(String),
}

/// The collections of a data directory.
#[derive(Debug)]
pub struct Collections {
    folder: PathBuf,
    options: CollectionsOptions,
    embedders: SharedEmbedders,
    entries: RwLock<BTreeMap<String, Entry>>,
    _lock: fs_err::File,
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
        let lock = fs_err::File::create(folder.join("lock"))?;
        if lock.file().try_lock().is_err() {
            return Err(Error::InUse { folder: folder.to_owned(), holder: String::new() });
        }
        let mut entries = BTreeMap::new();
        for entry in fs_err::read_dir(&collections)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.ends_with(REMOVED) || name.ends_with(UNFINISHED) {
                files::remove_folder(&path)?;
            } else if check_name("collection", &name).is_ok() {
                let opened =
                    Collection::open(&name, &path, options.cache_bytes_max, Arc::clone(&embedders));
                let entry = match opened {
                    Ok(collection) => Entry::Open(Arc::new(collection)),
                    Err(error) => {
                        let reason = described(&error);
                        tracing::error!(collection = name, reason, "quarantined");
                        Entry::Quarantined(reason)
                    }
                };
                entries.insert(name, entry);
            }
        }
        let folder = collections;
        Ok(Self { folder, options, embedders, entries: RwLock::new(entries), _lock: lock })
    }

    /// Creates a collection.
    ///
    /// # Errors
    /// Already exists; invalid input for settings out of bounds; what its embedders say.
    pub fn create(&self, name: &str, new: &NewCollection) -> Result<Arc<Collection>, Error> {
        check_name("collection", name)?;
        let settings = Settings::decide(new, &|embedder| {
            let handle = self.embedders.get(embedder)?;
            let specification = handle.specification();
            if specification.form == Form::Sparse {
                return Err(Error::Settings(format!(
                    "model {embedder} gives sparse vectors, expected a dense one"
                )));
            }
            Ok(EmbedderFacts {
                fingerprint: specification.fingerprint.to_string(),
                dimension: specification.dimension,
                metric: specification.metric,
            })
        })?;
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries.contains_key(name) {
            return Err(Error::CollectionExists(name.to_owned()));
        }
        let folder = self.folder.join(name);
        let unfinished = self.folder.join(format!("{name}{UNFINISHED}"));
        files::remove_folder(&unfinished)?;
        fs_err::create_dir_all(&unfinished)?;
        settings.write(&unfinished)?;
        fs_err::rename(&unfinished, &folder)?;
        files::sync_folder(&self.folder)?;
        let cache = self.options.cache_bytes_max;
        let collection =
            Arc::new(Collection::open(name, &folder, cache, Arc::clone(&self.embedders))?);
        entries.insert(name.to_owned(), Entry::Open(Arc::clone(&collection)));
        Ok(collection)
    }

    /// Returns the collection.
    ///
    /// # Errors
    /// Not found; corrupt if it is quarantined.
    pub fn get(&self, name: &str) -> Result<Arc<Collection>, Error> {
        check_name("collection", name)?;
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        match entries.get(name) {
            Some(Entry::Open(collection)) => Ok(Arc::clone(collection)),
            Some(Entry::Quarantined(reason)) => {
                Err(Error::Quarantined { name: name.to_owned(), reason: reason.clone() })
            }
            None => Err(Error::UnknownCollection(name.to_owned())),
        }
    }

    /// Returns what there is to say of a collection, quarantined or not.
    ///
    /// # Errors
    /// Not found.
    pub fn info(&self, name: &str) -> Result<Info, Error> {
        check_name("collection", name)?;
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(name).cloned();
        drop(entries);
        match entry {
            Some(Entry::Open(collection)) => collection.info(),
            Some(Entry::Quarantined(reason)) => Ok(Info {
                name: name.to_owned(),
                settings: Settings::read(&self.folder.join(name)).ok(),
                vectors: BTreeMap::new(),
                documents: 0,
                parts: 0,
                last_sequence: Sequence(0),
                fields: BTreeMap::new(),
                state: CollectionState::Quarantined(reason),
                disk_bytes: 0,
            }),
            None => Err(Error::UnknownCollection(name.to_owned())),
        }
    }

    /// Returns the names of all collections, in order.
    pub fn names(&self) -> Vec<String> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.keys().cloned().collect()
    }

    /// Deletes a collection and all that is in it.
    ///
    /// # Errors
    /// Not found; the file system refuses.
    pub fn delete(&self, name: &str) -> Result<(), Error> {
        check_name("collection", name)?;
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let entry =
            entries.remove(name).ok_or_else(|| Error::UnknownCollection(name.to_owned()))?;
        if let Entry::Open(collection) = &entry {
            collection.close();
        }
        let removed = self.folder.join(format!("{name}{REMOVED}"));
        files::remove_folder(&removed)?;
        fs_err::rename(self.folder.join(name), &removed)?;
        files::sync_folder(&self.folder)?;
        drop(entry);
        files::remove_folder(&removed)?;
        Ok(())
    }

    /// Ends all writing and upkeep; what waits is still written.
    pub fn close(&self) {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner).clone();
        for entry in entries.values() {
            if let Entry::Open(collection) = entry {
                collection.close();
            }
        }
    }
}

impl Collection {
    /// Returns what there is to say of the collection.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn info(&self) -> Result<Info, Error> {
        let engine = &self.engine;
        let view = engine.views.current();
        let fields = view
            .fields
            .iter()
            .map(|(path, types)| (path.to_owned(), types.iter().copied().collect()));
        let state = match engine.read_only.get() {
            Some(reason) => CollectionState::ReadOnly(reason.clone()),
            None => CollectionState::Ready,
        };
        let vectors =
            engine.dense.iter().map(|(name, index)| (name.clone(), index.statistics())).collect();
        Ok(Info {
            name: engine.name.clone(),
            settings: Some(engine.settings.clone()),
            vectors,
            documents: view.documents(),
            parts: view.live.len(),
            last_sequence: view.sequence,
            fields: fields.collect(),
            state,
            disk_bytes: engine.database.size_on_disk()?,
        })
    }
}
