use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::DenseError;
use crate::cancel::Cancellation;
use crate::document::SlotSet;
use crate::vector::{DIMENSION_MAX, Metric};

/// How an index is built; fixed for its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DenseOptions {
    /// How many components every vector has.
    pub dimension: usize,
    /// What the score of two vectors is.
    pub metric: Metric,
    /// What the graph is searched on.
    pub quantisation: Quantisation,
    /// Links of a node on the upper layers; the lowest layer has twice as many. 2 to 128.
    pub links_max: usize,
    /// How many candidates are looked at to link a node: more is slower to build and better.
    pub ef_construction: usize,
    /// How many vectors in the head ask for sealing.
    pub seal_at: usize,
}

/// In which form the graph search compares vectors. Whatever the form, the best candidates are
/// scored again on the vectors as they were inserted. Persisted by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quantisation {
    /// The vectors themselves, four bytes a component.
    None,
    /// One byte a component.
    #[default]
    Int8,
    /// One bit a component.
    Binary,
}

/// What a search is to return, and how hard it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchOptions {
    /// At most how many slots are returned.
    pub limit: usize,
    /// How many candidates are kept while walking a graph: more is slower and finds more. Raised
    /// to `limit` where it is less, and multiplied in segments whose vectors a graph hardly tells
    /// apart, as each found out when it was built.
    pub ef: usize,
    /// Whether every allowed vector is compared instead, which misses none.
    pub is_exact: bool,
}

/// A long piece of background work: what it may drop, how it is seeded, watched and ended.
#[derive(Clone, Copy)]
pub struct BuildJob<'a> {
    /// The slots that are not deleted; others are left out of what is built.
    pub live: &'a SlotSet,
    /// Decides the order of insertion.
    pub seed: u64,
    /// On how many threads the work is done, the calling one included. At least one.
    pub threads: usize,
    /// Told how many of how many steps are done.
    pub progress: &'a dyn Fn(usize, usize),
    /// Ends the work early.
    pub cancel: &'a Cancellation,
}

impl std::fmt::Debug for BuildJob<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("BuildJob")
            .field("live", &self.live.len())
            .field("seed", &self.seed)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

/// A segment that was found damaged when the index was opened, and removed from it. Its slots are
/// not in the index until they are inserted again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discarded {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// What an index holds at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DenseStatistics {
    /// Vectors in the head, compared one by one.
    pub head: u64,
    /// Vectors in sealed segments, deleted ones included.
    pub sealed: u64,
    /// How many sealed segments there are.
    pub segments: u64,
    /// Bytes of memory that the head takes.
    pub head_bytes: u64,
    /// Mapped bytes of links, which searches keep in memory.
    pub graph_bytes: u64,
    /// Mapped bytes of codes, which searches keep in memory.
    pub code_bytes: u64,
    /// Mapped bytes of slot maps, which searches keep in memory.
    pub slot_bytes: u64,
    /// Mapped bytes of vectors as they were inserted, of which a search reads a few rows.
    pub vector_bytes: u64,
    /// Bytes of memory that working space of searches takes.
    pub scratch_bytes: u64,
}

impl DenseOptions {
    /// Returns the options that suit most collections of that dimension and metric.
    pub fn new(dimension: usize, metric: Metric) -> Self {
        Self {
            dimension,
            metric,
            quantisation: Quantisation::default(),
            links_max: 16,
            ef_construction: 200,
            seal_at: 10_000,
        }
    }

    /// Checks every bound.
    ///
    /// # Errors
    /// [`DenseError::Option`] (invalid input) naming the option and its bounds.
    pub fn check(&self) -> Result<(), DenseError> {
        let within = |name, actual, least, most| {
            if (least..=most).contains(&actual) {
                Ok(())
            } else {
                Err(DenseError::Option { name, least, most, actual })
            }
        };
        within("dimension", self.dimension, 1, DIMENSION_MAX)?;
        within("links_max", self.links_max, 2, 128)?;
        within("ef_construction", self.ef_construction, 8, 4_096)?;
        within("seal_at", self.seal_at, 1, 10_000_000)
    }
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self { limit: 10, ef: 64, is_exact: false }
    }
}
