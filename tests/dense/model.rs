use std::collections::BTreeMap;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

const SEQUENCES: usize = 40;
const OPERATIONS: usize = 60;
const METRICS: [Metric; 3] = [Metric::Cosine, Metric::Dot, Metric::Euclidean];
const FORMS: [Quantisation; 3] = [Quantisation::None, Quantisation::Int8, Quantisation::Binary];

/// What the index has to agree with: every vector, compared one by one.
struct Model {
    options: DenseOptions,
    vectors: BTreeMap<u32, Vec<f32>>,
    live: SlotSet,
    next: u32,
}

#[derive(Default)]
struct Tally {
    kept: usize,
    wanted: usize,
}

/// Random insertions, deletions, seals, merges and restarts. More with `SIMILE_SEQUENCES=10000`.
#[test]
fn any_sequence_of_operations_leaves_what_a_plain_list_holds() {
    let mut tally = Tally::default();
    for sequence in 0..cases("SIMILE_SEQUENCES", SEQUENCES) {
        // A failure prints this.
        println!("sequence {sequence}");
        run(sequence as u64, &mut tally);
    }
    let recall = tally.kept as f64 / tally.wanted as f64;
    assert!(recall > 0.98, "recall {recall} of searches that may miss");
}

fn run(seed: u64, tally: &mut Tally) {
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let dimension = random.random_range(1..24);
    let metric = METRICS[random.random_range(0..3)];
    let mut options = DenseOptions::new(dimension, metric);
    options.quantisation = FORMS[random.random_range(0..3)];
    options.links_max = random.random_range(2..20);
    options.seal_at = random.random_range(1..200);
    let mut model = Model { options, vectors: BTreeMap::new(), live: SlotSet::new(), next: 0 };
    let mut index = model.open(folder.path());
    for _ in 0..OPERATIONS {
        match random.random_range(0..12) {
            0..4 => model.insert(&index, &mut random),
            4 => model.delete(&mut random),
            5 => {
                let sealed = with_job(&model.live, seed, |job| index.seal(job)).unwrap();
                assert!(sealed || index.statistics().head == 0);
            }
            6 if index.needs_merge(&model.live) => {
                assert!(with_job(&model.live, seed, |job| index.merge(job)).unwrap());
            }
            7 => drop(with_job(&model.live, seed, |job| index.merge_all(job)).unwrap()),
            8 => {
                drop(index);
                index = model.open(folder.path());
            }
            _ => model.compare(&index, &mut random, tally),
        }
        model.check(&index, &mut random);
    }
}

impl Model {
    /// Opens the index as a collection does: what is live and not sealed is inserted again.
    fn open(&self, folder: &Path) -> DenseIndex {
        let index = DenseIndex::open(folder, self.options.clone()).unwrap();
        assert!(index.discarded().is_empty(), "{:?}", index.discarded());
        for slot in &self.live - index.sealed() {
            index.insert(&[(Slot(slot), &self.vectors[&slot])]).unwrap();
        }
        index
    }

    fn insert(&mut self, index: &DenseIndex, random: &mut StdRng) {
        let count = random.random_range(1..40);
        let mut batch = Vec::new();
        for _ in 0..count {
            // Some are the same as others, and some slots are skipped.
            let vector = match self.vectors.values().next() {
                Some(earlier) if random.random_range(0..8) == 0 => earlier.clone(),
                _ => self.vector(random),
            };
            self.next += random.random_range(1..3);
            batch.push((Slot(self.next), vector));
        }
        let items: Vec<_> = batch.iter().map(|(slot, vector)| (*slot, &**vector)).collect();
        index.insert(&items).unwrap();
        for (slot, vector) in batch {
            self.live.insert(slot.0);
            self.vectors.insert(slot.0, vector);
        }
    }

    fn delete(&mut self, random: &mut StdRng) {
        let share = random.random_range(0..100);
        self.live = self.live.iter().filter(|_| random.random_range(0..100) >= share).collect();
    }

    fn vector(&self, random: &mut StdRng) -> Vec<f32> {
        let components = (0..self.options.dimension).map(|_| random.random_range(0.1..1.0));
        ready(components.collect(), self.options.metric)
    }

    /// Compares answers under a filter with those of the list.
    fn compare(&self, index: &DenseIndex, random: &mut StdRng, tally: &mut Tally) {
        let query = self.vector(random);
        let share = [1, 10, 50, 100][random.random_range(0..4)];
        let allowed: SlotSet =
            self.live.iter().filter(|_| random.random_range(0..100) < share).collect();
        let limit = [1, 10, 1_000][random.random_range(0..3)];
        let mut expected: Vec<(Slot, Score)> = allowed
            .iter()
            .map(|slot| (Slot(slot), self.options.metric.score(&query, &self.vectors[&slot])))
            .collect();
        expected.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        expected.truncate(limit);
        let exact = search(index, &query, &allowed, limit, true).unwrap();
        assert_eq!(exact, expected);
        let found = search(index, &query, &allowed, limit, false).unwrap();
        assert_eq!(found.len(), expected.len());
        for &(slot, score) in &found {
            assert!(allowed.contains(slot.0));
            assert_eq!(score, self.options.metric.score(&query, &self.vectors[&slot.0]));
        }
        let worst = expected.last().map(|found| found.1);
        tally.kept += found.iter().filter(|found| Some(found.1) >= worst).count();
        tally.wanted += expected.len();
    }

    /// Checks what does not depend on a query.
    fn check(&self, index: &DenseIndex, random: &mut StdRng) {
        let slots = index.slots();
        assert!(self.live.is_subset(&slots), "a live slot is missing");
        let statistics = index.statistics();
        assert_eq!(statistics.head + statistics.sealed, slots.len());
        if let Some(slot) = slots.select(random.random_range(0..slots.len().max(1) as u32)) {
            let vector = index.vector(Slot(slot)).unwrap();
            assert_eq!(vector.as_ref(), self.vectors.get(&slot));
        }
    }
}
