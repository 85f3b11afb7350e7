use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::points::row_id;
use super::{ClusterError, Points, Work};
use crate::vector::kernel;

/// The most neighbours that are kept of each point.
const WIDTH_MAX: usize = 1_024;
/// Rows that one thread takes at a time.
const ROWS_AT_ONCE: usize = 64;
/// Bytes of rows that are compared while they stay in a core's cache.
const TILE_BYTES: usize = 256 << 10;
/// Stands for no neighbour.
const NOBODY: u32 = u32::MAX;

/// The nearest neighbours of every point, nearest first, the point itself left out.
#[derive(Debug, Clone)]
pub struct NeighbourGraph {
    width: usize,
    ids: Vec<u32>,
    distances: Vec<f32>,
}

/// A weighted graph without directions or loops: each edge stands with both of its ends.
#[derive(Debug, Clone, Default)]
pub struct Adjacency {
    starts: Vec<usize>,
    targets: Vec<u32>,
    weights: Vec<f32>,
}

/// A row at a distance; greater is farther, and among equals the later row.
#[derive(Debug, Clone, Copy)]
struct Near {
    distance: f32,
    row: u32,
}

impl NeighbourGraph {
    /// Returns the graph of the `width` nearest neighbours of each point, found by comparing all
    /// pairs; fewer where there are fewer other points.
    ///
    /// # Errors
    /// [`ClusterError`]: invalid input for a width out of 1 to 1,024; cancelled.
    pub fn exact(points: &Points, width: usize, work: &Work<'_>) -> Result<Self, ClusterError> {
        let count = points.count();
        let tile = (TILE_BYTES / (points.dimension() * size_of::<f32>())).clamp(16, 4_096);
        Self::by_rows(count, width, work, |first, nearest| {
            let ids: Vec<u32> = (0..row_id(count)).collect();
            let mut found = vec![0.0f32; tile];
            let mut heaps: Vec<BinaryHeap<Near>> =
                nearest.iter().map(|list| BinaryHeap::with_capacity(list.0.len() + 1)).collect();
            for ids in ids.chunks(tile) {
                let found = &mut found[..ids.len()];
                for (place, heap) in heaps.iter_mut().enumerate() {
                    let (row, width) = (first + place, nearest[place].0.len());
                    kernel::squared_euclidean_rows(points.row(row), points.rows(), ids, found);
                    for (&other, &distance) in ids.iter().zip(found.iter()) {
                        let near = Near { distance, row: other };
                        let is_nearer =
                            heap.len() < width || heap.peek().is_some_and(|worst| near < *worst);
                        if is_nearer && other as usize != row {
                            heap.push(near);
                            if heap.len() > width {
                                heap.pop();
                            }
                        }
                    }
                }
            }
            for (heap, (ids, distances)) in heaps.into_iter().zip(nearest) {
                for (place, near) in heap.into_sorted_vec().into_iter().enumerate() {
                    (ids[place], distances[place]) = (near.row, near.distance.sqrt());
                }
            }
            Ok(())
        })
    }

    /// Returns the graph that `search` finds: it is asked for the nearest of a row, and gives rows
    /// with their Euclidean distances in any order. The row itself, and what is beyond `width`, are
    /// left out here; what is missing stays missing.
    ///
    /// # Errors
    /// [`ClusterError`]: invalid input for a width out of 1 to 1,024; what `search` gives; cancelled.
    pub fn searched(
        count: usize,
        width: usize,
        work: &Work<'_>,
        search: impl Fn(usize, usize) -> Result<Vec<(u32, f32)>, ClusterError> + Sync,
    ) -> Result<Self, ClusterError> {
        Self::by_rows(count, width, work, |first, nearest| {
            for (place, (ids, distances)) in nearest.iter_mut().enumerate() {
                let row = first + place;
                let mut found: Vec<Near> = search(row, ids.len() + 1)?
                    .into_iter()
                    .map(|(row, distance)| Near { row, distance: distance.max(0.0) })
                    .filter(|near| near.row as usize != row && (near.row as usize) < count)
                    .collect();
                found.sort_unstable();
                found.dedup_by_key(|near| near.row);
                for (place, near) in found.into_iter().take(ids.len()).enumerate() {
                    (ids[place], distances[place]) = (near.row, near.distance);
                }
            }
            Ok(())
        })
    }

    fn by_rows(
        count: usize,
        width: usize,
        work: &Work<'_>,
        fill: impl Fn(usize, &mut [(&mut [u32], &mut [f32])]) -> Result<(), ClusterError> + Sync,
    ) -> Result<Self, ClusterError> {
        ClusterError::require("neighbours", width as f64, 1.0, WIDTH_MAX as f64)?;
        let width = width.min(count.saturating_sub(1));
        let mut ids = vec![NOBODY; count * width];
        let mut distances = vec![f32::INFINITY; count * width];
        if width == 0 {
            return Ok(Self { width, ids, distances });
        }
        let done = AtomicUsize::new(0);
        ids.par_chunks_mut(width * ROWS_AT_ONCE)
            .zip(distances.par_chunks_mut(width * ROWS_AT_ONCE))
            .enumerate()
            .try_for_each(|(chunk, (ids, distances))| {
                let mut lists: Vec<_> =
                    ids.chunks_mut(width).zip(distances.chunks_mut(width)).collect();
                let before = done.fetch_add(lists.len(), Ordering::Relaxed);
                work.step("looking for neighbours", before, count)?;
                fill(chunk * ROWS_AT_ONCE, &mut lists)
            })?;
        Ok(Self { width, ids, distances })
    }

    /// Returns how many points there are.
    pub fn count(&self) -> usize {
        self.ids.len().checked_div(self.width).unwrap_or(1)
    }

    /// Returns how many neighbours each point has at most.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns the neighbours of a point and their distances, nearest first.
    pub fn of(&self, row: usize) -> impl Iterator<Item = (u32, f32)> + Clone + '_ {
        let range = row * self.width..(row + 1) * self.width;
        let ids = self.ids[range.clone()].iter().copied();
        ids.zip(self.distances[range].iter().copied()).filter(|near| near.0 != NOBODY)
    }

    /// Returns the distance of the `rank`-th nearest, from 1; the farthest known if there are fewer,
    /// and infinity if there is none.
    pub(super) fn distance_at(&self, row: usize, rank: usize) -> f32 {
        self.of(row).take(rank).last().map_or(f32::INFINITY, |near| near.1)
    }

    /// Returns whether `other` is among the neighbours of a point.
    pub(super) fn has(&self, row: usize, other: u32) -> bool {
        self.ids[row * self.width..(row + 1) * self.width].contains(&other)
    }

    /// Returns each pair of which one is a neighbour of the other, once, with its distance.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (u32, u32, f32)> + Clone + '_ {
        (0..self.count()).flat_map(move |row| {
            let id = row_id(row);
            self.of(row).filter_map(move |(other, distance)| {
                (row < other as usize || !self.has(other as usize, id))
                    .then_some((id, other, distance))
            })
        })
    }
}

impl Adjacency {
    /// Returns the graph of these edges; an edge that comes twice counts with the sum of its weights,
    /// a loop not at all.
    pub fn new(count: usize, edges: impl Iterator<Item = (u32, u32, f32)> + Clone) -> Self {
        let mut starts = vec![0usize; count + 1];
        for (a, b, _) in edges.clone().filter(|edge| edge.0 != edge.1) {
            starts[a as usize + 1] += 1;
            starts[b as usize + 1] += 1;
        }
        for row in 0..count {
            starts[row + 1] += starts[row];
        }
        let mut next = starts.clone();
        let mut links = vec![(NOBODY, 0.0f32); starts[count]];
        for (a, b, weight) in edges.filter(|edge| edge.0 != edge.1) {
            for (from, to) in [(a, b), (b, a)] {
                links[next[from as usize]] = (to, weight);
                next[from as usize] += 1;
            }
        }
        let mut graph = Self { starts: vec![0], targets: Vec::new(), weights: Vec::new() };
        for row in 0..count {
            let links = &mut links[starts[row]..starts[row + 1]];
            links.sort_unstable_by_key(|link| link.0);
            let first = graph.targets.len();
            for &(target, weight) in links.iter() {
                if graph.targets.len() > first && graph.targets.last() == Some(&target) {
                    if let Some(last) = graph.weights.last_mut() {
                        *last += weight;
                    }
                } else {
                    graph.targets.push(target);
                    graph.weights.push(weight);
                }
            }
            graph.starts.push(graph.targets.len());
        }
        graph
    }

    /// Returns the graph in which two points are joined the closer the more of their nearest
    /// neighbours they share (each counts as its own): the Jaccard index of the two lists, so that
    /// the scale of distances does not matter.
    pub fn shared(graph: &NeighbourGraph) -> Self {
        let lists: Vec<Vec<u32>> = (0..graph.count())
            .map(|row| {
                let mut list: Vec<u32> = graph.of(row).map(|near| near.0).collect();
                list.push(row_id(row));
                list.sort_unstable();
                list
            })
            .collect();
        let weighted = graph.pairs().map(|(a, b, _)| {
            let (a_list, b_list) = (&lists[a as usize], &lists[b as usize]);
            let both = common(a_list, b_list);
            (a, b, both as f32 / (a_list.len() + b_list.len() - both) as f32)
        });
        Self::new(graph.count(), weighted)
    }

    /// Returns how many points there are.
    pub fn count(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Returns what a point is joined with, and how strongly, in the order of rows.
    pub fn of(&self, row: usize) -> impl Iterator<Item = (u32, f32)> + Clone + '_ {
        let range = self.starts[row]..self.starts[row + 1];
        self.targets[range.clone()].iter().copied().zip(self.weights[range].iter().copied())
    }
}

/// Returns how many numbers two ordered lists share.
fn common(a: &[u32], b: &[u32]) -> usize {
    let (mut at, mut count) = (0, 0);
    for number in a {
        while at < b.len() && b[at] < *number {
            at += 1;
        }
        count += usize::from(b.get(at) == Some(number));
    }
    count
}

impl PartialEq for Near {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Near {}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Near {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.distance.total_cmp(&other.distance).then(self.row.cmp(&other.row))
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::super::work::unwatched;
    use super::*;
    use crate::cancel::{Cancellation, Interrupted};

    fn points(count: usize, dimension: usize) -> Points {
        let mut chance = StdRng::seed_from_u64(3);
        let values = (0..count * dimension).map(|_| chance.random::<f32>()).collect();
        Points::new(values, dimension).unwrap()
    }

    #[test]
    fn the_neighbours_are_those_that_sorting_all_distances_gives() {
        let (points, cancel) = (points(701, 7), Cancellation::new());
        let graph = NeighbourGraph::exact(&points, 9, &unwatched(&cancel)).unwrap();
        for row in 0..points.count() {
            let mut others: Vec<usize> =
                (0..points.count()).filter(|&other| other != row).collect();
            others.sort_by(|&a, &b| points.distance(row, a).total_cmp(&points.distance(row, b)));
            let expected: Vec<u32> = others[..9].iter().map(|&other| row_id(other)).collect();
            assert_eq!(graph.of(row).map(|near| near.0).collect::<Vec<_>>(), expected, "row {row}");
            assert_eq!(graph.distance_at(row, 9), points.distance(row, others[8]));
        }
    }

    #[test]
    fn what_a_search_finds_is_put_in_order_without_the_row_itself() {
        let cancel = Cancellation::new();
        let graph = NeighbourGraph::searched(4, 2, &unwatched(&cancel), |row, _| {
            Ok(vec![(3, 0.5), (row_id(row), 0.0), (9, 0.1), (0, 0.25), (3, 0.5)])
        })
        .unwrap();
        assert_eq!(graph.of(0).collect::<Vec<_>>(), [(3, 0.5)]);
        assert_eq!(graph.of(1).collect::<Vec<_>>(), [(0, 0.25), (3, 0.5)]);
        assert_eq!(graph.pairs().count(), 5);
        let adjacency = Adjacency::shared(&graph);
        // 1 and 2 know 0 and 3 besides themselves, and 0 knows 3: two of three are shared.
        assert_eq!(adjacency.of(1).collect::<Vec<_>>(), [(0, 2.0 / 3.0), (3, 2.0 / 3.0)]);
    }

    #[test]
    fn cancelled_work_ends_and_a_lone_point_has_no_neighbours() {
        let cancel = Cancellation::new();
        let alone = NeighbourGraph::exact(&points(1, 3), 5, &unwatched(&cancel)).unwrap();
        assert_eq!((alone.count(), alone.of(0).count()), (1, 0));
        cancel.cancel();
        let error = NeighbourGraph::exact(&points(50, 3), 5, &unwatched(&cancel)).unwrap_err();
        assert!(matches!(error, ClusterError::Interrupted(Interrupted::Cancelled)));
        let wide = NeighbourGraph::exact(&points(50, 3), 0, &unwatched(&cancel)).unwrap_err();
        assert_eq!(wide.to_string(), "neighbours is 0, expected 1 to 1024");
    }
}
