//! The text of a PDF, which is a drawing: glyphs at places.
//!
//! `hayro-interpret` runs the drawing and knows the fonts' tables of characters, CJK ones too; what
//! this folder does is to find lines, columns, paragraphs and headings in what was drawn. A drawing
//! is a program, so it runs on a thread of its own with a large stack, a number of steps, and a time.

mod glyphs;
mod inflate;
mod line;
mod paragraph;
mod story;
#[cfg(test)]
mod tests;

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use hayro_interpret::TransformExt;
use hayro_interpret::hayro_syntax::object::DateTime;
use hayro_interpret::hayro_syntax::page::Page;
use hayro_interpret::hayro_syntax::{DecryptionError, LoadPdfError, Pdf};
use hayro_interpret::kurbo::Rect;
use hayro_interpret::{Context, InterpreterCache, InterpreterSettings, interpret_page};

use self::glyphs::{Collector, Ended, Shown};
use super::{DecodeError, Format, Limits, TextContent, contain, metadata};
use crate::cancel::Cancellation;
use crate::document::Payload;

/// Deep nesting overflows the usual stack of a thread, and that would end the program.
const STACK_BYTES: usize = 128 << 20;

/// How often it is asked whether the work is still wanted.
const WAIT: Duration = Duration::from_millis(20);

/// The most drawing steps of a file, and more for each of its pages: a step is a glyph, a path or an
/// image. A map has a million.
const STEPS_MAX: u64 = 10_000_000;
const STEPS_A_PAGE: u64 = 200_000;

/// Returns the text of the PDF, its pages and its headings.
///
/// The thread that reads it is left to end by itself when the work is cancelled or takes too long; it
/// stops at its next drawing step.
pub(super) fn decode(
    bytes: &[u8],
    limits: &Limits,
    cancel: &Cancellation,
) -> Result<TextContent, DecodeError> {
    inflate::check_raw(bytes, limits)?;
    let (send, receive) = mpsc::sync_channel(1);
    let bytes = bytes.to_vec();
    let task = Task { limits: limits.clone(), cancel: cancel.clone(), own: Cancellation::new() };
    let own = task.own.clone();
    let worker = thread::Builder::new().name("decode-pdf".to_owned()).stack_size(STACK_BYTES);
    worker
        .spawn(move || {
            let result = contain::panics(Format::Pdf, || task.run(bytes));
            // Nobody waits for it any more if this fails.
            drop(send.send(result));
        })
        .map_err(|error| failed(&format!("no thread for it: {error}")))?;
    let mut waited = Duration::ZERO;
    loop {
        match receive.recv_timeout(WAIT) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Disconnected) => return Err(failed("it ended without a word")),
            Err(RecvTimeoutError::Timeout) => waited += WAIT,
        }
        if let Err(interrupted) = cancel.check() {
            own.cancel();
            return Err(interrupted.into());
        }
        if waited >= limits.pdf_time_max {
            own.cancel();
            return Err(DecodeError::TooSlow { format: Format::Pdf, seconds: waited.as_secs() });
        }
    }
}

fn failed(reason: &str) -> DecodeError {
    DecodeError::ParserFailed { format: Format::Pdf, reason: reason.to_owned() }
}

struct Task {
    limits: Limits,
    /// The caller's token.
    cancel: Cancellation,
    /// Ends this file's work alone.
    own: Cancellation,
}

impl Task {
    fn run(&self, bytes: Vec<u8>) -> Result<TextContent, DecodeError> {
        let pdf = Pdf::new(bytes).map_err(|error| match error {
            LoadPdfError::Decryption(
                DecryptionError::PasswordProtected | DecryptionError::MissingIDEntry,
            ) => DecodeError::Encrypted(Format::Pdf),
            LoadPdfError::Decryption(
                DecryptionError::UnsupportedAlgorithm | DecryptionError::InvalidEncryption,
            ) => DecodeError::UnsupportedFormat {
                what: "the encryption of the PDF",
                advice: "remove the password first",
            },
            LoadPdfError::Invalid => damaged("it has no table of objects and no page"),
        })?;
        let pages = pdf.pages();
        if pages.is_empty() {
            return Err(damaged("it has no page"));
        }
        if pages.len() > self.limits.pages_max {
            return Err(DecodeError::TooLarge {
                what: "pages",
                limit: self.limits.pages_max as u64,
                actual: pages.len() as u64,
            });
        }
        inflate::check_objects(&pdf, &self.limits)?;
        let (shown, mut warnings) = self.draw(&pdf)?;
        let story = story::tell(&shown, &self.limits)?;
        warnings.extend(about(&shown, story.text.is_empty()));
        let about = pdf.metadata();
        let title = about.title.as_deref().map(text_of).and_then(|title| title_of(&title));
        let mut fields = Payload::new();
        for (name, value) in
            [("author", &about.author), ("subject", &about.subject), ("keywords", &about.keywords)]
        {
            let value = value.as_deref().map(text_of).unwrap_or_default();
            // What reportlab writes where it was told nothing.
            if !matches!(value.as_str(), "anonymous" | "unspecified") {
                metadata::add(&mut fields, name, &value);
            }
        }
        for (name, time) in
            [("created", &about.creation_date), ("modified", &about.modification_date)]
        {
            if let Some(time) = time {
                metadata::add_time(&mut fields, name, &rfc_3339(time));
            }
        }
        Ok(TextContent {
            text: story.text,
            sections: story.sections,
            title: title.or(story.title),
            metadata: fields,
            format: Format::Pdf,
            warnings,
        })
    }

    /// Returns what each page shows, and what went wrong with some of them.
    fn draw(&self, pdf: &Pdf) -> Result<(Vec<Shown>, Vec<String>), DecodeError> {
        let cache = InterpreterCache::new();
        let mut pages = Vec::new();
        let mut broken = Vec::new();
        let steps_max = STEPS_MAX + STEPS_A_PAGE * pdf.pages().len() as u64;
        let mut steps = steps_max;
        for (number, page) in (1..).zip(pdf.pages().iter()) {
            self.cancel.check()?;
            let mut collector = Collector::new(steps, &self.own);
            let ended = contain::ended(|| draw_page(pdf, page, &cache, &mut collector));
            let shown = collector.take();
            match ended {
                Ok(()) => {}
                Err(contain::Ended::Thrown(Ended::Spent)) => {
                    return Err(DecodeError::TooLarge {
                        what: "drawing steps",
                        limit: steps_max,
                        actual: steps_max + 1,
                    });
                }
                Err(contain::Ended::Thrown(Ended::Cancelled)) => {
                    self.cancel.check()?;
                    return Err(failed("it took too long"));
                }
                // One broken page does not spoil the others; what was drawn before stays.
                Err(contain::Ended::Panicked(reason)) => broken.push((number, reason)),
            }
            steps = collector.steps_left();
            pages.push(shown);
        }
        if broken.len() == pages.len() && pages.iter().all(|page| page.glyphs.is_empty()) {
            let reason = broken.into_iter().next().map_or_else(String::new, |page| page.1);
            return Err(failed(&reason));
        }
        let warnings = broken
            .iter()
            .map(|(number, reason)| format!("page {number} could be read only in part ({reason})"))
            .take(8)
            .collect();
        Ok((pages, warnings))
    }
}

fn draw_page<'a>(
    pdf: &'a Pdf,
    page: &Page<'a>,
    cache: &InterpreterCache<'a>,
    collector: &mut Collector<'_>,
) {
    let (width, height) = page.render_dimensions();
    let mut context = Context::new(
        page.initial_transform(true).to_kurbo(),
        Rect::new(0.0, 0.0, f64::from(width), f64::from(height)),
        cache,
        pdf.xref(),
        InterpreterSettings::default(),
    );
    interpret_page(page, &mut context, collector);
}

/// Returns what a person should know about the pages' text.
fn about(pages: &[Shown], is_empty: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    let images = pages.iter().filter(|page| page.glyphs.is_empty() && page.images > 0).count();
    if is_empty && images > 0 {
        warnings.push(
            "no text: the pages are images, and recognising characters is not supported".to_owned(),
        );
    } else if is_empty {
        warnings.push("no text".to_owned());
    } else if images > 0 {
        warnings.push(format!("no text on {images} of {} pages, which are images", pages.len()));
    }
    let unknown: usize = pages.iter().map(|page| page.unknown).sum();
    let known: usize = pages.iter().map(|page| page.glyphs.len()).sum();
    // A few symbols without a meaning are usual.
    if unknown * 50 > known {
        warnings.push(format!(
            "{unknown} of {} characters have no meaning in the file's fonts and are left out",
            unknown + known
        ));
    }
    warnings
}

/// Returns the title unless it is what programs write when they know none.
fn title_of(title: &str) -> Option<String> {
    let title = metadata::clean(title)?;
    let is_empty = matches!(title.to_lowercase().as_str(), "untitled" | "title" | "(anonymous)")
        || title.starts_with("Microsoft Word - ");
    (!is_empty).then_some(title)
}

/// Returns a text string of the file: UTF-16 or UTF-8 by its mark, else nearly Latin-1
/// (ISO 32000-2, 7.9.2.2).
fn text_of(bytes: &[u8]) -> String {
    match bytes {
        [0xFE, 0xFF, rest @ ..] => encoding_rs::UTF_16BE.decode_without_bom_handling(rest).0,
        [0xFF, 0xFE, rest @ ..] => encoding_rs::UTF_16LE.decode_without_bom_handling(rest).0,
        [0xEF, 0xBB, 0xBF, rest @ ..] => encoding_rs::UTF_8.decode_without_bom_handling(rest).0,
        _ => encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0,
    }
    .into_owned()
}

fn rfc_3339(time: &DateTime) -> String {
    let sign =
        if time.utc_offset_hour < 0 || time.utc_offset_minute > i8::MAX as u8 { '-' } else { '+' };
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{sign}{:02}:{:02}",
        time.year,
        time.month,
        time.day,
        time.hour,
        time.minute,
        time.second,
        time.utc_offset_hour.unsigned_abs(),
        time.utc_offset_minute
    )
}

fn damaged(reason: &str) -> DecodeError {
    DecodeError::Damaged { format: Format::Pdf, reason: reason.to_owned() }
}
