//! What became of the files, counted.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value as Json, json};
use simile_proto::v1::{self as wire};

use super::super::output::{BAD, FAINT, GOOD, STRONG};

/// How many failed files, and how many warnings, are named for a person; a script gets them all.
const NAMED_MAX: usize = 50;

/// What became of the files.
#[derive(Debug)]
pub(super) struct Tally {
    collection: String,
    /// Files that are meant.
    pub(super) files: u64,
    stored: u64,
    replaced: u64,
    unchanged: u64,
    parts: u64,
    tokens: u64,
    records: u64,
    records_unchanged: u64,
    records_failed: u64,
    failed: Vec<Failure>,
    unsupported: Vec<Failure>,
    warnings: Vec<Failure>,
    /// Bytes of the files that are done with.
    pub(super) bytes: u64,
    /// How long it took.
    pub(super) took: Duration,
}

#[derive(Debug)]
struct Failure {
    id: String,
    code: String,
    reason: String,
}

impl Tally {
    pub(super) fn new(collection: &str, files: u64) -> Self {
        Self {
            collection: collection.to_owned(),
            files,
            stored: 0,
            replaced: 0,
            unchanged: 0,
            parts: 0,
            tokens: 0,
            records: 0,
            records_unchanged: 0,
            records_failed: 0,
            failed: vec![],
            unsupported: vec![],
            warnings: vec![],
            bytes: 0,
            took: Duration::ZERO,
        }
    }

    pub(super) fn stored(&mut self, id: &str, stored: wire::Stored) {
        self.stored += 1;
        self.replaced += u64::from(stored.replaced);
        self.parts += u64::from(stored.parts);
        self.tokens += u64::from(stored.tokens);
        self.records += stored.record_ids.len() as u64;
        self.records_unchanged += stored.records_unchanged;
        self.records_failed += stored.records_failed;
        for reason in stored.warnings {
            self.warnings.push(Failure { id: id.to_owned(), code: String::new(), reason });
        }
    }

    pub(super) fn unchanged(&mut self, bytes: u64) {
        self.unchanged += 1;
        self.bytes += bytes;
    }

    pub(super) fn fail(&mut self, id: String, code: &str, reason: String) {
        self.failed.push(Failure { id, code: code.to_owned(), reason });
    }

    pub(super) fn unsupported(&mut self, id: String, reason: String) {
        self.unsupported.push(Failure { id, code: "UNIMPLEMENTED".to_owned(), reason });
    }

    pub(super) fn has_failures(&self) -> bool {
        !self.failed.is_empty() || self.records_failed > 0
    }

    /// Returns how far the work is and how fast, in words.
    pub(super) fn pace(&self, took: Duration) -> String {
        let rate = self.parts as f64 / took.as_secs_f64().max(0.001);
        let failed = match self.failed.len() {
            0 => String::new(),
            failed => format!(", {failed} failed"),
        };
        format!("{} passages, {rate:.0}/s{failed}", self.parts)
    }

    pub(super) fn to_json(&self, is_interrupted: bool) -> Json {
        let list = |failures: &[Failure]| -> Vec<Json> {
            failures
                .iter()
                .map(|failure| {
                    json!({ "id": failure.id, "code": failure.code, "reason": failure.reason })
                })
                .collect()
        };
        let warnings: Vec<Json> = self
            .warnings
            .iter()
            .map(|warning| json!({ "id": warning.id, "warning": warning.reason }))
            .collect();
        json!({
            "collection": self.collection,
            "files": self.files,
            "stored": self.stored,
            "replaced": self.replaced,
            "unchanged": self.unchanged,
            "parts": self.parts,
            "tokens": self.tokens,
            "records": self.records,
            "records_unchanged": self.records_unchanged,
            "records_failed": self.records_failed,
            "failed": list(&self.failed),
            "unsupported": list(&self.unsupported),
            "warnings": warnings,
            "seconds": self.took.as_secs_f64(),
            "interrupted": is_interrupted,
        })
    }

    pub(super) fn render(&self, is_interrupted: bool) -> String {
        let mut text = String::new();
        name(&mut text, "warning", &self.warnings);
        name(&mut text, "not read", &self.unsupported);
        name(&mut text, "failed", &self.failed);
        let mut counts = vec![format!("{GOOD}{} stored{GOOD:#}", self.stored)];
        let mut add = |number: u64, what: &str| {
            if number > 0 {
                counts.push(format!("{number} {what}"));
            }
        };
        add(self.unchanged, "unchanged");
        add(self.unsupported.len() as u64, "of unsupported formats");
        if !self.failed.is_empty() {
            counts.push(format!("{BAD}{} failed{BAD:#}", self.failed.len()));
        }
        let mut contents = vec![format!("{} passages", self.parts)];
        if self.records > 0 {
            contents.push(format!("{} records", self.records));
        }
        if self.records_failed > 0 {
            contents.push(format!("{BAD}{} records refused{BAD:#}", self.records_failed));
        }
        drop(writeln!(
            text,
            "{STRONG}{}{STRONG:#}: {}  {FAINT}({} in {:.1} s){FAINT:#}",
            self.collection,
            counts.join(", "),
            contents.join(", "),
            self.took.as_secs_f64(),
        ));
        if is_interrupted {
            text.push_str("stopped; the same command goes on from here\n");
        }
        text
    }
}

fn name(text: &mut String, what: &str, failures: &[Failure]) {
    for failure in failures.iter().take(NAMED_MAX) {
        drop(writeln!(text, "{what}: {}: {}", failure.id, failure.reason));
    }
    if let Some(more) = failures.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        drop(writeln!(text, "{what}: and {more} more; --json names them all"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_records_count_as_failures() {
        let mut tally = Tally::new("c", 1);
        tally.stored("a", wire::Stored { parts: 2, ..Default::default() });
        assert!(!tally.has_failures());
        tally.stored("b", wire::Stored { records_failed: 1, ..Default::default() });
        assert!(tally.has_failures());
    }

    #[test]
    fn many_failures_are_cut_for_a_person_and_complete_for_a_script() {
        let mut tally = Tally::new("c", 60);
        (0..60)
            .for_each(|number| tally.fail(format!("f{number}"), "INVALID_ARGUMENT", "bad".into()));
        assert!(tally.render(false).contains("and 10 more"));
        assert_eq!(tally.to_json(false)["failed"].as_array().unwrap().len(), 60);
    }
}
