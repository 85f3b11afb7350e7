use simile_proto::v1::admin_server::Admin;
use simile_proto::v1::{self as wire};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::super::core::{Core, Shared};
use super::super::models::Readiness;
use super::super::status;
use crate::cancel::Cancellation;
use crate::collection::{Collection, Error, JobKind, JobState};
use crate::embed::onnx::Runtime;

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
        let verify = |collection: &Collection, cancel: &Cancellation| collection.verify(cancel);
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
        let repair = |collection: &Collection, _: &Cancellation| collection.repair();
        let repaired =
            maintain(&self.0, &metadata, JobKind::Repair, message.collection, repair).await?;
        Ok(Response::new(wire::RepairResponse { repaired }))
    }

    async fn optimize(
        &self,
        request: Request<wire::OptimizeRequest>,
    ) -> Result<Response<wire::OptimizeResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let optimize = |collection: &Collection, cancel: &Cancellation| collection.optimize(cancel);
        let segments =
            maintain(&self.0, &metadata, JobKind::Merge, message.collection, optimize).await?;
        let segments = u32::try_from(segments).unwrap_or(u32::MAX);
        Ok(Response::new(wire::OptimizeResponse { segments }))
    }

    async fn info(
        &self,
        request: Request<wire::InfoRequest>,
    ) -> Result<Response<wire::InfoResponse>, Status> {
        let info = self.0.answer(request.metadata(), |shared, _| Ok(info(shared)));
        Ok(Response::new(info.await?))
    }
}

/// Runs maintenance as a job, for as long as it takes unless the caller said otherwise.
async fn maintain<T: Send + 'static>(
    core: &Core,
    metadata: &MetadataMap,
    kind: JobKind,
    name: String,
    work: impl FnOnce(&Collection, &Cancellation) -> Result<T, Error> + Send + 'static,
) -> Result<T, Status> {
    let shared = core.clone();
    core.bulk
        .answer(metadata, move |cancel| {
            let collection = shared.collection(&name)?;
            let job = shared.jobs.start(kind, &name, "", cancel.clone());
            let result = work(&collection, cancel);
            job.end(result.as_ref().map(|_| String::new()).map_err(ToString::to_string));
            result.map_err(|error| status::of(&error))
        })
        .await
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
    }
}
