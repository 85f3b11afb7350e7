//! What may be opened because a request names it? Files beneath one folder, by no link; and pages of
//! public addresses, by no detour.
//!
//! Both are decided where something is opened, not before: a path is walked by descriptors, and the
//! address that was looked at is the one that is connected to, so that nothing can change in between.

mod address;
#[cfg(unix)]
mod beneath;
mod error;
#[cfg(not(unix))]
mod nowhere;
mod path;
mod web;

use std::io::Read;

pub use address::is_public;
#[cfg(unix)]
pub use beneath::{Root, Way};
pub use error::ReachError;
#[cfg(not(unix))]
pub use nowhere::Root;
pub use path::clean;
pub use web::{LookUp, Page, Web};

use crate::cancel::Cancellation;

/// The most files that one path may mean.
pub const FILES_MAX: usize = 1_000_000;
/// The most bytes of a path, and of an address.
pub const NAME_BYTES_MAX: usize = 4_096;
/// How much is read between two looks at whether the work may go on.
const STEP_BYTES: usize = 64 << 10;

/// The files that a path means.
#[derive(Debug, Default)]
pub struct Found {
    /// Their paths beneath the folder, in order.
    pub files: Vec<FoundFile>,
    /// What could not be looked at, and why.
    pub failed: Vec<(String, ReachError)>,
}

/// A file that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    /// Its path beneath the folder, with `/` between its steps.
    pub path: String,
    /// How long it is.
    pub bytes: u64,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadFile {
    /// What is in it.
    pub bytes: Vec<u8>,
    /// When it was changed last, in seconds since 1970-01-01 UTC.
    pub modified_unix_s: i64,
}

/// Reads to the end, at most so many bytes: what is opened may say one length and have another.
fn read_to_end(
    mut source: impl Read,
    most: u64,
    cancel: &Cancellation,
) -> Result<Vec<u8>, ReachError> {
    let mut bytes = Vec::new();
    loop {
        cancel.check()?;
        let step = source.by_ref().take(STEP_BYTES as u64).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > most {
            return Err(ReachError::TooLarge { most });
        }
        if step == 0 {
            return Ok(bytes);
        }
    }
}
