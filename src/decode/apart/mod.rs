//! Reading in processes of their own, so that a hostile file ends one of them and not the server.
//!
//! A process is the same program under another command. It takes files on its standard input and gives
//! back what is in them, one after the other ([`message`]); it has no environment, may take so much memory
//! and compute so long, and is ended when nobody waits for its answer any more. What it sends is
//! checked like anything from outside.
//!
//! Records (JSON lines, tables) are read where they are wanted, one at a time: their parsers keep
//! nothing but a line. Videos that the `ffmpeg` program reads have a process already.

mod answer;
mod message;
mod process;
mod sound;
mod video;

pub use answer::answer;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::message::{Reply, Request};
use self::process::Process;
use super::sound::{SoundFormat, Sounds};
use super::video::{Container, Frames};
use super::{Content, DecodeError, Format, Hint, Limits, PictureContent, TextContent};
use crate::cancel::Cancellation;
use crate::picture::Picture;

/// A process is replaced after so many files, so that nothing in it grows for ever.
const FILES_MAX: u32 = 1_000;
/// How often whoever waits for a process looks whether the work was cancelled.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How the processes are started, and what they may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApartOptions {
    /// The program, which has to call [`answer`] when it is started with these arguments.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The most processes at a time, at least 1.
    pub processes_max: usize,
    /// The most memory of a process, in bytes of its address space.
    pub memory_bytes_max: u64,
    /// The longest that a file may take, or a frame of a video.
    pub time_max: Duration,
}

/// Processes that read files, started when they are needed; clones share them.
#[derive(Clone)]
pub struct Apart(Arc<Pool>);

struct Pool {
    options: ApartOptions,
    state: Mutex<State>,
    given_back: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Process>,
    busy: usize,
}

impl Apart {
    /// Returns processes that are started like this; none is yet.
    pub fn new(options: ApartOptions) -> Self {
        let given_back = Condvar::new();
        Self(Arc::new(Pool { options, state: Mutex::default(), given_back }))
    }

    /// Returns how they are started, and what they may take.
    pub fn options(&self) -> &ApartOptions {
        &self.0.options
    }

    /// Returns what the bytes hold, whose format was told already and has no records.
    pub(super) fn decode(
        &self,
        bytes: &[u8],
        format: Format,
        hint: &Hint<'_>,
        limits: &Limits,
        cancel: &Cancellation,
    ) -> Result<Content<'static>, DecodeError> {
        let mut lease = self.lease(format, cancel)?;
        lease.ask(&Request::new(hint, limits), bytes)?;
        let (reply, body) = lease.reply(cancel)?;
        let broken = |what| lease.broken(what);
        match reply {
            Reply::Text { title, metadata, format, warnings, sections } => {
                let text = String::from_utf8(body).map_err(|_| broken("a text that is none"))?;
                if sections.iter().any(|section| text.get(section.bytes.clone()).is_none()) {
                    return Err(broken("a section outside of its text"));
                }
                let text = TextContent { text, sections, title, metadata, format, warnings };
                lease.give_back();
                Ok(Content::Text(text))
            }
            Reply::Picture { size, title, metadata, format, warnings } => {
                let picture = picture(size, body, limits.pixels_max)
                    .ok_or_else(|| broken("a picture of another size"))?;
                lease.give_back();
                let content = PictureContent { picture, title, metadata, format, warnings };
                Ok(Content::Picture(content))
            }
            Reply::Video { size } => {
                video::frames(lease, format, size, &limits.video, cancel).map(Content::Video)
            }
            Reply::Sound { facts } => {
                sound::sounds(lease, format, facts, &limits.sound, cancel).map(Content::Sound)
            }
            Reply::Failed(failure) => {
                lease.give_back();
                Err(failure.into_error(format))
            }
            Reply::Frame { .. } | Reply::Samples | Reply::End { .. } => {
                Err(broken("a part of no stream"))
            }
        }
    }

    /// Returns the picture of a format that was told already.
    pub(super) fn decode_picture(
        &self,
        bytes: &[u8],
        format: Format,
        limits: &Limits,
    ) -> Result<Picture, DecodeError> {
        match self.decode(bytes, format, &Hint::default(), limits, &Cancellation::new())? {
            Content::Picture(content) => Ok(content.picture),
            Content::Text(_) | Content::Records(_) | Content::Video(_) | Content::Sound(_) => {
                Err(DecodeError::NoPicture)
            }
        }
    }

    /// Returns the frames of a video whose container was told already.
    pub(super) fn decode_frames(
        &self,
        bytes: &[u8],
        container: Container,
        limits: &Limits,
        cancel: &Cancellation,
    ) -> Result<Frames<'static>, DecodeError> {
        let format = Format::Video(container);
        match self.decode(bytes, format, &Hint::default(), limits, cancel)? {
            Content::Video(frames) => Ok(frames),
            Content::Text(_) | Content::Records(_) | Content::Picture(_) | Content::Sound(_) => {
                let reason = "it is no video".to_owned();
                Err(DecodeError::DamagedVideo { container, reason })
            }
        }
    }

    /// Returns the samples of a sound whose format was told already.
    pub(super) fn decode_sounds(
        &self,
        bytes: &[u8],
        packed: SoundFormat,
        limits: &Limits,
        cancel: &Cancellation,
    ) -> Result<Sounds<'static>, DecodeError> {
        let format = Format::Sound(packed);
        match self.decode(bytes, format, &Hint::default(), limits, cancel)? {
            Content::Sound(sounds) => Ok(sounds),
            Content::Text(_) | Content::Records(_) | Content::Picture(_) | Content::Video(_) => {
                let reason = "it is no sound".to_owned();
                Err(DecodeError::DamagedSound { format: packed, reason })
            }
        }
    }

    /// Waits for a process that is free, or starts one.
    fn lease(&self, format: Format, cancel: &Cancellation) -> Result<Lease, DecodeError> {
        let pool = &self.0;
        let mut state = pool.lock();
        while state.busy >= pool.options.processes_max.max(1) {
            cancel.check()?;
            let waited = pool.given_back.wait_timeout(state, LOOK_INTERVAL);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        // One that ended while nobody looked is of no use.
        let mut process = state.idle.pop();
        while process.as_mut().is_some_and(|process| !process.is_alive()) {
            process = state.idle.pop();
        }
        state.busy += 1;
        drop(state);
        // From here on the place is given up by dropping the lease.
        let mut lease = Lease { apart: self.clone(), process, format };
        if lease.process.is_none() {
            lease.process = Some(Process::start(&pool.options)?);
        }
        Ok(lease)
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A process that reads for one caller. It is ended when this is dropped, unless it was given back.
struct Lease {
    apart: Apart,
    process: Option<Process>,
    format: Format,
}

impl Lease {
    fn ask(&mut self, request: &Request, bytes: &[u8]) -> Result<(), DecodeError> {
        let format = self.format;
        let Some(process) = &mut self.process else { return Err(self.broken("nothing")) };
        process.send(request, bytes).map_err(|_| process.failure(format))
    }

    /// Waits for what the process says next.
    fn reply(&mut self, cancel: &Cancellation) -> Result<(Reply, Vec<u8>), DecodeError> {
        let (format, time_max) = (self.format, self.apart.options().time_max);
        let Some(process) = &mut self.process else { return Err(self.broken("nothing")) };
        process.receive(format, time_max, cancel)
    }

    /// Returns the error that a process which says something else than it should is.
    fn broken(&self, what: &'static str) -> DecodeError {
        DecodeError::ParserFailed {
            format: self.format,
            reason: format!("the process that read it gave {what}"),
        }
    }

    /// Keeps the process for the next file: its answer was read to the end.
    fn give_back(mut self) {
        if let Some(process) = self.process.take().filter(|process| process.files() < FILES_MAX) {
            self.apart.0.lock().idle.push(process);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Ends the process, if it was not given back.
        self.process = None;
        self.apart.0.lock().busy -= 1;
        self.apart.0.given_back.notify_one();
    }
}

/// Returns the picture of a size, if the samples are as many and it is within its bounds.
fn picture((width, height): (u32, u32), samples: Vec<u8>, pixels_max: u64) -> Option<Picture> {
    let is_within = u64::from(width) * u64::from(height) <= pixels_max;
    Picture::new(width, height, samples).filter(|_| is_within)
}

/// The same processes, whatever they are doing.
impl PartialEq for Apart {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Apart {}

impl fmt::Debug for Apart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Apart").field(&self.0.options).finish()
    }
}
