//! Which slots are near, or contain, this?
//!
//! Indexes are derived from the tables of a collection: each writes into a folder that it is given,
//! speaks of slots only, and can be deleted and built again.

pub mod lexical;
