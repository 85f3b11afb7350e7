use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use super::resize::{Resized, resize};
use super::{Channels, Crop, ImageSettings, Layout, Resize};
use crate::embed::EmbedError;
use crate::picture::resize::Axis;
use crate::picture::{Area, Picture};

const CHANNELS: usize = 3;
/// How many pixels count as much as a token: so that ten pictures of a usual size are a batch.
const PIXELS_PER_TOKEN: usize = 32 * 32;

/// A picture as its model reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Pixels {
    /// How many rows of pixels.
    pub height: usize,
    /// How many pixels a row has.
    pub width: usize,
    /// Three values a pixel, or one, in the layout and order of channels that the model asks for.
    pub values: Vec<f32>,
}

impl Pixels {
    /// Returns what the picture counts for against the tokens of a batch; at least 1.
    pub fn cost(&self) -> usize {
        (self.height * self.width).div_ceil(PIXELS_PER_TOKEN).max(1)
    }
}

/// Makes pictures ready for one model. Cheap to share; needs no queue and no model.
pub trait Preprocess: Send + Sync + Debug {
    /// Returns the picture as the model reads it.
    ///
    /// # Errors
    /// [`EmbedError`] (invalid input) if the model cannot read such a picture.
    fn preprocess(&self, picture: &Picture) -> Result<Pixels, EmbedError>;

    /// Returns pictures one after another, as a model reads them that reads several at once.
    ///
    /// # Errors
    /// As [`Self::preprocess`].
    fn stack(&self, pictures: &[Arc<Picture>]) -> Result<Pixels, EmbedError> {
        let mut stacked = Pixels { height: 0, width: 0, values: Vec::new() };
        for picture in pictures {
            let Pixels { height, width, values } = self.preprocess(picture)?;
            stacked.height += height;
            stacked.width = width;
            stacked.values.extend(values);
        }
        Ok(stacked)
    }

    /// Returns the part of a picture that the model sees; all of it, if nothing is cut off.
    fn covered(&self, whole: Area) -> Area {
        whole
    }
}

/// Resizes, cuts, scales and shifts as [`ImageSettings`] say.
#[derive(Debug, Clone)]
pub struct Preprocessor {
    settings: ImageSettings,
    /// The value of each sample, by channel and sample.
    values: Box<[[f32; 256]; CHANNELS]>,
}

impl Preprocessor {
    /// Returns what makes pictures ready as these settings say.
    pub fn of(settings: ImageSettings) -> Self {
        let mut values = Box::new([[0.0; 256]; CHANNELS]);
        for (channel, values) in values.iter_mut().enumerate() {
            for (sample, value) in (0_u8..=255).zip(values) {
                *value = settings.value(channel, f64::from(sample));
            }
        }
        Self { settings, values }
    }

    /// Lays a resized picture out into the canvas; what it does not cover is black.
    fn lay_out(&self, resized: &Resized, columns: &Placed, rows: &Placed) -> Vec<f32> {
        let (height, width) = (self.settings.height as usize, self.settings.width as usize);
        let pixels = height * width;
        let count = self.settings.channels.count();
        let channel = |place: usize| match self.settings.channels {
            Channels::Rgb | Channels::Grey => place,
            Channels::Bgr => CHANNELS - 1 - place,
        };
        // Where the value of a pixel and of a place among its channels is kept.
        let index = |pixel: usize, place: usize| match self.settings.layout {
            Layout::Nchw => place * pixels + pixel,
            Layout::Nhwc => pixel * count + place,
        };
        let covered = columns.length * rows.length;
        let mut values = vec![0.0; pixels * count];
        if covered < pixels {
            for place in 0..count {
                let black = self.values[channel(place)][0];
                (0..pixels).for_each(|pixel| values[index(pixel, place)] = black);
            }
        }
        for place in 0..count {
            let channel = channel(place);
            for row in 0..rows.length {
                let from = row * columns.length;
                let to = (rows.offset + row) * width + columns.offset;
                for column in 0..columns.length {
                    let sample = (from + column) * CHANNELS + channel;
                    values[index(to + column, place)] = match resized {
                        Resized::Bytes(bytes) => self.values[channel][bytes[sample] as usize],
                        Resized::Floats(floats) => {
                            self.settings.value(channel, f64::from(floats[sample]))
                        }
                    };
                }
            }
        }
        values
    }
}

impl Preprocess for Preprocessor {
    fn covered(&self, whole: Area) -> Area {
        let [columns, rows] = self.settings.fitted(whole.width.max(1), whole.height.max(1));
        // What is kept of the resized picture, in pixels of the picture itself.
        let seen = |placed: &Placed, length: u32| {
            let times = f64::from(length) / placed.scaled.max(1) as f64;
            let at = |place: u64| ((place as f64 * times).round() as u32).min(length);
            let start = at(placed.wanted.start).min(length.saturating_sub(1));
            (start, (at(placed.wanted.end) - start).max(1))
        };
        let (left, width) = seen(&columns, whole.width);
        let (top, height) = seen(&rows, whole.height);
        Area { left: whole.left + left, top: whole.top + top, width, height }
    }

    fn preprocess(&self, picture: &Picture) -> Result<Pixels, EmbedError> {
        let settings = &self.settings;
        let grey = (settings.channels == Channels::Grey).then(|| grey(picture));
        let picture = grey.as_ref().unwrap_or(picture);
        let [columns, rows] = settings.fitted(picture.width(), picture.height());
        let axis = |from: u32, placed: &Placed| Axis {
            from,
            to: placed.scaled,
            wanted: placed.wanted.clone(),
        };
        let resized = resize(
            picture,
            &axis(picture.width(), &columns),
            &axis(picture.height(), &rows),
            settings.filter,
            settings.resampler,
        );
        Ok(Pixels {
            height: settings.height as usize,
            width: settings.width as usize,
            values: self.lay_out(&resized, &columns, &rows),
        })
    }
}

/// Returns the picture without its colours.
fn grey(picture: &Picture) -> Picture {
    let luma = |pixel: &[u8]| {
        let [red, green, blue] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
        let sum = red * 19_595 + green * 38_470 + blue * 7_471 + (1 << 15);
        u8::try_from(sum >> 16).unwrap_or(u8::MAX)
    };
    let samples =
        picture.samples().chunks_exact(CHANNELS).flat_map(|pixel| [luma(pixel); CHANNELS]);
    Picture::new(picture.width(), picture.height(), samples.collect())
        .expect("as many samples as before")
}

/// How one axis of a picture gets onto the canvas.
struct Placed {
    /// How long the whole picture would be.
    scaled: u64,
    /// What of it is kept.
    wanted: Range<u64>,
    /// How long that is.
    length: usize,
    /// Where it begins on the canvas.
    offset: usize,
}

impl ImageSettings {
    /// Returns what becomes of a sample.
    fn value(&self, channel: usize, sample: f64) -> f32 {
        #[expect(clippy::cast_possible_truncation, reason = "networks read floats of 32 bits")]
        let value = ((sample * self.scale - self.mean[channel]) / self.std[channel]) as f32;
        value
    }

    /// Returns how columns and rows of a picture get onto the canvas.
    fn fitted(&self, width: u32, height: u32) -> [Placed; 2] {
        let [width, height] = [width, height].map(u64::from);
        let canvas = [self.width, self.height];
        let scaled = match (self.resize, self.edge) {
            (Resize::ShortEdge, Some(edge)) => {
                let edge = u64::from(edge);
                // Cut off, as torchvision and transformers do it.
                if width <= height {
                    [edge, edge * height / width]
                } else {
                    [edge * width / height, edge]
                }
            }
            (Resize::Square, Some(edge)) => [u64::from(edge); 2],
            (Resize::Crop, _) => [width, height],
            (Resize::Stretch | Resize::ShortEdge | Resize::Square, _) => canvas.map(u64::from),
        };
        [0, 1].map(|axis| self.placed(scaled[axis], canvas[axis]))
    }

    fn placed(&self, scaled: u64, canvas: u32) -> Placed {
        let canvas = u64::from(canvas);
        // The half of what is cut off, or of what is missing.
        let half = |length: u64| match self.crop {
            Crop::Down => length / 2,
            Crop::Even => (length / 2) + u64::from(length % 4 == 3),
        };
        let small = |length: u64| usize::try_from(length).unwrap_or(usize::MAX);
        if scaled >= canvas {
            let start = half(scaled - canvas);
            Placed { scaled, wanted: start..start + canvas, length: small(canvas), offset: 0 }
        } else {
            let missing = canvas - scaled;
            let offset = match self.crop {
                Crop::Down => missing.div_ceil(2),
                Crop::Even => missing / 2,
            };
            Placed { scaled, wanted: 0..scaled, length: small(scaled), offset: small(offset) }
        }
    }
}
