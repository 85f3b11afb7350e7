//! What several files of tests need.

use std::path::{Path, PathBuf};

use simile::embed::obtain::Hub;
use simile::embed::onnx::RuntimeSearch;
use simile::embed::{
    Catalogue, CatalogueOptions, DEFAULT_TEXT_MODEL, EmbedderHandle, WorkerOptions,
};

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
