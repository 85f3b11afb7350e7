//! Every family of text transformers beside sentence-transformers: tiny checkpoints with random
//! weights, which `tests/reference/families.py` made and whose vectors it recorded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use simile::cancel::Cancellation;
use simile::embed::{
    AddOptions, Catalogue, EmbedderHandle, Kind, Lane, Method, Pooling, Precision, Role,
};
use simile::vector::Metric;

use crate::support::{self, dot, embed};

const EXPECTED: &str = include_str!("fixtures/families/expected.json");
const COSINE_MIN: f32 = 0.9999;

#[derive(Deserialize)]
struct Expected {
    texts: Vec<String>,
    models: BTreeMap<String, Vectors>,
}

#[derive(Deserialize)]
struct Vectors {
    passages: Vec<Vec<f32>>,
    queries: Vec<Vec<f32>>,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/families").join(name)
}

fn add(catalogue: &Catalogue, name: &str, options: &AddOptions) -> EmbedderHandle {
    catalogue.add(name, &fixture(name), options, &|_, _, _| {}).unwrap();
    catalogue.load(name, &|_, _, _| {}).unwrap()
}

#[track_caller]
fn assert_near(ours: &[f32], theirs: &[f32], what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let cosine = dot(ours, theirs) / (dot(ours, ours) * dot(theirs, theirs)).sqrt();
    assert!(cosine >= COSINE_MIN, "{what}: cosine {cosine}");
    let ratio = (dot(ours, ours) / dot(theirs, theirs)).sqrt();
    assert!((ratio - 1.0).abs() < 1e-3, "{what}: length {ratio} times the reference's");
}

#[test]
fn every_family_gives_the_vectors_of_the_reference_alone_and_in_padded_batches() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    let expected: Expected = serde_json::from_str(EXPECTED).unwrap();
    let texts: Vec<&str> = expected.texts.iter().map(String::as_str).collect();
    assert_eq!(expected.models.len(), 10);
    for (name, vectors) in &expected.models {
        let model = if let Some(of) = name.strip_suffix("-12") {
            let options = AddOptions { dimension: Some(12), ..AddOptions::default() };
            catalogue.add(name, &fixture(of), &options, &|_, _, _| {}).unwrap();
            catalogue.load(name, &|_, _, _| {}).unwrap()
        } else {
            add(&catalogue, name, &AddOptions::default())
        };
        let batched = embed(&model, &texts, Role::Passage);
        for (place, text) in texts.iter().enumerate() {
            let alone = &embed(&model, &[text], Role::Passage)[0];
            assert_near(alone, &vectors.passages[place], &format!("{name} alone: {text:?}"));
            let batched = &batched[place];
            assert_near(batched, &vectors.passages[place], &format!("{name} batched: {text:?}"));
        }
        let questions = embed(&model, &texts[..vectors.queries.len()], Role::Query);
        for (ours, theirs) in questions.iter().zip(&vectors.queries) {
            assert_near(ours, theirs, &format!("{name} question"));
        }
    }
    let prompted = catalogue.load("xlm-roberta-prompts", &|_, _, _| {}).unwrap();
    let [asked, stored] = [Role::Query, Role::Passage].map(|role| embed(&prompted, &texts, role));
    assert_ne!(asked, stored, "a prompt makes a difference");
    let dot = catalogue.manifest("bert-sqrt-dot").unwrap();
    assert_eq!(dot.metric, Metric::Dot);
}

/// From its graph a model is computed in the same eight bits as from its weights.
#[test]
fn a_graph_in_eight_bits_gives_what_the_weights_give_and_no_text_depends_on_those_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    let expected: Expected = serde_json::from_str(EXPECTED).unwrap();
    let texts: Vec<&str> = expected.texts.iter().map(String::as_str).collect();
    let rounded = AddOptions { precision: Precision::Int8, ..AddOptions::default() };
    let [weights, graph] =
        ["bert-max", "onnx-bert-max"].map(|name| add(&catalogue, name, &rounded));
    let single = embed(&single_graph(folder.path()), &texts, Role::Passage);
    let (weights, batched) =
        (embed(&weights, &texts, Role::Passage), embed(&graph, &texts, Role::Passage));
    for (place, text) in texts.iter().enumerate() {
        let alone = &embed(&graph, &[text], Role::Passage)[0];
        let far =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let apart = far(alone, &batched[place]);
        assert!(apart <= 1e-6, "alone and in a batch {text:?} differs by {apart}");
        // Those of the weights are scaled before they are rounded, which rounds a few another way.
        let near = dot(alone, &weights[place]);
        assert!(near > 0.999, "{text:?}: cosine {near} to what the weights give");
        let near = dot(alone, &single[place]);
        assert!(near > 0.99, "{text:?}: cosine {near} to single precision");
        assert!(far(alone, &single[place]) > 1e-5, "{text:?} is as in single precision");
    }
    let manifest = catalogue.manifest("onnx-bert-max").unwrap();
    let Method::OnnxText { text, .. } = &manifest.method else { panic!("{:?}", manifest.method) };
    assert_eq!(text.precision, Precision::Int8);
    // Models of other forms, from their graphs.
    for name in ["splade-graph", "colbert-graph", "judge-graph"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokens").join(name);
        let [one, other] = [Precision::Single, Precision::Int8].map(|precision| {
            let options = AddOptions { precision, ..AddOptions::default() };
            let name = format!("{name}-{precision:?}");
            let manifest = catalogue.add(&name, &from, &options, &|_, _, _| {}).unwrap();
            let (model, cancel) =
                (catalogue.load(&name, &|_, _, _| {}).unwrap(), Cancellation::new());
            let text = "The cat chases the mouse.";
            let made = if manifest.method.kind() == Kind::CrossEncoder {
                format!("{:?}", model.score("a cat", &[text], Lane::Query, &cancel).unwrap())
            } else {
                let made = model.embed(&[text], Role::Passage, Lane::Bulk, &cancel).unwrap();
                format!("{:?}", made.embeddings[0].vector.as_ref().unwrap())
            };
            (manifest.fingerprint(), made)
        });
        assert_ne!(one.0, other.0, "{name} in eight bits is another model");
        assert_ne!(one.1, other.1, "{name} in eight bits gives something else");
    }
}

fn single_graph(folder: &Path) -> EmbedderHandle {
    add(&support::catalogue_with(&folder.join("single")), "onnx-bert-max", &AddOptions::default())
}

#[test]
fn what_a_folder_says_is_taken_over_and_can_be_overruled() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    add(&catalogue, "mpnet-weighted", &AddOptions::default());
    let manifest = catalogue.manifest("mpnet-weighted").unwrap();
    let Method::BertText { text } = &manifest.method else { panic!("{:?}", manifest.method) };
    assert_eq!((text.pooling, text.tokens_max), (Pooling::WeightedMean, 160));
    assert_eq!((manifest.dimension, manifest.metric), (32, Metric::Cosine));
    let options = AddOptions {
        pooling: Some(Pooling::Cls),
        tokens_max: Some(16),
        query_prefix: Some("q: ".to_owned()),
        ..AddOptions::default()
    };
    catalogue.add("other", &fixture("mpnet-weighted"), &options, &|_, _, _| {}).unwrap();
    let other = catalogue.manifest("other").unwrap();
    let Method::BertText { text } = &other.method else { panic!("{:?}", other.method) };
    assert_eq!((text.pooling, text.tokens_max), (Pooling::Cls, 16));
    assert_eq!(text.query_prefix, "q: ");
    assert_ne!(manifest.fingerprint(), other.fingerprint());
}

/// Changes a copy of a fixture, and returns why it is not added.
fn refused(from: &str, change: impl FnOnce(&Path)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    for entry in walkdir::WalkDir::new(fixture(from)) {
        let entry = entry.unwrap();
        let target = copy.join(entry.path().strip_prefix(fixture(from)).unwrap());
        if entry.file_type().is_dir() {
            fs_err::create_dir_all(target).unwrap();
        } else {
            fs_err::copy(entry.path(), target).unwrap();
        }
    }
    change(&copy);
    let catalogue = support::catalogue_with(folder.path());
    let added = catalogue.add("copy", &copy, &AddOptions::default(), &|_, _, _| {});
    let error = added.unwrap_err();
    let left = fs_err::read_dir(folder.path().join("own")).unwrap().count();
    assert_eq!(left, 0, "nothing is left of what failed");
    let source = std::error::Error::source(&error).map_or(String::new(), ToString::to_string);
    format!("{error}: {source}")
}

fn replace(folder: &Path, file: &str, from: &str, to: &str) {
    let path = folder.join(file);
    let text = fs_err::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs_err::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn folders_that_cannot_be_right_are_refused_by_what_is_wrong() {
    let base = "roberta-cls";
    type Change = Box<dyn FnOnce(&Path)>;
    let edit = |file: &'static str, from: &'static str, to: &'static str| -> Change {
        Box::new(move |folder| replace(folder, file, from, to))
    };
    let remove = |file: &'static str| -> Change {
        Box::new(move |folder| fs_err::remove_file(folder.join(file)).unwrap())
    };
    let cases = [
        (edit("config.json", "\"roberta\"", "\"gpt2\""), "`gpt2`, expected one of bert, roberta"),
        (edit("config.json", "\"gelu\"", "\"swish\""), "activation `swish`"),
        (
            edit("config.json", "\"num_attention_heads\": 4", "\"num_attention_heads\": 5"),
            "5 heads",
        ),
        (edit("config.json", "\"intermediate_size\": 48", "\"intermediate_size\": 49"), "[49, 32]"),
        (edit("config.json", "{", ""), "config.json"),
        (edit("modules.json", "1_Pooling", "../1_Pooling"), "leads out of the folder"),
        (edit("modules.json", ".Normalize", ".LayerNorm"), "`LayerNorm` is not built"),
        (edit("1_Pooling/config.json", "\"cls\"", "\"best\""), "`best` is not known"),
        (remove("tokenizer.json"), "AutoTokenizer"),
        (remove("config.json"), "has this file"),
        (remove("model.safetensors"), "neither model.safetensors nor model.onnx"),
        (
            Box::new(|folder: &Path| {
                fs_err::write(
                    folder.join("model.safetensors"),
                    b"\xff\xff\xff\xff\xff\xff\xff\x7f{}",
                )
                .unwrap();
            }) as Change,
            "the weights cannot be read",
        ),
    ];
    for (change, reason) in cases {
        let error = refused(base, change);
        assert!(error.contains(reason), "expected {reason:?} in {error:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    let options = AddOptions { precision: Precision::Int8, ..AddOptions::default() };
    let graph = networked(folder.path());
    let error = catalogue.add("cnn", &graph, &options, &|_, _, _| {}).unwrap_err().to_string();
    assert!(error.contains("add it with precision single"), "{error}");
}

/// The folder of a network whose products are not with weights in single precision.
fn networked(folder: &Path) -> PathBuf {
    let small = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/embed/models/small");
    let target = folder.join("cnn");
    fs_err::create_dir_all(&target).unwrap();
    fs_err::copy(small.join("cnn.onnx"), target.join("model.onnx")).unwrap();
    fs_err::copy(small.join("tokenizer.json"), target.join("tokenizer.json")).unwrap();
    fs_err::write(target.join("config.json"), r#"{"model_type": "small"}"#).unwrap();
    target
}
