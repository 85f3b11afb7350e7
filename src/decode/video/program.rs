use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Container;
use crate::decode::DecodeError;

/// The name of the program.
const PROGRAM: &str = if cfg!(windows) { "ffmpeg.exe" } else { "ffmpeg" };

/// Where the `ffmpeg` program is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FfmpegSearch {
    /// The program itself, if its place was said; then it is looked for nowhere else.
    pub explicit: Option<PathBuf>,
    /// Folders of programs, in order.
    pub folders: Vec<PathBuf>,
    /// Where a video that is in memory is written for the program, until it has read it.
    pub scratch: PathBuf,
}

impl FfmpegSearch {
    /// Returns the program; none if it is nowhere.
    pub fn find(&self) -> Option<PathBuf> {
        let places = match &self.explicit {
            Some(program) => vec![program.clone()],
            None => self.folders.iter().map(|folder| folder.join(PROGRAM)).collect(),
        };
        places.into_iter().find(|place| place.is_file())
    }

    /// Returns where it is looked for, in words.
    pub fn looked_for(&self) -> String {
        match &self.explicit {
            Some(program) => format!("`{}`", program.display()),
            None if self.folders.is_empty() => format!("`{PROGRAM}`, but in no folder"),
            None => {
                let folders: Vec<String> =
                    self.folders.iter().map(|folder| folder.display().to_string()).collect();
                format!("`{PROGRAM}` in {}", folders.join(", "))
            }
        }
    }

    pub(super) fn require(&self, container: Container) -> Result<PathBuf, DecodeError> {
        self.find().ok_or_else(|| DecodeError::NoProgram {
            what: container.to_string(),
            looked_for: self.looked_for(),
        })
    }
}
