use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use crate::{batch::Batch, error::StorageError};

/// How much one leader writes for others, in bytes: what bounds the wait of the last of them.
const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Lets callers that commit at the same time share one write and one barrier.
///
/// Who finds nobody writing leads: it takes the batches that wait, its own among them, writes them
/// as one, and tells each owner how it went. The others wait, and the next group grows meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Group {
    state: Mutex<State>,
    turned: Condvar,
}

#[derive(Debug, Default)]
struct State {
    next_ticket: u64,
    waiting: VecDeque<(u64, Batch)>,
    leading: bool,
    outcomes: BTreeMap<u64, Result<(), StorageError>>,
}

impl Group {
    /// Returns how the write of the batch went. `write` must not panic: the group would wait for
    /// ever.
    pub(crate) fn commit(
        &self,
        batch: Batch,
        write: impl Fn(&Batch) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let mut state = self.lock();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting.push_back((ticket, batch));
        loop {
            if let Some(outcome) = state.outcomes.remove(&ticket) {
                return outcome;
            }
            if state.leading {
                state = self.turned.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.leading = true;
            let (tickets, batch) = state.take_group();
            drop(state);
            let outcome = write(&batch);
            state = self.lock();
            state.leading = false;
            state.outcomes.extend(tickets.into_iter().map(|ticket| (ticket, outcome.clone())));
            self.turned.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes the oldest batches up to the limit, and at least one if there is one.
    fn take_group(&mut self) -> (Vec<u64>, Batch) {
        let mut tickets = Vec::new();
        let mut group = Batch::new();
        while let Some((ticket, batch)) = self.waiting.pop_front() {
            if !tickets.is_empty() && group.bytes() + batch.bytes() > GROUP_BYTES_MAX {
                self.waiting.push_front((ticket, batch));
                break;
            }
            tickets.push(ticket);
            group.join(batch);
        }
        (tickets, group)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
    };

    use super::*;

    fn batch(key: u8, bytes: usize) -> Batch {
        let mut batch = Batch::new();
        batch.set(vec![key], Some(vec![0; bytes]));
        batch
    }

    #[test]
    fn those_that_come_while_one_writes_are_written_together() {
        let group = Group::default();
        let writes = AtomicUsize::new(0);
        let write = |batch: &Batch| {
            if writes.fetch_add(1, Ordering::SeqCst) == 0 {
                while group.lock().waiting.len() < 8 {
                    thread::yield_now();
                }
            } else {
                assert_eq!(batch.len(), 8);
            }
            Ok(())
        };
        thread::scope(|scope| {
            scope.spawn(|| group.commit(batch(0, 1), write).unwrap());
            // The others come only when the first writes.
            while writes.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            for key in 1..=8 {
                let (group, write) = (&group, &write);
                scope.spawn(move || group.commit(batch(key, 1), write).unwrap());
            }
        });
        assert_eq!(writes.load(Ordering::SeqCst), 2);
        assert!(group.lock().outcomes.is_empty() && group.lock().waiting.is_empty());
    }

    #[test]
    fn each_of_a_group_hears_that_it_failed() {
        let group = Group::default();
        let failed = || StorageError::BatchTooLarge { bytes: 0 };
        thread::scope(|scope| {
            for key in 0..4 {
                let group = &group;
                scope.spawn(move || {
                    assert!(group.commit(batch(key, 1), |_| Err(failed())).is_err());
                });
            }
        });
    }

    #[test]
    fn a_group_is_bounded_but_takes_any_one_batch() {
        let mut state = State::default();
        for (ticket, bytes) in
            [(0, 2 * GROUP_BYTES_MAX), (1, GROUP_BYTES_MAX / 2), (2, 1), (3, GROUP_BYTES_MAX)]
        {
            state.waiting.push_back((ticket, batch(0, bytes)));
        }
        let groups: Vec<Vec<u64>> = (0..3).map(|_| state.take_group().0).collect();
        assert_eq!(groups, [vec![0], vec![1, 2], vec![3]]);
    }
}
