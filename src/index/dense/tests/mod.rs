use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::{BuildJob, DenseIndex, DenseOptions, Quantisation, SearchOptions};
use crate::cancel::Cancellation;
use crate::document::{Slot, SlotSet};
use crate::vector::{DenseVector, Metric, Score};

mod background;
mod breadth;
mod filtering;
mod recall;

pub(super) const METRICS: [Metric; 3] = [Metric::Cosine, Metric::Dot, Metric::Euclidean];
pub(super) const QUANTISATIONS: [Quantisation; 3] =
    [Quantisation::None, Quantisation::Int8, Quantisation::Binary];

/// Vectors in clusters of about a hundred, of length one where the metric wants it.
pub(super) fn clustered(
    seed: u64,
    count: usize,
    dimension: usize,
    metric: Metric,
) -> Vec<Vec<f32>> {
    let mut random = StdRng::seed_from_u64(seed);
    // The clusters stay where they are whatever the seed, so that queries fall into them.
    let mut centre_random = StdRng::seed_from_u64(0);
    let centres = uniform(&mut centre_random, 30, dimension, 1.0);
    (0..count)
        .map(|_| {
            let centre = &centres[random.random_range(0..centres.len())];
            let vector = centre.iter().map(|value| value + random.random_range(-0.6..0.6));
            ready(vector.collect(), metric)
        })
        .collect()
}

pub(super) fn uniform(
    random: &mut StdRng,
    count: usize,
    dimension: usize,
    extent: f32,
) -> Vec<Vec<f32>> {
    let mut component = || random.random_range(-extent..extent);
    (0..count).map(|_| (0..dimension).map(|_| component()).collect()).collect()
}

pub(super) fn ready(vector: Vec<f32>, metric: Metric) -> Vec<f32> {
    match metric {
        Metric::Cosine => DenseVector::new(vector).unwrap().normalized().unwrap().into_vec(),
        Metric::Dot | Metric::Euclidean => vector,
    }
}

/// Sets that trip graphs up: vectors in the order of insertion, and queries.
pub(super) fn hard_sets(count: usize, dimension: usize) -> Vec<(&'static str, [Vec<Vec<f32>>; 2])> {
    let mut random = StdRng::seed_from_u64(11);
    let random = &mut random;
    let near = |random: &mut StdRng, vector: &Vec<f32>, extent: f32| -> Vec<f32> {
        vector.iter().map(|value| value + random.random_range(-extent..extent)).collect()
    };
    let mut half_the_same = uniform(random, count, dimension, 1.0);
    let same = half_the_same[0].clone();
    half_the_same[..count / 2].fill(same);
    half_the_same.shuffle(random);
    let queries = (0..60).map(|at| near(random, &half_the_same[at * 7], 0.1)).collect();
    let half_the_same = [half_the_same, queries];

    let centres = uniform(random, 40, dimension, 1.0);
    let in_order = (0..count).map(|at| near(random, &centres[at * 40 / count], 0.01)).collect();
    let queries = (0..60).map(|at| near(random, &centres[at % 40], 0.01)).collect();
    let clusters_in_order = [in_order, queries];

    let mut some_far = uniform(random, count, dimension, 1.0);
    for vector in some_far.iter_mut().step_by(50) {
        vector.iter_mut().for_each(|value| *value *= 1_000.0);
    }
    let mut queries = uniform(random, 60, dimension, 1.0);
    for vector in queries.iter_mut().step_by(5) {
        vector.iter_mut().for_each(|value| *value *= 1_000.0);
    }
    let some_far = [some_far, queries];
    vec![
        ("half the points are the same", half_the_same),
        ("tight clusters come in order", clusters_in_order),
        ("some points are far off", some_far),
    ]
}

pub(super) fn options(
    dimension: usize,
    metric: Metric,
    quantisation: Quantisation,
) -> DenseOptions {
    DenseOptions { quantisation, ..DenseOptions::new(dimension, metric) }
}

/// Runs a background job over the live slots, on one thread: the outcome is always the same.
pub(super) fn with_job<T>(live: &SlotSet, act: impl FnOnce(&BuildJob<'_>) -> T) -> T {
    let cancel = Cancellation::new();
    act(&BuildJob { live, seed: 1, threads: 1, progress: &|_, _| (), cancel: &cancel })
}

pub(super) fn insert(index: &DenseIndex, first: u32, vectors: &[Vec<f32>]) {
    let items: Vec<_> =
        (first..).map(Slot).zip(vectors.iter().map(|vector| vector.as_slice())).collect();
    index.insert(&items).unwrap();
}

/// An index of vectors whose slots are their places, sealed, in a folder that goes with it.
pub(super) fn sealed(
    vectors: &[Vec<f32>],
    metric: Metric,
    quantisation: Quantisation,
) -> (tempfile::TempDir, DenseIndex) {
    let folder = tempfile::tempdir().unwrap();
    let options = options(vectors[0].len(), metric, quantisation);
    let index = DenseIndex::open(folder.path(), options).unwrap();
    insert(&index, 0, vectors);
    with_job(&all(vectors.len()), |job| index.seal(job)).unwrap();
    assert_eq!((index.statistics().head, index.statistics().segments), (0, 1));
    (folder, index)
}

pub(super) fn all(count: usize) -> SlotSet {
    (0..u32::try_from(count).unwrap()).collect()
}

pub(super) fn search(
    index: &DenseIndex,
    query: &[f32],
    allowed: &SlotSet,
    limit: usize,
) -> Vec<(Slot, Score)> {
    let options = SearchOptions { limit, ..SearchOptions::default() };
    index.search(query, allowed, &options, &Cancellation::new()).unwrap()
}

/// What has to be found: every allowed slot compared.
pub(super) fn exact(
    vectors: &[Vec<f32>],
    metric: Metric,
    query: &[f32],
    allowed: &SlotSet,
    limit: usize,
) -> Vec<(Slot, Score)> {
    let mut found: Vec<(Slot, Score)> = allowed
        .iter()
        .map(|slot| (Slot(slot), metric.score(query, &vectors[slot as usize])))
        .collect();
    found.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    found.truncate(limit);
    found
}

/// The share of answers that are as good as those that have to be found, over the queries. Checks
/// that there are as many as there have to be, best first, with the scores they have.
pub(super) fn recall(
    index: &DenseIndex,
    vectors: &[Vec<f32>],
    queries: &[Vec<f32>],
    allowed: &SlotSet,
    limit: usize,
) -> f64 {
    let metric = index.options().metric;
    let (mut kept, mut wanted) = (0, 0);
    for query in queries {
        let expected = exact(vectors, metric, query, allowed, limit);
        let found = search(index, query, allowed, limit);
        assert_eq!(found.len(), expected.len(), "as many as are allowed, up to the limit");
        assert!(found.is_sorted_by(|a, b| (b.1, a.0) < (a.1, b.0)), "in order, each once");
        for &(slot, score) in &found {
            assert!(allowed.contains(slot.0));
            assert_eq!(score, metric.score(query, &vectors[slot.0 as usize]));
        }
        let worst = expected.last().map(|&(_, score)| score);
        kept += found.iter().filter(|&&(_, score)| Some(score) >= worst).count();
        wanted += expected.len();
    }
    kept as f64 / wanted.max(1) as f64
}
