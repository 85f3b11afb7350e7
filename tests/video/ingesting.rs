//! Videos in, moments out, with a model of the tests' own.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use simile::cancel::Cancellation;
use simile::decode::Limits;
use simile::decode::video::{Container, VideoOptions, frames};
use simile::document::{DocumentId, Part, Payload, Span, Value};
use simile::embed::image::{Pixels, Preprocess};
use simile::embed::video::{
    ClipPooling, PatchSizes, SpacetimeOutput, SpacetimeSettings, clip_dimension,
};
use simile::embed::{
    EmbedError, Embedder, EmbedderHandle, Encoded, Fingerprint, Grid, Kind, Modality, Role,
    Specification, Tokenize, WorkerOptions,
};
use simile::error::ErrorKind;
use simile::ingest::{
    ItemError, PrepareContext, Source, SourceContent, TargetForm, VectorTarget, excerpt, prepare,
};
use simile::picture::Picture;
use simile::query::{Sighting, moments};
use simile::vector::{DenseVector, Form, Metric, Vector};

const CELLS: usize = 8;
const CHANNELS: usize = 3;

/// An image model that sees the mean colour of each of 8 x 8 cells, less grey; or nothing.
#[derive(Debug)]
struct Colours {
    specification: Specification,
    settings: Arc<SpacetimeSettings>,
    is_blind: bool,
}

#[derive(Debug)]
struct Means;

impl Preprocess for Means {
    fn preprocess(&self, picture: &Picture) -> Result<Pixels, EmbedError> {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let mut sums = vec![0.0; CHANNELS * CELLS * CELLS];
        let mut counts = [0.0_f32; CELLS * CELLS];
        for (at, pixel) in picture.samples().chunks_exact(3).enumerate() {
            let cell = (at / width * CELLS / height) * CELLS + at % width * CELLS / width;
            counts[cell] += 1.0;
            for (channel, sample) in pixel.iter().enumerate() {
                sums[channel * CELLS * CELLS + cell] += f32::from(*sample) / 255.0 - 0.5;
            }
        }
        let mean = |(at, sum): (usize, &f32)| sum / counts[at % (CELLS * CELLS)].max(1.0);
        let values = sums.iter().enumerate().map(mean).collect();
        Ok(Pixels { height: CELLS, width: CELLS, values })
    }
}

impl Tokenize for Colours {
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

impl Embedder for Colours {
    fn specification(&self) -> &Specification {
        &self.specification
    }

    fn tokenizer(&self) -> Arc<dyn Tokenize> {
        Arc::new(colours(self.is_blind))
    }

    fn preprocessor(&self) -> Option<Arc<dyn Preprocess>> {
        Some(Arc::new(Means))
    }

    fn grid(&self) -> Option<Grid> {
        Some(Grid { channels: CHANNELS, rows: CELLS, columns: CELLS })
    }

    fn spacetime(&self) -> Option<Arc<SpacetimeSettings>> {
        Some(Arc::clone(&self.settings))
    }

    fn run(&mut self, _: &[&Encoded]) -> Result<Vec<Option<Vector>>, EmbedError> {
        Ok(Vec::new())
    }

    fn run_pictures(&mut self, batch: &[&Pixels]) -> Result<Vec<Option<Vector>>, EmbedError> {
        let see = |pixels: &&Pixels| {
            let blind = vec![0.3; pixels.values.len()];
            let values = if self.is_blind { blind } else { pixels.values.clone() };
            Ok(Some(DenseVector::new(values)?.into()))
        };
        batch.iter().map(see).collect()
    }
}

fn colours(is_blind: bool) -> Colours {
    let pooling = ClipPooling::default();
    let settings = SpacetimeSettings {
        image: "colours".to_owned(),
        image_fingerprint: String::new(),
        frames_per_second: 4.0,
        window_ms: 2_000,
        output: SpacetimeOutput::default(),
        patch: PatchSizes::default(),
        pooling,
        centre: Vec::new(),
    };
    let specification = Specification {
        name: "colours-in-time".to_owned(),
        kind: Kind::Spacetime,
        fingerprint: Fingerprint::of(&[]),
        modalities: &[Modality::Image, Modality::Video],
        form: Form::Dense,
        dimension: clip_dimension(&pooling, CHANNELS),
        metric: Metric::Cosine,
        tokens_max: 0,
        licence: String::new(),
    };
    Colours { specification, settings: Arc::new(settings), is_blind }
}

fn handle(is_blind: bool) -> EmbedderHandle {
    EmbedderHandle::start(colours(is_blind), WorkerOptions::default()).unwrap()
}

pub(crate) fn context(embedder: EmbedderHandle) -> PrepareContext {
    let dimension = embedder.specification().dimension;
    let form = TargetForm::Dense { dimension, metric: Metric::Cosine };
    let target = VectorTarget { form, embedder: Some(embedder) };
    PrepareContext {
        vectors: BTreeMap::from([("clip".to_owned(), target)]),
        tokens_max: None,
        tokens_overlap: None,
        has_words: true,
        limits: Limits::default(),
    }
}

/// How a rendered film is shown: which part of the picture, how large, how coarse.
#[derive(Debug, Clone, Copy)]
struct Shown {
    width: usize,
    height: usize,
    /// How much is cut off each side, as a share of it.
    cut: f64,
    /// Samples are rounded to multiples of this.
    coarse: u8,
}

const WHOLE: Shown = Shown { width: 96, height: 64, cut: 0.0, coarse: 1 };
/// Scaled, cropped, and as coarse as a strong compression leaves it.
const EDITED: Shown = Shown { width: 60, height: 44, cut: 0.04, coarse: 12 };

/// Frames of a film in Y4M at 10 frames a second, from one on: three spots wander on curves that never
/// meet again, over a ground that changes its colour every seven seconds.
fn film(seconds: Range<usize>, shown: Shown) -> Vec<u8> {
    let Shown { width, height, cut, coarse } = shown;
    let mut bytes = format!("YUV4MPEG2 W{width} H{height} F10:1 C444\n").into_bytes();
    for frame in seconds.start * 10..seconds.end * 10 {
        let time = frame as f64 / 10.0;
        let scene = (time / 7.0).floor();
        let spots = [0.0, 1.0, 2.0].map(|spot| {
            let turn = |speed: f64| 0.5 + 0.4 * (time * speed + spot * 2.1 + scene * 1.3).sin();
            (turn(0.31 + 0.13 * spot), turn(0.47 - 0.09 * spot))
        });
        let mut planes = [const { Vec::new() }; 3];
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let place =
                |at: usize, of: usize| cut + (1.0 - 2.0 * cut) * (at as f64 + 0.5) / of as f64;
            let (x, y) = (place(x, width), place(y, height));
            let near = |(a, b): (f64, f64)| (-((x - a).powi(2) + (y - b).powi(2)) / 0.012).exp();
            let [first, second, third] = spots.map(near);
            let luma =
                60.0 + 40.0 * (scene * 1.7).sin() + 120.0 * (first + second + third).min(1.0);
            let tint = |value: f64| 128.0 + 70.0 * value.clamp(-1.0, 1.0);
            let values = [
                luma,
                tint(first - second + 0.4 * (scene * 2.3).cos() + 0.2 * x),
                tint(third - first + 0.4 * (scene * 0.9).sin() + 0.2 * y),
            ];
            for (plane, value) in planes.iter_mut().zip(values) {
                plane.push(value.clamp(16.0, 235.0) as u8 / coarse * coarse);
            }
        }
        bytes.extend(b"FRAME\n");
        planes.iter().for_each(|plane| bytes.extend(plane));
    }
    bytes
}

/// What is stored of a video.
struct Video {
    parts: Vec<Part>,
    payload: Payload,
    warnings: Vec<String>,
}

fn cut(bytes: &[u8], context: &PrepareContext) -> Result<Video, ItemError> {
    cut_until(bytes, context, &Cancellation::new())
}

fn cut_until(
    bytes: &[u8],
    context: &PrepareContext,
    cancel: &Cancellation,
) -> Result<Video, ItemError> {
    let content =
        SourceContent::File { name: "film.y4m".into(), bytes: bytes.to_vec(), media_type: None };
    let source = Source { id: DocumentId::new("film").unwrap(), content, payload: Payload::new() };
    let mut prepared = prepare(&[source], context, cancel).remove(0)?;
    let document = prepared.documents.remove(0);
    Ok(Video { parts: document.parts, payload: document.payload, warnings: prepared.warnings })
}

pub(super) fn span(part: &Part) -> Range<u64> {
    match &part.span {
        Span::Media { time: Some(time), area: None } => time.clone(),
        other => panic!("expected a stretch of time, got {other:?}"),
    }
}

#[test]
fn a_video_becomes_parts_that_cover_it_and_break_where_it_does() {
    let video = cut(&film(0..21, WHOLE), &context(handle(false))).unwrap();
    let spans: Vec<Range<u64>> = video.parts.iter().map(span).collect();
    assert_eq!((spans[0].start, spans.last().unwrap().end), (0, 21_000));
    assert!(spans.windows(2).all(|pair| pair[0].end == pair[1].start), "{spans:?}");
    assert!(spans.iter().all(|span| span.end - span.start <= 2_000), "{spans:?}");
    assert!(spans.iter().any(|span| span.start == 7_000), "a new scene: {spans:?}");
    assert_eq!(video.payload["seconds"], Value::Float(21.0));
    assert_eq!(video.payload["frames"], Value::Integer(210));
    assert_eq!(video.warnings, Vec::<String>::new());
}

/// How many excerpts of the film are found, and how far off at most, in milliseconds.
fn found(is_blind: bool) -> (usize, usize, u64) {
    let embedder = handle(is_blind);
    let stored = cut(&film(0..42, WHOLE), &context(embedder.clone())).unwrap();
    let id = DocumentId::new("film").unwrap();
    let (mut hits, mut asked, mut worst) = (0, 0, 0);
    for start in (1..37).step_by(3) {
        let cancel = Cancellation::new();
        let bytes = film(start..start + 5, EDITED);
        let frames = frames(&bytes, Container::Y4m, &VideoOptions::default(), &cancel).unwrap();
        let excerpt = excerpt(frames, &embedder, &cancel).unwrap();
        assert_eq!((excerpt.length_ms, excerpt.window_ms), (5_000, 2_000));
        let mut sightings = Vec::new();
        for stretch in &excerpt.stretches {
            let score = |part: &Part| match (&part.vectors["clip"], &stretch.vector) {
                (Vector::Dense(a), Vector::Dense(b)) => {
                    a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| a * b).sum::<f32>()
                }
                _ => panic!("expected dense vectors"),
            };
            let mut scores: Vec<(f32, u64)> =
                stored.parts.iter().map(|part| (score(part), span(part).start)).collect();
            scores.sort_by(|a, b| b.0.total_cmp(&a.0));
            sightings.extend(scores.into_iter().take(5).map(|(score, start_ms)| Sighting {
                excerpt_ms: stretch.start_ms,
                id: id.clone(),
                start_ms,
                score,
            }));
        }
        let best = &moments(&sightings, excerpt.length_ms, excerpt.window_ms)[0];
        let off = best.start_ms.abs_diff(start as u64 * 1_000);
        asked += 1;
        if off <= 1_000 {
            hits += 1;
            worst = worst.max(off);
        }
    }
    (hits, asked, worst)
}

#[test]
fn an_excerpt_that_was_scaled_cropped_and_coarsened_is_found_at_its_time() {
    let (hits, asked, worst) = found(false);
    assert!(hits == asked, "{hits} of {asked} found, at most {worst} ms off");
}

#[test]
fn a_model_that_sees_nothing_finds_no_excerpt() {
    let (hits, asked, _) = found(true);
    assert!(hits * 4 <= asked, "{hits} of {asked} found");
}

#[test]
fn frames_of_one_colour_make_no_part_and_a_video_of_nothing_else_is_refused() {
    let mut bytes = film(0..2, WHOLE);
    for _ in 0..30 {
        bytes.extend(b"FRAME\n");
        bytes.extend([16; 96 * 64]);
        bytes.extend([128; 2 * 96 * 64]);
    }
    let video = cut(&bytes, &context(handle(false))).unwrap();
    assert_eq!(video.parts.last().map(span).unwrap().end, 2_000);
    assert_eq!(video.warnings, ["3.0 s without anything to see were left out"]);
    let black = [b"YUV4MPEG2 W2 H2 F1:1 Cmono\nFRAME\n".as_slice(), &[16; 4]].concat();
    let error = cut(&black, &context(handle(false))).err().unwrap();
    assert_eq!(error.kind, ErrorKind::InvalidInput);
    assert!(error.message.starts_with("there is nothing to see in it"), "{error}");
}

#[test]
fn a_video_that_ends_early_keeps_what_was_seen() {
    let bytes = film(0..4, WHOLE);
    let video = cut(&bytes[..bytes.len() - 7], &context(handle(false))).unwrap();
    assert_eq!(video.parts.last().map(span).unwrap().end, 3_900);
    assert!(video.warnings[0].starts_with("the video ends early: the Y4M video is damaged"));
}

#[test]
fn a_collection_that_sees_nothing_says_what_it_reads_instead() {
    let given = VectorTarget {
        form: TargetForm::Dense { dimension: 3, metric: Metric::Cosine },
        embedder: None,
    };
    let context = PrepareContext {
        vectors: BTreeMap::from([("own".to_owned(), given)]),
        ..context(handle(false))
    };
    let error = cut(&film(0..1, WHOLE), &context).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Unsupported);
    assert_eq!(error.message, "the collection sees no videos: vector `own` is given");
}

#[test]
fn a_cancelled_video_ends_as_cancelled() {
    let cancel = Cancellation::new();
    let bytes = film(0..4, WHOLE);
    cancel.cancel();
    let error = cut_until(&bytes, &context(handle(false)), &cancel).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Cancelled);
}
