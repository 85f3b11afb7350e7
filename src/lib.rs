//! simile.

pub mod cancel;
pub mod collection;
pub mod document;
pub mod error;
pub mod index;
pub mod ingest;
pub mod query;
pub mod vector;
