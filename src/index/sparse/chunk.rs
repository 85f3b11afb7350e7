use crate::cancel::{Cancellation, Interrupted};
use crate::document::{Slot, SlotSet};
use crate::index::collect::Best;
use crate::vector::{Score, SparseVector};

/// How many vectors are scored side by side; their sums fit the first cache. A power of two.
const WINDOW: usize = 2_048;
/// How many sums are compared with the threshold at once.
const BLOCK: usize = 16;
/// The sum of a slot that no list was read for. Only adding to it changes it, and no sum becomes it: a product
/// of weights that are not 0 is not 0 in double precision, and what cancels out is the other zero.
const UNTOUCHED: f64 = -0.0;
/// Looking a slot up in a list costs about as much as reading this many of its entries: in a whole list, and in what
/// a window has of it.
const LOOKUP_COST: u64 = 64;
const LOOKUP_COST_IN_WINDOW: usize = 16;
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
    /// By place in the window; [`UNTOUCHED`] between windows.
    sums: Box<[f64; WINDOW]>,
    /// For so many windows no list is left unread, since that did not pay.
    waits: usize,
    /// For how many windows the next time that it does not.
    waits_next: usize,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { sums: Box::new([UNTOUCHED; WINDOW]), waits: 0, waits_next: 1 }
    }
}

impl Scratch {
    /// Makes ready for another query.
    pub(super) fn begin(&mut self) {
        (self.waits, self.waits_next) = (0, 1);
    }

    /// Says whether lists may be left unread in this window where their bounds allow it.
    fn may_leave_unread(&mut self) -> bool {
        let may = self.waits == 0;
        self.waits = self.waits.saturating_sub(1);
        may
    }

    /// Learns whether leaving lists unread paid. Each time that it did not it is tried half as often.
    fn note(&mut self, has_paid: bool) {
        if has_paid {
            self.waits_next = 1;
        } else {
            self.waits = self.waits_next;
            self.waits_next = self.waits_next.saturating_mul(2);
        }
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
        if matches.saturating_mul(cursors.len() as u64 * LOOKUP_COST) < entries {
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
    /// not read for slots that stand in no other list (Turtle and Flood 1995, `MaxScore`), unless so many slots come
    /// near the threshold that looking them up in those lists is dearer than reading them.
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
            cursor.advance(end);
        }
        let unread = read(cursors, best.threshold(), scratch);
        for (first, block) in (start..end).step_by(BLOCK).zip(scratch.sums.chunks_mut(BLOCK)) {
            let least =
                best.threshold().map_or(f64::NEG_INFINITY, |score| least_sum(score, unread));
            if block.iter().fold(false, |is_reached, &sum| is_reached | (sum >= least)) {
                self.offer(first, block, unread, cursors, allowed, best);
            }
            block.fill(UNTOUCHED);
        }
    }

    /// Offers those slots of a block whose sums may reach the threshold.
    fn offer(
        &self,
        first: usize,
        sums: &[f64],
        unread: Option<f64>,
        cursors: &[Cursor<'_>],
        allowed: &SlotSet,
        best: &mut Best,
    ) {
        for (place, &sum) in (first..self.slots.len()).zip(sums) {
            if sum.to_bits() == UNTOUCHED.to_bits() {
                continue;
            }
            let bound = narrow(unread.map_or(sum, |unread| sum + slack(sum, unread)));
            if best.threshold().is_some_and(|threshold| bound < threshold) {
                continue;
            }
            let slot = self.slots[place];
            if allowed.contains(slot) {
                let sum = unread.map_or(sum, |_| whole_sum(cursors, place));
                best.offer(Slot(slot), narrow(sum));
            }
        }
    }
}

impl Cursor<'_> {
    /// Goes on to the entries of the places before `end`.
    fn advance(&mut self, end: usize) {
        // Lists are about as dense everywhere.
        let mut step = (self.to - self.from).max(8);
        self.from = self.to;
        let is_before = |&place: &u32| (place as usize) < end;
        let mut low = self.from;
        while self.places.get(low + step).is_some_and(is_before) {
            low += step;
            step *= 2;
        }
        let high = (low + step).min(self.places.len());
        self.to = low + self.places[low..high].partition_point(is_before);
    }

    /// Adds the entries of the window to the sums.
    fn add_to(&self, sums: &mut [f64; WINDOW]) {
        let entries = self.from..self.to;
        let weights = &self.weights[entries.clone()];
        for (&place, &weight) in self.places[entries].iter().zip(weights) {
            // Windows begin at multiples of their length.
            sums[place as usize % WINDOW] += self.weight * f64::from(weight);
        }
    }
}

/// Adds up the window of the lists that have to be read. Returns the most that the others add together; none
/// where all are read.
fn read(cursors: &[Cursor<'_>], threshold: Option<Score>, scratch: &mut Scratch) -> Option<f64> {
    if let Some(threshold) = threshold.filter(|_| scratch.may_leave_unread()) {
        let (is_read, unread) = choose(cursors, threshold);
        let mut left = 0;
        for (cursor, is_read) in cursors.iter().zip(is_read) {
            if is_read {
                cursor.add_to(&mut scratch.sums);
            } else {
                left += cursor.to - cursor.from;
            }
        }
        if left == 0 {
            return None;
        }
        let least = least_sum(threshold, Some(unread));
        let near = scratch.sums.iter().filter(|&&sum| sum >= least).count();
        let is_cheaper = near * cursors.len() * LOOKUP_COST_IN_WINDOW <= left;
        scratch.note(is_cheaper);
        if is_cheaper {
            return Some(unread);
        }
        // Sums in another order than that of the indices may differ in their last digits.
        scratch.sums.fill(UNTOUCHED);
    }
    for cursor in cursors {
        cursor.add_to(&mut scratch.sums);
    }
    None
}

/// Returns which lists have to be read, and the most that the others add together.
fn choose(cursors: &[Cursor<'_>], threshold: Score) -> (Vec<bool>, f64) {
    let mut is_read = vec![true; cursors.len()];
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

/// Returns what a sum has to be at least to reach the score with what unread lists add, or a little less.
fn least_sum(score: Score, unread: Option<f64>) -> f64 {
    let least = f64::from(score.0.next_down());
    let rounding = |unread| (least.abs() + unread) * (100.0 * (SLACK - 1.0));
    unread.map_or(least, |unread| least - unread - rounding(unread))
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
