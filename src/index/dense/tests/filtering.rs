use super::*;

const COUNT: usize = 12_000;
const DIMENSION: usize = 24;

/// Sets of slots of that many in a thousand: spread over all, and the farthest from the queries.
fn filters(vectors: &[Vec<f32>], share: usize) -> [(&'static str, SlotSet); 2] {
    let mut random = StdRng::seed_from_u64(share as u64);
    let spread = (0..COUNT).filter(|_| random.random_range(0..1_000) < share);
    let mut by_first: Vec<u32> = (0..u32::try_from(COUNT).unwrap()).collect();
    by_first.sort_by(|&a, &b| vectors[a as usize][0].total_cmp(&vectors[b as usize][0]));
    by_first.truncate(COUNT * share / 1_000);
    let spread = spread.map(|slot| u32::try_from(slot).unwrap()).collect();
    [("spread", spread), ("on one side", by_first.into_iter().collect())]
}

#[test]
fn filtered_search_finds_at_least_as_well_as_unfiltered() {
    let metric = Metric::Cosine;
    let vectors = clustered(1, COUNT, DIMENSION, metric);
    let queries = clustered(2, 80, DIMENSION, metric);
    for quantisation in [Quantisation::None, Quantisation::Int8] {
        let (_folder, index) = sealed(&vectors, metric, quantisation);
        let unfiltered = recall(&index, &vectors, &queries, &all(COUNT), 10);
        for share in [1, 10, 100, 500] {
            for (name, allowed) in filters(&vectors, share) {
                let found = recall(&index, &vectors, &queries, &allowed, 10);
                // Half of the queries are far from all that is on one side, which is a harder
                // question than any unfiltered one.
                let wanted = if name == "spread" { unfiltered - 0.005 } else { 0.97 };
                let context = format!("{quantisation:?} {share} of 1000 {name}");
                assert!(found >= wanted, "{context}: {found} < {wanted}");
            }
        }
    }
}

#[test]
fn there_are_as_many_answers_as_matches_whatever_the_limit() {
    let metric = Metric::Euclidean;
    let vectors = clustered(3, COUNT, DIMENSION, metric);
    let (_folder, index) = sealed(&vectors, metric, Quantisation::Int8);
    let query = clustered(4, 1, DIMENSION, metric).remove(0);
    for share in [1, 10, 100, 400, 999] {
        for (_, allowed) in filters(&vectors, share) {
            for limit in [1, 10, 100, 3_000, COUNT + 1] {
                let matches = usize::try_from(allowed.len()).unwrap();
                assert_eq!(search(&index, &query, &allowed, limit).len(), matches.min(limit));
            }
        }
    }
}

#[test]
fn what_does_not_match_is_never_returned_from_the_head_either() {
    let metric = Metric::Dot;
    let vectors = clustered(5, 600, 8, metric);
    let folder = tempfile::tempdir().unwrap();
    let index =
        DenseIndex::open(folder.path(), options(8, metric, Quantisation::default())).unwrap();
    insert(&index, 0, &vectors[..400]);
    with_job(&all(400), |job| index.seal(job)).unwrap();
    insert(&index, 400, &vectors[400..]);
    let allowed: SlotSet = (0..600).filter(|slot| slot % 7 == 0).chain(700..800).collect();
    let present = &allowed & index.slots();
    for query in clustered(6, 20, 8, metric) {
        let found = search(&index, &query, &allowed, 10);
        assert_eq!(found, exact(&vectors, metric, &query, &present, 10));
    }
    assert!(search(&index, &vectors[0], &SlotSet::new(), 10).is_empty());
    assert!(search(&index, &vectors[0], &allowed, 0).is_empty());
}
