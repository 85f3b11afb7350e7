//! Which slots hold sparse vectors with a large inner product with this one?
//!
//! For each index of the vectors, a list of the slots that hold it. The newest vectors stand in a
//! small head and are compared one by one; a full head becomes a chunk, whose lists are fixed, and
//! chunks are merged in the background. All of it lies in memory and is filled from the tables on
//! opening. Answers are exact: equal to comparing with every vector.

mod chunk;
mod store;

pub use store::{SparseIndex, SparseStatistics};

#[cfg(test)]
mod tests;
