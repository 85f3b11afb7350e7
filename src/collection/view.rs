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
    /// Taken before `current`.
    retired: Mutex<VecDeque<Retired>>,
}

/// A view that is no longer the newest, with the slots that were visible up to it.
#[derive(Debug)]
struct Retired {
    last_shown_by: Weak<View>,
    /// The first mutation after that view.
    sequence: Sequence,
    /// None where the next view shows them all.
    runs: Vec<Run>,
}

/// Slots that no view shows any more.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Released {
    /// The slots.
    pub(super) runs: Vec<Run>,
}

impl View {
    /// Returns the first slot of the version that the slot belongs to.
    pub(super) fn start_of(&self, slot: Slot) -> Slot {
        Slot(self.starts.range(..=slot.0).next_back().unwrap_or(slot.0))
    }

    /// Returns the visible slots of the versions that these slots belong to.
    pub(super) fn whole(&self, slots: &SlotSet) -> SlotSet {
        let mut whole = SlotSet::new();
        for slot in slots {
            if whole.contains(slot) {
                continue;
            }
            let start = self.start_of(Slot(slot)).0;
            let behind = self.starts.range(start.saturating_add(1)..).next();
            whole.extend(self.live.range(start..behind.unwrap_or(u32::MAX)));
        }
        whole
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
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *current, Arc::new(view));
        drop(current);
        // A view that shows all that the next one does stays in the row, too: what later views remove is
        // not released before it is gone.
        let last_shown_by = Arc::downgrade(&before);
        // One view may show several mutations, any of which may have removed them.
        let sequence = Sequence(before.sequence.0 + 1);
        retired.push_back(Retired { last_shown_by, sequence, runs: removed });
        drop(before);
        prune(&mut retired);
    }

    /// Returns slots that no view shows any more, about `slots_max` of them. They are returned again
    /// until they are forgotten.
    pub(super) fn released(&self, slots_max: u64) -> Released {
        let retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let mut released = Released::default();
        let mut slots = 0;
        for oldest in &*retired {
            if oldest.last_shown_by.strong_count() > 0 {
                return released;
            }
            for run in &oldest.runs {
                if slots >= slots_max {
                    return released;
                }
                slots += u64::from(run.count);
                released.runs.push(*run);
            }
        }
        released
    }

    /// Forgets what [`Self::released`] returned: its rows are gone.
    pub(super) fn forget(&self, released: &Released) {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count = released.runs.len();
        while count > 0
            && let Some(oldest) = retired.front_mut()
        {
            let forgotten = count.min(oldest.runs.len());
            oldest.runs.drain(..forgotten);
            count -= forgotten;
            if oldest.runs.is_empty() {
                retired.pop_front();
            }
        }
    }

    /// Returns the mutation up to which the rows of all that was removed are gone.
    pub(super) fn cleared(&self) -> Sequence {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        prune(&mut retired);
        match retired.front() {
            Some(waiting) => Sequence(waiting.sequence.0.saturating_sub(1)),
            None => self.current().sequence,
        }
    }

    /// Adds slots that no view shows and whose rows are still there, as a removal by this mutation.
    pub(super) fn retire(&self, sequence: Sequence, runs: Vec<Run>) {
        if !runs.is_empty() {
            let retired = Retired { last_shown_by: Weak::new(), sequence, runs };
            self.retired.lock().unwrap_or_else(PoisonError::into_inner).push_back(retired);
        }
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

/// Takes away what is gone and released nothing.
fn prune(retired: &mut VecDeque<Retired>) {
    while retired
        .front()
        .is_some_and(|oldest| oldest.runs.is_empty() && oldest.last_shown_by.strong_count() == 0)
    {
        retired.pop_front();
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

        assert_eq!(views.released(10), Released { runs: vec![] });
        assert_eq!(views.cleared(), Sequence(1));
        assert_eq!(views.shown(), (0..10).collect());
        drop(newer);
        assert_eq!(views.released(10).runs, [], "an older view still shows both");
        drop(oldest);
        let first = Released { runs: vec![run(0, 2)] };
        assert_eq!(views.released(1), first);
        let all = Released { runs: vec![run(0, 2), run(2, 2)] };
        assert_eq!(views.released(10), all);
        views.forget(&first);
        assert_eq!((views.cleared(), views.shown()), (Sequence(2), (2..10).collect()));
        views.forget(&views.released(10));
        assert_eq!((views.cleared(), views.shown()), (Sequence(3), (4..10).collect()));
    }

    #[test]
    fn a_view_keeps_what_it_shows_across_mutations_that_remove_nothing() {
        let views = Views::new(view(1, 0..4));
        let oldest = views.current();
        views.publish(view(2, 0..6), vec![]);
        let run = Run { first: 0, count: 2 };
        views.publish(view(3, 2..6), vec![run]);
        assert_eq!(views.released(10).runs, [], "the view before the insertion shows them still");
        assert_eq!(views.cleared(), Sequence(1));
        drop(oldest);
        assert_eq!((views.released(10).runs, views.cleared()), (vec![run], Sequence(2)));
        views.forget(&Released { runs: vec![run] });
        assert_eq!(views.cleared(), Sequence(3));
        assert_eq!(views.retired.lock().unwrap().len(), 0, "nothing is kept of what is gone");
    }

    #[test]
    fn a_slot_belongs_to_the_nearest_start_before_it() {
        let view = View { starts: [0, 3, 9].into_iter().collect(), ..View::default() };
        for (slot, start) in [(0, 0), (2, 0), (3, 3), (8, 3), (9, 9), (70, 9)] {
            assert_eq!(view.start_of(Slot(slot)), Slot(start));
        }
    }

    #[test]
    fn all_parts_of_the_documents_of_some_slots_are_found() {
        let live = [0, 1, 2, 3, 4, 9, 10].into_iter().collect();
        let view = View { live, starts: [0, 3, 9].into_iter().collect(), ..View::default() };
        let whole = |slots: &[u32]| -> Vec<u32> {
            view.whole(&slots.iter().copied().collect()).iter().collect()
        };
        assert_eq!(whole(&[1]), [0, 1, 2]);
        assert_eq!(whole(&[4, 9]), [3, 4, 9, 10]);
        assert_eq!(whole(&[]), [] as [u32; 0]);
    }
}
