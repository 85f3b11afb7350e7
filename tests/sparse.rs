//! Our counting methods beside scikit-learn's vectorizers, whose rows `tests/reference/sparse.py`
//! recorded; each fitted, written, loaded from its folder and asked through the worker.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use simile::cancel::Cancellation;
use simile::decode::Limits;
use simile::document::{DocumentId, Payload};
use simile::embed::obtain::Hub;
use simile::embed::onnx::RuntimeSearch;
use simile::embed::{
    Catalogue, CatalogueOptions, EmbedError, EmbedderHandle, Lane, Recipe, Role, Training,
    WorkerOptions,
};
use simile::ingest::{PrepareContext, Source, SourceContent, TargetForm, VectorTarget, prepare};
use simile::vector::SparseVector;

const TEXTS: &str = include_str!("fixtures/sparse/texts.json");
const CASES: &str = include_str!("fixtures/sparse/cases.json");
const ROWS: &[u8] = include_bytes!("fixtures/sparse/rows.bin");
/// What single precision leaves of agreement, relative to the value.
const TOLERANCE: f64 = 1e-6;

#[derive(Deserialize)]
struct Case {
    name: String,
    recipe: Recipe,
    features: usize,
    every: usize,
    entries: Vec<usize>,
    sums: Vec<f64>,
}

pub(crate) fn catalogue(folder: &Path) -> Catalogue {
    Catalogue::open(CatalogueOptions {
        models: folder.join("models"),
        own: Some(folder.join("own")),
        runtime: RuntimeSearch::default(),
        hub: Hub::default(),
        is_offline: true,
        threads: 1,
        worker: WorkerOptions::default(),
    })
    .unwrap()
}

fn train(catalogue: &Catalogue, name: &str, recipe: &Recipe, texts: &[&str]) -> EmbedderHandle {
    fit(catalogue, name, recipe, texts, &Cancellation::new()).unwrap();
    catalogue.load(name, &|_, _, _| {}).unwrap()
}

fn fit(
    catalogue: &Catalogue,
    name: &str,
    recipe: &Recipe,
    texts: &[&str],
    cancel: &Cancellation,
) -> Result<(), EmbedError> {
    let corpus = texts.to_vec();
    let training = Training::new(&corpus, &|_, _, _| {}, cancel);
    catalogue.train(name, "CC0-1.0", recipe, &training).map(drop)
}

fn embed(model: &EmbedderHandle, texts: &[&str]) -> Vec<SparseVector> {
    let embedded = model.embed(texts, Role::Passage, Lane::Bulk, &Cancellation::new()).unwrap();
    let vectors = embedded.embeddings.into_iter().map(|embedding| embedding.vector.unwrap());
    vectors.map(|vector| vector.as_sparse().unwrap().clone()).collect()
}

fn recipe(json: &str) -> Recipe {
    serde_json::from_str(json).unwrap()
}

fn cosine(a: &SparseVector, b: &SparseVector) -> f32 {
    a.dot(b) / (a.dot(a) * b.dot(b)).sqrt().max(f32::MIN_POSITIVE)
}

/// Takes the next recorded row.
fn next_row(rows: &mut &[u8]) -> (Vec<u32>, Vec<f32>) {
    let mut number = || {
        let (number, rest) = rows.split_first_chunk::<4>().unwrap();
        *rows = rest;
        *number
    };
    let count = u32::from_le_bytes(number());
    let indices = (0..count).map(|_| u32::from_le_bytes(number())).collect();
    let values = (0..count).map(|_| f32::from_le_bytes(number())).collect();
    (indices, values)
}

#[test]
fn a_thousand_texts_get_the_rows_of_scikit_learn() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = catalogue(folder.path());
    let texts: Vec<String> = serde_json::from_str(TEXTS).unwrap();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let cases: Vec<Case> = serde_json::from_str(CASES).unwrap();
    assert_eq!((texts.len(), cases.len()), (1000, 10));
    let mut rows = ROWS;
    for case in cases {
        // Some names are taken by models that come with the program.
        let model = train(&catalogue, &format!("case-{}", case.name), &case.recipe, &texts);
        assert_eq!(model.specification().dimension, case.features, "{}", case.name);
        let vectors = embed(&model, &texts);
        for (row, vector) in vectors.iter().enumerate() {
            let what = format!("{} {row} {:?}", case.name, texts[row]);
            assert_eq!(vector.indices().len(), case.entries[row], "{what}");
            let entries = vector.indices().iter().zip(vector.values());
            let weight = |index: u32| f64::from(index.wrapping_mul(2_654_435_761)) / 2f64.powi(32);
            let sum: f64 = entries.map(|(&index, &value)| f64::from(value) * weight(index)).sum();
            assert!(near(sum, case.sums[row]), "{what}: {sum} for {}", case.sums[row]);
            if row % case.every == 0 {
                let (indices, values) = next_row(&mut rows);
                assert_eq!(vector.indices(), indices, "{what}");
                for (ours, theirs) in vector.values().iter().zip(values) {
                    assert!(near((*ours).into(), theirs.into()), "{what}: {ours} for {theirs}");
                }
            }
        }
    }
    assert!(rows.is_empty(), "{} bytes of rows were not looked at", rows.len());
}

fn near(ours: f64, theirs: f64) -> bool {
    (ours - theirs).abs() <= TOLERANCE * theirs.abs().max(1.0)
}

#[test]
fn a_word_is_like_itself_and_like_nothing_else_and_unknown_words_are_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = catalogue(folder.path());
    let one_hot = recipe(r#"{"method": "one-hot", "options": {}}"#);
    let model = train(&catalogue, "words", &one_hot, &["cat mouse", "猫追逐老鼠", "harbour"]);
    let vectors = embed(&model, &["Cat", "CAT cat", "mouse", "猫", "zebra", ""]);
    assert_eq!(cosine(&vectors[0], &vectors[1]), 1.0);
    assert_eq!(cosine(&vectors[0], &vectors[2]), 0.0);
    assert_eq!(vectors[3].values(), [1.0]);
    assert_eq!((&vectors[4], &vectors[5]), (&SparseVector::default(), &SparseVector::default()));
}

#[test]
fn letters_find_what_is_misspelt_where_words_do_not() {
    const NAMES: [&str; 8] = [
        "Bartholomew lighthouse",
        "Constantinople ferry timetable",
        "propeller gasket",
        "cinnamon biscuits",
        "astronomical observatory",
        "beekeeping for beginners",
        "Mediterranean fish soup",
        "embroidered tablecloth",
    ];
    const TYPOS: [&str; 8] = [
        "Bartolomew lighthose",
        "Constantinopel fery timetabel",
        "propellor gascket",
        "cinammon bisciuts",
        "astronomcal obsevratory",
        "beekeping for begginers",
        "Meditteranean fishsoup",
        "embroidred tabelcloth",
    ];
    let folder = tempfile::tempdir().unwrap();
    let catalogue = catalogue(folder.path());
    let found = |name: &str, json: &str| {
        let model = train(&catalogue, name, &recipe(json), &NAMES);
        let (names, typos) = (embed(&model, &NAMES), embed(&model, &TYPOS));
        let is_best = |row: usize| {
            let own = cosine(&typos[row], &names[row]);
            own > 0.0
                && (0..8).all(|other| other == row || cosine(&typos[row], &names[other]) < own)
        };
        (0..8).filter(|&row| is_best(row)).count()
    };
    let words = found("words", r#"{"method": "tf-idf", "options": {}}"#);
    let letters = r#"{"analyzer": "char-wb", "run_min": 3, "run_max": 5}"#;
    let tf_idf = format!(r#"{{"method": "tf-idf", "options": {{"terms": {letters}}}}}"#);
    let hashed = format!(
        r#"{{"method": "n-gram", "options": {{"terms": {letters},
            "hashed": {{"features": 65536, "signed": true, "norm": "l2"}}}}}}"#
    );
    assert!(words <= 2, "{words} of 8 by whole words");
    assert_eq!((found("letters", &tf_idf), found("hashes", &hashed)), (8, 8));
}

#[test]
fn texts_for_a_model_that_reads_everything_are_cut_into_passages_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let model = catalogue(folder.path()).load("hashed-words", &|_, _, _| {}).unwrap();
    let target = VectorTarget { form: TargetForm::Sparse, embedder: Some(model.clone()) };
    let context = PrepareContext {
        vectors: BTreeMap::from([("words".to_owned(), target)]),
        tokens_max: None,
        tokens_overlap: None,
        has_words: true,
        limits: Limits::default(),
    };
    let sentence = "The ferry leaves the harbour at noon and comes back with the tide. ";
    let source = Source {
        id: DocumentId::new("long").unwrap(),
        content: SourceContent::Text(sentence.repeat(200)),
        payload: Payload::new(),
    };
    let prepared = prepare(&[source], &context, &Cancellation::new()).remove(0).unwrap();
    let parts = &prepared.documents[0].parts;
    let longest = parts.iter().map(|part| model.tokenizer().token_ranges(&part.text).len()).max();
    assert!(parts.len() > 5 && longest <= Some(254), "{} parts, {longest:?}", parts.len());
}

#[test]
fn a_model_is_made_whole_or_not_at_all_and_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = catalogue(folder.path());
    let tf_idf = recipe(r#"{"method": "tf-idf", "options": {"vocabulary": {"df_min": "3"}}}"#);
    let texts = ["the cat", "the mouse", "the ham"];
    let go = Cancellation::new();
    let refused = |name: &str, recipe: &Recipe, texts: &[&str], cancel: &Cancellation| {
        fit(&catalogue, name, recipe, texts, cancel).unwrap_err().to_string()
    };
    let cancelled = Cancellation::new();
    cancelled.cancel();
    assert_eq!(refused("a", &tf_idf, &texts, &cancelled), "cancelled by the caller");
    assert!(refused("a", &tf_idf, &["cat", "ham", "x y"], &go).contains("at least 3"));
    assert!(refused("a", &tf_idf, &[], &go).contains("0 texts have no terms"));
    assert!(refused("a/b", &tf_idf, &texts, &go).contains("`a/b`"));
    let runs =
        recipe(r#"{"method": "n-gram", "options": {"terms": {"run_min": 3, "run_max": 2}}}"#);
    assert!(refused("a", &runs, &texts, &go).contains("got 3 to 2"));
    let left = fs_err::read_dir(folder.path().join("own")).unwrap().count();
    assert_eq!(left, 0, "nothing is left of what failed");

    train(&catalogue, "a", &tf_idf, &texts);
    assert!(refused("a", &tf_idf, &texts, &go).contains("`a` is there already"));
    // Another catalogue over the same folder, opened before the model was there, finds it too.
    assert_eq!(catalogue.manifest("a").unwrap().dimension, 1);
}

#[test]
fn a_damaged_model_is_refused_by_name_and_the_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    let one_hot = recipe(r#"{"method": "one-hot", "options": {}}"#);
    let first = catalogue(folder.path());
    for name in ["good", "table", "canary", "manifest"] {
        fit(&first, name, &one_hot, &["cat mouse", "ham"], &Cancellation::new()).unwrap();
    }
    let change = |file: &str, from: &str, to: &str| {
        let path = folder.path().join("own").join(file);
        let text = fs_err::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs_err::write(path, text.replace(from, to)).unwrap();
    };
    change("table/terms.json", "mouse", "moose");
    change("canary/manifest.toml", "ham", "mouse");
    change("manifest/manifest.toml", "dimension", "dimensions");
    let later = catalogue(folder.path());
    let refused = |name: &str| later.load(name, &|_, _, _| {}).unwrap_err().to_string();
    assert!(refused("table").contains("SHA-256"), "{}", refused("table"));
    assert!(refused("canary").contains("cosine"), "{}", refused("canary"));
    assert!(refused("manifest").contains("dimension"), "{}", refused("manifest"));
    assert!(refused("none").contains("all-minilm-l6-v2, canary, good"), "{}", refused("none"));
    let model = later.load("good", &|_, _, _| {}).unwrap();
    assert_eq!(embed(&model, &["mouse"])[0].values(), [1.0]);
}
