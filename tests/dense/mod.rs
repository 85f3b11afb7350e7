//! The dense index as its callers see it: what it must never do, whatever is done to it.

use simile::cancel::Cancellation;
use simile::document::{Slot, SlotSet};
use simile::index::dense::{
    BuildJob, DenseError, DenseIndex, DenseOptions, Quantisation, SearchOptions,
};
use simile::vector::{DenseVector, Metric, Score};

mod damage;
mod golden;
mod model;

/// Returns how many cases a test is to run: more by command than in passing.
fn cases(variable: &str, usual: usize) -> usize {
    std::env::var(variable).map_or(usual, |count| count.parse().unwrap())
}

fn with_job<T>(live: &SlotSet, seed: u64, act: impl FnOnce(&BuildJob<'_>) -> T) -> T {
    let cancel = Cancellation::new();
    act(&BuildJob { live, seed, threads: 1, progress: &|_, _| (), cancel: &cancel })
}

fn ready(vector: Vec<f32>, metric: Metric) -> Vec<f32> {
    match metric {
        Metric::Cosine => DenseVector::new(vector).unwrap().normalized().unwrap().into_vec(),
        Metric::Dot | Metric::Euclidean => vector,
    }
}

fn search(
    index: &DenseIndex,
    query: &[f32],
    allowed: &SlotSet,
    limit: usize,
    is_exact: bool,
) -> Result<Vec<(Slot, Score)>, DenseError> {
    let options = SearchOptions { limit, is_exact, ..SearchOptions::default() };
    index.search(query, allowed, &options, &Cancellation::new())
}
