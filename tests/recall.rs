//! `target_recall` holds, and what a collection measures of itself is what is measured from outside: on
//! vectors that fill their space, on clusters, and on a curved surface of few dimensions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use simile::cancel::Cancellation;
use simile::collection::{
    Collection, Collections, CollectionsOptions, Embedders, NewCollection, NewVector,
    NewVectorSource, RecallRequest,
};
use simile::document::{DocumentId, Payload};
use simile::embed::{EmbedError, EmbedderHandle};
use simile::ingest::{Outcome, Source, SourceContent};
use simile::query::{Grouping, SearchRequest};
use simile::vector::{DenseVector, Metric, Vector};

const STORED: usize = 6_000;
const QUESTIONS: usize = 4_000;
const LIMIT: usize = 10;
/// By how much what is found may be less than what was asked for.
const TOLERANCE: f64 = 0.01;

struct NoEmbedders;

impl Embedders for NoEmbedders {
    fn get(&self, name: &str) -> Result<EmbedderHandle, EmbedError> {
        Err(EmbedError::UnknownModel { name: name.to_owned(), known: String::new() })
    }
}

type Draw = fn(&mut StdRng) -> Vec<f32>;

fn filling(random: &mut StdRng) -> Vec<f32> {
    (0..24).map(|_| random.random::<f32>() - 0.5).collect()
}

fn clustered(random: &mut StdRng) -> Vec<f32> {
    let cluster = random.random_range(0..60);
    let mut centre = StdRng::seed_from_u64(cluster);
    (0..32).map(|_| centre.random::<f32>() * 4.0 + (random.random::<f32>() - 0.5)).collect()
}

fn curved(random: &mut StdRng) -> Vec<f32> {
    let (a, b) = (random.random::<f32>() * 6.0, random.random::<f32>() * 6.0);
    let noise = |random: &mut StdRng| (random.random::<f32>() - 0.5) * 0.2;
    (1..=16_u8)
        .map(|n| (a * f32::from(n) / 4.0).sin() + (b * f32::from(n) / 5.0).cos() + noise(random))
        .collect()
}

fn vector(components: Vec<f32>) -> Vector {
    DenseVector::new(components).unwrap().into()
}

fn grown(collections: &Collections, draw: Draw, metric: Metric) -> Arc<Collection> {
    let config = NewVector {
        metric: Some(metric),
        // Few links, so that something is missed.
        links_max: Some(6),
        ef_construction: Some(40),
        ..NewVector::from_source(NewVectorSource::Given(draw(&mut StdRng::seed_from_u64(0)).len()))
    };
    let new = NewCollection {
        vectors: BTreeMap::from([("v".to_owned(), config)]),
        ..NewCollection::of_texts("")
    };
    let collection = collections.create("c", &new).unwrap();
    let mut random = StdRng::seed_from_u64(1);
    let stored: Vec<Vec<f32>> = (0..STORED).map(|_| draw(&mut random)).collect();
    for (start, some) in (0..).step_by(500).zip(stored.chunks(500)) {
        let source = |(number, components): (usize, &Vec<f32>)| Source {
            id: DocumentId::new(format!("d{}", start + number)).unwrap(),
            content: SourceContent::Vectors(BTreeMap::from([(
                "v".to_owned(),
                vector(components.clone()),
            )])),
            payload: Payload::new(),
        };
        let sources = some.iter().enumerate().map(source).collect();
        for result in collection.store(sources, &Cancellation::new()).unwrap() {
            assert!(matches!(result.outcome, Outcome::Stored(_)), "{result:?}");
        }
    }
    collection.optimize(&|_, _, _, _| {}, &Cancellation::new()).unwrap();
    collection
}

fn found(collection: &Collection, question: &[f32], target: Option<f32>) -> BTreeSet<DocumentId> {
    let request = SearchRequest {
        vectors: BTreeMap::from([("v".to_owned(), vector(question.to_vec()))]),
        target_recall: target,
        exact: target.is_none(),
        grouping: Grouping::Passage,
        limit: LIMIT,
        ..SearchRequest::default()
    };
    let hits = collection.search(&request, &Cancellation::new()).unwrap().hits;
    hits.into_iter().map(|hit| hit.id).collect()
}

/// Returns the share of the best that searches for a target find.
fn measured(
    collection: &Collection,
    questions: &[Vec<f32>],
    truths: &[BTreeSet<DocumentId>],
    target: f32,
) -> f64 {
    let (mut shared, mut all) = (0, 0);
    for (question, truth) in questions.iter().zip(truths) {
        shared += truth.intersection(&found(collection, question, Some(target))).count();
        all += truth.len();
    }
    shared as f64 / all as f64
}

#[test]
fn a_search_finds_the_share_that_it_asks_for_and_the_collection_measures_it_itself() {
    let sets: [(&str, Draw, Metric); 3] = [
        ("filling", filling, Metric::Cosine),
        ("clustered", clustered, Metric::Euclidean),
        ("curved", curved, Metric::Euclidean),
    ];
    for (name, draw, metric) in sets {
        let folder = tempfile::tempdir().unwrap();
        let options = CollectionsOptions {
            upkeep_interval: Duration::MAX,
            seal_at: Some(STORED),
            ..CollectionsOptions::default()
        };
        let collections = Collections::open(folder.path(), options, Arc::new(NoEmbedders)).unwrap();
        let collection = grown(&collections, draw, metric);
        let mut random = StdRng::seed_from_u64(2);
        let questions: Vec<Vec<f32>> = (0..QUESTIONS).map(|_| draw(&mut random)).collect();
        let truths: Vec<_> =
            questions.iter().map(|question| found(&collection, question, None)).collect();
        for target in [0.8, 0.9, 0.95, 0.99] {
            let recall = measured(&collection, &questions, &truths, target);
            println!("{name}: {recall:.4} where {target} was asked for");
            assert!(recall >= f64::from(target) - TOLERANCE, "{name}, {target}: {recall}");
            let request = RecallRequest {
                vector: None,
                limit: LIMIT,
                questions: 4_000,
                ef: None,
                target: Some(target),
                seed: 5,
            };
            let live = collection.recall(&request, &|_, _| {}, &Cancellation::new()).unwrap();
            println!("{name}: {live:?}");
            // Stored vectors, each as if it were not stored, find what vectors that are not stored find.
            let apart = (live.recall - recall).abs();
            assert!(apart <= TOLERANCE, "{name}: {live:?}, from outside {recall}");
        }
        drop(collection);
    }
}
