mod adjacency;
mod descent;
mod lists;
mod trees;

use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

pub use adjacency::Adjacency;
use lists::Lists;

use super::points::row_id;
use super::{ClusterError, EXACT_MAX, Points, Work};
use crate::vector::kernel;

/// The most neighbours that are kept of each point.
const WIDTH_MAX: usize = 1_024;
/// Rows that one thread takes at a time.
const ROWS_AT_ONCE: usize = 64;
/// Bytes of rows that are compared while they stay in a core's cache.
const TILE_BYTES: usize = 256 << 10;
/// Trees that neighbours are first looked for in.
const TREES: usize = 6;
/// Stands for no neighbour.
const NOBODY: u32 = u32::MAX;

/// The nearest neighbours of every point, nearest first, the point itself left out.
#[derive(Debug, Clone)]
pub struct NeighbourGraph {
    width: usize,
    ids: Vec<u32>,
    distances: Vec<f32>,
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
        let width = Self::width_of(count, width)?;
        let mut graph = Self::empty(count, width);
        if width == 0 {
            return Ok(graph);
        }
        let done = AtomicUsize::new(0);
        let chunks = graph.ids.par_chunks_mut(width * ROWS_AT_ONCE);
        let chunks = chunks.zip(graph.distances.par_chunks_mut(width * ROWS_AT_ONCE));
        chunks.enumerate().try_for_each(|(chunk, (ids, distances))| {
            let mut lists: Vec<_> =
                ids.chunks_mut(width).zip(distances.chunks_mut(width)).collect();
            let before = done.fetch_add(lists.len(), Ordering::Relaxed);
            work.step("looking for neighbours", before, count)?;
            compare_all(points, chunk * ROWS_AT_ONCE, &mut lists);
            Ok::<(), ClusterError>(())
        })?;
        Ok(graph)
    }

    /// Returns a graph of the `width` nearest neighbours of each point that misses few of them, in time
    /// that grows with the points and not with their pairs: trees put together what lies together,
    /// and then neighbours of neighbours are compared until that finds next to nothing. The same
    /// seed gives the same graph, on however many threads.
    ///
    /// # Errors
    /// [`ClusterError`]: invalid input for a width out of 1 to 1,024; cancelled.
    pub fn approximate(
        points: &Points,
        width: usize,
        work: &Work<'_>,
    ) -> Result<Self, ClusterError> {
        let width = Self::width_of(points.count(), width)?;
        if width == 0 {
            return Ok(Self::empty(points.count(), width));
        }
        let lists = Lists::new(points.count(), width);
        let mut order = Vec::new();
        for tree in 0..TREES {
            work.step("looking for neighbours", tree * points.count(), TREES * points.count())?;
            let seed = work.seed.wrapping_mul(TREES as u64).wrapping_add(tree as u64);
            order = trees::grow(points, &lists, seed, work)?;
        }
        descent::descend(points, &lists, &order, work)?;
        let mut graph = Self::empty(points.count(), width);
        let rows = graph.ids.par_chunks_mut(width).zip(graph.distances.par_chunks_mut(width));
        rows.enumerate().for_each(|(row, (ids, distances))| {
            lists.with(row, |list| {
                for (place, entry) in list.iter().enumerate() {
                    ids[place] = entry.near.row;
                    distances[place] = entry.near.distance.sqrt();
                }
            });
        });
        Ok(graph)
    }

    /// Returns the graph of the `width` nearest neighbours: exact for at most [`EXACT_MAX`] points,
    /// [approximate](Self::approximate) for more.
    ///
    /// # Errors
    /// [`ClusterError`]: invalid input for a width out of 1 to 1,024; cancelled.
    pub fn nearest(points: &Points, width: usize, work: &Work<'_>) -> Result<Self, ClusterError> {
        if points.count() <= EXACT_MAX {
            Self::exact(points, width, work)
        } else {
            Self::approximate(points, width, work)
        }
    }

    fn width_of(count: usize, width: usize) -> Result<usize, ClusterError> {
        ClusterError::require("neighbours", width as f64, 1.0, WIDTH_MAX as f64)?;
        Ok(width.min(count.saturating_sub(1)))
    }

    fn empty(count: usize, width: usize) -> Self {
        let (ids, distances) = (vec![NOBODY; count * width], vec![f32::INFINITY; count * width]);
        Self { width, ids, distances }
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
            self.pairs_of(row).map(move |(other, distance)| (id, other, distance))
        })
    }

    /// Returns those of [`Self::pairs`] that stand with this row.
    fn pairs_of(&self, row: usize) -> impl Iterator<Item = (u32, f32)> + Clone + '_ {
        let id = row_id(row);
        let is_here = move |other: u32| row < other as usize || !self.has(other as usize, id);
        self.of(row).filter(move |near| is_here(near.0))
    }
}

/// Finds the nearest of all points of some rows, from `first` on.
fn compare_all(points: &Points, first: usize, lists: &mut [(&mut [u32], &mut [f32])]) {
    let tile = (TILE_BYTES / (points.dimension() * size_of::<f32>())).clamp(16, 4_096);
    let ids: Vec<u32> = (0..row_id(points.count())).collect();
    let mut found = vec![0.0f32; tile];
    let mut heaps: Vec<BinaryHeap<Near>> =
        lists.iter().map(|list| BinaryHeap::with_capacity(list.0.len() + 1)).collect();
    for ids in ids.chunks(tile) {
        let found = &mut found[..ids.len()];
        for (place, heap) in heaps.iter_mut().enumerate() {
            let (row, width) = (first + place, lists[place].0.len());
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
    for (heap, (ids, distances)) in heaps.into_iter().zip(lists) {
        for (place, near) in heap.into_sorted_vec().into_iter().enumerate() {
            (ids[place], distances[place]) = (near.row, near.distance.sqrt());
        }
    }
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

    /// Clusters of unlike width in 24 dimensions, and points between them.
    fn clustered(count: usize) -> Points {
        let mut chance = StdRng::seed_from_u64(5);
        let centres: Vec<f32> = (0..20 * 24).map(|_| chance.random::<f32>() * 4.0).collect();
        let values = (0..count * 24).map(|at| {
            let (row, component) = (at / 24, at % 24);
            let width = if row % 10 == 9 { 4.0 } else { 0.2 + 0.02 * (row % 20) as f32 };
            centres[row % 20 * 24 + component] + chance.random::<f32>() * width
        });
        Points::new(values.collect(), 24).unwrap()
    }

    fn recall(found: &NeighbourGraph, exact: &NeighbourGraph) -> f64 {
        let rows = 0..exact.count();
        let shared = rows.flat_map(|row| exact.of(row).filter(move |near| found.has(row, near.0)));
        shared.count() as f64 / exact.ids.len() as f64
    }

    #[test]
    fn trees_and_descent_find_nearly_all_neighbours_where_one_tree_does_not() {
        let (points, cancel) = (clustered(4_000), Cancellation::new());
        let work = unwatched(&cancel);
        let exact = NeighbourGraph::exact(&points, 15, &work).unwrap();
        let found = NeighbourGraph::approximate(&points, 15, &work).unwrap();
        assert!(recall(&found, &exact) > 0.97, "{}", recall(&found, &exact));
        for row in 0..points.count() {
            for (other, distance) in found.of(row) {
                assert_eq!(distance, points.distance(row, other as usize));
            }
            assert!(found.of(row).is_sorted_by(|a, b| (a.1, a.0) < (b.1, b.0)), "row {row}");
        }
        let lists = Lists::new(points.count(), 15);
        trees::grow(&points, &lists, 1, &work).unwrap();
        let found_by_tree: usize = (0..points.count())
            .map(|row| {
                let is_found = |entry: &&mut lists::Entry| exact.has(row, entry.near.row);
                lists.with(row, |list| list.iter_mut().filter(is_found).count())
            })
            .sum();
        let share = found_by_tree as f64 / exact.ids.len() as f64;
        assert!((0.2..0.9).contains(&share), "one tree alone finds {share}");
    }

    #[test]
    fn the_graph_is_the_same_on_one_thread_and_on_several() {
        let (points, cancel) = (clustered(3_000), Cancellation::new());
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let find = || NeighbourGraph::approximate(&points, 10, &unwatched(&cancel)).unwrap();
            pool.install(find)
        };
        let (one, several) = (on(1), on(4));
        assert_eq!(one.ids, several.ids);
        assert_eq!(one.distances, several.distances);
        let work = Work { seed: 8, ..unwatched(&cancel) };
        let other = NeighbourGraph::approximate(&points, 10, &work).unwrap();
        assert_ne!(one.ids, other.ids, "another seed misses others");
    }

    #[test]
    fn points_that_are_all_the_same_are_neighbours_at_no_distance() {
        let (points, cancel) = (Points::new(vec![1.0; 3 * 2_000], 3).unwrap(), Cancellation::new());
        let graph = NeighbourGraph::approximate(&points, 5, &unwatched(&cancel)).unwrap();
        for row in 0..2_000 {
            assert_eq!(graph.of(row).filter(|near| near.1 == 0.0).count(), 5);
        }
    }

    #[test]
    fn cancelled_work_ends_and_a_lone_point_has_no_neighbours() {
        let cancel = Cancellation::new();
        let alone = NeighbourGraph::exact(&points(1, 3), 5, &unwatched(&cancel)).unwrap();
        assert_eq!((alone.count(), alone.of(0).count()), (1, 0));
        let alone = NeighbourGraph::approximate(&points(1, 3), 5, &unwatched(&cancel)).unwrap();
        assert_eq!((alone.count(), alone.of(0).count()), (1, 0));
        cancel.cancel();
        let error = NeighbourGraph::exact(&points(50, 3), 5, &unwatched(&cancel)).unwrap_err();
        assert!(matches!(error, ClusterError::Interrupted(Interrupted::Cancelled)));
        let error =
            NeighbourGraph::approximate(&points(50, 3), 5, &unwatched(&cancel)).unwrap_err();
        assert!(matches!(error, ClusterError::Interrupted(Interrupted::Cancelled)));
        let wide = NeighbourGraph::exact(&points(50, 3), 0, &unwatched(&cancel)).unwrap_err();
        assert_eq!(wide.to_string(), "neighbours is 0, expected 1 to 1024");
    }
}
