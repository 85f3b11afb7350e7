//! The contract `simile.v1`, asked over gRPC of a server in this process: what every method answers,
//! and what it says to wrong requests.

mod admin;
#[cfg(target_os = "linux")]
mod bombs;
mod clients;
mod cluster;
mod collections;
mod connections;
mod documents;
mod exchange;
mod fusion;
mod http;
mod jobs;
mod keeping;
mod keys;
mod late;
mod lifecycle;
mod limits;
mod messages;
mod model;
mod multi;
mod pictures;
mod places;
mod plain;
mod qdrant;
mod reembed;
mod rerank;
mod search;
mod server;
mod sound;
mod sources;
mod tenants;
mod tokens;
mod traces;
mod training;
mod video;
mod wrong;

pub(crate) use server::TestServer;
