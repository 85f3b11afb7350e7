//! Questions of every kind beside a plain evaluation of the same on random data, before and after
//! the collection is opened anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::tests::NoEmbedders;
use super::{
    Collection, Collections, CollectionsOptions, NewCollection, NewVector, NewVectorSource,
};
use crate::cancel::Cancellation;
use crate::document::{
    Condition, DocumentId, FieldPath, Filter, Payload, Scalar, Value, values_at,
};
use crate::ingest::{Outcome, PartSource, Source, SourceContent};
use crate::query::{
    Direction, Diversity, Example, Fusion, GroupBy, Grouping, OrderBy, Recommend, SearchRequest,
    Strategy, Verdict,
};
use crate::vector::{DenseVector, SparseVector, Vector};

const DIMENSION: usize = 4;

/// A document as a plain evaluation keeps it.
#[derive(Debug, Clone)]
struct Plain {
    id: DocumentId,
    dense: Vec<Vec<f32>>,
    sparse: Vec<SparseVector>,
    payload: Payload,
}

struct Fixture {
    folder: tempfile::TempDir,
    collections: Collections,
    collection: Arc<Collection>,
    /// In the order in which they were stored.
    model: Vec<Plain>,
    random: StdRng,
}

fn open(folder: &std::path::Path) -> Collections {
    Collections::open(folder, CollectionsOptions::default(), Arc::new(NoEmbedders)).unwrap()
}

fn unit(random: &mut StdRng) -> Vec<f32> {
    let vector: Vec<f32> = (0..DIMENSION).map(|_| random.random_range(-1.0..1.0)).collect();
    DenseVector::new(vector).unwrap().normalized().unwrap().into_vec()
}

fn entries(random: &mut StdRng) -> SparseVector {
    let indices: BTreeSet<u32> =
        (0..random.random_range(1..6)).map(|_| random.random_range(0..12)).collect();
    let values = indices.iter().map(|_| random.random_range(0.1..2.0)).collect();
    SparseVector::new(indices.into_iter().collect(), values).unwrap()
}

impl Fixture {
    fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let collections = open(folder.path());
        let new = NewCollection {
            vectors: BTreeMap::from([
                ("v".to_owned(), NewVector::from_source(NewVectorSource::Given(DIMENSION))),
                ("s".to_owned(), NewVector::from_source(NewVectorSource::GivenSparse)),
            ]),
            ..NewCollection::of_texts("")
        };
        let collection = collections.create("c", &new).unwrap();
        let random = StdRng::seed_from_u64(seed);
        let mut fixture = Self { folder, collections, collection, model: Vec::new(), random };
        for number in 0..50 {
            fixture.store(number);
        }
        // Some are replaced, some deleted: neither may show any more.
        for number in [3, 17, 40] {
            fixture.store(number);
        }
        let gone: Vec<DocumentId> = [5, 6, 30]
            .iter()
            .map(|number| DocumentId::new(format!("d{number}")).unwrap())
            .collect();
        fixture.collection.delete(gone.clone()).unwrap();
        fixture.model.retain(|document| !gone.contains(&document.id));
        fixture
    }

    fn store(&mut self, number: u64) {
        let random = &mut self.random;
        let id = DocumentId::new(format!("d{number}")).unwrap();
        let parts = random.random_range(1..4);
        let tags =
            (0..random.random_range(0..3)).map(|_| Value::Integer(random.random_range(0..6)));
        let mut payload = Payload::from([("tag".to_owned(), Value::Array(tags.collect()))]);
        if random.random_bool(0.8) {
            payload.insert("year".into(), Value::Integer(random.random_range(0..20)));
        }
        let plain = Plain {
            id: id.clone(),
            dense: (0..parts).map(|_| unit(random)).collect(),
            sparse: (0..parts).map(|_| entries(random)).collect(),
            payload: payload.clone(),
        };
        let part = |(dense, sparse): (&Vec<f32>, &SparseVector)| PartSource {
            text: String::new(),
            vectors: BTreeMap::from([
                ("v".to_owned(), DenseVector::new(dense.clone()).unwrap().into()),
                ("s".to_owned(), sparse.clone().into()),
            ]),
            span: None,
        };
        let parts = plain.dense.iter().zip(&plain.sparse).map(part).collect();
        let source = Source { id: id.clone(), content: SourceContent::Parts(parts), payload };
        let stored = self.collection.store(vec![source], &Cancellation::new()).unwrap();
        assert!(matches!(stored[0].outcome, Outcome::Stored(_)), "{stored:?}");
        self.model.retain(|document| document.id != id);
        self.model.push(plain);
    }

    fn reopen(&mut self) {
        let empty = tempfile::tempdir().unwrap();
        self.collections = open(empty.path());
        self.collection = self.collections.create("c", &NewCollection::of_texts_only()).unwrap();
        self.collections = open(self.folder.path());
        self.collection = self.collections.get("c").unwrap();
    }

    fn ids(&self, request: &SearchRequest) -> Vec<DocumentId> {
        let answer = self.collection.search(request, &Cancellation::new()).unwrap();
        answer.hits.into_iter().map(|hit| hit.id).collect()
    }
}

impl NewCollection {
    fn of_texts_only() -> Self {
        Self { vectors: BTreeMap::new(), ..Self::of_texts("") }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The best part of each document, best document first, equal ones in the order of storing.
fn ranking<'m>(
    model: &'m [Plain],
    score: impl Fn(&Plain, usize) -> Option<f32>,
) -> Vec<(&'m Plain, f32)> {
    let best = |document: &'m Plain| {
        let scores = (0..document.dense.len()).filter_map(|part| score(document, part));
        scores.max_by(f32::total_cmp).map(|best| (document, best))
    };
    let mut all: Vec<(&Plain, f32)> = model.iter().filter_map(best).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all
}

fn dense_ranking<'m>(model: &'m [Plain], question: &[f32]) -> Vec<(&'m Plain, f32)> {
    ranking(model, |document, part| Some(dot(&document.dense[part], question)))
}

fn sparse_ranking<'m>(model: &'m [Plain], question: &SparseVector) -> Vec<(&'m Plain, f32)> {
    ranking(model, |document, part| {
        let vector = &document.sparse[part];
        let shares = vector.indices().iter().any(|index| question.indices().contains(index));
        shares.then(|| vector.dot(question))
    })
}

fn ids(ranking: &[(&Plain, f32)], count: usize) -> Vec<DocumentId> {
    ranking.iter().take(count).map(|(document, _)| document.id.clone()).collect()
}

/// Reciprocal rank fusion, equal sums in the order of storing.
fn fused(model: &[Plain], k: u32, legs: &[(f32, Vec<DocumentId>)]) -> Vec<DocumentId> {
    let mut all: Vec<(DocumentId, f64)> = Vec::new();
    for document in model {
        let share = |(weight, leg): &(f32, Vec<DocumentId>)| {
            let place = leg.iter().position(|id| *id == document.id)?;
            Some(f64::from(*weight) / (f64::from(k) + place as f64 + 1.0))
        };
        let shares: Vec<f64> = legs.iter().filter_map(share).collect();
        if !shares.is_empty() {
            all.push((document.id.clone(), shares.iter().sum()));
        }
    }
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all.into_iter().map(|(id, _)| id).collect()
}

fn given(vectors: impl IntoIterator<Item = (&'static str, Vector)>) -> SearchRequest {
    SearchRequest {
        vectors: vectors.into_iter().map(|(name, vector)| (name.to_owned(), vector)).collect(),
        ..SearchRequest::default()
    }
}

fn tagged(tag: i64) -> Filter {
    let condition = Condition::Equals(Scalar::Integer(tag));
    Filter::Field { path: FieldPath("tag".into()), condition }
}

fn has_tag(document: &Plain, tag: i64) -> bool {
    values_at(&document.payload, "tag").contains(&Value::Integer(tag))
}

/// Every kind of question, twice: before and after opening anew.
fn check_each(check: impl Fn(&mut Fixture, &str)) {
    for seed in 1..=2 {
        let mut fixture = Fixture::new(seed);
        for round in 0..6 {
            check(&mut fixture, &format!("seed {seed}, round {round}"));
        }
        fixture.reopen();
        for round in 0..3 {
            check(&mut fixture, &format!("seed {seed}, reopened, round {round}"));
        }
        let verified = fixture.collection.verify(&|_, _| {}, &Cancellation::new()).unwrap();
        assert_eq!(verified.problems, Vec::<String>::new());
    }
}

#[test]
fn sparse_questions_are_answered_exactly_and_joined_with_dense_ones() {
    check_each(|fixture, context| {
        let (dense, sparse) = (unit(&mut fixture.random), entries(&mut fixture.random));
        let dense_vector = Vector::from(DenseVector::new(dense.clone()).unwrap());
        for tag in [None, Some(2)] {
            let meant: Vec<Plain> = fixture
                .model
                .iter()
                .filter(|document| tag.is_none_or(|tag| has_tag(document, tag)))
                .cloned()
                .collect();
            let expected = sparse_ranking(&meant, &sparse);
            let mut request = given([("s", sparse.clone().into())]);
            request.filter = tag.map(tagged);
            let answer = fixture.collection.search(&request, &Cancellation::new()).unwrap();
            let found: Vec<(DocumentId, f32)> =
                answer.hits.iter().map(|hit| (hit.id.clone(), hit.score)).collect();
            let wanted: Vec<(DocumentId, f32)> =
                expected.iter().take(10).map(|(doc, score)| (doc.id.clone(), *score)).collect();
            assert_eq!(found, wanted, "{context}");

            let legs =
                [(1.0, ids(&dense_ranking(&meant, &dense), 999)), (3.0, ids(&expected, 999))];
            request.vectors.insert("v".into(), dense_vector.clone());
            let weights = BTreeMap::from([("sparse:s".to_owned(), 3.0)]);
            request.fusion = Fusion::ReciprocalRank { k: 7, weights };
            let joined = fused(&meant, 7, &legs);
            assert_eq!(fixture.ids(&request), joined[..joined.len().min(10)], "{context}");
        }
    });
}

#[test]
fn searches_within_searches_join_and_rescore() {
    check_each(|fixture, context| {
        let (dense, sparse) = (unit(&mut fixture.random), entries(&mut fixture.random));
        let dense_vector = Vector::from(DenseVector::new(dense.clone()).unwrap());
        let first = SearchRequest { limit: 8, ..given([("s", sparse.clone().into())]) };
        let second = SearchRequest {
            limit: 5,
            filter: Some(tagged(1)),
            ..given([("v", dense_vector.clone())])
        };
        let meant: Vec<Plain> =
            fixture.model.iter().filter(|document| has_tag(document, 1)).cloned().collect();
        let found = [
            (1.0, ids(&sparse_ranking(&fixture.model, &sparse), 8)),
            (1.0, ids(&dense_ranking(&meant, &dense), 5)),
        ];
        let joined = SearchRequest {
            prefetch: vec![first.clone(), second.clone()],
            fusion: Fusion::ReciprocalRank { k: 60, weights: BTreeMap::new() },
            limit: 20,
            ..SearchRequest::default()
        };
        assert_eq!(fixture.ids(&joined), fused(&fixture.model, 60, &found), "{context}");

        // Nested once more, and asked another question of what was found.
        let other = unit(&mut fixture.random);
        let candidates: Vec<Plain> = fixture
            .model
            .iter()
            .filter(|document| found.iter().any(|(_, leg)| leg.contains(&document.id)))
            .cloned()
            .collect();
        let rescored = SearchRequest {
            prefetch: vec![joined],
            limit: 20,
            ..given([("v", DenseVector::new(other.clone()).unwrap().into())])
        };
        let expected = ids(&dense_ranking(&candidates, &other), 20);
        assert_eq!(fixture.ids(&rescored), expected, "{context}");
    });
}

#[test]
fn groups_hold_the_best_hits_of_each_value() {
    check_each(|fixture, context| {
        let dense = unit(&mut fixture.random);
        let (limit, size) = (fixture.random.random_range(1..8), fixture.random.random_range(1..5));
        let request = SearchRequest {
            limit,
            group_by: Some(GroupBy { path: FieldPath("tag".into()), size }),
            ..given([("v", DenseVector::new(dense.clone()).unwrap().into())])
        };
        let answer = fixture.collection.search(&request, &Cancellation::new()).unwrap();
        let mut expected: Vec<(Value, Vec<DocumentId>)> = Vec::new();
        for (document, _) in dense_ranking(&fixture.model, &dense) {
            for value in values_at(&document.payload, "tag") {
                match expected.iter_mut().find(|(other, _)| *other == value) {
                    Some((_, hits)) if hits.len() < size => hits.push(document.id.clone()),
                    Some(_) => {}
                    None => expected.push((value, vec![document.id.clone()])),
                }
            }
        }
        expected.truncate(limit);
        let found: Vec<(Value, Vec<DocumentId>)> = answer
            .groups
            .into_iter()
            .map(|group| (group.value, group.hits.into_iter().map(|hit| hit.id).collect()))
            .collect();
        assert_eq!(found, expected, "{context}");
        assert!(answer.hits.is_empty());
    });
}

#[test]
fn diversity_is_maximal_marginal_relevance() {
    check_each(|fixture, context| {
        let dense = unit(&mut fixture.random);
        let relevance = fixture.random.random_range(0.0..1.0);
        let request = SearchRequest {
            limit: 6,
            grouping: Grouping::Passage,
            diversity: Some(Diversity { relevance, candidates: Some(25), vector: None }),
            ..given([("v", DenseVector::new(dense.clone()).unwrap().into())])
        };
        let mut passages: Vec<(String, &[f32], f32)> = fixture
            .model
            .iter()
            .flat_map(|document| {
                document.dense.iter().enumerate().map(|(part, vector)| {
                    (format!("{}/{part}", document.id), vector.as_slice(), dot(vector, &dense))
                })
            })
            .collect();
        passages.sort_by(|a, b| b.2.total_cmp(&a.2));
        passages.truncate(25);
        let (best, worst) = (passages[0].2, passages[24].2);
        let mut chosen: Vec<(String, &[f32], f32)> = Vec::new();
        while chosen.len() < 6 {
            let value = |(_, vector, score): &(String, &[f32], f32)| {
                let near = chosen.iter().map(|(_, other, _)| dot(vector, other));
                let near = near.max_by(f32::total_cmp).unwrap_or(0.0);
                relevance * (score - worst) / (best - worst) - (1.0 - relevance) * near
            };
            let place = (0..passages.len()).max_by(|&a, &b| {
                value(&passages[a]).total_cmp(&value(&passages[b])).then(b.cmp(&a))
            });
            chosen.push(passages.remove(place.unwrap()));
        }
        let answer = fixture.collection.search(&request, &Cancellation::new()).unwrap();
        let found: Vec<String> =
            answer.hits.iter().map(|hit| format!("{}/{}", hit.id, hit.part)).collect();
        let expected: Vec<String> = chosen.into_iter().map(|(name, _, _)| name).collect();
        assert_eq!(found, expected, "{context}");
    });
}

#[test]
fn recommendations_are_like_the_positive_examples_and_unlike_the_negative_ones() {
    check_each(|fixture, context| {
        let positive = fixture.model[fixture.random.random_range(0..20)].clone();
        let negative = fixture.model[fixture.random.random_range(20..40)].clone();
        let other = unit(&mut fixture.random);
        let mut recommend = Recommend {
            positive: vec![
                Example::Document(positive.id.clone()).into(),
                Example::Vector(DenseVector::new(other.clone()).unwrap().into()).into(),
            ],
            negative: vec![Example::Document(negative.id.clone()).into()],
            strategy: Strategy::Average,
            vector: Some("v".into()),
        };
        let rest: Vec<Plain> = fixture
            .model
            .iter()
            .filter(|document| ![&positive.id, &negative.id].contains(&&document.id))
            .cloned()
            .collect();
        let likes: Vec<&[f32]> =
            positive.dense.iter().map(Vec::as_slice).chain([other.as_slice()]).collect();
        let unlikes: Vec<&[f32]> = negative.dense.iter().map(Vec::as_slice).collect();
        let mean = |vectors: &[&[f32]], at: usize| {
            vectors.iter().map(|vector| vector[at]).sum::<f32>() / vectors.len() as f32
        };
        let question: Vec<f32> =
            (0..DIMENSION).map(|at| 2.0 * mean(&likes, at) - mean(&unlikes, at)).collect();
        let ask = |recommend: &Recommend| SearchRequest {
            recommend: Some(recommend.clone()),
            exact: true,
            ..SearchRequest::default()
        };
        let expected = ids(&dense_ranking(&rest, &question), 10);
        assert_eq!(fixture.ids(&ask(&recommend)), expected, "{context}");

        recommend.strategy = Strategy::BestScore;
        let best = |vector: &[f32], examples: &[&[f32]]| {
            let scores = examples.iter().map(|example| dot(vector, example));
            scores.max_by(f32::total_cmp).unwrap()
        };
        // All that is nearer to a positive example by how near, then the rest by how far.
        let expected = ranking(&rest, |document, part| {
            let vector = &document.dense[part];
            let (like, unlike) = (best(vector, &likes), best(vector, &unlikes));
            Some(if like > unlike { 10.0 + like } else { -unlike })
        });
        assert_eq!(fixture.ids(&ask(&recommend)), ids(&expected, 10), "{context}");

        // By one sparse example: more like this.
        let like = Recommend {
            positive: vec![Example::Document(positive.id.clone()).into()],
            vector: Some("s".into()),
            strategy: Strategy::BestScore,
            ..Recommend::default()
        };
        let rest: Vec<Plain> =
            fixture.model.iter().filter(|document| document.id != positive.id).cloned().collect();
        let expected = ranking(&rest, |document, part| {
            let scores = positive.sparse.iter().map(|like| document.sparse[part].dot(like));
            scores.max_by(f32::total_cmp)
        });
        assert_eq!(fixture.ids(&ask(&like)), ids(&expected, 10), "{context}");
    });
}

#[test]
fn documents_are_counted_ordered_and_drawn_by_their_fields() {
    check_each(|fixture, context| {
        let cancel = Cancellation::new();
        let (year, tag) = (FieldPath("year".into()), FieldPath("tag".into()));
        for filter in [None, Some(tagged(3))] {
            let meant: Vec<&Plain> = fixture
                .model
                .iter()
                .filter(|document| filter.is_none() || has_tag(document, 3))
                .collect();
            let mut counts = BTreeMap::<i64, u64>::new();
            for document in &meant {
                for value in values_at(&document.payload, "tag") {
                    let Value::Integer(tag) = value else { panic!("{value:?}") };
                    *counts.entry(tag).or_default() += 1;
                }
            }
            let mut expected: Vec<(i64, u64)> = counts.into_iter().collect();
            expected.sort_by_key(|&(tag, count)| (std::cmp::Reverse(count), tag));
            let counted = fixture.collection.facet(&tag, filter.as_ref(), 4, &cancel).unwrap();
            let counted: Vec<(Value, u64)> =
                counted.into_iter().map(|counted| (counted.value, counted.documents)).collect();
            let expected: Vec<(Value, u64)> =
                expected.into_iter().take(4).map(|(tag, n)| (Value::Integer(tag), n)).collect();
            assert_eq!(counted, expected, "{context}");

            for direction in [Direction::Ascending, Direction::Descending] {
                let mut expected: Vec<(i64, &DocumentId)> = meant
                    .iter()
                    .filter_map(|document| match document.payload.get("year") {
                        Some(Value::Integer(year)) => Some((*year, &document.id)),
                        _ => None,
                    })
                    .collect();
                let sign = if direction == Direction::Ascending { 1 } else { -1 };
                expected.sort_by_key(|&(year, id)| (sign * year, id));
                let order = OrderBy { path: year.clone(), direction };
                let (mut found, mut after) = (Vec::new(), None);
                loop {
                    let page = fixture
                        .collection
                        .scroll_ordered(
                            filter.as_ref(),
                            &order,
                            after.as_ref(),
                            7,
                            (false, false),
                            &cancel,
                        )
                        .unwrap();
                    found.extend(page.documents.into_iter().map(|document| document.id));
                    after = page.next;
                    if after.is_none() {
                        break;
                    }
                }
                let expected: Vec<&DocumentId> = expected.iter().map(|(_, id)| *id).collect();
                assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{context} {direction:?}");
            }

            let seed = fixture.random.random();
            let draw = || {
                let drawn = fixture.collection.draw(filter.as_ref(), seed, 10, false, false);
                drawn.unwrap().into_iter().map(|document| document.id).collect::<Vec<_>>()
            };
            let drawn = draw();
            assert_eq!(drawn, draw(), "{context}: the same seed draws the same");
            assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), meant.len().min(10));
            assert!(drawn.iter().all(|id| meant.iter().any(|document| document.id == *id)));
        }
    });
}

#[test]
fn an_explanation_agrees_with_the_search_for_every_document() {
    check_each(|fixture, context| {
        let (dense, sparse) = (unit(&mut fixture.random), entries(&mut fixture.random));
        let request = SearchRequest {
            limit: 5,
            offset: 2,
            filter: Some(Filter::All(vec![Filter::Not(Box::new(tagged(0)))])),
            ..given([
                ("v", DenseVector::new(dense.clone()).unwrap().into()),
                ("s", sparse.clone().into()),
            ])
        };
        let cancel = Cancellation::new();
        let answer = fixture.collection.search(&request, &cancel).unwrap();
        for document in &fixture.model {
            let told = fixture.collection.explain(&request, &document.id, &cancel).unwrap();
            let hit = answer.hits.iter().position(|hit| hit.id == document.id);
            match told.verdict {
                Verdict::Shown { rank, score } => {
                    let place = hit.expect("it is among the hits");
                    assert_eq!((rank, score), (place + 3, answer.hits[place].score), "{context}");
                    let sum: f32 = told.legs.iter().map(|leg| leg.contribution).sum();
                    assert!((sum - score).abs() < 1e-6, "{context}: {told:?}");
                }
                Verdict::Filtered => {
                    assert!(has_tag(document, 0) && hit.is_none(), "{context}");
                    assert_eq!(told.conditions, [("not tag = 0".to_owned(), false)]);
                }
                Verdict::Outside { rank, .. } => {
                    assert!(hit.is_none() && !(3..8).contains(&rank), "{context}");
                }
                other => panic!("{context}: {other:?}"),
            }
        }
        let missing = DocumentId::new("missing").unwrap();
        let told = fixture.collection.explain(&request, &missing, &cancel).unwrap();
        assert_eq!(told.verdict, Verdict::NotStored);
        let high = SearchRequest { score_threshold: Some(9.0), ..request };
        let shown = &answer.hits[0].id;
        let told = fixture.collection.explain(&high, shown, &cancel).unwrap();
        assert!(matches!(told.verdict, Verdict::BelowThreshold { threshold: 9.0, .. }), "{told:?}");
    });
}

#[test]
fn what_cannot_be_asked_is_refused_with_both_sides() {
    let fixture = Fixture::new(1);
    let refused = |request: &SearchRequest| {
        fixture.collection.search(request, &Cancellation::new()).unwrap_err().to_string()
    };
    let like = |id: &str| SearchRequest {
        recommend: Some(Recommend {
            positive: vec![Example::Document(DocumentId::new(id).unwrap()).into()],
            ..Recommend::default()
        }),
        ..SearchRequest::default()
    };
    assert!(refused(&like("d1")).contains("the collection has s, v: name it"));
    let mut request = like("missing");
    request.recommend.as_mut().unwrap().vector = Some("v".into());
    assert_eq!(refused(&request), "there is no document `missing`");
    request.recommend.as_mut().unwrap().positive.clear();
    assert!(refused(&request).contains("at least one positive example"));
    let sparse = given([("v", SparseVector::default().into())]);
    assert_eq!(refused(&sparse), "vector `v`: expected a dense vector, got a sparse one");
    let mut grouped = given([("s", SparseVector::default().into())]);
    grouped.group_by = Some(GroupBy { path: FieldPath("tag".into()), size: 0 });
    assert_eq!(refused(&grouped), "the size of groups is 0, expected 1 to 1000");
    let facet = fixture.collection.facet(&FieldPath("no".into()), None, 3, &Cancellation::new());
    let message = facet.unwrap_err().to_string();
    assert!(message.contains("`no`; known fields: tag, year"), "{message}");
}
