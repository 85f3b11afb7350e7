//! A collection as plain as it can be, and what it answers; documents made from numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use simile::cancel::Cancellation;
use simile::collection::{
    Collection, Collections, CollectionsOptions, Embedders, NewCollection, NewVector,
    NewVectorSource,
};
use simile::document::{Condition, DocumentId, FieldPath, Filter, Payload, Scalar, Value};
use simile::embed::{EmbedError, EmbedderHandle};
use simile::ingest::{Outcome, PartSource, Source, SourceContent};
use simile::query::{Mode, SearchRequest, WordSyntax};
use simile::vector::{DenseVector, Metric, MultiVector, Vector};

const WORDS: [&str; 12] = [
    "harbour", "lantern", "meadow", "granite", "willow", "ember", "quarry", "saffron", "timber",
    "velvet", "anchor", "bramble",
];
/// Scores that differ by less are the same: a kernel adds in another order than the model.
const TOLERANCE: f32 = 1e-3;
const LIMIT: usize = 5;

/// A generator with a fixed seed (splitmix64, Steele et al. 2014).
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Between -1 and 1.
    fn component(&mut self) -> f32 {
        (self.below(1 << 20) as f32 / (1 << 19) as f32) - 1.0
    }
}

/// A passage of the model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Passage {
    pub(crate) vector: Vec<f32>,
    /// Components of a multivector, row-major.
    pub(crate) tokens: Vec<f32>,
    pub(crate) words: BTreeSet<&'static str>,
}

/// A document of the model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plain {
    pub(crate) passages: Vec<Passage>,
    pub(crate) group: i64,
}

/// A collection of the model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Model {
    pub(crate) dimension: usize,
    pub(crate) metric: Metric,
    pub(crate) documents: BTreeMap<DocumentId, Plain>,
}

#[derive(Debug)]
struct NoEmbedders;

impl Embedders for NoEmbedders {
    fn get(&self, name: &str) -> Result<EmbedderHandle, EmbedError> {
        Err(EmbedError::UnknownModel { name: name.to_owned(), known: String::new() })
    }
}

/// Few vectors make a segment, and nothing is done in the background, so that a seed always gives
/// the same.
pub(crate) fn options() -> CollectionsOptions {
    CollectionsOptions {
        cache_bytes_max: 4 << 20,
        seal_at: Some(6),
        upkeep_interval: Duration::MAX,
        ..CollectionsOptions::default()
    }
}

pub(crate) fn open(folder: &Path) -> Collections {
    Collections::open(folder, options(), Arc::new(NoEmbedders)).unwrap()
}

pub(crate) fn id(number: u64) -> DocumentId {
    DocumentId::new(format!("d{number}")).unwrap()
}

pub(crate) fn group_is(group: i64) -> Filter {
    let condition = Condition::Equals(Scalar::Integer(group));
    Filter::Field { path: FieldPath("group".into()), condition }
}

impl Model {
    pub(crate) fn random(random: &mut Random) -> Self {
        let metrics = [Metric::Euclidean, Metric::Cosine, Metric::Dot];
        Self {
            dimension: usize::try_from(2 + random.below(7)).unwrap(),
            metric: metrics[usize::try_from(random.below(3)).unwrap()],
            documents: BTreeMap::new(),
        }
    }

    /// Returns a new collection like this one.
    pub(crate) fn settings(&self) -> NewCollection {
        let vector = NewVector {
            metric: Some(self.metric),
            ..NewVector::from_source(NewVectorSource::Given(self.dimension))
        };
        NewCollection {
            vectors: BTreeMap::from([
                (
                    "m".to_owned(),
                    NewVector {
                        metric: Some(Metric::Dot),
                        ..NewVector::from_source(NewVectorSource::GivenMulti(self.dimension))
                    },
                ),
                ("v".to_owned(), vector),
            ]),
            ..NewCollection::of_texts("")
        }
    }

    pub(crate) fn vector(&self, random: &mut Random) -> Vec<f32> {
        let mut vector: Vec<f32> = (0..self.dimension).map(|_| random.component()).collect();
        // Never zero.
        vector[0] += if vector[0] < 0.0 { -0.01 } else { 0.01 };
        vector
    }

    pub(crate) fn document(&self, random: &mut Random) -> Plain {
        let passages = (0..=random.below(3)).map(|_| Passage {
            vector: self.vector(random),
            tokens: (0..=random.below(3)).flat_map(|_| self.vector(random)).collect(),
            words: (0..=random.below(4))
                .map(|_| WORDS[usize::try_from(random.below(WORDS.len() as u64)).unwrap()])
                .collect(),
        });
        let passages = passages.collect();
        Plain { passages, group: i64::try_from(random.below(3)).unwrap() }
    }

    fn score(&self, a: &[f32], b: &[f32]) -> f32 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
        match self.metric {
            Metric::Dot => dot(a, b),
            Metric::Cosine => dot(a, b) / (dot(a, a) * dot(b, b)).sqrt(),
            Metric::Euclidean => {
                -a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum::<f32>().sqrt()
            }
        }
    }

    fn best(&self, question: &[f32], document: &Plain) -> f32 {
        let scores = document.passages.iter().map(|passage| self.score(question, &passage.vector));
        scores.fold(f32::NEG_INFINITY, f32::max)
    }
}

impl Plain {
    /// Returns the document without multivectors, for a collection that has none.
    pub(crate) fn without_tokens(mut self) -> Self {
        self.passages.iter_mut().for_each(|passage| passage.tokens.clear());
        self
    }

    pub(crate) fn source(&self, id: DocumentId) -> Source {
        let part = |passage: &Passage| {
            let v = DenseVector::new(passage.vector.clone()).unwrap();
            let mut vectors = BTreeMap::from([("v".to_owned(), Vector::from(v))]);
            if !passage.tokens.is_empty() {
                let m = multi(passage.vector.len(), passage.tokens.clone());
                vectors.insert("m".to_owned(), m.into());
            }
            let text = passage.words.iter().copied().collect::<Vec<_>>().join(" ");
            PartSource { text, vectors, span: None }
        };
        Source {
            id,
            content: SourceContent::Parts(self.passages.iter().map(part).collect()),
            payload: Payload::from([("group".to_owned(), Value::Integer(self.group))]),
        }
    }
}

fn multi(dimension: usize, components: Vec<f32>) -> MultiVector {
    MultiVector::new(dimension, components).unwrap()
}

/// Returns the components of a dense vector.
pub(crate) fn components(vector: &Vector) -> &[f32] {
    vector.as_dense().unwrap().as_slice()
}

/// Stores documents and expects that all of them are.
pub(crate) fn store(collection: &Collection, documents: Vec<(DocumentId, Plain)>, story: &str) {
    let sources = documents.into_iter().map(|(id, plain)| plain.source(id)).collect();
    for result in collection.store(sources, &Cancellation::new()).unwrap() {
        let is_stored = matches!(result.outcome, Outcome::Stored(_) | Outcome::Unchanged);
        assert!(is_stored, "{story}: {result:?}");
    }
}

/// Expects that the collection answers as the model does: one question of each kind, and reading.
pub(crate) fn check(collection: &Collection, model: &Model, random: &mut Random, story: &str) {
    let counts = collection.count(None).unwrap();
    let parts: usize = model.documents.values().map(|plain| plain.passages.len()).sum();
    let expected = (model.documents.len() as u64, parts as u64);
    assert_eq!((counts.documents, counts.parts), expected, "{story}");
    let groups = collection.info().unwrap().fields.contains_key("group");
    let group = Some(i64::try_from(random.below(4)).unwrap()).filter(|&group| groups && group < 3);
    check_nearest(collection, model, random, group, story);
    check_words(collection, model, random, group, story);
    check_multi(collection, model, random, group, story);
}

/// Expects that every document is there as it was stored, and that tables and indexes agree.
pub(crate) fn check_all(collection: &Collection, model: &Model, story: &str) {
    let (page, more) = collection.scroll(None, None, 1_000, true, true).unwrap();
    assert!(!more, "{story}");
    let found: Vec<&DocumentId> = page.iter().map(|document| &document.id).collect();
    assert_eq!(found, model.documents.keys().collect::<Vec<_>>(), "{story}");
    for (stored, plain) in page.iter().zip(model.documents.values()) {
        let source = plain.source(stored.id.clone());
        let SourceContent::Parts(parts) = source.content else { unreachable!() };
        assert_eq!(stored.payload, source.payload, "{story}: {}", stored.id);
        assert_eq!(stored.parts.len(), parts.len(), "{story}: {}", stored.id);
        for (stored, part) in stored.parts.iter().zip(&parts) {
            assert_eq!(stored.text, part.text, "{story}");
            assert_eq!(stored.vectors["m"], part.vectors["m"], "{story}");
            let (stored, given) =
                (components(&stored.vectors["v"]), components(&part.vectors["v"]));
            let length = match model.metric {
                Metric::Cosine => given.iter().map(|x| x * x).sum::<f32>().sqrt(),
                Metric::Dot | Metric::Euclidean => 1.0,
            };
            let is_near = |(a, b): (&f32, &f32)| (a - b / length).abs() < TOLERANCE;
            assert!(stored.iter().zip(given).all(is_near), "{story}");
        }
    }
    let found = collection.verify(&|_, _| {}, &Cancellation::new()).unwrap();
    assert_eq!(found.problems, Vec::<String>::new(), "{story}");
    assert_eq!(found.documents, model.documents.len() as u64, "{story}");
}

fn check_nearest(
    collection: &Collection,
    model: &Model,
    random: &mut Random,
    group: Option<i64>,
    story: &str,
) {
    let question = model.vector(random);
    let request = SearchRequest {
        vectors: BTreeMap::from([("v".into(), DenseVector::new(question.clone()).unwrap().into())]),
        filter: group.map(group_is),
        limit: LIMIT,
        ..SearchRequest::default()
    };
    let is_meant = |plain: &&Plain| group.is_none_or(|group| plain.group == group);
    let mut expected: Vec<f32> = model
        .documents
        .values()
        .filter(is_meant)
        .map(|plain| model.best(&question, plain))
        .collect();
    expected.sort_by(|a, b| b.total_cmp(a));
    expected.truncate(LIMIT);
    let hits = collection.search(&request, &Cancellation::new()).unwrap().hits;
    let scores: Vec<f32> = hits.iter().map(|hit| hit.score).collect();
    assert_eq!(scores.len(), expected.len(), "{story}: group {group:?} {question:?}");
    for (hit, expected) in hits.iter().zip(&expected) {
        let plain = model.documents.get(&hit.id);
        let plain = plain.unwrap_or_else(|| panic!("{story}: {} is not there", hit.id));
        let actual = model.best(&question, plain);
        assert!((hit.score - expected).abs() < TOLERANCE, "{story}: {scores:?}, not {expected}");
        assert!((hit.score - actual).abs() < TOLERANCE, "{story}: {} is {actual}", hit.id);
    }
}

fn check_multi(
    collection: &Collection,
    model: &Model,
    random: &mut Random,
    group: Option<i64>,
    story: &str,
) {
    let tokens: Vec<f32> = (0..=random.below(2)).flat_map(|_| model.vector(random)).collect();
    let question = multi(model.dimension, tokens);
    let request = SearchRequest {
        vectors: BTreeMap::from([("m".into(), question.clone().into())]),
        filter: group.map(group_is),
        limit: LIMIT,
        ..SearchRequest::default()
    };
    let score =
        |passage: &Passage| question.max_sim(&multi(model.dimension, passage.tokens.clone())).0;
    let best = |plain: &Plain| plain.passages.iter().map(score).fold(f32::NEG_INFINITY, f32::max);
    let meant = model.documents.values();
    let meant = meant.filter(|plain| group.is_none_or(|group| plain.group == group));
    let mut expected: Vec<f32> = meant.map(best).collect();
    expected.sort_by(|a, b| b.total_cmp(a));
    expected.truncate(LIMIT);
    let hits = collection.search(&request, &Cancellation::new()).unwrap().hits;
    let scores: Vec<f32> = hits.iter().map(|hit| hit.score).collect();
    assert_eq!(scores, expected, "{story}: group {group:?}");
    for hit in &hits {
        assert_eq!(hit.score, best(&model.documents[&hit.id]), "{story}: {}", hit.id);
    }
}

fn check_words(
    collection: &Collection,
    model: &Model,
    random: &mut Random,
    group: Option<i64>,
    story: &str,
) {
    let word = WORDS[usize::try_from(random.below(WORDS.len() as u64)).unwrap()];
    let request = SearchRequest {
        text: Some(format!("+{word}")),
        mode: Mode::Lexical,
        syntax: WordSyntax::Query,
        filter: group.map(group_is),
        limit: 1_000,
        ..SearchRequest::default()
    };
    let has_word = |plain: &Plain| plain.passages.iter().any(|part| part.words.contains(word));
    let expected: BTreeSet<&DocumentId> = model
        .documents
        .iter()
        .filter(|(_, plain)| group.is_none_or(|group| plain.group == group) && has_word(plain))
        .map(|(id, _)| id)
        .collect();
    let hits = collection.search(&request, &Cancellation::new()).unwrap().hits;
    let found: BTreeSet<&DocumentId> = hits.iter().map(|hit| &hit.id).collect();
    assert_eq!(found, expected, "{story}: `{word}` in group {group:?}");
}

/// Returns a folder for files that need not outlive the machine: in memory where there is such a
/// place, since what a disk does is not tested with it.
pub(crate) fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let found = memory.is_dir().then(|| tempfile::tempdir_in(memory).ok()).flatten();
    found.unwrap_or_else(|| tempfile::tempdir().unwrap())
}

/// Copies a folder with all that is in it; of what a file holds, not the zeros. Where a file is removed
/// meanwhile, as a merge does, the copy would be of no moment, and is made again.
pub(crate) fn copy(from: &Path, to: &Path) {
    const TRIES: usize = 100;
    for _ in 0..TRIES {
        match copied(from, to) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs_err::remove_dir_all(to).unwrap()
            }
            result => return result.unwrap(),
        }
    }
    panic!("files were removed during each of {TRIES} copies of {}", from.display());
}

fn copied(from: &Path, to: &Path) -> std::io::Result<()> {
    const BLOCK: usize = 64 << 10;
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry?;
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            fs_err::create_dir_all(&target)?;
            continue;
        }
        let bytes = fs_err::read(entry.path())?;
        let mut file = fs_err::File::create(&target)?;
        file.set_len(bytes.len() as u64)?;
        for (number, block) in (0..).zip(bytes.chunks(BLOCK)) {
            if *block != [0; BLOCK][..block.len()] {
                file.seek(SeekFrom::Start(number * BLOCK as u64))?;
                file.write_all(block)?;
            }
        }
    }
    Ok(())
}
