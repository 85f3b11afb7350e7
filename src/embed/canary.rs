//! Does a model still give the vectors that are written down?

use std::collections::{BTreeMap, BTreeSet};

use super::image::Preprocess;
use super::manifest::{Canary, CanaryPicture, CanarySound};
use super::sound::SOUND_RATE;
use super::{EmbedError, Embedder, Kind, Modality, Role};
use crate::picture::Picture;
use crate::vector::{SparseVector, Vector};

/// How near the vector of a canary has to come to the one written down.
const COSINE_MIN: f32 = 0.9999;
/// The same where another server computes it: not all of them give the same vector twice.
const COSINE_REMOTE_MIN: f32 = 0.99;
/// How many components or entries of a canary's vector are written down.
const LENGTH: usize = 8;
/// The sides of a canary's picture.
const WIDTH: u32 = 160;
const HEIGHT: u32 = 120;

/// Returns what a model makes of a few texts, if it reads any, and of pictures and sounds, if it reads
/// these; to be written down in its manifest.
pub(super) fn make(
    texts: Vec<String>,
    model: &mut dyn Embedder,
) -> Result<Option<Canary>, EmbedError> {
    let mut canary = Canary::default();
    let reads = |modality| model.specification().require(modality).is_ok();
    let (reads_texts, reads_pictures) = (reads(Modality::Text), reads(Modality::Image));
    let reads_sounds = reads(Modality::Sound);
    for text in texts.into_iter().filter(|_| reads_texts) {
        let vector = of_text(&text, model)?;
        if canary.note(vector) {
            canary.texts.push(text);
        }
    }
    for picture in CanaryPicture::ALL.into_iter().filter(|_| reads_pictures) {
        let vector = of_picture(picture, model)?;
        if canary.note(vector) {
            canary.pictures.push(picture);
        }
    }
    for sound in CanarySound::ALL.into_iter().filter(|_| reads_sounds) {
        let vector = of_sound(sound, model)?;
        if canary.note(vector) {
            canary.sounds.push(sound);
        }
    }
    let is_empty = canary.inputs() == 0;
    Ok((!is_empty).then_some(canary))
}

/// Checks that the model gives the vectors that are written down.
pub(super) fn check(
    name: &str,
    canary: &Canary,
    model: &mut dyn Embedder,
) -> Result<(), EmbedError> {
    let is_remote = model.specification().kind == Kind::Remote;
    let least = if is_remote { COSINE_REMOTE_MIN } else { COSINE_MIN };
    let mut found = Vec::new();
    for text in &canary.texts {
        found.push((text.chars().take(40).collect::<String>(), of_text(text, model)?));
    }
    for picture in &canary.pictures {
        found.push((format!("{picture:?}"), of_picture(*picture, model)?));
    }
    for sound in &canary.sounds {
        found.push((format!("{sound:?}"), of_sound(*sound, model)?));
    }
    let dense = canary.vectors.iter().map(Some).chain(canary.entries.iter().map(|_| None));
    let sparse = canary.vectors.iter().map(|_| None).chain(canary.entries.iter().map(Some));
    for (((text, vector), components), expected) in found.into_iter().zip(dense).zip(sparse) {
        let cosine = match (vector, components, expected) {
            (Some(Vector::Dense(vector)), Some(components), _) => {
                let length = components.len().min(vector.dimension());
                cosine(&vector.as_slice()[..length], &components[..length])
            }
            (Some(Vector::Multi(vector)), Some(components), _) => {
                let length = components.len().min(vector.as_slice().len());
                cosine(&vector.as_slice()[..length], &components[..length])
            }
            (Some(Vector::Sparse(vector)), _, Some(expected)) => {
                sparse_cosine(&entries(&vector), expected)
            }
            (None | Some(_), _, _) => 0.0,
        };
        if cosine < least {
            let name = name.to_owned();
            return Err(EmbedError::Canary { name, text, cosine, least });
        }
    }
    Ok(())
}

impl Canary {
    /// Writes a vector down and returns whether there was one.
    fn note(&mut self, vector: Option<Vector>) -> bool {
        match vector {
            Some(Vector::Dense(vector)) => {
                let length = LENGTH.min(vector.dimension());
                self.vectors.push(vector.as_slice()[..length].to_vec());
            }
            Some(Vector::Multi(vector)) => {
                let length = LENGTH.min(vector.as_slice().len());
                self.vectors.push(vector.as_slice()[..length].to_vec());
            }
            Some(Vector::Sparse(vector)) => self.entries.push(entries(&vector)),
            None => return false,
        }
        true
    }
}

impl CanaryPicture {
    const ALL: [Self; 2] = [Self::Gradient, Self::Disc];

    /// Returns the picture.
    fn draw(self) -> Picture {
        let samples = (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (x, y)));
        let samples = samples.flat_map(|(x, y)| self.sample(x, y)).collect();
        Picture::new(WIDTH, HEIGHT, samples).expect("three samples a pixel")
    }

    fn sample(self, x: u32, y: u32) -> [u8; 3] {
        let share = |of: u32, whole: u32| u8::try_from(of * 255 / whole).unwrap_or(u8::MAX);
        match self {
            Self::Gradient => [share(x, WIDTH), share(y, HEIGHT), share(WIDTH - x, WIDTH)],
            Self::Disc => {
                let (across, down) = (x.abs_diff(70), y.abs_diff(50));
                if across * across + down * down < 40 * 40 {
                    [220, 40, 30]
                } else if (x / 20 + y / 20).is_multiple_of(2) {
                    [20, 60, 90]
                } else {
                    [120, 200, 160]
                }
            }
        }
    }
}

fn of_text(text: &str, model: &mut dyn Embedder) -> Result<Option<Vector>, EmbedError> {
    let encoded = model.tokenizer().encode(text, Role::Passage)?;
    Ok(model.run(&[&encoded])?.remove(0))
}

fn of_picture(
    picture: CanaryPicture,
    model: &mut dyn Embedder,
) -> Result<Option<Vector>, EmbedError> {
    let Some(preprocessor) = model.preprocessor() else { return Ok(None) };
    let pixels = Preprocess::preprocess(preprocessor.as_ref(), &picture.draw())?;
    Ok(model.run_pictures(&[&pixels])?.remove(0))
}

impl CanarySound {
    const ALL: [Self; 2] = [Self::Sweep, Self::Beats];

    /// Returns two seconds of it.
    fn render(self) -> Vec<f32> {
        use std::f64::consts::TAU;
        let rate = f64::from(SOUND_RATE);
        let sample = |at: u32| {
            let time = f64::from(at) / rate;
            let value = match self {
                // From 200 to 3000 Hz, evenly.
                Self::Sweep => (TAU * (200.0 + 700.0 * time) * time).sin() * 0.5,
                // Two notes that are struck four times a second.
                Self::Beats => {
                    let fades = (-12.0 * (time * 4.0).fract() / 4.0).exp();
                    fades * ((TAU * 440.0 * time).sin() + (TAU * 1_320.0 * time).sin()) * 0.3
                }
            };
            value as f32
        };
        (0..2 * SOUND_RATE).map(sample).collect()
    }
}

fn of_sound(sound: CanarySound, model: &mut dyn Embedder) -> Result<Option<Vector>, EmbedError> {
    let Some(hearing) = model.hearing() else { return Ok(None) };
    let spectrogram = hearing.spectrogram(&sound.render());
    Ok(model.run_pictures(&[&spectrogram])?.remove(0))
}

fn entries(vector: &SparseVector) -> Vec<(u32, f32)> {
    let entries = vector.indices().iter().copied().zip(vector.values().iter().copied());
    entries.take(LENGTH).collect()
}

/// Two vectors of nothing but zeros are the same.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    let (a_length, b_length) = (dot(a, a).sqrt(), dot(b, b).sqrt());
    if a_length == 0.0 && b_length == 0.0 {
        return 1.0;
    }
    let lengths = a_length * b_length;
    if lengths > 0.0 { dot(a, b) / lengths } else { 0.0 }
}

/// The cosine of the entries up to where both lists reach: a word whose weight is hardly any may be there
/// on one machine and not on another. Two vectors without entries are the same.
fn sparse_cosine(a: &[(u32, f32)], b: &[(u32, f32)]) -> f32 {
    let (Some(&(a_end, _)), Some(&(b_end, _))) = (a.last(), b.last()) else {
        return if a.is_empty() && b.is_empty() { 1.0 } else { 0.0 };
    };
    let end = if a.len().min(b.len()) < LENGTH { a_end.max(b_end) } else { a_end.min(b_end) };
    let [a, b] = [a, b].map(|entries| -> BTreeMap<u32, f32> {
        entries.iter().copied().filter(|(index, _)| *index <= end).collect()
    });
    let indices: BTreeSet<u32> = a.keys().chain(b.keys()).copied().collect();
    let values = |entries: &BTreeMap<u32, f32>| -> Vec<f32> {
        indices.iter().map(|index| entries.get(index).copied().unwrap_or(0.0)).collect()
    };
    cosine(&values(&a), &values(&b))
}
