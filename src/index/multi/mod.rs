//! Which slots hold multivectors that answer this one best, by `MaxSim`?
//!
//! Each vector of a multivector is kept in memory as one byte a component, with a bound of what that
//! loses. A search computes for every allowed slot between which two numbers its score lies; those
//! that may be among the best are read and scored as they were stored. So answers are exact: equal to
//! comparing with every multivector. All of it is filled from the tables on opening.

mod codes;
mod store;

pub use store::{MultiIndex, MultiStatistics};

#[cfg(test)]
mod tests;
