//! Files of the hub whose hashes nobody has written down yet: they are taken as they are now, and from
//! then on they are what their hashes say.

use std::io::Read as _;
use std::path::Path;

use hf_hub::{Repo, RepoType};
use sha2::{Digest as _, Sha256};
use ureq::http::{HeaderMap, StatusCode};

use super::hub::agent;
use super::{Hub, ObtainError, Progress, place};
use crate::embed::manifest::ModelFile;

/// The most bytes of a file that the hub keeps no SHA-256 of: those are small, or in a store that does.
const PLAIN_BYTES_MAX: u64 = 64 << 20;
/// The SHA-256 of a file in the hub's store for large ones.
const LINKED_HASH: &str = "x-linked-etag";
/// Its length.
const LINKED_SIZE: &str = "x-linked-size";
/// The commit that a revision stands for.
const COMMIT: &str = "x-repo-commit";

/// A file as it was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpinned {
    /// Its name in the repository, with folders, its hash and its length.
    pub file: ModelFile,
    /// The commit that it is of, if the hub says so.
    pub commit: Option<String>,
}

impl Hub {
    /// Fetches a file of a repository into a folder, under the same name with its folders; none if the
    /// repository has no such file.
    ///
    /// # Errors
    /// As [`Self::fetch`]; [`ObtainError::Hub`] for an answer that cannot be right.
    pub fn fetch_unpinned(
        &self,
        repository: &str,
        revision: &str,
        name: &str,
        folder: &Path,
        progress: Progress<'_>,
    ) -> Result<Option<Unpinned>, ObtainError> {
        let repo = Repo::with_revision(repository.to_owned(), RepoType::Model, revision.to_owned());
        let (endpoint, revision_part) = (&self.endpoint, repo.url_revision());
        let url = format!("{endpoint}/{}/resolve/{revision_part}/{name}", repo.url());
        let failed =
            |reason: String| ObtainError::Hub { file: name.to_owned(), url: url.clone(), reason };
        let target = folder.join(name);
        let parent = target.parent().unwrap_or(folder);
        fs_err::create_dir_all(parent)?;
        // The first answer says of a large file what its hash is; where it leads to does not.
        let head = agent(0).head(&url).call().map_err(|error| failed(error.to_string()))?;
        if head.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let text = |headers: &HeaderMap, name: &str| {
            let text = headers.get(name)?.to_str().ok()?;
            Some(text.trim_start_matches("W/").trim_matches('"').to_owned())
        };
        let commit = text(head.headers(), COMMIT);
        let hash = text(head.headers(), LINKED_HASH).filter(|hash| is_sha256(hash));
        let length = text(head.headers(), LINKED_SIZE).and_then(|length| length.parse().ok());
        if let (Some(sha256), Some(bytes)) = (hash, length) {
            let file = ModelFile { name: name.to_owned(), sha256, bytes };
            self.fetch(repository, revision, std::slice::from_ref(&file), folder, progress)?;
            return Ok(Some(Unpinned { file, commit }));
        }
        let answer = super::hub::redirecting_agent().get(&url).call();
        let answer = answer.map_err(|error| failed(error.to_string()))?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(failed(status.to_string())),
        }
        let commit = commit.or_else(|| text(answer.headers(), COMMIT));
        let announced = answer.body().content_length();
        let mut content = Vec::new();
        let mut body = answer.into_body().into_reader().take(PLAIN_BYTES_MAX + 1);
        body.read_to_end(&mut content).map_err(|error| failed(error.to_string()))?;
        let bytes = content.len() as u64;
        if bytes > PLAIN_BYTES_MAX {
            return Err(failed(format!("at most {PLAIN_BYTES_MAX} bytes are fetched unchecked")));
        }
        if announced.is_some_and(|announced| announced != bytes) {
            let announced = announced.unwrap_or_default();
            return Err(failed(format!("broke off after {bytes} of {announced} bytes")));
        }
        let sha256 = format!("{:x}", Sha256::digest(&content));
        let file = ModelFile { name: name.to_owned(), sha256, bytes };
        let inner = ModelFile {
            name: target.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            ..file.clone()
        };
        place(parent, &inner, content.as_slice())?;
        progress(&format!("obtained {name}"), bytes, Some(bytes));
        Ok(Some(Unpinned { file, commit }))
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
