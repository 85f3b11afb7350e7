use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Near;

/// The nearest of each point that were found so far. Threads add to them side by side; what is there
/// in the end does not depend on who came first, since of equal distances the lower row is nearer.
pub(super) struct Lists {
    width: usize,
    lists: Vec<Mutex<Vec<Entry>>>,
    /// The squared distance beyond which nothing comes into a list, as bits: those of numbers that
    /// are not negative have the order of the numbers.
    farthest: Vec<AtomicU32>,
}

/// A neighbour, and whether its own neighbours were not compared with it yet.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) near: Near,
    pub(super) is_new: bool,
}

impl Lists {
    /// Returns `count` empty lists of `width`.
    pub(super) fn new(count: usize, width: usize) -> Self {
        let lists = (0..count).map(|_| Mutex::new(Vec::with_capacity(width))).collect();
        let farthest = (0..count).map(|_| AtomicU32::new(f32::INFINITY.to_bits())).collect();
        Self { width, lists, farthest }
    }

    /// Returns how many lists there are.
    pub(super) fn count(&self) -> usize {
        self.lists.len()
    }

    /// Returns how many neighbours a list has at most.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Returns whether something at this squared distance may come into a list.
    #[inline]
    pub(super) fn takes(&self, row: u32, squared: f32) -> bool {
        squared.to_bits() <= self.farthest[row as usize].load(Ordering::Relaxed)
    }

    /// Puts what is near enough into the list of a row, by squared distances.
    pub(super) fn offer(&self, row: u32, found: impl IntoIterator<Item = Near>) {
        let mut list = self.lock(row as usize);
        for near in found {
            let is_full = list.len() == self.width;
            if is_full && list.last().is_some_and(|last| last.near <= near) {
                continue;
            }
            if let Err(place) = list.binary_search_by(|entry| entry.near.cmp(&near)) {
                if is_full {
                    list.pop();
                }
                list.insert(place, Entry { near, is_new: true });
            }
        }
        if let Some(last) = list.last().filter(|_| list.len() == self.width) {
            self.farthest[row as usize].store(last.near.distance.to_bits(), Ordering::Relaxed);
        }
    }

    /// Looks at the list of a row, or changes what is new in it.
    pub(super) fn with<R>(&self, row: usize, look: impl FnOnce(&mut [Entry]) -> R) -> R {
        look(&mut self.lock(row))
    }

    fn lock(&self, row: usize) -> MutexGuard<'_, Vec<Entry>> {
        self.lists[row].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
