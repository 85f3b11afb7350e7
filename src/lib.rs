//! simile.

pub mod cancel;
pub mod document;
pub mod error;
pub mod evaluate;
pub mod vector;
