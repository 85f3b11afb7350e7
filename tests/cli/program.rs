//! The program as a person or a script runs it, over folders of its own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use serde_json::Value as Json;

use crate::support;

/// The program with a data directory of its own; nothing of it stays.
#[derive(Debug)]
pub(crate) struct Program {
    folder: tempfile::TempDir,
    cache: PathBuf,
    is_offline: bool,
}

/// What a run left.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Answer {
    /// Returns the one JSON value on standard output.
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }

    /// Checks that all went well.
    pub(crate) fn done(self) -> Self {
        assert_eq!(self.code, 0, "{}\n{}", self.stdout, self.stderr);
        self
    }
}

impl Program {
    /// The program with the models that the tests share.
    pub(crate) fn new() -> Self {
        support::model();
        let folder = tempfile::tempdir().unwrap();
        Self { folder, cache: support::cache_folder(), is_offline: false }
    }

    /// The program with an empty cache and no network: nothing is loaded, and it is quick.
    pub(crate) fn without_models() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        fs_err::create_dir_all(&cache).unwrap();
        Self { folder, cache, is_offline: true }
    }

    /// The folder it runs in; the data directory is `data` in it.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// Writes a file below the folder it runs in.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, content).unwrap();
        path
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_simile"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SIMILE_") {
                command.env_remove(name);
            }
        }
        if self.is_offline {
            command.env("SIMILE_OFFLINE", "true");
        }
        command.env("SIMILE_CACHE", &self.cache).env("SIMILE_DATA", self.data());
        command.args(arguments).current_dir(self.folder()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Answer {
        answer(self.command(arguments).spawn().unwrap())
    }

    pub(crate) fn run_with_stdin(&self, arguments: &[&str], stdin: &[u8]) -> Answer {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin).unwrap();
        answer(child)
    }

    /// Starts a server on a free port and waits until it serves.
    pub(crate) fn serve(&self, arguments: &[&str]) -> Serving {
        self.serve_in(arguments, &[])
    }

    /// As [`Self::serve`], with these variables in its environment.
    pub(crate) fn serve_in(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Serving {
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.args(["--log-format", "json"]).args(arguments).envs(variables.iter().copied());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut log = String::new();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                let json: Json = serde_json::from_str(&line).unwrap_or_default();
                log.push_str(&line);
                log.push('\n');
                (json["message"] == "serving").then(|| json["address"].as_str().unwrap().to_owned())
            })
            .unwrap_or_else(|| panic!("the server did not start: {log}"));
        // Read to its end, or the server would wait for its log to be read.
        let rest = std::thread::spawn(move || {
            lines.map_while(Result::ok).fold(log, |log, line| log + &line + "\n")
        });
        Serving { child, address, log: Some(rest) }
    }
}

fn answer(child: Child) -> Answer {
    let output = child.wait_with_output().unwrap();
    Answer {
        code: code(output.status),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The exit code as a shell shows it.
fn code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap())
}

/// Sends a signal, as `INT` or `TERM`.
pub(crate) fn signal(child: &Child, name: &str) {
    let line = format!("kill -{name} {}", child.id());
    assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
}

/// Waits for the end of a child and returns what it left.
pub(crate) fn end_of(mut child: Child) -> Answer {
    let (mut stdout, mut stderr) = (String::new(), String::new());
    if let Some(mut pipe) = child.stdout.take() {
        pipe.read_to_string(&mut stdout).unwrap();
    }
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    Answer { code: code(child.wait().unwrap()), stdout, stderr }
}

/// A server of its own process; ended when dropped.
#[derive(Debug)]
pub(crate) struct Serving {
    child: Child,
    /// Where it listens, as `127.0.0.1:4711`.
    pub(crate) address: String,
    log: Option<JoinHandle<String>>,
}

impl Serving {
    /// Returns the number of its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Ends it by a signal and returns its exit code and its log.
    pub(crate) fn stop(mut self, by: &str) -> (i32, String) {
        signal(&self.child, by);
        let status = self.child.wait().unwrap();
        (code(status), self.log.take().unwrap().join().unwrap())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
