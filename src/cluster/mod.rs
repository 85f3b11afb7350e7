//! What belongs together?
//!
//! Groups of vectors: around centres, by density, by communities of the neighbour graph, by a tree of
//! merges, or as near duplicates; and what is said of a group: its medoid, cohesion, outliers, words,
//! and a place on a map. Distances are Euclidean; for cosine the vectors have length one, and the
//! order of distances is then that of angles. Nothing here holds all distances at once: sets that are
//! too large to be compared pair by pair are taken through a graph of their nearest neighbours, which is
//! found here and not by asking the dense index for each point: for all points at once that takes a
//! tenth of the time, and gives the same graph each time.
//! Everything is decided by a seed, so that a run can be repeated.

mod assign;
mod bounds;
mod communities;
mod condensed;
mod copies;
mod dbscan;
mod density;
mod duplicates;
mod error;
mod forest;
mod hierarchy;
mod kmeans;
mod labels;
mod map;
mod method;
mod neighbours;
mod partition;
mod points;
#[cfg(test)]
mod reference;
mod seeding;
mod silhouette;
mod spanning;
mod summary;
mod work;

pub use assign::SavedClusters;
pub use communities::{CommunityOptions, communities, modularity};
pub use copies::copies;
pub use dbscan::{DbscanOptions, dbscan};
pub use density::{Density, DensityOptions, Selection, hdbscan};
pub use duplicates::{DuplicateGroup, DuplicateOptions, duplicates};
pub use error::ClusterError;
pub use hierarchy::{HIERARCHY_ITEMS_MAX, Hierarchy, Linkage, Merge};
pub use kmeans::{KMeans, KMeansOptions, choose_elbow, choose_silhouette, kmeans, kmeans_from};
pub use labels::{Term, distinctive_terms};
pub use map::{Layout, MapOptions, map, trustworthiness};
pub use method::{ClusterCount, Grouped, Method, group};
pub use neighbours::{Adjacency, NeighbourGraph};
pub use partition::Partition;
pub use points::Points;
pub use silhouette::silhouette;
pub use summary::{Summary, summarize};
pub use work::Work;

/// The most vectors that are compared pair by pair; more go through their neighbour graph.
pub const EXACT_MAX: usize = 10_000;
