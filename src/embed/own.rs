//! How does a model of the user's own get its place in the catalogue? Whole or not at all, with the
//! hashes of its files and a canary, and never in the place of another one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::catalogue::{Entry, MANIFEST_FILE, make_canary};
use super::manifest::{ModelFile, SCHEMA, is_plain_name};
use super::obtain::{Progress, sha256_of};
use super::{Catalogue, EmbedError, Manifest, ManifestError, Recipe, Training};

/// How many texts of a corpus become the canary of the model that is fitted on it.
const CANARY_TEXTS: usize = 3;
/// The most characters of such a text.
const CANARY_CHARACTERS_MAX: usize = 120;

impl Catalogue {
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

    /// Returns the folder of own models, and one in it to make the model in, if the name is free.
    fn begin(&self, name: &str) -> Result<(PathBuf, tempfile::TempDir), EmbedError> {
        if !is_plain_name(name) || name.starts_with('.') {
            let reason =
                "the name of a model is the name of a folder, and begins with no dot".into();
            return Err(ManifestError { name: format!("`{name}`"), reason }.into());
        }
        if self.manifest(name).is_ok() {
            return Err(EmbedError::ModelExists { name: name.to_owned() });
        }
        let own = self.options.own.clone().unwrap_or_else(|| self.options.models.clone());
        fs_err::create_dir_all(&own)?;
        let making = tempfile::Builder::new().prefix(".making-").tempdir_in(&own)?;
        Ok((own, making))
    }

    /// Gives the model in a folder its canary, its manifest and its name.
    fn settle(
        &self,
        mut manifest: Manifest,
        canary: Vec<String>,
        making: tempfile::TempDir,
        own: &Path,
        progress: Progress<'_>,
    ) -> Result<Arc<Manifest>, EmbedError> {
        let name = manifest.name.clone();
        let folder = making.path().to_owned();
        let entry = Entry { manifest: Arc::new(manifest.clone()), folder };
        let mut model = self.open_unchecked(&entry, progress)?;
        manifest.canary = make_canary(canary, model.as_mut())?;
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
