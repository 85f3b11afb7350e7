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
            group.append(batch);
        }
        (tickets, group)
    }
}
