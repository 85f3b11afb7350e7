use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    Collection, Collections, CollectionsOptions, Embedders, Error, NewCollection, NewVector,
    NewVectorSource,
};
use crate::cancel::Cancellation;
use crate::document::{Condition, DocumentId, FieldPath, Filter, Payload, Scalar, Value};
use crate::embed::{EmbedError, EmbedderHandle};
use crate::ingest::{Outcome, PartSource, Source, SourceContent};
use crate::query::SearchRequest;
use crate::vector::{DenseVector, Metric};

mod aliases;
mod alter;
mod cluster;
mod crash;
mod damage;

pub(super) struct NoEmbedders;

impl Embedders for NoEmbedders {
    fn get(&self, name: &str) -> Result<EmbedderHandle, EmbedError> {
        Err(EmbedError::UnknownModel { name: name.to_owned(), known: String::new() })
    }
}

/// Returns a folder for files that need not outlive the machine: in memory where there is such a
/// place, since what a disk does is not tested with it.
fn scratch() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let found = memory.is_dir().then(|| tempfile::tempdir_in(memory).ok()).flatten();
    found.unwrap_or_else(|| tempfile::tempdir().unwrap())
}

fn open(folder: &std::path::Path) -> Collections {
    Collections::open(folder, CollectionsOptions::default(), Arc::new(NoEmbedders)).unwrap()
}

fn given(dimension: usize) -> NewCollection {
    let vector = NewVector {
        metric: Some(Metric::Euclidean),
        ..NewVector::from_source(NewVectorSource::Given(dimension))
    };
    NewCollection {
        vectors: BTreeMap::from([("v".to_owned(), vector)]),
        ..NewCollection::of_texts("")
    }
}

fn id(number: u64) -> DocumentId {
    DocumentId::new(format!("d{number}")).unwrap()
}

fn source(number: u64, parts: &[f32], group: i64) -> Source {
    let part = |&x: &f32| PartSource {
        text: format!("part of {number} at {x}"),
        vectors: BTreeMap::from([("v".to_owned(), DenseVector::new(vec![x, 1.0]).unwrap().into())]),
        span: None,
    };
    Source {
        id: id(number),
        content: SourceContent::Parts(parts.iter().map(part).collect()),
        payload: Payload::from([("group".to_owned(), Value::Integer(group))]),
    }
}

fn group_is(group: i64) -> Filter {
    let condition = Condition::Equals(Scalar::Integer(group));
    Filter::Field { path: FieldPath("group".into()), condition }
}

/// A collection in memory: id -> (places of the parts, group).
type Model = BTreeMap<DocumentId, (Vec<f32>, i64)>;

fn nearest(model: &Model, x: f32, filter: Option<i64>) -> Vec<DocumentId> {
    let mut all: Vec<(f32, &DocumentId)> = model
        .iter()
        .filter(|(_, (_, group))| filter.is_none_or(|asked| asked == *group))
        .map(|(id, (parts, _))| {
            let distance = parts.iter().map(|part| (part - x).abs()).fold(f32::INFINITY, f32::min);
            (distance, id)
        })
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all.into_iter().map(|(_, id)| id.clone()).take(5).collect()
}

fn check(collection: &Collection, model: &Model, x: f32, context: &str) {
    let counts = collection.count(None).unwrap();
    assert_eq!(counts.documents, model.len() as u64, "{context}");
    for filter in [None, Some(0), Some(1)] {
        let is_known = collection.info().unwrap().fields.contains_key("group");
        if filter.is_some() && !is_known {
            continue;
        }
        let request = SearchRequest {
            vectors: BTreeMap::from([("v".into(), DenseVector::new(vec![x, 1.0]).unwrap().into())]),
            filter: filter.map(group_is),
            limit: 5,
            ..SearchRequest::default()
        };
        let answer = collection.search(&request, &Cancellation::new()).unwrap();
        let found: Vec<DocumentId> = answer.hits.into_iter().map(|hit| hit.id).collect();
        assert_eq!(found, nearest(model, x, filter), "{context}, filter {filter:?}");
    }
    let verified = collection.verify(&|_, _| {}, &Cancellation::new()).unwrap();
    assert_eq!(verified.problems, Vec::<String>::new(), "{context}");
}

/// A small generator, so that a seed gives the same operations everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_041);
        (self.0 >> 33) % bound
    }

    /// Distinct with near certainty, so that no two distances are equal.
    fn place(&mut self) -> f32 {
        self.below(1 << 23) as f32 / 8_192.0
    }
}

#[test]
fn random_operations_with_restarts_answer_as_a_plain_map_does() {
    for seed in 1..=12 {
        let folder = tempfile::tempdir().unwrap();
        let mut random = Random(seed);
        let mut collections = open(folder.path());
        let mut collection = collections.create("c", &given(2)).unwrap();
        let mut model = Model::new();
        for step in 0..40 {
            let context = format!("seed {seed}, step {step}");
            match random.below(10) {
                0..6 => {
                    let number = random.below(15);
                    let count = 1 + random.below(3);
                    let parts: Vec<f32> = (0..count).map(|_| random.place()).collect();
                    let group = i64::try_from(random.below(2)).unwrap();
                    let sources = vec![source(number, &parts, group)];
                    let results = collection.store(sources, &Cancellation::new()).unwrap();
                    let is_stored = matches!(results[0].outcome, Outcome::Stored(_));
                    assert!(is_stored, "{context}: {results:?}");
                    model.insert(id(number), (parts, group));
                }
                6 | 7 => {
                    let gone = id(random.below(15));
                    let (deleted, _) = collection.delete([gone.clone()]).unwrap();
                    assert_eq!(deleted == 1, model.remove(&gone).is_some(), "{context}");
                }
                8 => {
                    if collection.info().unwrap().fields.contains_key("group") {
                        collection.delete_where(&group_is(1)).unwrap();
                        model.retain(|_, (_, group)| *group != 1);
                    }
                }
                _ => {
                    drop((collection, collections));
                    collections = open(folder.path());
                    collection = collections.get("c").unwrap();
                }
            }
            check(&collection, &model, random.place(), &context);
        }
    }
}

#[test]
fn the_same_version_is_stored_once() {
    let folder = tempfile::tempdir().unwrap();
    let collections = open(folder.path());
    let collection = collections.create("c", &given(2)).unwrap();
    let store =
        |source| collection.store(vec![source], &Cancellation::new()).unwrap().remove(0).outcome;
    assert!(matches!(store(source(1, &[1.0], 0)), Outcome::Stored(_)));
    assert_eq!(store(source(1, &[1.0], 0)), Outcome::Unchanged);
    let Outcome::Stored(stored) = store(source(1, &[1.0], 1)) else { panic!("payload differs") };
    assert!(stored.is_replaced);
}

#[test]
fn a_reader_never_sees_half_of_a_replacement() {
    let folder = tempfile::tempdir().unwrap();
    let collections = open(folder.path());
    let collection = collections.create("c", &given(2)).unwrap();
    collection.store(vec![source(1, &[1.0, 2.0], 0)], &Cancellation::new()).unwrap();
    let is_done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                let counts = collection.count(None).unwrap();
                assert_eq!((counts.documents, counts.parts), (1, 2));
                reads += 1;
            }
            reads
        });
        for round in 0..50_u8 {
            let x = f32::from(round);
            let sources = vec![source(1, &[x + 3.0, x + 4.0], 0)];
            collection.store(sources, &Cancellation::new()).unwrap();
        }
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
    });
}

#[test]
fn a_damaged_collection_is_quarantined_and_the_others_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let collections = open(folder.path());
    for name in ["bad", "good"] {
        let collection = collections.create(name, &given(2)).unwrap();
        collection.store(vec![source(1, &[1.0], 0)], &Cancellation::new()).unwrap();
    }
    drop(collections);
    let settings = folder.path().join("collections/bad/collection.json");
    let text = fs_err::read_to_string(&settings).unwrap();
    fs_err::write(&settings, text.replace("\"dimension\": 2", "\"dimension\": 3")).unwrap();
    let collections = open(folder.path());
    assert_eq!(collections.get("good").unwrap().count(None).unwrap().documents, 1);
    let error = collections.get("bad").unwrap_err();
    assert!(matches!(error, Error::Quarantined { .. }), "{error}");
    assert!(error.to_string().contains("checksum"), "{error}");
}

#[test]
fn a_write_that_no_row_has_room_for_is_refused_alone_and_writing_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let collections = open(folder.path());
    let collection = collections.create("c", &given(2)).unwrap();
    // Each name and the depth are allowed, and no key has room for all of them together.
    let name = "n".repeat(128);
    let deep = (0..15)
        .fold(Value::Integer(1), |inner, _| Value::Object(BTreeMap::from([(name.clone(), inner)])));
    let mut sources: Vec<Source> = (0..40).map(|n| source(n, &[1.0], 0)).collect();
    sources[20].payload.insert(name.clone(), deep);
    let results = collection.store(sources, &Cancellation::new()).unwrap();
    for (place, result) in results.iter().enumerate() {
        match &result.outcome {
            Outcome::Failed(error) => {
                assert_eq!(place, 20, "{error}");
                assert!(error.message.contains("at most 2048 bytes, got 2"), "{error}");
            }
            outcome => assert!(place != 20 && matches!(outcome, Outcome::Stored(_)), "{place}"),
        }
    }
    let later = collection.store(vec![source(20, &[1.0], 0)], &Cancellation::new()).unwrap();
    assert!(matches!(later[0].outcome, Outcome::Stored(_)), "{later:?}");
    assert_eq!(collection.count(None).unwrap().documents, 40);
    let verified = collection.verify(&|_, _| {}, &Cancellation::new()).unwrap();
    assert_eq!(verified.problems, Vec::<String>::new());
}

#[test]
fn a_vector_of_another_dimension_is_refused_with_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let collections = open(folder.path());
    let collection = collections.create("c", &given(3)).unwrap();
    let results = collection.store(vec![source(1, &[1.0], 0)], &Cancellation::new()).unwrap();
    let Outcome::Failed(error) = &results[0].outcome else { panic!("{results:?}") };
    assert_eq!(error.message, "vector `v`: expected dimension 3, got 2");
}

#[test]
fn a_data_directory_is_served_by_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let _first = open(folder.path());
    let second =
        Collections::open(folder.path(), CollectionsOptions::default(), Arc::new(NoEmbedders));
    assert!(matches!(second.unwrap_err(), Error::InUse { .. }));
}
