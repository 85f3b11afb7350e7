use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock};

use super::collect::Best;
use super::head::Head;
use super::{BuildJob, DenseError, DenseOptions, DenseStatistics, Discarded, SearchOptions};
use crate::cancel::Cancellation;
use crate::document::{Slot, SlotSet};
use crate::vector::{Score, VectorError};

/// The dense index of one vector name: a head of new vectors and sealed segments in a folder.
///
/// Searches, insertions and one background job may run at the same time; a search sees every vector
/// whose insertion returned before it began.
#[derive(Debug)]
pub struct DenseIndex {
    options: DenseOptions,
    discarded: Vec<Discarded>,
    state: RwLock<State>,
    /// Held by the one seal or merge that runs.
    building: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    head: Head,
    indexed: SlotSet,
    sealed: SlotSet,
}

impl DenseIndex {
    /// Opens the index in a folder, creating the folder if need be. Segments whose checksums hold
    /// are mapped; others are discarded, see [`Self::discarded`]. The head starts empty: the caller
    /// inserts every live slot that is not in [`Self::sealed`].
    ///
    /// # Errors
    /// [`DenseError`]: invalid input for options out of bounds; unavailable if the file system
    /// refuses.
    pub fn open(folder: &Path, options: DenseOptions) -> Result<Self, DenseError> {
        options.check()?;
        fs_err::create_dir_all(folder)?;
        Ok(Self {
            options,
            discarded: Vec::new(),
            state: RwLock::default(),
            building: Mutex::new(()),
        })
    }

    /// Returns the options that the index was opened with.
    pub fn options(&self) -> &DenseOptions {
        &self.options
    }

    /// Returns the segments that were found damaged on opening.
    pub fn discarded(&self) -> &[Discarded] {
        &self.discarded
    }

    /// Returns the slots in sealed segments, deleted ones included.
    pub fn sealed(&self) -> SlotSet {
        self.read().sealed.clone()
    }

    /// Returns every slot in the index, deleted ones included.
    pub fn slots(&self) -> SlotSet {
        self.read().indexed.clone()
    }

    /// Returns the vector of a slot as it was inserted, if the slot is in the index.
    pub fn vector(&self, slot: Slot) -> Option<Vec<f32>> {
        let head = self.read().head.clone();
        head.rows(self.options.dimension)
            .find(|&(candidate, _)| candidate == slot)
            .map(|(_, vector)| vector.to_vec())
    }

    /// Inserts vectors, visible to searches that begin after. A slot that the index already holds
    /// is left as it is: a slot never changes its vector. For cosine the vectors have length one.
    ///
    /// # Errors
    /// [`VectorError`] (invalid input) for a vector of another dimension or with a component that
    /// is not finite; then none is inserted.
    pub fn insert(&self, items: &[(Slot, &[f32])]) -> Result<(), DenseError> {
        for (_, vector) in items {
            self.check(vector)?;
        }
        let mut state = self.write();
        let state = &mut *state;
        for &(slot, vector) in items {
            if state.indexed.insert(slot.0) {
                state.head.push(slot, vector);
            }
        }
        Ok(())
    }

    /// Returns the best allowed slots, best first and lower slots first among equals: as many as
    /// `limit`, or as many as are allowed and in the index if those are fewer.
    ///
    /// # Errors
    /// [`DenseError`]: invalid input if the query does not fit the index; cancelled or timed out
    /// as `cancel` says.
    pub fn search(
        &self,
        query: &[f32],
        allowed: &SlotSet,
        options: &SearchOptions,
        cancel: &Cancellation,
    ) -> Result<Vec<(Slot, Score)>, DenseError> {
        self.check(query)?;
        let head = self.read().head.clone();
        let mut best = Best::new(options.limit);
        head.scan(self.options.metric, query, allowed, &mut best, cancel)?;
        Ok(best.into_sorted())
    }

    /// Returns whether the head is so full that it is time to [`Self::seal`].
    pub fn needs_seal(&self) -> bool {
        self.read().head.len() >= self.options.seal_at
    }

    /// Turns what the head holds now into a sealed segment, in the calling thread; insertions and
    /// searches go on. Returns whether there was something to seal.
    ///
    /// # Errors
    /// [`DenseError`]: unavailable if the file system refuses; cancelled as the job says. The head
    /// is then as it was.
    pub fn seal(&self, job: &BuildJob<'_>) -> Result<bool, DenseError> {
        let _building = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        job.cancel.check()?;
        Ok(false)
    }

    /// Returns whether segments are of such sizes, or so many of their slots deleted, that it is
    /// time to [`Self::merge`].
    pub fn needs_merge(&self, live: &SlotSet) -> bool {
        let _ = live;
        false
    }

    /// Merges the segments that are due, leaving deleted slots out, in the calling thread; all else
    /// goes on. Returns whether there was something to merge.
    ///
    /// # Errors
    /// As [`Self::seal`]; the segments are then as they were.
    pub fn merge(&self, job: &BuildJob<'_>) -> Result<bool, DenseError> {
        let _building = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        job.cancel.check()?;
        Ok(false)
    }

    /// Merges all segments into one, leaving deleted slots out. Returns whether there was something
    /// to merge.
    ///
    /// # Errors
    /// As [`Self::merge`].
    pub fn merge_all(&self, job: &BuildJob<'_>) -> Result<bool, DenseError> {
        self.merge(job)
    }

    /// Returns what the index holds now.
    pub fn statistics(&self) -> DenseStatistics {
        let state = self.read();
        DenseStatistics {
            head: state.head.len() as u64,
            head_bytes: state.head.bytes() as u64,
            sealed: state.sealed.len(),
            ..DenseStatistics::default()
        }
    }

    fn check(&self, vector: &[f32]) -> Result<(), DenseError> {
        let expected = self.options.dimension;
        if vector.len() != expected {
            return Err(VectorError::DimensionMismatch { expected, actual: vector.len() }.into());
        }
        if let Some(position) = vector.iter().position(|value| !value.is_finite()) {
            return Err(VectorError::NotFinite { position, value: vector[position] }.into());
        }
        Ok(())
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}
