//! VGG16 and ResNet-50 beside torchvision: each layer of the graphs that torch exports, which
//! `tests/reference/torchvision_networks.py` recorded by hooks on torch's modules.
//!
//! The graphs are kept without their weights, of which VGG16 has 138 million. Both sides compute them
//! from their names.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde::Deserialize;
use simile::embed::image::{Reduction, Resize};
use simile::embed::{Choice, NetworkOptions};

use crate::support::{self, picture};

const RECORDED: &str = include_str!("reference/torchvision_networks.json");
const COSINE_MIN: f32 = 0.9999;
/// How far the length of a vector's first components may be from the reference's, which is relative.
const LENGTH_MAX: f32 = 2e-3;

#[derive(Deserialize)]
struct Recorded {
    pictures: Vec<[u32; 2]>,
    networks: BTreeMap<String, Network>,
}

#[derive(Deserialize)]
struct Network {
    weights: BTreeMap<String, Weights>,
    layers: BTreeMap<String, Layer>,
}

#[derive(Deserialize)]
struct Weights {
    shape: Vec<u64>,
    /// Between which numbers they lie.
    bounds: [f64; 2],
}

#[derive(Deserialize)]
struct Layer {
    shape: Vec<usize>,
    pooling: Reduction,
    /// Of each picture, the first components of the vector, whose length is one.
    vectors: Vec<Vec<f32>>,
}

impl Weights {
    fn count(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Returns `SplitMix64`'s numbers from a state made of the name (FNV-1a), spread between the bounds.
    #[expect(clippy::cast_precision_loss, reason = "24 bits of each number are used")]
    #[expect(clippy::cast_possible_truncation, reason = "weights are single precision")]
    fn values(&self, name: &str) -> impl Iterator<Item = f32> {
        let [low, high] = self.bounds;
        let begin = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |state, byte| {
            (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        (1..=self.count()).map(move |place| {
            let state = begin.wrapping_add(place.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let share = ((state ^ (state >> 31)) >> 40) as f64 / f64::from(1 << 24);
            (low + (high - low) * share) as f32
        })
    }
}

/// Appends a number as protobuf writes it.
fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
}

/// Returns how a field of bytes begins; `length` bytes follow.
fn begin(field: u64, length: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    varint(&mut bytes, field << 3 | 2);
    varint(&mut bytes, length);
    bytes
}

/// Writes the graph with its weights: a message that stands twice is one with the fields of both, so
/// that the weights can follow the graph.
fn write(graph: &Path, network: &Network, to: &Path) {
    let mut file = BufWriter::new(fs_err::File::create(to).unwrap());
    file.write_all(&fs_err::read(graph).unwrap()).unwrap();
    for (name, weights) in &network.weights {
        let mut tensor = Vec::new();
        for &size in &weights.shape {
            tensor.push(1 << 3); // dims
            varint(&mut tensor, size);
        }
        tensor.extend([2 << 3, 1]); // data_type: FLOAT
        tensor.extend(begin(8, name.len() as u64));
        tensor.extend(name.bytes());
        tensor.extend(begin(9, 4 * weights.count())); // raw_data
        let length = tensor.len() as u64 + 4 * weights.count();
        let initializer = begin(5, length);
        file.write_all(&begin(7, initializer.len() as u64 + length)).unwrap();
        file.write_all(&initializer).unwrap();
        file.write_all(&tensor).unwrap();
        for value in weights.values(name) {
            file.write_all(&value.to_le_bytes()).unwrap();
        }
    }
    file.flush().unwrap();
}

#[track_caller]
fn assert_near(ours: &[f32], theirs: &[f32], what: &str) {
    let ours = &ours[..theirs.len()];
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    let cosine = dot(ours, theirs) / (dot(ours, ours) * dot(theirs, theirs)).sqrt();
    assert!(cosine >= COSINE_MIN, "{what}: cosine {cosine}");
    let ratio = (dot(ours, ours) / dot(theirs, theirs)).sqrt();
    assert!((ratio - 1.0).abs() < LENGTH_MAX, "{what}: length {ratio} times the reference's");
}

/// Compares every layer that torch names, and tells how many those are.
fn compare(name: &str) -> usize {
    let mut recorded: Recorded = serde_json::from_str(RECORDED).unwrap();
    let network = recorded.networks.remove(name).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("network.onnx");
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/networks");
    write(&fixtures.join(format!("{name}.onnx")), &network, &file);

    let catalogue = support::catalogue_with(folder.path());
    let options = NetworkOptions {
        size: Some([224, 224]),
        resize: Some(Resize::Stretch),
        ..NetworkOptions::default()
    };
    catalogue.add_network(name, &file, &options, &|_, _, _| {}).unwrap();
    fs_err::remove_file(&file).unwrap();
    let known = catalogue.layers(name, &|_, _, _| {}).unwrap();
    let pictures: Vec<_> = recorded.pictures.iter().map(|&size| picture(size)).collect();
    let pictures: Vec<_> = pictures.iter().collect();
    let mut by_pooling: BTreeMap<&str, (Reduction, Vec<String>)> = BTreeMap::new();
    for (layer, recorded) in &network.layers {
        assert_eq!(known.find(layer).unwrap().shape, recorded.shape, "{name} {layer}");
        let entry = by_pooling.entry(recorded.pooling.name());
        entry.or_insert((recorded.pooling, Vec::new())).1.push(layer.clone());
    }
    for (pooling, layers) in by_pooling.into_values() {
        let choice = Choice::Named(layers.clone());
        let mut chosen =
            catalogue.open_layers(name, &choice, Some(pooling), &|_, _, _| {}).unwrap();
        let vectors = chosen.embed(&pictures).unwrap();
        for (layer, vectors) in layers.iter().zip(&vectors) {
            for (vector, expected) in vectors.iter().zip(&network.layers[layer].vectors) {
                let vector = vector.as_ref().unwrap().as_dense().unwrap();
                assert_near(vector.as_slice(), expected, &format!("{name} {layer}"));
            }
        }
    }
    network.layers.len()
}

#[test]
fn every_layer_of_vgg16_equals_torchvisions() {
    // 13 convolutions, 5 poolings, 3 linear layers, 15 activations, and the average before the last.
    assert_eq!(compare("vgg16"), 37);
}

#[test]
fn every_layer_of_resnet50_equals_torchvisions() {
    // 53 convolutions with as many normalisations, 49 activations, 2 poolings, 1 linear layer.
    assert_eq!(compare("resnet50"), 158);
}
