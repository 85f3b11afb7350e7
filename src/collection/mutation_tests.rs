//! Mutations on terms, of payloads alone and by time beside a plain map, with restarts.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::expiry::remove_expired;
use super::tests::NoEmbedders;
use super::{
    Collection, Collections, CollectionsOptions, Error, Expected, NewCollection, NewVector,
    NewVectorSource, PayloadChange, Terms, Upsert,
};
use crate::cancel::Cancellation;
use crate::document::{Condition, DocumentId, FieldPath, Filter, Payload, Scalar, Sequence, Value};
use crate::error::ErrorKind;
use crate::ingest::{Outcome, Source, SourceContent};
use crate::query::SearchRequest;
use crate::vector::{DenseVector, Metric, SparseVector};

#[derive(Debug, Clone, PartialEq)]
struct Plain {
    x: f32,
    payload: Payload,
    sequence: u64,
    expires: u64,
}

struct Fixture {
    folder: tempfile::TempDir,
    clock: Arc<AtomicU64>,
    /// Dropped before they are opened again.
    open: Option<(Collections, Arc<Collection>)>,
    model: BTreeMap<DocumentId, Plain>,
    /// What was done under each key of a document.
    keys: HashMap<(DocumentId, String), u64>,
}

fn id(number: u64) -> DocumentId {
    DocumentId::new(format!("d{number}")).unwrap()
}

fn fields(pairs: &[(&str, i64)]) -> Payload {
    pairs.iter().map(|&(name, value)| (name.to_owned(), Value::Integer(value))).collect()
}

fn has(field: &str, value: i64) -> Filter {
    let condition = Condition::Equals(Scalar::Integer(value));
    Filter::Field { path: FieldPath(field.into()), condition }
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicU64::new(1_000));
        let (model, keys) = (BTreeMap::new(), HashMap::new());
        let mut fixture = Self { folder, clock, open: None, model, keys };
        fixture.reopen();
        fixture
    }

    fn reopen(&mut self) {
        self.open = None;
        let clock = Arc::clone(&self.clock);
        let clock = Arc::new(move || clock.load(Ordering::Relaxed));
        let options = CollectionsOptions { clock, ..CollectionsOptions::default() };
        let collections =
            Collections::open(self.folder.path(), options, Arc::new(NoEmbedders)).unwrap();
        let collection = collections.get("c").unwrap_or_else(|_| {
            let dense = NewVector {
                metric: Some(Metric::Euclidean),
                ..NewVector::from_source(NewVectorSource::Given(2))
            };
            let sparse = NewVector::from_source(NewVectorSource::GivenSparse);
            let vectors = BTreeMap::from([("v".to_owned(), dense), ("s".to_owned(), sparse)]);
            collections
                .create("c", &NewCollection { vectors, ..NewCollection::of_texts("") })
                .unwrap()
        });
        self.open = Some((collections, collection));
    }

    fn collection(&self) -> &Collection {
        &self.open.as_ref().unwrap().1
    }

    fn now(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    fn put(&mut self, id: &DocumentId, x: f32, payload: Payload, terms: Terms) -> Outcome {
        let vectors = BTreeMap::from([
            ("v".to_owned(), DenseVector::new(vec![x, 1.0]).unwrap().into()),
            ("s".to_owned(), SparseVector::new(vec![3], vec![x + 1.0]).unwrap().into()),
        ]);
        let content = SourceContent::Vectors(vectors);
        let source = Source { id: id.clone(), content, payload: payload.clone() };
        let upsert = Upsert { source, terms: terms.clone() };
        let results = self.collection().store_on(vec![upsert], &Cancellation::new()).unwrap();
        let outcome = results.into_iter().next().unwrap().outcome;
        if let Outcome::Stored(stored) = &outcome
            && !stored.is_repeat
        {
            let (sequence, expires) = (stored.sequence.0, terms.expires_unix_ms.unwrap_or(0));
            self.model.insert(id.clone(), Plain { x, payload, sequence, expires });
            if let Some(key) = terms.key {
                self.keys.insert((id.clone(), key), sequence);
            }
        }
        outcome
    }

    /// Compares everything that can be read with the model.
    fn check(&self, context: &str) {
        let collection = self.collection();
        let (documents, _) = collection.scroll(None, None, 1_000, true, true).unwrap();
        let found: BTreeMap<DocumentId, Plain> = documents
            .into_iter()
            .map(|document| {
                let x = document.parts[0].vectors["v"].as_dense().unwrap().as_slice()[0];
                let sparse = document.parts[0].vectors["s"].as_sparse().unwrap().values()[0];
                assert_eq!(sparse, x + 1.0, "{context}");
                let (sequence, payload) = (document.sequence.0, document.payload);
                let expires = document.expires_unix_ms.unwrap_or(0);
                (document.id, Plain { x, payload, sequence, expires })
            })
            .collect();
        assert_eq!(found, self.model, "{context}");
        assert_eq!(collection.count(None).unwrap().documents, self.model.len() as u64, "{context}");
        let vector = DenseVector::new(vec![0.0, 1.0]).unwrap().into();
        let request = SearchRequest {
            vectors: BTreeMap::from([("v".to_owned(), vector)]),
            limit: 50,
            ..SearchRequest::default()
        };
        let answer = collection.search(&request, &Cancellation::new()).unwrap();
        let mut nearest: Vec<(&DocumentId, f32)> =
            self.model.iter().map(|(id, plain)| (id, plain.x)).collect();
        nearest.sort_by(|a, b| a.1.total_cmp(&b.1));
        let nearest: Vec<&DocumentId> = nearest.into_iter().map(|(id, _)| id).collect();
        let found: Vec<&DocumentId> = answer.hits.iter().map(|hit| &hit.id).collect();
        assert_eq!(found, nearest, "{context}");
        if collection.info().unwrap().fields.contains_key("a") {
            let expected =
                self.model.values().filter(|p| p.payload.get("a") == Some(&Value::Integer(1)));
            let counted = collection.count(Some(&has("a", 1))).unwrap().documents;
            assert_eq!(counted, expected.count() as u64, "{context}");
        }
    }

    /// Lets the upkeep's work be done now, and compares tables and indexes.
    fn verify(&self, context: &str) {
        let collection = self.collection();
        remove_expired(&collection.engine, &collection.committer).unwrap();
        // Passes through the committer: what was removed before it is published.
        collection.delete([id(999)]).unwrap();
        let verified = collection.verify(&|_, _| {}, &Cancellation::new()).unwrap();
        assert_eq!(verified.problems, Vec::<String>::new(), "{context}");
        assert_eq!(verified.documents, self.model.len() as u64, "{context}");
    }

    fn step(&mut self, random: &mut StdRng, context: &str) {
        let target = id(random.random_range(0..8));
        let x = random.random_range(0.0..1_000.0);
        let payload = fields(&[("a", random.random_range(0..3)), ("b", random.random_range(0..9))]);
        let stored = self.model.get(&target).cloned();
        match random.random_range(0..10) {
            0 | 1 => {
                let expires =
                    random.random_bool(0.4).then(|| self.now() + random.random_range(1..99));
                let terms = Terms { expires_unix_ms: expires, ..Terms::default() };
                let outcome = self.put(&target, x, payload, terms);
                assert!(matches!(outcome, Outcome::Stored(_)), "{context}: {outcome:?}");
            }
            2 | 3 => {
                let expected = match (random.random_range(0..3), &stored) {
                    (0, _) => Expected::Absent,
                    (1, Some(plain)) => Expected::Sequence(Sequence(plain.sequence)),
                    _ => Expected::Sequence(Sequence(random.random_range(1..50))),
                };
                let holds = match (expected, &stored) {
                    (Expected::Absent, stored) => stored.is_none(),
                    (Expected::Sequence(sequence), Some(plain)) => sequence.0 == plain.sequence,
                    (Expected::Sequence(_), None) => false,
                };
                let terms = Terms { expected: Some(expected), ..Terms::default() };
                match self.put(&target, x, payload, terms) {
                    Outcome::Stored(_) => assert!(holds, "{context}: {expected:?}"),
                    Outcome::Failed(error) => {
                        assert!(!holds, "{context}: {error}");
                        assert_eq!(error.kind, ErrorKind::Conflict, "{context}");
                    }
                    Outcome::Unchanged => panic!("{context}"),
                }
            }
            4 => {
                let key = format!("key{}", random.random_range(0..4));
                let known = self.keys.get(&(target.clone(), key.clone())).copied();
                let terms = Terms { key: Some(key), ..Terms::default() };
                let Outcome::Stored(done) = self.put(&target, x, payload, terms) else {
                    panic!("{context}")
                };
                assert_eq!(done.is_repeat, known.is_some(), "{context}");
                assert_eq!(known.unwrap_or(done.sequence.0), done.sequence.0, "{context}");
            }
            5 | 6 => self.change(random, &target, context),
            7 => {
                let (deleted, _) = self.collection().delete([target.clone()]).unwrap();
                assert_eq!(deleted == 1, self.model.remove(&target).is_some(), "{context}");
            }
            8 => {
                self.clock.fetch_add(random.random_range(1..40), Ordering::Relaxed);
                let now = self.now();
                self.model.retain(|_, plain| plain.expires == 0 || plain.expires > now);
                // Seen by nobody, whether its rows are there still or not.
                self.check(context);
            }
            _ => self.reopen(),
        }
    }

    fn change(&mut self, random: &mut StdRng, target: &DocumentId, context: &str) {
        let new = fields(&[("a", random.random_range(0..3)), ("c", random.random_range(0..9))]);
        let change = match random.random_range(0..5) {
            0 => PayloadChange::Set { at: None, fields: new },
            1 => PayloadChange::Overwrite(new),
            2 => PayloadChange::Delete(vec![FieldPath("a".into()), FieldPath("x".into())]),
            3 => PayloadChange::Clear,
            _ => PayloadChange::Keep,
        };
        let expires = random.random_bool(0.3).then(|| match random.random_range(0..2) {
            0 => 0,
            _ => self.now() + random.random_range(1..99),
        });
        let terms = Terms { expires_unix_ms: expires, ..Terms::default() };
        let knows_a = self.collection().info().unwrap().fields.contains_key("a");
        let (ids, updated) = if random.random_bool(0.4) && knows_a {
            let is_meant = |plain: &Plain| plain.payload.get("a") == Some(&Value::Integer(1));
            let ids = self.model.iter().filter(|(_, plain)| is_meant(plain));
            let ids: Vec<DocumentId> = ids.map(|(id, _)| id.clone()).collect();
            let filter = has("a", 1);
            (ids, self.collection().update_where(&filter, change.clone(), &terms).unwrap())
        } else {
            let ids = vec![target.clone()];
            (ids, self.collection().update([target.clone()], change.clone(), &terms).unwrap())
        };
        assert!(updated.failed.is_empty(), "{context}: {updated:?}");
        let mut sequence = updated.sequence.0 - updated.updated;
        let mut missing = Vec::new();
        for id in ids {
            let Some(plain) = self.model.get_mut(&id) else {
                missing.push(id);
                continue;
            };
            let mut payload = plain.payload.clone();
            match &change {
                PayloadChange::Set { fields, .. } => payload.extend(fields.clone()),
                PayloadChange::Overwrite(fields) => payload.clone_from(fields),
                PayloadChange::Delete(_) => drop(payload.remove("a")),
                PayloadChange::Clear => payload.clear(),
                PayloadChange::Keep => {}
            }
            let expires = expires.unwrap_or(plain.expires);
            if payload != plain.payload || expires != plain.expires {
                sequence += 1;
                *plain = Plain { payload, expires, sequence, ..plain.clone() };
            }
        }
        assert_eq!(updated.missing, missing, "{context}");
    }
}

#[test]
fn random_mutations_with_restarts_leave_what_a_plain_map_holds() {
    for seed in 1..=12 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut fixture = Fixture::new();
        for step in 0..40 {
            let context = format!("seed {seed}, step {step}");
            fixture.step(&mut random, &context);
            fixture.check(&context);
            fixture.verify(&context);
        }
    }
}

#[test]
fn concurrent_changes_of_one_document_lose_none_of_them() {
    let mut fixture = Fixture::new();
    fixture.put(&id(1), 1.0, Payload::new(), Terms::default());
    let collection = fixture.collection();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                for number in 0..10 {
                    let fields = fields(&[(&format!("f{thread}_{number}"), number)]);
                    let change = PayloadChange::Set { at: None, fields };
                    collection.update([id(1)], change, &Terms::default()).unwrap();
                }
            });
        }
    });
    let stored = collection.get(&[id(1)], false).unwrap().remove(0);
    assert_eq!(stored.payload.len(), 80);
}

#[test]
fn of_those_who_expect_the_same_version_one_succeeds() {
    let mut fixture = Fixture::new();
    let Outcome::Stored(first) = fixture.put(&id(1), 1.0, Payload::new(), Terms::default()) else {
        panic!("stored")
    };
    let collection = fixture.collection();
    let expected = Some(Expected::Sequence(first.sequence));
    let succeeded = std::sync::Mutex::new(0);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let succeeded = &succeeded;
            scope.spawn(move || {
                let fields = fields(&[("winner", thread)]);
                let change = PayloadChange::Set { at: None, fields };
                let terms = Terms { expected, ..Terms::default() };
                let mut updated = collection.update([id(1)], change, &terms).unwrap();
                match updated.failed.pop() {
                    Some((_, Error::OtherState { expected, actual, .. })) => {
                        assert_eq!(expected, "at sequence 1");
                        assert_eq!(actual, "is at sequence 2");
                    }
                    None => *succeeded.lock().unwrap() += updated.updated,
                    other => panic!("{other:?}"),
                }
            });
        }
    });
    assert_eq!(*succeeded.lock().unwrap(), 1);
}

#[test]
fn what_is_wrong_with_a_change_is_said_with_both_sides() {
    let mut fixture = Fixture::new();
    let past = Terms { expires_unix_ms: Some(900), ..Terms::default() };
    let Outcome::Failed(error) = fixture.put(&id(1), 1.0, Payload::new(), past) else {
        panic!("refused")
    };
    let expected = "a document expires in the future: it is 1000, and expires_unix_ms is 900";
    assert_eq!(error.message, expected);
    fixture.put(&id(1), 1.0, Payload::new(), Terms::default());
    let long = Terms { key: Some("k".repeat(257)), ..Terms::default() };
    let error = fixture.collection().update([id(1)], PayloadChange::Clear, &long).unwrap_err();
    assert_eq!(error.to_string(), "an idempotency key has 1 to 256 bytes, got 257");
    // Each change fits, both together do not.
    let half = |name: &str| {
        let text = Value::Text("x".repeat(30_000));
        PayloadChange::Set { at: None, fields: Payload::from([(name.to_owned(), text)]) }
    };
    let collection = fixture.collection();
    assert_eq!(collection.update([id(1)], half("a"), &Terms::default()).unwrap().updated, 1);
    let mut refused = collection.update([id(1)], half("b"), &Terms::default()).unwrap();
    let (_, error) = refused.failed.pop().unwrap();
    assert!(error.to_string().starts_with("a payload has at most 49152 bytes, got"), "{error}");
    let stored = collection.get(&[id(1)], false).unwrap().remove(0);
    assert_eq!(stored.payload.len(), 1);
}

#[test]
fn a_payload_that_was_changed_does_not_pass_for_the_source() {
    let mut fixture = Fixture::new();
    let source = fields(&[("a", 1)]);
    fixture.put(&id(1), 1.0, source.clone(), Terms::default());
    let again = fixture.put(&id(1), 1.0, source.clone(), Terms::default());
    assert_eq!(again, Outcome::Unchanged);
    let change = PayloadChange::Set { at: None, fields: fields(&[("a", 2)]) };
    fixture.collection().update([id(1)], change, &Terms::default()).unwrap();
    let again = fixture.put(&id(1), 1.0, source, Terms::default());
    assert!(matches!(again, Outcome::Stored(_)), "{again:?}");
}
