use super::detours::Detours;
use super::graph::{Links, NO_LINK, linked};
use super::space::Space;
use crate::vector::kernel::Rows;

/// Marks a candidate whose links were followed. Node numbers stay below it.
const FOLLOWED: u32 = 1 << 31;

/// The most nodes of one graph.
pub(super) const NODES_MAX: usize = (FOLLOWED - 1) as usize;

/// How many nodes are followed at a time: two keep the memory busy, and more would follow nodes
/// that turn out not to be the nearest.
const BEAM: usize = 2;
/// A candidate that comes so close to being followed next has its links asked for from memory.
const SOON: usize = 2;
/// The spare candidates are at most this part of those that are followed.
const SPARE_DIVISOR: usize = 2;
/// A walk starts at so many of the nearest nodes of the layer above: the one that descending ends at
/// is often in another part of the graph than the nearest.
const ENTRIES: usize = 6;

/// A node and how near it is: lower keys are nearer.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Candidate {
    pub(super) key: f32,
    pub(super) node: u32,
}

/// Which nodes a walk has met. Marks are numbers, so that a new walk need not wipe them.
#[derive(Debug, Default)]
pub(super) struct Visited {
    marks: Vec<u8>,
    epoch: u8,
    count: usize,
}

/// A set of nodes.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    words: Vec<u64>,
}

/// How many candidates a walk keeps, at least one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// So many of the nearest are followed.
    ef: usize,
    /// So many more are kept at most, which may be nearer than their keys say.
    spare: usize,
    /// By how much the keys of those may be beyond the last that is followed.
    slack: f32,
}

/// The nearest candidates so far, in order, and which of them were followed.
#[derive(Debug, Default)]
pub(super) struct Pool {
    candidates: Vec<Candidate>,
    room: Room,
    /// Every candidate before this one was followed.
    next: usize,
}

/// Working space of a walk, kept from one to the next.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) pool: Pool,
    visited: Visited,
    met: Vec<u32>,
    rejected: Vec<u32>,
    keys: Vec<f32>,
}

impl Room {
    /// For keys that are taken as they are.
    pub(super) fn exact(ef: usize) -> Self {
        Self { ef: ef.max(1), spare: 0, slack: 0.0 }
    }

    /// For keys that are off by so much, and candidates that are compared exactly in the end: to follow
    /// more of them would take longer than to compare more of them.
    pub(super) fn with_error(ef: usize, error: f32) -> Self {
        let spare = if error > 0.0 { ef / SPARE_DIVISOR } else { 0 };
        Self { spare, slack: error, ..Self::exact(ef) }
    }
}

impl Default for Room {
    fn default() -> Self {
        Self::exact(1)
    }
}

impl Scratch {
    /// Returns how many bytes of memory the working space takes, as far as it grows with the graph.
    pub(super) fn bytes(&self) -> usize {
        self.visited.marks.capacity()
    }
}

/// Returns the node that a greedy walk down the upper layers ends at.
pub(super) fn descend<S: Space>(
    space: &S,
    query: &S::Query,
    links: &Links<'_>,
    scratch: &mut Scratch,
) -> u32 {
    let Scratch { met, keys, .. } = scratch;
    let mut node = 0;
    keys.clear();
    space.compare(query, &[node], keys);
    let mut key = keys.first().copied().unwrap_or_default();
    for layer in links.layers.iter().skip(1).rev() {
        loop {
            met.clear();
            let row = linked(layer.row(node as usize));
            met.extend(row.iter().copied().filter(|&link| (link as usize) < layer.count()));
            keys.clear();
            space.compare(query, met, keys);
            let nearest = met.iter().zip(&*keys).min_by(|(_, a), (_, b)| a.total_cmp(b));
            match nearest {
                Some((&nearer, &nearer_key)) if nearer_key < key => {
                    (node, key) = (nearer, nearer_key);
                }
                _ => break,
            }
        }
    }
    node
}

/// Finds the nodes that a walk of the lowest layer starts at.
pub(super) fn enter<S: Space>(
    space: &S,
    query: &S::Query,
    links: &Links<'_>,
    stragglers: &[u32],
    entries: &mut Vec<u32>,
    scratch: &mut Scratch,
) {
    entries.clear();
    entries.push(descend(space, query, links, scratch));
    if let Some(&layer) = links.layers.get(1) {
        walk(space, query, layer, entries, Room::exact(ENTRIES), scratch);
        entries.clear();
        entries.extend(scratch.pool.nearest().map(|near| near.node));
    }
    entries.extend_from_slice(stragglers);
}

/// Walks a layer best first from the entries; the nearest are then in `scratch.pool`, as many as there is
/// room for.
pub(super) fn walk<S: Space>(
    space: &S,
    query: &S::Query,
    layer: Rows<'_, u32>,
    entries: &[u32],
    room: Room,
    scratch: &mut Scratch,
) {
    walk_with(space, query, layer, entries, room, scratch, |node, visited, met, _| {
        visited.meet(layer.row(node as usize), met);
    });
}

/// Walks as [`walk`] does, as if a node, which is no entry, were not there.
pub(super) fn walk_around<S: Space>(
    space: &S,
    query: &S::Query,
    layer: Rows<'_, u32>,
    entries: &[u32],
    without: &Detours,
    room: Room,
    scratch: &mut Scratch,
) {
    walk_with(space, query, layer, entries, room, scratch, |node, visited, met, _| {
        visited.insert(without.node);
        visited.meet(layer.row(node as usize), met);
        visited.meet(without.of(node), met);
    });
}

/// Walks among the nodes that match, through those that do not: where a link leads to one that does
/// not match, its links are followed in its place (after Patel et al. 2024, "ACORN-1"). The nearest
/// matches are then in `scratch.pool`. Entries count as matches.
pub(super) fn walk_matching<S: Space>(
    space: &S,
    query: &S::Query,
    layer: Rows<'_, u32>,
    entries: &[u32],
    matches: &Nodes,
    room: Room,
    scratch: &mut Scratch,
) {
    walk_with(space, query, layer, entries, room, scratch, |node, visited, met, rejected| {
        let enough = met.len() + layer.width();
        rejected.clear();
        for &link in linked(layer.row(node as usize)) {
            if visited.insert(link) {
                if matches.contains(link) {
                    met.push(link);
                } else {
                    layer.prefetch(link as usize);
                    rejected.push(link);
                }
            }
        }
        for &between in &*rejected {
            if met.len() >= enough {
                break;
            }
            for &link in linked(layer.row(between as usize)) {
                if matches.contains(link) && visited.insert(link) {
                    met.push(link);
                }
            }
        }
    });
}

fn walk_with<S: Space>(
    space: &S,
    query: &S::Query,
    layer: Rows<'_, u32>,
    entries: &[u32],
    room: Room,
    scratch: &mut Scratch,
    mut meet: impl FnMut(u32, &mut Visited, &mut Vec<u32>, &mut Vec<u32>),
) {
    let Scratch { pool, visited, met, rejected, keys } = scratch;
    visited.begin(layer.count());
    pool.begin(room);
    met.clear();
    met.extend(entries.iter().copied().filter(|&entry| visited.insert(entry)));
    loop {
        keys.clear();
        space.compare(query, met, keys);
        for (&node, &key) in met.iter().zip(&*keys) {
            if pool.offer(key, node) {
                layer.prefetch(node as usize);
            }
        }
        met.clear();
        for followed in 0..BEAM {
            match pool.follow() {
                Some(node) => meet(node, visited, met, rejected),
                None if followed == 0 => return,
                None => break,
            }
        }
        pool.waiting().for_each(|node| layer.prefetch(node as usize));
    }
}

impl Visited {
    /// Forgets what was met; nodes are the numbers below `count`.
    fn begin(&mut self, count: usize) {
        if self.marks.len() < count {
            self.marks.resize(count, self.epoch);
        }
        self.count = count;
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            self.marks.fill(0);
            self.epoch = 1;
        }
    }

    /// Returns whether the node is met for the first time. A number that is no node was always met.
    #[inline]
    fn insert(&mut self, node: u32) -> bool {
        match self.marks[..self.count].get_mut(node as usize) {
            Some(mark) if *mark != self.epoch => {
                *mark = self.epoch;
                true
            }
            _ => false,
        }
    }

    /// Appends those of the linked nodes that are met for the first time, up to a number that is no
    /// node, such as the one that ends a row.
    #[inline]
    fn meet(&mut self, links: &[u32], met: &mut Vec<u32>) {
        // Written without branches on what was met: half of the nodes were, in no order that the
        // processor could foresee.
        let marks = &mut self.marks[..self.count];
        let start = met.len();
        met.resize(start + links.len(), NO_LINK);
        let mut length = start;
        for &link in links {
            let Some(mark) = marks.get_mut(link as usize) else { break };
            met[length] = link;
            length += usize::from(*mark != self.epoch);
            *mark = self.epoch;
        }
        met.truncate(length);
    }
}

impl Nodes {
    /// Empties the set, and makes room for the nodes below `count`.
    pub(super) fn begin(&mut self, count: usize) {
        self.words.clear();
        self.words.resize(count.div_ceil(64), 0);
    }

    /// Adds a node that there is room for; others are left out.
    pub(super) fn insert(&mut self, node: u32) {
        if let Some(word) = self.words.get_mut(node as usize / 64) {
            *word |= 1 << (node % 64);
        }
    }

    /// Returns whether the node is in the set.
    #[inline]
    pub(super) fn contains(&self, node: u32) -> bool {
        self.words.get(node as usize / 64).is_some_and(|word| word >> (node % 64) & 1 == 1)
    }
}

impl Pool {
    fn begin(&mut self, room: Room) {
        self.candidates.clear();
        self.candidates.reserve(room.ef + room.spare + 1);
        self.room = room;
        self.next = 0;
    }

    /// Keeps the candidate if it is among the nearest. Returns whether it is likely to be followed
    /// soon.
    #[inline]
    fn offer(&mut self, key: f32, node: u32) -> bool {
        let Room { ef, spare, slack } = self.room;
        if let Some(edge) = self.candidates.get(ef - 1) {
            // A key that is not a number is not near, either.
            let is_near = key < edge.key + slack;
            if !is_near {
                return false;
            }
            if self.candidates.len() == ef + spare {
                match self.candidates.last() {
                    Some(last) if key < last.key => self.candidates.pop(),
                    _ => return false,
                };
            }
        }
        let position = self.candidates.partition_point(|candidate| candidate.key <= key);
        self.candidates.insert(position, Candidate { key, node });
        let is_soon = position <= self.next + SOON;
        self.next = self.next.min(position);
        is_soon
    }

    /// Returns the nearest candidate that was not followed, and counts it as followed.
    #[inline]
    fn follow(&mut self) -> Option<u32> {
        let end = self.room.ef.min(self.candidates.len());
        while let Some(candidate) = self.candidates[..end].get_mut(self.next) {
            self.next += 1;
            if candidate.node & FOLLOWED == 0 {
                let node = candidate.node;
                candidate.node |= FOLLOWED;
                return Some(node);
            }
        }
        None
    }

    /// Returns the candidates that are followed next, unless nearer ones come.
    #[inline]
    fn waiting(&self) -> impl Iterator<Item = u32> {
        let next = self.candidates.iter().take(self.room.ef).skip(self.next).take(BEAM);
        next.map(|candidate| candidate.node).filter(|node| node & FOLLOWED == 0)
    }

    /// Returns the candidates, nearest first.
    pub(super) fn nearest(&self) -> impl ExactSizeIterator<Item = Candidate> {
        self.candidates
            .iter()
            .map(|candidate| Candidate { key: candidate.key, node: candidate.node & !FOLLOWED })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_keeps_the_nearest_and_follows_each_once() {
        let mut pool = Pool::default();
        pool.begin(Room::exact(3));
        for (key, node) in [(0.5, 5), (0.1, 1), (0.9, 9), (0.3, 3)] {
            pool.offer(key, node);
        }
        assert_eq!(pool.follow(), Some(1));
        pool.offer(0.2, 2);
        assert_eq!(pool.nearest().map(|near| near.node).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!([pool.follow(), pool.follow(), pool.follow()], [Some(2), Some(3), None]);
    }

    #[test]
    fn candidates_that_may_be_nearer_are_kept_and_not_followed() {
        let mut pool = Pool::default();
        pool.begin(Room::with_error(2, 0.25));
        for (key, node) in [(0.5, 5), (0.6, 6), (0.7, 7), (0.9, 9), (0.8, 8)] {
            pool.offer(key, node);
        }
        assert_eq!(pool.nearest().map(|near| near.node).collect::<Vec<_>>(), [5, 6, 7]);
        assert_eq!([pool.follow(), pool.follow(), pool.follow()], [Some(5), Some(6), None]);
        pool.offer(0.1, 1);
        assert_eq!(pool.nearest().map(|near| near.node).collect::<Vec<_>>(), [1, 5, 6]);
        assert_eq!([pool.follow(), pool.follow()], [Some(1), None], "5 was followed before");
        pool.begin(Room::with_error(2, 0.0));
        for (key, node) in [(0.5, 5), (0.6, 6), (0.6, 7)] {
            pool.offer(key, node);
        }
        assert_eq!(pool.nearest().count(), 2, "what is exact needs no more");
    }

    #[test]
    fn marks_survive_three_hundred_walks() {
        let mut visited = Visited::default();
        for _ in 0..300 {
            visited.begin(4);
            let mut met = Vec::new();
            visited.meet(&[1, 1, 3, NO_LINK, 2], &mut met);
            assert_eq!(met, [1, 3]);
            assert!(visited.insert(2) && !visited.insert(2) && !visited.insert(4));
        }
        visited.begin(2);
        assert!(!visited.insert(3), "a number beyond this graph is no node of it");
    }
}
