use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::*;
use crate::document::words::terms;

/// Short words, of which no one is a stem or a misspelling of another.
const WORDS: [&str; 12] = ["ka", "lo", "mu", "ri", "te", "vo", "zu", "pi", "猫", "狗", "鱼", "鸟"];

/// What the index ought to hold: texts by slot, and those that are committed.
#[derive(Default)]
struct Model {
    now: BTreeMap<u32, String>,
    committed: BTreeMap<u32, String>,
    committed_sequence: u64,
}

impl Model {
    fn search(&self, query: &str, allowed: &SlotSet) -> SlotSet {
        let wanted = terms(query);
        let matches = |text: &str| terms(text).iter().any(|term| wanted.contains(term));
        let found =
            self.now.iter().filter(|(slot, text)| allowed.contains(**slot) && matches(text));
        found.map(|(&slot, _)| slot).collect()
    }
}

fn random_text(random: &mut StdRng, count: usize) -> String {
    let words = (0..count).map(|_| WORDS[random.random_range(0..WORDS.len())]);
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn random_operations_leave_the_index_equal_to_a_map() {
    for seed in 0..4 {
        let mut random = StdRng::seed_from_u64(seed);
        let (mut fixture, mut model) = (Fixture::new(), Model::default());
        for step in 0..150 {
            match random.random_range(0..100) {
                0..45 => {
                    // Mostly a new slot, sometimes one that may be there.
                    let slot = random.random_range(0..60);
                    let text = random_text(&mut random, 3);
                    fixture.add(slot, &text);
                    model.now.insert(slot, text);
                }
                45..60 => {
                    let slot = random.random_range(0..60);
                    fixture.remove(slot);
                    model.now.remove(&slot);
                }
                60..64 => {
                    assert_eq!(fixture.index.commit().unwrap(), Sequence(fixture.sequence));
                    model.committed = model.now.clone();
                    model.committed_sequence = fixture.sequence;
                }
                64..66 => fixture.index.settle().unwrap(),
                66..68 => {
                    fixture.reopen();
                    model.now = model.committed.clone();
                    fixture.sequence = model.committed_sequence;
                    assert_eq!(fixture.index.applied(), Sequence(fixture.sequence));
                }
                _ => {
                    let query = random_text(&mut random, 2);
                    let allowed: SlotSet = (0..60).filter(|_| random.random_bool(0.7)).collect();
                    let hits = fixture.hits(&query, WordSyntax::Plain, &allowed).unwrap();
                    let found: SlotSet = hits.iter().map(|(slot, _)| slot.0).collect();
                    let expected = model.search(&query, &allowed);
                    assert_eq!(found, expected, "seed {seed}, step {step}, query {query}");
                    assert_eq!(hits.len() as u64, found.len(), "seed {seed}, step {step}");
                }
            }
        }
    }
}
