//! JPEG (ITU-T T.81), with what the markers say beside the pixels.

use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::super::{DecodeError, Limits};
use super::colour::{Channels, Raster};
use super::{Decoded, ImageFormat, admit, damaged};

/// The most scans of a progressive picture; cameras and programs write about ten.
const SCANS_MAX: usize = 100;

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, DecodeError> {
    let options = DecoderOptions::default()
        .set_strict_mode(false)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_max_scans(SCANS_MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(refused)?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    let (width, height) = (u32::try_from(width), u32::try_from(height));
    let (Ok(width), Ok(height)) = (width, height) else { return Err(damaged(FORMAT, "no size")) };
    let stored = decoder.input_colorspace().unwrap_or(ColorSpace::YCbCr);
    let (out, channels) = match stored {
        ColorSpace::Luma => (ColorSpace::Luma, Channels::Grey),
        // Taken as they are: what zero means, and a profile, are seen to here.
        ColorSpace::CMYK | ColorSpace::YCCK => (stored, Channels::Cmyk),
        _ => (ColorSpace::RGB, Channels::Rgb),
    };
    let _turn = admit(width, height, out.num_components(), limits)?;
    decoder.set_options(decoder.options().jpeg_set_out_colorspace(out));
    if !is_whole(bytes) {
        return Err(damaged(FORMAT, CUT_OFF));
    }
    let mut samples = decoder.decode().map_err(refused)?;
    if channels == Channels::Cmyk {
        to_inks(&mut samples, stored == ColorSpace::YCCK);
    }
    let profile = decoder.icc_profile();
    let exif = decoder.exif().map(|exif| super::exif::read(exif)).unwrap_or_default();
    let raster = Raster { width, height, channels, samples, profile };
    Ok(Decoded { raster, exif })
}

const FORMAT: ImageFormat = ImageFormat::Jpeg;
const CUT_OFF: &str = "it is cut off";

fn refused(error: DecodeErrors) -> DecodeError {
    match error {
        DecodeErrors::Unsupported(_) => DecodeError::UnsupportedFormat {
            what: "this kind of JPEG (lossless or arithmetic)",
            advice: "save it as a usual JPEG or as PNG",
        },
        DecodeErrors::IoErrors(_) | DecodeErrors::ExhaustedData => damaged(FORMAT, CUT_OFF),
        other => damaged(FORMAT, &other.to_string()),
    }
}

/// Makes amounts of ink of what is stored: how much paper is left, as Adobe's programs write it and all
/// others read it. Brightness and two colours stand for cyan, magenta and yellow as if they were light.
fn to_inks(samples: &mut [u8], has_brightness: bool) {
    for pixel in samples.chunks_exact_mut(4) {
        if has_brightness {
            let inks = to_light([pixel[0], pixel[1], pixel[2]]).map(|light| 255 - light);
            pixel[..3].copy_from_slice(&inks);
        }
        pixel.iter_mut().for_each(|sample| *sample = 255 - *sample);
    }
}

/// Returns red, green and blue of brightness and colours (ITU-T T.871, 7).
fn to_light([brightness, blue, red]: [u8; 3]) -> [u8; 3] {
    let (y, cb, cr) = (f32::from(brightness), f32::from(blue) - 128.0, f32::from(red) - 128.0);
    let light = [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb];
    light.map(rounded)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to what a sample holds"
)]
fn rounded(value: f32) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

/// Returns whether the last scan is followed by the marker of the end. A decoder fills what is missing of
/// a file that broke off with grey, which is no picture.
fn is_whole(bytes: &[u8]) -> bool {
    let mut has_scan = false;
    let mut at = 2;
    while let Some(&[mark, kind]) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        match (mark, kind) {
            (0xFF, 0xD9) => return has_scan,
            // Within a scan: a sample that is 255, a restart, or padding.
            (0xFF, 0x00 | 0xD0..=0xD7) => at += 2,
            (0xFF, 0xFF) => at += 1,
            (0xFF, _) => {
                let length = bytes.get(at + 2..).and_then(|rest| rest.first_chunk());
                has_scan |= kind == 0xDA;
                at += 2 + usize::from(u16::from_be_bytes(*length.unwrap_or(&[0; 2])));
            }
            _ => {
                let rest = bytes.get(at..).unwrap_or_default();
                let Some(next) = memchr::memchr(0xFF, rest) else { return false };
                at += next;
            }
        }
    }
    false
}
