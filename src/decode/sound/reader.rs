use std::io::{self, Cursor};

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::{MetadataContainer, MetadataOptions, StandardTag};
use symphonia::default::{get_codecs, get_probe};

use super::resample::Resampler;
use super::{SAMPLE_RATE, SoundFacts, SoundFormat, SoundOptions, Source};
use crate::cancel::Cancellation;
use crate::decode::DecodeError;

/// How many samples are handed out at once, at least, but at the end: a second.
const BLOCK: usize = SAMPLE_RATE as usize;
/// Slower than this is nothing that anybody hears.
const RATE_MIN: u32 = 1_000;
/// A sample is at most this much; more is an error of its maker, and its square has to stay a number.
const LOUDEST: f32 = 8.0;
/// The longest packet that is replaced by silence where it cannot be decoded, in samples of the source.
const GAP_MAX: u64 = 1 << 16;
/// The longest tag that is kept, in characters.
const TAG_CHARS_MAX: usize = 1_000;

/// A sound in memory, as its packets are decoded.
pub(super) struct Reader<'a> {
    reader: Box<dyn FormatReader + 'a>,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
    /// Whether the file says how many samples there are; if not, its end is where its bytes end.
    has_length: bool,
    options: SoundOptions,
    facts: SoundFacts,
    /// None until the rate is known.
    resampler: Option<Resampler>,
    planes: Vec<Vec<f32>>,
    out: Vec<f32>,
    undecoded: u64,
    is_ended: bool,
    warnings: Vec<String>,
    failure: Option<DecodeError>,
}

impl<'a> Reader<'a> {
    pub(super) fn open(
        bytes: &'a [u8],
        format: SoundFormat,
        options: &SoundOptions,
    ) -> Result<Self, DecodeError> {
        let damaged = |reason: String| DecodeError::DamagedSound { format, reason };
        let source = MediaSourceStream::new(Box::new(Cursor::new(bytes)), Default::default());
        let (reading, tags) = (FormatOptions::default(), MetadataOptions::default());
        let mut hint = Hint::new();
        hint.with_extension(format.name());
        let probed = get_probe().probe(&hint, source, reading, tags);
        let mut reader = probed.map_err(|error| damaged(reason_of(&error)))?;
        let (title, artist, album) = tags_of(reader.as_mut());
        let track = reader.default_track(TrackType::Audio);
        let track = track.ok_or_else(|| damaged("there is no sound in it".to_owned()))?;
        let (id, has_length) = (track.id, track.num_frames.is_some() || track.duration.is_some());
        let Some(CodecParameters::Audio(codec)) = &track.codec_params else {
            return Err(damaged("it does not say how it is coded".to_owned()));
        };
        // Before a decoder takes memory for as many as are announced.
        let channels = codec.channels.as_ref().map(|channels| channels.count());
        check(format, options, codec.sample_rate, channels)?;
        let decoder = get_codecs().make_audio_decoder(codec, &AudioDecoderOptions::default());
        let decoder = decoder.map_err(|error| damaged(reason_of(&error)))?;
        let facts = SoundFacts { format, rate: 0, channels: 0, title, artist, album };
        Ok(Self {
            reader,
            decoder,
            track: id,
            has_length,
            options: options.clone(),
            facts,
            resampler: None,
            planes: Vec::new(),
            out: Vec::new(),
            undecoded: 0,
            is_ended: false,
            warnings: Vec::new(),
            failure: None,
        })
    }

    /// Reads the next packet; returns whether there may be more.
    fn step(&mut self) -> Result<bool, DecodeError> {
        let format = self.facts.format;
        let damaged = |reason: String| DecodeError::DamagedSound { format, reason };
        let packet = match self.reader.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => return Ok(false),
            Err(Error::ResetRequired) => {
                self.warnings.push("what follows its first stream was left out".to_owned());
                return Ok(false);
            }
            Err(Error::IoError(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return match self.has_length {
                    true => Err(damaged("it ends before the samples that it announces".to_owned())),
                    false => Ok(false),
                };
            }
            Err(error) => return Err(damaged(reason_of(&error))),
        };
        if packet.track_id != self.track {
            return Ok(true);
        }
        let length = packet.dur.get();
        match self.decoder.decode(&packet) {
            Ok(decoded) => {
                let (rate, channels) = (decoded.spec().rate(), decoded.spec().channels().count());
                check(format, &self.options, Some(rate), Some(channels))?;
                decoded.copy_to_vecs_planar(&mut self.planes);
                self.take(rate, channels)?;
            }
            // A packet that is broken leaves a gap, and the next one is as good as ever.
            Err(Error::DecodeError(_) | Error::IoError(_)) => {
                self.undecoded += 1;
                if let Some(resampler) = &mut self.resampler {
                    let gap = vec![0.0; length.min(GAP_MAX) as usize];
                    resampler.push(&gap, &mut self.out);
                }
            }
            Err(error) => return Err(damaged(reason_of(&error))),
        }
        Ok(true)
    }

    /// Mixes what was decoded to one channel and brings it to the rate that is handed out.
    fn take(&mut self, rate: u32, channels: usize) -> Result<(), DecodeError> {
        let format = self.facts.format;
        let damaged = |reason: String| Err(DecodeError::DamagedSound { format, reason });
        if self.resampler.is_none() {
            self.resampler = Some(Resampler::new(rate, SAMPLE_RATE));
            (self.facts.rate, self.facts.channels) = (rate, channels as u32);
        }
        if rate != self.facts.rate {
            let before = self.facts.rate;
            return damaged(format!("its rate changes from {before} to {rate} samples a second"));
        }
        let length = self.planes.iter().map(Vec::len).min().unwrap_or_default();
        let mut mixed = vec![0.0_f32; length];
        let share = 1.0 / self.planes.len().max(1) as f32;
        for plane in &self.planes {
            for (sum, &sample) in mixed.iter_mut().zip(plane) {
                *sum += sample.clamp(-LOUDEST, LOUDEST) * share;
            }
        }
        if mixed.iter().any(|sample| !sample.is_finite()) {
            return damaged("a sample in it is not a number".to_owned());
        }
        if let Some(resampler) = &mut self.resampler {
            resampler.push(&mixed, &mut self.out);
        }
        Ok(())
    }

    fn end(&mut self) {
        self.is_ended = true;
        if let Some(resampler) = &mut self.resampler {
            resampler.finish(&mut self.out);
        }
        if self.undecoded > 0 {
            let undecoded = self.undecoded;
            self.warnings.push(format!("{undecoded} packets could not be decoded and are silent"));
        }
    }
}

impl Source for Reader<'_> {
    fn next(&mut self, cancel: &Cancellation) -> Result<Option<Vec<f32>>, DecodeError> {
        while self.out.len() < BLOCK && !self.is_ended {
            cancel.check()?;
            match self.step() {
                Ok(true) => {}
                Ok(false) => self.end(),
                // What came before it is whole, and is handed out first.
                Err(failure) => {
                    self.failure = Some(failure);
                    self.end();
                }
            }
        }
        if !self.out.is_empty() {
            return Ok(Some(std::mem::take(&mut self.out)));
        }
        self.failure.take().map_or(Ok(None), Err)
    }

    fn facts(&self) -> Option<SoundFacts> {
        self.resampler.as_ref().map(|_| self.facts.clone())
    }

    fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }
}

/// Checks what a file announces, as far as it does.
fn check(
    format: SoundFormat,
    options: &SoundOptions,
    rate: Option<u32>,
    channels: Option<usize>,
) -> Result<(), DecodeError> {
    let too_large = |what, limit: u32, actual: u64| {
        Err(DecodeError::TooLarge { what, limit: limit.into(), actual })
    };
    match rate {
        Some(rate) if rate > options.rate_max => {
            return too_large("samples a second", options.rate_max, rate.into());
        }
        Some(rate) if rate < RATE_MIN => {
            let reason = format!("it has {rate} samples a second, expected at least {RATE_MIN}");
            return Err(DecodeError::DamagedSound { format, reason });
        }
        _ => {}
    }
    match channels {
        Some(channels) if channels > options.channels_max as usize => {
            too_large("channels", options.channels_max, channels as u64)
        }
        Some(0) => {
            let reason = "it has no channel".to_owned();
            Err(DecodeError::DamagedSound { format, reason })
        }
        _ => Ok(()),
    }
}

/// Returns the title, the artist and the album that the tags say; the first of each.
fn tags_of(
    reader: &mut (dyn FormatReader + '_),
) -> (Option<String>, Option<String>, Option<String>) {
    let (mut title, mut artist, mut album) = (None, None, None);
    let mut metadata = reader.metadata();
    loop {
        if let Some(revision) = metadata.current() {
            let tracks = revision.per_track.iter().map(|track| &track.metadata);
            let all: Vec<&MetadataContainer> = tracks.chain([&revision.media]).collect();
            for tag in all.iter().flat_map(|container| &container.tags) {
                let (place, text) = match &tag.std {
                    Some(StandardTag::TrackTitle(text)) => (&mut title, text),
                    Some(StandardTag::Artist(text)) => (&mut artist, text),
                    Some(StandardTag::Album(text)) => (&mut album, text),
                    _ => continue,
                };
                let text: String = text.trim().chars().take(TAG_CHARS_MAX).collect();
                if !text.is_empty() {
                    place.get_or_insert(text);
                }
            }
        }
        if metadata.pop().is_none() {
            return (title, artist, album);
        }
    }
}

fn reason_of(error: &Error) -> String {
    match error {
        Error::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it ends too early".to_owned()
        }
        Error::IoError(error) => error.to_string(),
        Error::DecodeError(reason) | Error::Unsupported(reason) | Error::LimitError(reason) => {
            (*reason).to_owned()
        }
        Error::SeekError(_) | Error::ResetRequired => error.to_string(),
        _ => "its parser gave up".to_owned(),
    }
}
