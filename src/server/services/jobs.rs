use std::time::Duration;

use simile_proto::v1::jobs_server::Jobs;
use simile_proto::v1::{self as wire};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::super::core::Core;
use crate::collection::{JobState, JobStatus};

/// How often a watched job is looked at.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// Long work: what runs, how far it is, and how to stop it. The registry answers from memory, so no
/// thread is asked.
#[derive(Debug)]
pub(in crate::server) struct JobsService(pub(in crate::server) Core);

#[tonic::async_trait]
impl Jobs for JobsService {
    type WatchStream = ReceiverStream<Result<wire::Job, Status>>;

    async fn list(
        &self,
        _: Request<wire::ListJobsRequest>,
    ) -> Result<Response<wire::ListJobsResponse>, Status> {
        let jobs = self.0.jobs.list().into_iter().map(to_wire).collect();
        Ok(Response::new(wire::ListJobsResponse { jobs }))
    }

    async fn get(
        &self,
        request: Request<wire::GetJobRequest>,
    ) -> Result<Response<wire::Job>, Status> {
        let id = request.into_inner().id;
        let job = self.0.jobs.get(&id).ok_or_else(|| unknown(&id))?;
        Ok(Response::new(to_wire(job)))
    }

    async fn watch(
        &self,
        request: Request<wire::WatchJobRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let id = request.into_inner().id;
        let first = self.0.jobs.get(&id).ok_or_else(|| unknown(&id))?;
        let (send, receive) = mpsc::channel(1);
        tokio::spawn(watch(self.0.clone(), first, send));
        Ok(Response::new(ReceiverStream::new(receive)))
    }

    async fn cancel(
        &self,
        request: Request<wire::CancelJobRequest>,
    ) -> Result<Response<wire::Job>, Status> {
        let id = request.into_inner().id;
        let job = self.0.jobs.cancel(&id).ok_or_else(|| unknown(&id))?;
        Ok(Response::new(to_wire(job)))
    }
}

/// Sends the job at once, on every change, and when it ends.
async fn watch(core: Core, first: JobStatus, send: mpsc::Sender<Result<wire::Job, Status>>) {
    let mut ticks = tokio::time::interval(WATCH_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (id, mut revision) = (first.id.clone(), 0);
    let mut next = Some(first);
    while let Some(job) = next {
        let is_ended = job.state != JobState::Running;
        if job.revision > revision {
            revision = job.revision;
            if send.send(Ok(to_wire(job))).await.is_err() {
                return;
            }
        }
        if is_ended {
            return;
        }
        tokio::select! {
            _ = ticks.tick() => {}
            () = send.closed() => return,
            () = core.stopped() => return,
        }
        next = core.jobs.get(&id);
    }
}

fn unknown(id: &str) -> Status {
    Status::not_found(format!("there is no job `{id}`; ended ones are kept for an hour"))
}

/// Returns a job as it travels.
pub(super) fn to_wire(job: JobStatus) -> wire::Job {
    let state = match job.state {
        JobState::Running => wire::JobState::Running,
        JobState::Done => wire::JobState::Done,
        JobState::Failed => wire::JobState::Failed,
        JobState::Cancelled => wire::JobState::Cancelled,
        JobState::Interrupted => wire::JobState::Interrupted,
    };
    wire::Job {
        id: job.id,
        kind: job.kind.name().to_owned(),
        label: job.label,
        collection: job.collection,
        state: state.into(),
        items_done: job.items_done,
        items_failed: job.items_failed,
        items_total: job.items_total,
        bytes_done: job.bytes_done,
        message: job.message,
        started_unix_ms: job.started_unix_ms,
        ended_unix_ms: job.ended_unix_ms,
    }
}
