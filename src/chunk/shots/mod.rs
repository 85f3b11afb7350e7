//! Where does a video change?
//!
//! A shot is what one camera saw without a break. [`ShotCutter`] reads the frames of a video one by one
//! and says where a new shot begins; it keeps the planes of one frame and a few scores, however long
//! the video is. [`look`] says of a single frame whether there is anything to see.

mod cutter;
mod hsv;
mod look;
#[cfg(test)]
mod tests;

pub use cutter::{CutRule, Shot, ShotCutter, ShotOptions};
pub use look::{Look, look};
