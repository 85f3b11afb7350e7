//! Files that are broken, on purpose or by accident.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use simile::decode::{DecodeError, Limits, decode_picture};

use super::{bytes, references};

#[test]
fn a_file_that_is_cut_off_is_an_error_or_the_whole_picture() {
    for reference in references() {
        let file = bytes(&reference.file);
        let expected = decode_picture(&file, &Limits::default()).unwrap();
        for part in 0..24 {
            let length = file.len() * part / 24;
            match decode_picture(&file[..length], &Limits::default()) {
                // What is cut off was said beside the pixels.
                Ok(picture) => assert_eq!(
                    picture,
                    expected,
                    "{} cut off after {length} of {} bytes",
                    reference.name,
                    file.len()
                ),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
}

#[test]
fn a_mutated_file_is_a_picture_or_an_error_and_takes_no_long_time() {
    let seed = 20_261_127;
    let mut random = StdRng::seed_from_u64(seed);
    // As little as a small picture could need, so that what a mutant asks for is seen.
    let limits = Limits { pixels_max: 1 << 20, unpacked_bytes_max: 8 << 20, ..Limits::default() };
    for reference in references() {
        let file = bytes(&reference.file);
        for round in 0..60 {
            let mut mutant = file.clone();
            for _ in 0..random.random_range(1..5) {
                let at = random.random_range(0..mutant.len());
                match random.random_range(0..4) {
                    0 => mutant[at] ^= 1 << random.random_range(0..8),
                    1 => mutant[at] = [0, 1, 0x7F, 0xFF][random.random_range(0..4_usize)],
                    2 => drop(mutant.drain(at..mutant.len().min(at + 9)).collect::<Vec<u8>>()),
                    _ => mutant.splice(at..at, [0xFF; 3]).for_each(drop),
                }
                if mutant.is_empty() {
                    mutant.push(0);
                }
            }
            let begun = Instant::now();
            let read = decode_picture(&mutant, &limits);
            let (name, took) = (&reference.name, begun.elapsed());
            assert!(took < Duration::from_secs(10), "{name}, round {round}, seed {seed}: {took:?}");
            match read {
                Ok(picture) => {
                    assert!(u64::from(picture.width()) * u64::from(picture.height()) <= 1 << 20)
                }
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
}

/// A header that promises a picture of this size, and little more.
fn promise(format: &str, width: u32, height: u32) -> Vec<u8> {
    let small = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
    let mut file = Vec::new();
    match format {
        "PNG" => {
            file.extend(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
            file.extend(width.to_be_bytes().into_iter().chain(height.to_be_bytes()));
            file.extend([8, 2, 0, 0, 0]);
            let checksum = crc32fast::hash(&file[12..]);
            file.extend(checksum.to_be_bytes());
            file.extend(b"\0\0\0\0IDAT\x35\xAF\x06\x1E\0\0\0\0IEND\xAE\x42\x60\x82");
        }
        "GIF" => {
            file.extend(b"GIF89a");
            file.extend(small(width).to_le_bytes().into_iter().chain(small(height).to_le_bytes()));
            file.extend([0x80, 0, 0, 0, 0, 0, 255, 255, 255, 0x2C, 0, 0, 0, 0]);
            file.extend(small(width).to_le_bytes().into_iter().chain(small(height).to_le_bytes()));
            file.extend([0, 2, 2, 0x4C, 1, 0, 0x3B]);
        }
        "BMP" => {
            file.extend(b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0");
            file.extend(width.to_le_bytes().into_iter().chain(height.to_le_bytes()));
            file.extend([1, 0, 24, 0]);
            file.extend([0; 24]);
        }
        "TIFF" => {
            file.extend(b"II*\0\x08\0\0\0\x09\0");
            for (tag, kind, value) in [
                (256, 4, width),
                (257, 4, height),
                (258, 3, 8),
                (259, 3, 1),
                (262, 3, 1),
                (273, 4, 8),
                (277, 3, 1),
                (278, 4, height),
                (279, 4, 64),
            ] {
                file.extend(u16::to_le_bytes(tag).into_iter().chain(u16::to_le_bytes(kind)));
                file.extend(u32::to_le_bytes(1).into_iter().chain(u32::to_le_bytes(value)));
            }
            file.extend([0; 4]);
        }
        "JPEG" => {
            file.extend(b"\xFF\xD8\xFF\xC0\0\x11\x08");
            file.extend(small(height).to_be_bytes().into_iter().chain(small(width).to_be_bytes()));
            file.extend(
                b"\x03\x01\x11\0\x02\x11\0\x03\x11\0\xFF\xDA\0\x0C\x03\x01\0\x02\0\x03\0\0\x3F\0",
            );
            file.extend(b"\0\0\xFF\xD9");
        }
        _ => {
            file.extend(b"RIFF\x1A\0\0\0WEBPVP8L\x0D\0\0\0\x2F");
            let size = (width.min(16_383) - 1) | ((height.min(16_383) - 1) << 14);
            file.extend(size.to_le_bytes());
            file.extend([0; 9]);
        }
    }
    file
}

#[test]
fn a_promise_of_too_many_pixels_is_refused_before_memory_is_taken() {
    for format in ["PNG", "GIF", "BMP", "TIFF", "JPEG", "WebP"] {
        let begun = Instant::now();
        let error =
            decode_picture(&promise(format, 65_500, 65_500), &Limits::default()).unwrap_err();
        let is_too_large = matches!(error, DecodeError::TooLarge { .. });
        assert!(is_too_large, "{format}: {error}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{format}");
        let small = Limits { pixels_max: 99, ..Limits::default() };
        let error = decode_picture(&promise(format, 10, 10), &small).unwrap_err().to_string();
        assert_eq!(error, "too many pixels: at most 99, got 100", "{format}");
    }
}

#[test]
fn a_file_with_fewer_pixels_than_its_size_is_damaged_and_says_so() {
    for format in ["PNG", "BMP", "TIFF", "JPEG", "WebP"] {
        let error = decode_picture(&promise(format, 400, 300), &Limits::default()).unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with(&format!("the {format} ")), "{format}: {message}");
    }
}

#[test]
fn what_is_no_picture_is_refused_by_what_it_is() {
    for (file, expected) in [
        (&b""[..], "the file is empty"),
        (b"hello", "the file is no picture"),
        (b"%PDF-1.7\n", "the file is no picture"),
        (b"\0\0\0\x20ftypheic\0\0", "a HEIC picture is not supported: convert it to JPEG"),
        (b"\0\0\0\x20ftypavif\0\0", "an AVIF picture is not supported: convert it to JPEG or PNG"),
        (b"8BPS\0\x01\0\0", "a Photoshop document is not supported: save it as PNG or JPEG"),
        (b"\xFF\xD8\xFF", "the JPEG is damaged: "),
    ] {
        let error = decode_picture(file, &Limits::default()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let few = Limits { bytes_max: 4, ..Limits::default() };
    let error = decode_picture(b"hello", &few).unwrap_err().to_string();
    assert_eq!(error, "too many bytes: at most 4, got 5");
}
