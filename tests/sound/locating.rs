//! Excerpts of sounds are found at their time, though they were changed since.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use simile::cancel::Cancellation;
use simile::decode::sound::{SoundFormat, SoundOptions, sounds};
use simile::document::{DocumentId, Part, Payload, Span, Value};
use simile::embed::image::Pixels;
use simile::embed::sound::Hearing;
use simile::embed::{
    EmbedError, Embedder, EmbedderHandle, Encoded, Role, Specification, Tokenize, WorkerOptions,
};
use simile::error::ErrorKind;
use simile::ingest::{
    ItemError, PrepareContext, Source, SourceContent, TargetForm, VectorTarget, prepare,
    sound_excerpt,
};
use simile::query::{Sighting, moments};
use simile::vector::{DenseVector, Metric, Vector};

use super::hearing::model;
use super::render::{PLAIN, RATE, Written, piece, wav};
use crate::video::ingesting::context;

/// Hears nothing: everything is the same to it.
#[derive(Debug, Clone)]
struct Deaf {
    specification: Specification,
    hearing: Arc<Hearing>,
}

impl Tokenize for Deaf {
    fn encode(&self, _: &str, _: Role) -> Result<Encoded, EmbedError> {
        Ok(Encoded { ids: Vec::new(), truncated: false })
    }

    fn token_ranges(&self, _: &str) -> Vec<Range<usize>> {
        Vec::new()
    }

    fn special_tokens(&self) -> usize {
        0
    }
}

impl Embedder for Deaf {
    fn specification(&self) -> &Specification {
        &self.specification
    }

    fn tokenizer(&self) -> Arc<dyn Tokenize> {
        Arc::new(self.clone())
    }

    fn hearing(&self) -> Option<Arc<Hearing>> {
        Some(Arc::clone(&self.hearing))
    }

    fn run(&mut self, _: &[&Encoded]) -> Result<Vec<Option<Vector>>, EmbedError> {
        Ok(Vec::new())
    }

    fn run_pictures(&mut self, batch: &[&Pixels]) -> Result<Vec<Option<Vector>>, EmbedError> {
        let same = |_: &&Pixels| {
            let mut values = vec![0.0; self.specification.dimension];
            values[0] = 1.0;
            Ok(Some(DenseVector::new(values)?.into()))
        };
        batch.iter().map(same).collect()
    }
}

fn deaf() -> EmbedderHandle {
    let specification = model().specification().clone();
    let text = include_str!("../../src/embed/models/simile-sounds-202.toml");
    let manifest = simile::embed::Manifest::parse(text, "built in").unwrap();
    let simile::embed::Method::MelPatches { sound } = manifest.method else {
        panic!("expected patches of mel spectrograms")
    };
    let hearing = Arc::new(Hearing::new(sound));
    EmbedderHandle::start(Deaf { specification, hearing }, WorkerOptions::default()).unwrap()
}

/// What is stored of a sound.
struct Stored {
    parts: Vec<Part>,
    payload: Payload,
    warnings: Vec<String>,
}

fn store(name: &str, bytes: Vec<u8>, context: &PrepareContext) -> Result<Stored, ItemError> {
    let content = SourceContent::File { name: name.to_owned(), bytes, media_type: None };
    let source = Source { id: DocumentId::new(name).unwrap(), content, payload: Payload::new() };
    let mut prepared = prepare(&[source], context, &Cancellation::new()).remove(0)?;
    let document = prepared.documents.remove(0);
    Ok(Stored { parts: document.parts, payload: document.payload, warnings: prepared.warnings })
}

fn span(part: &Part) -> Range<u64> {
    match &part.span {
        Span::Media { time: Some(time), area: None } => time.clone(),
        other => panic!("expected a stretch of time, got {other:?}"),
    }
}

/// Four seconds of a piece, softer, with noise 20 dB below it, written anew.
fn excerpt(piece: &[f64], start: f64, written: Written) -> Vec<u8> {
    let from = (start * f64::from(RATE)) as usize;
    let cut = &piece[from..from + 4 * RATE as usize];
    let square = cut.iter().map(|sample| sample * sample).sum::<f64>() / cut.len() as f64;
    // Even noise between -1 and 1 has a mean square of a third.
    let loud = square.sqrt() * 0.1 * 3.0_f64.sqrt();
    let mut random = StdRng::seed_from_u64(7);
    let changed: Vec<f64> =
        cut.iter().map(|sample| 0.4 * (sample + loud * random.random_range(-1.0..1.0))).collect();
    wav(&changed, written)
}

/// How many excerpts are found at their time in one of three pieces of a minute, of how many.
fn found(embedder: &EmbedderHandle) -> (usize, usize) {
    let context = context(embedder.clone());
    let pieces: Vec<Vec<f64>> = (1..4).map(|seed| piece(60, seed)).collect();
    let mut stored = Vec::new();
    for (place, piece) in pieces.iter().enumerate() {
        let id = DocumentId::new(place.to_string()).unwrap();
        let parts = store("piece.wav", wav(piece, PLAIN), &context).unwrap().parts;
        stored.extend(parts.into_iter().map(|part| (id.clone(), part)));
    }
    let ways = [PLAIN, Written { rate: RATE, bits: 8 }, Written { rate: 44_100, bits: 16 }];
    let (mut hits, mut asked) = (0, 0);
    for (place, piece) in pieces.iter().enumerate() {
        for (number, start) in [3.3, 17.8, 29.1, 40.55, 52.7].into_iter().enumerate() {
            let bytes = excerpt(piece, start, ways[number % ways.len()]);
            let cancel = Cancellation::new();
            let opened = sounds(&bytes, SoundFormat::Wav, &SoundOptions::default(), &cancel);
            let excerpt = sound_excerpt(opened.unwrap(), embedder, &cancel).unwrap();
            assert!(excerpt.length_ms.abs_diff(4_000) <= 1, "{} ms", excerpt.length_ms);
            let mut sightings = Vec::new();
            for stretch in &excerpt.stretches {
                let score = |part: &Part| match (&part.vectors["clip"], &stretch.vector) {
                    (Vector::Dense(a), Vector::Dense(b)) => {
                        a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| a * b).sum::<f32>()
                    }
                    _ => panic!("expected dense vectors"),
                };
                let mut scores: Vec<(f32, &DocumentId, u64)> =
                    stored.iter().map(|(id, part)| (score(part), id, span(part).start)).collect();
                scores.sort_by(|a, b| b.0.total_cmp(&a.0));
                sightings.extend(scores.into_iter().take(20).map(|(score, id, start_ms)| {
                    Sighting { excerpt_ms: stretch.start_ms, id: id.clone(), start_ms, score }
                }));
            }
            let best = &moments(&sightings, excerpt.length_ms, excerpt.window_ms)[0];
            let off = best.start_ms.abs_diff((start * 1_000.0) as u64);
            asked += 1;
            hits += usize::from(best.id.as_str() == place.to_string() && off <= 1_000);
        }
    }
    (hits, asked)
}

#[test]
fn an_excerpt_that_is_softer_noisy_and_written_anew_is_found_at_its_time() {
    let (hits, asked) = found(&model());
    assert!(hits == asked, "{hits} of {asked} found");
}

#[test]
fn a_model_that_hears_nothing_finds_no_excerpt() {
    let (hits, asked) = found(&deaf());
    assert!(hits * 4 <= asked, "{hits} of {asked} found");
}

#[test]
fn a_sound_becomes_stretches_that_lie_over_each_other_and_fields() {
    let stored = store("a.wav", wav(&piece(7, 3), PLAIN), &context(model())).unwrap();
    let spans: Vec<Range<u64>> = stored.parts.iter().map(span).collect();
    let expected: Vec<Range<u64>> =
        (0..6).map(|second| second * 1_000..second * 1_000 + 2_000).collect();
    assert_eq!(spans, expected);
    let fields: BTreeMap<&str, &Value> =
        stored.payload.iter().map(|(name, value)| (name.as_str(), value)).collect();
    assert_eq!(fields["media"], &Value::Text("sound".to_owned()));
    assert_eq!(fields["format"], &Value::Text("wav".to_owned()));
    assert_eq!(fields["seconds"], &Value::Float(7.0));
    assert_eq!(fields["sample_rate"], &Value::Integer(16_000));
    assert_eq!(fields["channels"], &Value::Integer(1));
    assert_eq!(stored.warnings, Vec::<String>::new());
}

#[test]
fn silence_makes_no_part_and_a_sound_of_nothing_else_is_refused() {
    let mut samples = piece(4, 5);
    samples.extend(vec![0.0; 6 * RATE as usize]);
    let stored = store("a.wav", wav(&samples, PLAIN), &context(model())).unwrap();
    assert!(stored.parts.last().map(span).unwrap().end <= 6_000);
    assert!(stored.warnings[0].ends_with("s without anything to hear were left out"));
    // A constant is silent, too.
    for value in [0.0, 0.3] {
        let error = store("a.wav", wav(&vec![value; 30_000], PLAIN), &context(model()));
        let error = error.err().unwrap();
        assert_eq!(error.kind, ErrorKind::InvalidInput);
        assert!(error.message.starts_with("there is nothing to hear in it"), "{error}");
    }
}

#[test]
fn a_sound_that_ends_early_keeps_what_was_heard() {
    let bytes = wav(&piece(6, 3), PLAIN);
    let stored = store("a.wav", bytes[..bytes.len() - 50_000].to_vec(), &context(model())).unwrap();
    assert!(span(stored.parts.last().unwrap()).end > 4_000);
    assert!(
        stored.warnings[0].starts_with("the sound ends early: the WAV sound is damaged"),
        "{:?}",
        stored.warnings
    );
}

#[test]
fn a_collection_that_hears_nothing_says_what_it_reads_instead() {
    let given = VectorTarget {
        form: TargetForm::Dense { dimension: 3, metric: Metric::Cosine },
        embedder: None,
    };
    let context =
        PrepareContext { vectors: BTreeMap::from([("own".to_owned(), given)]), ..context(model()) };
    let error = store("a.wav", wav(&piece(1, 3), PLAIN), &context).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Unsupported);
    assert_eq!(error.message, "the collection reads no sounds: vector `own` is given");
}
