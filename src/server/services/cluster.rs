use std::sync::Mutex;
use std::time::{Duration, Instant};

use simile_proto::v1::cluster_server::Cluster;
use simile_proto::v1::{self as wire};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::super::core::Core;
use super::super::status;
use super::super::translate::{cluster_request, clustering_to_wire};
use crate::collection::{JobHandle, JobKind};

/// How many items one message carries.
const ITEMS_OF_MESSAGE: usize = 1_000;
/// How many messages wait for a slow reader.
const MESSAGES_WAITING: usize = 4;
/// How often the job says how far it is.
const SAY_EVERY: Duration = Duration::from_millis(100);

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
        let name = std::mem::take(&mut message.collection);
        let label = message.label.take();
        let asked = cluster_request(message)?;
        let method = asked.method.name();
        let shared = self.0.clone();
        let found = self.0.bulk.answer(&metadata, move |cancel| {
            let collection = shared.collection(&name)?;
            let label = label.as_deref().unwrap_or(method);
            let job = shared.jobs.start(JobKind::Cluster, &name, label, cancel.clone());
            let said = Mutex::new(None);
            let progress = |what: &'static str, done, total| say(&job, &said, what, done, total);
            let found = collection.cluster(&asked, &progress, cancel);
            let of = |found: &crate::collection::Clustering| {
                format!("{} clusters, {} in none", found.clusters.len(), found.noise)
            };
            job.end(found.as_ref().map(of).map_err(ToString::to_string));
            found.map_err(|error| status::of(&error))
        });
        let (summary, items) = clustering_to_wire(method, found.await?);
        let (send, receive) = tokio::sync::mpsc::channel(MESSAGES_WAITING);
        tokio::spawn(async move {
            let mut next = Some(wire::cluster_response::Kind::Summary(summary));
            let mut items = items.into_iter();
            while let Some(kind) = next {
                // A reader that is gone wants no more.
                if send.send(Ok(wire::ClusterResponse { kind: Some(kind) })).await.is_err() {
                    return;
                }
                let items: Vec<_> = items.by_ref().take(ITEMS_OF_MESSAGE).collect();
                let batch = wire::ClusterItems { items };
                let is_last = batch.items.is_empty();
                next = (!is_last).then_some(wire::cluster_response::Kind::Items(batch));
            }
        });
        Ok(Response::new(ReceiverStream::new(receive)))
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
