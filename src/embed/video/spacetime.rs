use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{ClipPooling, PatchSizes, clip_dimension};
use crate::embed::image::{Pixels, Preprocess};
use crate::embed::{
    EmbedError, Embedder, Encoded, Grid, Manifest, Modality, Specification, Tokenize,
};
use crate::vector::{MULTI_COMPONENTS_MAX, MULTI_VECTORS_MAX, Vector};

/// The most frames of a second that are looked at.
const RATE_MAX: f64 = 120.0;
/// The longest window, in milliseconds.
pub(super) const WINDOW_MS_MAX: u64 = 600_000;
/// The most rows, columns or frames of a patch, and the most parts of a side.
const SIDE_MAX: usize = 64;

/// What a model of clips gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpacetimeOutput {
    /// One vector of each clip, pooled over time and places.
    #[default]
    Clip,
    /// The patches of each clip side by side, as a multivector: each is a moment and a place.
    Patches,
}

/// How frames become the vector of a clip, by an image model. The table `spacetime` of a manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpacetimeSettings {
    /// The name of the image model. One whose vectors are a feature map gives latents of as many cells;
    /// of any other a frame is one cell.
    pub image: String,
    /// The fingerprint of that model, 64 hexadecimal digits: another one would make other vectors.
    pub image_fingerprint: String,
    /// How many frames of a second are looked at, at most.
    #[serde(default = "usual_rate")]
    pub frames_per_second: f64,
    /// The longest clip that becomes one vector, in milliseconds.
    #[serde(default = "usual_window")]
    pub window_ms: u64,
    /// Whether a clip is one vector or its patches.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub output: SpacetimeOutput,
    /// How far a patch reaches.
    #[serde(default)]
    pub patch: PatchSizes,
    /// What the vector of a clip is made of.
    #[serde(default)]
    pub pooling: ClipPooling,
    /// The usual value of each channel, which is taken away; empty for none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub centre: Vec<f32>,
}

fn is_usual(output: &SpacetimeOutput) -> bool {
    *output == SpacetimeOutput::default()
}

fn usual_rate() -> f64 {
    4.0
}

fn usual_window() -> u64 {
    1_000
}

impl SpacetimeSettings {
    /// Returns the usual settings around an image model.
    pub fn of(image: &Specification) -> Self {
        Self {
            image: image.name.clone(),
            image_fingerprint: image.fingerprint.to_string(),
            frames_per_second: usual_rate(),
            window_ms: usual_window(),
            output: SpacetimeOutput::default(),
            patch: PatchSizes::default(),
            pooling: ClipPooling::default(),
            centre: Vec::new(),
        }
    }

    /// Returns what is wrong with the settings, if something is.
    pub(in crate::embed) fn check(&self) -> Result<(), String> {
        let rate = self.frames_per_second;
        if !(rate > 0.0 && rate <= RATE_MAX) {
            return Err(format!("frames_per_second is {rate}, expected up to {RATE_MAX}"));
        }
        let window = self.window_ms;
        if !(1..=WINDOW_MS_MAX).contains(&window) {
            return Err(format!("window_ms is {window}, expected 1 to {WINDOW_MS_MAX}"));
        }
        let PatchSizes { time, height, width } = self.patch;
        let sides =
            [("time", time), ("height", height), ("width", width), ("grid", self.pooling.grid)];
        for (name, side) in sides {
            if !(1..=SIDE_MAX).contains(&side) {
                return Err(format!("{name} is {side}, expected 1 to {SIDE_MAX}"));
            }
        }
        let ClipPooling { mean, max, motion, flow, .. } = self.pooling;
        let weights = [mean, max, motion, flow];
        if weights.iter().any(|weight| !weight.is_finite() || *weight < 0.0) || weights == [0.0; 4]
        {
            return Err("the weights of a pooling are finite, not below 0 and not all 0".to_owned());
        }
        if self.centre.iter().any(|value| !value.is_finite()) {
            return Err("centre is not finite".to_owned());
        }
        Ok(())
    }
}

impl SpacetimeSettings {
    /// Returns how many patches there are of each moment: rows, and patches of a row.
    pub(super) fn patches_across(&self, grid: Grid) -> (usize, usize) {
        let of = |cells: usize, side: usize| cells.div_ceil(side.max(1)).max(1);
        (of(grid.rows, self.patch.height), of(grid.columns, self.patch.width))
    }

    /// Checks that the patches of the longest clip are a multivector.
    fn check_patches(&self, grid: Grid) -> Result<(), String> {
        let (down, across) = self.patches_across(grid);
        // One frame more than fits, where the video's own rate is no multiple.
        let frames = (self.window_ms as f64 / 1_000.0 * self.frames_per_second).ceil() + 1.0;
        let steps = (frames as usize).div_ceil(self.patch.time.max(1));
        let patches = steps * down * across;
        let components = patches * self.patch.dimension(grid.channels);
        if patches <= MULTI_VECTORS_MAX && components <= MULTI_COMPONENTS_MAX {
            return Ok(());
        }
        Err(format!(
            "a clip of {} ms has up to {patches} patches of together {components} components, expected \
             at most {MULTI_VECTORS_MAX} of {MULTI_COMPONENTS_MAX}: shorten the window, or make patches \
             larger",
            self.window_ms
        ))
    }
}

/// An image model whose frames become clips. Its pictures come out as latents; who holds the handle
/// pools them, so that a clip may be longer than a batch.
#[derive(Debug)]
pub(in crate::embed) struct Spacetime {
    specification: Specification,
    settings: Arc<SpacetimeSettings>,
    image: Box<dyn Embedder>,
    grid: Grid,
}

impl Spacetime {
    /// Puts clips on top of the image model that the manifest names.
    pub(in crate::embed) fn over(
        manifest: &Manifest,
        settings: &SpacetimeSettings,
        image: Box<dyn Embedder>,
    ) -> Result<Self, EmbedError> {
        let failed = |reason| EmbedError::Failed { name: manifest.name.clone(), reason };
        let inner = image.specification().clone();
        inner.require(Modality::Image)?;
        let (expected, actual) = (&settings.image_fingerprint, inner.fingerprint.to_string());
        if *expected != actual {
            let name = &inner.name;
            return Err(failed(format!(
                "expected its image model {name} with the fingerprint {expected}, got {actual}"
            )));
        }
        let whole = Grid { channels: inner.dimension, rows: 1, columns: 1 };
        let grid = image.grid().unwrap_or(whole);
        let (what, actual) = match settings.output {
            SpacetimeOutput::Clip => ("clip", clip_dimension(&settings.pooling, grid.channels)),
            SpacetimeOutput::Patches => ("patch", settings.patch.dimension(grid.channels)),
        };
        let expected = manifest.dimension;
        if expected != actual {
            return Err(failed(format!(
                "expected {expected} components of a {what}, got {actual}"
            )));
        }
        if settings.output == SpacetimeOutput::Patches {
            settings.check_patches(grid).map_err(failed)?;
        }
        if !settings.centre.is_empty() && settings.centre.len() != grid.channels {
            let (expected, actual) = (grid.channels, settings.centre.len());
            return Err(failed(format!("expected a centre of {expected} channels, got {actual}")));
        }
        let mut specification = manifest.specification();
        // Where a clip is the mean of its frames, texts that lie beside pictures lie beside clips.
        let is_clip = settings.output == SpacetimeOutput::Clip;
        if is_clip
            && is_plain_mean(&settings.pooling, grid)
            && inner.modalities.contains(&Modality::Text)
        {
            specification.modalities = &[Modality::Text, Modality::Image, Modality::Video];
            specification.tokens_max = inner.tokens_max;
        }
        Ok(Self { specification, settings: Arc::new(settings.clone()), image, grid })
    }
}

/// Whether the vector of a clip is the mean of the vectors of its frames.
fn is_plain_mean(pooling: &ClipPooling, grid: Grid) -> bool {
    let ClipPooling { grid: side, mean, max, motion, flow } = *pooling;
    let is_mean = mean > 0.0 && [max, motion, flow] == [0.0; 3] && side == 1;
    is_mean && (grid.rows, grid.columns) == (1, 1)
}

impl Embedder for Spacetime {
    fn specification(&self) -> &Specification {
        &self.specification
    }

    fn tokenizer(&self) -> Arc<dyn Tokenize> {
        self.image.tokenizer()
    }

    fn preprocessor(&self) -> Option<Arc<dyn Preprocess>> {
        self.image.preprocessor()
    }

    fn grid(&self) -> Option<Grid> {
        Some(self.grid)
    }

    fn spacetime(&self) -> Option<Arc<SpacetimeSettings>> {
        Some(Arc::clone(&self.settings))
    }

    fn run(&mut self, batch: &[&Encoded]) -> Result<Vec<Option<Vector>>, EmbedError> {
        self.image.run(batch)
    }

    fn run_pictures(&mut self, batch: &[&Pixels]) -> Result<Vec<Option<Vector>>, EmbedError> {
        self.image.run_pictures(batch)
    }
}
