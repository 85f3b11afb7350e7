use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use simile_storage::{Batch, StorageErrorKind};

use super::catalogue::CollectionsOptions;
use super::checkpoint::Checkpoint;
use super::commit::{Committer, Write};
use super::engine::Engine;
use super::error::{Error, described};
use super::expiry::remove_expired;
use super::jobs::JobKind;
use super::open::Collection;
use super::records::LOG;
use crate::cancel::Cancellation;
use crate::document::{Sequence, SlotSet};
use crate::fail;
use crate::index::dense::{BuildJob, DenseError, DenseIndex};

/// How many mutations make a new checkpoint worth its writing.
const CHECKPOINT_EVERY: u64 = 5_000;
/// How many log entries one batch trims.
const TRIM_ENTRIES: usize = 4_096;
/// Decides the order of insertion into graphs.
const BUILD_SEED: u64 = 0x5131_1e00;
/// About how many bytes a vector takes while it is built into a graph, beside its components.
const BUILD_BYTES: u64 = 4_200;

/// How a collection is maintained, and what upkeep is at.
#[derive(Debug)]
pub(super) struct Maintenance {
    pub(super) cache_bytes_max: u64,
    pub(super) seal_at: Option<usize>,
    threads: usize,
    interval: Duration,
    activity: Mutex<Option<Activity>>,
    problem: Mutex<Option<String>>,
}

/// What upkeep is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// What it is.
    pub kind: JobKind,
    /// The vector whose index it works on; empty: the tables.
    pub vector: String,
    /// How many steps are done.
    pub done: u64,
    /// All steps; 0 if that is not known.
    pub total: u64,
}

/// Told what is being done, how many steps of it are done, and how many there are.
pub(super) type Progress<'a> = dyn Fn(JobKind, &str, u64, u64) + 'a;

impl Maintenance {
    pub(super) fn new(options: &CollectionsOptions) -> Self {
        Self {
            cache_bytes_max: options.cache_bytes_max,
            seal_at: options.seal_at,
            threads: options.build_threads.max(1),
            interval: options.upkeep_interval,
            activity: Mutex::default(),
            problem: Mutex::default(),
        }
    }

    /// Returns what upkeep is doing, if anything.
    pub(super) fn activity(&self) -> Option<Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns why upkeep failed the last time, if it did.
    pub(super) fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_activity(&self, activity: Option<Activity>) {
        *self.activity.lock().unwrap_or_else(PoisonError::into_inner) = activity;
    }

    fn set_problem(&self, problem: Option<String>) {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }
}

pub(super) fn start(
    engine: Arc<Engine>,
    committer: Weak<Committer>,
) -> Result<(Sender<()>, JoinHandle<()>), Error> {
    let (stop, stopped) = bounded::<()>(0);
    let thread =
        std::thread::Builder::new().name(format!("upkeep-{}", engine.name)).spawn(move || {
            let mut upkeep = Upkeep { engine, committer, checkpointed: 0, is_scrubbed: false };
            upkeep.serve(&stopped);
        })?;
    Ok((stop, thread))
}

/// What is done beside reading and writing.
pub(super) struct Upkeep {
    engine: Arc<Engine>,
    committer: Weak<Committer>,
    /// The mutation of the last checkpoint that was written.
    checkpointed: u64,
    /// Whether the tables were read whole since they were opened.
    is_scrubbed: bool,
}

impl Upkeep {
    fn serve(&mut self, stopped: &Receiver<()>) {
        let interval = self.engine.maintenance.interval;
        loop {
            let is_last = !matches!(stopped.recv_timeout(interval), Err(RecvTimeoutError::Timeout));
            let before = self.engine.maintenance.problem();
            let problem = self.tick(is_last, stopped).err().map(|error| described(&error));
            if let Some(error) = &problem
                && before != problem
            {
                tracing::warn!(collection = self.engine.name, error, "upkeep failed");
            }
            self.engine.maintenance.set_problem(problem);
            if is_last {
                return;
            }
        }
    }

    /// Does what is due. Each step is tried whatever became of the others; returns the first error.
    fn tick(&mut self, is_last: bool, stopped: &Receiver<()>) -> Result<(), Error> {
        let engine = Arc::clone(&self.engine);
        let mut outcomes = Vec::new();
        if !is_last {
            outcomes.push(self.heal());
            outcomes.push(self.expire());
            outcomes.push(self.clear());
            outcomes.push(engine.purge_dropped());
        }
        outcomes.push(engine.lexical.commit().map(drop).map_err(Error::from));
        outcomes.push(self.checkpoint(is_last));
        if !is_last {
            let cancel = Cancellation::new();
            let watch = |kind, vector: &str, done, total| {
                let vector = vector.to_owned();
                engine.maintenance.set_activity(Some(Activity { kind, vector, done, total }));
                if matches!(stopped.try_recv(), Err(TryRecvError::Disconnected)) {
                    cancel.cancel();
                }
            };
            outcomes.push(match engine.build_due(&watch, &cancel) {
                Err(Error::Dense(_) | Error::Interrupted(_)) if cancel.is_ended() => Ok(()),
                other => other,
            });
            engine.maintenance.set_activity(None);
            outcomes.push(self.scrub());
        }
        engine.note_memory();
        outcomes.into_iter().collect()
    }

    /// Looks at the indexes if a read met damage, and makes anew what does not hold.
    fn heal(&self) -> Result<(), Error> {
        if self.engine.is_suspect.swap(false, Ordering::Relaxed) {
            for done in self.engine.heal(&Cancellation::new())? {
                tracing::warn!(collection = self.engine.name, done, "healed");
            }
        }
        Ok(())
    }

    /// Has documents removed that have expired.
    fn expire(&self) -> Result<(), Error> {
        match self.committer.upgrade() {
            Some(committer) if self.engine.check_writable().is_ok() => {
                remove_expired(&self.engine, &committer)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Has rows cleared that nobody sees any more, where no write does it.
    fn clear(&self) -> Result<(), Error> {
        while !self.engine.views.released(1).runs.is_empty()
            && self.engine.check_writable().is_ok()
            && let Some(committer) = self.committer.upgrade()
        {
            committer.wait(&committer.send(Write::Clear)?)?;
        }
        Ok(())
    }

    /// Writes a checkpoint where one is due, and trims the log.
    fn checkpoint(&mut self, is_last: bool) -> Result<(), Error> {
        let view = self.engine.views.current();
        let is_due = view.sequence.0 >= self.checkpointed + CHECKPOINT_EVERY;
        if is_due || (is_last && view.sequence.0 > self.checkpointed) {
            self.checkpointed = self.engine.write_checkpoint()?.0;
        }
        if self.engine.check_writable().is_err() {
            return Ok(());
        }
        // Each of them is made again from the log after the mutation that it has.
        let needed = [self.checkpointed, self.engine.lexical.applied().0];
        let cleared = self.engine.views.cleared().0;
        trim_log(&self.engine, needed.into_iter().fold(cleared, u64::min))
    }

    /// Reads the tables whole, once, at a moment at which nobody writes.
    fn scrub(&mut self) -> Result<(), Error> {
        if self.is_scrubbed {
            return Ok(());
        }
        match self.engine.database.verify_beside_writers() {
            Ok(is_verified) => self.is_scrubbed = is_verified,
            Err(error) => {
                if error.kind() == StorageErrorKind::Corrupt {
                    self.engine.quarantine(described(&error));
                }
                return Err(error.into());
            }
        }
        Ok(())
    }
}

impl Engine {
    /// Writes a checkpoint of the newest view; returns its mutation.
    pub(super) fn write_checkpoint(&self) -> Result<Sequence, Error> {
        let view = self.views.current();
        let (live, starts) = (view.live.clone(), view.starts.clone());
        Checkpoint { sequence: view.sequence, live, starts }.write(&self.folder)?;
        Ok(view.sequence)
    }

    /// Answers nothing any more: the tables are damaged.
    pub(super) fn quarantine(&self, reason: String) {
        tracing::error!(collection = self.name, reason, "quarantined");
        self.stop_writing(reason.clone());
        let _first_reason_stays = self.damage.set(reason);
    }

    /// Seals full heads and merges the segments that are due.
    fn build_due(&self, progress: &Progress<'_>, cancel: &Cancellation) -> Result<(), Error> {
        let kept = self.kept();
        for (name, index) in &kept.dense {
            if index.needs_seal() {
                let seal = |job: &BuildJob<'_>| index.seal(job);
                self.build(JobKind::Seal, name, index.statistics().head, &seal, progress, cancel)?;
            }
            // Merging one tier may make the next one due.
            while index.needs_merge(&self.views.shown()) && !cancel.is_ended() {
                let merge = |job: &BuildJob<'_>| index.merge(job);
                let most = index.statistics().sealed;
                if !self.build(JobKind::Merge, name, most, &merge, progress, cancel)? {
                    break;
                }
            }
        }
        for index in kept.sparse.values() {
            while index.needs_merge(&self.views.shown()) && !cancel.is_ended() {
                index.merge(&self.views.shown());
            }
        }
        for index in kept.multi.values() {
            index.retain(&self.views.shown());
        }
        Ok(())
    }

    /// Runs a build of at most so many vectors on the threads of upkeep; returns whether there was
    /// something to build.
    fn build(
        &self,
        kind: JobKind,
        vector: &str,
        vectors_max: u64,
        work: &dyn Fn(&BuildJob<'_>) -> Result<bool, DenseError>,
        progress: &Progress<'_>,
        cancel: &Cancellation,
    ) -> Result<bool, Error> {
        let vectors = &self.kept().settings.vectors;
        let dimension = vectors.get(vector).map_or(0, |vector| vector.dimension);
        self.budget.check(vectors_max * (BUILD_BYTES + 4 * dimension as u64))?;
        let live = self.views.shown();
        let told = |done: usize, total: usize| progress(kind, vector, done as u64, total as u64);
        told(0, 0);
        let job = BuildJob {
            live: &live,
            seed: BUILD_SEED,
            threads: self.maintenance.threads,
            progress: &told,
            cancel,
        };
        Ok(work(&job)?)
    }
}

fn trim_log(engine: &Engine, through: u64) -> Result<(), Error> {
    loop {
        let mut batch = Batch::new();
        for row in engine.database.range(&LOG, ..=through).take(TRIM_ENTRIES) {
            batch.remove(&LOG, &row?.0)?;
        }
        if batch.is_empty() {
            return Ok(());
        }
        engine.database.commit(batch)?;
        fail::reached("upkeep: the log is trimmed", &engine.folder);
    }
}

/// Returns how many slots of an index are deleted.
pub(super) fn deleted(index: &DenseIndex, shown: &SlotSet) -> u64 {
    let sealed = index.sealed();
    sealed.len() - sealed.intersection_len(shown)
}

impl Collection {
    /// Seals heads and merges segments into one of each vector now; returns how many segments there
    /// are. `progress` is told what is being done, to which vector, how many steps of it are done,
    /// and how many there are.
    ///
    /// # Errors
    /// The file system refuses; overloaded if the memory budget does not allow it; cancelled.
    pub fn optimize(
        &self,
        progress: &dyn Fn(JobKind, &str, u64, u64),
        cancel: &Cancellation,
    ) -> Result<u64, Error> {
        let engine = &self.engine;
        let (mut segments, kept) = (0, engine.kept());
        for (name, index) in &kept.dense {
            let seal = |job: &BuildJob<'_>| index.seal(job);
            let merge = |job: &BuildJob<'_>| index.merge_all(job);
            let head = index.statistics().head;
            engine.build(JobKind::Seal, name, head, &seal, progress, cancel)?;
            let sealed = index.statistics().sealed;
            engine.build(JobKind::Merge, name, sealed, &merge, progress, cancel)?;
            segments += index.statistics().segments;
        }
        for index in kept.sparse.values() {
            cancel.check()?;
            index.merge_all(&engine.views.shown());
        }
        for index in kept.multi.values() {
            index.retain(&engine.views.shown());
        }
        cancel.check()?;
        engine.lexical.commit()?;
        Ok(segments)
    }

    /// Does now what upkeep does from time to time: heals what was met damaged, clears what nobody
    /// sees any more, commits the lexical index, writes a checkpoint, trims the log, seals full heads
    /// and merges the segments that are due.
    ///
    /// # Errors
    /// The file system refuses. Each step is tried whatever became of the others.
    pub fn maintain(&self) -> Result<(), Error> {
        let (stop, stopped) = bounded::<()>(0);
        let committer = Arc::downgrade(&self.committer);
        let engine = Arc::clone(&self.engine);
        let mut upkeep = Upkeep { engine, committer, checkpointed: 0, is_scrubbed: true };
        let done = upkeep.tick(false, &stopped).and_then(|()| upkeep.checkpoint(true));
        drop(stop);
        done
    }
}
