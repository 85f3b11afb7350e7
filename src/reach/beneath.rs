//! Files beneath a folder, opened by descriptors: no link is followed, whoever exchanges what while it
//! is read.

use std::fmt;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::path::steps;
use super::{FILES_MAX, Found, FoundFile, ReachError, ReadFile, read_to_end};
use crate::cancel::Cancellation;

/// How deep folders in folders are looked into.
const DEPTH_MAX: usize = 64;
/// How often a path is walked again that changed while the system walked it.
#[cfg(target_os = "linux")]
const TRIES_MAX: usize = 16;

/// A folder that files are read from, and nothing outside of it.
pub struct Root {
    folder: OwnedFd,
    way: Way,
}

/// How a path is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By the system at once (`openat2`, Linux 5.6).
    AtOnce,
    /// Step by step, each step in the folder of the one before.
    StepByStep,
}

/// How something is opened whose kind is not known: a pipe that nobody writes to is not waited for.
fn unknown() -> OFlags {
    OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

impl Root {
    /// Opens the folder; links on the way to it are the operator's.
    ///
    /// # Errors
    /// [`ReachError::Root`] if the system does not open it.
    pub fn open(path: &Path) -> Result<Self, ReachError> {
        let mut root = Self::open_by(path, Way::StepByStep)?;
        if at_once_works(&root.folder) {
            root.way = Way::AtOnce;
        }
        Ok(root)
    }

    /// Opens the folder to walk in it in this way, whether or not the system has another.
    ///
    /// # Errors
    /// [`ReachError::Root`] if the system does not open it.
    pub fn open_by(path: &Path, way: Way) -> Result<Self, ReachError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = fs::open(path, flags, Mode::empty());
        let folder = folder.map_err(|error| ReachError::Root(error.into()))?;
        Ok(Self { folder, way })
    }

    /// Returns how paths are walked.
    pub fn way(&self) -> Way {
        self.way
    }

    /// Returns the files that a path means: itself, or those in the folder and in the folders in it, by
    /// name. Links in folders are passed over, and so is what is no file; what is hidden is taken only if
    /// asked for, or if the path itself names it. `told` hears how many there are so far.
    ///
    /// # Errors
    /// [`ReachError`] if the path leads out of the folder, over a link, or to nothing that is read.
    pub fn find(
        &self,
        path: &str,
        takes_hidden: bool,
        told: &dyn Fn(usize),
        cancel: &Cancellation,
    ) -> Result<Found, ReachError> {
        let steps = steps(path)?;
        let opened = self.walk(&steps)?;
        let stat = fs::fstat(&opened).map_err(refused)?;
        let path = steps.join("/");
        let mut found = Found::default();
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                found.files.push(FoundFile { path, bytes: length(&stat) });
            }
            FileType::Directory => {
                let mut looking = Looking { takes_hidden, told, cancel, found: &mut found };
                looking.folder(&opened, &path, 0)?;
            }
            other => return Err(ReachError::Kind(name_of(other))),
        }
        Ok(found)
    }

    /// Reads a file, at most so many bytes.
    ///
    /// # Errors
    /// [`ReachError`] if the path leads out of the folder, over a link, to no file, or to a larger one.
    pub fn read(
        &self,
        path: &str,
        most: u64,
        cancel: &Cancellation,
    ) -> Result<ReadFile, ReachError> {
        let opened = self.walk(&steps(path)?)?;
        let stat = fs::fstat(&opened).map_err(refused)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != FileType::RegularFile {
            return Err(ReachError::Kind(name_of(kind)));
        }
        if stat.st_nlink > 1 {
            return Err(ReachError::HardLinks(u64::from(stat.st_nlink)));
        }
        if length(&stat) > most {
            return Err(ReachError::TooLarge { most });
        }
        let bytes = read_to_end(Descriptor(opened), most, cancel)?;
        Ok(ReadFile { bytes, modified_unix_s: stat.st_mtime })
    }

    fn walk(&self, steps: &[&str]) -> Result<OwnedFd, ReachError> {
        if steps.is_empty() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            return fs::openat(&self.folder, ".", flags, Mode::empty()).map_err(refused);
        }
        let opened = match self.way {
            Way::AtOnce => at_once(&self.folder, &steps.join("/")),
            Way::StepByStep => step_by_step(&self.folder, steps),
        };
        opened.map_err(refused)
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Root").field("way", &self.way).finish_non_exhaustive()
    }
}

/// Returns whether the system walks a path at once; old ones, and some that confine what runs on them, do
/// not.
fn at_once_works(folder: &OwnedFd) -> bool {
    at_once(folder, ".").is_ok()
}

#[cfg(target_os = "linux")]
fn at_once(folder: &OwnedFd, path: &str) -> Result<OwnedFd, Errno> {
    use rustix::fs::ResolveFlags;

    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    for _ in 1..TRIES_MAX {
        match fs::openat2(folder, path, unknown(), Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            opened => return opened,
        }
    }
    fs::openat2(folder, path, unknown(), Mode::empty(), resolve)
}

#[cfg(not(target_os = "linux"))]
fn at_once(_: &OwnedFd, _: &str) -> Result<OwnedFd, Errno> {
    Err(Errno::NOSYS)
}

/// A step is a name without a separator, and what it names is opened in the folder that is open already:
/// to exchange that folder for a link changes nothing any more.
fn step_by_step(folder: &OwnedFd, steps: &[&str]) -> Result<OwnedFd, Errno> {
    let Some((last, before)) = steps.split_last() else { return Err(Errno::INVAL) };
    let mut inside: Option<OwnedFd> = None;
    for step in before {
        inside = Some(enter(inside.as_ref().unwrap_or(folder), *step)?);
    }
    let folder = inside.as_ref().unwrap_or(folder);
    fs::openat(folder, *last, unknown(), Mode::empty())
}

fn enter(folder: impl AsFd, name: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(folder, name, flags, Mode::empty())
}

/// Looks for files in folders.
struct Looking<'a> {
    takes_hidden: bool,
    told: &'a dyn Fn(usize),
    cancel: &'a Cancellation,
    found: &'a mut Found,
}

impl Looking<'_> {
    /// Looks into a folder; recursion is bounded by [`DEPTH_MAX`].
    fn folder(&mut self, folder: &OwnedFd, path: &str, depth: usize) -> Result<(), ReachError> {
        self.cancel.check()?;
        let named = if path.is_empty() { "." } else { path };
        if depth >= DEPTH_MAX {
            self.found.failed.push((named.to_owned(), ReachError::TooDeep(DEPTH_MAX)));
            return Ok(());
        }
        let names = match self.names(folder, path) {
            Ok(names) => names,
            Err(ReachError::Io(error)) => {
                self.found.failed.push((named.to_owned(), ReachError::Io(error)));
                return Ok(());
            }
            Err(other) => return Err(other),
        };
        for name in names {
            let path = join(path, &name);
            if let Err(error) = self.entry(folder, &name, &path, depth) {
                match error {
                    ReachError::Interrupted(_) | ReachError::TooMany(_) => return Err(error),
                    // It went while it was looked at, or became a link: it is as if it were not there.
                    ReachError::NotFound | ReachError::Link | ReachError::Path(_) => {}
                    other => self.found.failed.push((path, other)),
                }
            }
        }
        Ok(())
    }

    /// Returns the names in a folder, in order.
    fn names(&mut self, folder: &OwnedFd, path: &str) -> Result<Vec<String>, ReachError> {
        let mut names = Vec::new();
        for entry in Dir::read_from(folder).map_err(refused)? {
            let entry = entry.map_err(refused)?;
            let bytes = entry.file_name().to_bytes();
            let is_hidden = bytes.starts_with(b".");
            if matches!(bytes, b"." | b"..") || is_hidden && !self.takes_hidden {
                continue;
            }
            match entry.file_name().to_str() {
                Ok(name) => names.push(name.to_owned()),
                Err(_) => {
                    let name = join(path, &String::from_utf8_lossy(bytes));
                    self.found.failed.push((name, ReachError::Name));
                }
            }
            if names.len() > FILES_MAX || self.found.failed.len() > FILES_MAX {
                return Err(ReachError::TooMany(FILES_MAX));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn entry(
        &mut self,
        folder: &OwnedFd,
        name: &str,
        path: &str,
        depth: usize,
    ) -> Result<(), ReachError> {
        let stat = fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).map_err(refused)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                if self.found.files.len() == FILES_MAX {
                    return Err(ReachError::TooMany(FILES_MAX));
                }
                let bytes = length(&stat);
                self.found.files.push(FoundFile { path: path.to_owned(), bytes });
                (self.told)(self.found.files.len());
                Ok(())
            }
            FileType::Directory => {
                let inner = enter(folder, name).map_err(refused)?;
                self.folder(&inner, path, depth + 1)
            }
            _ => Ok(()),
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

fn length(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

fn name_of(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a file",
        FileType::Directory => "a folder",
        FileType::Symlink => "a link",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "something else",
    }
}

/// Returns what the system's refusal to open something means.
fn refused(error: Errno) -> ReachError {
    match error {
        // A link in the place of a folder is no folder, and one at the end is one link too many.
        Errno::LOOP | Errno::XDEV => ReachError::Link,
        Errno::NOENT => ReachError::NotFound,
        Errno::NOTDIR => ReachError::Path("one over something that is no folder"),
        Errno::NXIO => ReachError::Kind("a socket"),
        other => ReachError::Io(other.into()),
    }
}

/// Reads from a descriptor.
struct Descriptor(OwnedFd);

impl Read for Descriptor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(&self.0, buffer)?)
    }
}
