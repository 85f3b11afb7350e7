//! Who alone may use a folder.

use std::{fs::TryLockError, io, path::Path};

use fs_err::{File, OpenOptions};

/// A lock on a file that other processes, and other handles of this one, respect.
///
/// It is given up explicitly when dropped. Closing the file would not do: a child process that
/// another thread is just starting has a copy of every open file until it runs its own program, and
/// the lock would be held for as long.
#[derive(Debug)]
pub struct FileLock(File);

impl FileLock {
    /// Takes the lock if nobody has it. The file is created if it is missing.
    ///
    /// # Errors
    /// The file cannot be opened or locked.
    pub fn try_take(path: &Path) -> io::Result<Option<Self>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        match file.file().try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // If this fails, the file is closed next, which gives the lock up as well.
        let _closed_next = self.0.file().unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_handle_in_a_child_does_not_hold_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let lock = FileLock::try_take(&path).unwrap().unwrap();
        assert!(FileLock::try_take(&path).unwrap().is_none());
        // What a child has between its start and its own program.
        let copy = lock.0.file().try_clone().unwrap();
        drop(lock);
        assert!(FileLock::try_take(&path).unwrap().is_some());
        drop(copy);
    }
}
