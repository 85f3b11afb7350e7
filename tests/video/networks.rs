//! Networks that read the frames of a clip at once, compared with what `tests/reference/video_models.py`
//! recorded of them.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;
use simile::cancel::Cancellation;
use simile::embed::video::ClipFrame;
use simile::embed::{Catalogue, CatalogueOptions, EmbedderHandle, Kind, Lane, NetworkOptions};
use simile::picture::Picture;

use crate::support::{catalogue_options, picture};

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/video").join(name)
}

fn reference() -> Json {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/video_models.json");
    serde_json::from_str(&fs_err::read_to_string(path).unwrap()).unwrap()
}

fn catalogue(own: &Path) -> Catalogue {
    Catalogue::open(CatalogueOptions { own: Some(own.to_owned()), ..catalogue_options() }).unwrap()
}

fn clip(pictures: &[Arc<Picture>], embedder: &EmbedderHandle) -> Vec<f32> {
    let frame = |(number, picture): (usize, &Arc<Picture>)| {
        let start_ms = number as u64 * 250;
        ClipFrame { picture: Arc::clone(picture), start_ms, end_ms: start_ms + 250 }
    };
    let frames: Vec<ClipFrame> = pictures.iter().enumerate().map(frame).collect();
    let size = (pictures[0].width(), pictures[0].height());
    let clip = embedder.embed_clip(&frames, size, Lane::Bulk, &Cancellation::new()).unwrap();
    clip.vector.unwrap().as_dense().unwrap().as_slice().to_vec()
}

fn far(vector: &[f32], expected: &Json) -> f64 {
    let expected = expected.as_array().unwrap();
    assert_eq!(vector.len(), expected.len());
    let pairs = vector.iter().zip(expected);
    pairs.map(|(a, b)| (f64::from(*a) - b.as_f64().unwrap()).abs()).fold(0.0, f64::max)
}

#[test]
fn models_of_clips_are_recognised_and_see_what_transformers_see() {
    let own = tempfile::tempdir().unwrap();
    let catalogue = catalogue(own.path());
    let reference = reference();
    let height = reference["height"].as_u64().unwrap() as u32;
    let widths = reference["widths"].as_array().unwrap().iter();
    let pictures: Vec<Arc<Picture>> =
        widths.map(|width| Arc::new(picture([width.as_u64().unwrap() as u32, height]))).collect();
    for name in ["videomae", "vivit"] {
        let folder = fixture(&format!("{name}-tiny"));
        let options = NetworkOptions::default();
        let manifest = catalogue.add_network(name, &folder, &options, &|_, _, _| {}).unwrap();
        assert_eq!((manifest.method.kind(), manifest.dimension), (Kind::OnnxVideo, 32));
        // What was written down is what is read again.
        let embedder = catalogue.load(name, &|_, _, _| {}).unwrap();
        let expected = &reference["models"][name];
        assert!(far(&clip(&pictures, &embedder), &expected["clip"]) < 1e-4, "{name}");
        let backwards: Vec<Arc<Picture>> = pictures.iter().rev().cloned().collect();
        let backwards = clip(&backwards, &embedder);
        assert!(far(&backwards, &expected["backwards"]) < 1e-4, "{name} backwards");
        assert!(far(&backwards, &expected["clip"]) > 0.01, "{name}: the order of time is seen");
        let still = embedder
            .embed_pictures(&pictures[2..3], Lane::Query, &Cancellation::new())
            .unwrap()
            .embeddings
            .remove(0);
        let still = still.vector.unwrap();
        assert!(
            far(still.as_dense().unwrap().as_slice(), &expected["still"]) < 1e-4,
            "{name} still"
        );
    }
}

#[test]
fn a_folder_of_a_model_of_clips_says_what_is_missing() {
    let own = tempfile::tempdir().unwrap();
    let catalogue = catalogue(own.path());
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "preprocessor_config.json"] {
        fs_err::copy(fixture("videomae-tiny").join(file), folder.path().join(file)).unwrap();
    }
    let add = |name: &str| {
        let options = NetworkOptions::default();
        catalogue.add_network(name, folder.path(), &options, &|_, _, _| {}).unwrap_err().to_string()
    };
    assert!(add("a").contains("torch.onnx.export writes one"), "{}", add("a"));
    fs_err::copy(fixture("vivit-tiny").join("model.onnx"), folder.path().join("model.onnx"))
        .unwrap();
    let said = add("b");
    assert!(said.contains("is any x 6 x 3 x 32 x 32, expected any x 4 x 3 x 32 x 32"), "{said}");
    fs_err::write(folder.path().join("config.json"), r#"{"model_type": "vivit"}"#).unwrap();
    assert!(add("c").contains("it does not say num_frames"), "{}", add("c"));
}
