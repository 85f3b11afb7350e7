use std::sync::Arc;

use super::collect::Best;
use crate::cancel::{Cancellation, Interrupted};
use crate::document::{Slot, SlotSet};
use crate::vector::Metric;

/// Vectors of a chunk: what a writer copies at most when a reader holds the newest chunk.
const CHUNK_ROWS: usize = 256;

/// The newest vectors, in order of arrival. Cloning is cheap and gives a snapshot.
#[derive(Debug, Clone, Default)]
pub(super) struct Head {
    chunks: Arc<Vec<Arc<Chunk>>>,
}

#[derive(Debug, Clone, Default)]
struct Chunk {
    slots: Vec<Slot>,
    /// A row of `dimension` components for each slot.
    vectors: Vec<f32>,
    is_closed: bool,
}

impl Head {
    /// Appends a vector.
    pub(super) fn push(&mut self, slot: Slot, vector: &[f32]) {
        let chunks = Arc::make_mut(&mut self.chunks);
        if chunks.last().is_none_or(|chunk| chunk.is_closed || chunk.slots.len() >= CHUNK_ROWS) {
            chunks.push(Arc::new(Chunk::default()));
        }
        if let Some(chunk) = chunks.last_mut() {
            let chunk = Arc::make_mut(chunk);
            if chunk.slots.is_empty() {
                chunk.vectors.reserve_exact(CHUNK_ROWS * vector.len());
            }
            chunk.slots.push(slot);
            chunk.vectors.extend_from_slice(vector);
        }
    }

    /// Ends the newest chunk, so that what comes later begins another, and returns what is there
    /// now.
    pub(super) fn close(&mut self) -> Self {
        if let Some(chunk) = Arc::make_mut(&mut self.chunks).last_mut() {
            Arc::make_mut(chunk).is_closed = true;
        }
        self.clone()
    }

    /// Removes what [`Self::close`] returned.
    pub(super) fn remove_front(&mut self, closed: &Self) {
        let count = closed.chunks.len().min(self.chunks.len());
        Arc::make_mut(&mut self.chunks).drain(..count);
    }

    /// Returns how many vectors there are.
    pub(super) fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.slots.len()).sum()
    }

    /// Returns how many bytes of memory the vectors and slots take.
    pub(super) fn bytes(&self) -> usize {
        self.chunks
            .iter()
            .map(|chunk| chunk.slots.capacity() * 4 + chunk.vectors.capacity() * 4)
            .sum()
    }

    /// Returns each slot with its vector, in order of arrival.
    pub(super) fn rows(&self, dimension: usize) -> impl Iterator<Item = (Slot, &[f32])> {
        self.chunks.iter().flat_map(move |chunk| {
            chunk.slots.iter().copied().zip(chunk.vectors.chunks_exact(dimension))
        })
    }

    /// Offers every allowed slot.
    pub(super) fn scan(
        &self,
        metric: Metric,
        query: &[f32],
        allowed: &SlotSet,
        best: &mut Best,
        cancel: &Cancellation,
    ) -> Result<(), Interrupted> {
        for chunk in self.chunks.iter() {
            cancel.check()?;
            for (&slot, vector) in chunk.slots.iter().zip(chunk.vectors.chunks_exact(query.len())) {
                if allowed.contains(slot.0) {
                    best.offer(slot, metric.score(query, vector));
                }
            }
        }
        Ok(())
    }
}
