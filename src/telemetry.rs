//! What does the program say about itself? Structured lines on standard error; standard output
//! belongs to answers.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::SystemTime;

use crate::config::LogFormat;

/// Sends log lines that pass `filter` to standard error; a second call changes nothing.
///
/// # Errors
/// The filter as it was written, if it is none.
pub fn start(filter: &str, format: LogFormat) -> Result<(), String> {
    let filter =
        EnvFilter::builder().parse(filter).map_err(|error| format!("log = `{filter}`: {error}"))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_timer(SystemTime);
    // Only the first subscriber of a process counts; tests start several servers in one.
    let started = match format {
        LogFormat::Text => lines.with_target(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    drop(started);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_is_none_is_named() {
        assert!(start("simile=loud", LogFormat::Text).unwrap_err().contains("simile=loud"));
    }
}
