//! A parser's failure is its input's failure, not ours.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{DecodeError, Format};

/// How much of a parser's last words is passed on.
const REASON_BYTES_MAX: usize = 200;

/// Runs a decoder; if it panics, that is an error of the bytes it was given.
pub(super) fn panics<T>(
    format: Format,
    decode: impl FnOnce() -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    // What the closure borrowed is not looked at again after a panic.
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|panic| {
        Err(DecodeError::ParserFailed { format, reason: reason_of(panic.as_ref()) })
    })
}

/// How work was ended before its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended<T> {
    /// On purpose, with what was thrown.
    Thrown(T),
    /// By a panic, with its reason.
    Panicked(String),
}

/// Runs work that may be ended by throwing a value through it.
pub(super) fn ended<T: Any>(work: impl FnOnce()) -> Result<(), Ended<T>> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| match panic.downcast::<T>() {
        Ok(thrown) => Ended::Thrown(*thrown),
        Err(panic) => Ended::Panicked(reason_of(panic.as_ref())),
    })
}

fn reason_of(panic: &(dyn Any + Send)) -> String {
    let reason = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a reason");
    reason[..reason.floor_char_boundary(REASON_BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_of_the_input() {
        let result: Result<(), _> = panics(Format::Pdf, || panic!("index {} out of range", 7));
        assert_eq!(
            result.unwrap_err().to_string(),
            "the PDF could not be read: its parser failed (index 7 out of range)"
        );
    }
}
