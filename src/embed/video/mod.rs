//! What does a stretch of a video mean, as numbers?
//!
//! Each frame becomes a [`Latent`], the grid of an image encoder before its bottleneck. Consecutive
//! latents are cut into spacetime [`Patch`]es of a few frames by a few cells, each of which knows its
//! moment and its place in the picture, and all of them together are pooled to one vector of the clip
//! that says what is seen, where it stirs, and which way it goes.
//!
//! The patches are the tubelets of ViViT (Arnab et al. 2021, section 3.2) over a latent in place of
//! pixels; the direction of motion is the least-squares flow of Lucas and Kanade (1981) over the
//! channels of the latent.

mod clip;
mod flow;
mod frames;
mod latent;
mod own;
mod patch;
mod place;
mod pool;
mod spacetime;
#[cfg(test)]
mod tests;

pub use clip::{Clip, ClipFrame};
pub use flow::{Flow, flow};
pub(in crate::embed) use frames::Stacked;
pub use frames::{ClipReading, FrameSettings};
pub use latent::{Latent, TimedLatent};
pub use own::{DEFAULT_PATCH_MODEL, DEFAULT_VIDEO_MODEL};
pub(in crate::embed) use own::{IMAGE_MODEL, own_manifests};
pub use patch::{Patch, PatchSizes, patches};
pub use place::{PatchPlace, multivector};
pub use pool::{ClipPooling, clip_dimension, clip_vector};
pub(in crate::embed) use spacetime::Spacetime;
pub use spacetime::{SpacetimeOutput, SpacetimeSettings};
