//! What is seen in a video, frame by frame?
//!
//! [`Frames`] is a stream: a frame is decoded when it is asked for, and no more than a few are in memory
//! however long the video is. Animated GIF, WebP and PNG and Y4M are read here; what needs a codec (MP4,
//! MOV, Matroska, WebM, AVI and others) is read by the `ffmpeg` program in a process of its own, which a
//! hostile file may break without harm and which ends with the stream.
//!
//! Every frame says from when to when it is seen. The times are those of the file, so a variable frame
//! rate keeps its pace; a frame stands upright, and its pixels are square.

mod animation;
mod container;
mod ffmpeg;
mod fit;
mod program;
mod stream;
#[cfg(test)]
mod tests;
mod y4m;

pub use container::{Container, container};
pub use program::FfmpegSearch;
pub use stream::{Frame, Frames, VideoOptions, frames};
pub(super) use stream::{RawFrame, Source};
