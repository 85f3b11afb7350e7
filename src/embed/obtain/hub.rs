use std::path::Path;

use hf_hub::api::sync::ApiBuilder;
use hf_hub::{Repo, RepoType};

use super::{ObtainError, Progress, place};
use crate::embed::manifest::ModelFile;

/// Where the model hub answers.
pub const HUB_ENDPOINT: &str = "https://huggingface.co";
/// How often a transfer that broke off is taken up again.
const RETRIES_MAX: usize = 3;

/// The model hub, or a mirror of it.
#[derive(Debug, Clone)]
pub struct Hub {
    /// Where it answers, without a slash at the end.
    pub endpoint: String,
}

impl Default for Hub {
    fn default() -> Self {
        Self { endpoint: HUB_ENDPOINT.to_owned() }
    }
}

impl Hub {
    /// Fetches files of a repository into a folder. What was fetched of a file that broke off is
    /// kept beside it and continued by the next call.
    ///
    /// # Errors
    /// [`ObtainError::Hub`] (unavailable) naming the file; [`ObtainError::Checksum`] (corrupt).
    pub fn fetch(
        &self,
        repository: &str,
        revision: &str,
        files: &[ModelFile],
        folder: &Path,
        progress: Progress<'_>,
    ) -> Result<(), ObtainError> {
        let failed =
            |file: &str, reason: String| ObtainError::Hub { file: file.to_owned(), reason };
        let staging = folder.join(".hub");
        let api = ApiBuilder::new()
            .with_endpoint(self.endpoint.clone())
            .with_cache_dir(staging.clone())
            .with_token(None)
            .with_retries(RETRIES_MAX)
            .with_progress(false)
            .build()
            .map_err(|error| failed(repository, error.to_string()))?;
        let repo = Repo::with_revision(repository.to_owned(), RepoType::Model, revision.to_owned());
        let repo = api.repo(repo);
        for file in files {
            progress(&format!("fetching {} from the model hub", file.name), 0, Some(file.bytes));
            let fetched =
                repo.download(&file.name).map_err(|error| failed(&file.name, error.to_string()))?;
            let placed = place(folder, file, fs_err::File::open(&fetched)?);
            if placed.is_err() {
                // Not to be taken for good the next time.
                fs_err::remove_dir_all(&staging)?;
            }
            placed?;
            progress(&format!("fetched {}", file.name), file.bytes, Some(file.bytes));
        }
        fs_err::remove_dir_all(&staging)?;
        Ok(())
    }
}
