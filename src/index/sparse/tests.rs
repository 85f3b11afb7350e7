use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::SparseIndex;
use crate::cancel::Cancellation;
use crate::document::{Slot, SlotSet};
use crate::vector::{Score, SparseVector};

/// Indices as words are in texts: a few of them in most vectors, most of them in few.
fn vector(random: &mut StdRng, entries: usize, is_signed: bool) -> SparseVector {
    let mut indices: Vec<u32> =
        (0..entries).map(|_| (300.0 * random.random::<f32>().powi(3)) as u32).collect();
    indices.sort_unstable();
    indices.dedup();
    let mut value = |_: &u32| match random.random_range(0..20) {
        0 => 0.0,
        1..5 if is_signed => -random.random::<f32>(),
        // Few distinct values, so that scores tie.
        5..10 => 0.5,
        _ => random.random(),
    };
    let values = indices.iter().map(&mut value).collect();
    SparseVector::new(indices, values).unwrap()
}

fn compare_all(
    rows: &[(Slot, SparseVector)],
    query: &SparseVector,
    allowed: &SlotSet,
    limit: usize,
) -> Vec<(Slot, Score)> {
    let query = query.nonzero();
    let is_found = |vector: &SparseVector| {
        vector.nonzero().indices().iter().any(|index| query.indices().contains(index))
    };
    let mut found: Vec<(Slot, Score)> = rows
        .iter()
        .filter(|(slot, vector)| allowed.contains(slot.0) && is_found(vector))
        .map(|(slot, vector)| (*slot, Score(query.dot(vector))))
        .collect();
    found.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    found.truncate(limit);
    found
}

#[test]
fn the_best_are_those_of_comparing_with_every_vector() {
    for (seed, is_signed) in [(1, false), (2, true)] {
        let mut random = StdRng::seed_from_u64(seed);
        let index = SparseIndex::new();
        let (mut rows, mut next) = (Vec::<(Slot, SparseVector)>::new(), 0);
        for step in 0..12 {
            let known = rows.len();
            for _ in 0..random.random_range(1..1_500) {
                next += random.random_range(1..3);
                let entries = random.random_range(0..12);
                rows.push((Slot(next), vector(&mut random, entries, is_signed)));
            }
            index.insert(rows[known..].iter().map(|(slot, vector)| (*slot, vector)));
            for share in [1.0, 0.5, 0.01] {
                let allowed: SlotSet = (0..=next).filter(|_| random.random_bool(share)).collect();
                for limit in [1, 10, 5_000] {
                    let query = vector(&mut random, 6, is_signed);
                    let found = index.search(&query, &allowed, limit, &Cancellation::new());
                    let expected = compare_all(&rows, &query, &allowed, limit);
                    assert!(found.unwrap() == expected, "seed {seed}, step {step}, limit {limit}");
                }
            }
            if step % 4 == 3 {
                let live: SlotSet = (0..=next).filter(|_| random.random_bool(0.7)).collect();
                index.merge_all(&live);
                index.remove(&(index.slots() - &live));
                rows.retain(|(slot, _)| live.contains(slot.0));
            }
        }
        let mut kept = index.rows();
        kept.sort_by_key(|(slot, _)| *slot);
        let expected: Vec<(Slot, SparseVector)> =
            rows.iter().map(|(slot, vector)| (*slot, vector.nonzero())).collect();
        assert!(kept == expected, "seed {seed}: the vectors come back as they were");
    }
}

#[test]
fn what_cancels_out_is_found_and_what_shares_no_index_is_not() {
    let index = SparseIndex::new();
    let sparse = |indices: &[u32], values: &[f32]| {
        SparseVector::new(indices.to_vec(), values.to_vec()).unwrap()
    };
    let (cancels, negative, other) =
        (sparse(&[1, 2], &[0.25, 0.5]), sparse(&[1, 9], &[-1.0, 3.0]), sparse(&[9], &[1.0]));
    let kinds = [&cancels, &negative, &other];
    index.insert((0..).zip(kinds.iter().cycle().take(6_000)).map(|(slot, &row)| (Slot(slot), row)));
    assert!(index.statistics().head < 1_024, "some stand in chunks");
    let query = sparse(&[1, 2, 3], &[2.0, -1.0, 5.0]);
    let found = index.search(&query, &(0..6_000).collect(), 6_000, &Cancellation::new()).unwrap();
    let expected = (0..6_000).step_by(3).map(|slot| (Slot(slot), Score(0.0)));
    let expected: Vec<(Slot, Score)> =
        expected.chain((1..6_000).step_by(3).map(|slot| (Slot(slot), Score(-2.0)))).collect();
    assert!(found == expected, "{} found", found.len());
}

#[test]
fn chunks_stay_few_and_drop_what_is_deleted() {
    let index = SparseIndex::new();
    let one = SparseVector::new(vec![1], vec![1.0]).unwrap();
    let everything: SlotSet = (0..20_000).collect();
    index.insert((0..20_000).map(|slot| (Slot(slot), &one)));
    while index.needs_merge(&everything) {
        index.merge(&everything);
    }
    assert!(index.statistics().chunks <= 6, "{:?}", index.statistics());
    let live: SlotSet = (10_000..20_000).collect();
    while index.needs_merge(&live) {
        index.merge(&live);
    }
    let statistics = index.statistics();
    assert!(statistics.vectors <= 14_000 && statistics.entries == statistics.vectors);
    let found = index.search(&one, &live, 3, &Cancellation::new()).unwrap();
    assert_eq!(found, [10_000, 10_001, 10_002].map(|slot| (Slot(slot), Score(1.0))));
}

#[test]
fn a_search_that_nobody_waits_for_ends() {
    let index = SparseIndex::new();
    let one = SparseVector::new(vec![1], vec![1.0]).unwrap();
    index.insert((0..3_000).map(|slot| (Slot(slot), &one)));
    let cancel = Cancellation::new();
    cancel.cancel();
    assert!(index.search(&one, &(0..3_000).collect(), 3, &cancel).is_err());
}
