//! Do tables and indexes agree, item by item, and how is that mended?

use std::collections::{BTreeMap, HashMap};

use simile_storage::{StorageError, StorageErrorKind};

use super::checkpoint::Checkpoint;
use super::commit::Write;
use super::engine::Engine;
use super::error::{Error, described};
use super::files;
use super::open::Collection;
use super::records::{BODIES, DOCUMENTS, MULTI, PARTS, Run, SPARSE, VECTORS};
use super::view::View;
use crate::cancel::Cancellation;
use crate::document::{Slot, SlotSet};
use crate::error::{Classified as _, ErrorKind};
use crate::index::dense::DenseIndex;
use crate::index::multi::MultiIndex;
use crate::index::sparse::SparseIndex;
use crate::vector::SparseVector;

/// The most problems that are named.
const PROBLEMS_MAX: usize = 100;
/// How often the tables are read beside writers before writers have to wait.
const QUIET_TRIES: usize = 3;
/// How many steps pass between two reports of progress.
const REPORT_EVERY: u64 = 1_024;

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

/// What a repair did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Repair {
    /// What was made anew, a line each; empty: nothing had to be.
    pub repaired: Vec<String>,
    /// What agrees no better than before.
    pub left: Verification,
}

/// What was found, in the form in which it is mended.
#[derive(Debug, Default)]
struct Findings {
    told: Verification,
    /// The sets of live slots are not those of the tables.
    is_view_wrong: bool,
    is_checkpoint_damaged: bool,
    /// Rows that belong to no document.
    orphans: SlotSet,
    /// By vector name: slots whose vector in the index is missing, or not that of the tables.
    dense: BTreeMap<String, SlotSet>,
    /// The same of sparse vectors.
    sparse: BTreeMap<String, SlotSet>,
    /// The same of multivectors.
    multi: BTreeMap<String, SlotSet>,
    /// Vector names whose files are damaged.
    dense_damaged: Vec<String>,
    /// Slots whose words are missing or others.
    lexical: SlotSet,
    /// Slots that only the lexical index has.
    lexical_only: SlotSet,
    is_lexical_damaged: bool,
}

impl Collection {
    /// Compares tables and indexes item by item: every document with its rows, every row with its
    /// document, every vector and every part with what the indexes hold of it, and every file with
    /// its checksums. Reading and writing go on. `progress` is told how many parts of how many are
    /// done.
    ///
    /// # Errors
    /// The tables cannot be read; cancelled.
    pub fn verify(
        &self,
        progress: &dyn Fn(u64, u64),
        cancel: &Cancellation,
    ) -> Result<Verification, Error> {
        self.engine.find(progress, cancel).map(|found| found.told)
    }

    /// Makes anew from the tables what does not agree with them. Reading and writing go on.
    ///
    /// # Errors
    /// The tables cannot be read, or an index cannot be written; cancelled.
    pub fn repair(
        &self,
        progress: &dyn Fn(u64, u64),
        cancel: &Cancellation,
    ) -> Result<Repair, Error> {
        let engine = &self.engine;
        let mut found = engine.find(progress, cancel)?;
        let mut repaired = Vec::new();
        if found.told.problems_total == 0 {
            return Ok(Repair { repaired, left: found.told });
        }
        engine.check_writable()?;
        if found.is_view_wrong {
            self.committer.wait(&self.committer.send(Write::Rescan)?)?;
            repaired.push("the set of live parts was read from the tables".to_owned());
            engine.refill_dense()?;
            found = Findings { is_view_wrong: true, ..engine.find(progress, cancel)? };
        }
        let kept = engine.kept();
        for (name, index) in &kept.dense {
            let wrong = found.dense.get(name).cloned().unwrap_or_default();
            if !wrong.is_empty() || found.dense_damaged.contains(name) {
                let removed = engine.heal_dense(name, index, &wrong, cancel)?;
                repaired.push(format!(
                    "vector `{name}`: {} segments were removed and {} vectors inserted again",
                    removed,
                    wrong.len()
                ));
            }
        }
        for (name, index) in &kept.sparse {
            if let Some(wrong) = found.sparse.get(name) {
                index.remove(wrong);
                engine.refill_sparse()?;
                repaired.push(format!("vector `{name}`: {} were indexed again", wrong.len()));
            }
        }
        for (name, index) in &kept.multi {
            if let Some(wrong) = found.multi.get(name) {
                index.remove(wrong);
                engine.refill_multi()?;
                repaired.push(format!("vector `{name}`: {} were indexed again", wrong.len()));
            }
        }
        if found.is_lexical_damaged {
            engine.rebuild_lexical()?;
            repaired.push("the lexical index was built anew".to_owned());
        } else if !found.lexical.is_empty() || !found.lexical_only.is_empty() {
            let view = engine.views.current();
            let wrong = &found.lexical & &view.live;
            engine.lexical.remove(view.sequence, &(&found.lexical_only - &view.live))?;
            engine.add_to_lexical(&wrong, &mut |parts| engine.lexical.add(view.sequence, parts))?;
            engine.lexical.commit()?;
            repaired.push(format!(
                "the lexical index: {} parts were added again and {} removed",
                wrong.len(),
                found.lexical_only.len()
            ));
        }
        if !found.orphans.is_empty() {
            let runs: Vec<Run> =
                found.orphans.iter().map(|slot| Run { first: slot, count: 1 }).collect();
            repaired.push(format!("{} rows of no document were cleared", runs.len()));
            engine.views.retire(engine.views.current().sequence, runs);
            while !engine.views.released(1).runs.is_empty() {
                cancel.check()?;
                self.committer.wait(&self.committer.send(Write::Clear)?)?;
            }
        }
        if found.is_checkpoint_damaged || found.is_view_wrong {
            engine.write_checkpoint()?;
            repaired.push("the checkpoint was written anew".to_owned());
        }
        let left = engine.find(progress, cancel)?.told;
        Ok(Repair { repaired, left })
    }
}

impl Findings {
    fn tell(&mut self, problem: impl Into<String>) {
        self.told.problems_total += 1;
        if self.told.problems.len() < PROBLEMS_MAX {
            self.told.problems.push(problem.into());
        }
    }

    /// Returns what was read; damage is a problem that is told, and no reason to stop.
    fn read<T>(&mut self, row: Result<T, StorageError>) -> Result<Option<T>, Error> {
        match row {
            Ok(read) => Ok(Some(read)),
            Err(error) if error.kind() == StorageErrorKind::Corrupt => {
                self.tell(error.to_string());
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Engine {
    /// Verifies the files of every index, and makes anew what is damaged; returns what was done.
    pub(super) fn heal(&self, cancel: &Cancellation) -> Result<Vec<String>, Error> {
        let mut done = Vec::new();
        for (name, index) in &self.kept().dense {
            if !index.damaged(cancel)?.is_empty() {
                let removed = self.heal_dense(name, index, &SlotSet::new(), cancel)?;
                done.push(format!("vector `{name}`: {removed} damaged segments were removed"));
            }
        }
        match self.lexical.verify_files() {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                self.rebuild_lexical()?;
                done.push(format!("the lexical index was built anew: {}", described(&error)));
            }
            other => other?,
        }
        Ok(done)
    }

    fn heal_dense(
        &self,
        name: &str,
        index: &DenseIndex,
        wrong: &SlotSet,
        cancel: &Cancellation,
    ) -> Result<usize, Error> {
        let kept = self.kept();
        let Some(settings) = kept.settings.vectors.get(name) else { return Ok(0) };
        let load = |slot: Slot| -> Result<Option<Vec<f32>>, Error> {
            let record = self.database.get(&VECTORS, &(settings.number, slot.0))?;
            Ok(record.map(|record| record.components()))
        };
        Ok(index.heal(wrong, &load, cancel)?.len())
    }

    fn find(&self, progress: &dyn Fn(u64, u64), cancel: &Cancellation) -> Result<Findings, Error> {
        // In this order: what retires later was live in the view.
        let shown = self.views.shown();
        let view = self.views.current();
        let mut found = Findings::default();
        found.told.parts = view.live.len();
        let kept = self.kept();
        let indexes = (kept.dense.len() + kept.sparse.len() + kept.multi.len()) as u64;
        let steps = view.live.len() * (2 + indexes);
        let mut done: u64 = 0;
        let mut step = || {
            if done.is_multiple_of(REPORT_EVERY) {
                progress(done, steps);
            }
            done += 1;
            cancel.check()
        };
        self.find_in_tables(&view, &shown, &mut found, &mut step)?;
        for (name, index) in &kept.dense {
            self.find_in_dense(name, index, &view, &mut found, &mut step)?;
            for damaged in index.damaged(cancel)? {
                found.tell(format!("vector `{name}`: {}", damaged.reason));
                if !found.dense_damaged.contains(name) {
                    found.dense_damaged.push(name.clone());
                }
            }
        }
        for (name, index) in &kept.sparse {
            self.find_in_sparse(name, index, &view, &mut found, &mut step)?;
        }
        for (name, index) in &kept.multi {
            self.find_in_multi(name, index, &view, &mut found, &mut step)?;
        }
        self.find_in_lexical(&view, &shown, &mut found, &mut step)?;
        let checkpoint = self.folder.join(files::CHECKPOINT);
        if Checkpoint::is_damaged(&self.folder) {
            found.is_checkpoint_damaged = true;
            found.tell(format!("{} is damaged", checkpoint.display()));
        }
        progress(steps, steps);
        Ok(found)
    }

    /// Compares documents, bodies, parts and vectors with each other and with the view.
    fn find_in_tables(
        &self,
        view: &View,
        shown: &SlotSet,
        found: &mut Findings,
        step: &mut dyn FnMut() -> Result<(), crate::cancel::Interrupted>,
    ) -> Result<(), Error> {
        let mut is_verified = false;
        for _ in 0..QUIET_TRIES {
            let verified = self.database.verify_beside_writers();
            is_verified = found.read(verified)?.unwrap_or(true);
            if is_verified {
                break;
            }
        }
        if !is_verified {
            let verified = self.database.verify();
            found.read(verified)?;
        }
        let (mut live, mut starts) = (SlotSet::new(), SlotSet::new());
        for row in self.database.scan(&DOCUMENTS) {
            let Some((id, record)) = found.read(row)? else { continue };
            // A later mutation is no concern of this view.
            if record.sequence > view.sequence.0 {
                continue;
            }
            found.told.documents += 1;
            live.insert_range(record.run().slots());
            starts.insert(record.first);
            let body = self.database.get(&BODIES, &record.first);
            match found.read(body)? {
                Some(Some(body)) if body.id == id && body.parts == record.parts => {}
                Some(Some(_)) => {
                    found.tell(format!("document `{id}`: its body belongs to another version"));
                }
                Some(None) => found.tell(format!("document `{id}`: its body is missing")),
                None => {}
            }
        }
        let mut only_in_view = SlotSet::new();
        for first in &view.starts - &starts {
            // Unless it was replaced or removed since the view.
            let body = self.body(Slot(first)).ok().flatten();
            let record = body.map(|body| self.record(&body.id)).transpose()?.flatten();
            let is_stored = record.is_some_and(|record| record.first == first);
            if !is_stored && self.views.current().starts.contains(first) {
                only_in_view.insert(first);
            }
        }
        for (slots, what) in [
            (only_in_view, "is live, and the tables have no document there"),
            (&starts - &view.starts, "begins a document of the tables, and is not live"),
            (&live - &view.live, "belongs to a document of the tables, and is not live"),
        ] {
            for slot in slots {
                found.is_view_wrong = true;
                found.tell(format!("slot {slot} {what}"));
            }
        }
        self.find_rows(view, shown, &live, found, step)
    }

    /// Finds parts that are missing, and rows that belong to no document.
    fn find_rows(
        &self,
        view: &View,
        shown: &SlotSet,
        live: &SlotSet,
        found: &mut Findings,
        step: &mut dyn FnMut() -> Result<(), crate::cancel::Interrupted>,
    ) -> Result<(), Error> {
        // Slots ascend with mutations: what lies behind may belong to a later one.
        let Some(end) = view.live.max() else { return Ok(()) };
        let known = shown | live | &view.live;
        let mut parts = SlotSet::new();
        for row in self.database.range(&PARTS, ..=end) {
            step()?;
            let Some((slot, part)) = found.read(row)? else { continue };
            parts.insert(slot);
            if live.contains(slot) && !live.contains(part.first) {
                found.tell(format!("the part in slot {slot} belongs to no document"));
            }
        }
        for slot in live - &parts {
            found.tell(format!("the part in slot {slot} is missing"));
        }
        let mut rows = parts;
        for row in self.database.range(&BODIES, ..=end) {
            if let Some((first, _)) = found.read(row)? {
                rows.insert(first);
            }
        }
        let kept = self.kept();
        for settings in kept.settings.vectors.values() {
            let number = settings.number;
            for row in self.database.range(&VECTORS, (number, 0)..=(number, end)) {
                if let Some(((_, slot), _)) = found.read(row)? {
                    rows.insert(slot);
                }
            }
        }
        for settings in kept.settings.sparse.values() {
            let number = settings.number;
            for row in self.database.range(&SPARSE, (number, 0)..=(number, end)) {
                if let Some(((_, slot), _)) = found.read(row)? {
                    rows.insert(slot);
                }
            }
        }
        for settings in kept.settings.multi.values() {
            let number = settings.number;
            for row in self.database.range(&MULTI, (number, 0, 0)..=(number, end, u16::MAX)) {
                if let Some(((_, slot, _), _)) = found.read(row)? {
                    rows.insert(slot);
                }
            }
        }
        found.orphans = rows - known;
        for slot in found.orphans.clone() {
            found.tell(format!("the rows of slot {slot} belong to no document"));
        }
        Ok(())
    }

    fn find_in_dense(
        &self,
        name: &str,
        index: &DenseIndex,
        view: &View,
        found: &mut Findings,
        step: &mut dyn FnMut() -> Result<(), crate::cancel::Interrupted>,
    ) -> Result<(), Error> {
        let kept = self.kept();
        let Some(settings) = kept.settings.vectors.get(name) else { return Ok(()) };
        let indexed = index.slots();
        let mut wrong = SlotSet::new();
        for slot in &view.live {
            step()?;
            let stored = self.database.get(&VECTORS, &(settings.number, slot));
            let Some(stored) = found.read(stored)? else { continue };
            let what = match (stored, indexed.contains(slot)) {
                (Some(record), true) => match index.vector(Slot(slot)) {
                    Ok(held) if held == Some(record.components()) => continue,
                    Ok(_) => "differs in the index",
                    // Its segment is told of as a whole.
                    Err(error) if error.kind() == ErrorKind::Corrupt => continue,
                    Err(error) => return Err(error.into()),
                },
                (Some(_), false) => "is not indexed",
                (None, true) => "is only in the index",
                (None, false) => continue,
            };
            wrong.insert(slot);
            found.tell(format!("vector `{name}` of slot {slot} {what}"));
        }
        if !wrong.is_empty() {
            found.dense.insert(name.to_owned(), wrong);
        }
        Ok(())
    }

    fn find_in_sparse(
        &self,
        name: &str,
        index: &SparseIndex,
        view: &View,
        found: &mut Findings,
        step: &mut dyn FnMut() -> Result<(), crate::cancel::Interrupted>,
    ) -> Result<(), Error> {
        let kept = self.kept();
        let Some(settings) = kept.settings.sparse.get(name) else { return Ok(()) };
        let mut indexed: HashMap<Slot, SparseVector> = index.rows().into_iter().collect();
        let mut wrong = SlotSet::new();
        for slot in &view.live {
            step()?;
            let stored = self.database.get(&SPARSE, &(settings.number, slot));
            let Some(stored) = found.read(stored)? else { continue };
            let stored = match stored.map(|record| record.vector()).transpose() {
                Ok(stored) => stored,
                Err(error) => {
                    found.tell(format!("vector `{name}` of slot {slot}: {error}"));
                    continue;
                }
            };
            let what = match (stored, indexed.remove(&Slot(slot))) {
                (Some(stored), Some(indexed)) if stored.nonzero() == indexed => continue,
                (None, None) => continue,
                (Some(_), Some(_)) => "differs in the index",
                (Some(_), None) => "is not indexed",
                (None, Some(_)) => "is only in the index",
            };
            wrong.insert(slot);
            found.tell(format!("vector `{name}` of slot {slot} {what}"));
        }
        if !wrong.is_empty() {
            found.sparse.insert(name.to_owned(), wrong);
        }
        Ok(())
    }

    fn find_in_multi(
        &self,
        name: &str,
        index: &MultiIndex,
        view: &View,
        found: &mut Findings,
        step: &mut dyn FnMut() -> Result<(), crate::cancel::Interrupted>,
    ) -> Result<(), Error> {
        let kept = self.kept();
        let Some(settings) = kept.settings.multi.get(name) else { return Ok(()) };
        let indexed = index.slots();
        let mut wrong = SlotSet::new();
        for slot in &view.live {
            step()?;
            let stored = match self.multi_vector(settings, Slot(slot)) {
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    found.tell(format!("vector `{name}` of slot {slot}: {error}"));
                    continue;
                }
                other => other?,
            };
            let what = match stored {
                Some(stored) => match index.holds(Slot(slot), &stored) {
                    Some(true) => continue,
                    Some(false) => "differs in the index",
                    None => "is not indexed",
                },
                None if indexed.contains(slot) => "is only in the index",
                None => continue,
            };
            wrong.insert(slot);
            found.tell(format!("vector `{name}` of slot {slot} {what}"));
        }
        if !wrong.is_empty() {
            found.multi.insert(name.to_owned(), wrong);
        }
        Ok(())
    }

    fn find_in_lexical(
        &self,
        view: &View,
        shown: &SlotSet,
        found: &mut Findings,
        step: &mut dyn FnMut() -> Result<(), crate::cancel::Interrupted>,
    ) -> Result<(), Error> {
        let files = self.lexical.verify_files();
        let held = files.and_then(|()| self.lexical.fingerprints());
        let mut held = match held {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                found.is_lexical_damaged = true;
                found.tell(described(&error));
                return Ok(());
            }
            other => other?,
        };
        for slot in &view.live {
            step()?;
            let row = match self.lexical_row(Slot(slot)) {
                // The row was told of already.
                Err(error) if error.kind() == ErrorKind::Corrupt => continue,
                other => other?,
            };
            let what = match held.remove(&slot) {
                Some(fingerprint) if fingerprint == row.part(self).fingerprint() => continue,
                Some(_) => "holds other words in the lexical index",
                None => "is not in the lexical index",
            };
            found.lexical.insert(slot);
            found.tell(format!("slot {slot} {what}"));
        }
        // What is left is newer than the view, was removed and may still be shown to somebody, or
        // should not be there.
        let newest = view.live.max().unwrap_or(0);
        let is_only_here = |slot: &u32| *slot <= newest && !shown.contains(*slot);
        found.lexical_only = held.into_keys().filter(is_only_here).collect();
        for slot in found.lexical_only.clone() {
            found.tell(format!("slot {slot} is only in the lexical index"));
        }
        Ok(())
    }
}
