//! The clip of the demo: rendered here, stored, and an edited excerpt of it found at its time.

use std::ops::Range;

use serde_json::Value as Json;
use simile_proto::v1::document::Content;
use simile_proto::v1::upsert_result::Outcome as Stored;
use simile_proto::v1::vector_config::Source;
use simile_proto::v1::{self as wire};

use super::super::connection::Session;
use super::super::documents::place;
use super::super::exit::CliError;
use super::super::locate;
use super::super::output::{STRONG, TITLE};
use crate::embed::video::DEFAULT_VIDEO_MODEL;
use crate::error::ErrorKind;

/// The collection of the clip.
const COLLECTION: &str = "demo-clips";
const NAME: &str = "harbour-lights.y4m";
/// Frames of a second.
const RATE: u64 = 8;
/// How long the clip lasts, and what of it is the excerpt, in seconds.
const SECONDS: u64 = 24;
const EXCERPT: Range<u64> = 13..17;

/// Renders a clip, stores it, and asks for an excerpt that is smaller, cut at its edges and coarser.
pub(super) async fn find_moment(session: &Session) -> Result<wire::LocateResponse, CliError> {
    create(session).await?;
    store(session).await?;
    let excerpt = render(EXCERPT, Shown { width: 56, height: 44, cut: 0.04, coarse: 8 });
    let collection = COLLECTION.to_owned();
    let request = wire::LocateRequest { collection, excerpt, limit: Some(1), ..Default::default() };
    Ok(session.search().locate(session.request(request)).await?.into_inner())
}

/// Returns what was found, for a script.
pub(super) fn to_json(found: &wire::LocateResponse) -> Json {
    serde_json::json!({
        "asked_ms": [EXCERPT.start * 1_000, EXCERPT.end * 1_000],
        "found": locate::to_json(found),
    })
}

/// Returns what was found, for a person.
pub(super) fn describe(found: &wire::LocateResponse) -> String {
    let (start_ms, end_ms) = (Some(EXCERPT.start * 1_000), Some(EXCERPT.end * 1_000));
    let asked = place(&wire::Span { start_ms, end_ms, ..Default::default() });
    format!(
        "\n{TITLE}Video: an excerpt, smaller, cut at its edges and coarser, is found at its \
         time{TITLE:#}\n{STRONG}? {asked} of a clip of {SECONDS} s that was rendered just \
         now{STRONG:#}\n{}",
        locate::render(found)
    )
}

async fn create(session: &Session) -> Result<(), CliError> {
    let delete = wire::DeleteCollectionRequest { name: COLLECTION.into() };
    match session.collections().delete(session.request(delete)).await {
        Ok(_) => {}
        Err(status) if status.code() == tonic::Code::NotFound => {}
        Err(status) => return Err(status.into()),
    }
    let source = Some(Source::Embedder(DEFAULT_VIDEO_MODEL.to_owned()));
    let vector = wire::VectorConfig { source, ..Default::default() };
    let request = wire::CreateCollectionRequest {
        name: COLLECTION.into(),
        vectors: [("clip".to_owned(), vector)].into(),
        ..Default::default()
    };
    session.collections().create(session.request(request)).await?;
    Ok(())
}

async fn store(session: &Session) -> Result<(), CliError> {
    let bytes = render(0..SECONDS, Shown { width: 64, height: 48, cut: 0.0, coarse: 1 });
    let file = wire::File { name: NAME.into(), bytes, media_type: None };
    let content = Some(Content::File(file));
    let document = Some(wire::Document { id: NAME.into(), content, ..Default::default() });
    let request =
        wire::UpsertRequest { collection: COLLECTION.into(), document, ..Default::default() };
    let request = session.request(tokio_stream::iter([request]));
    let mut results = session.documents().upsert(request).await?.into_inner();
    while let Some(result) = results.message().await? {
        if let Some(Stored::Error(error)) = result.outcome {
            let message = format!("{}: {}", result.id, error.message);
            return Err(CliError::local(ErrorKind::Internal, message));
        }
    }
    Ok(())
}

/// How the clip is shown.
#[derive(Debug, Clone, Copy)]
struct Shown {
    width: usize,
    height: usize,
    /// What is cut off at each edge, as a share of the picture.
    cut: f64,
    /// Samples are rounded to multiples of this.
    coarse: u8,
}

/// Returns some seconds of the clip in Y4M: three lights wander over a harbour at night, each on a
/// curve of its own, and the sky changes its colour every six seconds.
fn render(seconds: Range<u64>, shown: Shown) -> Vec<u8> {
    let Shown { width, height, cut, coarse } = shown;
    let mut bytes = format!("YUV4MPEG2 W{width} H{height} F{RATE}:1 C444\n").into_bytes();
    for frame in seconds.start * RATE..seconds.end * RATE {
        let time = frame as f64 / RATE as f64;
        let sky = (time / 6.0).floor();
        let lights = [0.0, 1.0, 2.0].map(|light| {
            let wander = |speed: f64| 0.5 + 0.4 * (time * speed + light * 2.1 + sky).sin();
            (wander(0.31 + 0.13 * light), wander(0.47 - 0.09 * light))
        });
        let mut planes = [const { Vec::new() }; 3];
        for (row, column) in (0..height).flat_map(|row| (0..width).map(move |at| (row, at))) {
            let place =
                |at: usize, of: usize| cut + (1.0 - 2.0 * cut) * (at as f64 + 0.5) / of as f64;
            let (x, y) = (place(column, width), place(row, height));
            let near = |(a, b): (f64, f64)| (-((x - a).powi(2) + (y - b).powi(2)) / 0.012).exp();
            let [first, second, third] = lights.map(near);
            let bright = 40.0 + 30.0 * y + 150.0 * (first + second + third).min(1.0);
            let tint = |value: f64| 128.0 + 70.0 * value.clamp(-1.0, 1.0);
            let blue = tint(first - second + 0.4 * (sky * 2.3).cos());
            let red = tint(third - first + 0.4 * (sky * 0.9).sin());
            for (plane, value) in planes.iter_mut().zip([bright, blue, red]) {
                plane.push(value.clamp(16.0, 235.0) as u8 / coarse * coarse);
            }
        }
        bytes.extend(b"FRAME\n");
        planes.iter().for_each(|plane| bytes.extend(plane));
    }
    bytes
}
