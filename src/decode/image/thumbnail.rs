use ::image::ExtendedColorType;
use ::image::codecs::jpeg::JpegEncoder;

use crate::picture::Picture;

/// The longest side of a thumbnail, in pixels.
const SIDE_MAX: u32 = 256;
/// The most bytes of a thumbnail: a row of the tables holds it.
const BYTES_MAX: usize = 48 << 10;
/// With how much care a thumbnail is saved, and with how little one that would be too large.
const QUALITIES: [u8; 4] = [82, 60, 35, 10];

/// Returns the picture as a JPEG of at most 256 pixels a side and 48 KiB.
pub fn thumbnail(picture: &Picture) -> Vec<u8> {
    let small = picture.fitted(SIDE_MAX);
    let mut saved = Vec::new();
    for quality in QUALITIES {
        saved = encode_jpeg(&small, quality);
        if saved.len() <= BYTES_MAX {
            break;
        }
    }
    saved
}

/// Returns the picture as a JPEG; the quality is 1 to 100.
///
/// # Panics
/// A side is longer than 65,535 pixels, which no JPEG holds.
pub fn encode_jpeg(picture: &Picture, quality: u8) -> Vec<u8> {
    let mut saved = Vec::new();
    let (width, height) = (picture.width(), picture.height());
    JpegEncoder::new_with_quality(&mut saved, quality)
        .encode(picture.samples(), width, height, ExtendedColorType::Rgb8)
        .expect(
            "the samples are as many as the size says, a JPEG holds it, and memory takes any bytes",
        );
    saved
}

#[cfg(test)]
mod tests {
    use super::super::decode_picture;
    use super::*;
    use crate::decode::Limits;

    #[test]
    fn a_thumbnail_is_small_whatever_the_picture_is() {
        // Noise is what takes most space.
        let mut state = 9_u64;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_041);
            state.to_be_bytes()[0]
        });
        let picture = Picture::new(300, 280, noise.take(300 * 280 * 3).collect()).unwrap();
        let saved = thumbnail(&picture);
        assert!(saved.len() <= BYTES_MAX, "{}", saved.len());
        let shown = decode_picture(&saved, &Limits::default()).unwrap();
        assert_eq!((shown.width(), shown.height()), (256, 239));
    }
}
