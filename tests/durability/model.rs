//! Random sequences of operations, with restarts and crashes, answer as a plain map does.
//!
//! `SIMILE_MODEL_SEQUENCES=10000 SIMILE_MODEL_SEED=7 cargo test --test behaviour model` runs more
//! of them, from another seed; a failure names the seed of its sequence.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use simile::cancel::Cancellation;
use simile::collection::{Collection, Collections};
use tempfile::TempDir;

use super::plain::{Model, Random, check, check_all, copy, group_is, id, open, scratch, store};

const SEQUENCES: u64 = 1_000;
const SEED: u64 = 20_261_127;
const STEPS_MAX: u64 = 14;
/// Few, so that they are replaced and deleted again and again.
const IDS: u64 = 12;

#[test]
fn random_sequences_of_operations_answer_as_a_plain_map_does() {
    let number = |name: &str, usual| match std::env::var(name) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => usual,
    };
    let sequences = number("SIMILE_MODEL_SEQUENCES", SEQUENCES);
    let seed = number("SIMILE_MODEL_SEED", SEED);
    println!("{sequences} sequences from seed {seed}");
    let next = AtomicU64::new(0);
    let crashes = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let sequence = next.fetch_add(1, Ordering::Relaxed);
                    if sequence >= sequences {
                        return;
                    }
                    let mut run = Run::new(seed + sequence);
                    run.run();
                    crashes.fetch_add(run.crashes, Ordering::Relaxed);
                }
            });
        }
    });
    // About two of three sequences have one.
    assert!(crashes.into_inner() > sequences / 4);
}

/// One sequence.
struct Run {
    seed: u64,
    random: Random,
    model: Model,
    /// Dropped before another is opened over the same folder.
    opened: Option<(Arc<Collection>, Collections)>,
    folder: TempDir,
    crashes: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let model = Model::random(&mut random);
        let folder = scratch();
        let collections = open(folder.path());
        let collection = collections.create("c", &model.settings()).unwrap();
        let opened = Some((collection, collections));
        Self { seed, random, model, opened, folder, crashes: 0 }
    }

    fn run(&mut self) {
        let steps = 4 + self.random.below(STEPS_MAX - 4);
        for step in 0..steps {
            let operation = self.random.below(20);
            let story = format!("seed {}, step {step}, operation {operation}", self.seed);
            self.step(operation, &story);
            check(&self.collection(), &self.model, &mut self.random, &story);
        }
        check_all(&self.collection(), &self.model, &format!("seed {}, at the end", self.seed));
    }

    fn step(&mut self, operation: u64, story: &str) {
        match operation {
            0..6 => self.store(1, story),
            6..9 => {
                let count = 2 + self.random.below(8);
                self.store(count, story);
            }
            9 | 10 => self.delete(story),
            11 => self.delete_where(story),
            12..14 => self.collection().maintain().unwrap(),
            14 => {
                let told = |_, _: &str, done, total| assert!(done <= total, "{story}");
                let segments = self.collection().optimize(&told, &Cancellation::new()).unwrap();
                assert!(segments <= 1, "{story}: {segments} segments");
            }
            15..17 => self.restart(),
            17..19 => self.crash(),
            _ => {
                let repair = self.collection().repair(&|_, _| {}, &Cancellation::new()).unwrap();
                assert_eq!(repair.repaired, Vec::<String>::new(), "{story}");
            }
        }
    }

    fn store(&mut self, count: u64, story: &str) {
        let mut documents = Vec::new();
        for _ in 0..count {
            let id = id(self.random.below(IDS));
            let plain = self.model.document(&mut self.random);
            // The one that is stored already must change nothing.
            let plain = match self.model.documents.get(&id) {
                Some(stored) if self.random.below(5) == 0 => stored.clone(),
                _ => plain,
            };
            documents.retain(|(other, _)| *other != id);
            documents.push((id, plain));
        }
        self.model.documents.extend(documents.clone());
        store(&self.collection(), documents, story);
    }

    fn delete(&mut self, story: &str) {
        let gone = [id(self.random.below(IDS)), id(self.random.below(IDS))];
        let (deleted, _) = self.collection().delete(gone.clone()).unwrap();
        let there = gone.iter().filter(|id| self.model.documents.remove(id).is_some()).count();
        assert_eq!(deleted, there as u64, "{story}");
    }

    fn delete_where(&mut self, story: &str) {
        if !self.collection().info().unwrap().fields.contains_key("group") {
            return;
        }
        let group = i64::try_from(self.random.below(3)).unwrap();
        let (deleted, _) = self.collection().delete_where(&group_is(group)).unwrap();
        let before = self.model.documents.len();
        self.model.documents.retain(|_, plain| plain.group != group);
        assert_eq!(deleted, (before - self.model.documents.len()) as u64, "{story}");
    }

    fn restart(&mut self) {
        self.opened = None;
        self.open();
    }

    /// Goes on with the files as they are at this moment, of which nobody has taken leave.
    fn crash(&mut self) {
        self.crashes += 1;
        let after = scratch();
        copy(self.folder.path(), after.path());
        self.opened = None;
        self.folder = after;
        self.open();
    }

    fn open(&mut self) {
        let collections = open(self.folder.path());
        self.opened = Some((collections.get("c").unwrap(), collections));
    }

    fn collection(&self) -> Arc<Collection> {
        Arc::clone(&self.opened.as_ref().unwrap().0)
    }
}
