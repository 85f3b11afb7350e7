use super::Lease;
use super::message::Reply;
use crate::cancel::Cancellation;
use crate::decode::sound::{SAMPLE_RATE, SoundFacts, SoundOptions, Sounds, Source};
use crate::decode::{DecodeError, Format};

/// The most samples of a block that a process gives: a minute, where it means a second.
const BLOCK_MAX: usize = SAMPLE_RATE as usize * 60;
/// The bytes of a sample.
const SAMPLE_BYTES: usize = size_of::<f32>();

/// The samples that a process reads, as they are asked for.
struct Apart {
    lease: Option<Lease>,
    format: Format,
    facts: SoundFacts,
    warnings: Vec<String>,
}

/// Returns the samples of a sound that a process has begun to read.
pub(super) fn sounds(
    lease: Lease,
    format: Format,
    facts: SoundFacts,
    options: &SoundOptions,
    cancel: &Cancellation,
) -> Result<Sounds<'static>, DecodeError> {
    let Format::Sound(packed) = format else { return Err(lease.broken("a sound")) };
    let source = Apart { lease: Some(lease), format, facts, warnings: Vec::new() };
    Sounds::begin(Box::new(source), packed, options, cancel)
}

impl Source for Apart {
    fn next(&mut self, cancel: &Cancellation) -> Result<Option<Vec<f32>>, DecodeError> {
        let Some(lease) = &mut self.lease else { return Ok(None) };
        let (reply, body) = lease.reply(cancel)?;
        let failure = match reply {
            Reply::Samples => {
                let samples = samples(&body).ok_or_else(|| lease.broken("what are no samples"))?;
                return Ok(Some(samples));
            }
            Reply::End { warnings } => {
                self.warnings.extend(warnings);
                None
            }
            Reply::Failed(failure) => Some(failure.into_error(self.format)),
            Reply::Text { .. }
            | Reply::Picture { .. }
            | Reply::Video { .. }
            | Reply::Frame { .. }
            | Reply::Sound { .. } => return Err(lease.broken("no samples")),
        };
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
        failure.map_or(Ok(None), Err)
    }

    fn facts(&self) -> Option<SoundFacts> {
        Some(self.facts.clone())
    }

    fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }
}

/// Returns samples as the bytes that they are told in.
pub(super) fn bytes(samples: &[f32]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// Returns the samples that were told; none for what is no whole number of finite ones, or too many.
fn samples(bytes: &[u8]) -> Option<Vec<f32>> {
    let (whole, rest) = bytes.as_chunks::<SAMPLE_BYTES>();
    if whole.is_empty() || whole.len() > BLOCK_MAX || !rest.is_empty() {
        return None;
    }
    let samples = whole.iter().map(|bytes| Some(f32::from_le_bytes(*bytes)));
    samples.map(|sample| sample.filter(|sample| sample.is_finite())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_as_they_were_told_and_others_are_none() {
        let told = bytes(&[0.5, -1.0]);
        assert_eq!(samples(&told), Some(vec![0.5, -1.0]));
        assert_eq!(samples(&told[..7]), None);
        assert_eq!(samples(&[]), None);
        assert_eq!(samples(&bytes(&[f32::NAN])), None);
    }
}
