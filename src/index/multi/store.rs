use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use super::codes::{Codes, Question};
use crate::cancel::{Cancellation, Interrupted};
use crate::document::{Slot, SlotSet};
use crate::index::collect::Best;
use crate::vector::{MultiVector, Score};

/// The index of the multivectors of one name. Searches and changes may run at the same time; a search
/// sees every multivector whose insertion returned before it began.
#[derive(Debug, Default)]
pub struct MultiIndex {
    entries: RwLock<BTreeMap<u32, Arc<Codes>>>,
}

/// What an index of multivectors holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MultiStatistics {
    /// The multivectors, deleted ones included until they are dropped.
    pub multivectors: u64,
    /// All their vectors.
    pub vectors: u64,
    /// About how many bytes of memory all of it takes.
    pub bytes: u64,
}

impl MultiIndex {
    /// Returns an empty index.
    pub fn new() -> Self {
        Self::default()
    }

    /// Inserts multivectors, visible to searches that begin after.
    pub fn insert<'v>(&self, items: impl IntoIterator<Item = (Slot, &'v MultiVector)>) {
        let coded = items.into_iter().map(|(slot, vector)| (slot.0, Arc::new(Codes::new(vector))));
        let coded: Vec<(u32, Arc<Codes>)> = coded.collect();
        self.write().extend(coded);
    }

    /// Returns the best allowed slots by [`MultiVector::max_sim`] with the question, best first and
    /// lower slots first among equals; at most `limit`. `load` reads a multivector as it was
    /// inserted; what it does not find is passed over.
    ///
    /// # Errors
    /// [`Interrupted`] as `cancel` says; what `load` says.
    ///
    /// # Panics
    /// If the question has another dimension than what was inserted, which the caller rules out.
    pub fn search<E: From<Interrupted>>(
        &self,
        question: &MultiVector,
        allowed: &SlotSet,
        limit: usize,
        load: &dyn Fn(Slot) -> Result<Option<MultiVector>, E>,
        cancel: &Cancellation,
    ) -> Result<Vec<(Slot, Score)>, E> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let coded = Question::new(question);
        let entries = self.allowed(allowed);
        let bounds: Result<Vec<(f32, f32, u32)>, Interrupted> = entries
            .par_iter()
            .map(|(slot, codes)| {
                cancel.check()?;
                let (least, most) = codes.bounds(&coded);
                Ok((least, most, *slot))
            })
            .collect();
        let mut bounds = bounds?;
        // So many score at least this: what cannot is not among the best.
        let mut least: Vec<f32> = bounds.iter().map(|&(least, _, _)| least).collect();
        if least.len() > limit {
            let (_, &mut kept, _) = least.select_nth_unstable_by(limit - 1, |a, b| b.total_cmp(a));
            bounds.retain(|&(_, most, _)| most >= kept);
        }
        bounds.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.2.cmp(&b.2)));
        let mut best = Best::new(limit);
        for (_, most, slot) in bounds {
            if best.threshold().is_some_and(|threshold| threshold.0 > most) {
                break;
            }
            cancel.check()?;
            if let Some(vector) = load(Slot(slot))? {
                best.offer(Slot(slot), question.max_sim(&vector));
            }
        }
        Ok(best.into_sorted())
    }

    /// Returns every slot in the index, deleted ones included.
    pub fn slots(&self) -> SlotSet {
        self.read().keys().copied().collect()
    }

    /// Returns whether the index holds this multivector in the slot; none if it holds nothing there.
    pub fn holds(&self, slot: Slot, vector: &MultiVector) -> Option<bool> {
        let held = self.read().get(&slot.0).cloned();
        held.map(|codes| *codes == Codes::new(vector))
    }

    /// Removes slots.
    pub fn remove(&self, slots: &SlotSet) {
        let mut entries = self.write();
        for slot in slots {
            entries.remove(&slot);
        }
    }

    /// Removes the slots that are not live.
    pub fn retain(&self, live: &SlotSet) {
        let gone = self.slots() - live;
        if !gone.is_empty() {
            self.remove(&gone);
        }
    }

    /// Returns what the index holds now.
    pub fn statistics(&self) -> MultiStatistics {
        let entries = self.read();
        MultiStatistics {
            multivectors: entries.len() as u64,
            vectors: entries.values().map(|codes| codes.count() as u64).sum(),
            bytes: entries.values().map(|codes| codes.bytes() as u64).sum(),
        }
    }

    fn allowed(&self, allowed: &SlotSet) -> Vec<(u32, Arc<Codes>)> {
        let entries = self.read();
        if allowed.len() < entries.len() as u64 {
            let found = allowed.iter().filter_map(|slot| Some((slot, entries.get(&slot)?)));
            return found.map(|(slot, codes)| (slot, Arc::clone(codes))).collect();
        }
        let found = entries.iter().filter(|(slot, _)| allowed.contains(**slot));
        found.map(|(slot, codes)| (*slot, Arc::clone(codes))).collect()
    }

    // A panic elsewhere leaves the entries whole: they are changed in steps that cannot fail.
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<u32, Arc<Codes>>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<u32, Arc<Codes>>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}
