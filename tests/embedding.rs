//! Our transformer beside sentence-transformers, whose vectors `tests/reference/minilm.py` recorded.

use simile::cancel::Cancellation;
use simile::embed::{AddOptions, DEFAULT_TEXT_MODEL, EmbedderHandle, Lane, Precision, Role};

use crate::support::{self, model};

const TEXTS: &str = include_str!("fixtures/minilm_texts.json");
const VECTORS: &[u8] = include_bytes!("fixtures/minilm_vectors.f32");
const DIMENSION: usize = 384;
const COSINE_MIN: f32 = 0.9999;

fn expected() -> Vec<Vec<f32>> {
    VECTORS
        .chunks_exact(DIMENSION * 4)
        .map(|row| {
            row.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
        })
        .collect()
}

fn embed(model: &EmbedderHandle, texts: &[&str]) -> Vec<Vec<f32>> {
    let embedded = model.embed(texts, Role::Passage, Lane::Bulk, &Cancellation::new()).unwrap();
    assert_eq!(embedded.embeddings.len(), texts.len());
    embedded
        .embeddings
        .into_iter()
        .map(|embedding| embedding.vector.unwrap().as_dense().unwrap().as_slice().to_vec())
        .collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn two_hundred_texts_in_nine_scripts_get_the_vectors_of_the_reference_alone_and_in_batches() {
    let model = model();
    let texts: Vec<String> = serde_json::from_str(TEXTS).unwrap();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let expected = expected();
    assert_eq!((texts.len(), expected.len()), (200, 200));
    let batched = embed(&model, &texts);
    for (place, text) in texts.iter().enumerate() {
        let alone = &embed(&model, &[text])[0];
        for (how, vector) in [("in a batch", &batched[place]), ("alone", alone)] {
            let cosine = cosine(vector, &expected[place]);
            assert!(cosine >= COSINE_MIN, "text {place} {how}: cosine {cosine}: {text:?}");
        }
    }
}

/// Weights in eight bits: nearly the same vectors, and nobody's depend on whom they are computed with.
#[test]
fn in_eight_bits_vectors_stay_near_the_reference_and_do_not_depend_on_their_batch() {
    model();
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    let precision = Precision::Int8;
    let options = AddOptions { precision, tokens_max: Some(256), ..AddOptions::default() };
    let weights = support::cache_folder().join("models").join(DEFAULT_TEXT_MODEL);
    let manifest = catalogue.add("int8", &weights, &options, &|_, _, _| {}).unwrap();
    let single = catalogue.manifest(DEFAULT_TEXT_MODEL).unwrap();
    assert_ne!(manifest.fingerprint(), single.fingerprint(), "it is another model");
    let model = catalogue.load("int8", &|_, _, _| {}).unwrap();
    let texts: Vec<String> = serde_json::from_str(TEXTS).unwrap();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let expected = expected();
    let batched = embed(&model, &texts);
    let (mut least, mut sum, mut apart) = (1.0_f32, 0.0, 0.0_f32);
    for (place, text) in texts.iter().enumerate() {
        let near = cosine(&batched[place], &expected[place]);
        (least, sum) = (least.min(near), sum + near);
        let alone = &embed(&model, &[text])[0];
        let differs = alone.iter().zip(&batched[place]).map(|(a, b)| (a - b).abs());
        apart = differs.fold(apart, f32::max);
    }
    let mean = sum / 200.0;
    // The least is of a text in a script that the model spells out.
    assert!(mean >= 0.999 && least >= 0.997, "cosines: mean {mean}, least {least}");
    assert!(least < 0.999_999, "these are not the vectors of single precision");
    assert!(apart <= 1e-6, "alone and in a batch a component differs by {apart}");
}

#[test]
fn the_cat_is_near_the_kitten_and_far_from_the_sandwich() {
    let model = model();
    let texts = ["The cat chases the mouse", "The kitten hunts rodents", "I like ham sandwiches"];
    let vectors = embed(&model, &texts);
    let near = cosine(&vectors[0], &vectors[1]);
    assert!((near - 0.622).abs() < 0.005, "cat and kitten: {near}");
    for (a, far) in [(0, 0.074), (1, 0.0)] {
        let cosine = cosine(&vectors[a], &vectors[2]);
        assert!((cosine - far).abs() < 0.005, "{} and the sandwich: {cosine}", texts[a]);
    }
}

#[test]
fn a_text_longer_than_the_model_reads_says_that_it_was_cut() {
    let model = model();
    let long = "harbour wall ".repeat(400);
    let embedded =
        model.embed(&[&long, "short"], Role::Passage, Lane::Query, &Cancellation::new()).unwrap();
    assert_eq!((embedded.embeddings[0].tokens, embedded.embeddings[0].truncated), (256, true));
    assert!(!embedded.embeddings[1].truncated);
    assert_eq!(model.tokenizer().token_ranges(&long).len(), 800);
}

#[test]
fn cancelled_work_is_not_waited_for() {
    let model = model();
    let cancel = Cancellation::new();
    cancel.cancel();
    let error = model.embed(&["a"], Role::Query, Lane::Query, &cancel).unwrap_err();
    assert_eq!(error.to_string(), "cancelled by the caller");
}
