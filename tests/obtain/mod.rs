//! Is what was asked for obtained, whole and unchanged, whatever the other side does; and does an
//! error say what to do?

mod adding;
mod fetching;
mod hub;
mod pip;
mod runtime;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use simile::embed::obtain::Hub;
use simile::embed::onnx::RuntimeSearch;
use simile::embed::{Catalogue, CatalogueOptions, EmbedError, WorkerOptions};

/// A model of two small files, which is enough to fetch, and a place for it.
#[derive(Debug)]
struct Place {
    folder: tempfile::TempDir,
    weights: Vec<u8>,
    python: String,
    hub: String,
    is_offline: bool,
}

const NAME: &str = "little";
const CONFIG: &[u8] = b"{\"layers\": 1}";

impl Place {
    fn new(hub: &str, sources: &str) -> Self {
        let weights: Vec<u8> =
            (0..200_000u32).map(|number| (number.wrapping_mul(number) >> 7) as u8).collect();
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("models").join(NAME);
        fs_err::create_dir_all(&model).unwrap();
        let file = |name: &str, content: &[u8]| {
            let (hash, bytes) = (Sha256::digest(content), content.len());
            format!("[[files]]\nname = \"{name}\"\nsha256 = \"{hash:x}\"\nbytes = {bytes}\n")
        };
        let manifest = format!(
            "schema = 1\nname = \"{NAME}\"\nkind = \"bert-text\"\ndescription = \"\"\n\
             licence = \"Apache-2.0\"\ndimension = 4\nmetric = \"cosine\"\n\
             [text]\ntokens_max = 16\npooling = \"mean\"\n{}{}{sources}",
            file("weights.bin", &weights),
            file("config.json", CONFIG),
        );
        fs_err::write(model.join("manifest.toml"), manifest).unwrap();
        Self {
            folder,
            weights,
            python: "python3".to_owned(),
            hub: hub.to_owned(),
            is_offline: false,
        }
    }

    fn on_hub(hub: &str) -> Self {
        let source = "from = \"hub\"\nrepository = \"owner/little\"\nrevision = \"refs/pr/1\"";
        Self::new(hub, &format!("[[sources]]\n{source}\n"))
    }

    fn model(&self) -> PathBuf {
        self.folder.path().join("models").join(NAME)
    }

    fn content_of(&self, path: &str) -> &[u8] {
        if path.ends_with("/config.json") { CONFIG } else { &self.weights }
    }

    fn pull(&self) -> Result<(), EmbedError> {
        let cache = self.folder.path().to_owned();
        let runtime = RuntimeSearch {
            explicit: None,
            beside: None,
            cache: cache.clone(),
            is_offline: self.is_offline,
            python: self.python.clone(),
        };
        let catalogue = Catalogue::open(CatalogueOptions {
            models: cache.join("models"),
            own: None,
            runtime,
            hub: Hub { endpoint: self.hub.clone(), retry_after: Duration::from_millis(1) },
            is_offline: self.is_offline,
            threads: 1,
            worker: WorkerOptions::default(),
        });
        catalogue.unwrap().pull(NAME, &|_, _, _| {})
    }

    /// Checks that both files are here, right, and that nothing else was left behind.
    fn assert_complete(&self) {
        assert_eq!(fs_err::read(self.model().join("weights.bin")).unwrap(), self.weights);
        assert_eq!(fs_err::read(self.model().join("config.json")).unwrap(), CONFIG);
        let expected = [".lock", "config.json", "manifest.toml", "weights.bin"];
        assert_eq!(names(&self.model()), expected);
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs_err::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Checks that an error says all of these words.
fn assert_says(error: &str, words: &[&str]) {
    for word in words {
        assert!(error.contains(word), "expected {word:?} in: {error}");
    }
}
