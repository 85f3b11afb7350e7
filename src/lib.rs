//! simile.

pub mod cancel;
pub mod document;
pub mod error;
pub mod index;
pub mod vector;
