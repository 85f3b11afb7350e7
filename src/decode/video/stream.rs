use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::animation::Animation;
use super::ffmpeg::{Ffmpeg, Input};
use super::y4m::Y4m;
use super::{Container, FfmpegSearch};
use crate::cancel::Cancellation;
use crate::decode::DecodeError;
use crate::picture::Picture;

/// How a video is read, and how much of everything it may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoOptions {
    /// Where the program is looked for that reads what needs a codec.
    pub program: FfmpegSearch,
    /// The longest side of a frame that is handed out, in pixels; larger frames are made smaller.
    pub side_max: u32,
    /// The most pixels of a frame in the file.
    pub pixels_max: u64,
    /// The most frames of a video.
    pub frames_max: u64,
    /// The longest wait for one frame.
    pub frame_time_max: Duration,
    /// Threads of the program.
    pub threads: u32,
}

impl Default for VideoOptions {
    fn default() -> Self {
        Self {
            program: FfmpegSearch::default(),
            side_max: 320,
            pixels_max: 1 << 26,
            // A day at 60 frames a second.
            frames_max: 24 * 3_600 * 60,
            frame_time_max: Duration::from_mins(1),
            threads: 2,
        }
    }
}

/// A frame of a video.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// What is seen: upright, with square pixels, no side longer than was asked for.
    pub picture: Arc<Picture>,
    /// From when on it is seen, in milliseconds from the start of the video; never earlier than the
    /// frame before.
    pub start_ms: u64,
    /// When the next frame is seen instead; of the last frame, when the video is over. Later than the
    /// start.
    pub end_ms: u64,
}

/// A frame as a decoder gives it.
#[derive(Debug)]
pub(in crate::decode) struct RawFrame {
    pub(in crate::decode) picture: Picture,
    /// None: right after the frame before.
    pub(in crate::decode) start_ms: Option<f64>,
    pub(in crate::decode) duration_ms: Option<f64>,
}

/// What gives frames one after the other.
pub(in crate::decode) trait Source {
    /// Returns the next frame; none at the end.
    fn next(&mut self, cancel: &Cancellation) -> Result<Option<RawFrame>, DecodeError>;

    /// Returns the size of the picture in the file, upright and with square pixels, if it is known only
    /// once a frame was read.
    fn size(&self) -> Option<(u32, u32)> {
        None
    }

    /// Returns what a person should know about what was read so far.
    fn warnings(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// The frames of a video in their order. Ends after the first error.
pub struct Frames<'a> {
    source: Box<dyn Source + 'a>,
    container: Container,
    size: (u32, u32),
    frames_max: u64,
    cancel: Cancellation,
    /// The frame that waits for the next one, which says when it ends.
    waiting: Option<(RawFrame, u64)>,
    /// How long the frame before lasted, in milliseconds.
    pace_ms: u64,
    number: u64,
    is_ended: bool,
    failure: Option<DecodeError>,
    warnings: Vec<String>,
}

/// How long a frame lasts if nothing says so, in milliseconds.
const PACE_MS: u64 = 40;
/// A point in time later than this is an error of the file, in milliseconds.
const TIME_MS_MAX: f64 = 1e12;

/// Returns the frames of a video in memory.
///
/// # Errors
/// [`DecodeError`]: unsupported if the bytes need the `ffmpeg` program and it is not there; invalid input
/// for bytes without a frame, damaged, or larger than the options allow; cancelled or timed out if the
/// token ends first. The frames end with the same errors.
pub fn frames<'a>(
    bytes: &'a [u8],
    container: Container,
    options: &VideoOptions,
    cancel: &Cancellation,
) -> Result<Frames<'a>, DecodeError> {
    let (pixels_max, side_max) = (options.pixels_max, options.side_max.max(1));
    let (source, size): (Box<dyn Source + 'a>, _) = match container {
        Container::Y4m => {
            let y4m = Y4m::new(bytes, pixels_max, side_max)?;
            let size = y4m.size();
            (Box::new(y4m), size)
        }
        Container::Gif | Container::WebP | Container::Png => {
            let opened = || Animation::new(bytes, container, pixels_max, side_max);
            let animation = contained(container, opened)?;
            let size = animation.size();
            (Box::new(animation), size)
        }
        Container::Mp4
        | Container::Matroska
        | Container::Avi
        | Container::Mpeg
        | Container::TransportStream
        | Container::Flv
        | Container::Ogg => {
            let program = options.program.require(container)?;
            let input = Input::keep(bytes, container, &options.program.scratch)?;
            (Box::new(Ffmpeg::start(&program, input, container, options)?), (0, 0))
        }
    };
    Frames::begin(source, container, size, options, cancel)
}

impl Frames<'static> {
    /// Returns the frames of a file that the `ffmpeg` program reads, without taking it into memory.
    ///
    /// # Errors
    /// As [`frames`].
    pub fn of_file(
        path: &Path,
        container: Container,
        options: &VideoOptions,
        cancel: &Cancellation,
    ) -> Result<Self, DecodeError> {
        let program = options.program.require(container)?;
        let input = Input::File(path.to_owned());
        let source = Box::new(Ffmpeg::start(&program, input, container, options)?);
        Self::begin(source, container, (0, 0), options, cancel)
    }
}

impl<'a> Frames<'a> {
    pub(in crate::decode) fn begin(
        source: Box<dyn Source + 'a>,
        container: Container,
        size: (u32, u32),
        options: &VideoOptions,
        cancel: &Cancellation,
    ) -> Result<Self, DecodeError> {
        let mut frames = Self {
            source,
            container,
            size,
            frames_max: options.frames_max,
            cancel: cancel.clone(),
            waiting: None,
            pace_ms: PACE_MS,
            number: 0,
            is_ended: false,
            failure: None,
            warnings: Vec::new(),
        };
        match frames.read()? {
            Some((raw, start_ms)) => frames.waiting = Some((raw, start_ms)),
            None => {
                let reason = "there is no frame in it".to_owned();
                return Err(DecodeError::DamagedVideo { container, reason });
            }
        }
        if let Some(size) = frames.source.size() {
            frames.size = size;
        }
        Ok(frames)
    }

    /// Returns how the video is packed.
    pub fn container(&self) -> Container {
        self.container
    }

    /// Returns the size of the picture in the file, upright and with square pixels: width, height.
    /// Frames may be smaller.
    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    /// Takes what a person should know about what was read so far; lower case, one clause each.
    pub fn take_warnings(&mut self) -> Vec<String> {
        let mut warnings = std::mem::take(&mut self.warnings);
        warnings.extend(self.source.warnings());
        warnings
    }

    /// Returns the next frame of the source and when it begins, which is never before the one before.
    fn read(&mut self) -> Result<Option<(RawFrame, u64)>, DecodeError> {
        self.cancel.check()?;
        let (source, cancel) = (&mut self.source, &self.cancel);
        let Some(raw) = contained(self.container, || source.next(cancel))? else {
            return Ok(None);
        };
        if self.number >= self.frames_max {
            let (limit, actual) = (self.frames_max, self.number + 1);
            return Err(DecodeError::TooLarge { what: "frames", limit, actual });
        }
        self.number += 1;
        let earliest = match &self.waiting {
            Some((before, start_ms)) => {
                let pace =
                    before.duration_ms.map_or(self.pace_ms, |duration| duration.round() as u64);
                // A frame without a time follows the one before; one that goes back waits for it.
                if raw.start_ms.is_none() { start_ms + pace.max(1) } else { start_ms + 1 }
            }
            None => 0,
        };
        let said = raw.start_ms.filter(|time| time.is_finite() && *time <= TIME_MS_MAX);
        let start_ms = said.map_or(earliest, |time| (time.round().max(0.0) as u64).max(earliest));
        Ok(Some((raw, start_ms)))
    }

    fn advance(&mut self) -> Result<Option<Frame>, DecodeError> {
        if let Some(failure) = self.failure.take() {
            self.is_ended = true;
            return Err(failure);
        }
        if self.waiting.is_none() {
            return Ok(None);
        }
        let next = match self.read() {
            Ok(next) => next,
            // The frame before it is whole, and is handed out first.
            Err(failure) => {
                self.failure = Some(failure);
                None
            }
        };
        let Some((raw, start_ms)) = self.waiting.take() else { return Ok(None) };
        let end_ms = match &next {
            Some((_, next_ms)) => *next_ms,
            None => {
                let lasts =
                    raw.duration_ms.filter(|duration| duration.is_finite() && *duration > 0.0);
                start_ms + lasts.map_or(self.pace_ms, |duration| duration.round() as u64).max(1)
            }
        };
        self.pace_ms = end_ms - start_ms;
        self.waiting = next;
        Ok(Some(Frame { picture: Arc::new(raw.picture), start_ms, end_ms }))
    }
}

impl Iterator for Frames<'_> {
    type Item = Result<Frame, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_ended {
            return None;
        }
        self.advance().transpose()
    }
}

impl fmt::Debug for Frames<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Frames")
            .field("container", &self.container)
            .field("size", &self.size)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// Runs a decoder; if it panics, that is an error of the bytes it was given.
fn contained<T>(
    container: Container,
    decode: impl FnOnce() -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    // What the closure borrowed is not looked at again after a panic: the stream ends.
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| {
        let reason = "its parser failed".to_owned();
        Err(DecodeError::DamagedVideo { container, reason })
    })
}
