//! The wire contract of simile, generated from `simile/v1/*.proto` and `qdrant/*.proto`; the comments
//! there are the documentation.

/// The services and messages of package `simile.v1`.
#[allow(clippy::large_enum_variant, reason = "the generator shapes these enums")]
pub mod v1 {
    tonic::include_proto!("simile.v1");

    /// The encoded descriptors of both packages, for the reflection service.
    pub const DESCRIPTORS: &[u8] =
        include_bytes!(concat!(env!("OUT_DIR"), "/simile_v1.descriptors"));
}

/// The part of the protocol of Qdrant that is served, so that its clients work unchanged.
#[allow(clippy::all, clippy::pedantic, reason = "names and shapes are those of the protocol")]
pub mod qdrant {
    tonic::include_proto!("qdrant");
}
