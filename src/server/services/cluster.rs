use std::sync::Mutex;
use std::time::{Duration, Instant};

use simile_proto::v1::cluster_response::Kind;
use simile_proto::v1::cluster_server::Cluster;
use simile_proto::v1::{self as wire};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::super::core::Core;
use super::super::pool::time_allowed;
use super::super::status;
use super::super::translate::{cluster_request, clustering_to_wire};
use crate::cancel::{Cancellation, Interrupted};
use crate::collection::{Clustering, JobHandle, JobKind};

/// How many items one message carries.
const ITEMS_OF_MESSAGE: usize = 1_000;
/// How many messages wait for a slow reader.
const MESSAGES_WAITING: usize = 4;
/// How often the job says how far it is.
const SAY_EVERY: Duration = Duration::from_millis(100);
/// How long clustering may take if its caller does not say.
const TIME_MAX: Duration = Duration::from_secs(86_400);

type Messages = mpsc::Sender<Result<wire::ClusterResponse, Status>>;

/// What belongs together in a collection.
#[derive(Debug)]
pub(in crate::server) struct ClusterService(pub(in crate::server) Core);

#[tonic::async_trait]
impl Cluster for ClusterService {
    type ClusterStream = ReceiverStream<Result<wire::ClusterResponse, Status>>;

    async fn cluster(
        &self,
        request: Request<wire::ClusterRequest>,
    ) -> Result<Response<Self::ClusterStream>, Status> {
        let (metadata, _, mut message) = request.into_parts();
        let until = Instant::now() + time_allowed(&metadata, TIME_MAX);
        let name = std::mem::take(&mut message.collection);
        let label = message.label.take();
        let asked = cluster_request(message)?;
        let collection = self.0.collection(&name)?;
        let method = asked.looking.name();
        let cancel = Cancellation::new();
        let label = label.as_deref().unwrap_or(method);
        let job = self.0.jobs.start(JobKind::Cluster, &name, label, cancel.clone());
        let id = job.id();
        let token = cancel.clone();
        let work = move || {
            let said = Mutex::new(None);
            let progress = |what: &'static str, done, total| say(&job, &said, what, done, total);
            let found = collection.cluster(&asked, &progress, &token);
            let ended = |found: &Clustering| {
                format!("{} clusters, {} in none", found.clusters.len(), found.noise)
            };
            job.end(found.as_ref().map(ended).map_err(ToString::to_string));
            found.map_err(|error| status::of(&error))
        };
        let running = self.0.bulk.run(work).await?;
        let (send, receive) = mpsc::channel(MESSAGES_WAITING);
        tokio::spawn(deliver(method, running, cancel, until, send));
        let mut response = Response::new(ReceiverStream::new(receive));
        if let Ok(id) = id.parse() {
            response.metadata_mut().insert("simile-job", id);
        }
        Ok(response)
    }
}

/// Sends what was found; ends the work when nobody waits for it any more, or its time is over.
async fn deliver(
    method: &'static str,
    running: oneshot::Receiver<Result<Clustering, Status>>,
    cancel: Cancellation,
    until: Instant,
    send: Messages,
) {
    let found = tokio::select! {
        found = running => found.unwrap_or_else(|_| {
            Err(Status::unavailable("the server is stopping"))
        }),
        () = send.closed() => {
            cancel.cancel();
            return;
        }
        () = tokio::time::sleep_until(until.into()) => {
            cancel.expire();
            Err(status::interrupted(Interrupted::Expired))
        }
    };
    let (summary, items) = match found {
        Ok(found) => clustering_to_wire(method, found),
        Err(error) => {
            // A reader that is gone misses nothing.
            drop(send.send(Err(error)).await);
            return;
        }
    };
    let mut next = Some(Kind::Summary(summary));
    let mut items = items.into_iter();
    while let Some(kind) = next {
        if send.send(Ok(wire::ClusterResponse { kind: Some(kind) })).await.is_err() {
            return;
        }
        let items: Vec<_> = items.by_ref().take(ITEMS_OF_MESSAGE).collect();
        next = (!items.is_empty()).then_some(Kind::Items(wire::ClusterItems { items }));
    }
}

/// Says of a job how far it is, now and then: the steps of a work are many.
fn say(
    job: &JobHandle,
    said: &Mutex<Option<Instant>>,
    what: &'static str,
    done: usize,
    total: usize,
) {
    // Another thread that says something is as good.
    let Ok(mut said) = said.try_lock() else { return };
    if said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
        *said = Some(Instant::now());
        job.update(|status| {
            what.clone_into(&mut status.message);
            status.items_done = done as u64;
            status.items_total = Some(total as u64);
        });
    }
}
