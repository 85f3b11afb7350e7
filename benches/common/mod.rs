//! What the benches share.

use std::error::Error;

use simile::embed::obtain::Hub;
use simile::embed::onnx::RuntimeSearch;
use simile::embed::{Catalogue, CatalogueOptions, WorkerOptions};

/// Returns the catalogue over the cache that the program uses, with so many threads a model.
pub(crate) fn catalogue(threads: usize) -> Result<Catalogue, Box<dyn Error>> {
    let folders = directories::ProjectDirs::from("", "", "simile").ok_or("no home folder")?;
    let cache = folders.cache_dir().to_owned();
    Ok(Catalogue::open(CatalogueOptions {
        models: cache.join("models"),
        own: None,
        runtime: RuntimeSearch {
            explicit: None,
            beside: None,
            cache,
            is_offline: false,
            python: "python3".to_owned(),
        },
        hub: Hub::default(),
        is_offline: false,
        threads,
        worker: WorkerOptions::default(),
    })?)
}
