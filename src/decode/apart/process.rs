use std::io::{self, BufReader};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::message::{Reply, Request, read, write};
use super::{ApartOptions, LOOK_INTERVAL};
use crate::cancel::Cancellation;
use crate::decode::{DecodeError, Format};

/// Replies that wait; the process is never further ahead than this and what its pipe holds.
const REPLIES_MAX: usize = 1;
/// How much address space the allocator of the process takes at once.
const ALLOCATED_AHEAD: &str = "32MiB";

type Heard = io::Result<(Reply, Vec<u8>)>;

/// A process that reads one file after the other.
pub(super) struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    heard: Option<Receiver<Heard>>,
    thread: Option<JoinHandle<()>>,
    memory_bytes_max: u64,
    files: u32,
}

impl Process {
    pub(super) fn start(options: &ApartOptions) -> Result<Self, DecodeError> {
        let failed = |error: io::Error| {
            let program = options.program.display().to_string();
            DecodeError::NotStarted { program, reason: error.to_string() }
        };
        let mut command = Command::new(&options.program);
        command
            .args(&options.arguments)
            .arg(options.memory_bytes_max.to_string())
            .arg(options.time_max.as_secs().max(1).to_string())
            .env_clear()
            // Address space that the allocator takes ahead counts as memory, and is taken before the bound is.
            .env("MIMALLOC_ARENA_RESERVE", ALLOCATED_AHEAD)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        // Ctrl-C in a terminal is for the server, which lets its work come to an end.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(failed)?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let mut process = Self {
            child,
            stdin,
            heard: None,
            thread: None,
            memory_bytes_max: options.memory_bytes_max,
            files: 0,
        };
        let (tell, heard) = sync_channel(REPLIES_MAX);
        if let Some(stdout) = stdout {
            let listen = move || listen(BufReader::with_capacity(1 << 20, stdout), &tell);
            let thread = thread::Builder::new().name("decode-apart".to_owned()).spawn(listen);
            process.thread = Some(thread.map_err(failed)?);
            process.heard = Some(heard);
        }
        Ok(process)
    }

    /// Returns how many files it was given.
    pub(super) fn files(&self) -> u32 {
        self.files
    }

    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Gives it a file.
    pub(super) fn send(&mut self, request: &Request, bytes: &[u8]) -> io::Result<()> {
        self.files += 1;
        match &mut self.stdin {
            Some(stdin) => write(stdin, request, bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Waits for its next reply.
    pub(super) fn receive(
        &mut self,
        format: Format,
        time_max: Duration,
        cancel: &Cancellation,
    ) -> Result<(Reply, Vec<u8>), DecodeError> {
        let began = Instant::now();
        loop {
            cancel.check()?;
            let Some(heard) = &self.heard else { return Err(self.failure(format)) };
            match heard.recv_timeout(LOOK_INTERVAL) {
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.failure(format));
                }
                Err(RecvTimeoutError::Timeout) if began.elapsed() > time_max => {
                    return Err(DecodeError::TooSlow { format, seconds: time_max.as_secs() });
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Returns the error of the file that the process ended over.
    pub(super) fn failure(&mut self, format: Format) -> DecodeError {
        // What it wrote was the last of it, so it ends, or is not what it was.
        drop(self.child.kill());
        let end = self.child.wait().map_or_else(|error| error.to_string(), |status| ended(&status));
        let mib = self.memory_bytes_max >> 20;
        let reason = format!(
            "the process that read it ended with {end}: it needs more than {mib} MiB of memory, or \
             its parser failed"
        );
        DecodeError::ParserFailed { format, reason }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stdin = None;
        // One that has ended already is as good as one that is killed.
        drop(self.child.kill());
        drop(self.child.wait());
        // A thread that waits for room finds nobody there.
        self.heard = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn listen(mut from: impl io::Read, tell: &SyncSender<Heard>) {
    loop {
        let heard = match read(&mut from) {
            Ok(Some(reply)) => Ok(reply),
            Ok(None) => return,
            Err(error) => Err(error),
        };
        let is_last = heard.is_err();
        if tell.send(heard).is_err() || is_last {
            return;
        }
    }
}

#[cfg(unix)]
fn ended(status: &ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(code)) => format!("code {code}"),
        (None, None) => "no reason".to_owned(),
    }
}

#[cfg(not(unix))]
fn ended(status: &ExitStatus) -> String {
    status.to_string()
}
