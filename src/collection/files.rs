use std::io::{self, Write};
use std::path::Path;

use crate::fail;

/// The file that says what a collection is like.
pub(super) const SETTINGS: &str = "collection.json";
/// The file that saves the scan of the tables on opening; derived.
pub(super) const CHECKPOINT: &str = "checkpoint";
/// The folder of the tables.
pub(super) const TABLES: &str = "tables";
/// The folder with a dense index for each vector name; derived.
pub(super) const DENSE: &str = "dense";
/// The folder of the lexical index; derived.
pub(super) const LEXICAL: &str = "lexical";

/// Writes a file so that after a crash it holds either what it held or all of the bytes.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = fs_err::File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fail::reached("file: before it has its name", path);
    fs_err::rename(&temporary, path)?;
    fail::reached("file: before its name is durable", path);
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Makes what was created, renamed or removed in a folder survive power loss.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    fs_err::File::open(folder)?.sync_all()
}

/// Returns the bytes of the files in a folder; none if there is no such folder.
pub(super) fn size(folder: &Path) -> u64 {
    let Ok(entries) = fs_err::read_dir(folder) else { return 0 };
    let mut bytes = 0;
    for entry in entries.flatten() {
        if let Ok(found) = entry.metadata()
            && found.is_file()
        {
            bytes += found.len();
        }
    }
    bytes
}

/// Removes a folder and all that is in it, or a file of that name; one that is not there is as good as removed.
pub(super) fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs_err::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => fs_err::remove_file(folder),
        other => other,
    }
}
