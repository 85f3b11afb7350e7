//! Documents of what the server itself reads: files beneath a folder that the operator laid out for it,
//! and pages of public addresses. A thread reads ahead, a batch at a time; storing and answering are
//! those of the stream of documents.

use std::cell::Cell;
use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use simile_proto::v1::upsert_result::Outcome;
use simile_proto::v1::{self as wire};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::super::core::{Core, Shared};
use super::super::pool::{contained, time_allowed};
use super::super::status;
use super::super::translate::{WireError, at_most, payload};
use super::upsert::{BATCHES_MAX, Batch, RESULTS_MAX, Results, STREAM_TIME_MAX, Upsert};
use super::upsert::{refused, stopping};
use crate::cancel::{Cancellation, Interrupted};
use crate::collection::{Collection, JobHandle, JobKind, Upsert as OneUpsert};
use crate::document::{DocumentId, Payload, Value};
use crate::error::ErrorKind;
use crate::ingest::{ItemError, Source, SourceContent, file_fields};
use crate::reach::{ReachError, Root, Web, clean};

/// The most sources of a request.
const SOURCES_MAX: usize = 1_000;
/// How long a batch waits to become full, and how often it is told how many files were found: who watches
/// is to see something.
const BATCH_TIME_MAX: Duration = Duration::from_secs(1);

/// What is asked for, checked as far as that needs no collection.
#[derive(Debug)]
struct Asked {
    sources: Vec<Named>,
    root: Option<PathBuf>,
    web: Option<Web>,
    payload: Payload,
    takes_hidden: bool,
    takes_all: bool,
    bytes_max: u64,
}

/// What a source names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Named {
    /// A path beneath the folder.
    Path(String),
    /// An address.
    Page(String),
}

/// What the reading side tells.
enum Told {
    /// So many were found, and it is looked for more.
    Found(usize),
    /// So many files and pages are meant.
    Total(u64),
    /// These were read, the last of them of this name.
    Read(String, Batch),
}

/// What was read.
struct Content {
    name: String,
    bytes: Vec<u8>,
    media_type: Option<String>,
    modified: Option<String>,
}

impl Asked {
    fn of(message: wire::UpsertSourcesRequest, shared: &Shared) -> Result<Self, Status> {
        if message.sources.is_empty() {
            return Err(WireError::Missing("what is to be read (`sources`)"))?;
        }
        at_most("sources", message.sources.len(), SOURCES_MAX)?;
        let sources: Vec<Named> = message.sources.into_iter().map(Named::of).collect();
        let options = &shared.options;
        for source in &sources {
            let off = match source {
                Named::Path(_) if options.ingest_root.is_none() => {
                    "the server reads no files of its own: its setting ingest_root names no folder; \
                     send the file itself"
                }
                Named::Page(_) if options.web.is_none() => {
                    "the server opens no addresses: its setting ingest_urls is off; send the page itself"
                }
                Named::Path(_) | Named::Page(_) => continue,
            };
            let message = format!("`{}`: {off}", source.name());
            return Err(status::from_kind(ErrorKind::Conflict, message));
        }
        Ok(Self {
            sources,
            root: options.ingest_root.clone(),
            web: options.web.clone(),
            payload: payload(message.payload)?,
            takes_hidden: message.hidden,
            takes_all: message.all,
            bytes_max: options.message_bytes_max as u64,
        })
    }
}

impl Named {
    fn of(source: String) -> Self {
        // No path has this in it that a person would write, so a misspelt scheme is told as one.
        if source.contains("://") { Self::Page(source) } else { Self::Path(source) }
    }

    fn name(&self) -> &str {
        match self {
            Self::Path(name) | Self::Page(name) => name,
        }
    }
}

/// Answers the stream.
pub(super) async fn upsert_sources(
    core: &Core,
    request: Request<wire::UpsertSourcesRequest>,
) -> Result<Response<ReceiverStream<Result<wire::UpsertResult, Status>>>, Status> {
    let (metadata, _, mut message) = request.into_parts();
    let allowed = time_allowed(&metadata, STREAM_TIME_MAX);
    let (name, label) = (std::mem::take(&mut message.collection), message.job.take());
    let asked = Asked::of(message, core)?;
    let place = Arc::clone(&core.fetches).try_acquire_owned().map_err(|_| {
        let message = "the server reads for others as much as it does at once, try again later";
        status::from_kind(ErrorKind::Overloaded, message.to_owned())
    })?;
    let wanted = name.clone();
    let open = core.answer_with_models(&metadata, move |shared, _| {
        let collection = shared.collection(&wanted)?;
        shared.want_models(&collection)?;
        Ok(collection)
    });
    let collection = open.await?;
    let cancel = Cancellation::new();
    let label = label.unwrap_or_else(|| asked.sources[0].name().to_owned());
    let job = core.jobs.start(JobKind::Fetch, &name, &label, cancel.clone());
    let (results, receiver) = mpsc::channel(RESULTS_MAX);
    let mut response = Response::new(ReceiverStream::new(receiver));
    if let Ok(id) = job.id().parse() {
        response.metadata_mut().insert("simile-job", id);
    }
    let reader = Reader { collection: Arc::clone(&collection), asked, cancel: cancel.clone() };
    let (given, places) = (Arc::new(BTreeSet::new()), Arc::new(Semaphore::new(BATCHES_MAX)));
    let work = Upsert { core: core.clone(), name, collection, given, cancel, places };
    tokio::spawn(async move {
        let (tell, told) = mpsc::channel(1);
        let reading = tokio::task::spawn_blocking(move || contained(|| reader.read(&tell)));
        let run = tokio::time::timeout(allowed, run(&work, told, &results, &job));
        let ended = run.await.unwrap_or_else(|_| {
            work.cancel.expire();
            Err(status::interrupted(Interrupted::Expired))
        });
        let gone = |_| Err(Status::internal("reading ended without a result"));
        let ended = match ended {
            // What it read is stored: whether it read all, it says itself.
            Ok(()) => reading.await.unwrap_or_else(gone),
            Err(status) => {
                tokio::spawn(async move {
                    // Its place is free once the thread is.
                    drop(reading.await);
                    drop(place);
                });
                Err(status)
            }
        };
        job.end(ended.as_ref().map(|()| String::new()).map_err(|s| s.message().to_owned()));
        work.cancel.cancel();
        if let Err(status) = ended {
            // A client that is gone needs no last word.
            drop(results.send(Err(status::with_advice(status))).await);
        }
    });
    Ok(response)
}

/// Stores what is read and answers, until all is read, somebody ends it or nobody listens.
async fn run(
    work: &Upsert,
    mut told: mpsc::Receiver<Told>,
    results: &Results,
    job: &JobHandle,
) -> Result<(), Status> {
    let (send, in_flight) = mpsc::channel(BATCHES_MAX);
    let mut feeding = pin!(async move {
        while let Some(told) = told.recv().await {
            match told {
                Told::Found(count) => {
                    job.update(|status| status.message = format!("found {count} files so far"));
                }
                Told::Total(total) => job.update(|status| {
                    status.items_total = Some(total);
                    status.message.clear();
                }),
                Told::Read(name, batch) => {
                    job.update(|status| status.message = format!("read up to {name}"));
                    if work.submit(batch, &send).await.is_none() {
                        return;
                    }
                }
            }
        }
    });
    let mut delivering = pin!(work.deliver(in_flight, results, job));
    tokio::select! {
        () = &mut feeding => {}
        // Ends first only if it failed: else it waits for what is read.
        delivered = &mut delivering => return delivered,
        () = results.closed() => {
            work.cancel.cancel();
            return Err(Status::cancelled("the client is gone"));
        }
        () = work.core.stopped() => {
            work.cancel.cancel();
            return Err(stopping());
        }
    }
    delivering.await?;
    work.cancel.check().map_err(status::interrupted)
}

/// Reads one thing after the other.
struct Reader {
    collection: Arc<Collection>,
    asked: Asked,
    cancel: Cancellation,
}

impl Reader {
    /// Reads until all is read, the work is ended, or nobody listens.
    fn read(&self, tell: &mpsc::Sender<Told>) -> Result<(), Status> {
        let has_paths = self.asked.sources.iter().any(|one| matches!(one, Named::Path(_)));
        let root = self.asked.root.as_ref().filter(|_| has_paths);
        let root = root.map(|root| Root::open(root)).transpose();
        let root = root.map_err(|error| status::of(&error))?;
        let mut batch = Batch::default();
        let meant = self.find(root.as_ref(), &mut batch, tell)?;
        let total = (meant.len() + batch.len()) as u64;
        if tell.blocking_send(Told::Total(total)).is_err() {
            return Ok(());
        }
        let mut began = Instant::now();
        let mut last = String::new();
        for one in meant {
            if self.cancel.is_ended() {
                break;
            }
            one.name().clone_into(&mut last);
            match self.one(root.as_ref(), &one) {
                Ok(Some(upsert)) => batch.store(upsert),
                Ok(None) => batch.answer(unchanged(last.clone())),
                Err(ItemError { kind, message }) => {
                    batch.answer(refused(last.clone(), kind, message));
                }
            }
            if batch.is_full() || began.elapsed() >= BATCH_TIME_MAX {
                let told = Told::Read(last.clone(), std::mem::take(&mut batch));
                if tell.blocking_send(told).is_err() {
                    return Ok(());
                }
                began = Instant::now();
            }
        }
        // Nobody listens any more: nobody has to be told.
        drop(tell.blocking_send(Told::Read(last, batch)));
        self.cancel.check().map_err(status::interrupted)
    }

    /// Returns the files and pages that are meant, each once; what cannot be found is refused.
    fn find(
        &self,
        root: Option<&Root>,
        batch: &mut Batch,
        tell: &mpsc::Sender<Told>,
    ) -> Result<Vec<Named>, Status> {
        let (mut meant, mut seen) = (Vec::new(), HashSet::new());
        let mut add = |meant: &mut Vec<Named>, one: Named| {
            if seen.insert(one.clone()) {
                meant.push(one);
            }
        };
        let said = Cell::new(Instant::now());
        for source in &self.asked.sources {
            let (path, root) = match (source, root) {
                (Named::Path(path), Some(root)) => (path, root),
                _ => {
                    add(&mut meant, source.clone());
                    continue;
                }
            };
            let before = meant.len();
            let told = |count: usize| {
                if said.get().elapsed() >= BATCH_TIME_MAX {
                    said.set(Instant::now());
                    // Nobody listens any more: the work is ended, which is seen in the next folder.
                    drop(tell.blocking_send(Told::Found(before + count)));
                }
            };
            match root.find(path, self.asked.takes_hidden, &told, &self.cancel) {
                Ok(found) => {
                    let files = found.files.into_iter();
                    files.for_each(|file| add(&mut meant, Named::Path(file.path)));
                    for (path, error) in found.failed {
                        batch.answer(refusal(path, &error));
                    }
                }
                Err(ReachError::Interrupted(reason)) => return Err(status::interrupted(reason)),
                Err(error) => {
                    // As a result of it would be named, had it been found.
                    let id = clean(path).ok().filter(|id| !id.is_empty());
                    batch.answer(refusal(id.unwrap_or_else(|| path.clone()), &error));
                }
            }
        }
        Ok(meant)
    }

    /// Reads one thing; none: it is stored already.
    fn one(&self, root: Option<&Root>, named: &Named) -> Result<Option<OneUpsert>, ItemError> {
        let content = match (named, root, &self.asked.web) {
            (Named::Path(path), Some(root), _) => self.file(root, path),
            (Named::Page(url), _, Some(web)) => self.page(web, url),
            // Refused before the work began.
            (Named::Path(_), None, _) | (Named::Page(_), _, None) => Err(ReachError::NotFound),
        };
        let content = content.map_err(|error| ItemError::from_error(&error))?;
        self.document(named.name(), content)
    }

    fn file(&self, root: &Root, path: &str) -> Result<Content, ReachError> {
        let file = root.read(path, self.asked.bytes_max, &self.cancel)?;
        let modified = jiff::Timestamp::from_second(file.modified_unix_s).ok();
        Ok(Content {
            name: path.rsplit('/').next().unwrap_or(path).to_owned(),
            bytes: file.bytes,
            media_type: None,
            modified: modified.map(|modified| modified.to_string()),
        })
    }

    fn page(&self, web: &Web, url: &str) -> Result<Content, ReachError> {
        let page = web.read(url, self.asked.bytes_max, &self.cancel)?;
        let (name, bytes, media_type) = (page.name, page.bytes, page.media_type);
        Ok(Content { name, bytes, media_type, modified: None })
    }

    fn document(&self, name: &str, content: Content) -> Result<Option<OneUpsert>, ItemError> {
        let id = DocumentId::new(name).map_err(|error| ItemError::from_error(&error))?;
        let Content { name: file, bytes, media_type, modified } = content;
        let mut payload = self.asked.payload.clone();
        for (field, value) in file_fields(name, &file, modified) {
            payload.entry(field.to_owned()).or_insert(Value::Text(value));
        }
        let content = SourceContent::File { name: file, bytes, media_type };
        if !self.asked.takes_all {
            let stored = self.collection.compare(&[(id.clone(), content.hash().0)]);
            if !stored.map_err(|error| ItemError::from_error(&error))?.is_empty() {
                return Ok(None);
            }
        }
        Ok(Some(Source { id, content, payload }.into()))
    }
}

fn refusal(name: String, error: &ReachError) -> wire::UpsertResult {
    let ItemError { kind, message } = ItemError::from_error(error);
    refused(name, kind, message)
}

fn unchanged(id: String) -> wire::UpsertResult {
    wire::UpsertResult { id, outcome: Some(Outcome::Unchanged(wire::Unchanged {})) }
}
