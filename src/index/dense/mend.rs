use rayon::ThreadPool;
use rayon::prelude::*;

use super::graph::{Graph, linked};
use super::space::Pairs;
use super::walk::{Candidate, Room, Scratch, descend, walk};
use super::{BuildJob, DenseError};

/// How many candidates a node is looked for among.
const EF: usize = 32;
/// A node that is not found is linked from so many of those found in its place.
const LINKED_FROM: usize = 6;
/// Links that make room for others may leave others unfound; this often is looked again.
const ROUNDS: usize = 6;
/// How many nodes are looked for between two looks at the progress.
const BATCH: usize = 8_192;

/// Makes every node findable by searching for it, as far as links allow, and returns those that are
/// not.
///
/// # Errors
/// [`DenseError`]: cancelled as the job says.
pub(super) fn mend<S: Pairs>(
    space: &S,
    graph: &mut Graph,
    pool: &ThreadPool,
    job: &BuildJob<'_>,
    progress: &dyn Fn(usize),
) -> Result<Vec<u32>, DenseError> {
    let mut suspects: Vec<u32> = (0..).take(graph.count()).collect();
    for round in 0..ROUNDS {
        let mut lost = Vec::new();
        let mut done = 0;
        for batch in suspects.chunks(BATCH) {
            job.cancel.check()?;
            lost.extend(lost_among(space, graph, batch, pool));
            done += batch.len();
            if round == 0 {
                progress(done);
            }
        }
        if lost.is_empty() || round + 1 == ROUNDS {
            return Ok(lost.into_iter().map(|(node, _)| node).collect());
        }
        suspects.clear();
        for (node, found) in &lost {
            suspects.push(*node);
            suspects.extend(link(graph, *node, found));
        }
        suspects.sort_unstable();
        suspects.dedup();
    }
    Ok(Vec::new())
}

/// Returns the nodes that a search for them does not find, each with what it finds.
fn lost_among<S: Pairs>(
    space: &S,
    graph: &Graph,
    nodes: &[u32],
    pool: &ThreadPool,
) -> Vec<(u32, Vec<Candidate>)> {
    let links = graph.links();
    pool.install(|| {
        nodes
            .par_iter()
            .with_min_len(64)
            .map_init(
                || (Scratch::default(), S::Query::default()),
                |(scratch, query), &node| {
                    space.prepare_row(node, query);
                    let entry = descend(space, query, &links, scratch);
                    walk(space, query, links.layers[0], &[entry], Room::exact(EF), scratch);
                    let is_found = scratch.pool.nearest().any(|found| found.node == node);
                    (!is_found).then(|| (node, scratch.pool.nearest().take(EF / 2).collect()))
                },
            )
            .flatten()
            .collect()
    })
}

/// Links a node from what a search for it finds. Returns the nodes that lost a link to make room.
fn link(graph: &mut Graph, node: u32, found: &[Candidate]) -> Vec<u32> {
    let Some(layer) = graph.layers.first_mut() else { return Vec::new() };
    let mut displaced = Vec::new();
    let mut own: Vec<u32> = layer.of(node).to_vec();
    for candidate in found.iter().take(LINKED_FROM) {
        let mut links = layer.of(candidate.node).to_vec();
        if links.contains(&node) {
            continue;
        }
        if links.len() >= layer.width {
            displaced.extend(links.pop());
        }
        // In front, where the next node that needs room does not take it.
        links.insert(0, node);
        layer.set(candidate.node, &links);
        if own.len() < layer.width && !own.contains(&candidate.node) {
            own.push(candidate.node);
        }
    }
    layer.set(node, linked(&own));
    displaced
}
