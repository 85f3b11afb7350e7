use rayon::prelude::*;

use super::{NOBODY, NeighbourGraph};
use crate::cluster::points::row_id;

/// Rows that one thread takes at a time.
const ROWS_AT_ONCE: usize = 1_024;

/// A weighted graph without directions or loops: each edge stands with both of its ends.
#[derive(Debug, Clone, Default)]
pub struct Adjacency {
    starts: Vec<usize>,
    targets: Vec<u32>,
    weights: Vec<f32>,
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
        let (lists, rows) = (&lists, (0..row_id(graph.count())).collect::<Vec<u32>>());
        let weighted = |&row: &u32| {
            let own = &lists[row as usize];
            graph.pairs_of(row as usize).map(move |(other, _)| {
                let others = &lists[other as usize];
                let both = common(own, others);
                (row, other, both as f32 / (own.len() + others.len() - both) as f32)
            })
        };
        let edges: Vec<Vec<(u32, u32, f32)>> = rows
            .par_chunks(ROWS_AT_ONCE)
            .map(|rows| rows.iter().flat_map(weighted).collect())
            .collect();
        Self::new(graph.count(), edges.iter().flatten().copied())
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
