//! What is said between the processes: a header as JSON, with its length before it in four bytes, and a
//! body, with its length before it in eight; lengths are little-endian.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cancel::Interrupted;
use crate::decode::sound::SoundFacts;
use crate::decode::{DecodeError, FieldNames, Format, Hint, Limits};
use crate::document::{Payload, Section};
use crate::error::{Classified as _, ErrorKind};

/// The most bytes of a header: a long document has many sections.
const HEADER_BYTES_MAX: u32 = 256 << 20;
/// The most bytes of a body: more than any limit of a file, a text or a picture allows by default.
const BODY_BYTES_MAX: u64 = 2 << 30;

/// A file to be read; it is the body.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    file_name: Option<String>,
    media_type: Option<String>,
    pub(super) limits: Limits,
}

impl Request {
    pub(super) fn new(hint: &Hint<'_>, limits: &Limits) -> Self {
        // What the process is told of itself does not concern the one that it starts: it starts none.
        let limits = Limits { apart: None, ..limits.clone() };
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Self { file_name: owned(hint.file_name), media_type: owned(hint.media_type), limits }
    }

    pub(super) fn hint(&self) -> Hint<'_> {
        Hint {
            file_name: self.file_name.as_deref(),
            media_type: self.media_type.as_deref(),
            // Only records have fields, and they are read elsewhere.
            fields: FieldNames::default(),
        }
    }
}

/// What is in it. A video goes on with a reply for each frame, a sound with one for each block of samples,
/// and both end with one of their own.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// A text, which is the body.
    Text {
        title: Option<String>,
        metadata: Payload,
        format: Format,
        warnings: Vec<String>,
        sections: Vec<Section>,
    },
    /// A picture, whose samples are the body.
    Picture {
        size: (u32, u32),
        title: Option<String>,
        metadata: Payload,
        format: Format,
        warnings: Vec<String>,
    },
    /// A video whose picture has this size.
    Video { size: (u32, u32) },
    /// A frame, whose samples are the body.
    Frame { size: (u32, u32), start_ms: u64, end_ms: u64 },
    /// A sound of which a file says this.
    Sound { facts: SoundFacts },
    /// Samples, which are the body.
    Samples,
    /// No more frames or samples.
    End { warnings: Vec<String> },
    /// Nothing, for a reason.
    Failed(Failure),
}

/// Why there is nothing.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Failure {
    kind: u8,
    message: String,
    /// What breaks the rules of a video or a sound, so that what came before is as good as ever.
    damage: Option<String>,
}

/// The kinds of errors that decoding ends with.
const KINDS: [ErrorKind; 5] = [
    ErrorKind::InvalidInput,
    ErrorKind::Unsupported,
    ErrorKind::Unavailable,
    ErrorKind::Cancelled,
    ErrorKind::TimedOut,
];

impl Failure {
    pub(super) fn of(error: &DecodeError) -> Self {
        let kind = KINDS.iter().position(|kind| *kind == error.kind()).unwrap_or_default();
        let damage = match error {
            DecodeError::DamagedVideo { reason, .. } | DecodeError::DamagedSound { reason, .. } => {
                Some(reason.clone())
            }
            _ => None,
        };
        Self { kind: u8::try_from(kind).unwrap_or_default(), message: error.to_string(), damage }
    }

    pub(super) fn into_error(self, format: Format) -> DecodeError {
        match (self.damage, format) {
            (Some(reason), Format::Video(container)) => {
                return DecodeError::DamagedVideo { container, reason };
            }
            (Some(reason), Format::Sound(format)) => {
                return DecodeError::DamagedSound { format, reason };
            }
            _ => {}
        }
        match KINDS.get(usize::from(self.kind)) {
            Some(ErrorKind::Cancelled) => DecodeError::Interrupted(Interrupted::Cancelled),
            Some(ErrorKind::TimedOut) => DecodeError::Interrupted(Interrupted::Expired),
            kind => {
                let kind = kind.copied().unwrap_or(ErrorKind::InvalidInput);
                DecodeError::Apart { kind, message: self.message }
            }
        }
    }
}

/// Writes a header and a body.
pub(super) fn write(to: &mut impl Write, header: &impl Serialize, body: &[u8]) -> io::Result<()> {
    let header = serde_json::to_vec(header)?;
    let length = u32::try_from(header.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(&header)?;
    to.write_all(&(body.len() as u64).to_le_bytes())?;
    to.write_all(body)?;
    to.flush()
}

/// Reads a header and a body; none where the other side has closed.
pub(super) fn read<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<(T, Vec<u8>)>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_le_bytes(length);
    if length > HEADER_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let header = serde_json::from_slice(&bytes(from, length.into())?)?;
    let mut length = [0; 8];
    from.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > BODY_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(Some((header, bytes(from, length)?)))
}

/// Reads so many bytes; memory grows with what comes, not with what is announced.
fn bytes(from: &mut impl Read, length: u64) -> io::Result<Vec<u8>> {
    const AT_ONCE: u64 = 64 << 20;
    let mut bytes = Vec::with_capacity(usize::try_from(length.min(AT_ONCE)).unwrap_or_default());
    let read = from.take(length).read_to_end(&mut bytes)?;
    if read as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::sound::SoundFormat;
    use crate::decode::video::Container;

    #[test]
    fn a_message_is_read_as_it_was_written_and_a_cut_one_is_none() {
        let mut written = Vec::new();
        write(&mut written, &Reply::Video { size: (3, 2) }, b"body").unwrap();
        let (reply, body) = read::<Reply>(&mut written.as_slice()).unwrap().unwrap();
        assert!(matches!(reply, Reply::Video { size: (3, 2) }));
        assert_eq!(body, b"body");
        assert!(read::<Reply>(&mut &written[..0]).unwrap().is_none());
        for end in 4..written.len() {
            assert!(read::<Reply>(&mut &written[..end]).is_err(), "{end}");
        }
        let endless = [0xff; 64];
        assert!(read::<Reply>(&mut endless.as_slice()).is_err());
    }

    #[test]
    fn an_error_keeps_its_kind_and_its_words() {
        let errors = [
            (DecodeError::Empty, Format::Plain),
            (DecodeError::UnsupportedFormat { what: "a", advice: "b" }, Format::Plain),
            (DecodeError::TooLarge { what: "pixels", limit: 1, actual: 2 }, Format::Pdf),
            (DecodeError::Interrupted(Interrupted::Expired), Format::Pdf),
        ];
        for (error, format) in errors {
            let told = Failure::of(&error).into_error(format);
            assert_eq!((told.kind(), told.to_string()), (error.kind(), error.to_string()));
        }
        let container = Container::Gif;
        let damage = DecodeError::DamagedVideo { container, reason: "frame 3".to_owned() };
        assert_eq!(Failure::of(&damage).into_error(Format::Video(container)), damage);
        let format = SoundFormat::Mp3;
        let damage = DecodeError::DamagedSound { format, reason: "packet 3".to_owned() };
        assert_eq!(Failure::of(&damage).into_error(Format::Sound(format)), damage);
    }
}
