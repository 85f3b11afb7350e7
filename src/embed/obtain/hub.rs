use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use hf_hub::{Repo, RepoType};
use ureq::http::{StatusCode, header};
use ureq::{Agent, Body};

use super::{ObtainError, Progress, place, sha256_of};
use crate::embed::manifest::ModelFile;

/// Where the model hub answers.
pub const HUB_ENDPOINT: &str = "https://huggingface.co";
/// Requests for a file that may fail one after another without bringing a byte.
const FAILURES_MAX: u32 = 4;
/// Requests for a file in all, so that a line that breaks off over and over ends some time.
const REQUESTS_MAX: u32 = 64;
/// By how much each wait before another try is longer than the one before.
const WAIT_GROWTH: u32 = 4;
const REDIRECTS_MAX: u32 = 8;
const CONNECT_TIME_MAX: Duration = Duration::from_secs(15);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// How long a transfer may bring nothing.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// The model hub, or a mirror of it.
#[derive(Debug, Clone)]
pub struct Hub {
    /// Where it answers, without a slash at the end.
    pub endpoint: String,
    /// The wait before a request that failed is made again; each further one is longer.
    pub retry_after: Duration,
}

impl Default for Hub {
    fn default() -> Self {
        Self { endpoint: HUB_ENDPOINT.to_owned(), retry_after: Duration::from_millis(500) }
    }
}

/// One file on its way.
struct Transfer<'a> {
    agent: &'a Agent,
    url: String,
    file: &'a ModelFile,
    /// Where it is collected until it is complete.
    part: PathBuf,
    retry_after: Duration,
    progress: Progress<'a>,
}

/// Why a request did not bring the rest of a file.
enum Trouble {
    /// Another one may.
    Passing(String),
    /// Another one will not.
    Lasting(String),
    /// It is not about the hub.
    Disk(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl Hub {
    /// Fetches those files of a repository into a folder that are not there. What came of a file
    /// whose transfer broke off is kept beside it, and the next call goes on from there.
    ///
    /// The addresses are those of `hf_hub`; the transfer is not. Its own takes names of local files
    /// from the server's headers, waits without end, and goes on at the wrong place where the first
    /// request fails or the server sends the whole.
    ///
    /// # Errors
    /// [`ObtainError::Hub`] (unavailable) naming the file; [`ObtainError::Checksum`] (corrupt);
    /// [`ObtainError::File`] (unavailable).
    pub fn fetch(
        &self,
        repository: &str,
        revision: &str,
        files: &[ModelFile],
        folder: &Path,
        progress: Progress<'_>,
    ) -> Result<(), ObtainError> {
        let staging = folder.join(".hub");
        fs_err::create_dir_all(&staging)?;
        let agent = redirecting_agent();
        let repo = Repo::with_revision(repository.to_owned(), RepoType::Model, revision.to_owned());
        let base = format!("{}/{}/resolve/{}", self.endpoint, repo.url(), repo.url_revision());
        for file in files {
            let path = folder.join(&file.name);
            if path.is_file() && sha256_of(&path)? == file.sha256 {
                continue;
            }
            let transfer = Transfer {
                agent: &agent,
                url: format!("{base}/{}", file.name),
                file,
                part: staging.join(format!("{}.part", file.sha256)),
                retry_after: self.retry_after,
                progress,
            };
            transfer.run(folder)?;
            progress(&format!("obtained {}", file.name), file.bytes, Some(file.bytes));
        }
        Ok(fs_err::remove_dir_all(&staging)?)
    }
}

/// Returns what makes requests, and follows where answers lead to.
pub(super) fn redirecting_agent() -> Agent {
    agent(REDIRECTS_MAX)
}

pub(super) fn agent(redirects_max: u32) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(redirects_max)
        // The bytes of the file itself, or a range of it could not be asked for.
        .accept_encoding("identity")
        .user_agent(concat!("simile/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(CONNECT_TIME_MAX))
        .timeout_recv_response(Some(ANSWER_TIME_MAX))
        .timeout_per_read(Some(SILENCE_MAX))
        .build()
        .into()
}

impl Transfer<'_> {
    fn run(&self, folder: &Path) -> Result<(), ObtainError> {
        let was_begun = length_of(&self.part) > 0;
        let placed = self.complete_and_place(folder);
        match placed {
            // What an earlier run left may be of another revision.
            Err(ObtainError::Checksum { .. }) if was_begun => self.complete_and_place(folder),
            placed => placed,
        }
    }

    fn complete_and_place(&self, folder: &Path) -> Result<(), ObtainError> {
        self.complete()?;
        let placed = place(folder, self.file, fs_err::File::open(&self.part)?);
        // Right or wrong, it is not to be gone on with.
        fs_err::remove_file(&self.part)?;
        placed.map(drop)
    }

    /// Makes requests until the part is as long as the file.
    fn complete(&self) -> Result<(), ObtainError> {
        let (mut longest, mut failures, mut wait) = (length_of(&self.part), 0, self.retry_after);
        let mut last = String::new();
        for _ in 0..REQUESTS_MAX {
            match self.request() {
                Ok(()) => return Ok(()),
                Err(Trouble::Disk(error)) => return Err(error.into()),
                Err(Trouble::Lasting(reason)) => return Err(self.failed(reason)),
                Err(Trouble::Passing(reason)) => last = reason,
            }
            let length = length_of(&self.part);
            if length > longest {
                (longest, failures, wait) = (length, 0, self.retry_after);
            } else {
                failures += 1;
                wait *= WAIT_GROWTH;
            }
            if failures == FAILURES_MAX {
                break;
            }
            thread::sleep(wait);
        }
        Err(self.failed(format!(
            "{last}, after {FAILURES_MAX} tries; `simile model pull` goes on from here, and --hub \
             (SIMILE_HUB) names a mirror"
        )))
    }

    /// Asks for what is missing of the part, and appends it.
    fn request(&self) -> Result<(), Trouble> {
        let mut part =
            fs_err::OpenOptions::new().create(true).truncate(false).write(true).open(&self.part)?;
        let mut have = part.metadata()?.len();
        if have == self.file.bytes {
            return Ok(());
        }
        if have > self.file.bytes {
            part.set_len(0)?;
            have = 0;
        }
        let mut request = self.agent.get(&self.url);
        if have > 0 {
            request = request.header(header::RANGE, format!("bytes={have}-"));
        }
        let answer = request.call().map_err(|error| Trouble::Passing(error.to_string()))?;
        let (head, body) = answer.into_parts();
        let range = head.headers.get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
        let begins = match head.status {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT
                if range.is_some_and(|range| range.starts_with(&format!("bytes {have}-"))) =>
            {
                have
            }
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                part.set_len(0)?;
                let range = range.unwrap_or("none");
                return Err(Trouble::Passing(format!(
                    "expected the range from byte {have}, got {range}"
                )));
            }
            status => return Err(refusal(status)),
        };
        let sent = body.content_length().map(|length| begins + length);
        if let Some(sent) = sent.filter(|sent| *sent != self.file.bytes) {
            return Err(Trouble::Lasting(format!(
                "expected {} bytes, got {sent}; it is not the file that the manifest names",
                self.file.bytes
            )));
        }
        part.set_len(begins)?;
        part.seek(SeekFrom::Start(begins))?;
        self.append(&mut part, begins, body)
    }

    fn append(&self, part: &mut fs_err::File, begins: u64, body: Body) -> Result<(), Trouble> {
        let (what, whole) = (format!("fetching {}", self.file.name), self.file.bytes);
        // One byte more than there should be tells that there are more.
        let mut body = body.into_reader().take(whole - begins + 1);
        let (mut have, mut buffer) = (begins, vec![0; 64 << 10]);
        (self.progress)(&what, have, Some(whole));
        loop {
            let read =
                body.read(&mut buffer).map_err(|error| Trouble::Passing(error.to_string()))?;
            if read == 0 {
                break;
            }
            part.write_all(&buffer[..read])?;
            have += read as u64;
            (self.progress)(&what, have.min(whole), Some(whole));
        }
        match have.cmp(&whole) {
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Less => {
                Err(Trouble::Passing(format!("broke off after {have} of {whole} bytes")))
            }
            std::cmp::Ordering::Greater => {
                part.set_len(0)?;
                Err(Trouble::Lasting(format!("expected {whole} bytes, got more")))
            }
        }
    }

    fn failed(&self, reason: String) -> ObtainError {
        ObtainError::Hub { file: self.file.name.clone(), url: self.url.clone(), reason }
    }
}

/// What a status other than success means.
fn refusal(status: StatusCode) -> Trouble {
    match status {
        StatusCode::NOT_FOUND => Trouble::Lasting(format!(
            "{status}; the manifest names no repository, revision or file of it, or --hub \
             (SIMILE_HUB) no model hub"
        )),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Trouble::Lasting(format!(
            "{status}; the repository has to be public, for no key is sent"
        )),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            Trouble::Passing(status.to_string())
        }
        status if status.is_server_error() => Trouble::Passing(status.to_string()),
        status => Trouble::Lasting(status.to_string()),
    }
}

fn length_of(path: &Path) -> u64 {
    fs_err::metadata(path).map_or(0, |metadata| metadata.len())
}
