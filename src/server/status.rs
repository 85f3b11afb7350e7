//! Errors of the domain as gRPC statuses: the one place where a kind becomes a code.

use std::error::Error;
use std::time::Duration;

use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use crate::cancel::Interrupted;
use crate::error::{Classified, ErrorKind};

/// How long a caller that was refused for load is asked to wait.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// How the layer below says that a message is longer than is read.
const TOO_LARGE: &str = "message length too large";
const ADVICE: &str = "send less at once (a long video in pieces, or smaller), or raise the server's setting \
                      message_bytes_max";

/// Returns the status of an error: the code of its kind, and the messages of the error and of what
/// caused it. A defect of this program is logged and not spelled out to the caller.
pub(super) fn of(error: &(impl Classified + ?Sized)) -> Status {
    let kind = error.kind();
    let message = if kind == ErrorKind::Internal {
        tracing::error!(error = %chain(error), "internal error");
        format!("internal error, the server's log has more: {error}")
    } else {
        chain(error)
    };
    from_kind(kind, message)
}

/// Returns the status of a kind with this message; refusals for load carry a hint when to retry.
pub(super) fn from_kind(kind: ErrorKind, message: String) -> Status {
    let code = code(kind);
    match kind {
        ErrorKind::Overloaded => Status::with_metadata(code, message, retry_hint(RETRY_AFTER)),
        ErrorKind::InvalidInput
        | ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::Conflict
        | ErrorKind::Unsupported
        | ErrorKind::Unavailable
        | ErrorKind::TimedOut
        | ErrorKind::Cancelled
        | ErrorKind::Corrupt
        | ErrorKind::Internal => Status::new(code, message),
    }
}

/// Returns what a request ended with, and, if its message was longer than is read, what to do about it.
pub(super) fn with_advice(status: Status) -> Status {
    let message = status.message();
    if status.code() != Code::OutOfRange || !message.contains(TOO_LARGE) {
        return status;
    }
    Status::out_of_range(format!("{message}; {ADVICE}"))
}

/// Returns the status of a message that is longer than is read.
pub(super) fn too_large(actual: usize, most: usize) -> Status {
    with_advice(Status::out_of_range(format!(
        "{TOO_LARGE}: found {actual} bytes, the limit is: {most} bytes"
    )))
}

/// Returns the status of something that will be there soon.
pub(super) fn not_ready(message: impl Into<String>) -> Status {
    Status::with_metadata(Code::Unavailable, message, retry_hint(Duration::from_secs(1)))
}

/// Returns the status of work that ended early.
pub(super) fn interrupted(reason: Interrupted) -> Status {
    Status::new(code(reason.kind()), reason.to_string())
}

/// Returns the code of a kind.
pub(super) fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::InvalidInput => Code::InvalidArgument,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::AlreadyExists => Code::AlreadyExists,
        ErrorKind::Conflict => Code::FailedPrecondition,
        ErrorKind::Unsupported => Code::Unimplemented,
        ErrorKind::Overloaded => Code::ResourceExhausted,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::TimedOut => Code::DeadlineExceeded,
        ErrorKind::Cancelled => Code::Cancelled,
        ErrorKind::Corrupt => Code::DataLoss,
        ErrorKind::Internal => Code::Internal,
    }
}

/// Returns the name of a kind's code as it is written in item results, as `INVALID_ARGUMENT`.
pub(super) fn code_name(kind: ErrorKind) -> &'static str {
    status_name(code(kind))
}

/// Returns the name of a code, as `INVALID_ARGUMENT`.
pub(super) fn status_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Returns the messages of an error and of what caused it, outermost first. A cause whose message
/// stands at the end of the one before (a transparent wrapper) is not said twice.
pub(super) fn chain(error: &(impl Error + ?Sized)) -> String {
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

/// Both spellings that clients honour: `retry-after` in whole seconds, and gRPC's own pushback.
fn retry_hint(after: Duration) -> MetadataMap {
    let mut metadata = MetadataMap::with_capacity(2);
    metadata.insert("retry-after", after.as_secs().max(1).into());
    metadata.insert("grpc-retry-pushback-ms", u64_from_millis(after).into());
    metadata
}

fn u64_from_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot answer")]
    struct Outer(#[source] std::io::Error, ErrorKind);

    impl Classified for Outer {
        fn kind(&self) -> ErrorKind {
            self.1
        }
    }

    fn outer(kind: ErrorKind) -> Outer {
        Outer(std::io::Error::other("the disk is full"), kind)
    }

    #[test]
    fn a_status_says_what_failed_and_why() {
        let status = of(&outer(ErrorKind::Conflict));
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(status.message(), "cannot answer: the disk is full");
    }

    #[test]
    fn a_refusal_for_load_says_when_to_come_back() {
        let status = of(&outer(ErrorKind::Overloaded));
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(status.metadata().get("retry-after").unwrap(), "1");
        assert_eq!(status.metadata().get("grpc-retry-pushback-ms").unwrap(), "500");
    }

    #[test]
    fn a_defect_does_not_show_its_inside() {
        let status = of(&outer(ErrorKind::Internal));
        assert_eq!(status.code(), Code::Internal);
        assert!(!status.message().contains("disk"), "{status}");
    }
}
