//! Which jobs ran when the program ended? A file says so, and the next program tells.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::write_whole;
use super::jobs::{JobKind, JobState, JobStatus};

/// The file of the jobs that run, in the data directory.
const FILE: &str = "jobs.json";
/// How long a job runs before it is written down: what is shorter is as good as asked again.
const WRITTEN_AFTER_MS: u64 = 2_000;
/// How often what is written of a job becomes what it is like now.
const WRITTEN_EVERY_MS: u64 = 10_000;

/// The file, and when it was last written.
#[derive(Debug)]
pub(super) struct Unfinished {
    path: PathBuf,
    written_unix_ms: u64,
    /// The numbers of the jobs in it.
    numbers: Vec<u64>,
}

/// What is in the file. Persisted as JSON; fields may be added.
#[derive(Debug, Default, Serialize, Deserialize)]
struct File {
    /// The number of the newest job.
    last: u64,
    jobs: Vec<Noted>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Noted {
    number: u64,
    kind: String,
    label: String,
    collection: String,
    items_done: u64,
    items_failed: u64,
    items_total: Option<u64>,
    bytes_done: u64,
    started_unix_ms: u64,
}

impl Unfinished {
    /// Returns the file of a data directory, the number of the newest job that it knows of, and the jobs
    /// that did not come to an end. Nothing depends on it: a file that cannot be read says nothing.
    pub(super) fn open(folder: &Path, now: u64) -> (Self, u64, Vec<(u64, JobStatus)>) {
        let path = folder.join(FILE);
        let bytes = fs_err::read(&path).unwrap_or_default();
        let file: File = serde_json::from_slice(&bytes).unwrap_or_default();
        let newest = file.jobs.iter().map(|noted| noted.number).max().unwrap_or(0).max(file.last);
        let left = file.jobs.into_iter();
        let left = left.filter_map(|noted| Some((noted.number, noted.interrupted(now)?))).collect();
        (Self { path, written_unix_ms: 0, numbers: Vec::new() }, newest, left)
    }

    /// Returns whether it is time to write down a job that has just changed.
    pub(super) fn is_due(&self, number: u64, status: &JobStatus, now: u64) -> bool {
        let was_long_ago = now >= self.written_unix_ms.saturating_add(WRITTEN_EVERY_MS);
        let is_new = !self.names(number);
        status.state == JobState::Running && Self::is_long(status, now) && (is_new || was_long_ago)
    }

    /// Returns whether a job runs long enough to be written down.
    pub(super) fn is_long(status: &JobStatus, now: u64) -> bool {
        now >= status.started_unix_ms.saturating_add(WRITTEN_AFTER_MS)
    }

    /// Returns whether the file names the job.
    pub(super) fn names(&self, number: u64) -> bool {
        self.numbers.contains(&number)
    }

    /// Writes down these jobs; `last` is the number of the newest one.
    pub(super) fn write(&mut self, last: u64, jobs: &[(u64, JobStatus)], now: u64) {
        self.written_unix_ms = now;
        self.numbers = jobs.iter().map(|(number, _)| *number).collect();
        let jobs = jobs.iter().map(|(number, status)| Noted::of(*number, status)).collect();
        let written = serde_json::to_vec_pretty(&File { last, jobs })
            .map_err(std::io::Error::other)
            .and_then(|json| write_whole(&self.path, &json));
        if let Err(error) = written {
            tracing::warn!(%error, "which jobs run is not written down");
        }
    }
}

impl Noted {
    fn of(number: u64, status: &JobStatus) -> Self {
        Self {
            number,
            kind: status.kind.name().to_owned(),
            label: status.label.clone(),
            collection: status.collection.clone(),
            items_done: status.items_done,
            items_failed: status.items_failed,
            items_total: status.items_total,
            bytes_done: status.bytes_done,
            started_unix_ms: status.started_unix_ms,
        }
    }

    /// Returns the job as one that has ended; none for a kind that this program does not know.
    fn interrupted(self, now: u64) -> Option<JobStatus> {
        let kind = JobKind::ALL.into_iter().find(|kind| kind.name() == self.kind)?;
        Some(JobStatus {
            id: self.number.to_string(),
            kind,
            label: self.label,
            collection: self.collection,
            state: JobState::Interrupted,
            items_done: self.items_done,
            items_failed: self.items_failed,
            items_total: self.items_total,
            bytes_done: self.bytes_done,
            message: format!("the server ended before the job did: {}", kind.goes_on()),
            started_unix_ms: self.started_unix_ms,
            ended_unix_ms: now,
            revision: 1,
        })
    }
}
