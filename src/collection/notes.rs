use std::io;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use super::error::Error;
use super::files;
use super::open::Collection;
use super::settings::check_name;
use crate::document::Filter;

/// The folder of the notes in that of a collection.
const NOTES: &str = "notes";
/// The most bytes of a note.
const NOTE_BYTES_MAX: usize = 256 * 1024;
/// The most notes that are restored.
pub(super) const NOTES_MAX: usize = 16;

// A note is what a face of the server keeps beside a collection: bytes by name, which mean nothing
// here. It survives power loss, and goes with its collection.
impl Collection {
    /// Returns a note, empty where there is none.
    ///
    /// # Errors
    /// Invalid input for a name that is none; the file system refuses.
    pub fn note(&self, name: &str) -> Result<Vec<u8>, Error> {
        match fs_err::read(self.note_path(name)?) {
            Ok(bytes) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Changes a note, unless there is nothing to change; changes of one collection follow one another.
    ///
    /// # Errors
    /// Invalid input for one that is too long; the file system refuses.
    pub fn change_note(
        &self,
        name: &str,
        change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>,
    ) -> Result<(), Error> {
        let _turn = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(bytes) = change(self.note(name)?) else { return Ok(()) };
        write_note(&self.engine.folder, name, &bytes)
    }

    /// Returns all notes, by name.
    pub(super) fn notes(&self) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let _turn = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = match fs_err::read_dir(self.engine.folder.join(NOTES)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut notes = Vec::new();
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            // One that is half written has a dot.
            if check_name("note", &name).is_ok() {
                notes.push((name.clone(), self.note(&name)?));
            }
        }
        notes.sort();
        Ok(notes)
    }

    /// Returns the filter with each condition that no field of the collection can answer replaced by
    /// one that never holds.
    pub fn lenient(&self, filter: &Filter) -> Filter {
        filter.lenient(&self.view().fields)
    }

    fn note_path(&self, name: &str) -> Result<PathBuf, Error> {
        check_name("note", name)?;
        Ok(self.engine.folder.join(NOTES).join(name))
    }
}

/// Writes a note into the folder of a collection.
pub(super) fn write_note(collection: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    check_name("note", name)?;
    if bytes.len() > NOTE_BYTES_MAX {
        let (limit, actual) = (NOTE_BYTES_MAX, bytes.len());
        return Err(Error::TooMuch { what: "bytes of a note", limit, actual });
    }
    let folder = collection.join(NOTES);
    if !folder.exists() {
        fs_err::create_dir_all(&folder)?;
        files::sync_folder(collection)?;
    }
    Ok(files::write_whole(&folder.join(name), bytes)?)
}
