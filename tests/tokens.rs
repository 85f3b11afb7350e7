//! Models that give weights of words (SPLADE), a vector for each token (ColBERT), or vectors that go through
//! layers, and cross-encoders of every family: tiny ones with random weights, beside what
//! `tests/reference/tokens.py` recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use simile::cancel::Cancellation;
use simile::embed::{AddOptions, Cache, Catalogue, EmbedderHandle, Kind, Lane, Method, Role};
use simile::vector::{Form, SparseVector, Vector};

use crate::support;

const EXPECTED: &str = include_str!("fixtures/tokens/expected.json");

#[derive(Deserialize)]
pub(crate) struct Expected {
    pub(crate) texts: Vec<String>,
    question: String,
    pub(crate) sparse: BTreeMap<String, Vec<Vec<(u32, f32)>>>,
    pub(crate) multi: BTreeMap<String, Multi>,
    dense: BTreeMap<String, Vec<Vec<f32>>>,
    scores: BTreeMap<String, Vec<f32>>,
}

#[derive(Deserialize)]
pub(crate) struct Multi {
    pub(crate) passages: Vec<Vec<Vec<f32>>>,
    pub(crate) queries: Vec<Vec<Vec<f32>>>,
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokens").join(name)
}

impl Expected {
    pub(crate) fn read() -> Self {
        serde_json::from_str(EXPECTED).unwrap()
    }
}

fn add(catalogue: &Catalogue, name: &str, kind: Kind) -> EmbedderHandle {
    catalogue.add(name, &fixture(name), &AddOptions::default(), &|_, _, _| {}).unwrap();
    assert_eq!(catalogue.manifest(name).unwrap().method.kind(), kind, "{name}");
    catalogue.load(name, &|_, _, _| {}).unwrap()
}

fn embed(model: &EmbedderHandle, texts: &[&str], role: Role) -> Vec<Vector> {
    let embedded = model.embed(texts, role, Lane::Bulk, &Cancellation::new()).unwrap();
    embedded.embeddings.into_iter().map(|embedding| embedding.vector.unwrap()).collect()
}

#[track_caller]
fn assert_same(ours: &[f32], theirs: &[f32], what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (ours, theirs) in ours.iter().zip(theirs) {
        let most = 1e-4 * theirs.abs().max(1.0);
        assert!((ours - theirs).abs() < most, "{what}: {ours}, expected {theirs}");
    }
}

/// A word whose weight is hardly any may be on one side only.
#[track_caller]
fn assert_same_words(ours: &SparseVector, theirs: &[(u32, f32)], what: &str) {
    let ours: BTreeMap<u32, f32> =
        ours.indices().iter().copied().zip(ours.values().iter().copied()).collect();
    let theirs: BTreeMap<u32, f32> = theirs.iter().copied().collect();
    let words: BTreeSet<u32> = ours.keys().chain(theirs.keys()).copied().collect();
    assert!(theirs.len() > 20, "{what}: {} words", theirs.len());
    let of = |weights: &BTreeMap<u32, f32>| -> Vec<f32> {
        words.iter().map(|word| weights.get(word).copied().unwrap_or(0.0)).collect()
    };
    assert_same(&of(&ours), &of(&theirs), what);
}

#[test]
fn weights_of_words_are_those_of_the_reference_alone_and_in_padded_batches() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    let Expected { texts, sparse, .. } = Expected::read();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert_eq!(sparse.len(), 6);
    for (name, theirs) in &sparse {
        let model = add(&catalogue, name, Kind::Splade);
        assert_eq!(model.specification().form, Form::Sparse);
        let batched = embed(&model, &texts, Role::Passage);
        for (place, text) in texts.iter().enumerate() {
            let alone = embed(&model, &[text], Role::Query).remove(0);
            for (ours, how) in [(&alone, "alone"), (&batched[place], "batched")] {
                let what = format!("{name} {how}: {text:?}");
                assert_same_words(ours.as_sparse().unwrap(), &theirs[place], &what);
            }
        }
    }
}

#[test]
fn vectors_of_tokens_are_those_of_the_reference_for_questions_and_for_passages() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    let Expected { texts, multi, .. } = Expected::read();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert_eq!(multi.len(), 5);
    for (name, theirs) in &multi {
        let model = add(&catalogue, name, Kind::Colbert);
        assert_eq!(
            (model.specification().form, model.specification().dimension),
            (Form::Multi, 12)
        );
        for (role, theirs) in [(Role::Passage, &theirs.passages), (Role::Query, &theirs.queries)] {
            let batched = embed(&model, &texts, role);
            for (place, text) in texts.iter().enumerate() {
                let alone = embed(&model, &[text], role).remove(0);
                for (ours, how) in [(&alone, "alone"), (&batched[place], "batched")] {
                    let what = format!("{name} {role:?} {how}: {text:?}");
                    let ours = ours.as_multi().unwrap().as_slice();
                    assert_same(ours, &theirs[place].concat(), &what);
                }
            }
        }
    }
    // A question is filled up, a passage loses its punctuation.
    let filled = &multi["colbert-bert"];
    assert!(filled.queries.iter().all(|rows| rows.len() == 16));
    assert!(multi["colbert-short"].queries[3].len() < 16);
    assert_ne!(filled.queries, multi["colbert-attending"].queries);
}

#[test]
fn vectors_go_through_layers_and_weights_may_be_in_several_files() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    let Expected { texts, dense, .. } = Expected::read();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert_eq!(dense.len(), 2);
    for (name, theirs) in &dense {
        let model = add(&catalogue, name, Kind::BertText);
        assert_eq!(model.specification().dimension, 20);
        for (ours, theirs) in embed(&model, &texts, Role::Passage).iter().zip(theirs) {
            assert_same(ours.as_dense().unwrap().as_slice(), theirs, name);
        }
    }
    let manifest = catalogue.manifest("dense-sharded").unwrap();
    let Method::BertText { text } = &manifest.method else { panic!("{:?}", manifest.method) };
    assert_eq!(text.dense.len(), 2);
    assert!(manifest.files.len() > 6, "{:?}", manifest.files);
    // Cut first, then of length one.
    let options = AddOptions { dimension: Some(6), ..AddOptions::default() };
    catalogue.add("cut", &fixture("dense"), &options, &|_, _, _| {}).unwrap();
    let cut = catalogue.load("cut", &|_, _, _| {}).unwrap();
    let ours = embed(&cut, &texts, Role::Passage);
    for (ours, theirs) in ours.iter().zip(&dense["dense"]) {
        let length = theirs[..6].iter().map(|value| value * value).sum::<f32>().sqrt();
        let theirs: Vec<f32> = theirs[..6].iter().map(|value| value / length).collect();
        assert_same(ours.as_dense().unwrap().as_slice(), &theirs, "cut");
    }
}

#[test]
fn every_family_of_judges_scores_as_the_reference_does() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    let Expected { texts, question, scores, .. } = Expected::read();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert_eq!(scores.len(), 5);
    for (name, theirs) in &scores {
        let model = add(&catalogue, name, Kind::CrossEncoder);
        let ours = model.score(&question, &texts, Lane::Query, &Cancellation::new()).unwrap();
        assert_same(&ours, theirs, name);
    }
}

#[test]
fn what_was_embedded_before_is_looked_up_and_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let texts = ["The cat chases the mouse.", "a", "I like ham sandwiches."];
    let catalogue = || {
        let cache = Cache::open(&folder.path().join("cache"), 1 << 20).unwrap().unwrap();
        support::catalogue_with(folder.path()).with_cache(cache)
    };
    let counted = |catalogue: &Catalogue| {
        let counted = catalogue.cache().unwrap().statistics();
        (counted.hits, counted.misses, counted.entries)
    };
    let mut first = BTreeMap::new();
    {
        let catalogue = catalogue();
        for (name, kind) in [
            ("dense", Kind::BertText),
            ("splade-bert", Kind::Splade),
            ("colbert-bert", Kind::Colbert),
        ] {
            let model = add(&catalogue, name, kind);
            first.insert(name, embed(&model, &texts, Role::Passage));
        }
        assert_eq!(counted(&catalogue), (0, 9, 9));
        let model = catalogue.load("dense", &|_, _, _| {}).unwrap();
        assert_eq!(embed(&model, &texts[1..], Role::Passage), first["dense"][1..]);
        assert_eq!(counted(&catalogue), (2, 9, 9));
        // As a question it is another text.
        embed(&model, &texts[..1], Role::Query);
        assert_eq!(counted(&catalogue), (2, 10, 10));
    }
    // After a restart too.
    let catalogue = catalogue();
    for (name, vectors) in &first {
        let model = catalogue.load(name, &|_, _, _| {}).unwrap();
        assert_eq!(&embed(&model, &texts, Role::Passage), vectors, "{name}");
    }
    assert_eq!(counted(&catalogue), (9, 0, 10));
}

#[test]
fn a_masked_language_model_gives_weights_of_words_only_where_that_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    let plain = folder.path().join("plain");
    fs_err::create_dir(&plain).unwrap();
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"] {
        fs_err::copy(fixture("splade-bert").join(name), plain.join(name)).unwrap();
    }
    catalogue.add("mean", &plain, &AddOptions::default(), &|_, _, _| {}).unwrap();
    assert_eq!(catalogue.manifest("mean").unwrap().method.kind(), Kind::BertText);
    let options = AddOptions { is_splade: true, ..AddOptions::default() };
    catalogue.add("words", &plain, &options, &|_, _, _| {}).unwrap();
    let Expected { texts, sparse, .. } = Expected::read();
    let model = catalogue.load("words", &|_, _, _| {}).unwrap();
    let ours = embed(&model, &[&texts[0]], Role::Passage).remove(0);
    assert_same_words(ours.as_sparse().unwrap(), &sparse["splade-bert"][0], "asked");
    // One without a masked language model's head is refused by what is missing.
    let refused = catalogue.add("none", &fixture("dense"), &options, &|_, _, _| {}).unwrap_err();
    let source = std::error::Error::source(&refused).map_or(String::new(), ToString::to_string);
    assert!(source.contains("cls.predictions.transform.dense"), "{refused}: {source}");
}

/// A folder as sentence-transformers saves a model whose questions are looked up: `table` writes what they
/// are looked up in.
fn routed(folder: &Path, table: impl FnOnce(&Path)) -> PathBuf {
    let routed = folder.join("routed");
    let write = |name: &str, content: String| {
        let path = routed.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    };
    let module = "[{\"idx\": 0, \"name\": \"0\", \"path\": \"\", \"type\": \"a.models.Router\"}]";
    write("modules.json", module.to_owned());
    let router = serde_json::json!({
        "types": {
            "query_0_SparseStaticEmbedding": "a.b.SparseStaticEmbedding",
            "": "a.b.MLMTransformer",
            "document_1_SpladePooling": "a.b.SpladePooling",
        },
        "structure": {
            "query": ["query_0_SparseStaticEmbedding"],
            "document": ["", "document_1_SpladePooling"],
        },
        "parameters": {"default_route": "document", "allow_empty_key": true},
    });
    write("router_config.json", router.to_string());
    write("query_0_SparseStaticEmbedding/config.json", "{\"frozen\": false}".to_owned());
    let from = fixture("splade-bert");
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"] {
        fs_err::copy(from.join(name), routed.join(name)).unwrap();
    }
    fs_err::create_dir_all(routed.join("document_1_SpladePooling")).unwrap();
    let [pooling, tokenizer] = [
        ("1_SpladePooling/config.json", "document_1_SpladePooling/config.json"),
        ("tokenizer.json", "query_0_SparseStaticEmbedding/tokenizer.json"),
    ];
    for (name, to) in [pooling, tokenizer] {
        fs_err::copy(from.join(name), routed.join(to)).unwrap();
    }
    table(&routed);
    routed
}

/// The weight that the tables of these tests give to a token.
fn table_weight(id: u32) -> f32 {
    if id == 7 { 0.0 } else { 0.25 + id as f32 / 64.0 }
}

fn write_weights(routed: &Path, count: u32) {
    let weights: Vec<u8> = (0..count).flat_map(|id| table_weight(id).to_le_bytes()).collect();
    let shape = vec![count as usize];
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, &weights);
    let bytes = safetensors::serialize([("weight", view.unwrap())], None).unwrap();
    let path = routed.join("query_0_SparseStaticEmbedding/model.safetensors");
    fs_err::write(path, bytes).unwrap();
}

#[test]
fn questions_of_an_inference_free_model_are_looked_up_and_passages_are_read_by_its_network() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    let Expected { texts, sparse, .. } = Expected::read();
    let passages: Vec<&str> = texts.iter().map(String::as_str).collect();
    let vocabulary: serde_json::Value = serde_json::from_slice(
        &fs_err::read(fixture("splade-bert").join("tokenizer.json")).unwrap(),
    )
    .unwrap();
    let vocabulary = vocabulary["model"]["vocab"].as_object().unwrap().clone();
    let id = |token: &str| u32::try_from(vocabulary[token].as_u64().unwrap()).unwrap();

    let source = routed(folder.path(), |routed| write_weights(routed, 240));
    let manifest = catalogue.add("routed", &source, &AddOptions::default(), &|_, _, _| {}).unwrap();
    let Method::Splade { questions: Some(questions), .. } = &manifest.method else {
        panic!("{:?}", manifest.method)
    };
    assert_eq!(questions.weights, "question-model.safetensors");
    let model = catalogue.load("routed", &|_, _, _| {}).unwrap();
    for (place, ours) in embed(&model, &passages, Role::Passage).iter().enumerate() {
        let what = format!("passage {place}");
        assert_same_words(ours.as_sparse().unwrap(), &sparse["splade-bert"][place], &what);
    }
    // Twice is once, capitals are none, an unknown sign is the unknown token, and [CLS] is no word.
    let question = "b a, A ☃ 4 ,";
    let expected: BTreeMap<u32, f32> = ["a", "b", ",", "4", "[UNK]"]
        .iter()
        .map(|token| (id(token), table_weight(id(token))))
        .collect();
    let found = |model: &EmbedderHandle| -> BTreeMap<u32, f32> {
        let vector = embed(model, &[question], Role::Query).remove(0);
        let vector = vector.as_sparse().unwrap();
        vector.indices().iter().copied().zip(vector.values().iter().copied()).collect()
    };
    assert_eq!(found(&model), expected);
    // A token without a weight is in no vector.
    let dot = embed(&model, &[". a"], Role::Query).remove(0);
    assert_eq!(id("."), 7, "the token of weight zero");
    assert_eq!(dot.as_sparse().unwrap().indices(), [id("a")]);

    // The same weights by the names of their tokens, beside the model.
    fs_err::remove_dir_all(&source).unwrap();
    let source = routed(folder.path(), |routed| {
        let weights: serde_json::Map<String, serde_json::Value> = vocabulary
            .keys()
            .map(|token| (token.clone(), table_weight(id(token)).into()))
            .collect();
        fs_err::write(routed.join("idf.json"), serde_json::to_vec(&weights).unwrap()).unwrap();
    });
    let named = catalogue.add("named", &source, &AddOptions::default(), &|_, _, _| {}).unwrap();
    assert_ne!(named.fingerprint(), manifest.fingerprint());
    assert_eq!(found(&catalogue.load("named", &|_, _, _| {}).unwrap()), expected);
}

#[test]
fn a_router_that_is_not_built_here_is_refused_by_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    let refused = |says: &str, change: &dyn Fn(&Path)| {
        let source = routed(folder.path(), |routed| write_weights(routed, 240));
        change(&source);
        let error = catalogue.add("m", &source, &AddOptions::default(), &|_, _, _| {}).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        fs_err::remove_dir_all(&source).unwrap();
    };
    let replace = |from: &'static str, to: &'static str| {
        move |source: &Path| {
            let path = source.join("router_config.json");
            let text = fs_err::read_to_string(&path).unwrap();
            fs_err::write(&path, text.replace(from, to)).unwrap();
        }
    };
    refused(
        "read by Transformer, expected SparseStaticEmbedding",
        &replace("a.b.SparseStaticEmbedding", "a.b.Transformer"),
    );
    refused("it has no route `query`", &replace("\"query\"", "\"question\""));
    refused("leads out of the folder", &replace("document_1_SpladePooling", "../elsewhere"));
    refused("neither model.safetensors nor idf.json", &|source| {
        let table = source.join("query_0_SparseStaticEmbedding/model.safetensors");
        fs_err::remove_file(table).unwrap();
    });
    refused("expected [240]", &|source| write_weights(source, 239));
}
