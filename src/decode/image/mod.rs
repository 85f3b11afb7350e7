//! Still pictures, as users' photographs are: turned, in any colours, and sometimes broken.
//!
//! What comes out stands upright, is in sRGB and has no transparency. Sizes are known and checked
//! before pixels are unpacked. AVIF and HEIC are named and refused. Of AVIF, the decoders in Rust
//! that are kept up are rav1d, a port of dav1d whose pixels still go through unsafe code and assembly,
//! and its safe offspring (rav1d-safe, zenavif), under the AGPL; the others bind libraries in C. Of HEIC
//! there is none.

mod colour;
mod exif;
mod jpeg;
mod orient;
mod raster;
mod thumbnail;

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

pub use self::thumbnail::{THUMBNAIL_BYTES_MAX, encode_jpeg, thumbnail};

use self::colour::{Raster, to_srgb};
use self::exif::Exif;
use super::metadata::{add, add_time, add_value, clean};
use super::{DecodeError, Format, Hint, Limits, contain, detect};
use crate::document::{Payload, Value};
use crate::picture::Picture;

/// From how many bytes of samples on a picture waits for other large ones.
const LARGE_BYTES: u64 = 128 << 20;
/// How much of a decoder's reason is passed on.
const REASON_BYTES_MAX: usize = 200;

/// A format of still pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ImageFormat {
    /// JPEG, sequential or progressive.
    Jpeg,
    /// PNG; of an animation the still picture.
    Png,
    /// WebP; of an animation the first frame.
    WebP,
    /// GIF; the first frame.
    Gif,
    /// Windows bitmap.
    Bmp,
    /// TIFF; the first picture.
    Tiff,
}

/// A picture, and what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct PictureContent {
    /// The picture: upright, in sRGB, over white.
    pub picture: Picture,
    /// The description that it carries.
    pub title: Option<String>,
    /// Ready to be payload: `width` and `height` in pixels, `format`, and where the camera wrote them
    /// `taken` (RFC 3339), `camera` and `geo`.
    pub metadata: Payload,
    /// What the bytes were taken for.
    pub format: Format,
    /// What a person should know, such as a colour profile that was ignored; lower case, one clause
    /// each.
    pub warnings: Vec<String>,
}

/// What a decoder gives.
#[derive(Debug)]
struct Decoded {
    raster: Raster,
    exif: Exif,
}

/// Returns the picture that these bytes hold: upright, in sRGB, over white; of several the first.
///
/// # Errors
/// [`DecodeError`]: unsupported for what is no picture or of a format that is not read; invalid input
/// for bytes that are empty, damaged, cut off or larger than the limits allow.
pub fn decode_picture(bytes: &[u8], limits: &Limits) -> Result<Picture, DecodeError> {
    super::check_bytes(bytes, limits)?;
    let format = detect(bytes, &Hint::default())?;
    let Format::Image(image) = format else { return Err(DecodeError::NoPicture) };
    match limits.apart_for(format) {
        Some(apart) => apart.decode_picture(bytes, format, limits),
        None => decode(bytes, image, limits).map(|content| content.picture),
    }
}

/// Returns the picture of a format that was told already, and what is known of it.
pub(super) fn decode(
    bytes: &[u8],
    format: ImageFormat,
    limits: &Limits,
) -> Result<PictureContent, DecodeError> {
    contain::panics(Format::Image(format), || {
        let Decoded { raster, exif } = match format {
            ImageFormat::Jpeg => jpeg::decode(bytes, limits)?,
            ImageFormat::Png
            | ImageFormat::WebP
            | ImageFormat::Gif
            | ImageFormat::Bmp
            | ImageFormat::Tiff => raster::decode(bytes, format, limits)?,
        };
        let (picture, warning) =
            to_srgb(raster).ok_or_else(|| damaged(format, "it has fewer pixels than its size"))?;
        let picture = orient::upright(picture, exif.orientation.unwrap_or(1));
        let metadata = metadata(&picture, format, &exif);
        let title = exif.title.as_deref().and_then(clean);
        let (format, warnings) = (Format::Image(format), warning.into_iter().collect());
        Ok(PictureContent { picture, title, metadata, format, warnings })
    })
}

fn metadata(picture: &Picture, format: ImageFormat, exif: &Exif) -> Payload {
    let mut metadata = Payload::new();
    add_value(&mut metadata, "width", Value::Integer(picture.width().into()));
    add_value(&mut metadata, "height", Value::Integer(picture.height().into()));
    add(&mut metadata, "format", &format.to_string());
    if let Some(taken) = &exif.taken {
        add_time(&mut metadata, "taken", taken);
    }
    // Many makers stand in the name of the model already.
    let (make, model) = (exif.make.as_deref(), exif.model.as_deref().unwrap_or_default());
    let make = make.filter(|make| !model.to_lowercase().starts_with(&make.to_lowercase()));
    add(&mut metadata, "camera", &format!("{} {model}", make.unwrap_or_default()));
    if let Some((lat, lon)) = exif.place {
        let place = [("lat", lat), ("lon", lon)];
        let place = place.map(|(name, value)| (name.to_owned(), Value::Float(value)));
        add_value(&mut metadata, "geo", Value::Object(place.into()));
    }
    metadata
}

/// Refuses a picture that would be too large, before memory is taken for it; `bytes` of a pixel as it
/// is unpacked. Of large ones, one is unpacked at a time: it goes on until what is returned is dropped.
fn admit(width: u32, height: u32, bytes: usize, limits: &Limits) -> Result<Turn, DecodeError> {
    static LARGE: Mutex<()> = Mutex::new(());
    let pixels = u64::from(width) * u64::from(height);
    let unpacked = pixels.saturating_mul(bytes as u64);
    for (what, limit, actual) in [
        ("pixels", limits.pixels_max, pixels),
        ("bytes to unpack", limits.unpacked_bytes_max, unpacked),
    ] {
        if actual > limit {
            return Err(DecodeError::TooLarge { what, limit, actual });
        }
    }
    let is_large = unpacked >= LARGE_BYTES;
    Ok(is_large.then(|| LARGE.lock().unwrap_or_else(PoisonError::into_inner)))
}

/// The right to unpack a large picture.
type Turn = Option<MutexGuard<'static, ()>>;

fn damaged(format: ImageFormat, reason: &str) -> DecodeError {
    let reason = reason.trim_end_matches('.');
    let reason = reason[..reason.floor_char_boundary(REASON_BYTES_MAX)].to_owned();
    DecodeError::Damaged { format: Format::Image(format), reason }
}

impl fmt::Display for ImageFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
            Self::Gif => "GIF",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
        })
    }
}
