use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::unfinished::Unfinished;
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
    /// Where those that run are written down. Taken before `state`, which is not held while it is written:
    /// who lists or watches jobs waits for no disk.
    unfinished: Option<Mutex<Unfinished>>,
}

#[derive(Default)]
struct State {
    last: u64,
    jobs: BTreeMap<u64, Entry>,
    /// Whether what fails from now on does so because the program ends.
    is_ending: bool,
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
    /// The server itself reads sources, which become documents.
    Fetch,
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
    /// The program ended before it did; the message says how it goes on.
    Interrupted,
}

/// A job at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobStatus {
    /// Names the job.
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
        Self::with(clock, State::default(), None)
    }

    fn with(clock: Clock, state: State, unfinished: Option<Unfinished>) -> Self {
        let (state, unfinished) = (Mutex::new(state), unfinished.map(Mutex::new));
        Self(Arc::new(Registry { clock, state, changed: Condvar::new(), unfinished }))
    }

    /// Returns the registry of a data directory: with the jobs that ran when the last program over it ended,
    /// or died.
    pub fn open(clock: Clock, folder: &Path) -> Self {
        let (unfinished, last, left) = Unfinished::open(folder, clock());
        let entry = |(number, status)| (number, Entry { status, cancel: Cancellation::new() });
        let jobs = left.into_iter().map(entry).collect();
        Self::with(clock, State { last, jobs, is_ending: false }, Some(unfinished))
    }

    /// Says that the program ends: jobs that do not come to their end any more stay written down.
    pub fn begin_to_end(&self) {
        self.lock().is_ending = true;
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
        let now = (self.0.clock)();
        let mut state = self.lock();
        if let Some(entry) = state.jobs.get_mut(&number) {
            change(&mut entry.status);
            entry.status.revision += 1;
        }
        drop(state);
        self.0.changed.notify_all();
        self.write_down(number, now);
    }

    /// Keeps the file of those that run up to date, now that one of them has changed.
    fn write_down(&self, changed: u64, now: u64) {
        let Some(unfinished) = &self.0.unfinished else { return };
        let mut unfinished = unfinished.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, jobs) = {
            let state = self.lock();
            let Some(jobs) = state.unwritten(&unfinished, changed, now) else { return };
            (state.last, jobs)
        };
        unfinished.write(last, &jobs, now);
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
    /// Returns the jobs that the file is to name, if it has to be written now that one of them has changed.
    fn unwritten(
        &self,
        unfinished: &Unfinished,
        changed: u64,
        now: u64,
    ) -> Option<Vec<(u64, JobStatus)>> {
        let status = &self.jobs.get(&changed)?.status;
        let has_ended = match status.state {
            JobState::Running | JobState::Interrupted => false,
            JobState::Done => true,
            JobState::Failed | JobState::Cancelled => !self.is_ending,
        };
        let names_ended = has_ended && unfinished.names(changed);
        if !names_ended && !unfinished.is_due(changed, status, now) {
            return None;
        }
        let is_named = |(number, entry): &(&u64, &Entry)| {
            let runs =
                entry.status.state == JobState::Running && Unfinished::is_long(&entry.status, now);
            let was_cut_off = self.is_ending && unfinished.names(**number) && **number != changed;
            runs || was_cut_off
        };
        let named = self.jobs.iter().filter(is_named);
        Some(named.map(|(number, entry)| (*number, entry.status.clone())).collect())
    }

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

impl JobKind {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Ingest,
        Self::Fetch,
        Self::Seal,
        Self::Merge,
        Self::Verify,
        Self::Repair,
        Self::Cluster,
        Self::Snapshot,
        Self::Restore,
        Self::Fill,
        Self::Recall,
        Self::Train,
    ];

    /// Returns what it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Fetch => "fetch",
            Self::Seal => "seal",
            Self::Merge => "merge",
            Self::Verify => "verify",
            Self::Repair => "repair",
            Self::Cluster => "cluster",
            Self::Snapshot => "snapshot",
            Self::Restore => "restore",
            Self::Fill => "fill",
            Self::Recall => "recall",
            Self::Train => "train",
        }
    }

    /// Returns how one goes on that was cut off.
    pub(super) fn goes_on(self) -> &'static str {
        match self {
            Self::Ingest => "send the same again, and what is stored is passed over",
            Self::Fetch => "ask for the same again, and what is stored is passed over",
            Self::Seal | Self::Merge | Self::Fill => "it goes on by itself, as another job",
            Self::Verify | Self::Repair | Self::Recall | Self::Train => "ask for it again",
            Self::Cluster => "ask for it again: its clusters are saved when all are found",
            Self::Snapshot | Self::Restore => "ask for it again: no half of one was kept",
        }
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
    fn jobs_that_ran_when_the_program_ended_are_told_by_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let now = Arc::new(AtomicU64::new(1_000));
        let open = || {
            let clock = Arc::clone(&now);
            Jobs::open(Arc::new(move || clock.load(Ordering::Relaxed)), folder.path())
        };
        let jobs = open();
        let start = |kind| jobs.start(kind, "notes", "label", Cancellation::new());
        let [cut, done, failed] =
            [start(JobKind::Ingest), start(JobKind::Verify), start(JobKind::Snapshot)];
        now.fetch_add(3_000, Ordering::Relaxed);
        for job in [&cut, &done, &failed] {
            job.update(|status| (status.items_done, status.items_total) = (3, Some(8)));
        }
        done.end(Ok(String::new()));
        // While it goes on it is written now and then.
        cut.update(|status| status.items_done = 4);
        now.fetch_add(11_000, Ordering::Relaxed);
        cut.update(|status| status.items_done = 5);
        cut.update(|status| status.items_done = 6);
        let short = start(JobKind::Fill);
        short.update(|status| status.items_done = 1);
        failed.end(Err("no room".into()));
        let id = cut.id();
        std::mem::forget((cut, short));

        let jobs = open();
        let [left] = &jobs.list()[..] else { panic!("{:?}", jobs.list()) };
        assert_eq!(
            (&left.id, left.kind, left.state),
            (&id, JobKind::Ingest, JobState::Interrupted)
        );
        assert_eq!((left.items_done, left.items_total), (6, Some(8)));
        assert_eq!((left.label.as_str(), left.collection.as_str()), ("label", "notes"));
        assert!(left.message.contains("send the same again"), "{}", left.message);
        // Its number is not given again, and a second end is told of as the first was.
        let later = jobs.start(JobKind::Merge, "notes", "", Cancellation::new());
        assert!(later.id().parse::<u64>().unwrap() > id.parse::<u64>().unwrap());
        now.fetch_add(3_000, Ordering::Relaxed);
        later.update(|status| status.items_done = 1);
        jobs.begin_to_end();
        let second = later.id();
        later.end(Err("the server is stopping".into()));
        let states: Vec<_> =
            open().list().into_iter().map(|status| (status.id, status.state)).collect();
        assert_eq!(states, [(second, JobState::Interrupted)]);
        // A file that says nothing is no obstacle.
        fs_err::write(folder.path().join("jobs.json"), b"{").unwrap();
        assert!(open().list().is_empty());
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
