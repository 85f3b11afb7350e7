//! Animated pictures: GIF, WebP and PNG.

use std::io::Cursor;

use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::{AnimationDecoder, ImageDecoder, ImageResult, Limits, Rgba};

use super::Container;
use super::fit::{fitting, resized};
use super::stream::{RawFrame, Source};
use crate::cancel::Cancellation;
use crate::decode::DecodeError;
use crate::picture::Picture;

/// A frame that asks for less is shown for a tenth of a second, as every browser does.
const DELAY_MS_LEAST: f64 = 11.0;
const DELAY_MS_INSTEAD: f64 = 100.0;
/// What a decoder may take for each pixel: the canvas, the frame, and what it lies on.
const BYTES_PER_PIXEL: u64 = 16;

/// The frames of an animated picture, each put onto the ones before.
pub(super) struct Animation<'a> {
    frames: image::Frames<'a>,
    container: Container,
    size: (u32, u32),
    side_max: u32,
    start_ms: f64,
    number: u64,
    is_over: bool,
    warnings: Vec<String>,
}

impl<'a> Animation<'a> {
    pub(super) fn new(
        bytes: &'a [u8],
        container: Container,
        pixels_max: u64,
        side_max: u32,
    ) -> Result<Self, DecodeError> {
        let failed = |error: image::ImageError| damaged(container, &error);
        let reader = Cursor::new(bytes);
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(pixels_max.saturating_mul(BYTES_PER_PIXEL));
        let (size, frames) = match container {
            Container::WebP => {
                let decoder = WebPDecoder::new(reader).map_err(failed)?;
                bounded(decoder, &limits, pixels_max).map_err(failed)?
            }
            Container::Png => {
                let decoder = PngDecoder::with_limits(reader, limits.clone()).map_err(failed)?;
                let size = decoder.dimensions();
                check_size(size, pixels_max)?;
                (Ok(size), decoder.apng().map_err(failed)?.into_frames())
            }
            _ => {
                let decoder = GifDecoder::new(reader).map_err(failed)?;
                bounded(decoder, &limits, pixels_max).map_err(failed)?
            }
        };
        let size = size?;
        let warnings = Vec::new();
        Ok(Self {
            frames,
            container,
            size,
            side_max,
            start_ms: 0.0,
            number: 0,
            is_over: false,
            warnings,
        })
    }

    pub(super) fn size(&self) -> (u32, u32) {
        self.size
    }
}

/// Returns the size, if it is within its bounds, and the frames.
fn bounded<'a, D: ImageDecoder + AnimationDecoder<'a>>(
    mut decoder: D,
    limits: &Limits,
    pixels_max: u64,
) -> ImageResult<(Result<(u32, u32), DecodeError>, image::Frames<'a>)> {
    let size = decoder.dimensions();
    let checked = check_size(size, pixels_max).map(|()| size);
    decoder.set_limits(limits.clone())?;
    Ok((checked, decoder.into_frames()))
}

fn check_size((width, height): (u32, u32), pixels_max: u64) -> Result<(), DecodeError> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels > pixels_max {
        return Err(DecodeError::TooLarge { what: "pixels", limit: pixels_max, actual: pixels });
    }
    Ok(())
}

impl Source for Animation<'_> {
    fn next(&mut self, _: &Cancellation) -> Result<Option<RawFrame>, DecodeError> {
        if self.is_over {
            return Ok(None);
        }
        let frame = match self.frames.next() {
            Some(Ok(frame)) => frame,
            // What was seen until then is worth keeping.
            Some(Err(error)) if self.number > 0 => {
                self.is_over = true;
                self.warnings.push(format!("frame {} could not be read: {error}", self.number));
                return Ok(None);
            }
            Some(Err(error)) => return Err(damaged(self.container, &error)),
            None => return Ok(None),
        };
        let (numerator, denominator) = frame.delay().numer_denom_ms();
        let delay = f64::from(numerator) / f64::from(denominator.max(1));
        let delay = if delay < DELAY_MS_LEAST { DELAY_MS_INSTEAD } else { delay };
        let start_ms = self.start_ms;
        self.start_ms += delay;
        self.number += 1;
        let pixels = frame.into_buffer();
        let (width, height) = pixels.dimensions();
        let samples = pixels.pixels().flat_map(|&pixel| on_white(pixel)).collect();
        let picture = Picture::new(width, height, samples).ok_or_else(|| {
            let reason = "a frame has no pixels".to_owned();
            DecodeError::DamagedVideo { container: self.container, reason }
        })?;
        let (wide, high) = fitting(width, height, (1, 1), self.side_max);
        let picture = resized(picture, wide, high);
        Ok(Some(RawFrame { picture, start_ms: Some(start_ms), duration_ms: Some(delay) }))
    }

    fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }
}

/// Returns the colour that shows where a pixel lies on white paper.
fn on_white(Rgba([red, green, blue, alpha]): Rgba<u8>) -> [u8; 3] {
    let (solid, clear) = (u16::from(alpha), u16::from(255 - alpha));
    [red, green, blue].map(|sample| ((u16::from(sample) * solid + 255 * clear + 127) / 255) as u8)
}

fn damaged(container: Container, error: &image::ImageError) -> DecodeError {
    DecodeError::DamagedVideo { container, reason: error.to_string() }
}
