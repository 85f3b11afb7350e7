use crate::cancel::{Cancellation, Interrupted};
use crate::document::{Slot, SlotSet};
use crate::index::collect::Best;
use crate::vector::{Score, SparseVector};

/// How many vectors are scored side by side; their scores fit the first cache.
const WINDOW: usize = 4_096;
/// Looking a slot up in a list costs about as much as reading this many of its entries.
const LOOKUP_COST: usize = 16;
/// Bounds are sums that were rounded; no score exceeds its bound by more than this share.
const SLACK: f64 = 1.0 + 1e-9;

/// Sparse vectors turned around: for each index, which of them hold it. Never changes.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// Ascending; lists name a slot by its place here.
    slots: Vec<u32>,
    set: SlotSet,
    /// Ascending.
    indices: Vec<u32>,
    /// Where the list of each index begins in `places` and `weights`, and the end of the last one.
    starts: Vec<usize>,
    places: Vec<u32>,
    weights: Vec<f32>,
    /// The least and the greatest weight of each list.
    extremes: Vec<(f32, f32)>,
}

/// The list of one index of a query, and how far it was read.
struct Cursor<'c> {
    weight: f64,
    places: &'c [u32],
    weights: &'c [f32],
    /// The most that the list adds to a score; at least nothing, since a slot may not be in it.
    bound: f64,
    /// The entries of the present window.
    from: usize,
    to: usize,
}

/// Working space of a search.
#[derive(Debug)]
pub(super) struct Scratch {
    sums: Vec<f64>,
    touched: Vec<u64>,
    /// Whether lists are left unread where their bounds allow it.
    leaves_unread: bool,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { sums: vec![0.0; WINDOW], touched: vec![0; WINDOW / 64], leaves_unread: true }
    }
}

impl Scratch {
    /// Makes ready for another query.
    pub(super) fn begin(&mut self) {
        self.leaves_unread = true;
    }
}

impl Chunk {
    /// Returns the chunk of these vectors, whose slots are distinct.
    pub(super) fn build<'v>(rows: impl IntoIterator<Item = (Slot, &'v SparseVector)>) -> Self {
        let mut rows: Vec<(Slot, &SparseVector)> = rows.into_iter().collect();
        rows.sort_unstable_by_key(|&(slot, _)| slot);
        let mut entries = Vec::new();
        for (place, (_, vector)) in (0..).zip(&rows) {
            let nonzero = vector.indices().iter().zip(vector.values());
            let nonzero = nonzero.filter(|&(_, &weight)| weight != 0.0);
            entries.extend(nonzero.map(|(&index, &weight)| (index, place, weight)));
        }
        entries.sort_unstable_by_key(|&(index, place, _): &(u32, u32, f32)| (index, place));
        let mut chunk = Self {
            slots: rows.iter().map(|(slot, _)| slot.0).collect(),
            set: rows.iter().map(|(slot, _)| slot.0).collect(),
            places: Vec::with_capacity(entries.len()),
            weights: Vec::with_capacity(entries.len()),
            ..Self::default()
        };
        for list in entries.chunk_by(|a, b| a.0 == b.0) {
            chunk.indices.push(list[0].0);
            chunk.starts.push(chunk.places.len());
            let (mut least, mut greatest) = (f32::INFINITY, f32::NEG_INFINITY);
            for &(_, place, weight) in list {
                chunk.places.push(place);
                chunk.weights.push(weight);
                (least, greatest) = (least.min(weight), greatest.max(weight));
            }
            chunk.extremes.push((least, greatest));
        }
        chunk.starts.push(chunk.places.len());
        chunk
    }

    /// Returns the slots.
    pub(super) fn slots(&self) -> &SlotSet {
        &self.set
    }

    /// Returns how many entries the lists have.
    pub(super) fn entries(&self) -> usize {
        self.places.len()
    }

    /// Returns how many bytes of memory the chunk takes.
    pub(super) fn bytes(&self) -> usize {
        4 * (self.slots.len() + self.indices.len() + self.places.len() + self.weights.len())
            + 8 * (self.starts.len() + self.extremes.len())
            + self.set.serialized_size()
    }

    /// Returns the vectors as they were given, but for entries of weight 0, in the order of slots.
    pub(super) fn rows(&self) -> Vec<(Slot, SparseVector)> {
        let mut entries = vec![(Vec::new(), Vec::new()); self.slots.len()];
        for (number, &index) in self.indices.iter().enumerate() {
            for at in self.starts[number]..self.starts[number + 1] {
                let (indices, values) = &mut entries[self.places[at] as usize];
                indices.push(index);
                values.push(self.weights[at]);
            }
        }
        let vector = |(slot, (indices, values)): (&u32, (Vec<u32>, Vec<f32>))| {
            // They were entries of a vector, and come back in the order of their indices.
            (Slot(*slot), SparseVector::new(indices, values).unwrap_or_default())
        };
        self.slots.iter().zip(entries).map(vector).collect()
    }

    /// Offers the allowed slots that share an index with the query.
    pub(super) fn search(
        &self,
        query: &SparseVector,
        allowed: &SlotSet,
        best: &mut Best,
        scratch: &mut Scratch,
        cancel: &Cancellation,
    ) -> Result<(), Interrupted> {
        cancel.check()?;
        let mut cursors = self.cursors(query);
        let entries: u64 = cursors.iter().map(|cursor| cursor.places.len() as u64).sum();
        let matches = self.set.intersection_len(allowed);
        if entries == 0 || matches == 0 {
            return Ok(());
        }
        if matches.saturating_mul((cursors.len() * LOOKUP_COST) as u64) < entries {
            self.look_up(&mut cursors, allowed, best);
            return Ok(());
        }
        for start in (0..self.slots.len()).step_by(WINDOW) {
            cancel.check()?;
            self.search_window(start, &mut cursors, allowed, best, scratch);
        }
        Ok(())
    }

    fn cursors(&self, query: &SparseVector) -> Vec<Cursor<'_>> {
        let mut cursors = Vec::with_capacity(query.indices().len());
        let entries = query.indices().iter().zip(query.values());
        for (&index, &weight) in entries.filter(|&(_, &weight)| weight != 0.0) {
            let Ok(number) = self.indices.binary_search(&index) else { continue };
            let list = self.starts[number]..self.starts[number + 1];
            let (least, greatest) = self.extremes[number];
            let weight = f64::from(weight);
            let bound = (weight * f64::from(least)).max(weight * f64::from(greatest)).max(0.0);
            cursors.push(Cursor {
                weight,
                places: &self.places[list.clone()],
                weights: &self.weights[list],
                bound,
                from: 0,
                to: 0,
            });
        }
        cursors
    }

    /// Scores each allowed slot by itself, where they are few.
    fn look_up(&self, cursors: &mut [Cursor<'_>], allowed: &SlotSet, best: &mut Best) {
        for slot in allowed & &self.set {
            let Ok(place) = self.slots.binary_search(&slot) else { continue };
            let place = u32::try_from(place).unwrap_or(u32::MAX);
            let (mut sum, mut is_found) = (0.0, false);
            for cursor in cursors.iter_mut() {
                let rest = &cursor.places[cursor.from..];
                cursor.from += rest.partition_point(|&other| other < place);
                if cursor.places.get(cursor.from) == Some(&place) {
                    sum += cursor.weight * f64::from(cursor.weights[cursor.from]);
                    is_found = true;
                }
            }
            if is_found {
                best.offer(Slot(slot), narrow(sum));
            }
        }
    }

    /// Scores the slots of one window. Lists that together cannot lift a slot to the threshold are
    /// not read for slots that stand in no other list (Turtle and Flood 1995, `MaxScore`). Where so many slots
    /// came near the threshold that looking them up in all lists was dearer than reading these, all lists
    /// are read from the next window on.
    fn search_window(
        &self,
        start: usize,
        cursors: &mut [Cursor<'_>],
        allowed: &SlotSet,
        best: &mut Best,
        scratch: &mut Scratch,
    ) {
        let end = (start + WINDOW).min(self.slots.len());
        for cursor in cursors.iter_mut() {
            cursor.from = cursor.to;
            let rest = &cursor.places[cursor.from..];
            cursor.to += rest.partition_point(|&place| (place as usize) < end);
        }
        let threshold = best.threshold().filter(|_| scratch.leaves_unread);
        let (is_read, unread) = choose(cursors, threshold);
        for (cursor, _) in cursors.iter().zip(&is_read).filter(|(_, is_read)| **is_read) {
            for at in cursor.from..cursor.to {
                let offset = cursor.places[at] as usize - start;
                scratch.sums[offset] += cursor.weight * f64::from(cursor.weights[at]);
                scratch.touched[offset / 64] |= 1 << (offset % 64);
            }
        }
        let is_whole = unread == 0.0 && is_read.iter().all(|&is_read| is_read);
        let mut looked_up = 0;
        for group in 0..scratch.touched.len() {
            let mut touched = std::mem::take(&mut scratch.touched[group]);
            while touched != 0 {
                let offset = group * 64 + touched.trailing_zeros() as usize;
                touched &= touched - 1;
                let sum = std::mem::take(&mut scratch.sums[offset]);
                let bound = narrow(if is_whole { sum } else { sum + slack(sum, unread) });
                if best.threshold().is_some_and(|threshold| bound < threshold) {
                    continue;
                }
                let place = start + offset;
                let slot = self.slots[place];
                if allowed.contains(slot) {
                    looked_up += usize::from(!is_whole);
                    let sum = if is_whole { sum } else { whole_sum(cursors, place) };
                    best.offer(Slot(slot), narrow(sum));
                }
            }
        }
        let entries: usize = cursors.iter().map(|cursor| cursor.to - cursor.from).sum();
        if looked_up * cursors.len() * LOOKUP_COST > entries {
            scratch.leaves_unread = false;
        }
    }
}

/// Returns which lists have to be read, and the most that the others add together.
fn choose(cursors: &[Cursor<'_>], threshold: Option<Score>) -> (Vec<bool>, f64) {
    let mut is_read = vec![true; cursors.len()];
    let Some(threshold) = threshold else { return (is_read, 0.0) };
    let mut order: Vec<usize> = (0..cursors.len()).collect();
    order.sort_by(|&a, &b| cursors[a].bound.total_cmp(&cursors[b].bound));
    let mut unread = 0.0;
    for number in order {
        let with = unread + cursors[number].bound;
        if narrow(with * SLACK) >= threshold {
            break;
        }
        is_read[number] = false;
        unread = with;
    }
    (is_read, unread)
}

/// What unread lists may add to a sum, and what rounding may have taken from it.
fn slack(sum: f64, unread: f64) -> f64 {
    unread * SLACK + (sum.abs() + unread) * (SLACK - 1.0)
}

/// The sum over all lists in the order of their indices, which is how vectors are compared.
fn whole_sum(cursors: &[Cursor<'_>], place: usize) -> f64 {
    let mut sum = 0.0;
    for cursor in cursors {
        let places = &cursor.places[cursor.from..cursor.to];
        let at = places.partition_point(|&other| (other as usize) < place);
        if places.get(at).is_some_and(|&other| other as usize == place) {
            sum += cursor.weight * f64::from(cursor.weights[cursor.from + at]);
        }
    }
    sum
}

fn narrow(sum: f64) -> Score {
    #[expect(clippy::cast_possible_truncation, reason = "a score is single precision")]
    let score = sum as f32;
    Score(score)
}
