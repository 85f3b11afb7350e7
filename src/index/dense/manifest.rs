use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::DenseError;
use super::segment::sync_folder;

/// Which files of the folder are the segments of the index. Persisted as JSON behind its CRC-32; a
/// new version number is a new layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    version: u32,
    /// The number of the next segment file; numbers are not used twice.
    pub(super) next: u64,
    /// The numbers of the segment files, ascending.
    pub(super) segments: Vec<u64>,
}

const VERSION: u32 = 1;
const NAME: &str = "manifest";
const EXTENSION: &str = "segment";

impl Default for Manifest {
    fn default() -> Self {
        Self { version: VERSION, next: 1, segments: Vec::new() }
    }
}

impl Manifest {
    /// Reads the manifest of a folder; one without has no segments.
    ///
    /// # Errors
    /// [`DenseError`]: corrupt if it is not as it was written; unavailable if it cannot be read.
    pub(super) fn read(folder: &Path) -> Result<Self, DenseError> {
        let file = folder.join(NAME);
        let bytes = match fs_err::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(error.into()),
        };
        parse(&bytes).map_err(|reason| DenseError::Corrupt { file, reason })
    }

    /// Replaces the manifest of a folder, whole or not at all.
    ///
    /// # Errors
    /// [`DenseError`]: unavailable if the file system refuses.
    pub(super) fn write(&self, folder: &Path) -> Result<(), DenseError> {
        let path = folder.join(NAME);
        let unfinished = path.with_extension("unfinished");
        let text = serde_json::to_vec(self).map_err(std::io::Error::other)?;
        let mut file = fs_err::File::create(&unfinished)?;
        file.write_all(&crc32fast::hash(&text).to_le_bytes())?;
        file.write_all(&text)?;
        file.sync_all()?;
        drop(file);
        fs_err::rename(&unfinished, &path)?;
        sync_folder(&path)
    }

    /// Removes every file of the folder that an interrupted seal or merge left behind.
    ///
    /// # Errors
    /// [`DenseError`]: unavailable if the file system refuses.
    pub(super) fn remove_leftovers(&self, folder: &Path) -> Result<(), DenseError> {
        let known: Vec<PathBuf> = self.paths(folder).collect();
        for entry in fs_err::read_dir(folder)? {
            let path = entry?.path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            let is_ours = matches!(extension, Some(EXTENSION | "unfinished"));
            if is_ours && !known.contains(&path) {
                fs_err::remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// Returns the files of the segments, in the order of their numbers.
    pub(super) fn paths(&self, folder: &Path) -> impl Iterator<Item = PathBuf> {
        self.segments.iter().map(|&number| path(folder, number))
    }
}

/// Returns the file of a segment.
pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}.{EXTENSION}"))
}

fn parse(bytes: &[u8]) -> Result<Manifest, String> {
    let (checksum, text) = bytes.split_first_chunk::<4>().ok_or("the manifest is too short")?;
    if u32::from_le_bytes(*checksum) != crc32fast::hash(text) {
        return Err("the manifest fails its checksum".to_owned());
    }
    let manifest: Manifest = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if manifest.version != VERSION {
        return Err(format!("expected version {VERSION}, got {}", manifest.version));
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_leftovers_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap(), Manifest::default());
        let manifest = Manifest { version: 1, next: 4, segments: vec![1, 3] };
        manifest.write(folder.path()).unwrap();
        for name in ["00000001.segment", "00000002.segment", "00000003.unfinished", "other"] {
            fs_err::write(folder.path().join(name), "").unwrap();
        }
        let read = Manifest::read(folder.path()).unwrap();
        assert_eq!(read, manifest);
        read.remove_leftovers(folder.path()).unwrap();
        let exists = |name: &str| folder.path().join(name).exists();
        assert!(exists("00000001.segment") && exists("manifest") && exists("other"));
        assert!(!exists("00000002.segment") && !exists("00000003.unfinished"));
    }

    #[test]
    fn a_damaged_manifest_is_corrupt() {
        let folder = tempfile::tempdir().unwrap();
        Manifest::default().write(folder.path()).unwrap();
        let file = folder.path().join(NAME);
        let bytes = fs_err::read(&file).unwrap();
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 4;
            fs_err::write(&file, damaged).unwrap();
            let error = Manifest::read(folder.path()).unwrap_err();
            assert!(matches!(error, DenseError::Corrupt { .. }), "{error}");
        }
    }
}
