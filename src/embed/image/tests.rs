//! Pictures made ready beside Pillow, torchvision and transformers, whose results
//! `tests/reference/preprocessing.py` recorded.

use serde::Deserialize;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::*;
use crate::picture::{Area, Filter, Picture};

const REFERENCE: &str = include_str!("../../../tests/reference/preprocessing.json");
const TOLERANCE: f32 = 1e-5;

#[derive(Deserialize)]
struct Reference {
    picture: Digests,
    grey: String,
    resized: Vec<Resized>,
    torch_floats: Vec<Floats>,
    presets: Vec<Preset>,
    processors: Vec<Processed>,
}

#[derive(Deserialize)]
struct Digests {
    #[serde(rename = "37x23")]
    rough: String,
    #[serde(rename = "64x48")]
    smooth: String,
}

#[derive(Deserialize)]
struct Resized {
    filter: Filter,
    resampler: Resampler,
    from: [u32; 2],
    to: [u32; 2],
    sha256: String,
}

#[derive(Deserialize)]
struct Floats {
    filter: Filter,
    from: [u32; 2],
    to: [u32; 2],
    values: Vec<f32>,
}

#[derive(Deserialize)]
struct Preset {
    from: [u32; 2],
    edge: u32,
    crop: u32,
    values: Vec<f32>,
}

#[derive(Deserialize)]
struct Processed {
    config: Json,
    from: [u32; 2],
    values: Vec<f32>,
}

fn reference() -> Reference {
    serde_json::from_str(REFERENCE).unwrap()
}

/// The picture that the script computes too.
fn picture([width, height]: [u32; 2]) -> Picture {
    let mut state = u64::from(width) * 65_537 + u64::from(height);
    let mut samples = Vec::new();
    for place in 0..width * height * 3 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let sample = u8::try_from(state >> 56).unwrap();
        let (row, column) = (place / 3 / width, place / 3 % width);
        let smooth = (row * 7 + column * 3 + u32::from(sample / 8)) % 256;
        samples.push(if width % 2 == 0 { u8::try_from(smooth).unwrap() } else { sample });
    }
    Picture::new(width, height, samples).unwrap()
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Settings that leave samples as they are.
fn plain([width, height]: [u32; 2], filter: Filter) -> ImageSettings {
    ImageSettings {
        height,
        width,
        resize: Resize::Stretch,
        edge: None,
        filter,
        scale: 1.0,
        mean: [0.0; 3],
        std: [1.0; 3],
        layout: Layout::Nhwc,
        ..ImageSettings::default()
    }
}

fn ready(settings: ImageSettings, from: [u32; 2]) -> Vec<f32> {
    settings.check().unwrap();
    Preprocessor::of(settings).preprocess(&picture(from)).unwrap().values
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and small")]
fn bytes(values: &[f32]) -> Vec<u8> {
    assert!(values.iter().all(|value| value.fract() == 0.0 && (0.0..=255.0).contains(value)));
    values.iter().map(|&value| value as u8).collect()
}

#[track_caller]
fn assert_near(ours: &[f32], theirs: &[f32], what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (place, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        assert!(
            (ours - theirs).abs() <= TOLERANCE,
            "{what}: value {place} is {ours}, not {theirs}"
        );
    }
}

#[test]
fn the_pictures_are_those_of_the_script() {
    let reference = reference();
    assert_eq!(digest(picture([37, 23]).samples()), reference.picture.rough);
    assert_eq!(digest(picture([64, 48]).samples()), reference.picture.smooth);
}

#[test]
fn resizes_in_bytes_equal_those_of_pillow_and_torchvision_to_the_bit() {
    let reference = reference();
    assert_eq!(reference.resized.len(), 90);
    for Resized { filter, resampler, from, to, sha256 } in reference.resized {
        let settings = ImageSettings { resampler, ..plain(to, filter) };
        let ours = bytes(&ready(settings, from));
        assert_eq!(digest(&ours), sha256, "{resampler:?} {filter:?} {from:?} to {to:?}");
    }
}

#[test]
fn a_window_of_a_resize_equals_that_of_the_whole() {
    for filter in [Filter::Nearest, Filter::Bicubic] {
        let whole = ready(plain([40, 30], filter), [64, 48]);
        let cut = ImageSettings {
            height: 11,
            width: 13,
            resize: Resize::ShortEdge,
            edge: Some(30),
            ..plain([40, 30], filter)
        };
        let cut = ready(cut, [64, 48]);
        for row in 0..11 {
            let from = ((row + 9) * 40 + 13) * 3;
            assert_eq!(cut[row * 13 * 3..][..13 * 3], whole[from..][..13 * 3], "{filter:?}");
        }
    }
}

#[test]
fn resizes_in_floats_equal_those_of_torchvision() {
    for Floats { filter, from, to, values } in reference().torch_floats {
        let settings = ImageSettings {
            resampler: Resampler::TorchFloats,
            layout: Layout::Nchw,
            scale: 1.0 / 255.0,
            mean: ImageSettings::default().mean,
            std: ImageSettings::default().std,
            ..plain(to, filter)
        };
        assert_near(&ready(settings, from), &values, &format!("{filter:?} {from:?} to {to:?}"));
    }
}

#[test]
fn presets_of_torchvision_are_short_edge_with_the_half_rounded_to_even() {
    for Preset { from, edge, crop, values } in reference().presets {
        let settings = ImageSettings {
            height: crop,
            width: crop,
            edge: Some(edge),
            crop: Crop::Even,
            ..ImageSettings::default()
        };
        assert_near(&ready(settings, from), &values, &format!("{from:?} by {edge} to {crop}"));
    }
}

#[test]
fn configurations_of_transformers_give_the_tensors_of_transformers() {
    let reference = reference();
    assert_eq!(reference.processors.len(), 20);
    for Processed { config, from, values } in reference.processors {
        let settings = ImageSettings::of_config(config.to_string().as_bytes()).unwrap();
        assert_near(&ready(settings, from), &values, &config.to_string());
    }
}

#[test]
fn what_a_configuration_leaves_out_is_as_its_class_has_it() {
    let of = |json: &str| ImageSettings::of_config(json.as_bytes());
    let clip = of(r#"{"feature_extractor_type": "CLIPFeatureExtractor"}"#).unwrap();
    assert_eq!((clip.edge, clip.height, clip.filter), (Some(224), 224, Filter::Bicubic));
    let vit = of(r#"{"image_processor_type": "ViTFeatureExtractor", "size": 384}"#).unwrap();
    assert_eq!((vit.resize, vit.height, vit.mean), (Resize::Stretch, 384, [0.5; 3]));
    let fast = of(r#"{"image_processor_type": "SiglipImageProcessorFast"}"#).unwrap();
    assert_eq!((fast.resampler, fast.crop), (Resampler::TorchBytes, Crop::Down));
    for (json, reason) in [
        ("{", "EOF"),
        ("{}", "does not say resample"),
        (r#"{"resample": 9}"#, "resample is 9"),
        (r#"{"resample": 2, "size": {"longest_edge": 9}}"#, "longest_edge is 9"),
        (r#"{"resample": 2, "size": {"shortest_edge": 9}}"#, "pictures of all shapes"),
        (r#"{"image_processor_type": "ViTImageProcessor", "size": 9999}"#, "height is 9999"),
        (r#"{"image_processor_type": "ViTImageProcessor", "image_std": 0.0}"#, "std is not zero"),
        (r#"{"image_processor_type": "ViTImageProcessor", "do_pad": true}"#, "not built"),
    ] {
        let error = of(json).unwrap_err();
        assert!(error.contains(reason), "expected {reason:?} in {error:?}");
    }
}

#[test]
fn channels_and_layout_are_as_the_network_reads_them() {
    let from = [37, 23];
    let same = plain(from, Filter::Bilinear);
    let rgb = ready(same.clone(), from);
    let bgr = ready(ImageSettings { channels: Channels::Bgr, ..same.clone() }, from);
    let planes = ready(ImageSettings { layout: Layout::Nchw, ..same.clone() }, from);
    for (place, (rgb, bgr)) in rgb.chunks_exact(3).zip(bgr.chunks_exact(3)).enumerate() {
        assert_eq!([bgr[2], bgr[1], bgr[0]], *rgb);
        assert_eq!([0, 1, 2].map(|channel| planes[channel * 37 * 23 + place]), *rgb);
    }
    // The mean of a channel is told by its colour, not by its place.
    let shifted = ImageSettings { channels: Channels::Bgr, mean: [1.0, 2.0, 3.0], ..same.clone() };
    assert_eq!(ready(shifted, from)[0], bgr[0] - 3.0);
    let grey = ready(ImageSettings { channels: Channels::Grey, ..same }, from);
    assert_eq!(digest(&bytes(&grey)), reference().grey);
}

#[test]
fn a_picture_of_one_row_is_resized_in_bounded_memory() {
    let long = Picture::new(60_000, 1, vec![9; 180_000]).unwrap();
    let pixels = Preprocessor::of(ImageSettings::default()).preprocess(&long).unwrap();
    assert_eq!((pixels.height, pixels.width, pixels.cost()), (224, 224, 49));
}

#[test]
fn what_a_model_sees_of_a_picture_is_what_is_left_after_resizing_and_cutting() {
    let whole = Area { left: 0, top: 0, width: 200, height: 100 };
    let area = |left, top, width, height| Area { left, top, width, height };
    for (resize, edge, expected) in [
        (Resize::Stretch, None, whole),
        // Scaled to 80 x 40, of which 30 x 30 are left.
        (Resize::ShortEdge, Some(40), area(63, 13, 75, 75)),
        // Scaled to 40 x 40: columns and rows differ in scale.
        (Resize::Square, Some(40), area(25, 13, 150, 75)),
        (Resize::Crop, None, area(85, 35, 30, 30)),
        // Less than the canvas: nothing is cut off.
        (Resize::Square, Some(20), whole),
    ] {
        let settings = ImageSettings { resize, edge, ..plain([30, 30], Filter::Bilinear) };
        let seen = Preprocessor::of(settings).covered(whole);
        let near = |a: u32, b: u32| a.abs_diff(b) <= 1;
        assert!(
            near(seen.left, expected.left)
                && near(seen.top, expected.top)
                && near(seen.width, expected.width)
                && near(seen.height, expected.height),
            "{resize:?}: {seen:?}, expected {expected:?}"
        );
        assert!(seen.left + seen.width <= 200 && seen.top + seen.height <= 100);
    }
}
