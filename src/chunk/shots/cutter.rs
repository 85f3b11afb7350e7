use std::collections::VecDeque;
use std::ops::Range;

use super::hsv::Planes;
use crate::picture::Picture;

/// What makes a new shot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CutRule {
    /// A frame whose pixels differ from those before by so much on average, in hue, saturation and
    /// value (the content detector of PySceneDetect).
    Content {
        /// The mean difference, of 255.
        threshold: f64,
    },
    /// A frame that differs from the one before so many times more than its neighbours do (the
    /// adaptive detector of PySceneDetect): a fast camera makes no cuts.
    Adaptive {
        /// How many times more.
        ratio: f64,
        /// How many neighbours on each side.
        window: usize,
        /// The least mean difference, of 255.
        least: f64,
    },
    /// Nothing: the video is one shot.
    Never,
}

impl CutRule {
    /// The content rule with its published threshold.
    pub const CONTENT: Self = Self::Content { threshold: 27.0 };
    /// The adaptive rule with its published thresholds.
    pub const ADAPTIVE: Self = Self::Adaptive { ratio: 3.0, window: 2, least: 15.0 };
}

/// How a video is cut into shots.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShotOptions {
    /// What makes a new shot.
    pub rule: CutRule,
    /// The fewest frames of a shot, but for the last one; a change sooner than that makes none.
    pub frames_min: u64,
    /// The longest that a shot may last, in milliseconds: a longer one is cut into windows. 0 for as
    /// long as it lasts.
    pub window_ms: u64,
}

impl Default for ShotOptions {
    fn default() -> Self {
        Self { rule: CutRule::CONTENT, frames_min: 15, window_ms: 0 }
    }
}

/// A stretch of a video without a break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shot {
    /// Its frames, counted from 0 at the start of the video.
    pub frames: Range<u64>,
    /// When its first frame is seen, in milliseconds from the start.
    pub start_ms: u64,
    /// When its last frame is gone.
    pub end_ms: u64,
}

/// The longest neighbourhood that is looked at.
const WINDOW_MAX: usize = 64;

/// Finds the shots of a video whose frames it is shown one by one.
#[derive(Debug)]
pub struct ShotCutter {
    options: ShotOptions,
    before: Option<Planes>,
    /// The newest frames: when they begin, and how much they differ from the one before.
    recent: VecDeque<(u64, f64)>,
    /// How many frames were shown.
    shown: u64,
    /// The last frame that was judged a cut; the first frame counts as one.
    last_cut: u64,
    start: u64,
    start_ms: u64,
    end_ms: u64,
}

impl ShotCutter {
    /// Returns a cutter that has seen nothing.
    pub fn new(options: ShotOptions) -> Self {
        Self {
            options,
            before: None,
            recent: VecDeque::new(),
            shown: 0,
            last_cut: 0,
            start: 0,
            start_ms: 0,
            end_ms: 0,
        }
    }

    /// Looks at the next frame, and returns the shot that is known to be over now. The adaptive rule
    /// says so only once it has seen the neighbours on both sides.
    pub fn push(&mut self, picture: &Picture, start_ms: u64, end_ms: u64) -> Option<Shot> {
        let difference = match self.options.rule {
            CutRule::Never => 0.0,
            CutRule::Content { .. } | CutRule::Adaptive { .. } => {
                let planes = Planes::of(picture);
                let difference =
                    self.before.as_ref().map_or(0.0, |before| planes.difference(before));
                self.before = Some(planes);
                difference
            }
        };
        self.push_difference(difference, start_ms, end_ms)
    }

    /// Returns the shot that the end of the video ends; none if there was no frame.
    pub fn finish(&mut self) -> Option<Shot> {
        self.end_at(self.shown, self.end_ms)
    }

    /// Returns how much the last frame differs from the one before, 0 to 255.
    pub fn difference(&self) -> f64 {
        self.recent.back().map_or(0.0, |(_, difference)| *difference)
    }

    fn push_difference(&mut self, difference: f64, start_ms: u64, end_ms: u64) -> Option<Shot> {
        if self.shown == 0 {
            self.start_ms = start_ms;
        }
        let window = match self.options.rule {
            CutRule::Adaptive { window, .. } => window.min(WINDOW_MAX),
            CutRule::Content { .. } | CutRule::Never => 0,
        };
        self.recent.push_back((start_ms, difference));
        if self.recent.len() > 2 * window + 1 {
            self.recent.pop_front();
        }
        self.shown += 1;
        self.end_ms = end_ms;
        // The frame in the middle of those that are remembered.
        let judged = (self.shown - 1).checked_sub(window as u64)?;
        let (judged_ms, judged_difference) =
            *self.recent.get(self.recent.len().checked_sub(window + 1)?)?;
        let is_cut = self.recent.len() == 2 * window + 1
            && self.exceeds(judged_difference, window)
            && judged - self.last_cut >= self.options.frames_min;
        if is_cut {
            self.last_cut = judged;
        }
        let window_ms = self.options.window_ms;
        let is_full = window_ms > 0 && judged_ms.saturating_sub(self.start_ms) >= window_ms;
        if is_cut || is_full { self.end_at(judged, judged_ms) } else { None }
    }

    fn exceeds(&self, difference: f64, window: usize) -> bool {
        match self.options.rule {
            CutRule::Never => false,
            CutRule::Content { threshold } => difference >= threshold,
            CutRule::Adaptive { ratio, least, .. } => {
                let all: f64 = self.recent.iter().map(|(_, difference)| difference).sum();
                let others = (all - difference) / (2 * window).max(1) as f64;
                // Next to stillness anything would be many times more; the least decides alone.
                difference >= least && (others < 1e-5 || difference / others >= ratio)
            }
        }
    }

    /// Ends the running shot before a frame, which begins the next one.
    fn end_at(&mut self, frame: u64, at_ms: u64) -> Option<Shot> {
        if frame <= self.start {
            return None;
        }
        let shot = Shot { frames: self.start..frame, start_ms: self.start_ms, end_ms: at_ms };
        (self.start, self.start_ms) = (frame, at_ms);
        Some(shot)
    }
}
