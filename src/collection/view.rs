use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use super::records::Run;
use crate::document::{FieldTypes, Sequence, Slot, SlotSet};

/// What a reader sees: the collection after one mutation, and before all later ones.
///
/// Rows under slots never change and stay until no view shows them, so a reader that holds a view
/// reads each document as it was, whatever is replaced or deleted meanwhile.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    /// The newest mutation that is visible.
    pub(super) sequence: Sequence,
    /// The slots of the newest versions of all documents.
    pub(super) live: SlotSet,
    /// The first slots of the newest versions.
    pub(super) starts: SlotSet,
    /// What each payload field was seen to hold.
    pub(super) fields: Arc<FieldTypes>,
    /// The view whose slots these are, where some of them are left out: as long as it lives, they
    /// are not cleared.
    pub(super) shown_by: Option<Arc<View>>,
}

/// The view of the newest mutation, and the slots that only older views show.
#[derive(Debug)]
pub(super) struct Views {
    current: RwLock<Arc<View>>,
    retired: Mutex<VecDeque<Retired>>,
}

/// Slots that were visible up to a view.
#[derive(Debug)]
struct Retired {
    last_shown_by: Weak<View>,
    sequence: Sequence,
    runs: Vec<Run>,
}

/// Slots that no view shows any more.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Released {
    /// The slots.
    pub(super) runs: Vec<Run>,
    /// Every removal up to this mutation is released, by this call or before.
    pub(super) through: Sequence,
}

impl View {
    /// Returns the first slot of the version that the slot belongs to.
    pub(super) fn start_of(&self, slot: Slot) -> Slot {
        let up_to = self.starts.rank(slot.0);
        let last = u32::try_from(up_to).ok().and_then(|count| count.checked_sub(1));
        Slot(last.and_then(|place| self.starts.select(place)).unwrap_or(slot.0))
    }

    /// Returns how many documents are visible.
    pub(super) fn documents(&self) -> u64 {
        self.starts.len()
    }
}

impl Views {
    /// Returns views that begin with this one.
    pub(super) fn new(view: View) -> Self {
        Self { current: RwLock::new(Arc::new(view)), retired: Mutex::default() }
    }

    /// Returns the newest view.
    pub(super) fn current(&self) -> Arc<View> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a view the newest; the runs are those that it no longer shows.
    pub(super) fn publish(&self, view: View, removed: Vec<Run>) {
        let sequence = view.sequence;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *current, Arc::new(view));
        drop(current);
        if !removed.is_empty() {
            let last_shown_by = Arc::downgrade(&before);
            let retired = Retired { last_shown_by, sequence, runs: removed };
            self.retired.lock().unwrap_or_else(PoisonError::into_inner).push_back(retired);
        }
    }

    /// Returns slots that no view shows any more, `runs_max` runs at a time at least.
    pub(super) fn release(&self, runs_max: usize) -> Released {
        // Nothing published after this can be waiting without being in the queue below.
        let newest = self.current().sequence;
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let mut released = Released::default();
        while released.runs.len() < runs_max
            && let Some(oldest) = retired.front()
            && oldest.last_shown_by.strong_count() == 0
        {
            released.runs.extend_from_slice(&oldest.runs);
            retired.pop_front();
        }
        released.through = match retired.front() {
            Some(waiting) => Sequence(waiting.sequence.0.saturating_sub(1)).min(newest),
            None => newest,
        };
        released
    }

    /// Returns the slots that the newest or an older view shows: what indexes must not drop.
    pub(super) fn shown(&self) -> SlotSet {
        let retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let mut shown = self.current().live.clone();
        for run in retired.iter().flat_map(|retired| &retired.runs) {
            shown.insert_range(run.slots());
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(sequence: u64, live: std::ops::Range<u32>) -> View {
        View { sequence: Sequence(sequence), live: live.collect(), ..View::default() }
    }

    #[test]
    fn a_slot_is_released_only_when_the_last_view_of_it_is_gone() {
        let views = Views::new(view(1, 0..10));
        let oldest = views.current();
        let run = |first, count| Run { first, count };
        views.publish(view(2, 2..10), vec![run(0, 2)]);
        let newer = views.current();
        views.publish(view(3, 4..10), vec![run(2, 2)]);

        assert_eq!(views.release(10), Released { runs: vec![], through: Sequence(1) });
        assert_eq!(views.shown(), (0..10).collect());
        drop(newer);
        assert_eq!(views.release(10).runs, [], "an older view still shows both");
        drop(oldest);
        let released = views.release(10);
        assert_eq!(released.runs, [run(0, 2), run(2, 2)]);
        assert_eq!(released.through, Sequence(3));
        assert_eq!(views.shown(), (4..10).collect());
    }

    #[test]
    fn a_slot_belongs_to_the_nearest_start_before_it() {
        let view = View { starts: [0, 3, 9].into_iter().collect(), ..View::default() };
        for (slot, start) in [(0, 0), (2, 0), (3, 3), (8, 3), (9, 9), (70, 9)] {
            assert_eq!(view.start_of(Slot(slot)), Slot(start));
        }
    }
}
