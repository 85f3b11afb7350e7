//! What does a picture look like to a network?
//!
//! [`ImageSettings`] say how a picture becomes the numbers that a network was trained on: resized as
//! Pillow or torchvision do it, cut to the size that is read, scaled and shifted, the channels in the
//! order that is asked for. A network that was trained on one resize sees another as noise, so the
//! resizes here equal theirs, to the bit where they compute in integers.

mod config;
mod preprocess;
mod resize;
mod settings;
#[cfg(test)]
mod tests;

pub use preprocess::{Pixels, Preprocess, Preprocessor};
pub use settings::{
    Channels, Crop, ImageSettings, JointSettings, Layout, NetworkSettings, Reduction, Resampler,
    Resize, SIDE_MAX,
};
