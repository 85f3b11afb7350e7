//! simile.

pub mod cancel;
pub mod document;
pub mod error;
pub mod query;
pub mod vector;
