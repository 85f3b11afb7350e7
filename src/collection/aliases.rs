//! Other names for collections, which move from one to another at one moment.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use super::catalogue::Collections;
use super::error::Error;
use super::files;
use super::settings::check_name;

/// The file of the aliases in a data directory.
const FILE: &str = "aliases.json";
/// What a damaged one is renamed to.
const DAMAGED: &str = "aliases.json.damaged";
/// The format of the file that this build writes.
const FORMAT: u32 = 1;
/// The most aliases of a data directory, and the most changes of one request.
pub const ALIASES_MAX: usize = 10_000;

/// A change of the aliases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AliasChange {
    /// Lets a name stand for a collection, whatever it stood for before.
    Set {
        /// The name; no collection has it.
        alias: String,
        /// The collection.
        collection: String,
    },
    /// Gives an alias another name.
    Rename {
        /// The name it has.
        alias: String,
        /// The name it gets; neither a collection nor another alias has it.
        to: String,
    },
    /// Takes an alias away; the collection stays.
    Delete {
        /// The name.
        alias: String,
    },
}

/// The aliases of a data directory.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    /// alias -> collection.
    names: RwLock<Arc<BTreeMap<String, String>>>,
    /// Held while names are given, so that a collection and an alias never get the same. Taken before
    /// the lock of the collections.
    naming: Mutex<()>,
}

/// What is in the file. Persisted as JSON; fields may be added.
#[derive(Serialize, Deserialize)]
struct AliasesFile {
    format: u32,
    /// The BLAKE3 hash of the aliases as compact JSON.
    checksum: String,
    aliases: BTreeMap<String, String>,
}

impl Aliases {
    /// Reads the aliases of a data directory; those of collections that are not there are left out.
    /// A file that cannot be read is put aside.
    pub(super) fn open(folder: &Path, collections: &[String]) -> Result<Self, Error> {
        let path = folder.join(FILE);
        let mut names = match read(&path) {
            Err(Error::Corrupt { what, reason }) => {
                tracing::error!(what, reason, "the aliases are lost: set them again");
                fs_err::rename(&path, folder.join(DAMAGED))?;
                BTreeMap::new()
            }
            other => other?,
        };
        let before = names.len();
        names.retain(|_, collection| collections.contains(collection));
        let is_changed = names.len() < before;
        let this = Self { names: RwLock::new(Arc::new(names)), naming: Mutex::default() };
        if is_changed {
            // Or they would come back with a later collection of the same name.
            this.replace(folder, BTreeMap::clone(&this.all()), &this.naming())?;
        }
        Ok(this)
    }

    /// Lets nobody else give names until the guard is dropped.
    pub(super) fn naming(&self) -> MutexGuard<'_, ()> {
        self.naming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns alias and collection, by alias.
    pub(super) fn all(&self) -> Arc<BTreeMap<String, String>> {
        Arc::clone(&self.names.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes the names durable, and then those that hold.
    fn replace(
        &self,
        folder: &Path,
        names: BTreeMap<String, String>,
        _naming: &MutexGuard<'_, ()>,
    ) -> Result<(), Error> {
        let checksum = checksum(&names);
        let file = AliasesFile { format: FORMAT, checksum, aliases: names };
        let json = serde_json::to_vec_pretty(&file)
            .map_err(|error| Error::Settings(format!("aliases cannot be written: {error}")))?;
        files::write_whole(&folder.join(FILE), &json)?;
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        *names = Arc::new(file.aliases);
        Ok(())
    }

    /// Takes away the aliases of a collection that is gone.
    pub(super) fn forget(&self, folder: &Path, collection: &str) -> Result<(), Error> {
        let naming = self.naming();
        let mut names = BTreeMap::clone(&self.all());
        let before = names.len();
        names.retain(|_, target| target != collection);
        if names.len() == before { Ok(()) } else { self.replace(folder, names, &naming) }
    }
}

impl Collections {
    /// Returns alias and collection, by alias.
    pub fn aliases(&self) -> Arc<BTreeMap<String, String>> {
        self.aliases.all()
    }

    /// Returns the name of the collection that a name stands for: that of an alias, or the name itself.
    pub fn resolve(&self, name: &str) -> String {
        self.aliases.all().get(name).map_or_else(|| name.to_owned(), String::clone)
    }

    /// Returns the aliases of a collection, in order.
    pub(super) fn aliases_of(&self, collection: &str) -> Vec<String> {
        let all = self.aliases.all();
        all.iter().filter(|(_, of)| *of == collection).map(|(alias, _)| alias.clone()).collect()
    }

    /// Changes aliases, all at one moment or none: whoever asks sees them as they were or as they are,
    /// and so does a crash.
    ///
    /// # Errors
    /// Invalid input for a name that is none or too many changes; not found for an alias or a
    /// collection that is not there; already exists for a name that a collection, or another alias,
    /// has; the file system refuses.
    pub fn change_aliases(&self, changes: &[AliasChange]) -> Result<(), Error> {
        let too_many = |actual| Error::TooMuch { what: "aliases", limit: ALIASES_MAX, actual };
        if changes.len() > ALIASES_MAX {
            return Err(too_many(changes.len()));
        }
        let naming = self.aliases.naming();
        let collections = self.names();
        let is_collection = |name: &String| collections.contains(name);
        let mut names = BTreeMap::clone(&self.aliases.all());
        for change in changes {
            match change {
                AliasChange::Set { alias, collection } => {
                    check_name("collection alias", alias)?;
                    check_name("collection", collection)?;
                    if is_collection(alias) {
                        return Err(Error::CollectionExists(alias.clone()));
                    }
                    if !is_collection(collection) {
                        return Err(Error::UnknownCollection(collection.clone()));
                    }
                    names.insert(alias.clone(), collection.clone());
                }
                AliasChange::Rename { alias, to } => {
                    check_name("collection alias", to)?;
                    let unknown = || Error::UnknownAlias(alias.clone());
                    let collection = names.remove(alias).ok_or_else(unknown)?;
                    if is_collection(to) {
                        return Err(Error::CollectionExists(to.clone()));
                    }
                    if let Some(other) = names.insert(to.clone(), collection) {
                        return Err(Error::AliasExists { alias: to.clone(), collection: other });
                    }
                }
                AliasChange::Delete { alias } => {
                    let unknown = || Error::UnknownAlias(alias.clone());
                    names.remove(alias).ok_or_else(unknown)?;
                }
            }
        }
        if names.len() > ALIASES_MAX {
            return Err(too_many(names.len()));
        }
        if names == *self.aliases.all() {
            return Ok(());
        }
        self.aliases.replace(&self.root, names, &naming)
    }
}

fn read(path: &Path) -> Result<BTreeMap<String, String>, Error> {
    let damaged = |reason: String| Error::Corrupt { what: path.display().to_string(), reason };
    let bytes = match fs_err::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        other => other?,
    };
    let file: AliasesFile =
        serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    if file.format != FORMAT {
        return Err(Error::NewerFormat { found: file.format, known: FORMAT });
    }
    let actual = checksum(&file.aliases);
    if actual != file.checksum {
        return Err(damaged(format!("expected checksum {}, got {actual}", file.checksum)));
    }
    Ok(file.aliases)
}

fn checksum(names: &BTreeMap<String, String>) -> String {
    let json = serde_json::to_vec(names).unwrap_or_default();
    blake3::hash(&json).to_hex().to_string()
}
