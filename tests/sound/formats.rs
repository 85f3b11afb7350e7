//! One sweep in every format that is read; `tests/reference/sounds.py` packed it.

use std::f64::consts::TAU;
use std::path::Path;

use simile::cancel::Cancellation;
use simile::decode::sound::{SoundFacts, SoundFormat, SoundOptions, sound_format, sounds};
use simile::embed::Lane;
use simile::vector::Vector;

use super::hearing::model;

const RATE: u32 = 22_050;

fn sweep() -> Vec<f64> {
    let sample = |at: u32| {
        let time = f64::from(at) / f64::from(RATE);
        let beats = 0.2 + 0.2 * ((time * 5.0).floor() % 2.0);
        let left = beats * (TAU * (300.0 + 700.0 * time) * time).sin();
        f64::midpoint(left, 0.15 * (TAU * 880.0 * time).sin())
    };
    (0..RATE).map(sample).collect()
}

/// The sweep at the rate that is handed out, read from between its samples by its formula.
fn expected() -> Vec<f32> {
    let samples = sweep();
    (0..16_000_u32)
        .map(|at| {
            let place = f64::from(at) * f64::from(RATE) / 16_000.0;
            let (left, rest) = (place as usize, place.fract());
            let after = samples.get(left + 1).copied().unwrap_or_default();
            (samples[left] * (1.0 - rest) + after * rest) as f32
        })
        .collect()
}

fn vector(samples: &[f32]) -> Vec<f32> {
    match model().embed_sound(samples, Lane::Query, &Cancellation::new()).unwrap() {
        Some(Vector::Dense(vector)) => vector.as_slice().to_vec(),
        other => panic!("expected a dense vector, got {other:?}"),
    }
}

#[test]
fn every_format_holds_the_same_sound_and_its_tags() {
    let original = vector(&expected());
    for (name, format, is_exact, has_tags) in [
        // The tags of WAV are not read by symphonia 0.6.1.
        ("adpcm.wav", SoundFormat::Wav, false, false),
        ("aiff", SoundFormat::Aiff, true, false),
        ("flac", SoundFormat::Flac, true, true),
        ("alac.m4a", SoundFormat::M4a, true, true),
        ("mp3", SoundFormat::Mp3, false, true),
        ("ogg", SoundFormat::Ogg, false, true),
        ("m4a", SoundFormat::M4a, false, true),
        ("aac", SoundFormat::Aac, false, false),
    ] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sound");
        let bytes = fs_err::read(folder.join(format!("sweep.{name}"))).unwrap();
        assert_eq!(sound_format(&bytes), Some(format), "{name}");
        let cancel = Cancellation::new();
        let mut opened = sounds(&bytes, format, &SoundOptions::default(), &cancel).unwrap();
        let SoundFacts { rate, channels, title, artist, album, .. } = opened.facts().clone();
        assert_eq!((rate, channels), (RATE, 2), "{name}");
        if has_tags {
            assert_eq!(title.as_deref(), Some("Sweep"), "{name}");
            assert_eq!(artist.as_deref(), Some("simile"), "{name}");
            assert_eq!(album.as_deref(), Some("Fixtures"), "{name}");
        }
        let samples: Vec<f32> = (&mut opened).flat_map(|block| block.unwrap()).collect();
        assert_eq!(opened.take_warnings(), Vec::<String>::new(), "{name}");
        assert!(samples.len().abs_diff(16_000) <= 2_500, "{name}: {} samples", samples.len());
        if is_exact {
            let inside = samples.iter().zip(expected()).skip(200).take(15_600);
            let off = inside.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off < 0.02, "{name}: {off}");
        }
        let cosine: f32 = vector(&samples).iter().zip(&original).map(|(a, b)| a * b).sum();
        assert!(cosine > 0.95, "{name}: {cosine}");
    }
}
