//! Which slots hold vectors near this one?
//!
//! The newest vectors stand in the head and are compared one by one. A full head becomes a sealed
//! segment: a proximity graph over quantised codes, written once, verified, mapped and never
//! changed. Segments are merged in the background; a deleted slot is one that the caller no longer
//! allows, until a merge drops it.

mod build;
mod collapse;
mod detours;
mod error;
mod form;
mod graph;
mod head;
mod hnsw;
mod manifest;
mod mend;
mod options;
mod pages;
mod plan;
mod projection;
mod refine;
mod renumber;
mod search;
mod segment;
mod space;
mod store;
mod walk;

use super::collect;

pub use error::DenseError;
pub use options::{
    BuildJob, DenseOptions, DenseStatistics, Discarded, Quantisation, SearchOptions,
};
pub(super) use plan::{SegmentSize, merge_plan};
pub use search::LeftOut;
pub use store::DenseIndex;

#[cfg(test)]
mod tests;
