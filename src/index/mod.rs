//! Which slots are near, or contain, this?
//!
//! An index knows slots, not documents: it is handed the slots that a question may be answered by
//! and returns the best of them, higher scores first. It writes only into the folder it was given,
//! and everything in it can be rebuilt from the tables.

mod collect;
pub mod dense;
pub mod lexical;
pub mod multi;
pub mod sparse;
