use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::cancel::Cancellation;

/// How many ended jobs are remembered.
const ENDED_MAX: usize = 1_000;
/// How long an ended job is remembered.
const ENDED_FOR_MS: u64 = 3_600_000;

/// A clock: milliseconds since 1970-01-01 UTC. Passed in, since nothing here reads the time.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Long work: what runs, how far it is, and how to stop it. Clones are the same registry.
#[derive(Clone)]
pub struct Jobs(Arc<Registry>);

struct Registry {
    clock: Clock,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    last: u64,
    jobs: BTreeMap<u64, Entry>,
}

struct Entry {
    status: JobStatus,
    cancel: Cancellation,
}

/// What a job works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobKind {
    /// Sources become documents.
    Ingest,
    /// New vectors get a graph.
    Seal,
    /// Segments become one.
    Merge,
    /// Tables and indexes are compared.
    Verify,
    /// Indexes are made again from the tables.
    Repair,
    /// What belongs together is found.
    Cluster,
    /// A snapshot is taken.
    Snapshot,
    /// A collection is made of a snapshot.
    Restore,
    /// A vector that was added is made.
    Fill,
    /// It is measured what searches find.
    Recall,
    /// A model is fitted.
    Train,
}

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobState {
    /// It runs.
    Running,
    /// It has done what it was asked.
    Done,
    /// It failed; the message says why.
    Failed,
    /// It was stopped.
    Cancelled,
}

/// A job at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobStatus {
    /// Names the job as long as the program runs.
    pub id: String,
    /// What it works on.
    pub kind: JobKind,
    /// What its starter calls it.
    pub label: String,
    /// The collection it works on.
    pub collection: String,
    /// Where it is.
    pub state: JobState,
    /// Items done, failed ones included.
    pub items_done: u64,
    /// Items that failed.
    pub items_failed: u64,
    /// All items, if known.
    pub items_total: Option<u64>,
    /// Bytes done.
    pub bytes_done: u64,
    /// What it does now, or why it failed.
    pub message: String,
    /// When it began, in milliseconds since 1970-01-01 UTC.
    pub started_unix_ms: u64,
    /// When it ended; 0 while it runs.
    pub ended_unix_ms: u64,
    /// Grows with every change of this job.
    pub revision: u64,
}

/// A running job's side of the registry; dropping it without an end counts as a failure.
#[derive(Debug)]
pub struct JobHandle {
    jobs: Jobs,
    number: u64,
    cancel: Cancellation,
    is_ended: bool,
}

impl Jobs {
    /// Returns an empty registry.
    pub fn new(clock: Clock) -> Self {
        Self(Arc::new(Registry { clock, state: Mutex::default(), changed: Condvar::new() }))
    }

    /// Registers a job that begins now and ends early when `cancel` says so.
    pub fn start(
        &self,
        kind: JobKind,
        collection: &str,
        label: &str,
        cancel: Cancellation,
    ) -> JobHandle {
        let now = (self.0.clock)();
        let mut state = self.lock();
        state.forget_old(now);
        state.last += 1;
        let number = state.last;
        let status = JobStatus {
            id: number.to_string(),
            kind,
            label: label.to_owned(),
            collection: collection.to_owned(),
            state: JobState::Running,
            items_done: 0,
            items_failed: 0,
            items_total: None,
            bytes_done: 0,
            message: String::new(),
            started_unix_ms: now,
            ended_unix_ms: 0,
            revision: 1,
        };
        state.jobs.insert(number, Entry { status, cancel: cancel.clone() });
        JobHandle { jobs: self.clone(), number, cancel, is_ended: false }
    }

    /// Returns all jobs, newest first; ended ones are kept for an hour.
    pub fn list(&self) -> Vec<JobStatus> {
        let now = (self.0.clock)();
        let mut state = self.lock();
        state.forget_old(now);
        state.jobs.values().rev().map(|entry| entry.status.clone()).collect()
    }

    /// Returns the job, if it is known.
    pub fn get(&self, id: &str) -> Option<JobStatus> {
        let number = id.parse::<u64>().ok()?;
        self.lock().jobs.get(&number).map(|entry| entry.status.clone())
    }

    /// Returns the job as soon as its revision is above `revision`, or as it is after `patience`.
    /// Blocks meanwhile.
    pub fn wait(&self, id: &str, revision: u64, patience: Duration) -> Option<JobStatus> {
        let number = id.parse::<u64>().ok()?;
        let until = Instant::now() + patience;
        let mut state = self.lock();
        loop {
            let status = state.jobs.get(&number)?.status.clone();
            let left = until.saturating_duration_since(Instant::now());
            if status.revision > revision || left.is_zero() {
                return Some(status);
            }
            state =
                self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Asks the job to stop, and returns it as it is now.
    pub fn cancel(&self, id: &str) -> Option<JobStatus> {
        let number = id.parse::<u64>().ok()?;
        let state = self.lock();
        let entry = state.jobs.get(&number)?;
        entry.cancel.cancel();
        Some(entry.status.clone())
    }

    fn change(&self, number: u64, change: impl FnOnce(&mut JobStatus)) {
        let mut state = self.lock();
        if let Some(entry) = state.jobs.get_mut(&number) {
            change(&mut entry.status);
            entry.status.revision += 1;
        }
        drop(state);
        self.0.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Jobs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Jobs").field("known", &self.lock().jobs.len()).finish()
    }
}

impl State {
    fn forget_old(&mut self, now: u64) {
        self.jobs.retain(|_, entry| {
            entry.status.state == JobState::Running
                || entry.status.ended_unix_ms.saturating_add(ENDED_FOR_MS) > now
        });
        let is_ended = |entry: &Entry| entry.status.state != JobState::Running;
        let ended = self.jobs.values().filter(|entry| is_ended(entry)).count();
        let mut surplus = ended.saturating_sub(ENDED_MAX);
        self.jobs.retain(|_, entry| {
            let is_surplus = surplus > 0 && is_ended(entry);
            surplus -= usize::from(is_surplus);
            !is_surplus
        });
    }
}

impl JobHandle {
    /// Returns the name of the job.
    pub fn id(&self) -> String {
        self.number.to_string()
    }

    /// Returns the token that ends the job early.
    pub fn cancellation(&self) -> &Cancellation {
        &self.cancel
    }

    /// Changes what the registry says of the job.
    pub fn update(&self, change: impl FnOnce(&mut JobStatus)) {
        self.jobs.change(self.number, change);
    }

    /// Ends the job; a failure after it was asked to stop counts as stopped.
    pub fn end(mut self, result: Result<String, String>) {
        self.is_ended = true;
        self.end_with(result);
    }

    fn end_with(&self, result: Result<String, String>) {
        let now = (self.jobs.0.clock)();
        let is_cancelled = self.cancel.is_ended();
        self.jobs.change(self.number, |status| {
            status.ended_unix_ms = now;
            (status.state, status.message) = match result {
                Ok(message) => (JobState::Done, message),
                Err(message) if is_cancelled => (JobState::Cancelled, message),
                Err(message) => (JobState::Failed, message),
            };
        });
    }
}

impl Drop for JobHandle {
    fn drop(&mut self) {
        if !self.is_ended {
            self.end_with(Err("ended without a result".to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn registry() -> (Jobs, Arc<AtomicU64>) {
        let now = Arc::new(AtomicU64::new(1_000));
        let clock = Arc::clone(&now);
        (Jobs::new(Arc::new(move || clock.load(Ordering::Relaxed))), now)
    }

    #[test]
    fn a_watcher_sees_each_change_and_the_end() {
        let (jobs, _) = registry();
        let job = jobs.start(JobKind::Ingest, "notes", "folder", Cancellation::new());
        let id = job.id();
        let watcher = {
            let (jobs, id) = (jobs.clone(), id.clone());
            std::thread::spawn(move || {
                let mut revision = 1;
                loop {
                    let status = jobs.wait(&id, revision, Duration::from_secs(10)).unwrap();
                    revision = status.revision;
                    if status.state != JobState::Running {
                        return status;
                    }
                }
            })
        };
        job.update(|status| status.items_done = 3);
        job.end(Ok("3 stored".into()));
        let last = watcher.join().unwrap();
        assert_eq!((last.state, last.items_done), (JobState::Done, 3));
        assert_eq!(last.message, "3 stored");
    }

    #[test]
    fn a_job_that_is_asked_to_stop_ends_as_cancelled() {
        let (jobs, _) = registry();
        let job = jobs.start(JobKind::Merge, "notes", "", Cancellation::new());
        assert_eq!(jobs.cancel(&job.id()).unwrap().state, JobState::Running);
        assert!(job.cancellation().is_ended());
        let id = job.id();
        job.end(Err("cancelled by the caller".into()));
        assert_eq!(jobs.get(&id).unwrap().state, JobState::Cancelled);
    }

    #[test]
    fn a_job_whose_worker_is_gone_has_failed() {
        let (jobs, _) = registry();
        let id = jobs.start(JobKind::Seal, "notes", "", Cancellation::new()).id();
        assert_eq!(jobs.get(&id).unwrap().state, JobState::Failed);
    }

    #[test]
    fn ended_jobs_are_forgotten_after_an_hour_and_beyond_a_thousand() {
        let (jobs, now) = registry();
        for _ in 0..ENDED_MAX + 5 {
            jobs.start(JobKind::Seal, "notes", "", Cancellation::new()).end(Ok(String::new()));
        }
        let running = jobs.start(JobKind::Seal, "notes", "", Cancellation::new());
        let listed = jobs.list();
        assert_eq!(listed.len(), ENDED_MAX + 1);
        assert_eq!(listed[0].id, running.id());
        now.fetch_add(ENDED_FOR_MS, Ordering::Relaxed);
        assert_eq!(jobs.list().len(), 1);
    }
}
