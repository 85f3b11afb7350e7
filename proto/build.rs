//! Generates the Rust side of the wire contract, with a protobuf compiler written in Rust.

use std::env;
use std::path::PathBuf;

use prost::Message;

const FILES: [&str; 14] = [
    "simile/v1/common.proto",
    "simile/v1/collections.proto",
    "simile/v1/documents.proto",
    "simile/v1/search.proto",
    "simile/v1/embedding.proto",
    "simile/v1/jobs.proto",
    "simile/v1/admin.proto",
    "simile/v1/cluster.proto",
    "simile/v1/snapshots.proto",
    "qdrant/common.proto",
    "qdrant/collections.proto",
    "qdrant/points.proto",
    "qdrant/qdrant.proto",
    "qdrant/snapshots.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=simile");
    println!("cargo::rerun-if-changed=qdrant");
    let descriptors = protox::compile(FILES, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs_err::write(out.join("simile_v1.descriptors"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
