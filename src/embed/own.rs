//! How does a model of the user's own get its place in the catalogue? Whole or not at all, with the
//! hashes of its files and a canary, and never in the place of another one.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::import::Found;
use super::manifest::{ModelFile, SCHEMA, Source, is_plain_name};
use super::obtain::{FolderLock, ObtainError, Progress, sha256_of};
use super::shelf::{Entry, MANIFEST_FILE};
use super::{
    AddOptions, Catalogue, DocumentSettings, EmbedError, Kind, LateSettings, Manifest,
    ManifestError, Method, Modality, Piece, Pooling, Recipe, RemoteSettings, Training, canary,
    fetched, import,
};
use crate::vector::{Form, Metric};

/// How many texts of a corpus become the canary of the model that is fitted on it.
const CANARY_TEXTS: usize = 3;
/// The most characters of such a text.
const CANARY_CHARACTERS_MAX: usize = 120;
/// The canary of models that were trained elsewhere.
const CANARY: [&str; 3] = [
    "The cat chases the mouse.",
    "猫追逐老鼠。",
    "A telescope gathers light, and the eyepiece only magnifies what it gathered; that is why the \
     width of the mirror says more of an instrument than any power printed on its box.",
];
/// What stands for a licence that nobody named (SPDX).
const NO_LICENCE: &str = "NOASSERTION";

/// What is known of a model beside its vectors. What is left out stays.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Note {
    /// The languages it reads, as BCP 47 has them.
    pub languages: Option<Vec<String>>,
    /// The licence of the weights, as an SPDX expression.
    pub licence: Option<String>,
    /// What was measured of it, by the name of the figure; others stay.
    pub measured: BTreeMap<String, f64>,
}

impl Catalogue {
    /// Writes down what is known of a model of the user's own, in its manifest. No vector and no
    /// fingerprint changes by it.
    ///
    /// # Errors
    /// [`EmbedError`]: not found; [`EmbedError::Manifest`] (invalid input) for a model that comes with the
    /// program, or for what is no language or no number; the disk refuses.
    pub fn note(&self, name: &str, note: &Note) -> Result<Arc<Manifest>, EmbedError> {
        let Entry { manifest, folder, .. } = self.entry(name)?;
        let path = folder.join(MANIFEST_FILE);
        if !path.is_file() {
            let reason = "it comes with the program, and so does what is known of it".to_owned();
            return Err(ManifestError { name: format!("`{name}`"), reason }.into());
        }
        let mut manifest = Arc::unwrap_or_clone(manifest);
        if let Some(languages) = &note.languages {
            manifest.languages.clone_from(languages);
        }
        if let Some(licence) = &note.licence {
            manifest.licence.clone_from(licence);
        }
        let measured = note.measured.iter().map(|(name, value)| (name.clone(), *value));
        manifest.measured.extend(measured);
        let text = manifest.to_toml()?;
        // A dot begins what is in the making.
        let mut changed = tempfile::Builder::new().prefix(".making-").tempfile_in(&folder)?;
        changed.write_all(text.as_bytes())?;
        changed.as_file().sync_all()?;
        changed.persist(&path).map_err(|error| error.error)?;
        fs_err::File::open(&folder)?.sync_all()?;
        self.refresh();
        Ok(Arc::new(manifest))
    }

    /// Fits a model and adds it to the models of the user's own, where it stays until somebody removes
    /// its folder. Of the first texts of the corpus a few words are kept in its manifest, to check the
    /// model by.
    ///
    /// # Errors
    /// As [`Recipe::fit`]; [`EmbedError::ModelExists`] (already exists).
    pub fn train(
        &self,
        name: &str,
        licence: &str,
        recipe: &Recipe,
        training: &Training<'_>,
    ) -> Result<Arc<Manifest>, EmbedError> {
        let (own, making) = self.begin(name)?;
        let fitted = recipe.fit(training, making.path())?;
        let mut manifest = Manifest {
            schema: SCHEMA,
            name: name.to_owned(),
            method: fitted.method,
            description: fitted.description,
            licence: licence.to_owned(),
            dimension: fitted.dimension,
            metric: fitted.metric,
            languages: Vec::new(),
            measured: BTreeMap::new(),
            files: Vec::new(),
            sources: Vec::new(),
            canary: None,
        };
        for file in fitted.files {
            manifest.files.push(described(making.path(), file)?);
        }
        let mut texts = Vec::new();
        for text in training.corpus.texts().take(CANARY_TEXTS) {
            texts.push(text?.chars().take(CANARY_CHARACTERS_MAX).collect());
        }
        self.settle(manifest, texts, making, &own, training.progress)
    }

    /// Adds a text transformer from a folder of the model hub's layout to the models of the user's own:
    /// its files are copied, so that the folder may go.
    ///
    /// # Errors
    /// [`EmbedError::Unreadable`] (corrupt) or [`EmbedError::Import`] naming what does not fit;
    /// [`EmbedError::ModelExists`] (already exists); no runtime; the disk refuses.
    pub fn add(
        &self,
        name: &str,
        folder: &Path,
        options: &AddOptions,
        progress: Progress<'_>,
    ) -> Result<Arc<Manifest>, EmbedError> {
        self.import(name, folder, Vec::new(), options, progress)
    }

    /// Adds a text transformer from a repository of the hub, `owner/name`, at a revision. What is
    /// fetched becomes the model's identity: later fetches have to bring the same.
    ///
    /// # Errors
    /// As [`Self::add`]; [`EmbedError::Obtain`] (unavailable): what came so far is kept, and the next
    /// call goes on from there.
    pub fn add_from_hub(
        &self,
        name: &str,
        repository: &str,
        revision: &str,
        options: &AddOptions,
        progress: Progress<'_>,
    ) -> Result<Arc<Manifest>, EmbedError> {
        if !fetched::is_repository(repository) {
            let reason = "a repository of the hub is `owner/name`".into();
            return Err(ManifestError { name: format!("`{repository}`"), reason }.into());
        }
        if self.options.is_offline {
            return Err(ObtainError::Offline { what: repository.to_owned() }.into());
        }
        // The name is looked at before anything is fetched.
        let (own, making) = self.begin(name)?;
        drop(making);
        let folder = own.join(format!(".fetching-{}", repository.replace('/', "--")));
        let lock = FolderLock::wait(&folder)?;
        let commit = fetched::fetch(&self.options.hub, repository, revision, &folder, progress)?;
        let source = commit.map(|revision| {
            let repository = repository.to_owned();
            Source::Hub { repository, revision }
        });
        let manifest =
            self.import(name, &folder, source.into_iter().collect(), options, progress)?;
        fs_err::remove_dir_all(&folder)?;
        drop(lock);
        Ok(manifest)
    }

    /// Adds a model that another server runs. It is asked a few texts at once, to check it by later: a
    /// model that changes behind its name is noticed.
    ///
    /// # Errors
    /// [`EmbedError::Endpoint`] (unavailable or conflict) saying what the endpoint answers; [`EmbedError::NoKey`];
    /// [`EmbedError::ModelExists`] (already exists); [`EmbedError::Manifest`] for settings out of bounds.
    pub fn add_remote(
        &self,
        name: &str,
        remote: RemoteSettings,
        dimension: usize,
        licence: &str,
        progress: Progress<'_>,
    ) -> Result<Arc<Manifest>, EmbedError> {
        let making = self.begin(name)?;
        let manifest = Manifest {
            schema: SCHEMA,
            name: name.to_owned(),
            description: format!("{} at {}", remote.model, remote.url),
            method: Method::Remote { remote },
            licence: licence.to_owned(),
            dimension,
            metric: Metric::Cosine,
            languages: Vec::new(),
            measured: BTreeMap::new(),
            files: Vec::new(),
            sources: Vec::new(),
            canary: None,
        };
        self.settle_without_files(manifest, making, progress)
    }

    /// Adds a model of long texts on top of one that reads their pieces, which stays where it is.
    ///
    /// # Errors
    /// [`EmbedError`]: not found or not installed for the model inside; [`EmbedError::NotRead`] or
    /// [`EmbedError::Manifest`] (invalid input) if it gives no dense vectors of texts, or for settings out
    /// of bounds; [`EmbedError::ModelExists`] (already exists).
    pub fn add_document(
        &self,
        name: &str,
        inner: &str,
        change: impl FnOnce(&mut DocumentSettings),
        progress: Progress<'_>,
    ) -> Result<Arc<Manifest>, EmbedError> {
        let making = self.begin(name)?;
        let inner = self.entry(inner)?.manifest;
        let specification = inner.specification();
        specification.require(Modality::Text)?;
        let wrong = |reason: String| ManifestError { name: format!("`{name}`"), reason };
        let (of, form) = (&inner.name, specification.form);
        if form != Form::Dense {
            let form = form.name();
            return Err(
                wrong(format!("model {of} gives {form} vectors, expected dense ones")).into()
            );
        }
        if specification.kind == Kind::Document {
            return Err(wrong(format!("model {of} is one of documents itself")).into());
        }
        let mut document = DocumentSettings::over(&specification);
        change(&mut document);
        let what = match document.piece {
            Piece::Window => "windows",
            Piece::Sentence => "sentences",
        };
        let description = format!("long texts as the mean of their {what}, by {}", inner.name);
        let manifest = on_top_of(&inner, name, description, Method::Document { document });
        self.settle_without_files(manifest, making, progress)
    }

    /// Adds a model that reads passages with what stands around them in their documents, on top of a
    /// transformer, which stays where it is.
    ///
    /// # Errors
    /// [`EmbedError`]: not found or not installed for the model inside; [`EmbedError::NotRead`] or
    /// [`EmbedError::Manifest`] (invalid input) if it gives no vectors of tokens whose mean is that of the
    /// text; [`EmbedError::ModelExists`] (already exists).
    pub fn add_late(
        &self,
        name: &str,
        inner: &str,
        progress: Progress<'_>,
    ) -> Result<Arc<Manifest>, EmbedError> {
        let making = self.begin(name)?;
        let inner = self.entry(inner)?.manifest;
        let specification = inner.specification();
        specification.require(Modality::Text)?;
        let wrong = |reason: String| ManifestError { name: format!("`{name}`"), reason };
        let of = &inner.name;
        match &inner.method {
            Method::BertText { text } | Method::OnnxText { text, .. }
                if text.pooling == Pooling::Mean => {}
            Method::BertText { text } | Method::OnnxText { text, .. } => {
                let pooling = text.pooling;
                let reason = format!("model {of} joins tokens by {pooling:?}, expected their mean");
                return Err(wrong(reason).into());
            }
            other => {
                let kind = other.kind().name();
                let reason = format!(
                    "model {of} is of the kind {kind}, expected bert-text or onnx-text, whose tokens \
                     see what stands around them"
                );
                return Err(wrong(reason).into());
            }
        }
        let description = format!("passages read in their documents (late chunking), by {of}");
        let late = LateSettings::over(&specification);
        let manifest = on_top_of(&inner, name, description, Method::Late { late });
        self.settle_without_files(manifest, making, progress)
    }

    fn import(
        &self,
        name: &str,
        folder: &Path,
        sources: Vec<Source>,
        options: &AddOptions,
        progress: Progress<'_>,
    ) -> Result<Arc<Manifest>, EmbedError> {
        let (own, making) = self.begin(name)?;
        let found = import::read(folder, options, &self.options.runtime, progress)?;
        // A source names files without folders, so what was in one cannot be fetched again.
        let is_flat = found.files.iter().all(|(file, name)| *file == folder.join(name));
        let sources = if is_flat { sources } else { Vec::new() };
        self.copy(name, found, sources, options.licence.clone(), (own, making), progress)
    }

    /// Adds what was found, if the name is free; it is looked for only then.
    pub(super) fn adopt(
        &self,
        name: &str,
        find: impl FnOnce() -> Result<Found, EmbedError>,
        licence: Option<String>,
        progress: Progress<'_>,
    ) -> Result<Arc<Manifest>, EmbedError> {
        let making = self.begin(name)?;
        self.copy(name, find()?, Vec::new(), licence, making, progress)
    }

    /// Copies the files of a model that was found and gives it its name.
    fn copy(
        &self,
        name: &str,
        found: Found,
        sources: Vec<Source>,
        licence: Option<String>,
        (own, making): (PathBuf, tempfile::TempDir),
        progress: Progress<'_>,
    ) -> Result<Arc<Manifest>, EmbedError> {
        let mut manifest = Manifest {
            schema: SCHEMA,
            name: name.to_owned(),
            method: found.method,
            description: found.description,
            licence: licence.unwrap_or_else(|| NO_LICENCE.to_owned()),
            dimension: found.dimension,
            metric: found.metric,
            languages: Vec::new(),
            measured: BTreeMap::new(),
            files: Vec::new(),
            sources,
            canary: None,
        };
        for (file, its_name) in found.files {
            progress(&format!("copying {its_name}"), 0, None);
            fs_err::copy(&file, making.path().join(&its_name))?;
            fs_err::File::open(making.path().join(&its_name))?.sync_all()?;
            manifest.files.push(described(making.path(), its_name)?);
        }
        let texts = CANARY.map(str::to_owned).into();
        self.settle(manifest, texts, making, &own, progress)
    }

    /// Returns quietly if a model of the user's own may be called so.
    ///
    /// # Errors
    /// [`ManifestError`] (invalid input) for what is no name; [`EmbedError::ModelExists`].
    pub fn check_new_name(&self, name: &str) -> Result<(), EmbedError> {
        if !is_plain_name(name) || name.starts_with('.') {
            let reason =
                "the name of a model is the name of a folder, and begins with no dot".into();
            return Err(ManifestError { name: format!("`{name}`"), reason }.into());
        }
        if self.manifest(name).is_ok() {
            return Err(EmbedError::ModelExists { name: name.to_owned() });
        }
        Ok(())
    }

    /// Returns the folder of own models, and one in it to make the model in, if the name is free.
    fn begin(&self, name: &str) -> Result<(PathBuf, tempfile::TempDir), EmbedError> {
        self.check_new_name(name)?;
        let own = self.options.own.clone().unwrap_or_else(|| self.options.models.clone());
        fs_err::create_dir_all(&own)?;
        let making = tempfile::Builder::new().prefix(".making-").tempdir_in(&own)?;
        Ok((own, making))
    }

    /// Settles a model that is its manifest alone, which is looked at before anything is asked of it.
    fn settle_without_files(
        &self,
        manifest: Manifest,
        (own, making): (PathBuf, tempfile::TempDir),
        progress: Progress<'_>,
    ) -> Result<Arc<Manifest>, EmbedError> {
        manifest.to_toml()?;
        self.settle(manifest, CANARY.map(str::to_owned).into(), making, &own, progress)
    }

    /// Gives the model in a folder its canary, its manifest and its name.
    fn settle(
        &self,
        mut manifest: Manifest,
        texts: Vec<String>,
        making: tempfile::TempDir,
        own: &Path,
        progress: Progress<'_>,
    ) -> Result<Arc<Manifest>, EmbedError> {
        let name = manifest.name.clone();
        let folder = making.path().to_owned();
        let entry = Entry { manifest: Arc::new(manifest.clone()), folder, program: &[] };
        let mut model = self.open_unchecked(&entry, progress)?;
        manifest.canary = canary::make(texts, model.as_mut())?;
        let text = manifest.to_toml()?;
        let path = making.path().join(MANIFEST_FILE);
        fs_err::write(&path, text)?;
        fs_err::File::open(&path)?.sync_all()?;
        fs_err::File::open(making.path())?.sync_all()?;
        let target = own.join(&name);
        if target.exists() {
            return Err(EmbedError::ModelExists { name });
        }
        fs_err::rename(making.path(), &target)?;
        // Its folder has another name now, so there is nothing left to remove.
        drop(making.keep());
        fs_err::File::open(own)?.sync_all()?;
        self.refresh();
        Ok(Arc::new(manifest))
    }
}

/// Returns a file of a model as its manifest names it.
fn described(folder: &Path, name: String) -> Result<ModelFile, EmbedError> {
    let path = folder.join(&name);
    let bytes = fs_err::metadata(&path)?.len();
    Ok(ModelFile { sha256: sha256_of(&path)?, name, bytes })
}

/// Returns the manifest of a model on top of another one, whose vectors it joins: it has no files.
fn on_top_of(inner: &Manifest, name: &str, description: String, method: Method) -> Manifest {
    Manifest {
        schema: SCHEMA,
        name: name.to_owned(),
        description,
        method,
        licence: inner.licence.clone(),
        dimension: inner.dimension,
        metric: inner.metric,
        languages: inner.languages.clone(),
        measured: BTreeMap::new(),
        files: Vec::new(),
        sources: Vec::new(),
        canary: None,
    }
}
