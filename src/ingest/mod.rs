//! How do bytes become parts with vectors?
//!
//! Sources are decoded, cut and embedded in a pipeline of bounded queues whose stages overlap.
//! Nothing here touches the disk: what is prepared goes to a store that commits it.

mod file;
mod picture;
mod prepare;
mod prepared;
mod result;
mod sound;
mod source;
mod video;

pub use file::file_fields;
pub use picture::SHARPNESS;
pub use prepare::{
    PrepareContext, PreparedSource, SPARSE_STORED_MAX, TargetForm, VectorTarget, fitted, prepare,
};
pub use prepared::{PartPicture, Prepared};
pub use result::{ItemError, ItemResult, ItemTimings, Outcome, Stored};
pub use sound::sound_excerpt;
pub use source::{ContentHash, PartSource, Source, SourceContent, Version};
pub use video::{Excerpt, Stretch, excerpt};
