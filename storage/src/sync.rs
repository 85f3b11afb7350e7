use std::{fmt, io, path::Path};

use fs_err::File;

/// Makes what was written to a file survive a power cut.
///
/// There is one way to do it, [`Fdatasync`]; the power-cut harness and the tests plant others that
/// fail or do nothing, to show that they would notice.
pub trait SyncFile: fmt::Debug + Send + Sync {
    /// Returns when the content of the file is on the device.
    ///
    /// # Errors
    /// What the system said. The database is read-only from then on.
    fn sync(&self, file: &File) -> io::Result<()>;
}

/// The real thing: `fdatasync`, which also makes the length and the place of the content durable.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fdatasync;

impl SyncFile for Fdatasync {
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }
}

/// Makes the names in a folder durable. A new or renamed file is lost with its name otherwise.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Creates a folder and those above it that are missing, each made durable in the one above it.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    let folder = std::path::absolute(folder)?;
    let missing: Vec<&Path> = folder.ancestors().take_while(|level| !level.exists()).collect();
    for level in missing.into_iter().rev() {
        match fs_err::create_dir(level) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => created?,
        }
        if let Some(above) = level.parent() {
            sync_folder(above)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_of_missing_folders_is_created_and_an_existing_one_left() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a/b/c");
        create_folder(&folder).unwrap();
        create_folder(&folder).unwrap();
        assert!(folder.is_dir());
    }
}
