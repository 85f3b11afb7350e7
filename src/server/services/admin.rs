use simile_proto::v1::admin_server::Admin;
use simile_proto::v1::{self as wire};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::super::core::{Core, Shared};
use super::super::models::Readiness;
use super::super::status;
use crate::collection::{Collection, Error, JobHandle, JobKind, JobState, RecallRequest};
use crate::embed::onnx::Runtime;
use crate::query::LIMIT_DEFAULT;

/// With how many questions recall is measured where the request does not say.
const RECALL_QUESTIONS: usize = 200;

/// Keeping collections healthy.
#[derive(Debug)]
pub(in crate::server) struct AdminService(pub(in crate::server) Core);

#[tonic::async_trait]
impl Admin for AdminService {
    async fn verify(
        &self,
        request: Request<wire::VerifyRequest>,
    ) -> Result<Response<wire::VerifyResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let verify = |collection: &Collection, job: &JobHandle| {
            collection.verify(&|done, total| tell(job, done, total), job.cancellation())
        };
        let found =
            maintain(&self.0, &metadata, JobKind::Verify, message.collection, verify).await?;
        Ok(Response::new(wire::VerifyResponse {
            documents: found.documents,
            parts: found.parts,
            problems: found.problems,
            problems_total: found.problems_total,
        }))
    }

    async fn repair(
        &self,
        request: Request<wire::RepairRequest>,
    ) -> Result<Response<wire::RepairResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let repair = |collection: &Collection, job: &JobHandle| {
            collection.repair(&|done, total| tell(job, done, total), job.cancellation())
        };
        let (shared, name) = (self.0.clone(), message.collection.clone());
        let reopen =
            move |_: &_| shared.collections.reopen(&name).map_err(|error| status::of(&error));
        let is_reopened = self.0.bulk.answer(&metadata, reopen).await?;
        let done =
            maintain(&self.0, &metadata, JobKind::Repair, message.collection, repair).await?;
        let mut repaired = done.repaired;
        if is_reopened {
            repaired.insert(0, "the collection was opened again".to_owned());
        }
        Ok(Response::new(wire::RepairResponse {
            repaired,
            problems: done.left.problems,
            problems_total: done.left.problems_total,
        }))
    }

    async fn optimize(
        &self,
        request: Request<wire::OptimizeRequest>,
    ) -> Result<Response<wire::OptimizeResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let optimize = |collection: &Collection, job: &JobHandle| {
            let told = |kind: JobKind, vector: &str, done, total| {
                tell(job, done, total);
                job.update(|status| {
                    status.message = format!("{} of vector `{vector}`", kind.name());
                });
            };
            collection.optimize(&told, job.cancellation())
        };
        let segments =
            maintain(&self.0, &metadata, JobKind::Merge, message.collection, optimize).await?;
        let segments = u32::try_from(segments).unwrap_or(u32::MAX);
        Ok(Response::new(wire::OptimizeResponse { segments }))
    }

    async fn recall(
        &self,
        request: Request<wire::RecallRequest>,
    ) -> Result<Response<wire::RecallResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        if message.ef.is_some() && message.target_recall.is_some() {
            let message = "the breadth of a search is given by ef or by target_recall, not both";
            return Err(Status::invalid_argument(message));
        }
        let asked = RecallRequest {
            vector: message.vector,
            limit: message.limit.map_or(LIMIT_DEFAULT, |limit| limit as usize),
            questions: message.questions.map_or(RECALL_QUESTIONS, |count| count as usize),
            ef: message.ef.map(|ef| ef as usize),
            target: message.target_recall,
            // Other vectors each time: nobody says which.
            seed: (self.0.options.clock)(),
        };
        let recall = move |collection: &Collection, job: &JobHandle| {
            collection.recall(&asked, &|done, total| tell(job, done, total), job.cancellation())
        };
        let found =
            maintain(&self.0, &metadata, JobKind::Recall, message.collection, recall).await?;
        Ok(Response::new(wire::RecallResponse {
            vector: found.vector,
            recall: found.recall,
            questions: found.questions,
            asked: found.asked,
            ef: found.ef.map(|ef| u32::try_from(ef).unwrap_or(u32::MAX)),
        }))
    }

    async fn info(
        &self,
        request: Request<wire::InfoRequest>,
    ) -> Result<Response<wire::InfoResponse>, Status> {
        let info = self.0.answer(request.metadata(), |shared, _| Ok(info(shared)));
        Ok(Response::new(info.await?))
    }

    async fn metrics(
        &self,
        request: Request<wire::MetricsRequest>,
    ) -> Result<Response<wire::MetricsResponse>, Status> {
        let metrics = self.0.answer(request.metadata(), |shared, _| {
            Ok(wire::MetricsResponse { open_metrics: shared.meter.encoded(shared) })
        });
        Ok(Response::new(metrics.await?))
    }
}

/// Runs maintenance as a job, for as long as it takes unless the caller said otherwise.
async fn maintain<T: Send + 'static>(
    core: &Core,
    metadata: &MetadataMap,
    kind: JobKind,
    name: String,
    work: impl FnOnce(&Collection, &JobHandle) -> Result<T, Error> + Send + 'static,
) -> Result<T, Status> {
    let shared = core.clone();
    core.bulk
        .answer(metadata, move |cancel| {
            let collection = shared.collection(&name)?;
            let job = shared.jobs.start(kind, &name, "", cancel.clone());
            let result = work(&collection, &job);
            job.end(result.as_ref().map(|_| String::new()).map_err(ToString::to_string));
            result.map_err(|error| status::of(&error))
        })
        .await
}

/// Shows in a job how many steps of how many are done.
fn tell(job: &JobHandle, done: u64, total: u64) {
    job.update(|status| {
        status.items_done = done;
        status.items_total = (total > 0).then_some(total);
    });
}

fn info(shared: &Shared) -> wire::InfoResponse {
    let embedder = shared.models.default_name();
    let (state, message) = match shared.models.readiness(embedder) {
        Readiness::Idle => (wire::EmbedderState::Unspecified, String::new()),
        Readiness::Loading => (wire::EmbedderState::Loading, String::new()),
        Readiness::Ready => (wire::EmbedderState::Ready, String::new()),
        Readiness::Failed(reason) => (wire::EmbedderState::Failed, reason),
    };
    let running = shared.jobs.list().iter().filter(|job| job.state == JobState::Running).count();
    let (memory_bytes, memory_bytes_max) = shared.collections.memory();
    let data = &shared.options.data;
    wire::InfoResponse {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_unix_ms: shared.started_unix_ms,
        data: fs_err::canonicalize(data).unwrap_or_else(|_| data.clone()).display().to_string(),
        embedder: embedder.to_owned(),
        embedder_state: state.into(),
        embedder_message: message,
        runtime: Runtime::loaded()
            .map(|runtime| format!("ONNX Runtime {}", runtime.version))
            .unwrap_or_default(),
        message_bytes_max: shared.options.message_bytes_max as u64,
        collections: u32::try_from(shared.collections.names().len()).unwrap_or(u32::MAX),
        jobs_running: running as u64,
        memory_bytes,
        memory_bytes_max,
    }
}
