use std::f64::consts::TAU;

use serde::Deserialize;

use super::*;
use crate::embed::shelf::BUILT_IN;
use crate::embed::{Manifest, Method, canary};

/// What `tests/reference/sound.py` recorded.
#[derive(Deserialize)]
struct Reference {
    every: usize,
    count: usize,
    frames: Vec<Vec<f32>>,
}

fn manifest() -> Manifest {
    let all = BUILT_IN.iter().map(|text| Manifest::parse(text, "built in").unwrap());
    all.into_iter().find(|manifest| manifest.name == DEFAULT_SOUND_MODEL).unwrap()
}

fn settings() -> SoundSettings {
    match manifest().method {
        Method::MelPatches { sound } => sound,
        other => panic!("expected patches of mel spectrograms, got {other:?}"),
    }
}

fn rendered(samples: usize, at: impl Fn(f64) -> f64) -> Vec<f32> {
    (0..samples).map(|sample| at(sample as f64 / f64::from(SOUND_RATE)) as f32).collect()
}

/// Numbers from -1 to 1, the same ones as in Python.
fn noise(samples: usize) -> Vec<f64> {
    let mut state = 1_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 23) - 1.0
    };
    (0..samples).map(|_| next()).collect()
}

fn heard(samples: &[f32]) -> Option<Vec<f32>> {
    let hearing = Hearing::new(settings());
    sound_vector(&hearing.spectrogram(samples), hearing.settings())
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn spectrograms_are_those_of_librosa() {
    let reference: Reference =
        serde_json::from_str(include_str!("../../../tests/reference/sound.json")).unwrap();
    let hiss = noise(32_000);
    let samples: Vec<f32> = hiss
        .iter()
        .enumerate()
        .map(|(at, hiss)| {
            let time = at as f64 / 16_000.0;
            let tone = 0.4 * (TAU * 440.0 * time).sin();
            let sweep = 0.3 * (TAU * (300.0 + 900.0 * time) * time).sin();
            (tone + sweep + 0.01 * hiss) as f32
        })
        .collect();
    let found = Spectrogram::new(64, 20.0).of(&samples);
    assert_eq!((found.height, found.width), (reference.count, 64));
    let mut worst = 0.0_f32;
    for (at, expected) in reference.frames.iter().enumerate() {
        let frame = &found.values[at * reference.every * 64..][..64];
        for (found, expected) in frame.iter().zip(expected) {
            worst = worst.max((found - expected).abs());
        }
    }
    assert!(worst < 1e-2, "{worst} dB");
}

#[test]
fn every_band_hears_something_and_silence_is_the_floor() {
    let spectrogram = Spectrogram::new(64, 20.0);
    let hiss: Vec<f32> = noise(16_000).into_iter().map(|value| value as f32).collect();
    let loud = spectrogram.of(&hiss);
    for band in 0..64 {
        let mean: f32 = loud.values.iter().skip(band).step_by(64).sum::<f32>() / loud.height as f32;
        assert!(mean > -20.0, "band {band}: {mean} dB");
    }
    let silent = spectrogram.of(&[0.0; 800]);
    assert!(silent.values.iter().all(|&value| value == -100.0));
    assert_eq!(spectrogram.of(&[]).height, 0);
    assert_eq!(spectrogram.of(&[0.5; 7]).height, 1);
}

#[test]
fn patches_know_their_moment_and_their_bands() {
    let hearing = Hearing::new(settings());
    // A low note, and after a second a high one.
    let samples = rendered(32_000, |time| {
        (TAU * if time < 1.0 { 250.0 } else { 3_500.0 } * time).sin() * 0.4
    });
    let patches = sound_patches(&hearing.spectrogram(&samples), hearing.settings());
    let loudest = |from: u64, until: u64| {
        let within = patches.iter().filter(|patch| patch.start_ms >= from && patch.end_ms <= until);
        within.max_by(|a, b| a.vector[0].total_cmp(&b.vector[0])).unwrap()
    };
    let (low, high) = (loudest(0, 900), loudest(1_100, 2_000));
    // 250 Hz is in band 6 of 64, 3500 Hz in band 45.
    assert_eq!((low.area.top, low.area.height), (0, 8));
    assert_eq!((high.area.top, high.area.height), (40, 8));
    assert_eq!((patches[0].start_ms, patches[0].end_ms), (0, 160));
    assert_eq!(patches[8].start_ms, 80);
    assert!(patches.iter().all(|patch| patch.vector.len() == 8));
}

#[test]
fn gain_does_not_count_and_short_sounds_are_heard() {
    let note = |time: f64| (TAU * 600.0 * time).sin() * (-3.0 * time).exp();
    let (loud, soft) = (rendered(20_000, note), rendered(20_000, |time| note(time) * 0.01));
    let cosine = cosine(&heard(&loud).unwrap(), &heard(&soft).unwrap());
    assert!(cosine > 0.999, "{cosine}");
    for samples in [100, 400, 1_000, 3_000] {
        let vector = heard(&loud[..samples]).unwrap();
        assert_eq!(vector.len(), 202);
        assert!(vector.iter().all(|value| value.is_finite()));
    }
    assert_eq!(heard(&[]), None);
    assert_eq!(heard(&[0.0; 8_000]), None, "silence has no direction");
}

#[test]
fn a_sound_played_backwards_has_another_vector_and_the_same_mean_spectrum() {
    let up = rendered(32_000, |time| (TAU * (300.0 + 600.0 * time) * time).sin() * 0.5);
    let down: Vec<f32> = up.iter().rev().copied().collect();
    let (up_vector, down_vector) = (heard(&up).unwrap(), heard(&down).unwrap());
    assert!(cosine(&up_vector, &down_vector) < 0.8, "{}", cosine(&up_vector, &down_vector));
    // The slant of the whole is the last block; it rises, or falls.
    let slant = |vector: &[f32]| vector[202 - 10 + 1];
    assert!(slant(&up_vector) > 0.1 && slant(&down_vector) < -0.1);
    let mean = |samples: &[f32]| {
        let spectrogram = Spectrogram::new(64, 20.0).of(samples);
        let band = |band: usize| spectrogram.values.iter().skip(band).step_by(64).sum::<f32>();
        (0..64).map(band).collect::<Vec<_>>()
    };
    let (a, b) = (mean(&up), mean(&down));
    let lengths = (cosine(&a, &a) * cosine(&b, &b)).sqrt();
    assert!(cosine(&a, &b) / lengths > 0.999);
}

#[test]
fn settings_that_fit_no_spectrogram_are_refused_by_name() {
    let refused = |change: &dyn Fn(&mut SoundSettings), says: &str| {
        let mut settings = settings();
        change(&mut settings);
        let dimension = settings.dimension();
        let reason = settings.check(dimension).unwrap_err();
        assert!(reason.contains(says), "expected {says:?}, got {reason}");
    };
    assert_eq!(settings().check(202), Ok(()));
    assert!(settings().check(203).unwrap_err().contains("dimension is 203, expected 202"));
    refused(&|settings| settings.window_ms = 0, "window_ms is 0");
    refused(&|settings| settings.step_ms = 2_001, "step_ms is 2001");
    refused(&|settings| settings.bands = 65, "bands is 65, expected 1 to 64");
    refused(&|settings| settings.patch.bands = 7, "expected a divisor of the 64 bands");
    refused(&|settings| settings.patch.coefficients_time = 17, "coefficients_time is 17");
    refused(&|settings| settings.range_db = f32::NAN, "range_db");
    refused(&|settings| settings.pooling.mean = -1.0, "weights");
}

#[test]
fn the_model_that_comes_along_gives_the_vectors_that_its_manifest_says() {
    let manifest = manifest();
    let mut model = MelPatches::new(&manifest, &settings());
    let made = canary::make(Vec::new(), &mut model).unwrap().unwrap();
    let written = manifest.canary.as_ref().unwrap_or_else(|| panic!("write down {made:?}"));
    canary::check(&manifest.name, written, &mut model).unwrap();
    let mut other = settings();
    other.pooling.max = 0.0;
    let wrong = Manifest { dimension: other.dimension(), ..manifest.clone() };
    let mut model = MelPatches::new(&wrong, &SoundSettings { range_db: 35.0, ..other });
    let error = canary::check(&manifest.name, written, &mut model).unwrap_err().to_string();
    assert!(error.contains("Sweep") || error.contains("Beats"), "{error}");
}
