use super::Format;
use super::sound::SoundFormat;
use super::video::Container;
use crate::cancel::Interrupted;
use crate::error::{Classified, ErrorKind};

/// Why there is no text in these bytes. The caller knows the file's name and says it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// Nothing, or nothing but blanks.
    #[error("the file is empty")]
    Empty,
    /// A format that is known, and known not to be read.
    #[error("{what} is not supported: {advice}")]
    UnsupportedFormat {
        /// What the bytes are.
        what: &'static str,
        /// What is supported, or what to do.
        advice: &'static str,
    },
    /// Bytes that are no text and no known format.
    #[error("the file is neither text nor a known format (it begins with the bytes {begins_with})")]
    Binary {
        /// The first bytes in hexadecimal.
        begins_with: String,
    },
    /// More of something than the limits allow.
    #[error("too many {what}: at most {limit}, got {actual}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// The most of it.
        limit: u64,
        /// How much there was, or had been seen when reading stopped.
        actual: u64,
    },
    /// Reading that does not come to an end.
    #[error("the {format} was not read within {seconds} seconds")]
    TooSlow {
        /// What the bytes were taken for.
        format: Format,
        /// How long it was waited for.
        seconds: u64,
    },
    /// A document that asks for a password.
    #[error("the {0} is encrypted and needs a password; remove the password first")]
    Encrypted(Format),
    /// Bytes that break the rules of their format.
    #[error("the {format} is damaged: {reason}")]
    Damaged {
        /// What the bytes were taken for.
        format: Format,
        /// Which rule they break.
        reason: String,
    },
    /// Bytes that the format's parser could not bear.
    #[error("the {format} could not be read: its parser failed ({reason})")]
    ParserFailed {
        /// What the bytes were taken for.
        format: Format,
        /// What the parser said.
        reason: String,
    },
    /// Bytes of another kind where a picture is wanted.
    #[error("the file is no picture")]
    NoPicture,
    /// Records without a field that holds their text.
    #[error("no field holds the text: looked for {looked_for}, found {found}")]
    NoTextField {
        /// The names that were looked for.
        looked_for: String,
        /// The names that are there.
        found: String,
    },
    /// A video that breaks the rules of its format.
    #[error("the {container} is damaged: {reason}")]
    DamagedVideo {
        /// What the bytes were taken for.
        container: Container,
        /// Which rule they break.
        reason: String,
    },
    /// A video whose next frame does not come.
    #[error("the next frame of the {container} did not come within {seconds} seconds")]
    SlowVideo {
        /// What the bytes were taken for.
        container: Container,
        /// How long it was waited for.
        seconds: u64,
    },
    /// A sound that breaks the rules of its format.
    #[error("the {format} is damaged: {reason}")]
    DamagedSound {
        /// What the bytes were taken for.
        format: SoundFormat,
        /// Which rule they break.
        reason: String,
    },
    /// A program that is needed and not there.
    #[error(
        "the {what} needs the program ffmpeg, which is not there: install it (Debian and Ubuntu: \
         `apt install ffmpeg`) or say where it is; looked for {looked_for}"
    )]
    NoProgram {
        /// What it would read.
        what: String,
        /// What was looked for, and where.
        looked_for: String,
    },
    /// A program that is there and does not do its work.
    #[error("the {what} could not be read: {reason}")]
    Program {
        /// What it should read.
        what: String,
        /// What went wrong.
        reason: String,
    },
    /// A process that reads files and cannot be started.
    #[error("`{program}`, which would read the file, did not start: {reason}")]
    NotStarted {
        /// The program.
        program: String,
        /// What the system says.
        reason: String,
    },
    /// What another process said of the file.
    #[error("{message}")]
    Apart {
        /// What can be done about it.
        kind: ErrorKind,
        /// Why there is nothing.
        message: String,
    },
    /// The work was ended.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Classified for DecodeError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::UnsupportedFormat { .. } | Self::Binary { .. } | Self::NoProgram { .. } => {
                ErrorKind::Unsupported
            }
            Self::Empty
            | Self::TooLarge { .. }
            | Self::TooSlow { .. }
            | Self::Encrypted(_)
            | Self::Damaged { .. }
            | Self::ParserFailed { .. }
            | Self::NoPicture
            | Self::DamagedVideo { .. }
            | Self::SlowVideo { .. }
            | Self::DamagedSound { .. }
            | Self::NoTextField { .. } => ErrorKind::InvalidInput,
            Self::Program { .. } | Self::NotStarted { .. } => ErrorKind::Unavailable,
            Self::Apart { kind, .. } => *kind,
            Self::Interrupted(reason) => reason.kind(),
        }
    }
}
