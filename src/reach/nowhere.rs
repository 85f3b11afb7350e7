//! The system has no descriptors to walk by, so no file is opened.

use std::io;
use std::path::Path;

use super::{Found, ReachError, ReadFile};
use crate::cancel::Cancellation;

/// A folder that files are read from; not on this system.
#[derive(Debug)]
pub struct Root(());

impl Root {
    /// Refuses to open the folder.
    ///
    /// # Errors
    /// [`ReachError::Root`] always.
    pub fn open(_: &Path) -> Result<Self, ReachError> {
        Err(ReachError::Root(io::ErrorKind::Unsupported.into()))
    }

    /// Finds nothing.
    ///
    /// # Errors
    /// [`ReachError::NotFound`] always.
    pub fn find(
        &self,
        _: &str,
        _: bool,
        _: &dyn Fn(usize),
        _: &Cancellation,
    ) -> Result<Found, ReachError> {
        Err(ReachError::NotFound)
    }

    /// Reads nothing.
    ///
    /// # Errors
    /// [`ReachError::NotFound`] always.
    pub fn read(&self, _: &str, _: u64, _: &Cancellation) -> Result<ReadFile, ReachError> {
        Err(ReachError::NotFound)
    }
}
