use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The BLAKE3 hash of everything that shapes a model's vectors. Persisted as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 32]);

/// A text that is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 64 hexadecimal digits, got {0:?}")]
pub struct FingerprintError(String);

impl Fingerprint {
    /// Returns the fingerprint of facts that each stand as a name and a value.
    ///
    /// The order of the facts does not count, and no value can be mistaken for a name: both are
    /// hashed with their lengths.
    pub fn of(facts: &[(&str, String)]) -> Self {
        let mut facts: Vec<_> = facts.iter().collect();
        facts.sort();
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"simile embedder 1");
        for (name, value) in facts {
            for text in [*name, value.as_str()] {
                hasher.update(&(text.len() as u64).to_le_bytes());
                hasher.update(text.as_bytes());
            }
        }
        Self(*hasher.finalize().as_bytes())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || FingerprintError(text.chars().take(80).collect());
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(error());
        }
        let mut bytes = [0; 32];
        for (position, byte) in bytes.iter_mut().enumerate() {
            let digits = &text[position * 2..position * 2 + 2];
            *byte = u8::from_str_radix(digits, 16).map_err(|_| error())?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = FingerprintError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_depends_on_every_fact_and_not_on_their_order() {
        let facts = [("pooling", "mean".to_owned()), ("prefix", String::new())];
        let swapped = [facts[1].clone(), facts[0].clone()];
        assert_eq!(Fingerprint::of(&facts), Fingerprint::of(&swapped));
        let other = [("pooling", "mea".to_owned()), ("prefix", "n".to_owned())];
        assert_ne!(Fingerprint::of(&facts), Fingerprint::of(&other));
        let fewer = [("pooling", "mean".to_owned())];
        assert_ne!(Fingerprint::of(&facts), Fingerprint::of(&fewer));
    }

    #[test]
    fn a_fingerprint_survives_its_text_and_refuses_other_texts() {
        let fingerprint = Fingerprint::of(&[("a", "b".to_owned())]);
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        for text in ["", "ab", &"g".repeat(64), &"é".repeat(32), &"+1".repeat(32)] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
    }
}
