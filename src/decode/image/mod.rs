//! What does a file of a picture show?

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::{ImageReader, Limits as ImageLimits};

use super::{DecodeError, Limits};
use crate::picture::Picture;

/// The most rows or columns of a picture.
const SIDE_MAX: u32 = 16_384;

/// Returns the picture that these bytes hold.
///
/// # Errors
/// [`DecodeError`]: unsupported for what is no picture of a format that is read, or is damaged; invalid
/// input for more bytes than the limits allow.
pub fn decode_picture(bytes: &[u8], limits: &Limits) -> Result<Picture, DecodeError> {
    if bytes.len() > limits.bytes_max {
        let (limit, actual) = (limits.bytes_max as u64, bytes.len() as u64);
        return Err(DecodeError::TooLarge { what: "bytes", limit, actual });
    }
    // A decoder's failure is its input's failure, not ours.
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().ok()?;
        let mut bounds = ImageLimits::default();
        bounds.max_image_width = Some(SIDE_MAX);
        bounds.max_image_height = Some(SIDE_MAX);
        bounds.max_alloc = Some(limits.unpacked_bytes_max);
        reader.limits(bounds);
        Some(reader.decode().ok()?.into_rgb8())
    }));
    let begins_with = bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let picture = decoded.ok().flatten().and_then(|picture| {
        let (width, height) = picture.dimensions();
        Picture::new(width, height, picture.into_raw())
    });
    picture.ok_or(DecodeError::Binary { begins_with })
}
