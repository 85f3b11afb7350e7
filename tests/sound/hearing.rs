//! What the model that comes along tells apart.

use rand::SeedableRng;
use rand::rngs::StdRng;
use simile::embed::sound::{DEFAULT_SOUND_MODEL, Spectrogram};
use simile::embed::{Catalogue, EmbedderHandle, Lane, Modality};
use simile::error::{Classified, ErrorKind};
use simile::{cancel::Cancellation, vector::Vector};

use super::render::Class;
use crate::support::catalogue_options;

const OF_EACH: usize = 20;
const SEED: u64 = 20_261_127;

pub(super) fn model() -> EmbedderHandle {
    let catalogue = Catalogue::open(catalogue_options()).unwrap();
    catalogue.load(DEFAULT_SOUND_MODEL, &|_, _, _| {}).unwrap()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1e-9)
}

/// The share of sounds of each class whose nearest neighbour is of the same class.
fn agreeing(all: &[(Class, Vec<f32>)]) -> Vec<f32> {
    let agrees = |(at, (class, vector)): (usize, &(Class, Vec<f32>))| {
        let others = all.iter().enumerate().filter(|(other, _)| *other != at);
        let nearest =
            others.max_by(|(_, a), (_, b)| cosine(vector, &a.1).total_cmp(&cosine(vector, &b.1)));
        (*class, nearest.unwrap().1.0 == *class)
    };
    let found: Vec<(Class, bool)> = all.iter().enumerate().map(agrees).collect();
    let share = |class: Class| {
        let own: Vec<bool> = found.iter().filter(|one| one.0 == class).map(|one| one.1).collect();
        own.iter().filter(|agrees| **agrees).count() as f32 / own.len() as f32
    };
    Class::ALL.into_iter().map(share).collect()
}

#[test]
fn neighbours_are_of_one_class_where_the_mean_spectrum_does_not_tell_rising_from_falling() {
    let embedder = model();
    let mut random = StdRng::seed_from_u64(SEED);
    let (mut vectors, mut means, mut constant) = (Vec::new(), Vec::new(), Vec::new());
    let spectrogram = Spectrogram::new(64, 20.0);
    for class in Class::ALL {
        for _ in 0..OF_EACH {
            let samples: Vec<f32> =
                class.render(&mut random).into_iter().map(|sample| sample as f32).collect();
            let vector = embedder.embed_sound(&samples, Lane::Bulk, &Cancellation::new()).unwrap();
            let Some(Vector::Dense(vector)) = vector else { panic!("{class:?} is heard") };
            vectors.push((class, vector.as_slice().to_vec()));
            let of = spectrogram.of(&samples);
            let loudest = of.values.iter().copied().fold(f32::MIN, f32::max);
            let stands = |value: &f32| ((value - loudest) / 20.0 + 1.0).max(0.0);
            let band = |band: usize| of.values.iter().skip(band).step_by(64).map(stands).sum();
            means.push((class, (0..64).map(band).collect::<Vec<f32>>()));
            constant.push((class, vec![1.0; 3]));
        }
    }
    let (own, mean, constant) = (agreeing(&vectors), agreeing(&means), agreeing(&constant));
    let average = |shares: &[f32]| shares.iter().sum::<f32>() / shares.len() as f32;
    println!("own {own:?}, mean spectrum {mean:?}, constant {constant:?}");
    assert!(average(&own) >= 0.95, "{own:?}");
    // Rising and falling are the third and the fourth.
    assert!(own[2].min(own[3]) >= 0.9, "{own:?}");
    assert!(f32::midpoint(mean[2], mean[3]) <= 0.75, "{mean:?}");
    assert!(average(&own) >= average(&mean) + 0.1, "{own:?} against {mean:?}");
    assert!(average(&constant) <= 0.25, "a model that hears nothing fails: {constant:?}");
}

#[test]
fn the_model_is_in_the_catalogue_with_what_it_reads_and_refuses_the_rest() {
    let embedder = model();
    let specification = embedder.specification();
    assert_eq!(specification.modalities, [Modality::Sound]);
    assert_eq!((specification.dimension, specification.kind.name()), (202, "mel-patches"));
    assert_eq!(embedder.listens_to(), Some((2_000, 1_000)));
    let cancel = Cancellation::new();
    let role = simile::embed::Role::Query;
    let error = embedder.embed(&["a bell"], role, Lane::Query, &cancel).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("reads sound"), "{error}");
    cancel.cancel();
    let error = embedder.embed_sound(&[0.5; 800], Lane::Query, &cancel).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}
