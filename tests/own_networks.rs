//! The image networks that come with the program: do they see more than pixels, and is it their weights
//! that do it? On scenes that are drawn here, of kinds that they were not trained on.

use std::path::PathBuf;
use std::sync::Arc;

use prost::Message;
use simile::cancel::Cancellation;
use simile::embed::image::{ImageSettings, Preprocess as _, Preprocessor, Resize};
use simile::embed::{
    Catalogue, DEFAULT_IMAGE_MODEL, EmbedderHandle, Grid, Lane, Method, NetworkOptions,
};
use simile::evaluate::nearest_accuracy;
use simile::picture::Picture;
use simile::vector::Metric;

use crate::support;

const NETWORKS: [&str; 2] = ["simile-autoencoder-64", "simile-residual-64"];
const KINDS: usize = 8;
const SCENES_PER_KIND: usize = 24;
const SIDE: u32 = 96;

/// A generator of numbers (Knuth's), so that the scenes are the same everywhere.
struct Chance(u64);

impl Chance {
    /// Returns a number from one up to but without another.
    fn between(&mut self, low: f32, high: f32) -> f32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = f32::from(u16::try_from(self.0 >> 48).unwrap()) / 65_536.0;
        low + (high - low) * share
    }

    fn colour(&mut self, low: f32, high: f32) -> [f32; 3] {
        [0; 3].map(|_| self.between(low, high))
    }
}

/// Draws a scene of a kind: its outline tells it, while place, size, tilt and colours are chance's.
fn scene(kind: usize, chance: &mut Chance) -> Picture {
    let front = chance.colour(20.0, 110.0);
    let [back, other] = [0; 2].map(|_| chance.colour(140.0, 235.0));
    let side = SIDE as f32;
    let (x, y) = (chance.between(0.42, 0.58) * side, chance.between(0.42, 0.58) * side);
    let (size, tilt) = (chance.between(0.2, 0.33) * side, chance.between(-0.3, 0.3));
    let is_inside = |across: f32, down: f32| {
        let far = across.hypot(down);
        match kind {
            0 => far < 1.0,
            1 => far < 1.0 && far > 0.65,
            2 => across.abs().max(down.abs()) < 0.85,
            3 => down < 0.8 && across.abs() < (down + 1.0) * 0.6,
            4 => across.abs().min(down.abs()) < 0.25 && across.abs().max(down.abs()) < 1.0,
            5 => (down * 2.5).rem_euclid(1.0) < 0.5 && across.abs().max(down.abs()) < 1.1,
            6 => {
                let square = (across * 2.0).floor() + (down * 2.0).floor();
                square.rem_euclid(2.0) < 0.5 && across.abs().max(down.abs()) < 1.1
            }
            _ => (across - (down * 4.0).sin() * 0.4).abs() < 0.22 && down.abs() < 1.2,
        }
    };
    let mut samples = Vec::new();
    for row in 0..SIDE {
        for column in 0..SIDE {
            let (right, below) = ((column as f32 - x) / size, (row as f32 - y) / size);
            let across = right * tilt.cos() + below * tilt.sin();
            let down = below * tilt.cos() - right * tilt.sin();
            let shade = row as f32 / side;
            for channel in 0..3 {
                let behind = back[channel] * (1.0 - shade) + other[channel] * shade;
                let value = if is_inside(across, down) { front[channel] } else { behind };
                let value = value + chance.between(-8.0, 8.0);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "clamped"
                )]
                samples.push(value.clamp(0.0, 255.0) as u8);
            }
        }
    }
    Picture::new(SIDE, SIDE, samples).unwrap()
}

/// Returns the scenes with their kinds.
fn scenes() -> (Vec<Arc<Picture>>, Vec<usize>) {
    let mut chance = Chance(20_261_127);
    let kinds: Vec<usize> = (0..KINDS * SCENES_PER_KIND).map(|place| place % KINDS).collect();
    let pictures = kinds.iter().map(|&kind| Arc::new(scene(kind, &mut chance)));
    (pictures.collect(), kinds)
}

fn accuracy(vectors: &[Vec<f32>], labels: &[usize]) -> f64 {
    let vectors: Vec<Option<&[f32]>> = vectors.iter().map(|vector| Some(&vector[..])).collect();
    nearest_accuracy(&vectors, labels, Metric::Cosine).unwrap()
}

fn embed(model: &EmbedderHandle, pictures: &[Arc<Picture>]) -> Vec<Vec<f32>> {
    let embedded = model.embed_pictures(pictures, Lane::Bulk, &Cancellation::new()).unwrap();
    let vectors = embedded.embeddings.into_iter();
    vectors.map(|e| e.vector.unwrap().as_dense().unwrap().as_slice().to_vec()).collect()
}

/// Returns the samples of the pictures at the size that the networks read, and the same less their mean:
/// of pictures fewer than components a principal component analysis keeps just that.
fn pixels(pictures: &[Arc<Picture>]) -> [Vec<Vec<f32>>; 2] {
    let settings = ImageSettings {
        height: 64,
        width: 64,
        resize: Resize::Stretch,
        edge: None,
        mean: [0.0; 3],
        std: [1.0; 3],
        ..ImageSettings::default()
    };
    let preprocessor = Preprocessor::of(settings);
    let all: Vec<Vec<f32>> =
        pictures.iter().map(|picture| preprocessor.preprocess(picture).unwrap().values).collect();
    let mut mean = vec![0.0; all[0].len()];
    for pixels in &all {
        mean.iter_mut().zip(pixels).for_each(|(mean, pixel)| *mean += pixel / all.len() as f32);
    }
    let less =
        |pixels: &Vec<f32>| pixels.iter().zip(&mean).map(|(pixel, mean)| pixel - mean).collect();
    let centred = all.iter().map(less).collect();
    [all, centred]
}

#[derive(Clone, PartialEq, Message)]
struct Model {
    #[prost(int64, tag = "1")]
    ir_version: i64,
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    operators: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct Graph {
    #[prost(bytes = "vec", repeated, tag = "1")]
    nodes: Vec<Vec<u8>>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "5")]
    constants: Vec<Tensor>,
    #[prost(bytes = "vec", repeated, tag = "11")]
    inputs: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "12")]
    outputs: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct Tensor {
    #[prost(int64, repeated, tag = "1")]
    dimensions: Vec<i64>,
    #[prost(int32, tag = "2")]
    kind: i32,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "vec", tag = "9")]
    data: Vec<u8>,
}

/// Returns a graph whose constants have their values in another order.
fn permuted(graph: &[u8]) -> Vec<u8> {
    let mut model = Model::decode(graph).unwrap();
    let mut chance = Chance(7);
    for tensor in &mut model.graph.as_mut().unwrap().constants {
        let mut values: Vec<[u8; 4]> =
            tensor.data.chunks_exact(4).map(|bytes| bytes.try_into().unwrap()).collect();
        for last in (1..values.len()).rev() {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a place in the tensor"
            )]
            let other = chance.between(0.0, last as f32 + 1.0) as usize;
            values.swap(last, other.min(last));
        }
        tensor.data = values.concat();
    }
    model.encode_to_vec()
}

fn graph(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("src/embed/models/{name}.onnx"))
}

/// Adds a network of the program's own with other weights.
fn changed(catalogue: &Catalogue, name: &str, file: &std::path::Path) -> EmbedderHandle {
    let manifest = catalogue.manifest(name).unwrap();
    let Method::OnnxImage { image, network } = &manifest.method else { panic!("{manifest:?}") };
    let options = NetworkOptions {
        layer: Some(network.layer.clone()),
        pooling: Some(network.pooling),
        resize: Some(image.resize),
        mean: Some(image.mean),
        std: Some(image.std),
        ..NetworkOptions::default()
    };
    let changed = format!("{name}-changed");
    catalogue.add_network(&changed, file, &options, &|_, _, _| {}).unwrap();
    catalogue.load(&changed, &|_, _, _| {}).unwrap()
}

#[test]
fn networks_of_the_program_see_more_than_pixels_and_by_their_weights() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    let (pictures, kinds) = scenes();
    let of_pixels = pixels(&pictures).map(|vectors| accuracy(&vectors, &kinds));
    let most = of_pixels[0].max(of_pixels[1]);
    for name in NETWORKS {
        let model = catalogue.load(name, &|_, _, _| {}).unwrap();
        let seen = accuracy(&embed(&model, &pictures), &kinds);
        let file = folder.path().join(format!("{name}.onnx"));
        fs_err::write(&file, permuted(&fs_err::read(graph(name)).unwrap())).unwrap();
        let blind = accuracy(&embed(&changed(&catalogue, name, &file), &pictures), &kinds);
        println!("{name}: {seen:.3}, pixels {of_pixels:.3?}, weights permuted {blind:.3}");
        assert!(seen > most + 0.05, "{name} sees {seen}, pixels alone {of_pixels:?}");
        assert!(seen > blind + 0.05, "{name} sees {seen}, with its weights permuted {blind}");
    }
}

#[test]
fn networks_of_the_program_need_no_file_and_have_the_shapes_that_their_cards_say() {
    let folder = tempfile::tempdir().unwrap();
    let options = simile::embed::CatalogueOptions {
        models: folder.path().join("models"),
        is_offline: true,
        ..support::catalogue_options()
    };
    let catalogue = Catalogue::open(options).unwrap();
    let installed: Vec<String> = catalogue
        .list()
        .into_iter()
        .filter(|model| model.is_installed)
        .map(|model| model.manifest.name)
        .collect();
    assert!(NETWORKS.iter().all(|name| installed.iter().any(|i| i == name)), "{installed:?}");
    assert!(NETWORKS.contains(&DEFAULT_IMAGE_MODEL));
    let autoencoder = catalogue.load(NETWORKS[0], &|_, _, _| {}).unwrap();
    let grid = Grid { channels: 16, rows: 4, columns: 4 };
    assert_eq!((autoencoder.specification().dimension, autoencoder.grid()), (256, Some(grid)));
    let residual = catalogue.load(NETWORKS[1], &|_, _, _| {}).unwrap();
    assert_eq!((residual.specification().dimension, residual.grid()), (512, None));
    let layers = catalogue.layers(NETWORKS[1], &|_, _, _| {}).unwrap();
    assert_eq!(layers.find("maps").unwrap().shape, [128, 4, 4]);
    for name in NETWORKS {
        let manifest = catalogue.manifest(name).unwrap();
        let bytes = fs_err::read(graph(name)).unwrap();
        let digest = simile::embed::obtain::sha256_of(&graph(name)).unwrap();
        let [file] = &manifest.files[..] else { panic!("{manifest:?}") };
        assert_eq!((&file.sha256, file.bytes), (&digest, bytes.len() as u64), "{name}");
    }
    assert!(!folder.path().join("models").exists(), "nothing was written");
}
