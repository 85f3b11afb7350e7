//! Where do answers, progress and errors go? Answers to standard output, everything else to standard
//! error; colour and bars only where a terminal shows them.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use clap::CommandFactory;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use super::exit::{CliError, Outcome};
use super::{Cli, collection};
use crate::error::ErrorKind;
use crate::server::Report;

/// How often a line of progress is printed where no terminal shows a bar.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// What stands out.
pub(super) const STRONG: Style = Style::new().bold();
/// What matters less.
pub(super) const FAINT: Style = Style::new().dimmed();
/// Words that matched.
pub(super) const MATCH: Style = AnsiColor::Yellow.on_default().bold();
/// What is fine.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// What is not.
pub(super) const BAD: Style = AnsiColor::Red.on_default();
/// A title.
pub(super) const TITLE: Style = AnsiColor::Cyan.on_default().bold();

/// The outside of a command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    is_json: bool,
    is_quiet: bool,
}

impl Output {
    pub(super) fn new(is_json: bool, is_quiet: bool) -> Self {
        Self { is_json, is_quiet }
    }

    /// Returns whether a script reads.
    pub(super) fn is_json(&self) -> bool {
        self.is_json
    }

    /// Prints an answer for a person.
    pub(super) fn text(&self, text: &str) -> Result<(), CliError> {
        let mut stdout = anstream::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            stdout.write_all(b"\n")?;
        }
        Ok(stdout.flush()?)
    }

    /// Prints an answer for a script: one JSON value on one line.
    pub(super) fn json(&self, value: &Value) -> Result<(), CliError> {
        let mut stdout = io::stdout().lock();
        serde_json::to_writer(&mut stdout, value).map_err(io::Error::from)?;
        stdout.write_all(b"\n")?;
        Ok(stdout.flush()?)
    }

    /// Prints the JSON form for a script, or the text for a person.
    pub(super) fn answer(
        &self,
        value: impl FnOnce() -> Value,
        text: impl FnOnce() -> String,
    ) -> Result<(), CliError> {
        if self.is_json { self.json(&value()) } else { self.text(&text()) }
    }

    /// Prints a remark to standard error, unless told to be quiet.
    pub(super) fn note(&self, text: &str) {
        if !self.is_quiet {
            self.error(text);
        }
    }

    /// Prints to standard error. If even that fails there is nobody left to tell.
    pub(super) fn error(&self, text: &str) {
        drop(writeln!(anstream::stderr(), "{text}"));
    }

    /// Asks a person to confirm; without a terminal the answer is an error that names the switch.
    pub(super) fn confirm(&self, question: &str) -> Result<(), CliError> {
        if !io::stdin().is_terminal() {
            return Err(CliError::usage(format!("{question} Say --yes to do it")));
        }
        drop(write!(anstream::stderr(), "{question} [y/N] "));
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        if matches!(answer.trim(), "y" | "Y" | "yes") {
            Ok(())
        } else {
            Err(CliError::local(ErrorKind::Cancelled, "nothing was deleted"))
        }
    }

    /// Returns a bar for `total` units of work; without a terminal it prints a line now and then.
    pub(super) fn progress(&self, title: &str, unit: Unit, total: Option<u64>) -> Progress {
        let shows_bar = !self.is_quiet && !self.is_json && io::stderr().is_terminal();
        let target = if shows_bar {
            ProgressDrawTarget::stderr_with_hz(10)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(total, target).with_style(unit.style(total));
        bar.set_prefix(title.to_owned());
        Progress {
            bar,
            unit,
            title: title.to_owned(),
            shows_lines: !shows_bar && !self.is_quiet,
            said: Instant::now(),
        }
    }

    /// Returns what shows how a model is obtained and loaded. Loading alone is quick and not worth a
    /// line; obtaining is said in any case, since it fetches from the network.
    pub(super) fn model_report(&self) -> Report {
        let (output, shown) = (*self, Mutex::new(None::<(String, Progress)>));
        Arc::new(move |what, done, total| {
            let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
            let is_new = shown.as_ref().is_none_or(|(shown, _)| shown != what);
            if is_new {
                if let Some((_, progress)) = shown.take() {
                    progress.finish();
                }
                if total.is_none() {
                    return;
                }
                let progress = output.progress(what, Unit::Bytes, total);
                progress.note(what);
                *shown = Some((what.to_owned(), progress));
            }
            if let Some((_, progress)) = shown.as_mut() {
                progress.set(done, "");
                if Some(done) == total {
                    progress.finish();
                }
            }
        })
    }

    /// Prints the completion script.
    pub(super) fn completions(&self, shell: clap_complete::Shell) -> Result<Outcome, CliError> {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "simile", &mut script);
        io::stdout().lock().write_all(&script)?;
        Ok(Outcome::Done)
    }

    /// Prints the manual page, or writes one for every command into `folder`.
    pub(super) fn man(&self, folder: Option<&Path>) -> Result<Outcome, CliError> {
        match folder {
            Some(folder) => {
                let refused = |error: io::Error| {
                    CliError::local(ErrorKind::Unavailable, format!("cannot write: {error}"))
                };
                fs_err::create_dir_all(folder).map_err(refused)?;
                clap_mangen::generate_to(Cli::command(), folder).map_err(refused)?;
            }
            None => {
                let mut page = Vec::new();
                clap_mangen::Man::new(Cli::command()).render(&mut page)?;
                io::stdout().lock().write_all(&page)?;
            }
        }
        Ok(Outcome::Done)
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Things.
    Items,
    /// Bytes.
    Bytes,
}

impl Unit {
    fn style(self, total: Option<u64>) -> ProgressStyle {
        let template = match (self, total) {
            (Self::Items, Some(_)) => {
                "{prefix} {bar:24} {pos}/{len}  {per_sec:.0}  {eta} left  {wide_msg:.dim}"
            }
            (Self::Items, None) => "{prefix} {spinner} {pos}  {per_sec:.0}  {wide_msg:.dim}",
            (Self::Bytes, Some(_)) => {
                "{prefix} {bar:24} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left  {wide_msg:.dim}"
            }
            (Self::Bytes, None) => "{prefix} {spinner} {bytes}  {bytes_per_sec}  {wide_msg:.dim}",
        };
        // The templates are ours; a mistake in one shows the plain bar.
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
    }

    fn amount(self, number: u64) -> String {
        match self {
            Self::Items => number.to_string(),
            Self::Bytes => collection::bytes(number),
        }
    }
}

/// Progress of one long work.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    unit: Unit,
    title: String,
    shows_lines: bool,
    said: Instant,
}

impl Progress {
    /// Shows how far the work is.
    pub(super) fn set(&mut self, done: u64, message: &str) {
        self.bar.set_position(done);
        self.bar.set_message(message.to_owned());
        if self.shows_lines && self.said.elapsed() >= PLAIN_INTERVAL {
            self.said = Instant::now();
            let of = self
                .bar
                .length()
                .map_or(String::new(), |all| format!("/{}", self.unit.amount(all)));
            let rate = self.bar.per_sec();
            let left = self.bar.length().map_or(String::new(), |_| {
                format!(", {} left", indicatif::HumanDuration(self.bar.eta()))
            });
            self.line(&format!("{} {}{of}, {rate:.1}/s{left}", self.title, self.unit.amount(done)));
        }
    }

    /// Says what goes on before anything is done.
    pub(super) fn say(&mut self, text: &str) {
        self.bar.set_message(text.to_owned());
        if self.shows_lines && self.said.elapsed() >= PLAIN_INTERVAL {
            self.said = Instant::now();
            self.line(&format!("{}: {text}", self.title));
        }
    }

    /// Shows how much there is to do, once that is known.
    pub(super) fn know(&mut self, total: u64) {
        if self.bar.length() != Some(total) {
            self.bar.set_style(self.unit.style(Some(total)));
            self.bar.set_length(total);
        }
    }

    /// Prints a line above the bar.
    pub(super) fn note(&self, text: &str) {
        if self.shows_lines {
            self.line(text);
        } else {
            self.bar.println(text);
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn line(&self, text: &str) {
        drop(writeln!(anstream::stderr(), "{text}"));
    }
}

/// Returns the text in a style.
pub(super) fn styled(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_much_there_is_to_do_may_be_known_later() {
        let mut progress = Output::new(false, true).progress("read there", Unit::Items, None);
        progress.say("found 12 files so far");
        progress.set(0, "");
        assert_eq!(progress.bar.length(), None);
        progress.know(12);
        progress.set(3, "");
        assert_eq!((progress.bar.position(), progress.bar.length()), (3, Some(12)));
    }
}
