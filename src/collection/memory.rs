//! Where does the memory of a collection go, and how much may all of them take?

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::engine::Engine;
use super::error::Error;
use super::open::Collection;

/// What one component of a collection takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryUse {
    /// The component.
    pub component: &'static str,
    /// Bytes.
    pub bytes: u64,
    /// Whether they are pages of files, which the system takes back when it needs them.
    pub is_mapped: bool,
}

/// What all collections of a data directory take together, beside pages of files, and may take.
#[derive(Debug, Default)]
pub(super) struct Budget {
    bytes_max: Option<u64>,
    used: Mutex<BTreeMap<String, u64>>,
}

impl Budget {
    /// Returns a budget of so many bytes; none: as much as there is.
    pub(super) fn new(bytes_max: Option<u64>) -> Self {
        Self { bytes_max, used: Mutex::default() }
    }

    /// Notes what a collection takes.
    pub(super) fn set(&self, collection: &str, bytes: u64) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        match used.get_mut(collection) {
            Some(noted) => *noted = bytes,
            None => drop(used.insert(collection.to_owned(), bytes)),
        }
    }

    /// Forgets a collection.
    pub(super) fn remove(&self, collection: &str) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).remove(collection);
    }

    /// Returns the bytes in use.
    pub(super) fn used(&self) -> u64 {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    /// Returns the most bytes, if there is a bound.
    pub(super) fn bytes_max(&self) -> Option<u64> {
        self.bytes_max
    }

    /// Returns quietly if so many more bytes are within the budget.
    ///
    /// # Errors
    /// [`Error::OverBudget`] (overloaded).
    pub(super) fn check(&self, more: u64) -> Result<(), Error> {
        match self.bytes_max {
            Some(bytes_max) if self.used().saturating_add(more) > bytes_max => {
                Err(Error::OverBudget { bytes_max, used: self.used(), more })
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Engine {
    /// Returns what each component takes.
    pub(super) fn memory(&self) -> Vec<MemoryUse> {
        let own = |component, bytes| MemoryUse { component, bytes, is_mapped: false };
        let mapped = |component, bytes| MemoryUse { component, bytes, is_mapped: true };
        let (view, kept) = (self.views.current(), self.kept());
        let sets = view.live.serialized_size() + view.starts.serialized_size();
        let [mut head, mut scratch, mut graphs, mut codes, mut slots, mut vectors] = [0; 6];
        for index in kept.dense.values() {
            let held = index.statistics();
            head += held.head_bytes;
            scratch += held.scratch_bytes;
            graphs += held.graph_bytes;
            codes += held.code_bytes;
            slots += held.slot_bytes;
            vectors += held.vector_bytes;
        }
        let sparse: u64 = kept.sparse.values().map(|index| index.statistics().bytes).sum();
        let multi: u64 = kept.multi.values().map(|index| index.statistics().bytes).sum();
        let lexical = self.lexical.statistics();
        vec![
            own("table cache", self.maintenance.cache_bytes_max.min(self.tables_bytes())),
            own("rows of answers", self.recent.bytes()),
            own("slot sets", sets as u64),
            own("dense heads", head),
            own("dense search space", scratch),
            own("sparse indexes", sparse),
            own("multivector indexes", multi),
            own("words not committed", lexical.pending_bytes),
            mapped("dense graphs", graphs),
            mapped("dense codes", codes),
            mapped("dense slot maps", slots),
            mapped("dense vectors", vectors),
        ]
    }

    /// Notes in the budget what the collection takes now.
    pub(super) fn note_memory(&self) {
        if self.budget.bytes_max().is_some() {
            let own = self.memory().into_iter().filter(|used| !used.is_mapped);
            self.budget.set(&self.name, own.map(|used| used.bytes).sum());
        }
    }

    fn tables_bytes(&self) -> u64 {
        // Only bounds an estimate.
        self.database.size_on_disk().unwrap_or(u64::MAX)
    }
}

impl Collection {
    /// Returns quietly if documents of so many bytes are within the budget.
    pub(super) fn check_memory(&self, more: usize) -> Result<(), Error> {
        self.engine.budget.check(more as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_holds_over_all_collections_and_says_both_sides() {
        let budget = Budget::new(Some(1_000));
        budget.set("a", 600);
        budget.set("b", 300);
        budget.check(100).unwrap();
        let error = budget.check(101).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("1000") && text.contains("900") && text.contains("101"), "{text}");
        budget.set("a", 500);
        budget.check(200).unwrap();
        budget.remove("b");
        assert_eq!(budget.used(), 500);
        Budget::default().check(u64::MAX).unwrap();
    }
}
