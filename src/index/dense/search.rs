use std::sync::Arc;

use super::collect::Best;
use super::detours::Detours;
use super::segment::{Request, Segment};
use super::store::lock;
use super::{DenseError, DenseIndex, SearchOptions};
use crate::cancel::Cancellation;
use crate::document::{Slot, SlotSet};
use crate::vector::Score;

/// Working spaces that are kept for the next search; more searches at once make their own.
const SEARCHERS_MAX: usize = 64;
/// While at least this share of the index is allowed, segments need not be counted one by one.
const MOST: f64 = 0.5;

/// A slot that graphs are searched without, as if it were not stored.
#[derive(Debug)]
pub struct LeftOut {
    pub(super) slot: Slot,
    /// The segment that had it, and what its graph would have been.
    pub(super) inside: Option<(Arc<Segment>, Detours)>,
}

impl LeftOut {
    /// Returns the slot.
    pub fn slot(&self) -> Slot {
        self.slot
    }
}

impl DenseIndex {
    /// Returns the best allowed slots, best first and lower slots first among equals: as many as
    /// `limit`, or as many as are allowed and in the index if those are fewer.
    ///
    /// # Errors
    /// [`DenseError`]: invalid input if the query does not fit the index; cancelled or timed out
    /// as `cancel` says; corrupt if a vector that is read fails its checksum, see
    /// [`Self::verify`].
    pub fn search(
        &self,
        query: &[f32],
        allowed: &SlotSet,
        options: &SearchOptions,
        cancel: &Cancellation,
    ) -> Result<Vec<(Slot, Score)>, DenseError> {
        self.search_without(query, None, allowed, options, cancel)
    }

    /// Returns what [`Self::search`] would find if graphs were without a slot that is in the index: what
    /// is stored is linked to what is near it, and easier to ask with than what is not.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub fn search_without(
        &self,
        query: &[f32],
        without: Option<&LeftOut>,
        allowed: &SlotSet,
        options: &SearchOptions,
        cancel: &Cancellation,
    ) -> Result<Vec<(Slot, Score)>, DenseError> {
        self.check(query)?;
        cancel.check()?;
        let (head, segments, indexed) = {
            let state = self.read();
            (state.head.clone(), Arc::clone(&state.segments), state.indexed.len())
        };
        let mut best = Best::new(options.limit);
        if options.limit == 0 {
            return Ok(Vec::new());
        }
        head.scan(self.options.metric, query, allowed, &mut best, cancel)?;
        let share = allowed.len() as f64 / indexed.max(1) as f64;
        let share = (share >= MOST).then_some(share.min(1.0));
        let request = Request { query, allowed, without, share, options: *options, cancel };
        let mut searcher = lock(&self.searchers).pop().unwrap_or_default();
        let outcome = segments
            .iter()
            .try_for_each(|segment| segment.search(&request, &mut searcher, &mut best));
        let mut searchers = lock(&self.searchers);
        if searchers.len() < SEARCHERS_MAX {
            searchers.push(searcher);
        }
        drop(searchers);
        outcome?;
        Ok(best.into_sorted())
    }

    /// Returns whether a graph without the slot would be like one that never had it: the slot is no
    /// crossing of the upper layers, and no other slot has the same vector.
    pub fn can_be_left_out(&self, slot: Slot) -> bool {
        let segments = Arc::clone(&self.read().segments);
        segments.iter().all(|segment| segment.can_be_left_out(slot))
    }

    /// Finds out what graphs would be without a slot, to search as if it were not stored. See
    /// [`Self::can_be_left_out`].
    ///
    /// # Errors
    /// [`DenseError`]: corrupt if a vector that is read fails its checksum.
    pub fn leave_out(&self, slot: Slot) -> Result<LeftOut, DenseError> {
        let segments = Arc::clone(&self.read().segments);
        let mut inside = None;
        for segment in &*segments {
            if let Some(detours) = segment.detours(slot)? {
                inside = Some((Arc::clone(segment), detours));
            }
        }
        Ok(LeftOut { slot, inside })
    }
}
