//! The stream of documents: read in batches, stored by the bulk pool two batches at a time, answered
//! in order. Every step waits for the next one, so a slow client or a busy disk slows the sender.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use simile_proto::v1::upsert_result::Outcome;
use simile_proto::v1::{self as wire};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::super::core::{Core, Shared};
use super::super::pool::time_allowed;
use super::super::status;
use super::super::translate::{item_error_to_wire, item_result_to_wire, upsert as upsert_of};
use crate::cancel::{Cancellation, Interrupted};
use crate::collection::{Collection, JobHandle, JobKind, Upsert as OneUpsert};
use crate::error::ErrorKind;
use crate::ingest::{ItemError, ItemTimings, Outcome as ItemOutcome, Stored};

/// Batches of one stream that are worked on at once: one is embedded while one is committed.
pub(super) const BATCHES_MAX: usize = 2;
/// Documents of a batch.
const BATCH_DOCUMENTS_MAX: usize = 256;
/// Bytes after which a batch is full.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// Results that wait for the client.
pub(super) const RESULTS_MAX: usize = 64;
/// How often it is looked whether the job was cancelled.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How long a client whose stream was ended may go on sending until it has read why.
const LAST_WORD_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a stream without a deadline may take.
pub(super) const STREAM_TIME_MAX: Duration = Duration::from_secs(7 * 86_400);

pub(super) type Results = mpsc::Sender<Result<wire::UpsertResult, Status>>;
type Done = Result<Vec<wire::UpsertResult>, Status>;

/// Documents that were read together: each is to be stored, or refused already.
#[derive(Debug, Default)]
pub(super) struct Batch {
    items: Vec<Result<OneUpsert, wire::UpsertResult>>,
    ids: HashSet<String>,
    bytes: usize,
}

/// A batch that is being stored.
pub(super) struct InFlight {
    done: oneshot::Receiver<Done>,
    bytes: u64,
    place: OwnedSemaphorePermit,
}

/// One stream at work.
pub(super) struct Upsert {
    pub(super) core: Core,
    pub(super) name: String,
    pub(super) collection: Arc<Collection>,
    /// The vectors that are given though an embedder makes them.
    pub(super) given: Arc<BTreeSet<String>>,
    pub(super) cancel: Cancellation,
    pub(super) places: Arc<Semaphore>,
}

/// Answers the stream.
pub(super) async fn upsert(
    core: &Core,
    request: Request<Streaming<wire::UpsertRequest>>,
) -> Result<Response<ReceiverStream<Result<wire::UpsertResult, Status>>>, Status> {
    let (metadata, _, mut messages) = request.into_parts();
    let allowed = time_allowed(&metadata, STREAM_TIME_MAX);
    let place = Arc::clone(&core.upserts).try_acquire_owned().map_err(|_| {
        let message = "too many streams store documents already, try again later";
        status::from_kind(ErrorKind::Overloaded, message.to_owned())
    })?;
    let mut first = first_message(core, &mut messages, allowed).await?;
    let name = std::mem::take(&mut first.collection);
    let (wanted, fingerprints) = (name.clone(), std::mem::take(&mut first.fingerprints));
    let open = core.answer_with_models(&metadata, move |shared, _| {
        let collection = shared.collection(&wanted)?;
        let given = collection.givable(fingerprints.clone()).map_err(|error| status::of(&error))?;
        shared.want_models_but(&collection, &given)?;
        Ok((collection, given))
    });
    let (collection, given) = open.await?;
    let given = Arc::new(given);
    let cancel = Cancellation::new();
    let label = first.job.take().unwrap_or_default();
    let job = core.jobs.start(JobKind::Ingest, &name, &label, cancel.clone());
    job.update(|status| status.items_total = first.items_total);
    let (results, receiver) = mpsc::channel(RESULTS_MAX);
    let mut response = Response::new(ReceiverStream::new(receiver));
    if let Ok(id) = job.id().parse() {
        response.metadata_mut().insert("simile-job", id);
    }
    let places = Arc::new(Semaphore::new(BATCHES_MAX));
    let work = Upsert { core: core.clone(), name, collection, given, cancel, places };
    tokio::spawn(async move {
        let run = work.run(first, &mut messages, &results, &job);
        let run = tokio::time::timeout(allowed, run);
        let ended = run.await.unwrap_or_else(|_| {
            work.cancel.expire();
            Err(status::interrupted(Interrupted::Expired))
        });
        let message = ended.as_ref().map(|()| String::new()).map_err(|s| s.message().to_owned());
        job.end(message);
        drop(place);
        if let Err(status) = ended {
            // A client that is gone needs no last word.
            drop(results.send(Err(status::with_advice(status))).await);
            drop(results);
            // To close on a client that sends takes away what it has not read yet.
            let ignored = async { while let Ok(Some(_)) = messages.message().await {} };
            drop(tokio::time::timeout(LAST_WORD_TIME_MAX, ignored).await);
        }
    });
    Ok(response)
}

/// Waits for the first message, which says where the documents go; no longer than for a request, since
/// a stream takes the place of another.
async fn first_message(
    core: &Core,
    messages: &mut Streaming<wire::UpsertRequest>,
    allowed: Duration,
) -> Result<wire::UpsertRequest, Status> {
    let allowed = allowed.min(core.options.request_time_max);
    let first = tokio::select! {
        first = tokio::time::timeout(allowed, messages.message()) => {
            first.map_err(|_| status::interrupted(Interrupted::Expired))??
        }
        () = core.stopped() => return Err(stopping()),
    };
    first.ok_or_else(|| Status::invalid_argument("the stream has no message"))
}

pub(super) fn stopping() -> Status {
    Status::unavailable("the server is stopping; what was answered is stored")
}

impl Upsert {
    async fn run(
        &self,
        first: wire::UpsertRequest,
        messages: &mut Streaming<wire::UpsertRequest>,
        results: &Results,
        job: &JobHandle,
    ) -> Result<(), Status> {
        let (send, in_flight) = mpsc::channel(BATCHES_MAX);
        let mut reading = pin!(self.read(first, messages, send));
        let mut delivering = pin!(self.deliver(in_flight, results, job));
        let read = tokio::select! {
            read = &mut reading => read,
            // Ends first only if it failed: else it waits for what is read.
            delivered = &mut delivering => return delivered,
        };
        delivering.await?;
        self.cancel.check().map_err(status::interrupted)?;
        read
    }

    /// Reads batches and hands them to the bulk pool until the stream ends.
    async fn read(
        &self,
        first: wire::UpsertRequest,
        messages: &mut Streaming<wire::UpsertRequest>,
        send: mpsc::Sender<InFlight>,
    ) -> Result<(), Status> {
        let mut next = Some(first);
        let mut recent: VecDeque<HashSet<String>> = VecDeque::new();
        loop {
            // A sender without a pause is not waited for, so waiting is not where it is told.
            if self.cancel.is_ended() {
                return Ok(());
            }
            if *self.core.stopping.borrow() {
                return Err(stopping());
            }
            let Some(message) = (match next.take() {
                Some(message) => Some(message),
                None => self.message(messages).await?,
            }) else {
                return Ok(());
            };
            if repeats(&recent, &message) {
                // An id that is being stored: one version after the other.
                drop(self.places.acquire_many(BATCHES_MAX as u32).await);
                recent.clear();
            }
            let mut batch = Batch::default();
            batch.add(message, &self.name);
            // Only what has arrived already joins the batch: nobody waits for company.
            let mut ended = None;
            while !batch.is_full() && next.is_none() && ended.is_none() {
                match now(messages.message()).await {
                    None => break,
                    Some(Ok(Some(message))) => {
                        if batch.repeats(&message) || repeats(&recent, &message) {
                            next = Some(message);
                        } else {
                            batch.add(message, &self.name);
                        }
                    }
                    Some(Ok(None)) => ended = Some(Ok(())),
                    Some(Err(status)) => ended = Some(Err(status)),
                }
            }
            recent.push_back(std::mem::take(&mut batch.ids));
            if recent.len() > BATCHES_MAX {
                recent.pop_front();
            }
            if self.submit(batch, &send).await.is_none() {
                return Ok(());
            }
            if let Some(ended) = ended {
                return ended;
            }
        }
    }

    /// Returns the next message; none when the stream has ended or the job was cancelled.
    async fn message(
        &self,
        messages: &mut Streaming<wire::UpsertRequest>,
    ) -> Result<Option<wire::UpsertRequest>, Status> {
        let cancelled = async {
            while !self.cancel.is_ended() {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        };
        tokio::select! {
            biased;
            message = messages.message() => message,
            () = cancelled => Ok(None),
            () = self.core.stopped() => Err(stopping()),
        }
    }

    /// Hands a batch to the bulk pool; nothing if the other side is gone.
    pub(super) async fn submit(&self, batch: Batch, send: &mpsc::Sender<InFlight>) -> Option<()> {
        if batch.items.is_empty() {
            return Some(());
        }
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        let (collection, cancel) = (Arc::clone(&self.collection), self.cancel.clone());
        let (given, core) = (Arc::clone(&self.given), self.core.clone());
        let bytes = batch.bytes as u64;
        let store = move || store(&core, &collection, batch, &given, &cancel);
        let done = self.core.bulk.run(store).await.ok()?;
        send.send(InFlight { done, bytes, place }).await.ok()
    }

    /// Sends results in the order of the batches.
    pub(super) async fn deliver(
        &self,
        mut in_flight: mpsc::Receiver<InFlight>,
        results: &Results,
        job: &JobHandle,
    ) -> Result<(), Status> {
        while let Some(batch) = in_flight.recv().await {
            let stopping = |_| Err(Status::unavailable("the server is stopping"));
            let done = batch.done.await.unwrap_or_else(stopping)?;
            drop(batch.place);
            let failed = done.iter().filter(|result| is_error(result)).count() as u64;
            job.update(|status| {
                status.items_done += done.len() as u64;
                status.items_failed += failed;
                status.bytes_done += batch.bytes;
            });
            for result in done {
                if results.send(Ok(result)).await.is_err() {
                    // Nobody reads: what is not stored yet is not wanted.
                    self.cancel.cancel();
                    return Err(Status::cancelled("the client is gone"));
                }
            }
        }
        Ok(())
    }
}

impl Batch {
    fn add(&mut self, message: wire::UpsertRequest, collection: &str) {
        let Some(document) = message.document else { return };
        let id = document.id.clone();
        if !message.collection.is_empty() && message.collection != collection {
            let error = format!(
                "one stream stores into one collection: it began with `{collection}`, and this \
                 document names `{}`",
                message.collection
            );
            self.items.push(Err(refused(id, ErrorKind::InvalidInput, error)));
            return;
        }
        match upsert_of(document) {
            Ok(upsert) => {
                self.bytes += upsert.source.content.bytes();
                self.ids.insert(id);
                self.items.push(Ok(upsert));
            }
            Err(error) => {
                let message = status::chain(&error);
                self.items.push(Err(refused(id, ErrorKind::InvalidInput, message)));
            }
        }
    }

    /// Adds a document, of an id that no other one of the batch has.
    pub(super) fn store(&mut self, upsert: OneUpsert) {
        self.bytes += upsert.source.content.bytes();
        self.items.push(Ok(upsert));
    }

    /// Adds what is answered already.
    pub(super) fn answer(&mut self, result: wire::UpsertResult) {
        self.items.push(Err(result));
    }

    /// Returns how many answers it gives.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.items.len() >= BATCH_DOCUMENTS_MAX || self.bytes >= BATCH_BYTES_MAX
    }

    fn repeats(&self, message: &wire::UpsertRequest) -> bool {
        message.document.as_ref().is_some_and(|document| self.ids.contains(&document.id))
    }
}

fn repeats(recent: &VecDeque<HashSet<String>>, message: &wire::UpsertRequest) -> bool {
    let id = message.document.as_ref().map(|document| document.id.as_str());
    id.is_some_and(|id| recent.iter().any(|ids| ids.contains(id)))
}

/// Stores a batch; results are in the order of its items.
fn store(
    shared: &Shared,
    collection: &Collection,
    batch: Batch,
    given: &BTreeSet<String>,
    cancel: &Cancellation,
) -> Done {
    let mut upserts = Vec::with_capacity(batch.items.len());
    let mut results: Vec<Option<wire::UpsertResult>> = Vec::with_capacity(batch.items.len());
    for item in batch.items {
        match item {
            Ok(upsert) => {
                upserts.push(upsert);
                results.push(None);
            }
            Err(refused) => results.push(Some(refused)),
        }
    }
    let stored =
        collection.store_given(upserts, given, cancel).map_err(|error| status::of(&error))?;
    for outcome in stored.iter().map(|result| &result.outcome) {
        if let ItemOutcome::Stored(Stored { timings, is_repeat: false, .. }) = outcome {
            let ItemTimings { decode, embed, commit } = *timings;
            let stages = [("decode", decode), ("embed", embed), ("commit", commit)];
            shared.meter.stages("store", collection.name(), stages);
        }
    }
    let mut stored = stored.into_iter().map(item_result_to_wire);
    Ok(results.into_iter().filter_map(|refused| refused.or_else(|| stored.next())).collect())
}

pub(super) fn refused(id: String, kind: ErrorKind, message: String) -> wire::UpsertResult {
    let error = item_error_to_wire(ItemError { kind, message });
    wire::UpsertResult { id, outcome: Some(Outcome::Error(error)) }
}

fn is_error(result: &wire::UpsertResult) -> bool {
    matches!(result.outcome, Some(Outcome::Error(_)))
}

/// Returns what the future gives without waiting, if it does.
async fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        })
    })
    .await
}
