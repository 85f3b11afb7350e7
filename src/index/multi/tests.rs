use std::cell::Cell;
use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::codes::{Codes, Question};
use super::{MultiIndex, MultiStatistics};
use crate::cancel::{Cancellation, Interrupted};
use crate::document::{Slot, SlotSet};
use crate::vector::{MultiVector, Score};

fn vector(random: &mut StdRng, dimension: usize, count: usize, scale: f32) -> MultiVector {
    let mut component = || (random.random::<f32>() - 0.5) * scale;
    MultiVector::new(dimension, (0..dimension * count).map(|_| component()).collect()).unwrap()
}

fn compare_all(
    rows: &BTreeMap<u32, MultiVector>,
    question: &MultiVector,
    allowed: &SlotSet,
    limit: usize,
) -> Vec<(Slot, Score)> {
    let allowed = rows.iter().filter(|(slot, _)| allowed.contains(**slot));
    let scored = allowed.map(|(slot, vector)| (Slot(*slot), question.max_sim(vector)));
    let mut all: Vec<(Slot, Score)> = scored.collect();
    all.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    all.truncate(limit);
    all
}

#[test]
fn the_best_are_those_of_comparing_with_every_multivector() {
    for seed in 1..=6 {
        let mut random = StdRng::seed_from_u64(seed);
        let dimension = random.random_range(1..40);
        let index = MultiIndex::new();
        let mut rows = BTreeMap::new();
        for step in 0..6 {
            for _ in 0..random.random_range(1..150) {
                let slot = random.random_range(0..2_000);
                // Lengths of many magnitudes, zeros, and now and then the same twice.
                let scale = *[0.0, 1e-3, 1.0, 1.0, 50.0].get(random.random_range(0..5)).unwrap();
                let count = random.random_range(1..9);
                let vector = match rows.values().next() {
                    Some(first) if random.random_bool(0.1) => MultiVector::clone(first),
                    _ => vector(&mut random, dimension, count, scale),
                };
                index.insert([(Slot(slot), &vector)]);
                rows.insert(slot, vector);
            }
            for share in [1.0, 0.5, 0.01] {
                let allowed: SlotSet = (0..2_000).filter(|_| random.random_bool(share)).collect();
                for limit in [1, 10, 5_000] {
                    let count = random.random_range(1..5);
                    let question = vector(&mut random, dimension, count, 2.0);
                    let load = |slot: Slot| Ok::<_, Interrupted>(rows.get(&slot.0).cloned());
                    let go = Cancellation::new();
                    let found = index.search(&question, &allowed, limit, &load, &go).unwrap();
                    let expected = compare_all(&rows, &question, &allowed, limit);
                    assert_eq!(found, expected, "seed {seed}, step {step}, limit {limit}");
                }
            }
            let live: SlotSet = (0..2_000).filter(|_| random.random_bool(0.8)).collect();
            index.retain(&live);
            rows.retain(|slot, _| live.contains(*slot));
            assert_eq!(index.slots(), rows.keys().copied().collect());
            for (slot, vector) in &rows {
                assert_eq!(index.holds(Slot(*slot), vector), Some(true));
            }
        }
    }
}

#[test]
fn a_score_lies_within_its_bounds() {
    let mut random = StdRng::seed_from_u64(3);
    for dimension in [1, 7, 128, 1_024] {
        for scale in [1e-6, 1.0, 1e6] {
            let (answer, question) =
                (vector(&mut random, dimension, 5, scale), vector(&mut random, dimension, 3, 1.0));
            let (least, most) = Codes::new(&answer).bounds(&Question::new(&question));
            let score = question.max_sim(&answer).0;
            assert!(least <= score && score <= most, "{least} {score} {most}");
        }
    }
}

#[test]
fn few_are_read_where_one_stands_out() {
    let mut random = StdRng::seed_from_u64(9);
    let rows: Vec<MultiVector> =
        (0..500).map(|_| vector(&mut random, 64, 8, 1.0).normalized().unwrap()).collect();
    let index = MultiIndex::new();
    index.insert(rows.iter().zip(0..).map(|(vector, slot)| (Slot(slot), vector)));
    let reads = Cell::new(0);
    let load = |slot: Slot| {
        reads.set(reads.get() + 1);
        Ok::<_, Interrupted>(Some(rows[slot.0 as usize].clone()))
    };
    let everything: SlotSet = (0..500).collect();
    let found = index.search(&rows[77], &everything, 1, &load, &Cancellation::new()).unwrap();
    assert_eq!((found[0].0, reads.get()), (Slot(77), 1));
    let held = index.statistics();
    assert_eq!(held, MultiStatistics { multivectors: 500, vectors: 4_000, ..held });
    assert!(held.bytes < 500 * 8 * (64 + 32), "{held:?}");
    let cancel = Cancellation::new();
    cancel.cancel();
    assert!(index.search(&rows[0], &everything, 1, &load, &cancel).is_err());
    assert!(index.search(&rows[0], &everything, 0, &load, &cancel).unwrap().is_empty());
}
