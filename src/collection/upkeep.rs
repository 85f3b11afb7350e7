use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use simile_storage::Batch;

use super::checkpoint::Checkpoint;
use super::commit::Committer;
use super::engine::{Engine, damaged};
use super::error::{Error, described};
use super::expiry::remove_expired;
use super::open::Collection;
use super::records::{BODIES, DOCUMENTS, LOG, PARTS, SPARSE, VECTORS};
use super::view::View;
use crate::cancel::Cancellation;
use crate::document::{Filter, Sequence, Slot};
use crate::index::dense::BuildJob;
use crate::vector::SparseVector;

/// How often it is looked whether something is to be done.
const TICK: Duration = Duration::from_secs(1);
/// How many mutations make a new checkpoint worth its writing.
const CHECKPOINT_EVERY: u64 = 5_000;
/// How many log entries one batch trims.
const TRIM_ENTRIES: usize = 4_096;
/// The most problems that are named.
const PROBLEMS_MAX: usize = 100;
/// Decides the order of insertion into graphs.
const BUILD_SEED: u64 = 0x5131_1e00;

/// What a comparison of tables and indexes found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verification {
    /// Documents compared.
    pub documents: u64,
    /// Parts compared.
    pub parts: u64,
    /// What does not agree, the first hundred.
    pub problems: Vec<String>,
    /// How many there are.
    pub problems_total: u64,
}

pub(super) fn start(
    engine: Arc<Engine>,
    committer: Arc<Committer>,
) -> Result<(Sender<()>, JoinHandle<()>), Error> {
    let (stop, stopped) = bounded::<()>(0);
    let thread = std::thread::Builder::new()
        .name(format!("upkeep-{}", engine.name))
        .spawn(move || serve(&engine, &committer, &stopped))?;
    Ok((stop, thread))
}

fn serve(engine: &Engine, committer: &Committer, stopped: &Receiver<()>) {
    let mut checkpointed = Sequence(0);
    let mut committed = engine.lexical.applied();
    loop {
        let is_last = !matches!(stopped.recv_timeout(TICK), Err(RecvTimeoutError::Timeout));
        let expired = if is_last { Ok(()) } else { remove_expired(engine, committer) };
        if let Err(error) = expired {
            tracing::warn!(
                collection = engine.name,
                error = described(&error),
                "expired documents stay"
            );
        }
        if let Err(error) = tick(engine, &mut checkpointed, &mut committed, is_last, stopped) {
            tracing::warn!(collection = engine.name, error = described(&error), "upkeep failed");
        }
        if is_last {
            return;
        }
    }
}

fn tick(
    engine: &Engine,
    checkpointed: &mut Sequence,
    committed: &mut Sequence,
    is_last: bool,
    stopped: &Receiver<()>,
) -> Result<(), Error> {
    let view = engine.views.current();
    if view.sequence > *committed {
        *committed = engine.lexical.commit()?;
    }
    let is_due = view.sequence.0 >= checkpointed.0 + CHECKPOINT_EVERY;
    if is_due || (is_last && view.sequence > *checkpointed) {
        let (live, starts) = (view.live.clone(), view.starts.clone());
        Checkpoint { sequence: view.sequence, live, starts }.write(&engine.folder)?;
        *checkpointed = view.sequence;
        trim_log(engine, checkpointed.0.min(engine.lexical.applied().0))?;
    }
    if !is_last {
        build(engine, stopped)?;
    }
    Ok(())
}

/// Seals full heads and merges segments and chunks.
fn build(engine: &Engine, stopped: &Receiver<()>) -> Result<(), Error> {
    let cancel = Cancellation::new();
    let watch = |_done: usize, _total: usize| {
        if matches!(stopped.try_recv(), Err(crossbeam_channel::TryRecvError::Disconnected)) {
            cancel.cancel();
        }
    };
    for index in engine.dense.values() {
        let live = engine.views.shown();
        let job = BuildJob {
            live: &live,
            seed: BUILD_SEED,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            progress: &watch,
            cancel: &cancel,
        };
        if index.needs_seal() {
            index.seal(&job)?;
        }
        if index.needs_merge(&live) {
            index.merge(&job)?;
        }
    }
    for index in engine.sparse.values() {
        let live = engine.views.shown();
        if index.needs_merge(&live) {
            index.merge(&live);
        }
    }
    Ok(())
}

fn trim_log(engine: &Engine, through: u64) -> Result<(), Error> {
    let mut batch = Batch::new();
    for row in engine.database.range(&LOG, ..=through).take(TRIM_ENTRIES) {
        batch.remove(&LOG, &row?.0)?;
    }
    if !batch.is_empty() {
        engine.database.commit(batch)?;
    }
    Ok(())
}

impl Collection {
    /// Compares tables and indexes item by item.
    ///
    /// # Errors
    /// The tables cannot be read; cancelled.
    pub fn verify(&self, cancel: &Cancellation) -> Result<Verification, Error> {
        let engine = &self.engine;
        let view = engine.views.current();
        let mut found = Verification { parts: view.live.len(), ..Verification::default() };
        let mut tell = |problem: String| {
            found.problems_total += 1;
            if found.problems.len() < PROBLEMS_MAX {
                found.problems.push(problem);
            }
        };
        let mut documents = 0;
        for row in engine.database.scan(&DOCUMENTS) {
            cancel.check()?;
            let (id, record) = row?;
            if !view.starts.contains(record.first) {
                continue;
            }
            documents += 1;
            match engine.database.get(&BODIES, &record.first)? {
                Some(body) if body.id == id && body.parts == record.parts => {}
                Some(_) => tell(format!("document `{id}`: its body belongs to another version")),
                None => tell(format!("document `{id}`: its body is missing")),
            }
            for slot in record.run().slots() {
                if engine.database.get(&PARTS, &slot)?.is_none() {
                    tell(format!("document `{id}`: part in slot {slot} is missing"));
                }
                if !view.live.contains(slot) {
                    tell(format!("document `{id}`: slot {slot} is not live"));
                }
            }
        }
        if documents != view.documents() {
            let live = view.documents();
            tell(format!("the tables have {documents} documents, {live} are live"));
        }
        for (name, index) in &engine.dense {
            let Some(settings) = engine.settings.vectors.get(name) else { continue };
            let indexed = index.slots();
            for slot in &view.live {
                cancel.check()?;
                let stored = engine.database.get(&VECTORS, &(settings.number, slot))?;
                match (stored, indexed.contains(slot)) {
                    (Some(record), true) => {
                        if index.vector(Slot(slot))? != Some(record.components()) {
                            tell(format!("vector `{name}` of slot {slot} differs in the index"));
                        }
                    }
                    (Some(_), false) => {
                        tell(format!("vector `{name}` of slot {slot} is not indexed"));
                    }
                    (None, true) => {
                        tell(format!("vector `{name}` of slot {slot} is only in the index"));
                    }
                    (None, false) => {}
                }
            }
        }
        for problem in self.sparse_problems(&view, cancel)? {
            tell(problem);
        }
        let everything = Filter::All(Vec::new());
        let indexed = engine.lexical.evaluate(&everything, &view.fields, &view.live)?;
        for slot in &view.live - indexed {
            tell(format!("slot {slot} is not in the lexical index"));
        }
        found.documents = documents;
        Ok(found)
    }

    /// Puts into the indexes what they lack; returns what was done.
    ///
    /// # Errors
    /// The tables cannot be read, or an index refuses.
    pub fn repair(&self) -> Result<Vec<String>, Error> {
        let before = self.verify(&Cancellation::new())?;
        if before.problems_total == 0 {
            return Ok(Vec::new());
        }
        self.engine.refill_dense()?;
        self.engine.refill_sparse()?;
        self.engine.refill_lexical()?;
        let after = self.verify(&Cancellation::new())?;
        Ok(vec![format!(
            "{} problems before, {} after filling the indexes from the tables",
            before.problems_total, after.problems_total
        )])
    }

    /// Seals heads and merges segments now; returns how many segments there are.
    ///
    /// # Errors
    /// The file system refuses; cancelled.
    pub fn optimize(&self, cancel: &Cancellation) -> Result<u64, Error> {
        let mut segments = 0;
        for index in self.engine.dense.values() {
            let live = self.engine.views.shown();
            let job = BuildJob {
                live: &live,
                seed: BUILD_SEED,
                threads: std::thread::available_parallelism().map_or(1, usize::from),
                progress: &|_, _| {},
                cancel,
            };
            index.seal(&job)?;
            index.merge_all(&job)?;
            segments += index.statistics().segments;
        }
        for index in self.engine.sparse.values() {
            index.merge_all(&self.engine.views.shown());
        }
        self.engine.lexical.commit()?;
        Ok(segments)
    }

    /// Returns what the sparse indexes and the tables do not agree on.
    fn sparse_problems(&self, view: &View, cancel: &Cancellation) -> Result<Vec<String>, Error> {
        let mut problems = Vec::new();
        for (name, index) in &self.engine.sparse {
            let Some(settings) = self.engine.settings.sparse.get(name) else { continue };
            let mut indexed: HashMap<Slot, SparseVector> = index.rows().into_iter().collect();
            for slot in &view.live {
                cancel.check()?;
                let stored = self.engine.database.get(&SPARSE, &(settings.number, slot))?;
                let stored = stored.map(|record| record.vector()).transpose();
                let stored = stored.map_err(|error| damaged("sparse vector", slot, error))?;
                let what = match (stored, indexed.remove(&Slot(slot))) {
                    (Some(stored), Some(indexed)) if stored.nonzero() == indexed => continue,
                    (None, None) => continue,
                    (Some(_), Some(_)) => "differs in the index",
                    (Some(_), None) => "is not indexed",
                    (None, Some(_)) => "is only in the index",
                };
                problems.push(format!("vector `{name}` of slot {slot} {what}"));
            }
        }
        Ok(problems)
    }
}
