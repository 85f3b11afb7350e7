use super::forest::Forest;
use super::points::row_id;
use super::{ClusterError, NeighbourGraph, Points, Work};
use crate::vector::kernel;

/// The most points that stand for the parts of a neighbour graph that is not connected, and of one
/// part.
const DELEGATES_MAX: usize = 4_096;
const DELEGATES_OF_PART_MAX: usize = 32;
/// How many points of each side are compared where delegates had to be split.
const BRIDGE_POINTS: usize = 512;
/// How many steps are taken between two looks at whether to go on.
const STEPS_AT_ONCE: usize = 64;

/// Two points of a tree and how far apart they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Edge {
    pub(super) a: u32,
    pub(super) b: u32,
    pub(super) weight: f32,
}

/// What the distance of two points is, for a tree.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reachability<'a> {
    pub(super) points: &'a Points,
    /// The core distance of each point: no distance from it counts as less.
    pub(super) core: &'a [f32],
}

impl Reachability<'_> {
    /// Returns the mutual reachability of two points: the largest of their distance and both of
    /// their core distances (Campello et al. 2013, definition 3.3).
    fn of(&self, a: u32, b: u32, distance: f32) -> f32 {
        distance.max(self.core[a as usize]).max(self.core[b as usize])
    }
}

/// Returns the minimum spanning tree, lightest edge first, by comparing all pairs (Prim).
///
/// # Errors
/// [`ClusterError::Interrupted`].
pub(super) fn exact(space: Reachability<'_>, work: &Work<'_>) -> Result<Vec<Edge>, ClusterError> {
    let rows: Vec<u32> = (0..row_id(space.points.count())).collect();
    let mut edges = prim(space, &rows, |_, _| false, work)?;
    sort(&mut edges);
    Ok(edges)
}

/// Returns the minimum spanning tree of the neighbour graph, lightest edge first (Kruskal). Parts
/// that no edge joins are joined between delegates of each, so that the tree spans all points.
///
/// # Errors
/// [`ClusterError::Interrupted`].
pub(super) fn over_graph(
    space: Reachability<'_>,
    graph: &NeighbourGraph,
    work: &Work<'_>,
) -> Result<Vec<Edge>, ClusterError> {
    let count = space.points.count();
    let mut edges: Vec<Edge> = graph
        .pairs()
        .map(|(a, b, distance)| Edge { a, b, weight: space.of(a, b, distance) })
        .collect();
    work.step("joining", 0, count)?;
    sort(&mut edges);
    let mut forest = Forest::new(count);
    edges.retain(|edge| forest.join(edge.a, edge.b));
    work.step("joining", edges.len(), count)?;
    if edges.len() + 1 < count {
        let part: Vec<u32> = (0..row_id(count)).map(|row| forest.root(row)).collect();
        let mut bridges = Vec::new();
        connect(space, &part, delegates(&part), &mut bridges, work)?;
        sort(&mut bridges);
        edges.extend(bridges.into_iter().filter(|edge| forest.join(edge.a, edge.b)));
        sort(&mut edges);
    }
    Ok(edges)
}

fn sort(edges: &mut [Edge]) {
    edges.sort_unstable_by(|one, other| {
        one.weight.total_cmp(&other.weight).then((one.a, one.b).cmp(&(other.a, other.b)))
    });
}

/// Returns points of each part, spread evenly over its rows.
fn delegates(part: &[u32]) -> Vec<u32> {
    let mut rows: Vec<u32> = (0..row_id(part.len())).collect();
    rows.sort_by_key(|&row| part[row as usize]);
    let parts = rows.chunk_by(|&a, &b| part[a as usize] == part[b as usize]);
    let most = (DELEGATES_MAX / parts.clone().count().max(1)).clamp(1, DELEGATES_OF_PART_MAX);
    parts.flat_map(|rows| spread(rows, most)).collect()
}

fn spread(rows: &[u32], most: usize) -> impl Iterator<Item = u32> + '_ {
    let taken = rows.len().min(most);
    (0..taken).map(move |place| rows[place * rows.len() / taken])
}

/// Joins the parts of all these points. More than can be compared pair by pair are split in two by
/// where they lie, and joined across.
fn connect(
    space: Reachability<'_>,
    part: &[u32],
    mut rows: Vec<u32>,
    edges: &mut Vec<Edge>,
    work: &Work<'_>,
) -> Result<(), ClusterError> {
    let is_joined = |a: u32, b: u32| part[a as usize] == part[b as usize];
    if rows.len() <= DELEGATES_MAX {
        edges.extend(prim(space, &rows, is_joined, work)?);
        return Ok(());
    }
    let first = space.points.row(rows[0] as usize);
    let mut distances = vec![0.0f32; rows.len()];
    space.points.squared_distances(first, &rows, &mut distances);
    let farthest = (0..rows.len()).max_by(|&a, &b| distances[a].total_cmp(&distances[b]));
    let end = space.points.row(rows[farthest.unwrap_or(0)] as usize);
    let direction: Vec<f32> = end.iter().zip(first).map(|(end, first)| end - first).collect();
    let place = |row: &u32| kernel::dot(space.points.row(*row as usize), &direction);
    let mut placed: Vec<(f32, u32)> = rows.iter().map(|row| (place(row), *row)).collect();
    placed.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    rows = placed.into_iter().map(|placed| placed.1).collect();
    let right = rows.split_off(rows.len() / 2);
    let bridge: Vec<u32> =
        spread(&rows, BRIDGE_POINTS).chain(spread(&right, BRIDGE_POINTS)).collect();
    // Halves of a half each: the depth is the logarithm of how many there are.
    connect(space, part, rows, edges, work)?;
    connect(space, part, right, edges, work)?;
    edges.extend(prim(space, &bridge, is_joined, work)?);
    Ok(())
}

/// Returns a minimum spanning tree of these rows; those that are joined already are at no distance.
fn prim(
    space: Reachability<'_>,
    rows: &[u32],
    is_joined: impl Fn(u32, u32) -> bool,
    work: &Work<'_>,
) -> Result<Vec<Edge>, ClusterError> {
    let Some((&first, rest)) = rows.split_first() else { return Ok(Vec::new()) };
    let total = rest.len();
    let mut waiting = rest.to_vec();
    let mut nearest = vec![(f32::INFINITY, first); total];
    let mut distances = vec![0.0f32; total];
    let mut edges = Vec::with_capacity(total);
    let mut last = first;
    while !waiting.is_empty() {
        if edges.len() % STEPS_AT_ONCE == 0 {
            work.step("joining", edges.len(), total)?;
        }
        let distances = &mut distances[..waiting.len()];
        space.points.squared_distances(space.points.row(last as usize), &waiting, distances);
        let mut best = 0;
        for (place, (&row, &distance)) in waiting.iter().zip(distances.iter()).enumerate() {
            let weight =
                if is_joined(last, row) { 0.0 } else { space.of(last, row, distance.sqrt()) };
            if weight < nearest[place].0 {
                nearest[place] = (weight, last);
            }
            if nearest[place].0 < nearest[best].0 {
                best = place;
            }
        }
        let (weight, from) = nearest.swap_remove(best);
        last = waiting.swap_remove(best);
        edges.push(Edge { a: from.min(last), b: from.max(last), weight });
    }
    Ok(edges)
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::super::work::unwatched;
    use super::*;
    use crate::cancel::Cancellation;

    /// Groups far apart, so that a graph of few neighbours falls into one part each.
    fn groups(groups: usize, of: usize) -> Points {
        let mut chance = StdRng::seed_from_u64(11);
        let values = (0..groups * of).flat_map(|row| {
            let centre = (row / of) as f32 * 10.0;
            [centre + chance.random::<f32>(), chance.random::<f32>()]
        });
        Points::new(values.collect(), 2).unwrap()
    }

    fn length(edges: &[Edge]) -> f64 {
        edges.iter().map(|edge| f64::from(edge.weight)).sum()
    }

    #[test]
    fn the_tree_over_the_graph_of_all_neighbours_is_as_short_as_the_exact_one() {
        let (points, cancel) = (groups(4, 50), Cancellation::new());
        let work = unwatched(&cancel);
        let graph = NeighbourGraph::exact(&points, 199, &work).unwrap();
        let core: Vec<f32> = (0..200).map(|row| graph.distance_at(row, 4)).collect();
        let space = Reachability { points: &points, core: &core };
        let exact = exact(space, &work).unwrap();
        let over_graph = over_graph(space, &graph, &work).unwrap();
        assert_eq!((exact.len(), over_graph.len()), (199, 199));
        assert!((length(&exact) - length(&over_graph)).abs() < 1e-4);
    }

    #[test]
    fn parts_that_no_edge_joins_are_joined_close_to_where_they_are_nearest() {
        let (points, cancel) = (groups(6, 40), Cancellation::new());
        let work = unwatched(&cancel);
        let graph = NeighbourGraph::exact(&points, 5, &work).unwrap();
        let core: Vec<f32> = (0..240).map(|row| graph.distance_at(row, 4)).collect();
        let space = Reachability { points: &points, core: &core };
        let (exact, found) =
            (exact(space, &work).unwrap(), over_graph(space, &graph, &work).unwrap());
        assert_eq!(found.len(), 239);
        let heavy = found.iter().filter(|edge| edge.weight > 5.0).count();
        assert_eq!(heavy, 5, "one bridge between neighbouring groups");
        assert!(length(&found) < length(&exact) * 1.01, "{} {}", length(&found), length(&exact));
    }

    #[test]
    fn more_delegates_than_are_compared_pair_by_pair_still_span_all() {
        let count = DELEGATES_MAX * 2 + 100;
        let values = (0..count).map(|row| row as f32).collect();
        let (points, cancel) = (Points::new(values, 1).unwrap(), Cancellation::new());
        let core = vec![0.0; count];
        let part: Vec<u32> = (0..row_id(count)).collect();
        let mut edges = Vec::new();
        let space = Reachability { points: &points, core: &core };
        connect(space, &part, part.clone(), &mut edges, &unwatched(&cancel)).unwrap();
        let mut forest = Forest::new(count);
        let joined = edges.iter().filter(|edge| forest.join(edge.a, edge.b)).count();
        assert_eq!(joined, count - 1);
    }
}
