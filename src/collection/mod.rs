//! Which documents are there, and what do they answer?
//!
//! A collection keeps its tables and the indexes derived from them in agreement. One thread writes:
//! it gives sequence numbers and slots, commits each mutation as one atomic batch that survives power
//! loss, applies it to the indexes and publishes a new view. Readers hold a view, and see each
//! document as it was when they began.

mod about;
mod aggregate;
mod aliases;
mod alter;
mod ask;
mod catalogue;
mod change;
mod checkpoint;
mod cluster;
mod cluster_names;
mod commit;
mod cut_out;
mod documents;
mod engine;
mod error;
mod expiry;
mod explain;
mod files;
mod jobs;
mod keepers;
mod locate;
mod memory;
mod mutation;
#[cfg(test)]
mod mutation_tests;
mod notes;
mod open;
mod pictures;
mod places;
#[cfg(test)]
mod question_tests;
mod rank;
mod recall;
mod recent;
mod records;
mod replace;
mod rows;
mod saved_clusters;
mod search;
mod settings;
mod sleep;
mod snapshot;
mod terms;
#[cfg(test)]
mod tests;
mod unfinished;
mod update;
mod upkeep;
mod verify;
mod view;
mod write;

use std::sync::Arc;

use crate::embed::{EmbedError, EmbedderHandle};

pub use about::{About, CollectionChange, VectorTuning};
pub use aggregate::{FacetValue, OrderedPage};
pub use aliases::{ALIASES_MAX, AliasChange};
pub use catalogue::{CollectionState, Collections, CollectionsOptions, Info, VectorInfo};
pub use change::{PayloadChange, VectorsChange};
pub use cluster::{Cluster, ClusterItem, ClusterRequest, Clustering, Looking};
pub use documents::{Counts, StoredDocument, StoredPart};
pub use error::Error;
pub use jobs::{Clock, JobHandle, JobKind, JobState, JobStatus, Jobs};
pub use keepers::Keep;
pub use locate::{LocateRequest, Located, LocatedMoment};
pub use memory::MemoryUse;
pub use open::Collection;
pub use pictures::{THUMBNAILS_MAX, Thumbnail};
pub use recall::{Recall, RecallRequest};
pub use saved_clusters::Joining;
pub use settings::{
    ChunkSettings, EmbedderBinding, MultiSettings, NAME_BYTES_MAX, NewCollection, NewVector,
    NewVectorSource, Settings, SparseSettings, VECTOR_NAME_DEFAULT, VECTORS_MAX, VectorSettings,
};
pub use snapshot::{Snapshot, SnapshotError, SnapshotHeader};
pub use terms::{Expected, KEY_BYTES_MAX, Terms, Upsert};
pub use update::Updated;
pub use upkeep::Activity;
pub use verify::{Repair, Verification};

/// Gives embedders by name. Models are loaded by whoever stands behind it, not by a request.
pub trait Embedders: Send + Sync {
    /// Returns the embedder of this name.
    ///
    /// # Errors
    /// [`EmbedError`]: not found; unavailable if it is not loaded yet.
    fn get(&self, name: &str) -> Result<EmbedderHandle, EmbedError>;
}

/// Shared by all collections.
pub type SharedEmbedders = Arc<dyn Embedders>;
