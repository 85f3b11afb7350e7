use std::fmt;

use serde::{Deserialize, Serialize};

use super::reader::Reader;
use super::{SAMPLE_RATE, SoundFormat};
use crate::cancel::Cancellation;
use crate::decode::{DecodeError, Format, contain};

/// How much of everything a sound may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoundOptions {
    /// The most samples of a second in the file.
    pub rate_max: u32,
    /// The most channels.
    pub channels_max: u32,
    /// The longest sound, in seconds.
    pub seconds_max: u64,
}

impl Default for SoundOptions {
    fn default() -> Self {
        Self { rate_max: 768_000, channels_max: 64, seconds_max: 24 * 3_600 }
    }
}

/// What a file says of the sound in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoundFacts {
    /// How it is packed.
    pub format: SoundFormat,
    /// Samples of a second in the file.
    pub rate: u32,
    /// Channels in the file.
    pub channels: u32,
    /// The title in its tags.
    pub title: Option<String>,
    /// Who made it, by its tags.
    pub artist: Option<String>,
    /// What it is part of, by its tags.
    pub album: Option<String>,
}

/// What gives blocks of samples one after the other.
pub(in crate::decode) trait Source {
    /// Returns the next samples, at [`SAMPLE_RATE`] and of one channel, at least one of them; none at the
    /// end.
    fn next(&mut self, cancel: &Cancellation) -> Result<Option<Vec<f32>>, DecodeError>;

    /// Returns what the file says, once samples have come.
    fn facts(&self) -> Option<SoundFacts>;

    /// Takes what a person should know about what was read so far.
    fn warnings(&mut self) -> Vec<String>;
}

/// The samples of a sound in blocks of any length: one channel at [`SAMPLE_RATE`], full scale being 1. Ends
/// after the first error.
pub struct Sounds<'a> {
    source: Box<dyn Source + 'a>,
    facts: SoundFacts,
    samples_max: u64,
    cancel: Cancellation,
    /// The first block, which was read to know the facts.
    first: Option<Vec<f32>>,
    samples: u64,
    is_ended: bool,
}

/// Returns the samples of a sound in memory.
///
/// # Errors
/// [`DecodeError`]: invalid input for bytes without a sample, damaged, or larger than the options allow;
/// cancelled or timed out if the token ends first. The blocks end with the same errors.
pub fn sounds<'a>(
    bytes: &'a [u8],
    format: SoundFormat,
    options: &SoundOptions,
    cancel: &Cancellation,
) -> Result<Sounds<'a>, DecodeError> {
    let open = || Reader::open(bytes, format, options);
    let reader = contain::panics(Format::Sound(format), open)?;
    Sounds::begin(Box::new(reader), format, options, cancel)
}

impl<'a> Sounds<'a> {
    pub(in crate::decode) fn begin(
        mut source: Box<dyn Source + 'a>,
        format: SoundFormat,
        options: &SoundOptions,
        cancel: &Cancellation,
    ) -> Result<Self, DecodeError> {
        let first = contain::panics(Format::Sound(format), || source.next(cancel))?;
        let Some((facts, first)) = source.facts().zip(first) else {
            let reason = "there is no sample in it".to_owned();
            return Err(DecodeError::DamagedSound { format, reason });
        };
        let samples_max = options.seconds_max.saturating_mul(SAMPLE_RATE.into());
        let cancel = cancel.clone();
        let first = Some(first);
        Ok(Self { source, facts, samples_max, cancel, first, samples: 0, is_ended: false })
    }

    /// Returns what the file says.
    pub fn facts(&self) -> &SoundFacts {
        &self.facts
    }

    /// Takes what a person should know about what was read so far; lower case, one clause each.
    pub fn take_warnings(&mut self) -> Vec<String> {
        self.source.warnings()
    }

    fn advance(&mut self) -> Result<Option<Vec<f32>>, DecodeError> {
        self.cancel.check()?;
        let block = match self.first.take() {
            Some(first) => Some(first),
            None => {
                let (source, cancel) = (&mut self.source, &self.cancel);
                contain::panics(Format::Sound(self.facts.format), || source.next(cancel))?
            }
        };
        let Some(block) = block else { return Ok(None) };
        self.samples += block.len() as u64;
        if self.samples > self.samples_max {
            let per_second = u64::from(SAMPLE_RATE);
            let (limit, actual) = (self.samples_max / per_second, self.samples / per_second);
            return Err(DecodeError::TooLarge {
                what: "seconds",
                limit,
                actual: actual.max(limit + 1),
            });
        }
        Ok(Some(block))
    }
}

impl Iterator for Sounds<'_> {
    type Item = Result<Vec<f32>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_ended {
            return None;
        }
        let next = self.advance().transpose();
        self.is_ended = !matches!(next, Some(Ok(_)));
        next
    }
}

impl fmt::Debug for Sounds<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Sounds")
            .field("facts", &self.facts)
            .field("samples", &self.samples)
            .finish_non_exhaustive()
    }
}
