use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::spacetime::WINDOW_MS_MAX;
use crate::embed::EmbedError;
use crate::embed::image::{Pixels, Preprocess, Preprocessor, Reduction};
use crate::picture::{Area, Picture};

/// The most frames that a network reads at once.
const FRAMES_MAX: usize = 128;

/// How a network that reads the frames of a clip at once is fed. The table `frames` of a manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameSettings {
    /// The name of the graph's file; its input is clips x frames x channels x rows x columns.
    pub file: String,
    /// The value of the graph that is taken: a vector, or one for each token.
    pub layer: String,
    /// How the tokens become one vector.
    pub pooling: Reduction,
    /// How many frames it reads.
    pub count: usize,
    /// The longest clip that becomes one vector, in milliseconds; its frames are picked evenly.
    #[serde(default = "usual_window")]
    pub window_ms: u64,
}

fn usual_window() -> u64 {
    2_000
}

/// How a model that reads the frames of a clip at once looks at a video.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClipReading {
    /// How many frames it reads at once.
    pub count: usize,
    /// How many frames of a second are looked at, at most.
    pub frames_per_second: f64,
    /// The longest clip that becomes one vector, in milliseconds.
    pub window_ms: u64,
}

impl FrameSettings {
    /// Returns the usual settings of a network that reads so many frames.
    pub fn of(file: String, layer: String, pooling: Reduction, count: usize) -> Self {
        Self { file, layer, pooling, count, window_ms: usual_window() }
    }

    /// Returns how a video is looked at: as many frames as are read, over the window.
    pub(in crate::embed) fn reading(&self) -> ClipReading {
        let frames_per_second = self.count as f64 * 1_000.0 / self.window_ms as f64;
        ClipReading { count: self.count, frames_per_second, window_ms: self.window_ms }
    }

    /// Returns what is wrong with the settings, if something is.
    pub(in crate::embed) fn check(&self) -> Result<(), String> {
        let (count, window) = (self.count, self.window_ms);
        if !(1..=FRAMES_MAX).contains(&count) {
            return Err(format!("count is {count}, expected 1 to {FRAMES_MAX}"));
        }
        if !(1..=WINDOW_MS_MAX).contains(&window) {
            return Err(format!("window_ms is {window}, expected 1 to {WINDOW_MS_MAX}"));
        }
        match self.pooling {
            Reduction::Mean | Reduction::Cls | Reduction::Max => Ok(()),
            Reduction::Flatten | Reduction::Gem => {
                let pooling = self.pooling.name();
                Err(format!("pooling is {pooling}, expected mean, cls or max"))
            }
        }
    }
}

impl ClipReading {
    /// Returns which of so many frames are read: evenly, the first and the last among them; of fewer
    /// than are read, some several times.
    pub(super) fn places(&self, frames: usize) -> Vec<usize> {
        let steps = self.count.saturating_sub(1).max(1);
        let last = frames.saturating_sub(1);
        (0..self.count).map(|at| (2 * at * last + steps) / (2 * steps)).collect()
    }
}

/// Makes the frames of a clip ready one after another; a picture is a clip that stands still.
#[derive(Debug)]
pub(in crate::embed) struct Stacked {
    each: Preprocessor,
    count: usize,
}

impl Stacked {
    /// Returns what makes clips of so many frames ready.
    pub(in crate::embed) fn of(each: Preprocessor, count: usize) -> Self {
        Self { each, count }
    }
}

impl Preprocess for Stacked {
    fn covered(&self, whole: Area) -> Area {
        self.each.covered(whole)
    }

    fn preprocess(&self, picture: &Picture) -> Result<Pixels, EmbedError> {
        let Pixels { height, width, values } = self.each.preprocess(picture)?;
        Ok(Pixels { height: height * self.count, width, values: values.repeat(self.count) })
    }

    fn stack(&self, frames: &[Arc<Picture>]) -> Result<Pixels, EmbedError> {
        self.each.stack(frames)
    }
}
