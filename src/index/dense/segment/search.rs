use std::borrow::Cow;

use super::super::collect::Best;
use super::super::detours::Detours;
use super::super::form::{length_of, search_keys};
use super::super::plan::{BITS_BREADTH, SearchPlan, search_again, search_plan, widened};
use super::super::space::{
    BitQuery, BitSpace, CodeQuery, CodeSpace, FloatQuery, FloatSpace, Space,
};
use super::super::walk::{
    Candidate, Nodes, Room, Scratch, descend, enter, walk, walk_around, walk_matching,
};
use super::super::{DenseError, LeftOut, SearchOptions};
use super::Segment;
use super::format::RowForm;
use crate::cancel::Cancellation;
use crate::document::{Slot, SlotSet};
use crate::vector::kernel::{self, Rows};
use crate::vector::{Metric, Score};

/// What is asked of every segment.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Request<'a> {
    pub(in super::super) query: &'a [f32],
    pub(in super::super) allowed: &'a SlotSet,
    /// What walks go around.
    pub(in super::super) without: Option<&'a LeftOut>,
    /// Which share of the whole index is allowed, where that is most of it.
    pub(in super::super) share: Option<f64>,
    pub(in super::super) options: SearchOptions,
    pub(in super::super) cancel: &'a Cancellation,
}

/// Working space of a search, kept from one to the next.
#[derive(Debug, Default)]
pub(in super::super) struct Searcher {
    codes: CodeQuery,
    bits: BitQuery,
    floats: FloatQuery,
    centred: Vec<f32>,
    projected: Vec<f32>,
    work: Work,
}

#[derive(Debug, Default)]
struct Work {
    scratch: Scratch,
    matching: Nodes,
    entries: Vec<u32>,
    candidates: Vec<Candidate>,
    nodes: Vec<u32>,
    slots: Vec<u32>,
    keys: Vec<f32>,
    sorted: Vec<f32>,
}

/// What turns keys into exact ones, as far as that is known.
#[derive(Debug, Clone, Copy)]
struct Estimate {
    /// What is added to a key.
    offset: f32,
    /// How far a key is from the exact one: a standard deviation.
    error: f32,
}

/// How many standard deviations a key is allowed to be off.
const DEVIATIONS: f32 = 3.0;
/// Walking among matches starts at so many of them, spread over the segment, so that matches far
/// from the query are found, too.
const SEEDS: usize = 128;
/// A walk that finds too few matches is repeated with so many times the candidates.
const WIDER: usize = 4;
/// So few matches are compared exactly at once.
const FEW: usize = 48;
/// How many rows of vectors are asked for ahead of the one that is compared.
const VECTORS_AHEAD: usize = 3;
/// How many rows are compared between two looks at the cancellation.
const BATCH: usize = 4_096;

impl Estimate {
    /// Returns how far a key may be from the exact one.
    fn margin(self) -> f32 {
        DEVIATIONS * self.error
    }
}

impl Searcher {
    /// Returns how many bytes of memory the working space takes, as far as it grows with segments.
    pub(in super::super) fn bytes(&self) -> usize {
        self.work.scratch.bytes()
    }
}

impl Segment {
    /// Offers the best allowed slots of this segment.
    ///
    /// # Errors
    /// [`DenseError`]: cancelled or timed out as the request says; corrupt if a vector is read that
    /// is not as it was sealed.
    pub(in super::super) fn search(
        &self,
        request: &Request<'_>,
        searcher: &mut Searcher,
        best: &mut Best,
    ) -> Result<(), DenseError> {
        let metric = self.footer.metric;
        let keys = search_keys(metric);
        let Searcher { codes, bits, floats, centred, projected, work } = searcher;
        if self.footer.form == RowForm::Floats {
            let space = FloatSpace::new(Rows::new(self.vectors(), self.footer.dimension), keys);
            space.prepare(request.query, floats);
            let estimate = Estimate { offset: 0.0, error: 0.0 };
            return self.search_in(&space, floats, estimate, request, work, best);
        }
        self.projection.apply_to_query(metric, request.query, centred, projected);
        let estimate = self.estimate(request.query, centred);
        if self.footer.form == RowForm::Codes {
            let space = CodeSpace::new(self.rows(), keys);
            space.prepare(projected, codes);
            self.search_in(&space, codes, estimate, request, work, best)
        } else {
            let space = BitSpace::new(self.rows(), self.footer.components, keys);
            space.prepare(projected, bits);
            self.search_in(&space, bits, estimate, request, work, best)
        }
    }

    fn estimate(&self, query: &[f32], centred: &[f32]) -> Estimate {
        let metric = self.footer.metric;
        let offset = match metric {
            Metric::Cosine | Metric::Dot => -kernel::dot(query, &self.projection.mean),
            Metric::Euclidean => 0.0,
        };
        Estimate { offset, error: self.footer.deviation * length_of(metric, query, centred) }
    }

    fn search_in<S: Space>(
        &self,
        space: &S,
        query: &S::Query,
        estimate: Estimate,
        request: &Request<'_>,
        work: &mut Work,
        best: &mut Best,
    ) -> Result<(), DenseError> {
        let SearchOptions { limit, ef, is_exact } = request.options;
        let ef = widened(ef.max(limit), self.breadth());
        let slots = self.footer.slots;
        let matches = match request.share {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share")]
            Some(share) => (slots as f64 * share) as usize,
            None => self.matches_at_most(request.allowed),
        };
        best.expect_repeats(false);
        if is_exact {
            return self.scan(space, query, estimate, request, work, best);
        }
        let mut plan = search_plan(slots, matches, limit, ef);
        work.candidates.clear();
        // Not every slot matches, and the walk was not yet repeated for finding too few that do.
        let mut may_be_rare = matches < slots;
        loop {
            request.cancel.check()?;
            match plan {
                SearchPlan::Scan => {
                    return self.scan(space, query, estimate, request, work, best);
                }
                SearchPlan::Walk { ef } => {
                    let links = self.links();
                    let stragglers = &self.footer.stragglers;
                    let Work { entries, scratch, .. } = &mut *work;
                    enter(space, query, &links, stragglers, entries, scratch);
                    let (lowest, room) = (links.layers[0], Room::with_error(ef, estimate.error));
                    match request.without.and_then(|without| self.around(without)) {
                        Some(around) if entries.iter().any(|&entry| entry != around.node) => {
                            entries.retain(|&entry| entry != around.node);
                            walk_around(space, query, lowest, entries, &around, room, scratch);
                        }
                        _ => walk(space, query, lowest, entries, room, scratch),
                    }
                }
                SearchPlan::WalkMatches { ef } => {
                    let room = Room::with_error(ef, estimate.error);
                    self.walk_matches(space, query, request, room, work);
                }
            }
            work.candidates.clear();
            work.candidates.extend(work.scratch.pool.nearest());
            if let SearchPlan::Walk { ef: wide } = plan
                && std::mem::take(&mut may_be_rare)
                && work.candidates.len() >= wide
                && let Some(again) = search_again(
                    wide,
                    self.matching_among(&work.candidates[..wide], request.allowed),
                    ef,
                )
            {
                plan = again;
                continue;
            }
            let found = self.rescore(estimate, request, &work.candidates, best)?;
            if found >= limit {
                return Ok(());
            }
            best.expect_repeats(true);
            plan = match plan {
                SearchPlan::Walk { ef }
                    if work.candidates.len() >= ef && ef * WIDER < slots / 8 =>
                {
                    SearchPlan::Walk { ef: ef * WIDER }
                }
                _ => SearchPlan::Scan,
            };
        }
    }

    /// Returns the node of a slot that the segment has.
    fn node_of(&self, slot: Slot) -> Option<u32> {
        let place = self.slot_numbers().binary_search(&slot.0).ok()?;
        self.nodes().get(place).copied()
    }

    /// Returns whether the slot is not here, or its node stands for it alone and in the lowest layer.
    pub(in super::super) fn can_be_left_out(&self, slot: Slot) -> bool {
        let Some(node) = self.node_of(slot) else { return true };
        let twins = cast_pairs(self.numbers(self.footer.sections.twins));
        let upper = self.links().layers.get(1).map_or(0, |layer| layer.count());
        node as usize >= upper && twins_of(twins, node).is_empty()
    }

    /// Returns where the links of the graph would lead without a slot, if it is here.
    pub(in super::super) fn detours(&self, slot: Slot) -> Result<Option<Detours>, DenseError> {
        let Some(node) = self.node_of(slot) else { return Ok(None) };
        let key = |a, b| Ok(kernel::squared_euclidean(self.vector(a)?, self.vector(b)?));
        Detours::around(self.links().layers[0], node, key).map(Some)
    }

    /// Returns what is found out about a slot without which this segment is searched, if it is here.
    fn around<'a>(&self, without: &'a LeftOut) -> Option<Cow<'a, Detours>> {
        match &without.inside {
            Some((segment, detours)) if std::ptr::eq(&**segment, self) => {
                Some(Cow::Borrowed(detours))
            }
            // Merging has made another segment of it.
            _ => self.node_of(without.slot).map(|node| Cow::Owned(Detours::none(node))),
        }
    }

    /// Returns how many times as many candidates as a search asks for are kept.
    fn breadth(&self) -> f32 {
        match self.footer.form {
            RowForm::Bits => self.footer.breadth.max(BITS_BREADTH),
            RowForm::Floats | RowForm::Codes => self.footer.breadth,
        }
    }

    /// Returns how many slots are allowed, or a few more: those between the first and the last slot
    /// that the segment does not have.
    fn matches_at_most(&self, allowed: &SlotSet) -> usize {
        match (self.slots.min(), self.slots.max()) {
            (Some(first), Some(last)) => {
                let matches = allowed.range_cardinality(first..=last);
                usize::try_from(matches).unwrap_or(usize::MAX).min(self.footer.slots)
            }
            _ => 0,
        }
    }

    /// Returns how many of the candidates have a first slot that is allowed.
    fn matching_among(&self, candidates: &[Candidate], allowed: &SlotSet) -> usize {
        let first_slots = self.numbers(self.footer.sections.first_slots);
        let slots = candidates.iter().filter_map(|near| first_slots.get(near.node as usize));
        slots.filter(|&&slot| allowed.contains(slot)).count()
    }

    fn walk_matches<S: Space>(
        &self,
        space: &S,
        query: &S::Query,
        request: &Request<'_>,
        room: Room,
        work: &mut Work,
    ) {
        let step = self.matches_at_most(request.allowed) / SEEDS;
        let mut until_seed = step / 2;
        work.matching.begin(self.footer.nodes);
        work.nodes.clear();
        self.for_each_match(request.allowed, |_, node| {
            work.matching.insert(node);
            if until_seed == 0 {
                work.nodes.push(node);
                until_seed = step;
            }
            until_seed = until_seed.saturating_sub(1);
        });
        let links = self.links();
        work.entries.clear();
        work.entries.push(descend(space, query, &links, &mut work.scratch));
        // What a walk among all nodes met before this one.
        let met = work.candidates.iter().map(|near| near.node);
        work.entries.extend(met.filter(|&node| work.matching.contains(node)));
        work.entries.extend_from_slice(&work.nodes);
        let stragglers = self.footer.stragglers.iter();
        work.entries.extend(stragglers.filter(|&&node| work.matching.contains(node)));
        let (entries, matching) = (&work.entries, &work.matching);
        walk_matching(space, query, links.layers[0], entries, matching, room, &mut work.scratch);
    }

    /// Calls with each allowed slot of the segment and its node, ascending by slot.
    fn for_each_match(&self, allowed: &SlotSet, mut act: impl FnMut(u32, u32)) {
        let (numbers, nodes) = (self.slot_numbers(), self.nodes());
        let (Some(&first), Some(&last)) = (numbers.first(), numbers.last()) else { return };
        let mut iterator = allowed.iter();
        iterator.advance_to(first);
        let slots = iterator.take_while(|&slot| slot <= last);
        // Where no slot between the first and the last is missing, its place needs no search.
        if (last - first) as usize + 1 == numbers.len() {
            for slot in slots {
                act(slot, nodes[(slot - first) as usize]);
            }
            return;
        }
        let mut place = 0;
        for slot in slots {
            place = gallop(numbers, place, slot);
            if numbers.get(place) == Some(&slot) {
                act(slot, nodes[place]);
            }
        }
    }

    /// Compares every match.
    fn scan<S: Space>(
        &self,
        space: &S,
        query: &S::Query,
        estimate: Estimate,
        request: &Request<'_>,
        work: &mut Work,
        best: &mut Best,
    ) -> Result<(), DenseError> {
        work.nodes.clear();
        work.slots.clear();
        self.for_each_match(request.allowed, |slot, node| {
            work.slots.push(slot);
            work.nodes.push(node);
        });
        let limit = request.options.limit;
        let is_all = request.options.is_exact || work.nodes.len() <= FEW.max(limit);
        if !is_all {
            work.keys.clear();
            for batch in work.nodes.chunks(BATCH) {
                request.cancel.check()?;
                space.compare(query, batch, &mut work.keys);
            }
            // Whatever is among the best exactly has no key beyond this.
            let bound = nth_lowest(&work.keys, limit, &mut work.sorted) + 2.0 * estimate.margin();
            let mut kept = 0;
            for place in 0..work.keys.len() {
                if work.keys[place] <= bound {
                    work.nodes[kept] = work.nodes[place];
                    work.slots[kept] = work.slots[place];
                    kept += 1;
                }
            }
            work.nodes.truncate(kept);
            work.slots.truncate(kept);
        }
        for (place, (&node, &slot)) in work.nodes.iter().zip(&work.slots).enumerate() {
            if place % BATCH == 0 {
                request.cancel.check()?;
            }
            if let Some(&next) = work.nodes.get(place + VECTORS_AHEAD) {
                self.prefetch_vector(next);
            }
            let vector = self.vector(node)?;
            best.offer(Slot(slot), self.footer.metric.score(request.query, vector));
        }
        Ok(())
    }

    /// Scores candidates, which come nearest first, on the vectors themselves, until those that are
    /// left cannot be among the best. Returns how many allowed slots there were, or `limit` if it
    /// did not have to see all.
    fn rescore(
        &self,
        estimate: Estimate,
        request: &Request<'_>,
        candidates: &[Candidate],
        best: &mut Best,
    ) -> Result<usize, DenseError> {
        let metric = self.footer.metric;
        let first_slots = self.numbers(self.footer.sections.first_slots);
        let twins = cast_pairs(self.numbers(self.footer.sections.twins));
        let mut found = 0;
        for candidate in candidates.iter().take(VECTORS_AHEAD) {
            self.prefetch_vector(candidate.node);
        }
        for (place, candidate) in candidates.iter().enumerate() {
            if let Some(threshold) = best.threshold()
                && candidate.key + estimate.offset - estimate.margin() > key_of(metric, threshold)
            {
                return Ok(request.options.limit);
            }
            if let Some(next) = candidates.get(place + VECTORS_AHEAD) {
                self.prefetch_vector(next.node);
            }
            let node = candidate.node;
            let Some(&first) = first_slots.get(node as usize) else { continue };
            let others = twins_of(twins, node).iter().map(|pair| pair[1]);
            let mut score = None;
            for slot in std::iter::once(first).chain(others) {
                if !request.allowed.contains(slot) {
                    continue;
                }
                let value = match score {
                    Some(value) => value,
                    None => metric.score(request.query, self.vector(node)?),
                };
                score = Some(value);
                best.offer(Slot(slot), value);
                found += 1;
            }
        }
        Ok(found)
    }

    fn prefetch_vector(&self, node: u32) {
        Rows::new(self.vectors(), self.footer.dimension).prefetch(node as usize);
    }
}

/// Returns the key that has this score.
fn key_of(metric: Metric, score: Score) -> f32 {
    match metric {
        Metric::Cosine | Metric::Dot => -score.0,
        Metric::Euclidean => score.0 * score.0,
    }
}

/// Returns the `count`th lowest of the keys, or the highest if there are fewer.
fn nth_lowest(keys: &[f32], count: usize, sorted: &mut Vec<f32>) -> f32 {
    sorted.clear();
    sorted.extend_from_slice(keys);
    let nth = count.max(1).min(sorted.len()) - 1;
    *sorted.select_nth_unstable_by(nth, f32::total_cmp).1
}

/// Returns the first place at or after `from` whose number is not below `wanted`.
fn gallop(numbers: &[u32], from: usize, wanted: u32) -> usize {
    let mut step = 1;
    let mut low = from;
    while numbers.get(low + step).is_some_and(|&number| number < wanted) {
        low += step;
        step *= 2;
    }
    let high = (low + step + 1).min(numbers.len());
    low + numbers[low.min(high)..high].partition_point(|&number| number < wanted)
}

fn cast_pairs(numbers: &[u32]) -> &[[u32; 2]] {
    numbers.as_chunks().0
}

/// Returns the pairs of a node.
fn twins_of(twins: &[[u32; 2]], node: u32) -> &[[u32; 2]] {
    if twins.is_empty() {
        return twins;
    }
    let start = twins.partition_point(|pair| pair[0] < node);
    let length = twins[start..].partition_point(|pair| pair[0] == node);
    &twins[start..start + length]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn galloping_finds_what_searching_finds() {
        let numbers = [1, 4, 5, 9, 12, 40, 41, 42, 100];
        for from in 0..=numbers.len() {
            for wanted in 0..=101 {
                let expected = numbers.partition_point(|&number| number < wanted).max(from);
                assert_eq!(gallop(&numbers, from, wanted), expected, "{from} {wanted}");
            }
        }
    }

    #[test]
    fn the_nth_lowest_key_is_the_highest_when_there_are_fewer() {
        let keys = [3.0, 1.0, 2.0];
        let nth = |count| nth_lowest(&keys, count, &mut Vec::new());
        assert_eq!([nth(0), nth(1), nth(2), nth(9)], [1.0, 1.0, 2.0, 3.0]);
    }

    #[test]
    fn twins_are_found_by_node() {
        let twins = [[2, 7], [2, 9], [5, 6]];
        assert_eq!(twins_of(&twins, 2), &twins[..2]);
        assert_eq!(twins_of(&twins, 5), &twins[2..]);
        assert!(twins_of(&twins, 3).is_empty() && twins_of(&[], 3).is_empty());
    }
}
