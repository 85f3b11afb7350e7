use std::io;

use crate::cancel::Interrupted;
use crate::error::{Classified, ErrorKind};

/// Why something is not opened.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// The folder itself cannot be opened.
    #[error("the folder that files are read from cannot be opened")]
    Root(#[source] io::Error),
    /// The path leads nowhere beneath the folder, whatever is there.
    #[error("expected a path beneath the server's folder, got {0}")]
    Path(&'static str),
    /// A link stands on the way.
    #[error(
        "a link is on the path, and none is followed: name what it leads to, if it is in the folder"
    )]
    Link,
    /// Neither a file nor a folder.
    #[error("expected a file or a folder, got {0}")]
    Kind(&'static str),
    /// The file is known by other names, which may stand outside of the folder.
    #[error("expected a file of one name, and it has {0} (hard links): copy it")]
    HardLinks(u64),
    /// More than is read.
    #[error("larger than the server reads: at most {most} bytes (its setting message_bytes_max)")]
    TooLarge {
        /// The most bytes.
        most: u64,
    },
    /// A folder with more files than are taken at once.
    #[error("more than {0} files: name folders in it one by one")]
    TooMany(usize),
    /// A folder in folders without end.
    #[error("more than {0} folders in one another")]
    TooDeep(usize),
    /// A name that is no text.
    #[error("the name is not UTF-8")]
    Name,
    /// Nothing has this name.
    #[error("there is nothing of this name in the server's folder")]
    NotFound,
    /// The system refused.
    #[error("cannot be read")]
    Io(#[from] io::Error),
    /// No address that is opened.
    #[error("expected an address as https://example.org/page.html, {0}")]
    Address(String),
    /// The host is one that only this machine or its network reaches.
    #[error("`{0}` is not only reached at public addresses, and others are not opened")]
    NotPublic(String),
    /// The host has no address.
    #[error("`{0}` has no address")]
    NoHost(String),
    /// It leads on and on.
    #[error("expected at most {0} redirects, and it leads on")]
    Redirects(u32),
    /// The other side answered with something else.
    #[error("expected status 200, got {0}")]
    Status(u16),
    /// The other side did not answer, or not in time.
    #[error("no answer: {0}")]
    Answer(String),
    /// The work was ended.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Classified for ReachError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Path(_)
            | Self::Link
            | Self::Kind(_)
            | Self::HardLinks(_)
            | Self::TooLarge { .. }
            | Self::TooMany(_)
            | Self::TooDeep(_)
            | Self::Name
            | Self::Address(_)
            | Self::NotPublic(_)
            | Self::Redirects(_) => ErrorKind::InvalidInput,
            Self::NotFound | Self::NoHost(_) | Self::Status(404 | 410) => ErrorKind::NotFound,
            Self::Root(_) | Self::Io(_) | Self::Status(_) | Self::Answer(_) => {
                ErrorKind::Unavailable
            }
            Self::Interrupted(reason) => reason.kind(),
        }
    }
}
