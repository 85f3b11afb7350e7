use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::keys::{Grant, Key, KeyError, NewKey, Refusal, SECRET_BYTES, hash};

/// The folder of the keys in a data directory, and what is in it.
const FOLDER: &str = "keys";
const LIST: &str = "list.json";
const SECRET: &str = "secret";
/// The format of the list that this build writes.
const FORMAT: u32 = 1;
/// The longest text that is looked at as a key, in bytes.
const TEXT_BYTES_MAX: usize = 256;
/// The most keys of a store.
const KEYS_MAX: usize = 10_000;

/// The keys of a data directory. Its files are read anew when they have changed, so that a key that
/// is made or revoked by another process counts from the next request on.
#[derive(Debug)]
pub struct KeyStore {
    folder: PathBuf,
    read: Mutex<Read>,
}

/// What was read, and how old the files were then.
#[derive(Default)]
struct Read {
    stamp: Option<(SystemTime, u64)>,
    secret: [u8; SECRET_BYTES],
    keys: Vec<(Key, blake3::Hash)>,
}

// The secret is nobody's to see.
impl std::fmt::Debug for Read {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Read").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
struct List {
    format: u32,
    keys: Vec<Key>,
}

impl KeyStore {
    /// Returns the keys of a data directory.
    ///
    /// # Errors
    /// [`KeyError`]: files that are damaged or cannot be read.
    pub fn open(data: &Path) -> Result<Self, KeyError> {
        let this = Self { folder: data.join(FOLDER), read: Mutex::default() };
        drop(this.current()?);
        Ok(this)
    }

    /// Returns whether a key is needed: from the first one that was made on, even if it is revoked.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn is_needed(&self) -> Result<bool, KeyError> {
        Ok(self.current()?.stamp.is_some())
    }

    /// Returns all keys, in the order in which they were made.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn list(&self) -> Result<Vec<Key>, KeyError> {
        Ok(self.current()?.keys.iter().map(|(key, _)| key.clone()).collect())
    }

    /// Makes a key and returns the text that opens with it, which is not kept. `random` are fresh
    /// random bytes for the key and, should it be the first, for the secret that keys are hashed with.
    ///
    /// # Errors
    /// Invalid input for a name, an expiry or a list of collections that is none; the file system
    /// refuses.
    pub fn create(
        &self,
        new: NewKey,
        random: &[[u8; SECRET_BYTES]; 2],
        now: u64,
    ) -> Result<(Key, String), KeyError> {
        // Others may be at it, in this process or another.
        let _turn = self.turn()?;
        let mut read = self.current()?;
        if read.keys.len() >= KEYS_MAX {
            return Err(KeyError::Wrong(format!("a server has at most {KEYS_MAX} keys")));
        }
        if read.stamp.is_none() && !self.folder.join(SECRET).exists() {
            write_private(&self.folder.join(SECRET), &random[1])?;
            read.secret = random[1];
        }
        let (key, text) = Key::make(new, &read.secret, &random[0], now)?;
        let mut keys: Vec<Key> = read.keys.iter().map(|(key, _)| key.clone()).collect();
        keys.push(key.clone());
        self.write(&mut read, keys)?;
        Ok((key, text))
    }

    /// Revokes a key.
    ///
    /// # Errors
    /// Not found; the file system refuses.
    pub fn revoke(&self, id: &str) -> Result<Key, KeyError> {
        let unknown = || KeyError::Unknown(id.to_owned());
        if !self.is_needed()? {
            return Err(unknown());
        }
        let _turn = self.turn()?;
        let mut read = self.current()?;
        let mut keys: Vec<Key> = read.keys.iter().map(|(key, _)| key.clone()).collect();
        let place = keys.iter().position(|key| key.id == id);
        let key = keys.remove(place.ok_or_else(unknown)?);
        self.write(&mut read, keys)?;
        Ok(key)
    }

    /// Returns what a key may do. Every key is compared, each in constant time, so that how long it
    /// takes says nothing.
    ///
    /// # Errors
    /// [`Refusal`] as the inner error; files that are damaged or cannot be read.
    pub fn check(&self, text: Option<&str>, now: u64) -> Result<Result<Grant, Refusal>, KeyError> {
        let read = self.current()?;
        if read.stamp.is_none() {
            return Ok(Ok(Grant::everything()));
        }
        let Some(text) = text else { return Ok(Err(Refusal::Missing)) };
        if text.len() > TEXT_BYTES_MAX {
            return Ok(Err(Refusal::Invalid));
        }
        let given = hash(&read.secret, text);
        let mut found = None;
        for (key, hash) in &read.keys {
            if *hash == given {
                found = Some(key);
            }
        }
        let worth = found.filter(|key| !key.is_expired(now));
        Ok(worth.map(Key::grant).ok_or(Refusal::Invalid))
    }

    /// Waits for the turn to change the files, which ends when the result is dropped.
    fn turn(&self) -> Result<fs_err::File, KeyError> {
        fs_err::create_dir_all(&self.folder)?;
        let file = fs_err::File::create(self.folder.join("lock"))?;
        file.file().lock()?;
        Ok(file)
    }

    /// Returns what the files hold now.
    fn current(&self) -> Result<MutexGuard<'_, Read>, KeyError> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = match fs_err::metadata(self.folder.join(LIST)) {
            Ok(metadata) => Some((metadata.modified()?, metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        if read.stamp != stamp || stamp.is_none() {
            // Keys that were there and cannot be read any more are not the same as no keys.
            *read = match stamp {
                Some(_) => self.load(stamp)?,
                None if read.stamp.is_some() => {
                    let file = self.folder.join(LIST).display().to_string();
                    return Err(KeyError::Damaged { file, reason: "it is gone".to_owned() });
                }
                None => Read::default(),
            };
            if stamp.is_none()
                && let Ok(secret) = self.secret()
            {
                read.secret = secret;
            }
        }
        Ok(read)
    }

    fn load(&self, stamp: Option<(SystemTime, u64)>) -> Result<Read, KeyError> {
        let path = self.folder.join(LIST);
        let damaged =
            |reason: String| KeyError::Damaged { file: path.display().to_string(), reason };
        let list: List = serde_json::from_slice(&fs_err::read(&path)?)
            .map_err(|error| damaged(error.to_string()))?;
        if list.format != FORMAT {
            return Err(damaged(format!("it has format {}, expected {FORMAT}", list.format)));
        }
        let keys = list.keys.into_iter().map(|key| {
            let hash = blake3::Hash::from_hex(&key.hash);
            let hash = hash.map_err(|_| damaged(format!("key `{}` has no hash", key.id)))?;
            Ok((key, hash))
        });
        Ok(Read { stamp, secret: self.secret()?, keys: keys.collect::<Result<_, KeyError>>()? })
    }

    fn secret(&self) -> Result<[u8; SECRET_BYTES], KeyError> {
        let path = self.folder.join(SECRET);
        let bytes = fs_err::read(&path)?;
        <[u8; SECRET_BYTES]>::try_from(bytes.as_slice()).map_err(|_| KeyError::Damaged {
            file: path.display().to_string(),
            reason: format!("expected {SECRET_BYTES} bytes, got {}", bytes.len()),
        })
    }

    fn write(&self, read: &mut Read, keys: Vec<Key>) -> Result<(), KeyError> {
        let json = serde_json::to_vec_pretty(&List { format: FORMAT, keys })
            .map_err(|error| KeyError::Wrong(format!("keys cannot be written: {error}")))?;
        let path = self.folder.join(LIST);
        write_private(&path, &json)?;
        let metadata = fs_err::metadata(&path)?;
        *read = self.load(Some((metadata.modified()?, metadata.len())))?;
        Ok(())
    }
}

/// Writes a file that only its owner reads, whole or not at all.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut options = fs_err::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use fs_err::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs_err::rename(&temporary, path)?;
    fs_err::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::super::{Rates, Scope};
    use super::*;

    fn new(name: &str, scope: Scope) -> NewKey {
        let (name, rates) = (name.to_owned(), Rates::default());
        NewKey { name, scope, collections: None, expires_unix_ms: None, rates }
    }

    fn random(seed: u8) -> [[u8; SECRET_BYTES]; 2] {
        [[seed; SECRET_BYTES], [seed.wrapping_add(100); SECRET_BYTES]]
    }

    #[test]
    fn a_key_opens_what_it_was_made_for_until_it_expires_or_is_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let store = KeyStore::open(folder.path()).unwrap();
        assert!(!store.is_needed().unwrap());
        assert_eq!(store.check(None, 0).unwrap(), Ok(Grant::everything()));
        let (reader, text) = store.create(new("r", Scope::Read), &random(1), 10).unwrap();
        let short = NewKey { expires_unix_ms: Some(20), ..new("s", Scope::Write) };
        let (_, brief) = store.create(short, &random(2), 10).unwrap();
        let check = |text: Option<&str>, now| store.check(text, now).unwrap();
        assert_eq!(check(Some(&text), 15).unwrap().scope, Scope::Read);
        assert_eq!(check(Some(&brief), 15).unwrap().scope, Scope::Write);
        assert_eq!(check(Some(&brief), 20), Err(Refusal::Invalid));
        assert_eq!(check(None, 15), Err(Refusal::Missing));
        for wrong in ["", "simile_", &text[1..], &format!("{text}0"), &"x".repeat(1_000)] {
            assert_eq!(check(Some(wrong), 15), Err(Refusal::Invalid), "{wrong}");
        }
        store.revoke(&reader.id).unwrap();
        assert_eq!(check(Some(&text), 15), Err(Refusal::Invalid));
        assert!(matches!(store.revoke(&reader.id), Err(KeyError::Unknown(_))));
    }

    #[test]
    fn another_process_sees_a_new_key_and_a_revoked_one_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) =
            (KeyStore::open(folder.path()).unwrap(), KeyStore::open(folder.path()).unwrap());
        let (first, text) = one.create(new("a", Scope::Admin), &random(1), 0).unwrap();
        assert_eq!(other.check(Some(&text), 1).unwrap(), Ok(first.grant()));
        let (_, second) = other.create(new("second", Scope::Read), &random(2), 0).unwrap();
        assert!(one.check(Some(&second), 1).unwrap().is_ok());
        one.revoke(&first.id).unwrap();
        assert_eq!(other.check(Some(&text), 1).unwrap(), Err(Refusal::Invalid));
        // Without its keys a server is not suddenly open to all.
        let all = one.list().unwrap();
        all.iter().for_each(|key| drop(one.revoke(&key.id).unwrap()));
        assert_eq!(other.check(None, 1).unwrap(), Err(Refusal::Missing));
        fs_err::remove_file(folder.path().join(FOLDER).join(LIST)).unwrap();
        assert!(matches!(other.check(Some(&second), 1), Err(KeyError::Damaged { .. })));
    }

    #[test]
    fn a_key_keeps_how_fast_it_may_ask_and_one_of_before_has_no_such_bound() {
        let folder = tempfile::tempdir().unwrap();
        let store = KeyStore::open(folder.path()).unwrap();
        let rates = Rates { requests_per_second_max: Some(2), bytes_per_second_max: Some(9) };
        let slow = NewKey { rates, ..new("slow", Scope::Read) };
        let (_, text) = store.create(slow, &random(1), 0).unwrap();
        assert_eq!(store.check(Some(&text), 1).unwrap().unwrap().rates, rates);
        // As a list without the field has it.
        let file = folder.path().join(FOLDER).join(LIST);
        let mut list: serde_json::Value =
            serde_json::from_slice(&fs_err::read(&file).unwrap()).unwrap();
        list["keys"][0].as_object_mut().unwrap().remove("rates").unwrap();
        fs_err::write(&file, list.to_string()).unwrap();
        let store = KeyStore::open(folder.path()).unwrap();
        assert_eq!(store.check(Some(&text), 1).unwrap().unwrap().rates, Rates::default());
    }

    #[test]
    fn what_is_kept_does_not_hold_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let store = KeyStore::open(folder.path()).unwrap();
        let (key, text) = store.create(new("a", Scope::Admin), &random(7), 0).unwrap();
        let secret = text.rsplit('_').next().unwrap();
        assert_eq!(secret.len(), 2 * SECRET_BYTES);
        assert!(text.contains(&key.id));
        let list = fs_err::read_to_string(folder.path().join(FOLDER).join(LIST)).unwrap();
        assert!(!list.contains(secret) && !list.contains(&secret[8..]), "{list}");
        #[cfg(unix)]
        for file in [LIST, SECRET] {
            use std::os::unix::fs::PermissionsExt as _;
            let metadata = fs_err::metadata(folder.path().join(FOLDER).join(file)).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{file}");
        }
    }

    #[test]
    fn names_expiries_and_lists_that_are_none_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = KeyStore::open(folder.path()).unwrap();
        let nothing = NewKey { collections: Some([].into()), ..new("a", Scope::Read) };
        let past = NewKey { expires_unix_ms: Some(5), ..new("a", Scope::Read) };
        let silent = Rates { requests_per_second_max: Some(0), ..Rates::default() };
        let silent = NewKey { rates: silent, ..new("a", Scope::Read) };
        let long = new(&"x".repeat(65), Scope::Read);
        for wrong in [new(" ", Scope::Read), long, nothing, past, silent] {
            assert!(store.create(wrong, &random(1), 5).is_err());
        }
        assert!(!store.is_needed().unwrap());
        fs_err::write(folder.path().join(FOLDER).join(LIST), "{").unwrap();
        assert!(matches!(KeyStore::open(folder.path()), Err(KeyError::Damaged { .. })));
    }
}
