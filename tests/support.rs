//! What several files of tests need.

use std::path::{Path, PathBuf};

use simile::cancel::Cancellation;
use simile::embed::obtain::Hub;
use simile::embed::onnx::RuntimeSearch;
use simile::embed::{
    Catalogue, CatalogueOptions, DEFAULT_TEXT_MODEL, EmbedderHandle, Lane, Role, WorkerOptions,
};
use simile::picture::Picture;

/// The cache that the program uses, so that runtime and model are fetched once for both.
pub(crate) fn cache_folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("SIMILE_CACHE") {
        return folder.into();
    }
    directories::ProjectDirs::from("", "", "simile").unwrap().cache_dir().to_owned()
}

/// The catalogue over that cache.
pub(crate) fn catalogue() -> Catalogue {
    Catalogue::open(catalogue_options()).unwrap()
}

/// A catalogue over that cache with models of its own below a folder.
pub(crate) fn catalogue_with(folder: &Path) -> Catalogue {
    let own = Some(folder.join("own"));
    Catalogue::open(CatalogueOptions { own, ..catalogue_options() }).unwrap()
}

/// How that catalogue is opened.
pub(crate) fn catalogue_options() -> CatalogueOptions {
    let cache = cache_folder();
    let runtime = RuntimeSearch {
        explicit: std::env::var_os("SIMILE_ONNXRUNTIME").map(PathBuf::from),
        beside: None,
        cache: cache.clone(),
        is_offline: false,
        python: "python3".into(),
    };
    CatalogueOptions {
        models: cache.join("models"),
        own: None,
        runtime,
        hub: Hub::default(),
        is_offline: false,
        threads: 1,
        worker: WorkerOptions::default(),
    }
}

/// The default model, fetched if need be, and loaded once for all tests.
pub(crate) fn model() -> EmbedderHandle {
    static MODEL: std::sync::OnceLock<EmbedderHandle> = std::sync::OnceLock::new();
    let load = || {
        let catalogue = catalogue();
        catalogue.pull(DEFAULT_TEXT_MODEL, &|_, _, _| {}).unwrap();
        catalogue.load(DEFAULT_TEXT_MODEL, &|_, _, _| {}).unwrap()
    };
    MODEL.get_or_init(load).clone()
}

/// The picture that the scripts below `tests/reference` compute too.
pub(crate) fn picture([width, height]: [u32; 2]) -> Picture {
    let mut state = u64::from(width) * 65_537 + u64::from(height);
    let mut samples = Vec::new();
    for place in 0..width * height * 3 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let sample = u8::try_from(state >> 56).unwrap();
        let (row, column) = (place / 3 / width, place / 3 % width);
        let smooth = (row * 7 + column * 3 + u32::from(sample / 8)) % 256;
        samples.push(if width % 2 == 0 { u8::try_from(smooth).unwrap() } else { sample });
    }
    Picture::new(width, height, samples).unwrap()
}

/// Returns the dense vectors of texts.
pub(crate) fn embed(model: &EmbedderHandle, texts: &[&str], role: Role) -> Vec<Vec<f32>> {
    let embedded = model.embed(texts, role, Lane::Bulk, &Cancellation::new()).unwrap();
    let vectors = embedded.embeddings.into_iter().map(|embedding| embedding.vector.unwrap());
    vectors.map(|vector| vector.as_dense().unwrap().as_slice().to_vec()).collect()
}

/// Returns the inner product.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}
