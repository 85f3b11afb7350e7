//! PNG, WebP, GIF, BMP and TIFF; of a file with several pictures the first.

use std::error::Error as _;
use std::io::Cursor;

use ::image::{DynamicImage, ImageDecoder, ImageError, ImageReader};

use super::super::{DecodeError, Limits};
use super::colour::{Channels, Raster};
use super::exif::{self, Exif};
use super::{Decoded, ImageFormat, admit, damaged};

pub(super) fn decode(
    bytes: &[u8],
    format: ImageFormat,
    limits: &Limits,
) -> Result<Decoded, DecodeError> {
    let kind = match format {
        ImageFormat::Jpeg => ::image::ImageFormat::Jpeg,
        ImageFormat::Png => ::image::ImageFormat::Png,
        ImageFormat::WebP => ::image::ImageFormat::WebP,
        ImageFormat::Gif => ::image::ImageFormat::Gif,
        ImageFormat::Bmp => ::image::ImageFormat::Bmp,
        ImageFormat::Tiff => ::image::ImageFormat::Tiff,
    };
    let refused = |error| refused(error, format, limits);
    // What follows the pixels says how they stand.
    if format == ImageFormat::WebP && riff_length(bytes).is_some_and(|length| length > bytes.len())
    {
        return Err(damaged(format, "it is cut off"));
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), kind);
    let mut allowed = ::image::Limits::default();
    allowed.max_alloc = Some(limits.unpacked_bytes_max);
    reader.limits(allowed);
    let mut decoder = reader.into_decoder().map_err(refused)?;
    let (width, height) = decoder.dimensions();
    let _turn = admit(width, height, usize::from(decoder.color_type().bytes_per_pixel()), limits)?;
    // What is said beside the pixels may be damaged, and the picture whole.
    let profile = match format {
        ImageFormat::Tiff => exif::profile(bytes),
        _ => decoder.icc_profile().unwrap_or_default(),
    };
    let exif = match format {
        ImageFormat::Tiff => exif::read(bytes),
        _ => decoder
            .exif_metadata()
            .unwrap_or_default()
            .map_or_else(Exif::default, |exif| exif::read(&exif)),
    };
    let image = DynamicImage::from_decoder(decoder).map_err(refused)?;
    let (channels, samples) = match (image.color().has_color(), image.color().has_alpha()) {
        (false, false) => (Channels::Grey, image.into_luma8().into_raw()),
        (false, true) => (Channels::GreyAlpha, image.into_luma_alpha8().into_raw()),
        (true, false) => (Channels::Rgb, image.into_rgb8().into_raw()),
        (true, true) => (Channels::RgbAlpha, image.into_rgba8().into_raw()),
    };
    let raster = Raster { width, height, channels, samples, profile };
    Ok(Decoded { raster, exif })
}

/// Returns how long a file of this container says that it is.
fn riff_length(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?);
    Some(length as usize + 8)
}

fn refused(error: ImageError, format: ImageFormat, limits: &Limits) -> DecodeError {
    match error {
        ImageError::Unsupported(_) => DecodeError::UnsupportedFormat {
            what: match format {
                ImageFormat::Jpeg => "this kind of JPEG",
                ImageFormat::Png => "this kind of PNG",
                ImageFormat::WebP => "this kind of WebP",
                ImageFormat::Gif => "this kind of GIF",
                ImageFormat::Bmp => "this kind of BMP",
                ImageFormat::Tiff => "this kind of TIFF",
            },
            advice: "save it as a usual PNG or JPEG",
        },
        // The decoder does not say how much it would have been.
        ImageError::Limits(_) => DecodeError::TooLarge {
            what: "bytes to unpack",
            limit: limits.unpacked_bytes_max,
            actual: limits.unpacked_bytes_max.saturating_add(1),
        },
        other => {
            let reason = other.source().map_or_else(|| other.to_string(), ToString::to_string);
            damaged(format, &reason)
        }
    }
}
