//! Image networks beside onnxruntime's Python: small graphs with all that such graphs have, which
//! `tests/reference/networks.py` made and every layer of which it recorded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use simile::cancel::Cancellation;
use simile::embed::image::{Channels, Reduction, Resize};
use simile::embed::onnx::Layers;
use simile::embed::{Catalogue, Choice, EmbedderHandle, Grid, Lane, Method, NetworkOptions, Role};
use simile::error::{Classified as _, ErrorKind};
use simile::picture::Picture;
use simile::vector::Vector;

use crate::support::{self, picture};

const SMALL: &str = include_str!("reference/networks.json");
const REAL: &str = include_str!("reference/networks_real.json");
const COSINE_MIN: f32 = 0.9999;
const PICTURES: [[u32; 2]; 2] = [[37, 23], [64, 48]];

type Recorded = BTreeMap<String, BTreeMap<String, Layer>>;

#[derive(Deserialize)]
struct Layer {
    shape: Vec<usize>,
    /// By pooling, one of each picture; the first 64 components.
    vectors: BTreeMap<String, Vec<Vec<f32>>>,
}

#[derive(Deserialize)]
struct Real {
    factor: f64,
    mean: [f64; 3],
    std: [f64; 3],
    channels: Channels,
    side: [u32; 2],
    layers: BTreeMap<String, RealLayer>,
}

#[derive(Deserialize)]
struct RealLayer {
    shape: Vec<usize>,
    vector: Vec<f32>,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/networks/{name}.onnx"))
}

fn stretched(side: u32) -> NetworkOptions {
    NetworkOptions {
        size: Some([side; 2]),
        resize: Some(Resize::Stretch),
        ..NetworkOptions::default()
    }
}

fn add(catalogue: &Catalogue, name: &str, of: &str, options: &NetworkOptions) -> EmbedderHandle {
    catalogue.add_network(name, &fixture(of), options, &|_, _, _| {}).unwrap();
    catalogue.load(name, &|_, _, _| {}).unwrap()
}

fn dense(vector: Option<&Vector>) -> &[f32] {
    vector.unwrap().as_dense().unwrap().as_slice()
}

fn embed(model: &EmbedderHandle, pictures: &[Picture]) -> Vec<Vec<f32>> {
    let pictures: Vec<Arc<Picture>> = pictures.iter().cloned().map(Arc::new).collect();
    let embedded = model.embed_pictures(&pictures, Lane::Bulk, &Cancellation::new()).unwrap();
    let vectors = embedded.embeddings.iter();
    vectors.map(|embedding| dense(embedding.vector.as_ref()).to_vec()).collect()
}

#[track_caller]
fn assert_near(ours: &[f32], theirs: &[f32], what: &str) {
    let ours = &ours[..theirs.len().min(ours.len())];
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    let cosine = dot(ours, theirs) / (dot(ours, ours) * dot(theirs, theirs)).sqrt();
    assert!(cosine >= COSINE_MIN, "{what}: cosine {cosine}");
    let ratio = (dot(ours, ours) / dot(theirs, theirs)).sqrt();
    assert!((ratio - 1.0).abs() < 2e-3, "{what}: length {ratio} times the reference's");
}

fn pooling(name: &str) -> Reduction {
    serde_json::from_value(name.into()).unwrap()
}

#[test]
fn every_layer_with_every_pooling_equals_that_of_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    let recorded: Recorded = serde_json::from_str(SMALL).unwrap();
    let pictures = PICTURES.map(picture);
    for (network, layers) in &recorded {
        add(&catalogue, network, network, &stretched(16));
        let known = catalogue.layers(network, &|_, _, _| {}).unwrap();
        // The shape that a Reshape is told depends on no picture; constants are no layers.
        assert_eq!(known.layers.len(), layers.len(), "{network}: {known:?}");
        let mut by_pooling: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (name, layer) in layers {
            assert_eq!(known.find(name).unwrap().shape, layer.shape, "{network} {name}");
            for pooling in layer.vectors.keys() {
                by_pooling.entry(pooling).or_default().push(name.clone());
            }
        }
        assert!(by_pooling["flatten"].len() >= 5 && by_pooling["gem"].len() >= 4);
        for (pooled, names) in by_pooling {
            let choice = Choice::Named(names.clone());
            let pooled = pooling(pooled);
            let mut chosen =
                catalogue.open_layers(network, &choice, Some(pooled), &|_, _, _| {}).unwrap();
            let vectors = chosen.embed(&pictures.each_ref()).unwrap();
            for (name, vectors) in names.iter().zip(&vectors) {
                let expected = &layers[name].vectors[pooled.name()];
                for (vector, expected) in vectors.iter().zip(expected) {
                    let what = format!("{network} {name} {pooled:?}");
                    if expected.iter().any(|&value| value != 0.0) {
                        assert_near(dense(vector.as_ref()), expected, &what);
                    } else if let Some(vector) = vector {
                        let first = &dense(Some(vector))[..expected.len()];
                        assert!(first.iter().all(|&value| value == 0.0), "{what}: {first:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn graphs_of_one_or_three_pictures_give_what_a_graph_of_any_number_gives() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    let options = NetworkOptions { layer: Some("joined".to_owned()), ..stretched(16) };
    let sizes = [[37, 23], [64, 48], [16, 16], [20, 99], [5, 7]];
    let pictures = sizes.map(picture);
    let expected = embed(&add(&catalogue, "any", "small", &options), &pictures);
    for name in ["one", "three"] {
        let model = add(&catalogue, name, name, &options);
        for (ours, expected) in embed(&model, &pictures).iter().zip(&expected) {
            assert_near(ours, expected, name);
        }
    }
}

#[test]
fn the_feature_is_chosen_by_name_by_index_or_as_usual_and_only_what_it_needs_is_run() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    let layers: Layers = catalogue.layers_of(&fixture("small"), None, &|_, _, _| {}).unwrap();
    let names: Vec<&str> = layers.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names.first(), Some(&"conv1"));
    assert_eq!(layers.layers[layers.usual].name, "flat", "what the classifier reads");
    assert_eq!(layers.find("-1").unwrap().name, "classes");
    assert_eq!(layers.find("2").unwrap().name, "relu1");
    assert!(layers.find("99").unwrap_err().contains("0 to 12"));
    let of = |name: &str| layers.find(name).unwrap();
    // 8 x 8 x 8 values of 3 x 3 x 3 products; a depthwise one of 3 x 3.
    assert_eq!((of("conv1").operations, of("depthwise").operations), (13_824, 4_608));
    assert_eq!((of("scores").operations, of("relu1").operations), (60, 512));
    assert_eq!(of("relu1").operations_needed, 13_824 + 2 * 512);
    assert!(of("relu1").is_block && !of("conv1").is_block && !of("flat").is_block);

    let named = NetworkOptions { layer: Some("relu1".to_owned()), ..stretched(16) };
    let indexed = NetworkOptions { layer: Some("2".to_owned()), ..stretched(16) };
    let pictures = PICTURES.map(picture);
    let by_name = add(&catalogue, "by-name", "small", &named);
    let by_index = add(&catalogue, "by-index", "small", &indexed);
    assert_eq!(embed(&by_name, &pictures), embed(&by_index, &pictures));
    let (one, other) = (by_name.specification(), by_index.specification());
    assert_eq!(one.fingerprint, other.fingerprint);
    assert_eq!((one.dimension, by_name.grid()), (8, None));
    let usual = add(&catalogue, "usual", "small", &stretched(16));
    assert_eq!(usual.specification().dimension, 6);
    assert_ne!(usual.specification().fingerprint, one.fingerprint);

    let flat = NetworkOptions { pooling: Some(Reduction::Flatten), ..named };
    let flat = add(&catalogue, "flat", "small", &flat);
    let grid = Grid { channels: 8, rows: 8, columns: 8 };
    assert_eq!((flat.specification().dimension, flat.grid()), (512, Some(grid)));
    let tokens = add(&catalogue, "tokens", "last", &stretched(16));
    let manifest = catalogue.manifest("tokens").unwrap();
    let Method::OnnxImage { network, .. } = &manifest.method else { panic!("{manifest:?}") };
    assert_eq!((network.layer.as_str(), network.pooling), ("last_hidden_state", Reduction::Cls));
    assert_eq!(tokens.specification().dimension, 5);
}

#[test]
fn what_is_no_image_network_is_refused_by_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    let with = |change: fn(&mut NetworkOptions)| {
        let mut options = stretched(16);
        change(&mut options);
        options
    };
    let cases = [
        ("small", with(|o| o.layer = Some("nothing".to_owned())), "no layer `nothing`"),
        ("small", with(|o| o.pooling = Some(Reduction::Cls)), ""),
        ("small", with(|o| o.size = Some([32, 32])), "16 x 16"),
        ("small", with(|o| o.std = Some([0.0; 3])), "std is not zero"),
        ("outside", with(|_| {}), "is kept in another file"),
    ];
    for (place, (name, options, reason)) in cases.into_iter().enumerate() {
        let added =
            catalogue.add_network(&place.to_string(), &fixture(name), &options, &|_, _, _| {});
        if reason.is_empty() {
            // A vector has nothing left to be pooled.
            added.unwrap();
            continue;
        }
        let error = added.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains(reason), "expected {reason:?} in {error}");
    }
    let map = NetworkOptions {
        layer: Some("relu1".to_owned()),
        pooling: Some(Reduction::Cls),
        ..stretched(16)
    };
    let error = catalogue.add_network("map", &fixture("small"), &map, &|_, _, _| {}).unwrap_err();
    assert!(error.to_string().contains("no first token"), "{error}");
    let bytes = fs_err::read(fixture("small")).unwrap();
    let broken = folder.path().join("broken.onnx");
    for length in (0..bytes.len()).step_by(97) {
        fs_err::write(&broken, &bytes[..length]).unwrap();
        let added = catalogue.add_network("broken", &broken, &stretched(16), &|_, _, _| {});
        assert!(added.is_err(), "the first {length} bytes of a graph");
    }
    let left: Vec<_> = fs_err::read_dir(folder.path().join("own")).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing is left of what failed");
}

#[test]
fn a_network_that_was_changed_after_it_was_added_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    add(&catalogue, "sound", "small", &stretched(16));
    let path = catalogue.folder("sound").unwrap().join("manifest.toml");
    let text = fs_err::read_to_string(&path).unwrap();
    assert!(text.contains("pictures = [\"gradient\", \"disc\"]"), "{text}");
    fs_err::write(&path, text.replace("filter = \"bilinear\"", "filter = \"nearest\"")).unwrap();
    let catalogue = support::catalogue_with(folder.path());
    let error = catalogue.load("sound", &|_, _, _| {}).unwrap_err();
    assert!(error.to_string().contains("of cosine"), "{error}");
}

#[test]
fn an_image_network_reads_no_texts_and_a_text_model_no_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    let images = add(&catalogue, "images", "small", &stretched(16));
    let cancel = Cancellation::new();
    let error = images.embed(&["a"], Role::Query, Lane::Query, &cancel).unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string()),
        (ErrorKind::InvalidInput, "model images reads image, got text".to_owned())
    );
    let picture = Arc::new(picture([5, 5]));
    let words = catalogue.load("hashed-words", &|_, _, _| {}).unwrap();
    let error = words.embed_pictures(&[picture], Lane::Query, &cancel).unwrap_err();
    assert_eq!(error.to_string(), "model hashed-words reads text, got image");
}

/// Says so where the data is not.
#[test]
fn layers_of_real_networks_equal_those_of_the_reference_where_they_are() {
    let Some(data) = std::env::var_os("SIMILE_SHARED_DATA").map(PathBuf::from) else {
        println!("not run: SIMILE_SHARED_DATA names no folder with real networks");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    let recorded: BTreeMap<String, Real> = serde_json::from_str(REAL).unwrap();
    assert_eq!(recorded.len(), 10);
    for (file, real) in &recorded {
        let options = NetworkOptions {
            size: Some(real.side),
            resize: Some(Resize::Stretch),
            scale: Some(real.factor),
            mean: Some(real.mean),
            std: Some(real.std),
            channels: Some(real.channels),
            ..NetworkOptions::default()
        };
        let name = file.replace('/', "-");
        let path = data.join("models").join(file);
        catalogue.add_network(&name, &path, &options, &|_, _, _| {}).unwrap();
        let layers: Vec<String> = real.layers.keys().cloned().collect();
        let choice = Choice::Named(layers.clone());
        let pooling = Some(Reduction::Mean);
        let mut chosen = catalogue.open_layers(&name, &choice, pooling, &|_, _, _| {}).unwrap();
        let vectors = chosen.embed(&[&picture([300, 200])]).unwrap();
        for (layer, vectors) in chosen.layers().iter().zip(&vectors) {
            let expected = &real.layers[&layer.name];
            assert_eq!(layer.shape, expected.shape, "{file} {}", layer.name);
            let what = format!("{file} {}", layer.name);
            assert_near(dense(vectors[0].as_ref()), &expected.vector, &what);
        }
    }
}
