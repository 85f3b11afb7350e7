//! Where are the files of a model? In its folder, or in the program itself.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::EmbedError;
use super::small;

/// The files of a model, to be read by name.
#[derive(Debug, Clone)]
pub(super) enum Files {
    /// They are in a folder, or are to be obtained into it.
    Folder(PathBuf),
    /// They came with the program.
    Program(&'static [small::File]),
}

impl Files {
    /// Returns a file's bytes.
    pub(super) fn read(&self, name: &str) -> Result<Cow<'static, [u8]>, EmbedError> {
        match self {
            Self::Folder(folder) => Ok(fs_err::read(folder.join(name))?.into()),
            Self::Program(files) => {
                let file = files.iter().find(|file| file.name == name);
                let missing = || EmbedError::Unreadable {
                    path: self.path(name),
                    reason: "the program carries no such file".to_owned(),
                };
                Ok(file.ok_or_else(missing)?.bytes.into())
            }
        }
    }

    /// Returns what a file is called in messages, and where it is if it is in a folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.join(name),
            Self::Program(_) => Path::new("(program)").join(name),
        }
    }

    /// Returns whether a file is here.
    pub(super) fn has(&self, name: &str) -> bool {
        match self {
            Self::Folder(folder) => folder.join(name).is_file(),
            Self::Program(files) => files.iter().any(|file| file.name == name),
        }
    }
}
