//! The services of the Qdrant protocol, as far as it is served: each method translates its message,
//! asks the same collections as `simile.v1`, and answers in the words that clients of the protocol
//! expect. What a field means that this server cannot do is refused by name.

mod ask;
mod collections;
mod config;
mod filter;
mod points;
mod query;
mod read;
mod snapshots;
mod value;
mod vector;
mod write;

use simile_proto::qdrant::qdrant_server::Qdrant;
use simile_proto::qdrant::{self as wire};
use tonic::{Request, Response, Status};

pub(super) use collections::CollectionsService;
pub(super) use points::PointsService;
pub(super) use snapshots::SnapshotsService;
pub(super) use vector::catalogue_name;

/// The version of the protocol that is answered; clients warn if theirs is more than one minor version
/// away.
pub(super) const PROTOCOL_VERSION: &str = "1.19.0";
/// What the server calls itself.
pub(super) const TITLE: &str = "simile - a vector database with built-in embedders";

/// What serves here.
#[derive(Debug)]
pub(super) struct HealthService;

#[tonic::async_trait]
impl Qdrant for HealthService {
    async fn health_check(
        &self,
        _: Request<wire::HealthCheckRequest>,
    ) -> Result<Response<wire::HealthCheckReply>, Status> {
        Ok(Response::new(wire::HealthCheckReply {
            title: TITLE.to_owned(),
            version: PROTOCOL_VERSION.to_owned(),
            commit: Some(format!("simile {}", env!("CARGO_PKG_VERSION"))),
        }))
    }
}
