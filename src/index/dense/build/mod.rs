mod breadth;
mod compared;

use breadth::{Walked, breadth};
use compared::{AnySpace, Compared, Values, gather};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::collapse::Distinct;
use super::form::{self, Form};
use super::graph::Graph;
use super::hnsw::{self, Built};
use super::mend::mend;
use super::pages::Pages;
use super::refine::{Choice, SLACK, refine};
use super::renumber::renumber;
use super::space::Pairs;
use super::walk::NODES_MAX;
use super::{BuildJob, DenseError, DenseOptions};

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

/// Of more rows than this, `hnsw_rs` is given one in so many, and the first refining places the others in
/// its graph, which costs much less. Measured on word vectors, clusters and groups of two, three and
/// twelve, as much is found to within 0.001 with 64 candidates, and the build takes 0.6 to 0.9 of the time;
/// with one in eight, less is found.
const SEED_WHOLE: usize = 1_000;
const SEED_DIVISOR: usize = 4;
/// The graph that is refined is built with a fraction of the links, and with as few candidates as
/// make `hnsw_rs` choose among them: measured, refining makes up for it at a third of the cost.
const SEED_LINKS_DIVISOR: usize = 2;
/// The first refining makes the graph good enough for the second to find the neighbours in it.
const FIRST_EF: usize = 64;
/// What each step counts in the progress, about its share of the time.
const STEPS: [usize; 4] = [1, 1, 4, 1];

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
    let compared = Compared::of(&rows, &form, options.metric)?;
    let seed = work.seed(&compared)?;
    let placed = seed.rows.len();
    let Built { mut graph, rows: first_order } = seed.with_all(rows.len())?;
    let compared = compared.in_order(&first_order)?;
    work.refine(&compared, &mut graph, placed, 1)?;
    let nodes = (0..).take(rows.len()).collect();
    let Built { mut graph, rows: second_order } = renumber(Built { graph, rows: nodes })?;
    let compared = compared.in_order(&second_order)?;
    work.refine(&compared, &mut graph, rows.len(), 2)?;
    let stragglers = work.mend(&compared, &mut graph)?;
    let order: Vec<u32> = second_order.iter().map(|&node| first_order[node as usize]).collect();
    let ordered: Vec<&[f32]> = order.iter().map(|&row| rows[row as usize]).collect();
    let codes = match (&form, compared.values) {
        (Form::Bits(projection), _) => Some(form::encode_bits(&ordered, projection)?),
        (_, Values::Codes(codes, width)) => Some((codes, width)),
        (_, Values::Floats(..)) => None,
    };
    let mut node_of_distinct = vec![0; rows.len()];
    for (node, &row) in (0u32..).zip(&order) {
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
        firsts: order.iter().map(|&row| distinct.first[row as usize]).collect(),
        nodes: distinct.of.iter().map(|&row| node_of_distinct[row as usize]).collect(),
        stragglers,
        deviation,
        breadth,
    })
}

impl Work<'_> {
    /// Builds a graph over some of the rows with `hnsw_rs`.
    fn seed(&self, compared: &Compared) -> Result<Built, DenseError> {
        match compared.space() {
            AnySpace::Floats(space) => self.seed_in(&space),
            AnySpace::Codes(space) => self.seed_in(&space),
        }
    }

    fn seed_in<S: Pairs>(&self, space: &S) -> Result<Built, DenseError> {
        let links = (self.options.links_max / SEED_LINKS_DIVISOR).max(2);
        // Of no more candidates than a node may have links, hnsw_rs would keep all.
        let ef = 2 * links + 1;
        let mut order: Vec<u32> = (0..).take(self.count).collect();
        order.shuffle(&mut StdRng::seed_from_u64(self.job.seed));
        order.truncate(self.count.div_ceil(SEED_DIVISOR).max(SEED_WHOLE));
        let tell = |done| self.tell(0, done * self.count / order.len().max(1));
        hnsw::build(space, &order, links, ef, &self.pool, self.job, &tell)
    }

    /// Links the nodes of the lowest layer anew, of which the first `placed` have links.
    fn refine(
        &self,
        compared: &Compared,
        graph: &mut Graph,
        placed: usize,
        step: usize,
    ) -> Result<(), DenseError> {
        match compared.space() {
            AnySpace::Floats(space) => self.refine_in(&space, graph, placed, step),
            AnySpace::Codes(space) => self.refine_in(&space, graph, placed, step),
        }
    }

    fn refine_in<S: Pairs>(
        &self,
        space: &S,
        graph: &mut Graph,
        placed: usize,
        step: usize,
    ) -> Result<(), DenseError> {
        let ef = if step == 1 { FIRST_EF } else { self.options.ef_construction };
        let choice = Choice { width: 2 * self.options.links_max, ef, slack: SLACK };
        let tell = |done| self.tell(step, done);
        let lowest = refine(space, graph, placed, choice, &self.pool, self.job, &tell)?;
        if let Some(layer) = graph.layers.first_mut() {
            *layer = lowest;
        }
        Ok(())
    }

    /// Makes nodes findable, and returns those that stay unfound.
    fn mend(&self, compared: &Compared, graph: &mut Graph) -> Result<Vec<u32>, DenseError> {
        let tell = |done| self.tell(3, done);
        match compared.space() {
            AnySpace::Floats(space) => mend(&space, graph, &self.pool, self.job, &tell),
            AnySpace::Codes(space) => mend(&space, graph, &self.pool, self.job, &tell),
        }
    }

    fn tell(&self, step: usize, done: usize) {
        let before: usize = STEPS[..step].iter().sum();
        let all: usize = STEPS.iter().sum();
        (self.job.progress)(before * self.count + STEPS[step] * done, all * self.count);
    }
}

#[cfg(test)]
mod tests;
