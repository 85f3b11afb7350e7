//! Pictures: read as a reference reads them, and whatever is in a file, no more than an error.

mod battery;
mod shared;

use simile::cancel::Cancellation;
use simile::decode::{Content, Hint, Limits, PictureContent, decode, decode_picture};
use simile::document::Value;
use simile::picture::{Likeness, PerceptualHash};

/// A file with what Pillow reads in it; see tests/reference/pictures.py.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Reference {
    pub(crate) name: String,
    /// How far a sample may differ.
    tolerance: u8,
    /// In hexadecimal, as `rgb`.
    pub(crate) file: String,
    width: u32,
    height: u32,
    /// Empty where the hashes stand for the samples.
    rgb: String,
    /// In 16 hexadecimal digits, where the picture is read exactly; as `dhash`.
    phash: Option<String>,
    dhash: Option<String>,
}

pub(crate) fn references() -> Vec<Reference> {
    serde_json::from_str(include_str!("../reference/pictures.json")).unwrap()
}

pub(crate) fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits = hexadecimal.as_bytes().chunks_exact(2);
    digits.map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

fn content(file: &[u8]) -> PictureContent {
    match decode(file, &Hint::default(), &Limits::default(), &Cancellation::new()) {
        Ok(Content::Picture(content)) => content,
        other => panic!("expected a picture, got {other:?}"),
    }
}

#[test]
fn every_kind_of_picture_is_read_as_pillow_reads_it() {
    let mut wrong = Vec::new();
    for Reference { name, tolerance, file, width, height, rgb, .. } in references() {
        let picture = match decode_picture(&bytes(&file), &Limits::default()) {
            Ok(picture) => picture,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        assert_eq!((picture.width(), picture.height()), (width, height), "{name}");
        if rgb.is_empty() {
            continue;
        }
        let pairs = picture.samples().iter().zip(bytes(&rgb));
        let most = pairs.map(|(&sample, expected)| sample.abs_diff(expected)).max().unwrap();
        if most > tolerance {
            wrong.push(format!("{name}: a sample differs by {most}, at most {tolerance}"));
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn perceptual_hashes_are_those_of_the_imagehash_package() {
    let mut compared = 0;
    for Reference { name, file, phash, dhash, .. } in references() {
        let (Some(phash), Some(dhash)) = (phash, dhash) else { continue };
        let picture = decode_picture(&bytes(&file), &Limits::default()).unwrap();
        let PerceptualHash { phash: ours, dhash: our_steps } = Likeness::of(&picture).upright;
        assert_eq!(format!("{our_steps:016x}"), dhash, "dHash of {name}");
        assert_eq!(format!("{ours:016x}"), phash, "pHash of {name}");
        compared += 1;
    }
    assert!(compared >= 20, "{compared}");
}

#[test]
fn what_the_camera_wrote_becomes_fields() {
    let find = |name| references().into_iter().find(|reference| reference.name == name).unwrap();
    for (name, format) in [
        ("jpeg-orientation-6", "JPEG"),
        ("png-orientation-6", "PNG"),
        ("webp-orientation-8", "WebP"),
    ] {
        let content = content(&bytes(&find(name).file));
        let text = |field: &str| match &content.metadata[field] {
            Value::Text(text) => text.clone(),
            other => panic!("{field} is {other:?}"),
        };
        assert_eq!(text("format"), format);
        assert_eq!(text("taken"), "2024-05-01T06:30:00Z");
        assert_eq!(text("camera"), "Okular K-7", "the maker stands in the model already");
        assert_eq!(content.title.as_deref(), Some("harbour at noon"));
        assert_eq!(content.metadata["width"], Value::Integer(16), "the upright width");
        let Value::Object(place) = &content.metadata["geo"] else { panic!("{name}: no place") };
        let Value::Float(latitude) = place["lat"] else { panic!("no latitude") };
        assert!((latitude + 33.858_333).abs() < 1e-5, "{latitude}");
        assert_eq!(place["lon"], Value::Float(151.2));
    }
    let plain = content(&bytes(&find("gif").file));
    assert_eq!(plain.metadata.len(), 3, "{:?}", plain.metadata);
    assert_eq!(plain.warnings, [""; 0]);
}
