//! The one place where files are mapped into memory.
#![allow(unsafe_code, reason = "nothing keeps other programs from changing a mapped file")]

use std::ops::Range;
use std::path::Path;

use memmap2::Mmap;

use super::super::DenseError;

/// A whole file in memory, read-only.
#[derive(Debug)]
pub(super) struct Mapping(Mmap);

impl Mapping {
    /// Maps a file.
    ///
    /// # Errors
    /// [`DenseError::Io`] (unavailable) if the file is not there or cannot be mapped.
    pub(super) fn open(path: &Path) -> Result<Self, DenseError> {
        let file = fs_err::File::open(path)?;
        // SAFETY: a sealed segment is written under another name, renamed when it is complete, and
        // never opened for writing again; the folder belongs to this program, so nobody else
        // writes or shortens it while it is mapped. Unlinking it leaves the mapping whole.
        let map = unsafe { Mmap::map(file.file())? };
        Ok(Self(map))
    }

    /// Returns the bytes of the file.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Says that a range is read here and there, so that reading ahead would be in vain.
    pub(super) fn expect_random_reads(&self, range: Range<usize>) {
        #[cfg(unix)]
        if let Err(error) = self.0.advise_range(memmap2::Advice::Random, range.start, range.len()) {
            // Only an advice: without it more is read than needed.
            tracing::debug!(%error, "no advice on reading");
        }
        #[cfg(not(unix))]
        drop(range);
    }
}
