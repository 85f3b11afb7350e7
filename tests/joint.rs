//! Joint models of texts and pictures beside transformers: small ones with the structure of CLIP (as two
//! graphs and as one) and of `SigLIP`, which `tests/reference/joint.py` made and whose vectors it recorded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use simile::cancel::Cancellation;
use simile::embed::{
    Catalogue, EmbedderHandle, Embedding, Lane, Method, Modality, NetworkOptions, Role,
};
use simile::picture::Picture;

use crate::support;

const EXPECTED: &str = include_str!("reference/joint.json");
const COSINE_MIN: f32 = 0.9999;

#[derive(Deserialize)]
struct Expected {
    texts: Vec<String>,
    sizes: Vec<[u32; 2]>,
    text_vectors: Vec<Vec<f32>>,
    image_vectors: Vec<Vec<f32>>,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/joint").join(name)
}

fn add(catalogue: &Catalogue, name: &str) -> EmbedderHandle {
    let options = NetworkOptions::default();
    catalogue.add_network(name, &fixture(name), &options, &|_, _, _| {}).unwrap();
    catalogue.load(name, &|_, _, _| {}).unwrap()
}

fn vector(embedding: &Embedding) -> &[f32] {
    embedding.vector.as_ref().unwrap().as_dense().unwrap().as_slice()
}

#[track_caller]
fn assert_near(ours: &[f32], theirs: &[f32], what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let cosine: f32 = ours.iter().zip(theirs).map(|(x, y)| x * y).sum();
    assert!(cosine >= COSINE_MIN, "{what}: cosine {cosine}");
}

#[test]
fn both_towers_give_the_vectors_of_the_reference_alone_and_in_padded_batches() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    let expected: BTreeMap<String, Expected> = serde_json::from_str(EXPECTED).unwrap();
    assert_eq!(expected.len(), 3);
    let cancel = Cancellation::new();
    for (name, expected) in &expected {
        let model = add(&catalogue, name);
        let specification = model.specification();
        assert_eq!(specification.modalities, [Modality::Text, Modality::Image]);
        let texts: Vec<&str> = expected.texts.iter().map(String::as_str).collect();
        let batched = model.embed(&texts, Role::Query, Lane::Bulk, &cancel).unwrap();
        for (place, text) in texts.iter().enumerate() {
            let alone = model.embed(&[text], Role::Query, Lane::Query, &cancel).unwrap();
            let theirs = &expected.text_vectors[place];
            assert_near(vector(&alone.embeddings[0]), theirs, &format!("{name} alone: {text:?}"));
            let batched = vector(&batched.embeddings[place]);
            assert_near(batched, theirs, &format!("{name} batched: {text:?}"));
        }
        let pictures: Vec<Arc<Picture>> =
            expected.sizes.iter().map(|&size| Arc::new(support::picture(size))).collect();
        let found = model.embed_pictures(&pictures, Lane::Bulk, &cancel).unwrap();
        for (place, embedding) in found.embeddings.iter().enumerate() {
            let what = format!("{name} picture {:?}", expected.sizes[place]);
            assert_near(vector(embedding), &expected.image_vectors[place], &what);
        }
    }
    let manifest = catalogue.manifest("siglip").unwrap();
    let Method::OnnxJoint { joint, .. } = &manifest.method else { panic!("{manifest:?}") };
    assert_eq!((joint.tokens_max, joint.padding.is_some()), (16, true));
    let one = catalogue.manifest("clip-one").unwrap();
    let Method::OnnxJoint { joint, .. } = &one.method else { panic!("{one:?}") };
    assert_eq!(joint.text_file, joint.image_file);
    assert_eq!((joint.tokens_max, joint.padding), (24, None));
}

#[test]
fn towers_of_different_spaces_are_not_joined() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    let mixed = folder.path().join("mixed");
    fs_err::create_dir_all(mixed.join("onnx")).unwrap();
    let copy = |from: &str, name: &str| {
        fs_err::copy(fixture(from).join(name), mixed.join(name)).unwrap();
    };
    for name in
        ["tokenizer.json", "config.json", "preprocessor_config.json", "onnx/text_model.onnx"]
    {
        copy("clip", name);
    }
    copy("siglip", "onnx/vision_model.onnx");
    let options = NetworkOptions::default();
    let error = catalogue.add_network("mixed", &mixed, &options, &|_, _, _| {}).unwrap_err();
    let said = error.to_string();
    assert!(said.contains("20 of a text and 24 of a picture"), "{said}");
    fs_err::remove_file(mixed.join("tokenizer.json")).unwrap();
    let error = catalogue.add_network("mixed", &mixed, &options, &|_, _, _| {}).unwrap_err();
    assert!(error.to_string().contains("tokenizer.json: there is no such file"), "{error}");
}

#[test]
fn a_folder_with_a_network_of_pictures_alone_is_added_as_it_says_itself() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    let half = folder.path().join("half");
    fs_err::create_dir_all(half.join("onnx")).unwrap();
    for name in ["preprocessor_config.json", "onnx/vision_model.onnx"] {
        fs_err::copy(fixture("clip").join(name), half.join(name)).unwrap();
    }
    let options = NetworkOptions::default();
    let manifest = catalogue.add_network("half", &half, &options, &|_, _, _| {}).unwrap();
    let Method::OnnxImage { image, network } = &manifest.method else { panic!("{manifest:?}") };
    assert_eq!((image.height, image.edge, network.layer.as_str()), (24, Some(24), "image_embeds"));
    let model = catalogue.load("half", &|_, _, _| {}).unwrap();
    assert_eq!(model.specification().modalities, [Modality::Image]);
    let expected: BTreeMap<String, Expected> = serde_json::from_str(EXPECTED).unwrap();
    let expected = &expected["clip"];
    let pictures: Vec<Arc<Picture>> =
        expected.sizes.iter().map(|&size| Arc::new(support::picture(size))).collect();
    let found = model.embed_pictures(&pictures, Lane::Query, &Cancellation::new()).unwrap();
    for (embedding, theirs) in found.embeddings.iter().zip(&expected.image_vectors) {
        assert_near(vector(embedding), theirs, "the half of clip");
    }
}
