use super::super::Quantisation;
use super::*;

#[test]
fn every_metric_and_form_finds_what_comparing_all_finds() {
    for metric in METRICS {
        let vectors = clustered(1, 3_000, 32, metric);
        let queries = clustered(2, 100, 32, metric);
        for quantisation in QUANTISATIONS {
            let (_folder, index) = sealed(&vectors, metric, quantisation);
            let found = recall(&index, &vectors, &queries, &all(vectors.len()), 10);
            // A bit a component says little of 32 of them.
            let wanted = if quantisation == Quantisation::Binary { 0.85 } else { 0.95 };
            assert!(found >= wanted, "{metric:?} {quantisation:?}: recall {found}");
        }
    }
}

#[test]
fn exact_search_misses_nothing_in_any_form() {
    for quantisation in QUANTISATIONS {
        let vectors = clustered(3, 700, 9, Metric::Euclidean);
        let (_folder, index) = sealed(&vectors, Metric::Euclidean, quantisation);
        let allowed = all(vectors.len());
        let exactly = SearchOptions { limit: 25, is_exact: true, ..SearchOptions::default() };
        for query in clustered(4, 20, 9, Metric::Euclidean) {
            let found = index.search(&query, &allowed, &exactly, &Cancellation::new()).unwrap();
            assert_eq!(found, exact(&vectors, Metric::Euclidean, &query, &allowed, 25));
        }
    }
}

#[test]
fn hard_sets_are_found_too() {
    for (name, [vectors, queries]) in hard_sets(3_000, 24) {
        let (_folder, index) = sealed(&vectors, Metric::Euclidean, Quantisation::Int8);
        let found = recall(&index, &vectors, &queries, &all(vectors.len()), 10);
        assert!(found >= 0.95, "{name}: recall {found}");
    }
}

#[test]
fn every_point_finds_itself() {
    let sets = hard_sets(2_500, 16);
    let sets = sets.into_iter().map(|(name, [vectors, _])| (name, Metric::Euclidean, vectors));
    let plain = METRICS.map(|metric| ("clusters", metric, clustered(5, 2_500, 16, metric)));
    for (name, metric, vectors) in sets.chain(plain) {
        for quantisation in [Quantisation::None, Quantisation::Int8] {
            let (_folder, index) = sealed(&vectors, metric, quantisation);
            let allowed = all(vectors.len());
            for (place, vector) in vectors.iter().enumerate() {
                let own = metric.score(vector, vector);
                let found = search(&index, vector, &allowed, 1)[0];
                // By inner product a longer vector may be nearer than the point itself.
                let is_found = if metric == Metric::Dot { found.1 >= own } else { found.1 == own };
                assert!(is_found, "{name}: {metric:?} {quantisation:?}: {place} finds {found:?}");
            }
        }
    }
}

#[test]
fn equal_vectors_are_all_returned_lower_slots_first() {
    let mut vectors = clustered(6, 1_200, 12, Metric::Cosine);
    for place in (5..1_200).step_by(40) {
        vectors[place] = vectors[5].clone();
    }
    let (_folder, index) = sealed(&vectors, Metric::Cosine, Quantisation::Int8);
    let found = search(&index, &vectors[5], &all(vectors.len()), 30);
    let slots: Vec<u32> = found.iter().map(|found| found.0.0).collect();
    assert_eq!(slots, (5..1_200).step_by(40).collect::<Vec<u32>>());
}

#[test]
fn tiny_and_huge_components_do_not_upset_a_search() {
    for scale in [1e-18f32, 1.0, 1e17] {
        let mut vectors = clustered(7, 1_500, 12, Metric::Euclidean);
        vectors.iter_mut().flatten().for_each(|value| *value *= scale);
        let queries: Vec<_> = vectors.iter().step_by(50).cloned().collect();
        let (_folder, index) = sealed(&vectors, Metric::Euclidean, Quantisation::Int8);
        let found = recall(&index, &vectors, &queries, &all(vectors.len()), 10);
        assert!(found >= 0.95, "{scale}: recall {found}");
    }
}
