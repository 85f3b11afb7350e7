/// The longest encoded key with its table's prefix, in bytes.
///
/// With at most 257 keys to an index page of the engine it keeps every such page inside the log
/// (the README says more).
pub const KEY_BYTES_MAX: usize = 2048;

/// Why bytes are not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The bytes end inside the key.
    #[error("the key ends early: expected {expected} bytes more, got {got}")]
    Short {
        /// How many bytes the next part has.
        expected: usize,
        /// How many bytes are left.
        got: usize,
    },
    /// Bytes are left over.
    #[error("the key has {0} bytes too many")]
    Long(usize),
    /// The bytes are not what the type allows; the type says why.
    #[error("{0}")]
    Invalid(String),
}

/// A key of a table. Persisted: an implementation must not change what it writes.
///
/// `encode` preserves order (`a < b` exactly when the bytes of `a` sort before those of `b`) and
/// marks its own end, so that keys can be put one behind the other in a tuple.
pub trait Key: Sized {
    /// Appends the bytes of the key.
    fn encode(&self, out: &mut Vec<u8>);

    /// Takes a key off the front of `bytes`, which moves past it.
    ///
    /// # Errors
    /// [`KeyError`] if the front is not the encoding of a key.
    fn decode(bytes: &mut &[u8]) -> Result<Self, KeyError>;
}

/// The leading component, or components, of a composite key `K`: what a prefix scan is given.
///
/// Implement it for a type of your own if its encoding begins with the encoding of `Self`.
pub trait Leading<K: Key>: Key {}

impl<A: Key, B: Key> Leading<(A, B)> for A {}
impl<A: Key, B: Key, C: Key> Leading<(A, B, C)> for A {}
impl<A: Key, B: Key, C: Key> Leading<(A, B, C)> for (A, B) {}

/// Takes the first `N` bytes off the front.
fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], KeyError> {
    let (front, rest) =
        bytes.split_first_chunk::<N>().ok_or(KeyError::Short { expected: N, got: bytes.len() })?;
    *bytes = rest;
    Ok(*front)
}

macro_rules! big_endian_keys {
    ($($integer:ty),*) => {$(
        impl Key for $integer {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }

            fn decode(bytes: &mut &[u8]) -> Result<Self, KeyError> {
                take(bytes).map(Self::from_be_bytes)
            }
        }
    )*};
}

big_endian_keys!(u8, u16, u32, u64, u128);

impl<const N: usize> Key for [u8; N] {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, KeyError> {
        take(bytes)
    }
}

/// The key of a table of one record.
impl Key for () {
    fn encode(&self, _out: &mut Vec<u8>) {}

    fn decode(_bytes: &mut &[u8]) -> Result<Self, KeyError> {
        Ok(())
    }
}

const ESCAPE: u8 = 0x00;
const ESCAPED_ZERO: u8 = 0xff;
const END: u8 = 0x01;

/// Any bytes: 00 is written as 00 ff, and 00 01 marks the end, so that a text sorts before its
/// own continuations and can stand inside a tuple.
impl Key for Vec<u8> {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_bytes(self, out);
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, KeyError> {
        let mut key = Self::new();
        loop {
            let [byte] = take(bytes)?;
            if byte != ESCAPE {
                key.push(byte);
                continue;
            }
            match take(bytes)? {
                [ESCAPED_ZERO] => key.push(ESCAPE),
                [END] => return Ok(key),
                [other] => {
                    return Err(KeyError::Invalid(format!(
                        "a key has 00 {ESCAPED_ZERO:02x} or 00 {END:02x} in it, got 00 {other:02x}"
                    )));
                }
            }
        }
    }
}

/// As the bytes of the text.
impl Key for String {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_bytes(self.as_bytes(), out);
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, KeyError> {
        Self::from_utf8(Vec::<u8>::decode(bytes)?)
            .map_err(|error| KeyError::Invalid(error.to_string()))
    }
}

fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        out.push(byte);
        if byte == ESCAPE {
            out.push(ESCAPED_ZERO);
        }
    }
    out.extend_from_slice(&[ESCAPE, END]);
}

impl<A: Key, B: Key> Key for (A, B) {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
        self.1.encode(out);
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, KeyError> {
        Ok((A::decode(bytes)?, B::decode(bytes)?))
    }
}

impl<A: Key, B: Key, C: Key> Key for (A, B, C) {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
        self.1.encode(out);
        self.2.encode(out);
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, KeyError> {
        Ok((A::decode(bytes)?, B::decode(bytes)?, C::decode(bytes)?))
    }
}

/// Returns the key that all of `bytes` encodes.
///
/// # Errors
/// [`KeyError`] if it encodes none, or bytes are left over.
pub(crate) fn decode_all<K: Key>(mut bytes: &[u8]) -> Result<K, KeyError> {
    let key = K::decode(&mut bytes)?;
    if bytes.is_empty() { Ok(key) } else { Err(KeyError::Long(bytes.len())) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(key: &impl Key) -> Vec<u8> {
        let mut bytes = Vec::new();
        key.encode(&mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn bytes_of_keys_sort_as_the_keys_do(
            a: (u32, Vec<u8>, u64), b: (u32, Vec<u8>, u64),
        ) {
            prop_assert_eq!(a.cmp(&b), encoded(&a).cmp(&encoded(&b)));
            prop_assert_eq!(decode_all::<(u32, Vec<u8>, u64)>(&encoded(&a)), Ok(a));
        }

        #[test]
        fn texts_with_zeros_and_common_fronts_sort_as_texts(
            a in "[\0\u{1}a]{0,4}", b in "[\0\u{1}a]{0,4}", c: u16, d: u16,
        ) {
            let (left, right) = ((a, c), (b, d));
            prop_assert_eq!(left.cmp(&right), encoded(&left).cmp(&encoded(&right)));
            prop_assert_eq!(decode_all::<(String, u16)>(&encoded(&left)), Ok(left));
        }

        #[test]
        fn no_bytes_make_decoding_panic(bytes: Vec<u8>) {
            let _any = decode_all::<(String, u64, [u8; 3])>(&bytes);
        }
    }

    #[test]
    fn a_cut_or_lengthened_key_is_refused() {
        let bytes = encoded(&(7_u32, "cat".to_owned()));
        assert_eq!(
            decode_all::<(u32, String)>(&bytes[..3]),
            Err(KeyError::Short { expected: 4, got: 3 })
        );
        assert_eq!(decode_all::<u32>(&bytes), Err(KeyError::Long("cat".len() + 2)),);
    }
}
