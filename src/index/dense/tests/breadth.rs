use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::super::Quantisation;
use super::*;

/// Sums of uniform numbers, which are near enough to normal ones: no graph finds its way among them
/// as well as among clusters.
fn shapeless(seed: u64, count: usize, dimension: usize) -> Vec<Vec<f32>> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut component = || (0..6).map(|_| random.random_range(-1.0f32..1.0)).sum();
    (0..count).map(|_| (0..dimension).map(|_| component()).collect()).collect()
}

#[test]
fn far_points_among_vectors_without_structure_are_found() {
    // A walk of the usual breadth misses more than one in twenty here.
    let mut vectors = shapeless(1, 6_000, 80);
    let mut queries = shapeless(2, 60, 80);
    let far = vectors.iter_mut().step_by(200).chain(queries.iter_mut().step_by(5));
    far.flatten().for_each(|value| *value *= 1_000.0);
    let (_folder, index) = sealed(&vectors, Metric::Euclidean, Quantisation::Int8);
    let found = recall(&index, &vectors, &queries, &all(vectors.len()), 10);
    assert!(found >= 0.95, "recall {found}");
}

#[test]
fn a_narrow_walk_is_widened_where_vectors_have_no_structure() {
    for quantisation in [Quantisation::None, Quantisation::Int8] {
        let narrow = SearchOptions { ef: 10, ..SearchOptions::default() };
        let found = |vectors: &[Vec<f32>], queries: &[Vec<f32>]| {
            let (_folder, index) = sealed(vectors, Metric::Euclidean, quantisation);
            let allowed = all(vectors.len());
            let mut hits = 0;
            for query in queries {
                let expected = exact(vectors, Metric::Euclidean, query, &allowed, 10);
                let found = index.search(query, &allowed, &narrow, &Cancellation::new()).unwrap();
                hits += found.iter().filter(|found| expected.contains(found)).count();
            }
            hits as f64 / (10 * queries.len()) as f64
        };
        let without = found(&shapeless(3, 6_000, 64), &shapeless(4, 50, 64));
        assert!(without > 0.5, "{quantisation:?}: {without}");
    }
}
