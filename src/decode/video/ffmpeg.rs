//! What needs a codec, read by the `ffmpeg` program.
//!
//! The program writes pictures that carry their own size to one pipe, and the filter `showinfo` tells
//! the time stamp of each on another, in units of the stream's time base and so without loss. Two
//! threads empty the pipes into short queues; when nobody asks for frames, the program waits.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::stream::{RawFrame, Source};
use super::{Container, VideoOptions};
use crate::cancel::Cancellation;
use crate::decode::DecodeError;
use crate::picture::Picture;

/// Pictures that wait between the program and who asks.
const PICTURES_MAX: usize = 2;
/// Time stamps that wait; the program is never that far ahead of its pictures.
const STAMPS_MAX: usize = 4_096;
/// How often it is looked whether the work was cancelled.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// The longest line of the program that is looked at, in bytes.
const LINE_BYTES_MAX: u64 = 16 << 10;
/// The largest block of memory that the program may ask for.
const ALLOCATION_BYTES_MAX: u64 = 1 << 30;
/// The most memory of the program.
#[cfg(target_os = "linux")]
const PROGRAM_BYTES_MAX: u64 = 4 << 30;
/// How much of the program's complaints is passed on.
const COMPLAINTS_MAX: usize = 3;
const COMPLAINT_BYTES_MAX: usize = 160;

/// Where the program reads from.
#[derive(Debug)]
pub(super) enum Input {
    /// A file of the user.
    File(PathBuf),
    /// A copy of bytes, since a program cannot go back in a pipe; gone when it is dropped.
    Copy(tempfile::NamedTempFile),
}

impl Input {
    pub(super) fn keep(
        bytes: &[u8],
        container: Container,
        folder: &Path,
    ) -> Result<Self, DecodeError> {
        let write = || {
            let mut file = tempfile::Builder::new().prefix("simile-").tempfile_in(folder)?;
            io::Write::write_all(&mut file, bytes)?;
            Ok(file)
        };
        write().map(Self::Copy).map_err(|error: io::Error| DecodeError::Program {
            what: container.to_string(),
            reason: format!("a copy for it could not be written in {}: {error}", folder.display()),
        })
    }

    fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Copy(file) => file.path(),
        }
    }
}

/// What the thread that reads the pictures says.
type Pictured = Result<Picture, String>;

/// What `showinfo` says of a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stamp {
    start_ms: Option<f64>,
    duration_ms: Option<f64>,
    size: (u32, u32),
    aspect: (u32, u32),
}

/// What the thread that reads the program's words says.
#[derive(Debug)]
enum Said {
    Stamp(Stamp),
    Complaint(String),
}

/// The program at work.
#[derive(Debug)]
pub(super) struct Ffmpeg {
    child: Child,
    container: Container,
    pictures: Option<Receiver<Pictured>>,
    said: Option<Receiver<Said>>,
    threads: Vec<JoinHandle<()>>,
    complaints: Vec<String>,
    frame_time_max: Duration,
    size: Option<(u32, u32)>,
    number: u64,
    #[expect(dead_code, reason = "the copy is removed when the program has ended")]
    input: Input,
}

impl Ffmpeg {
    pub(super) fn start(
        program: &Path,
        input: Input,
        container: Container,
        options: &VideoOptions,
    ) -> Result<Self, DecodeError> {
        let failed = |error: io::Error| DecodeError::Program {
            what: container.to_string(),
            reason: format!("`{}` did not start: {error}", program.display()),
        };
        let mut child =
            command(program, input.path(), container, options).spawn().map_err(failed)?;
        bound_memory(&child);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (send_picture, pictures) = sync_channel(PICTURES_MAX);
        let (say, said) = sync_channel(STAMPS_MAX);
        let side_max = options.side_max.max(1);
        let path = input.path().display().to_string();
        let mut this = Self {
            child,
            container,
            pictures: Some(pictures),
            said: Some(said),
            threads: Vec::new(),
            complaints: Vec::new(),
            frame_time_max: options.frame_time_max,
            size: None,
            number: 0,
            input,
        };
        let mut spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            let thread =
                thread::Builder::new().name(name.to_owned()).spawn(work).map_err(failed)?;
            this.threads.push(thread);
            Ok::<_, DecodeError>(())
        };
        if let Some(stdout) = stdout {
            spawn(
                "video-pictures",
                Box::new(move || read_pictures(stdout, side_max, &send_picture)),
            )?;
        }
        if let Some(stderr) = stderr {
            spawn("video-stamps", Box::new(move || read_words(stderr, &path, &say)))?;
        }
        Ok(this)
    }

    /// Waits for the next picture; none when there is no more.
    fn picture(&mut self, cancel: &Cancellation) -> Result<Option<Picture>, DecodeError> {
        let Some(pictures) = &self.pictures else { return Ok(None) };
        let began = Instant::now();
        loop {
            cancel.check()?;
            match pictures.recv_timeout(LOOK_INTERVAL) {
                Ok(Ok(picture)) => return Ok(Some(picture)),
                Ok(Err(reason)) => {
                    return Err(DecodeError::Program { what: self.container.to_string(), reason });
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) if began.elapsed() > self.frame_time_max => {
                    return Err(DecodeError::SlowVideo {
                        container: self.container,
                        seconds: self.frame_time_max.as_secs(),
                    });
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Waits for what is said of the picture that came; it was said before.
    fn stamp(&mut self) -> Option<Stamp> {
        loop {
            match self.said.as_ref()?.recv_timeout(self.frame_time_max).ok()? {
                Said::Stamp(stamp) => return Some(stamp),
                Said::Complaint(complaint) => self.complain(complaint),
            }
        }
    }

    fn complain(&mut self, complaint: String) {
        if self.complaints.len() < COMPLAINTS_MAX && !self.complaints.contains(&complaint) {
            self.complaints.push(complaint);
        }
    }

    /// Waits until the program has ended and said its last word; returns whether it was content.
    fn last_words(&mut self) -> bool {
        self.pictures = None;
        while let Some(Ok(said)) = self.said.as_ref().map(Receiver::recv) {
            if let Said::Complaint(complaint) = said {
                self.complain(complaint);
            }
        }
        self.said = None;
        self.child.wait().is_ok_and(|status| status.success())
    }
}

impl Source for Ffmpeg {
    fn next(&mut self, cancel: &Cancellation) -> Result<Option<RawFrame>, DecodeError> {
        let Some(picture) = self.picture(cancel)? else {
            let is_content = self.last_words();
            if self.number == 0 {
                let reason = match self.complaints.join("; ") {
                    said if !said.is_empty() => said,
                    _ if is_content => "there is no frame in it".to_owned(),
                    _ => "ffmpeg failed without a reason".to_owned(),
                };
                return Err(DecodeError::DamagedVideo { container: self.container, reason });
            }
            return Ok(None);
        };
        let stamp = self.stamp();
        if let (Some(Stamp { size: (width, height), aspect, .. }), None) = (stamp, self.size) {
            self.size = Some(super::fit::fitting(width, height, aspect, u32::MAX));
        }
        self.number += 1;
        Ok(Some(RawFrame {
            picture,
            start_ms: stamp.and_then(|stamp| stamp.start_ms),
            duration_ms: stamp.and_then(|stamp| stamp.duration_ms),
        }))
    }

    fn size(&self) -> Option<(u32, u32)> {
        self.size
    }

    fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.complaints)
    }
}

impl Drop for Ffmpeg {
    fn drop(&mut self) {
        // A program that has ended already is as good as one that is killed.
        drop(self.child.kill());
        drop(self.child.wait());
        // Threads that wait for room in a queue find nobody there.
        self.pictures = None;
        self.said = None;
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

fn command(program: &Path, input: &Path, container: Container, options: &VideoOptions) -> Command {
    let side = options.side_max.max(1);
    // The longer side once pixels are square; commas inside quotes do not end a filter.
    let scale = format!("min(1,{side}/max(iw*sar,ih))");
    let filters = format!(
        "showinfo,scale=w='min({side},max(1,round(iw*sar*{scale})))'\
         :h='min({side},max(1,round(ih*{scale})))':flags=area,setsar=1"
    );
    let mut command = Command::new(program);
    command.args(["-hide_banner", "-nostdin", "-loglevel", "repeat+level+info", "-nostats"]);
    command.args(["-max_alloc", &ALLOCATION_BYTES_MAX.to_string()]);
    command.args(["-protocol_whitelist", "file", "-format_whitelist", container.demuxers()]);
    command.args(["-max_pixels", &options.pixels_max.to_string()]);
    command.args(["-threads", &options.threads.max(1).to_string()]);
    let mut source = std::ffi::OsString::from("file:");
    source.push(input);
    command.arg("-i").arg(source);
    command.args(["-map", "0:V:0", "-vf", &filters, "-fps_mode", "passthrough"]);
    command.args(["-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "pipe:1"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Bounds the address space of the program, where the system can do that to a process that runs; the
/// program has its own bound of a block, too.
#[cfg(target_os = "linux")]
fn bound_memory(child: &Child) {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let most = Some(PROGRAM_BYTES_MAX);
    let bound = Rlimit { current: most, maximum: most };
    // One that has ended already needs no bound.
    drop(prlimit(Some(Pid::from_child(child)), Resource::As, bound));
}

#[cfg(not(target_os = "linux"))]
fn bound_memory(_: &Child) {}

fn read_pictures(stdout: impl Read, side_max: u32, send: &SyncSender<Pictured>) {
    let mut reader = BufReader::new(stdout);
    loop {
        match read_picture(&mut reader, side_max) {
            Ok(Some(picture)) => {
                if send.send(Ok(picture)).is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(reason) => {
                // Nobody listens any more, or hears it.
                drop(send.send(Err(reason)));
                return;
            }
        }
    }
}

/// Reads a picture in the form PPM; none at the end.
fn read_picture(reader: &mut impl BufRead, side_max: u32) -> Result<Option<Picture>, String> {
    let wrong = |what: &str| format!("ffmpeg wrote no picture: {what}");
    let io = |error: io::Error| wrong(&error.to_string());
    if reader.fill_buf().map_err(io)?.is_empty() {
        return Ok(None);
    }
    let mut words = Vec::new();
    while words.len() < 4 {
        let mut line = String::new();
        let read = reader.by_ref().take(64).read_line(&mut line).map_err(io)?;
        if read == 0 {
            return Ok(None);
        }
        words.extend(line.split_ascii_whitespace().map(str::to_owned));
    }
    let number = |at: usize| words[at].parse::<u32>().map_err(|_| wrong(&words.join(" ")));
    let (width, height) = (number(1)?, number(2)?);
    if words[0] != "P6" || words[3] != "255" || width.max(height) > side_max {
        return Err(wrong(&words.join(" ")));
    }
    let mut samples = vec![0; width as usize * height as usize * 3];
    match reader.read_exact(&mut samples) {
        Ok(()) => {}
        // Killed in the middle of a picture.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(io(error)),
    }
    Picture::new(width, height, samples).map(Some).ok_or_else(|| wrong("it has no pixels"))
}

fn read_words(stderr: impl Read, path: &str, say: &SyncSender<Said>) {
    let mut reader = BufReader::new(stderr);
    let mut time_base = None;
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        let said = if text.starts_with("[Parsed_showinfo") {
            time_base = time_base_of(&text).or(time_base);
            stamp_of(&text, time_base).map(Said::Stamp)
        } else {
            complaint_of(&text, path).map(Said::Complaint)
        };
        if let Some(said) = said
            && say.send(said).is_err()
        {
            return;
        }
    }
}

/// Returns the milliseconds of a unit of time, from the line that comes before the first frame.
fn time_base_of(line: &str) -> Option<f64> {
    let (_, rest) = line.split_once("config in time_base: ")?;
    let (numerator, denominator) = ratio(rest.split(',').next()?, '/')?;
    (denominator > 0).then(|| f64::from(numerator) * 1_000.0 / f64::from(denominator))
}

fn stamp_of(line: &str, unit_ms: Option<f64>) -> Option<Stamp> {
    let (_, rest) = line.split_once("] n:")?;
    // A value may stand apart from its name, to be in a column.
    let value = |name: &str| {
        let (_, after) = rest.split_once(name)?;
        after.trim_start().split_ascii_whitespace().next()
    };
    let time = |name: &str| Some(value(name)?.parse::<i64>().ok()? as f64 * unit_ms?);
    Some(Stamp {
        start_ms: time(" pts:"),
        duration_ms: time(" duration:"),
        size: ratio(value(" s:")?, 'x')?,
        aspect: value(" sar:").and_then(|value| ratio(value, '/')).unwrap_or((0, 1)),
    })
}

fn ratio(text: &str, between: char) -> Option<(u32, u32)> {
    let (first, second) = text.trim().split_once(between)?;
    Some((first.parse().ok()?, second.parse().ok()?))
}

/// Returns an error that the program tells, without who tells it and without the file's name.
fn complaint_of(line: &str, path: &str) -> Option<String> {
    let (_, text) = line.split_once("[error] ").or_else(|| line.split_once("[fatal] "))?;
    let text = text.replace(&format!("file:{path}"), "it").replace(path, "it");
    let text = text.trim().trim_end_matches('.');
    let text = &text[..text.floor_char_boundary(COMPLAINT_BYTES_MAX)];
    // The last one says only that there were others.
    let is_news = !text.is_empty() && !text.starts_with("Error opening output");
    is_news.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stamps_are_read_in_their_own_units() {
        let config =
            "[Parsed_showinfo_0 @ 0x7f] [info] config in time_base: 1/19200, frame_rate: 30/1\n";
        let unit = time_base_of(config);
        assert_eq!(unit, Some(1_000.0 / 19_200.0));
        let line = "[Parsed_showinfo_0 @ 0x7f] [info] n:  12 pts:   7680 pts_time:0.4     duration:    640 \
                    duration_time:0.0333333 fmt:yuv420p cl:left sar:16/15 s:720x576 i:P iskey:1";
        let expected = Stamp {
            start_ms: Some(400.0),
            duration_ms: Some(640.0 * 1_000.0 / 19_200.0),
            size: (720, 576),
            aspect: (16, 15),
        };
        assert_eq!(stamp_of(line, unit), Some(expected));
        // Version 5 tells no duration; some streams have frames without a time.
        let old = "[Parsed_showinfo_0 @ 0x7f] [info] n:   0 pts:  NOPTS pts_time:NOPTS fmt:gray sar:0/1 s:4x2 i:P";
        let expected = Stamp { start_ms: None, duration_ms: None, size: (4, 2), aspect: (0, 1) };
        assert_eq!(stamp_of(old, unit), Some(expected));
        assert_eq!(stamp_of("[Parsed_showinfo_0 @ 0x7f] [info] color_range:tv", unit), None);
    }

    #[test]
    fn what_is_no_picture_is_said_and_a_cut_off_one_ends_the_stream() {
        let read = |bytes: &[u8]| read_picture(&mut &bytes[..], 100);
        let picture = read(b"P6\n2 1\n255\nabcdef").unwrap().unwrap();
        assert_eq!((picture.width(), picture.samples()), (2, &b"abcdef"[..]));
        assert_eq!(read(b""), Ok(None));
        assert_eq!(read(b"P6\n2 1\n255\nabc"), Ok(None));
        for wrong in [&b"P5\n2 1\n255\nabcdef"[..], b"P6\n101 1\n255\n", b"P6\n2 -1\n255\nab"] {
            assert!(
                read(wrong).unwrap_err().starts_with("ffmpeg wrote no picture: P"),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn complaints_do_not_name_the_copy() {
        let line = "[mov,mp4 @ 0x55] [error] moov atom not found\n";
        assert_eq!(complaint_of(line, "/tmp/x").as_deref(), Some("moov atom not found"));
        let line = "[in#0 @ 0x55] [error] Error opening input file file:/tmp/x.";
        assert_eq!(complaint_of(line, "/tmp/x").as_deref(), Some("Error opening input file it"));
        assert_eq!(complaint_of("[info] fine", "/tmp/x"), None);
    }
}
