use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::chunk::{Chunk, Scratch};
use crate::cancel::{Cancellation, Interrupted};
use crate::document::{Slot, SlotSet};
use crate::index::collect::Best;
use crate::index::dense::{SegmentSize, merge_plan};
use crate::vector::{Score, SparseVector};

/// So many new vectors become a chunk.
const HEAD_MAX: usize = 1_024;
/// No merge makes a larger chunk.
const CHUNK_SLOTS_MAX: usize = 4_000_000;
/// How many compared vectors of the head lie between two looks at the cancellation.
const HEAD_STEP: usize = 256;

/// The sparse index of one vector name. Searches, insertions and one merge may run at the same
/// time; a search sees every vector whose insertion returned before it began.
#[derive(Debug, Default)]
pub struct SparseIndex {
    state: RwLock<State>,
    /// Held by the one merge that runs.
    merging: Mutex<()>,
    scratch: Mutex<Vec<Scratch>>,
}

#[derive(Debug, Default)]
struct State {
    head: Arc<Vec<(Slot, Arc<SparseVector>)>>,
    chunks: Arc<Vec<Arc<Chunk>>>,
    slots: SlotSet,
}

/// What a sparse index holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SparseStatistics {
    /// The vectors, deleted ones included until a merge drops them.
    pub vectors: u64,
    /// Those of them that are compared one by one.
    pub head: u64,
    /// The entries of all lists.
    pub entries: u64,
    /// The chunks.
    pub chunks: u64,
    /// About how many bytes of memory all of it takes.
    pub bytes: u64,
}

impl SparseIndex {
    /// Returns an empty index.
    pub fn new() -> Self {
        Self::default()
    }

    /// Inserts vectors, visible to searches that begin after. A slot that the index holds already
    /// is left as it is: a slot never changes its vector.
    pub fn insert<'v>(&self, items: impl IntoIterator<Item = (Slot, &'v SparseVector)>) {
        let mut state = self.write();
        let state = &mut *state;
        for (slot, vector) in items {
            if !state.slots.insert(slot.0) {
                continue;
            }
            Arc::make_mut(&mut state.head).push((slot, Arc::new(vector.clone())));
            if state.head.len() >= HEAD_MAX {
                let head = std::mem::take(&mut state.head);
                let chunk = Chunk::build(head.iter().map(|(slot, vector)| (*slot, &**vector)));
                Arc::make_mut(&mut state.chunks).push(Arc::new(chunk));
            }
        }
    }

    /// Returns the best allowed slots of those that share an index with the query, by inner product,
    /// best first and lower slots first among equals; at most `limit`. An entry of weight 0 counts
    /// as none.
    ///
    /// # Errors
    /// [`Interrupted`] as `cancel` says.
    pub fn search(
        &self,
        query: &SparseVector,
        allowed: &SlotSet,
        limit: usize,
        cancel: &Cancellation,
    ) -> Result<Vec<(Slot, Score)>, Interrupted> {
        cancel.check()?;
        let (head, chunks) = self.snapshot();
        let mut best = Best::new(limit);
        if limit == 0 {
            return Ok(Vec::new());
        }
        for rows in head.chunks(HEAD_STEP) {
            cancel.check()?;
            for (slot, vector) in rows {
                if allowed.contains(slot.0) && shares(query, vector) {
                    best.offer(*slot, Score(query.dot(vector)));
                }
            }
        }
        let mut scratch = lock(&self.scratch).pop().unwrap_or_default();
        scratch.begin();
        let outcome = chunks
            .iter()
            .try_for_each(|chunk| chunk.search(query, allowed, &mut best, &mut scratch, cancel));
        // One that was interrupted may have left sums behind.
        if outcome.is_ok() {
            lock(&self.scratch).push(scratch);
        }
        outcome?;
        Ok(best.into_sorted())
    }

    /// Returns every slot in the index, deleted ones included.
    pub fn slots(&self) -> SlotSet {
        self.read().slots.clone()
    }

    /// Returns each slot with its vector, but for entries of weight 0, in no order.
    pub fn rows(&self) -> Vec<(Slot, SparseVector)> {
        let (head, chunks) = self.snapshot();
        let head = head.iter().map(|(slot, vector)| (*slot, vector.nonzero()));
        head.chain(chunks.iter().flat_map(|chunk| chunk.rows())).collect()
    }

    /// Removes slots and everything that is kept of them.
    pub fn remove(&self, slots: &SlotSet) {
        let live = self.slots() - slots;
        let _merging = lock(&self.merging);
        let chunks = Arc::clone(&self.read().chunks);
        let affected: Vec<usize> = (0..chunks.len())
            .filter(|&number| !chunks[number].slots().is_disjoint(slots))
            .collect();
        self.replace(&chunks, &affected, &live);
        let mut state = self.write();
        Arc::make_mut(&mut state.head).retain(|(slot, _)| !slots.contains(slot.0));
        state.slots -= slots;
    }

    /// Returns whether chunks are so many, or so many of their slots deleted, that it is time to
    /// [`Self::merge`].
    pub fn needs_merge(&self, live: &SlotSet) -> bool {
        !due(&self.snapshot().1, live).is_empty()
    }

    /// Merges the chunks that are due, leaving out slots that are not live, in the calling thread;
    /// all else goes on. Returns whether there was something to merge.
    pub fn merge(&self, live: &SlotSet) -> bool {
        let _merging = lock(&self.merging);
        let chunks = self.snapshot().1;
        let due = due(&chunks, live);
        self.replace(&chunks, &due, live);
        !due.is_empty()
    }

    /// Merges all chunks into one, leaving out slots that are not live.
    pub fn merge_all(&self, live: &SlotSet) {
        let _merging = lock(&self.merging);
        let chunks = self.snapshot().1;
        let is_one = chunks.len() == 1 && chunks.iter().all(|chunk| chunk.slots().is_subset(live));
        if !is_one {
            let all: Vec<usize> = (0..chunks.len()).collect();
            self.replace(&chunks, &all, live);
        }
    }

    /// Returns what the index holds now.
    pub fn statistics(&self) -> SparseStatistics {
        let (head, chunks) = self.snapshot();
        let head_entries: usize = head.iter().map(|(_, vector)| vector.indices().len()).sum();
        let chunk_bytes: usize = chunks.iter().map(|chunk| chunk.bytes()).sum();
        SparseStatistics {
            vectors: self.read().slots.len(),
            head: head.len() as u64,
            entries: (head_entries + chunks.iter().map(|chunk| chunk.entries()).sum::<usize>())
                as u64,
            chunks: chunks.len() as u64,
            bytes: (chunk_bytes + head_entries * 8 + head.len() * 64) as u64,
        }
    }

    /// Puts one chunk of the live slots in the place of some.
    fn replace(&self, chunks: &[Arc<Chunk>], due: &[usize], live: &SlotSet) {
        if due.is_empty() {
            return;
        }
        let old: Vec<Arc<Chunk>> = due.iter().map(|&number| Arc::clone(&chunks[number])).collect();
        let mut rows: Vec<(Slot, SparseVector)> =
            old.iter().flat_map(|chunk| chunk.rows()).collect();
        rows.retain(|(slot, _)| live.contains(slot.0));
        let merged = Chunk::build(rows.iter().map(|(slot, vector)| (*slot, vector)));
        let mut state = self.write();
        let state = &mut *state;
        let chunks = Arc::make_mut(&mut state.chunks);
        chunks.retain(|chunk| !old.iter().any(|old| Arc::ptr_eq(old, chunk)));
        for chunk in &old {
            state.slots -= chunk.slots();
        }
        state.slots |= merged.slots();
        if !merged.slots().is_empty() {
            chunks.push(Arc::new(merged));
        }
    }

    fn snapshot(&self) -> (Arc<Vec<(Slot, Arc<SparseVector>)>>, Arc<Vec<Arc<Chunk>>>) {
        let state = self.read();
        (Arc::clone(&state.head), Arc::clone(&state.chunks))
    }

    // A panic elsewhere leaves the state whole: it is changed in steps that cannot fail.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn due(chunks: &[Arc<Chunk>], live: &SlotSet) -> Vec<usize> {
    let count = |slots: u64| usize::try_from(slots).unwrap_or(usize::MAX);
    let size = |chunk: &Arc<Chunk>| SegmentSize {
        slots: count(chunk.slots().len()),
        live: count(chunk.slots().intersection_len(live)),
    };
    let sizes: Vec<SegmentSize> = chunks.iter().map(size).collect();
    merge_plan(&sizes, HEAD_MAX, CHUNK_SLOTS_MAX)
}

/// Returns whether the vectors have an index in common at which neither is 0.
fn shares(a: &SparseVector, b: &SparseVector) -> bool {
    let weight = |vector: &SparseVector, index: &u32| {
        vector.indices().binary_search(index).is_ok_and(|at| vector.values()[at] != 0.0)
    };
    let (few, many) = if a.indices().len() <= b.indices().len() { (a, b) } else { (b, a) };
    let mut entries = few.indices().iter().zip(few.values());
    entries.any(|(index, &value)| value != 0.0 && weight(many, index))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
