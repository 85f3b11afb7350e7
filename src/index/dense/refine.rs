use rayon::ThreadPool;
use rayon::prelude::*;

use super::graph::{Graph, Layer, Links, linked, set_row};
use super::pages::Pages;
use super::space::Pairs;
use super::walk::{Candidate, Room, Scratch, descend, walk};
use super::{BuildJob, DenseError};

/// How many nodes are refined between two looks at the progress.
const BATCH: usize = 8_192;

/// See [`Choice::slack`]; more than one keeps links that are nearly redundant, which shortens walks.
pub(super) const SLACK: f32 = 1.2;

/// How a node's links are chosen among candidates.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice {
    /// The most links of a node.
    pub(super) width: usize,
    /// How many candidates are looked for.
    pub(super) ef: usize,
    /// A candidate is left out if it is so many times nearer to a chosen one than to the node;
    /// squared distances are compared.
    pub(super) slack: f32,
}

/// Working space of a choice.
#[derive(Debug, Default)]
struct Workspace<Q> {
    scratch: Scratch,
    query: Q,
    candidates: Vec<Candidate>,
    chosen: Vec<Candidate>,
    rows: Vec<u32>,
    keys: Vec<f32>,
}

/// Returns the lowest layer linked anew: for each node the neighbours are searched for in the layer
/// as it is, starting at the node, or from the top for those after the first `placed`, which have no
/// links; those that lead in different directions are linked, and links are made to lead both ways. The
/// result depends on the graph alone, not on the threads.
///
/// # Errors
/// [`DenseError`]: cancelled as the job says; unavailable without memory.
pub(super) fn refine<S: Pairs>(
    space: &S,
    graph: &Graph,
    placed: usize,
    choice: Choice,
    pool: &ThreadPool,
    job: &BuildJob<'_>,
    progress: &dyn Fn(usize),
) -> Result<Layer, DenseError> {
    let (count, width) = (graph.count(), choice.width);
    let links = graph.links();
    let mut forward = Layer::empty(count, width)?;
    let mut keys = Pages::<f32>::zeroed(count * width)?;
    for start in (0..count).step_by(BATCH) {
        job.cancel.check()?;
        let end = (start + BATCH).min(count);
        let range = start * width..end * width;
        pool.install(|| {
            forward.links[range.clone()]
                .par_chunks_mut(width)
                .zip(keys[range.clone()].par_chunks_mut(width))
                .enumerate()
                .with_min_len(64)
                .for_each_init(Workspace::<S::Query>::default, |work, (offset, (row, keys))| {
                    let node = u32::try_from(start + offset).unwrap_or(u32::MAX);
                    work.search(space, &links, node, start + offset < placed, choice.ef);
                    work.choose(space, choice);
                    write(&work.chosen, row, keys);
                });
        });
        progress(end);
    }
    let incoming = Incoming::of(&forward, &keys)?;
    let mut both = Layer::empty(count, width)?;
    for start in (0..count).step_by(BATCH) {
        job.cancel.check()?;
        let end = (start + BATCH).min(count);
        pool.install(|| {
            both.links[start * width..end * width]
                .par_chunks_mut(width)
                .enumerate()
                .with_min_len(64)
                .for_each_init(Workspace::<S::Query>::default, |work, (offset, links)| {
                    let node = u32::try_from(start + offset).unwrap_or(u32::MAX);
                    work.join(&forward, &keys, &incoming, node, width);
                    if work.candidates.len() > width {
                        work.choose(space, choice);
                    } else {
                        std::mem::swap(&mut work.candidates, &mut work.chosen);
                    }
                    work.rows.clear();
                    work.rows.extend(work.chosen.iter().map(|chosen| chosen.node));
                    set_row(links, &work.rows);
                });
        });
    }
    Ok(both)
}

fn write(chosen: &[Candidate], links: &mut [u32], keys: &mut [f32]) {
    for ((link, key), candidate) in links.iter_mut().zip(keys).zip(chosen) {
        (*link, *key) = (candidate.node, candidate.key);
    }
}

impl<Q: Default> Workspace<Q> {
    /// Gathers what is near the node.
    fn search<S: Pairs<Query = Q>>(
        &mut self,
        space: &S,
        links: &Links<'_>,
        node: u32,
        is_placed: bool,
        ef: usize,
    ) {
        let Self { query, scratch, .. } = self;
        space.prepare_row(node, query);
        let entry = if is_placed { node } else { descend(space, query, links, scratch) };
        walk(space, query, links.layers[0], &[entry], Room::exact(ef), scratch);
        self.candidates.clear();
        self.candidates.extend(self.scratch.pool.nearest().filter(|near| near.node != node));
    }

    /// Gathers the links of a node and the nodes that link to it, nearest first.
    fn join(&mut self, layer: &Layer, keys: &[f32], incoming: &Incoming, node: u32, width: usize) {
        self.candidates.clear();
        let start = node as usize * width;
        let own = linked(&layer.links[start..start + width]);
        self.candidates
            .extend(own.iter().zip(&keys[start..]).map(|(&node, &key)| Candidate { key, node }));
        self.candidates.extend_from_slice(incoming.of_node(node));
        self.candidates
            .sort_unstable_by(|a, b| a.key.total_cmp(&b.key).then_with(|| a.node.cmp(&b.node)));
        self.candidates.dedup_by_key(|candidate| candidate.node);
    }

    /// Chooses links among the candidates, which are in order: one that is nearer to a chosen one
    /// than to the node is reached through that.
    fn choose<S: Pairs<Query = Q>>(&mut self, space: &S, choice: Choice) {
        self.chosen.clear();
        self.rows.clear();
        for &candidate in &self.candidates {
            if self.chosen.len() == choice.width {
                break;
            }
            let is_hidden = !self.chosen.is_empty() && {
                space.prepare_row(candidate.node, &mut self.query);
                self.rows.chunks(8).any(|rows| {
                    self.keys.clear();
                    space.compare(&self.query, rows, &mut self.keys);
                    self.keys.iter().any(|&key| key * choice.slack < candidate.key)
                })
            };
            if !is_hidden {
                self.chosen.push(candidate);
                self.rows.push(candidate.node);
            }
        }
    }
}

/// For each node, the nodes that link to it and how near they are.
struct Incoming {
    starts: Vec<usize>,
    candidates: Vec<Candidate>,
}

impl Incoming {
    fn of(layer: &Layer, keys: &[f32]) -> Result<Self, DenseError> {
        let count = layer.count();
        let mut starts = vec![0; count + 1];
        for row in layer.links.chunks_exact(layer.width) {
            for &link in linked(row) {
                starts[link as usize + 1] += 1;
            }
        }
        for node in 0..count {
            starts[node + 1] += starts[node];
        }
        let mut candidates = vec![Candidate::default(); starts[count]];
        let mut next = starts.clone();
        for (node, (row, keys)) in
            (0u32..).zip(layer.links.chunks_exact(layer.width).zip(keys.chunks_exact(layer.width)))
        {
            for (&link, &key) in linked(row).iter().zip(keys) {
                let place = &mut next[link as usize];
                candidates[*place] = Candidate { key, node };
                *place += 1;
            }
        }
        Ok(Self { starts, candidates })
    }

    fn of_node(&self, node: u32) -> &[Candidate] {
        &self.candidates[self.starts[node as usize]..self.starts[node as usize + 1]]
    }
}
