//! Which models are there, and where are their files?

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::catalogue::CatalogueOptions;
use super::files::Files;
use super::obtain::sha256_of;
use super::onnx::graph_bytes;
use super::{EmbedError, Manifest, ManifestError, small, video};

/// The manifests that come with the program.
pub(super) const BUILT_IN: [&str; 10] = [
    include_str!("models/all-minilm-l6-v2.toml"),
    include_str!("models/hashed-letters.toml"),
    include_str!("models/hashed-words.toml"),
    include_str!("models/small/small-static.toml"),
    include_str!("models/small/small-lstm.toml"),
    include_str!("models/small/small-gru.toml"),
    include_str!("models/small/small-cnn.toml"),
    include_str!("models/simile-autoencoder-64.toml"),
    include_str!("models/simile-residual-64.toml"),
    include_str!("models/simile-sounds-202.toml"),
];
/// The name of a manifest in its model's folder.
pub(super) const MANIFEST_FILE: &str = "manifest.toml";

/// What manifests there are.
#[derive(Debug, Clone, Default)]
pub(super) struct Shelf {
    pub(super) entries: BTreeMap<String, Entry>,
    /// Folders whose manifest is none, by their name.
    pub(super) broken: BTreeMap<String, ManifestError>,
}

/// A model and where its files belong.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) manifest: Arc<Manifest>,
    pub(super) folder: PathBuf,
    /// The files that the program carries of it.
    pub(super) program: &'static [small::File],
}

impl Shelf {
    /// Reads the manifests of the folders beside those that come with the program.
    ///
    /// # Errors
    /// A manifest of the program is none, which a test would have told.
    pub(super) fn read(options: &CatalogueOptions) -> Result<Self, ManifestError> {
        let mut shelf = Self::default();
        for text in BUILT_IN {
            let manifest = Arc::new(Manifest::parse(text, "built in")?);
            let folder = options.models.join(&manifest.name);
            let program = small::files(&manifest.name);
            shelf.entries.insert(manifest.name.clone(), Entry { manifest, folder, program });
        }
        if let Some(image) = shelf.entries.get(video::IMAGE_MODEL) {
            let program = image.program;
            for manifest in video::own_manifests(&image.manifest) {
                let folder = options.models.join(&manifest.name);
                let program = if manifest.files.is_empty() { &[] } else { program };
                let (name, manifest) = (manifest.name.clone(), Arc::new(manifest));
                shelf.entries.insert(name, Entry { manifest, folder, program });
            }
        }
        for models in [Some(&options.models), options.own.as_ref()].into_iter().flatten() {
            for folder in fs_err::read_dir(models).into_iter().flatten().flatten() {
                shelf.add(folder.path());
            }
        }
        Ok(shelf)
    }

    fn add(&mut self, folder: PathBuf) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = folder.join(MANIFEST_FILE);
        let Ok(text) = fs_err::read_to_string(&path) else { return };
        // What is in the making has no name yet.
        if name.starts_with('.') {
            return;
        }
        let named = path.display().to_string();
        let parsed = Manifest::parse(&text, &named).and_then(|manifest| {
            let reason =
                "only models that come with the program have it as their source".to_owned();
            let is_elsewhere = manifest.is_in_program();
            if is_elsewhere { Err(ManifestError { name: named, reason }) } else { Ok(manifest) }
        });
        match parsed {
            Ok(manifest) => {
                let (manifest, program) = (Arc::new(manifest), &[][..]);
                self.entries.insert(manifest.name.clone(), Entry { manifest, folder, program });
            }
            Err(error) => {
                self.broken.insert(name, error);
            }
        }
    }
}

impl Entry {
    /// Returns where the model's files are read from.
    pub(super) fn files(&self) -> Files {
        if self.manifest.is_in_program() {
            Files::Program(self.program)
        } else {
            Files::Folder(self.folder.clone())
        }
    }

    /// Returns where the first file should be that is not there; none: the model is installed.
    pub(super) fn missing(&self) -> Option<PathBuf> {
        let (names, files) = (self.manifest.files.iter(), self.files());
        names.map(|file| &file.name).find(|name| !files.has(name)).map(|name| files.path(name))
    }

    /// Returns a graph of the model.
    pub(super) fn graph(&self, file: &str) -> Result<Cow<'static, [u8]>, EmbedError> {
        match self.files() {
            files @ Files::Program(_) => files.read(file),
            files @ Files::Folder(_) => graph_bytes(&files.path(file))
                .map(Cow::from)
                .map_err(|reason| EmbedError::Failed { name: self.manifest.name.clone(), reason }),
        }
    }

    /// Checks that the model is here, and as it was.
    pub(super) fn check_all(&self, name: &str) -> Result<(), EmbedError> {
        if let Some(missing) = self.missing() {
            return Err(EmbedError::NotInstalled { name: name.to_owned(), missing });
        }
        self.check_files()
    }

    /// Checks that the files of the model are as they were.
    pub(super) fn check_files(&self) -> Result<(), EmbedError> {
        if self.manifest.is_in_program() {
            return Ok(());
        }
        for file in &self.manifest.files {
            let path = self.folder.join(&file.name);
            let actual = sha256_of(&path)?;
            if actual != file.sha256 {
                let (name, expected) = (self.manifest.name.clone(), file.sha256.clone());
                return Err(EmbedError::Damaged { name, path, expected, actual });
            }
        }
        Ok(())
    }
}
