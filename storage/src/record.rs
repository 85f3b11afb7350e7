use bincode::config::{Configuration, Limit, LittleEndian, Varint};

/// The largest encoded value with its header, in bytes.
///
/// At most about twenty values share a page of the engine, and a page over a quarter of a segment
/// leaves the log for a file of its own, which the engine never syncs
/// (the README says more).
pub const VALUE_BYTES_MAX: usize = 64 * 1024;

/// Bounds what a decoder allocates before it has seen the elements.
const DECODED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// `[format u16 LE][crc32 u32 LE]`, then the payload.
const HEADER_BYTES: usize = 6;

/// What a table stores. Persisted as `[format u16][crc32 u32][bincode 2, standard configuration]`,
/// little-endian; the checksum covers the key, the format and the payload.
///
/// A change to the fields is a new `FORMAT`. The struct as it was stays behind under another name,
/// and [`Record::upgrade`] turns it into the present one:
///
/// ```
/// use bincode::{Decode, Encode};
/// use simile_storage::{FormatError, Record, decode_payload};
///
/// #[derive(Encode, Decode)]
/// struct Note { text: String, pinned: bool }
///
/// #[derive(Decode)]
/// struct NoteOfFormat1 { text: String }
///
/// impl Record for Note {
///     const FORMAT: u16 = 2;
///
///     fn upgrade(format: u16, payload: &[u8]) -> Result<Self, FormatError> {
///         match format {
///             1 => {
///                 let old: NoteOfFormat1 = decode_payload(payload)?;
///                 Ok(Self { text: old.text, pinned: false })
///             }
///             _ => Err(FormatError::Unknown),
///         }
///     }
/// }
/// ```
pub trait Record: bincode::Encode + bincode::Decode<()> {
    /// The format that this program writes.
    const FORMAT: u16;

    /// Returns the record that an earlier format holds.
    ///
    /// # Errors
    /// [`FormatError::Unknown`] if this program never knew the format, which is the default;
    /// [`FormatError::Payload`] if the payload does not decode.
    fn upgrade(format: u16, payload: &[u8]) -> Result<Self, FormatError> {
        let (_, _) = (format, payload);
        Err(FormatError::Unknown)
    }
}

/// Why a payload is not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// A format that this program does not know.
    #[error("the format is not known")]
    Unknown,
    /// A payload that its format does not allow.
    #[error("the payload does not decode: {0}")]
    Payload(String),
}

/// Why stored bytes are not a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RecordError {
    UnknownFormat(u16),
    Corrupt(String),
}

/// Returns what all of `payload` encodes.
///
/// # Errors
/// [`FormatError::Payload`] if it encodes no `T`, or bytes are left over.
pub fn decode_payload<T: bincode::Decode<()>>(payload: &[u8]) -> Result<T, FormatError> {
    let (value, used) = bincode::decode_from_slice(payload, configuration())
        .map_err(|error| FormatError::Payload(error.to_string()))?;
    if used != payload.len() {
        return Err(FormatError::Payload(format!("expected {used} bytes, got {}", payload.len())));
    }
    Ok(value)
}

/// Returns the bytes of a record under `key`, or what the encoder said.
pub(crate) fn seal<V: Record>(key: &[u8], record: &V) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; HEADER_BYTES];
    bincode::encode_into_std_write(record, &mut bytes, bincode::config::standard())
        .map_err(|error| error.to_string())?;
    let checksum = checksum(key, V::FORMAT, &bytes[HEADER_BYTES..]);
    bytes[..2].copy_from_slice(&V::FORMAT.to_le_bytes());
    bytes[2..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    Ok(bytes)
}

/// Returns the record that `bytes` under `key` hold.
pub(crate) fn unseal<V: Record>(key: &[u8], bytes: &[u8]) -> Result<V, RecordError> {
    let short = || {
        RecordError::Corrupt(format!(
            "expected a header of {HEADER_BYTES} bytes, got {}",
            bytes.len()
        ))
    };
    let (format, rest) = bytes.split_first_chunk().ok_or_else(short)?;
    let (expected, payload) = rest.split_first_chunk().ok_or_else(short)?;
    let format = u16::from_le_bytes(*format);
    let expected = u32::from_le_bytes(*expected);
    let got = checksum(key, format, payload);
    if got != expected {
        return Err(RecordError::Corrupt(format!(
            "expected checksum {expected:08x}, got {got:08x}"
        )));
    }
    let decoded =
        if format == V::FORMAT { decode_payload(payload) } else { V::upgrade(format, payload) };
    decoded.map_err(|error| match error {
        FormatError::Unknown => RecordError::UnknownFormat(format),
        FormatError::Payload(reason) => RecordError::Corrupt(reason),
    })
}

fn configuration() -> Configuration<LittleEndian, Varint, Limit<DECODED_BYTES_MAX>> {
    bincode::config::standard().with_limit::<DECODED_BYTES_MAX>()
}

fn checksum(key: &[u8], format: u16, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(&format.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use bincode::{Decode, Encode};
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, PartialEq, Encode, Decode)]
    struct Note {
        text: String,
        pinned: bool,
    }

    #[derive(Encode, Decode)]
    struct NoteOfFormat1 {
        text: String,
    }

    impl Record for NoteOfFormat1 {
        const FORMAT: u16 = 1;
    }

    impl Record for Note {
        const FORMAT: u16 = 2;

        fn upgrade(format: u16, payload: &[u8]) -> Result<Self, FormatError> {
            match format {
                1 => {
                    let old: NoteOfFormat1 = decode_payload(payload)?;
                    Ok(Self { text: old.text, pinned: false })
                }
                _ => Err(FormatError::Unknown),
            }
        }
    }

    #[test]
    fn the_stored_bytes_are_those_of_the_documented_layout() {
        let bytes = seal(b"k", &Note { text: "cat".into(), pinned: true }).unwrap();
        // The format, the checksum of "k", 2 0 and the payload, then 3 c a t 1.
        assert_eq!(bytes[..2], [2, 0]);
        assert_eq!(bytes[2..6], crc32fast::hash(b"k\x02\x00\x03cat\x01").to_le_bytes());
        assert_eq!(bytes[6..], *b"\x03cat\x01");
    }

    #[test]
    fn an_older_format_is_upgraded_and_a_newer_one_refused() {
        let old = seal(b"k", &NoteOfFormat1 { text: "cat".into() }).unwrap();
        assert_eq!(unseal::<Note>(b"k", &old), Ok(Note { text: "cat".into(), pinned: false }));
        let new = seal(b"k", &Note { text: "cat".into(), pinned: true }).unwrap();
        assert!(matches!(unseal::<NoteOfFormat1>(b"k", &new), Err(RecordError::UnknownFormat(2))));
    }

    #[test]
    fn a_record_under_the_key_of_another_is_corrupt() {
        let bytes = seal(b"k", &Note { text: "cat".into(), pinned: true }).unwrap();
        assert!(matches!(unseal::<Note>(b"l", &bytes), Err(RecordError::Corrupt(_))));
    }

    #[test]
    fn bytes_left_over_are_corrupt() {
        assert!(decode_payload::<u8>(&[1, 2]).is_err());
    }

    proptest! {
        #[test]
        fn any_flipped_bit_is_seen(text in ".{0,40}", at: prop::sample::Index, bit in 0..8_u8) {
            let mut bytes = seal(b"k", &Note { text, pinned: false }).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(matches!(
                unseal::<Note>(b"k", &bytes), Err(RecordError::Corrupt(_))
            ));
        }

        #[test]
        fn no_bytes_make_decoding_panic(bytes: Vec<u8>) {
            let _any = decode_payload::<Vec<Note>>(&bytes);
        }
    }
}
