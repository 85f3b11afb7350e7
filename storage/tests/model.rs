//! Random operations against a plain map, with the database closed and opened in between.

use std::collections::BTreeMap;

use simile_storage::{Batch, Database};

use crate::fixture::{NUMBERS, Numbered, Random, TEXTS, Text, open};

#[derive(Debug, Default)]
struct Model {
    texts: BTreeMap<(u32, String), Text>,
    numbers: BTreeMap<u64, Numbered>,
}

#[test]
fn a_database_answers_as_a_map_does_whatever_is_done_to_it() {
    for seed in 1..=6 {
        run(seed, 400);
    }
}

fn run(seed: u64, steps: usize) {
    println!("seed {seed}");
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(seed);
    let mut model = Model::default();
    let mut database = open(folder.path());
    for step in 0..steps {
        match random.below(100) {
            0..60 => change(&database, &mut model, &mut random),
            60..95 => ask(&database, &model, &mut random),
            95..98 => {
                assert_eq!(all(&database), (texts_of(&model), numbers_of(&model)), "step {step}");
            }
            _ => {
                drop(database);
                database = open(folder.path());
            }
        }
    }
    database.verify().unwrap();
    assert_eq!(all(&database), (texts_of(&model), numbers_of(&model)));
}

/// Changes up to forty keys at once, some of them twice.
fn change(database: &Database, model: &mut Model, random: &mut Random) {
    let mut batch = Batch::new();
    for _ in 0..random.below(40) {
        match random.below(5) {
            0 | 1 => {
                let (key, text) = (text_key(random), Text("x".repeat(random.index(200))));
                batch.put(&TEXTS, &key, &text).unwrap();
                model.texts.insert(key, text);
            }
            2 => {
                let key = text_key(random);
                batch.remove(&TEXTS, &key).unwrap();
                model.texts.remove(&key);
            }
            3 => {
                let size = if random.below(10) == 0 { 60_000 } else { 600 };
                let record = Numbered::new(random.next(), random.index(size));
                let key = number_key(random);
                batch.put(&NUMBERS, &key, &record).unwrap();
                model.numbers.insert(key, record);
            }
            _ => {
                let key = number_key(random);
                batch.remove(&NUMBERS, &key).unwrap();
                model.numbers.remove(&key);
            }
        }
    }
    match random.below(3) {
        0 => database.apply(&batch).unwrap(),
        _ => database.commit(batch).unwrap(),
    }
}

fn ask(database: &Database, model: &Model, random: &mut Random) {
    let key = text_key(random);
    let (low, high) = (number_key(random), number_key(random));
    match random.below(6) {
        0 => assert_eq!(database.get(&TEXTS, &key).unwrap().as_ref(), model.texts.get(&key)),
        1 => {
            assert_eq!(
                database.contains(&NUMBERS, &low).unwrap(),
                model.numbers.contains_key(&low)
            );
        }
        2 => {
            let expected: Vec<_> = model
                .texts
                .iter()
                .filter(|((first, _), _)| *first == key.0)
                .map(|(key, text)| (key.clone(), text.clone()))
                .collect();
            let got: Result<Vec<_>, _> = database.scan_prefix(&TEXTS, &key.0).collect();
            assert_eq!(got.unwrap(), expected);
        }
        3 => {
            // A range that ends before it begins is empty.
            let expected: Vec<u64> =
                model.numbers.keys().copied().filter(|key| (low..high).contains(key)).collect();
            let got: Result<Vec<_>, _> = database
                .range(&NUMBERS, low..high)
                .map(|entry| Ok::<_, ()>(entry.unwrap().0))
                .collect();
            assert_eq!(got.unwrap(), expected);
        }
        4 => {
            let expected: Vec<u64> =
                model.numbers.range(low..).rev().map(|(key, _)| *key).collect();
            let got: Vec<u64> =
                database.range(&NUMBERS, low..).rev().map(|entry| entry.unwrap().0).collect();
            assert_eq!(got, expected);
        }
        _ => {
            let first = database.first(&NUMBERS).unwrap().map(|(key, _)| key);
            let last = database.last(&TEXTS).unwrap().map(|(key, _)| key);
            assert_eq!(first.as_ref(), model.numbers.keys().next());
            assert_eq!(last.as_ref(), model.texts.keys().next_back());
        }
    }
}

type Everything = (Vec<((u32, String), Text)>, Vec<(u64, Numbered)>);

fn all(database: &Database) -> Everything {
    (
        database.scan(&TEXTS).collect::<Result<_, _>>().unwrap(),
        database.scan(&NUMBERS).collect::<Result<_, _>>().unwrap(),
    )
}

fn texts_of(model: &Model) -> Vec<((u32, String), Text)> {
    model.texts.clone().into_iter().collect()
}

fn numbers_of(model: &Model) -> Vec<(u64, Numbered)> {
    model.numbers.clone().into_iter().collect()
}

fn text_key(random: &mut Random) -> (u32, String) {
    let number = u32::try_from(random.below(5)).unwrap();
    (number, format!("{}\0{}", "a".repeat(random.index(3)), random.below(40)))
}

fn number_key(random: &mut Random) -> u64 {
    random.below(300)
}
