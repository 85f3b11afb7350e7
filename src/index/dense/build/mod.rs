mod breadth;

use std::io;

use breadth::{Walked, breadth};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::collapse::Distinct;
use super::form::{self, Form};
use super::graph::Graph;
use super::hnsw;
use super::mend::mend;
use super::pages::Pages;
use super::refine::{Choice, SLACK, refine};
use super::renumber::renumber;
use super::space::{CodeSpace, FloatSpace, Keys, Pairs};
use super::walk::NODES_MAX;
use super::{BuildJob, DenseError, DenseOptions};
use crate::vector::Metric;
use crate::vector::kernel::{self, Rows};

/// A graph and what it is walked on, ready to be sealed.
pub(super) struct Draft {
    pub(super) form: Form,
    pub(super) graph: Graph,
    /// The codes or bits of the nodes and how many bytes those of a node take; none for floats.
    pub(super) codes: Option<(Pages<u8>, usize)>,
    /// For each node the first of the given vectors that it stands for.
    pub(super) firsts: Vec<u32>,
    /// For each of the given vectors its node.
    pub(super) nodes: Vec<u32>,
    /// Nodes that a search does not find: they are always compared.
    pub(super) stragglers: Vec<u32>,
    /// See [`form::deviation`].
    pub(super) deviation: f32,
    /// How many times as many candidates as a search asks for a walk keeps.
    pub(super) breadth: f32,
}

/// The graph that is refined is built with a fraction of the links, and with as few candidates as
/// make `hnsw_rs` choose among them: measured, refining makes up for it at a third of the cost.
const SEED_LINKS_DIVISOR: usize = 2;
/// The first refining makes the graph good enough for the second to find the neighbours in it.
const FIRST_EF: usize = 64;
/// What each step counts in the progress, about its share of the time.
const STEPS: [usize; 4] = [4, 1, 3, 1];

/// What the steps share.
struct Work<'a> {
    options: &'a DenseOptions,
    pool: ThreadPool,
    job: &'a BuildJob<'a>,
    count: usize,
}

/// Builds the graph over vectors, of which there is at least one.
///
/// # Errors
/// [`DenseError`]: invalid input for more vectors than a graph has nodes; cancelled as the job says;
/// unavailable without memory.
pub(super) fn build(
    vectors: &[&[f32]],
    options: &DenseOptions,
    job: &BuildJob<'_>,
) -> Result<Draft, DenseError> {
    if vectors.len() > NODES_MAX {
        return Err(DenseError::TooMany { limit: NODES_MAX, actual: vectors.len() });
    }
    job.cancel.check()?;
    let distinct = Distinct::among(vectors);
    let rows: Vec<&[f32]> = distinct.first.iter().map(|&first| vectors[first as usize]).collect();
    let form =
        form::choose(&rows, options.dimension, options.metric, options.quantisation, job.seed);
    job.cancel.check()?;
    let pool = ThreadPoolBuilder::new()
        .num_threads(job.threads.max(1))
        .build()
        .map_err(|error| DenseError::Build(error.to_string()))?;
    let work = Work { options, pool, job, count: rows.len() };
    let seeded = renumber(work.seed(&form, &rows)?)?;
    let ordered: Vec<&[f32]> = seeded.rows.iter().map(|&row| rows[row as usize]).collect();
    let mut graph = seeded.graph;
    let (stragglers, codes) = work.improve(&form, &ordered, &mut graph)?;
    let mut node_of_distinct = vec![0; rows.len()];
    for (node, &row) in (0u32..).zip(&seeded.rows) {
        node_of_distinct[row as usize] = node;
    }
    let (deviation, breadth) = {
        let codes = codes.as_ref().map(|(codes, width)| (&**codes, *width));
        let deviation = graph
            .layers
            .first()
            .map_or(0.0, |lowest| form::deviation(&form, codes, lowest, &ordered, options.metric));
        let walked = Walked {
            form: &form,
            codes,
            graph: &graph,
            stragglers: &stragglers,
            rows: &ordered,
            metric: options.metric,
            deviation,
        };
        (deviation, breadth(&walked, &work.pool, job)?)
    };
    Ok(Draft {
        form,
        graph,
        codes,
        firsts: seeded.rows.iter().map(|&row| distinct.first[row as usize]).collect(),
        nodes: distinct.of.iter().map(|&row| node_of_distinct[row as usize]).collect(),
        stragglers,
        deviation,
        breadth,
    })
}

impl Work<'_> {
    fn seed(&self, form: &Form, rows: &[&[f32]]) -> Result<hnsw::Built, DenseError> {
        let lifts = lifts(rows, self.options.metric);
        match form {
            Form::Floats => {
                let floats = gather(rows, self.options.dimension)?;
                let rows = Rows::new(&floats, self.options.dimension);
                self.seed_in(&FloatSpace::new(rows, keys(&lifts)))
            }
            Form::Codes(projection) | Form::Bits(projection) => {
                let (codes, width) = form::encode(rows, projection)?;
                self.seed_in(&CodeSpace::new(Rows::new(&codes, width), keys(&lifts)))
            }
        }
    }

    fn seed_in<S: Pairs>(&self, space: &S) -> Result<hnsw::Built, DenseError> {
        let links = (self.options.links_max / SEED_LINKS_DIVISOR).max(2);
        // Of no more candidates than a node may have links, hnsw_rs would keep all.
        let ef = 2 * links + 1;
        let mut order: Vec<u32> = (0..).take(self.count).collect();
        order.shuffle(&mut StdRng::seed_from_u64(self.job.seed));
        hnsw::build(space, &order, links, ef, &self.pool, self.job, &|done| self.tell(0, done))
    }

    /// Links the nodes anew, and returns those that stay unfound and the codes of the form.
    fn improve(
        &self,
        form: &Form,
        rows: &[&[f32]],
        graph: &mut Graph,
    ) -> Result<(Vec<u32>, Option<(Pages<u8>, usize)>), DenseError> {
        let lifts = lifts(rows, self.options.metric);
        match form {
            Form::Floats => {
                let floats = gather(rows, self.options.dimension)?;
                let rows = Rows::new(&floats, self.options.dimension);
                let stragglers = self.improve_in(&FloatSpace::new(rows, keys(&lifts)), graph)?;
                Ok((stragglers, None))
            }
            Form::Codes(projection) | Form::Bits(projection) => {
                let (codes, width) = form::encode(rows, projection)?;
                let space = CodeSpace::new(Rows::new(&codes, width), keys(&lifts));
                let stragglers = self.improve_in(&space, graph)?;
                if let Form::Bits(projection) = form {
                    return Ok((stragglers, Some(form::encode_bits(rows, projection)?)));
                }
                Ok((stragglers, Some((codes, width))))
            }
        }
    }

    fn improve_in<S: Pairs>(&self, space: &S, graph: &mut Graph) -> Result<Vec<u32>, DenseError> {
        let width = 2 * self.options.links_max;
        for (step, ef) in [(1, FIRST_EF), (2, self.options.ef_construction)] {
            let choice = Choice { width, ef, slack: SLACK };
            if let Some(lowest) = graph.layers.first_mut() {
                *lowest = refine(space, lowest, choice, &self.pool, self.job, &|done| {
                    self.tell(step, done);
                })?;
            }
        }
        mend(space, graph, &self.pool, self.job, &|done| self.tell(3, done))
    }

    fn tell(&self, step: usize, done: usize) {
        let before: usize = STEPS[..step].iter().sum();
        let all: usize = STEPS.iter().sum();
        (self.job.progress)(before * self.count + STEPS[step] * done, all * self.count);
    }
}

fn keys(lifts: &[f32]) -> Keys<'_> {
    if lifts.is_empty() { Keys::Distances } else { Keys::Lifted(lifts) }
}

/// Returns the components that make all rows equally long, for the metric that needs them.
fn lifts(rows: &[&[f32]], metric: Metric) -> Vec<f32> {
    match metric {
        Metric::Cosine | Metric::Euclidean => Vec::new(),
        Metric::Dot => {
            let norms: Vec<f32> = rows.iter().map(|row| kernel::dot(row, row)).collect();
            let largest = norms.iter().copied().fold(0.0, f32::max);
            norms.into_iter().map(|norm| (largest - norm).max(0.0).sqrt()).collect()
        }
    }
}

fn gather(rows: &[&[f32]], dimension: usize) -> io::Result<Pages<f32>> {
    let mut floats = Pages::zeroed(rows.len() * dimension)?;
    for (row, out) in rows.iter().zip(floats.chunks_exact_mut(dimension)) {
        out.copy_from_slice(row);
    }
    Ok(floats)
}

#[cfg(test)]
mod tests;
