use std::time::Instant;

use simile_proto::qdrant::snapshots_server::Snapshots;
use simile_proto::qdrant::{self as wire};
use tonic::{Request, Response, Status};

use super::super::core::Core;
use super::super::pool::time_allowed;
use super::super::services::{SNAPSHOT_TIME_MAX, create_snapshot};
use super::ask::status_of;
use crate::collection::Snapshot;

/// Collections as files.
#[derive(Debug)]
pub(in crate::server) struct SnapshotsService(pub(in crate::server) Core);

#[tonic::async_trait]
impl Snapshots for SnapshotsService {
    async fn create(
        &self,
        request: Request<wire::CreateSnapshotRequest>,
    ) -> Result<Response<wire::CreateSnapshotResponse>, Status> {
        let began = Instant::now();
        let (metadata, _, message) = request.into_parts();
        let by = began + time_allowed(&metadata, SNAPSHOT_TIME_MAX);
        let shared = self.0.clone();
        let create = self.0.bulk.answer_by(by, move |cancel| {
            let found = shared.collections.get(&message.collection_name);
            let name = found.map_err(|error| status_of(&error))?.name().to_owned();
            create_snapshot(&shared, &name, None, cancel)
        });
        let snapshot_description = Some(described(create.await?));
        let time = began.elapsed().as_secs_f64();
        Ok(Response::new(wire::CreateSnapshotResponse { snapshot_description, time }))
    }

    async fn list(
        &self,
        request: Request<wire::ListSnapshotsRequest>,
    ) -> Result<Response<wire::ListSnapshotsResponse>, Status> {
        let began = Instant::now();
        let (metadata, _, message) = request.into_parts();
        let list = self.0.answer(&metadata, move |shared, _| {
            let found = shared.collections.get(&message.collection_name);
            let name = found.map_err(|error| status_of(&error))?.name().to_owned();
            shared.collections.snapshots(Some(&name)).map_err(|error| status_of(&error))
        });
        let snapshot_descriptions = list.await?.into_iter().map(described).collect();
        let time = began.elapsed().as_secs_f64();
        Ok(Response::new(wire::ListSnapshotsResponse { snapshot_descriptions, time }))
    }

    async fn delete(
        &self,
        request: Request<wire::DeleteSnapshotRequest>,
    ) -> Result<Response<wire::DeleteSnapshotResponse>, Status> {
        let began = Instant::now();
        let (metadata, _, message) = request.into_parts();
        let delete = self.0.answer(&metadata, move |shared, _| {
            let (collection, name) = (&message.collection_name, &message.snapshot_name);
            let deleted = shared.collections.delete_snapshot(collection, name);
            deleted.map_err(|error| status_of(&error))
        });
        delete.await?;
        let time = began.elapsed().as_secs_f64();
        Ok(Response::new(wire::DeleteSnapshotResponse { time }))
    }
}

fn described(snapshot: Snapshot) -> wire::SnapshotDescription {
    let created_ms = snapshot.header.created_unix_ms;
    // Both are far below what fits: the time of a clock, and less than a second.
    let seconds = i64::try_from(created_ms / 1_000).unwrap_or(i64::MAX);
    let nanos = i32::try_from(created_ms % 1_000 * 1_000_000).unwrap_or_default();
    wire::SnapshotDescription {
        name: snapshot.name,
        creation_time: Some(prost_types::Timestamp { seconds, nanos }),
        size: i64::try_from(snapshot.bytes).unwrap_or(i64::MAX),
        checksum: None,
    }
}
