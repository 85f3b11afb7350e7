//! How many candidates does a walk of this graph need?
//!
//! Where vectors have no structure that a graph could follow, a walk of the usual breadth misses
//! many of the nearest. A segment finds that out for itself when it is built.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::ThreadPool;
use rayon::prelude::*;

use super::super::detours::Detours;
use super::super::form::{Form, exact_key, length_of, search_keys};
use super::super::graph::{Graph, Layer};
use super::super::plan::{BITS_BREADTH, BREADTH_MAX, SearchPlan, search_plan, widened};
use super::super::projection::Projection;
use super::super::space::{BitSpace, CodeSpace, FloatSpace, Space};
use super::super::walk::{Room, Scratch, enter, walk_around};
use super::super::{BuildJob, DenseError, SearchOptions};
use super::gather;
use crate::vector::Metric;
use crate::vector::kernel::Rows;

/// Searches of the usual breadth are to find that share of so many nearest.
const RECALL: f64 = 0.95;
const NEAREST: usize = 10;
/// The breadths that are tried, in this order.
const BREADTHS: [f32; 11] = [1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0, 12.0, BREADTH_MAX];
/// A walk that is wider than usual, and so many times as wide would be no better than comparing all,
/// gives way to that: it finds also what is near to questions that no node is like.
const NEARLY_A_SCAN: f32 = 2.0;
/// How many nodes are looked for, as if they were not in the graph.
const SAMPLE: usize = 160;
/// How many rows are compared with the sample between two looks at the cancellation.
const BATCH: usize = 65_536;
/// So many rows, and so many of the sample, are compared while they are near in memory.
const ROWS: usize = 512;
const GROUP: usize = 40;

/// What is walked, and the vectors that it stands for, in the order of nodes.
#[derive(Clone, Copy)]
pub(super) struct Walked<'a> {
    pub(super) form: &'a Form,
    pub(super) codes: Option<(&'a [u8], usize)>,
    pub(super) graph: &'a Graph,
    pub(super) stragglers: &'a [u32],
    pub(super) rows: &'a [&'a [f32]],
    pub(super) metric: Metric,
    /// See [`super::form::deviation`].
    pub(super) deviation: f32,
}

/// A node, and how near the last of the nodes nearest to it is.
struct Sampled {
    node: u32,
    farthest: f32,
}

/// Working space of a walk.
#[derive(Default)]
struct Workspace<Q> {
    scratch: Scratch,
    query: Q,
    entries: Vec<u32>,
    centred: Vec<f32>,
    projected: Vec<f32>,
}

/// Returns how many times as many candidates as a search asks for a walk has to keep, so that
/// searches that ask for the usual number find what they are expected to. 1 to [`BREADTH_MAX`].
///
/// # Errors
/// [`DenseError`]: cancelled as the job says; unavailable without memory.
pub(super) fn breadth(
    walked: &Walked<'_>,
    pool: &ThreadPool,
    job: &BuildJob<'_>,
) -> Result<f32, DenseError> {
    let keys = search_keys(walked.metric);
    let rows = walked.codes.map(|(codes, width)| Rows::new(codes, width));
    match (walked.form, rows) {
        (Form::Codes(projection), Some(rows)) => {
            breadth_in(&CodeSpace::new(rows, keys), Some(projection), 1.0, walked, pool, job)
        }
        (Form::Bits(projection), Some(rows)) => {
            let space = BitSpace::new(rows, projection.components(), keys);
            breadth_in(&space, Some(projection), BITS_BREADTH, walked, pool, job)
        }
        _ => {
            let width = walked.rows.first().map_or(1, |row| row.len());
            let floats = gather(walked.rows, width)?;
            let space = FloatSpace::new(Rows::new(&floats, width), keys);
            breadth_in(&space, None, 1.0, walked, pool, job)
        }
    }
}

fn breadth_in<S: Space>(
    space: &S,
    projection: Option<&Projection>,
    least: f32,
    walked: &Walked<'_>,
    pool: &ThreadPool,
    job: &BuildJob<'_>,
) -> Result<f32, DenseError> {
    let usual = SearchOptions::default().ef;
    let count = walked.rows.len();
    let mut sample = Vec::new();
    for breadth in BREADTHS.into_iter().filter(|&breadth| breadth >= least) {
        job.cancel.check()?;
        let ef = widened(usual, breadth);
        if search_plan(count, count, NEAREST, ef) == SearchPlan::Scan {
            return Ok(breadth);
        }
        if sample.is_empty() {
            sample = sampled(walked, pool, job)?;
        }
        let found = AtomicUsize::new(0);
        pool.install(|| {
            sample.par_iter().for_each_init(Workspace::<S::Query>::default, |work, sampled| {
                let hits = work.hits(space, projection, walked, sampled, ef);
                found.fetch_add(hits, Ordering::Relaxed);
            });
        });
        if found.into_inner() as f64 >= RECALL * (NEAREST * sample.len()) as f64 {
            let wider = (breadth * NEARLY_A_SCAN).min(BREADTH_MAX);
            let plan = search_plan(count, count, NEAREST, widened(usual, wider));
            let is_worth_a_scan = breadth > least && plan == SearchPlan::Scan;
            return Ok(if is_worth_a_scan { wider } else { breadth });
        }
    }
    Ok(BREADTH_MAX)
}

/// Picks nodes of the lowest layer alone: without others descending would not be what it is.
fn sampled(
    walked: &Walked<'_>,
    pool: &ThreadPool,
    job: &BuildJob<'_>,
) -> Result<Vec<Sampled>, DenseError> {
    let rows = walked.rows;
    let upper = walked.graph.layers.get(1).map_or(0, Layer::count);
    let step = ((rows.len() - upper) / SAMPLE).max(1);
    let places: Vec<usize> = (upper + step / 2..rows.len()).step_by(step).take(SAMPLE).collect();
    let mut lowest = vec![[f32::INFINITY; NEAREST]; places.len()];
    for start in (0..rows.len()).step_by(BATCH) {
        job.cancel.check()?;
        let batch = &rows[start..(start + BATCH).min(rows.len())];
        pool.install(|| {
            lowest.par_chunks_mut(GROUP).zip(places.par_chunks(GROUP)).for_each(
                |(lowest, places)| {
                    for (number, others) in batch.chunks(ROWS).enumerate() {
                        let first = start + number * ROWS;
                        for (lowest, &place) in lowest.iter_mut().zip(places) {
                            for (other, row) in (first..).zip(others) {
                                if other != place {
                                    offer(lowest, exact_key(walked.metric, rows[place], row));
                                }
                            }
                        }
                    }
                },
            );
        });
    }
    let nodes = places.iter().map(|&place| u32::try_from(place).unwrap_or(u32::MAX));
    let farthest = lowest.iter().map(|lowest| lowest[NEAREST - 1]);
    Ok(nodes.zip(farthest).map(|(node, farthest)| Sampled { node, farthest }).collect())
}

/// Keeps the key if it is among the lowest, which ascend.
fn offer(lowest: &mut [f32; NEAREST], key: f32) {
    if key < lowest[NEAREST - 1] {
        let place = lowest.partition_point(|&other| other <= key);
        lowest[place..].rotate_right(1);
        lowest[place] = key;
    }
}

impl<Q: Default> Workspace<Q> {
    /// Returns how many of the nearest a walk finds that does not meet the node itself.
    fn hits<S: Space<Query = Q>>(
        &mut self,
        space: &S,
        projection: Option<&Projection>,
        walked: &Walked<'_>,
        sampled: &Sampled,
        ef: usize,
    ) -> usize {
        let Self { scratch, query, entries, centred, projected } = self;
        let vector = walked.rows[sampled.node as usize];
        let mut room = Room::exact(ef);
        match projection {
            Some(projection) => {
                projection.apply_to_query(walked.metric, vector, centred, projected);
                space.prepare(projected, query);
                let length = length_of(walked.metric, vector, centred);
                room = Room::with_error(ef, walked.deviation * length);
            }
            None => space.prepare(vector, query),
        }
        let links = walked.graph.links();
        enter(space, query, &links, walked.stragglers, entries, scratch);
        entries.retain(|&entry| entry != sampled.node);
        // Without detours a little less is found than would be: at worst the next breadth is taken.
        let without = Detours::none(sampled.node);
        walk_around(space, query, links.layers[0], entries, &without, room, scratch);
        let keys = scratch
            .pool
            .nearest()
            .map(|near| exact_key(walked.metric, vector, walked.rows[near.node as usize]));
        keys.filter(|&key| key <= sampled.farthest).count().min(NEAREST)
    }
}
