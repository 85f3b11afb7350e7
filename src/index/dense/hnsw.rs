use std::cmp::Reverse;
use std::io;

use hnsw_rs::anndists::dist::distances::Distance;
use hnsw_rs::hnsw::Hnsw;
use rayon::ThreadPool;

use super::graph::{Graph, Layer};
use super::space::Pairs;
use super::{BuildJob, DenseError};

/// How many layers there are at most: the most that `hnsw_rs` has.
const LAYERS_MAX: usize = 16;
/// How many nodes are inserted between two looks at the progress.
const BATCH: usize = 4_096;

/// Nodes are handed to `hnsw_rs` by number, so that it keeps no vectors of its own; distances look
/// the rows up.
struct RowDistance<'a, S> {
    space: &'a S,
}

impl<S: Pairs> Distance<u32> for RowDistance<'_, S> {
    fn eval(&self, a: &[u32], b: &[u32]) -> f32 {
        // hnsw_rs panics on a negative distance, and rounding may make one of two equal rows.
        self.space.between(a[0], b[0]).max(0.0)
    }
}

/// What `hnsw_rs` made. Nodes are numbered by their top layer, the highest first, and among those of one
/// layer in the order of their rows, until they are numbered anew.
pub(super) struct Built {
    pub(super) graph: Graph,
    /// The row of each node.
    pub(super) rows: Vec<u32>,
}

impl Built {
    /// Adds those of the rows below `count` that have no node, as nodes of the lowest layer without links.
    ///
    /// # Errors
    /// If the system gives no memory.
    pub(super) fn with_all(mut self, count: usize) -> io::Result<Self> {
        let mut has_node = vec![false; count];
        self.rows.iter().for_each(|&row| has_node[row as usize] = true);
        let without = (0u32..).zip(has_node).filter(|(_, has_node)| !has_node);
        self.rows.extend(without.map(|(row, _)| row));
        if let Some(lowest) = self.graph.layers.first_mut() {
            let mut whole = Layer::empty(count, lowest.width)?;
            whole.links[..lowest.links.len()].copy_from_slice(&lowest.links);
            *lowest = whole;
        }
        Ok(self)
    }
}

/// Builds a graph over rows, all of them or some, in the given order: the first alone (racing for the
/// first place is a defect of `hnsw_rs`), the others in parallel batches.
///
/// # Errors
/// [`DenseError`]: cancelled as the job says; unavailable without memory.
pub(super) fn build<S: Pairs>(
    space: &S,
    order: &[u32],
    links: usize,
    ef: usize,
    pool: &ThreadPool,
    job: &BuildJob<'_>,
    progress: &dyn Fn(usize),
) -> Result<Built, DenseError> {
    let hnsw = Hnsw::new(links, order.len(), LAYERS_MAX, ef, RowDistance { space });
    if let Some(first) = order.first() {
        hnsw.insert_slice((&[*first], *first as usize));
    }
    let rest = order.get(1..).unwrap_or_default();
    let mut done = 1;
    for batch in rest.chunks(BATCH) {
        job.cancel.check()?;
        let items: Vec<(&[u32], usize)> =
            batch.iter().map(|row| (std::slice::from_ref(row), *row as usize)).collect();
        pool.install(|| hnsw.parallel_insert_slice(&items));
        done += batch.len();
        progress(done);
    }
    Ok(take_out(&hnsw, order.len(), links)?)
}

fn take_out<S: Pairs>(
    hnsw: &Hnsw<'_, u32, RowDistance<'_, S>>,
    count: usize,
    links: usize,
) -> io::Result<Built> {
    let mut points = Vec::with_capacity(count);
    // Iterating an empty graph panics.
    if count > 0 {
        points.extend(hnsw.get_point_indexation().into_iter());
    }
    points.sort_by_key(|point| (Reverse(point.get_point_id().0), point.get_origin_id()));
    let rows: Vec<u32> =
        points.iter().map(|point| u32::try_from(point.get_origin_id()).unwrap_or(0)).collect();
    let mut nodes = vec![0u32; rows.iter().max().map_or(0, |&row| row as usize + 1)];
    for (node, &row) in (0u32..).zip(&rows) {
        nodes[row as usize] = node;
    }
    let top = points.first().map_or(0, |point| usize::from(point.get_point_id().0));
    let mut layers = Vec::with_capacity(top + 1);
    for level in 0..=top {
        let members =
            points.iter().take_while(|point| usize::from(point.get_point_id().0) >= level).count();
        layers.push(Layer::empty(members, if level == 0 { 2 * links } else { links })?);
    }
    let mut row = Vec::new();
    for (node, point) in (0u32..).zip(&points) {
        let level = usize::from(point.get_point_id().0);
        for (layer, neighbours) in
            layers.iter_mut().zip(point.get_neighborhood_id()).take(level + 1)
        {
            let members = layer.count();
            row.clear();
            row.extend(
                neighbours
                    .iter()
                    .map(|neighbour| nodes[neighbour.get_origin_id()])
                    .filter(|&other| other != node && (other as usize) < members),
            );
            layer.set(node, &row);
        }
    }
    Ok(Built { graph: Graph { layers }, rows })
}
