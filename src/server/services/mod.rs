//! The services of `simile.v1`: each method checks its message, asks the domain on a thread of the
//! pool, and translates the answer.

mod admin;
mod cluster;
mod collections;
mod documents;
mod embedding;
mod jobs;
mod rerank;
mod search;
mod snapshots;
mod sources;
mod train;
mod upsert;

pub(super) use admin::AdminService;
pub(super) use cluster::ClusterService;
pub(super) use collections::{CollectionsService, resume};
pub(super) use documents::DocumentsService;
pub(super) use embedding::EmbeddingService;
pub(super) use jobs::JobsService;
pub(super) use search::SearchService;
pub(super) use snapshots::{SNAPSHOT_TIME_MAX, SnapshotsService, create_snapshot};
