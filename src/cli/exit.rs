//! Exit codes and errors of the commands. The codes are part of the interface: see `simile --help`.

use std::io;
use std::process::ExitCode;

use serde_json::json;
use tonic::{Code, Status};

use crate::config::ConfigError;
use crate::error::{Classified, ErrorKind};

/// What a command reports when it does not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Everything was done.
    Done,
    /// Some items failed and were named; the others are done.
    SomeFailed,
    /// A check found damage and named it.
    Damaged,
    /// A check found that something is missing and named it.
    Missing,
    /// Ctrl-C: what was done so far is kept.
    Interrupted,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// The server's answer.
    #[error("{}", .0.message())]
    Status(Status),
    /// Settings that do not hold.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Something local, with what can be done about it.
    #[error("{message}")]
    Local {
        /// Of what kind.
        kind: ErrorKind,
        /// What happened.
        message: String,
    },
    /// Writing the answer failed.
    #[error("cannot write the answer")]
    Output(#[from] io::Error),
}

// Not a source: its message is the whole story, and its own display adds the code to it.
impl From<Status> for CliError {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl CliError {
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::local(ErrorKind::InvalidInput, message)
    }

    pub(super) fn local(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::Local { kind, message: message.into() }
    }

    /// Returns an error of a module below, with the messages of what caused it.
    pub(super) fn of(error: &impl Classified) -> Self {
        Self::local(error.kind(), chain(error))
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Status(status) => kind_of(status.code()),
            Self::Config(error) => error.kind(),
            Self::Local { kind, .. } => *kind,
            Self::Output(_) => ErrorKind::Internal,
        }
    }

    /// Returns the code that the process ends with.
    pub(super) fn exit_code(&self) -> ExitCode {
        // A reader that closed the pipe (`| head`) has what it wanted.
        if matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe) {
            return ExitCode::SUCCESS;
        }
        ExitCode::from(code_of(self.kind()))
    }

    /// Returns the error as text for a person, or as one JSON object for a script.
    pub(super) fn render(&self, is_json: bool) -> String {
        let message = chain(self);
        if is_json {
            json!({ "error": { "kind": name_of(self.kind()), "message": message } }).to_string()
        } else {
            format!("error: {message}")
        }
    }

    /// Returns whether there is nobody left to tell.
    pub(super) fn is_silent(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl Outcome {
    /// Returns the code that the process ends with.
    pub(super) fn exit_code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Done => 0,
            Self::Missing => 5,
            Self::SomeFailed => 8,
            Self::Damaged => 7,
            Self::Interrupted => 130,
        })
    }
}

/// The text that `--help` ends with.
pub(super) const HELP: &str = "\
Exit codes:
    0  done
    1  a defect, or something unforeseen
    2  wrong usage or wrong input
    3  what was named does not exist
    4  exists already, or does not fit the present state
    5  something is missing: no server, model, runtime or key, or a feature of another build
    6  overloaded, or the deadline passed: try again
    7  stored data is damaged
    8  some items failed and were named; the others are done
  130  interrupted; what was done so far is kept";

fn code_of(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Internal => 1,
        ErrorKind::InvalidInput => 2,
        ErrorKind::NotFound => 3,
        ErrorKind::AlreadyExists | ErrorKind::Conflict => 4,
        ErrorKind::Unavailable | ErrorKind::Unsupported => 5,
        ErrorKind::Overloaded | ErrorKind::TimedOut => 6,
        ErrorKind::Corrupt => 7,
        ErrorKind::Cancelled => 130,
    }
}

fn name_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidInput => "invalid_input",
        ErrorKind::NotFound => "not_found",
        ErrorKind::AlreadyExists => "already_exists",
        ErrorKind::Conflict => "conflict",
        ErrorKind::Unsupported => "unsupported",
        ErrorKind::Overloaded => "overloaded",
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::TimedOut => "timed_out",
        ErrorKind::Cancelled => "cancelled",
        ErrorKind::Corrupt => "corrupt",
        ErrorKind::Internal => "internal",
    }
}

fn kind_of(code: Code) -> ErrorKind {
    match code {
        Code::InvalidArgument | Code::OutOfRange => ErrorKind::InvalidInput,
        Code::NotFound => ErrorKind::NotFound,
        Code::AlreadyExists => ErrorKind::AlreadyExists,
        Code::FailedPrecondition | Code::Aborted => ErrorKind::Conflict,
        Code::Unimplemented => ErrorKind::Unsupported,
        Code::ResourceExhausted => ErrorKind::Overloaded,
        Code::Unavailable | Code::PermissionDenied | Code::Unauthenticated => {
            ErrorKind::Unavailable
        }
        Code::DeadlineExceeded => ErrorKind::TimedOut,
        Code::Cancelled => ErrorKind::Cancelled,
        Code::DataLoss => ErrorKind::Corrupt,
        Code::Ok | Code::Unknown | Code::Internal => ErrorKind::Internal,
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let message = cause.to_string();
        if !text.ends_with(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_code_that_is_returned() {
        let kinds = [
            ErrorKind::InvalidInput,
            ErrorKind::NotFound,
            ErrorKind::AlreadyExists,
            ErrorKind::Conflict,
            ErrorKind::Unsupported,
            ErrorKind::Overloaded,
            ErrorKind::Unavailable,
            ErrorKind::TimedOut,
            ErrorKind::Cancelled,
            ErrorKind::Corrupt,
            ErrorKind::Internal,
        ];
        for kind in kinds {
            let start = format!("{:>5}  ", code_of(kind));
            assert!(HELP.lines().any(|line| line.starts_with(&start)), "{kind:?}");
        }
    }

    #[test]
    fn an_error_is_one_json_object_for_a_script() {
        let error = CliError::from(Status::not_found("no collection `x`"));
        let text = error.render(true);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["error"]["kind"], "not_found");
        assert_eq!(value["error"]["message"], "no collection `x`");
    }
}
