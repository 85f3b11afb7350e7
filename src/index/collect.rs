use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::document::Slot;
use crate::vector::Score;

/// Keeps the best of what it is offered: higher scores first, lower slots first among equals.
#[derive(Debug)]
pub(super) struct Best {
    limit: usize,
    is_repeating: bool,
    heap: BinaryHeap<Reverse<(Score, Reverse<Slot>)>>,
}

impl Best {
    /// Returns a collector of at most `limit` slots.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, is_repeating: false, heap: BinaryHeap::with_capacity(limit.min(1_024)) }
    }

    /// Keeps the slot if it is among the best so far.
    pub(super) fn offer(&mut self, slot: Slot, score: Score) {
        let entry = Reverse((score, Reverse(slot)));
        if self.is_repeating && self.heap.iter().any(|kept| kept.0.1 == Reverse(slot)) {
            return;
        }
        if self.heap.len() < self.limit {
            self.heap.push(entry);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && entry < *worst
        {
            *worst = entry;
        }
    }

    /// Says whether slots may be offered again from now on.
    pub(super) fn expect_repeats(&mut self, is_repeating: bool) {
        self.is_repeating = is_repeating;
    }

    /// Returns the score that a slot has to beat, once `limit` are kept.
    pub(super) fn threshold(&self) -> Option<Score> {
        (self.heap.len() >= self.limit)
            .then(|| self.heap.peek().map(|Reverse((score, _))| *score))
            .flatten()
    }

    /// Returns what was kept, best first.
    pub(super) fn into_sorted(self) -> Vec<(Slot, Score)> {
        self.heap
            .into_sorted_vec()
            .into_iter()
            .map(|Reverse((score, Reverse(slot)))| (slot, score))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_kept_in_order_and_ties_go_to_the_lower_slot() {
        let mut best = Best::new(3);
        assert_eq!(best.threshold(), None);
        for (slot, score) in [(5, 0.5), (9, 0.9), (4, 0.5), (1, 0.1), (3, 0.5)] {
            best.offer(Slot(slot), Score(score));
        }
        assert_eq!(best.threshold(), Some(Score(0.5)));
        let expected =
            [(9, 0.9), (3, 0.5), (4, 0.5)].map(|(slot, score)| (Slot(slot), Score(score)));
        assert_eq!(best.into_sorted(), expected);
    }

    #[test]
    fn a_slot_that_is_offered_again_is_kept_once() {
        let mut best = Best::new(3);
        best.offer(Slot(1), Score(0.1));
        best.expect_repeats(true);
        for (slot, score) in [(1, 0.1), (2, 0.2), (2, 0.2)] {
            best.offer(Slot(slot), Score(score));
        }
        assert_eq!(best.into_sorted(), [(Slot(2), Score(0.2)), (Slot(1), Score(0.1))]);
    }

    #[test]
    fn nothing_is_kept_when_nothing_is_asked_for() {
        let mut best = Best::new(0);
        best.offer(Slot(1), Score(1.0));
        assert!(best.into_sorted().is_empty());
    }
}
