//! Excerpts of real videos, encoded anew, scaled and cropped, are found at their time by the model of
//! clips that comes with the program. Needs the folder that `SIMILE_SHARED_DATA` names.

use std::path::Path;

use simile::cancel::Cancellation;
use simile::decode::Limits;
use simile::decode::video::{VideoOptions, container, frames};
use simile::document::{DocumentId, Payload};
use simile::embed::EmbedderHandle;
use simile::embed::video::DEFAULT_VIDEO_MODEL;
use simile::ingest::{PrepareContext, Source, SourceContent, excerpt, prepare};
use simile::query::{Moment, Sighting, moments};
use simile::vector::Vector;

use super::ffmpeg::{self, convert};
use super::ingesting::{context, span};
use super::real::real;
use crate::support;

/// Videos, and when excerpts of them begin in which something moves, in hundredths of a second.
const EXCERPTS: [(&str, &[u64]); 8] = [
    ("intel/car-detection.mp4", &[350, 664, 1289]),
    ("intel/one-by-one-person-detection.mp4", &[383, 5854, 6080]),
    ("intel/bottle-detection.mp4", &[1937, 3225, 3382]),
    ("tmk/chair-orig-22-sd-bar.mp4", &[396, 697]),
    ("torchcodec/nasa_13013.mp4", &[390, 441]),
    ("tmk/pattern-hd-no-bar.mp4", &[100]),
    ("torchcodec/av1_video.mkv", &[50]),
    ("decord/examples/flipping_a_pancake.mkv", &[146]),
];
const LENGTH: &str = "4";
/// A patch is two frames of four a second.
const PATCH_MS: u64 = 500;
const SIGHTINGS_MAX: usize = 20;

/// What is stored: a stretch of a video and its vector.
struct Stored {
    id: DocumentId,
    start_ms: u64,
    vector: Vec<f32>,
}

fn dense(vector: &Vector) -> Vec<f32> {
    vector.as_dense().unwrap().as_slice().to_vec()
}

fn store(
    folder: &Path,
    name: &str,
    embedder: &EmbedderHandle,
    video: &VideoOptions,
) -> Vec<Stored> {
    let id = DocumentId::new(name).unwrap();
    let bytes = fs_err::read(folder.join(name)).unwrap();
    let content = SourceContent::File { name: name.to_owned(), bytes, media_type: None };
    let source = Source { id: id.clone(), content, payload: Payload::new() };
    let limits = Limits { video: video.clone(), ..Limits::default() };
    let context = PrepareContext { limits, ..context(embedder.clone()) };
    let mut prepared = prepare(&[source], &context, &Cancellation::new()).remove(0).unwrap();
    let parts = prepared.documents.remove(0).parts;
    parts
        .iter()
        .map(|part| Stored {
            id: id.clone(),
            start_ms: span(part).start,
            vector: dense(&part.vectors["clip"]),
        })
        .collect()
}

fn locate(
    path: &Path,
    stored: &[Stored],
    embedder: &EmbedderHandle,
    video: &VideoOptions,
) -> Moment {
    let bytes = fs_err::read(path).unwrap();
    let cancel = Cancellation::new();
    let frames = frames(&bytes, container(&bytes).unwrap(), video, &cancel).unwrap();
    let excerpt = excerpt(frames, embedder, &cancel).unwrap();
    let mut sightings = Vec::new();
    for stretch in &excerpt.stretches {
        let question = dense(&stretch.vector);
        let score = |stored: &Stored| -> f32 {
            stored.vector.iter().zip(&question).map(|(a, b)| a * b).sum()
        };
        let mut seen: Vec<(f32, &Stored)> =
            stored.iter().map(|stored| (score(stored), stored)).collect();
        seen.sort_by(|a, b| b.0.total_cmp(&a.0));
        sightings.extend(seen.into_iter().take(SIGHTINGS_MAX).map(|(score, stored)| Sighting {
            excerpt_ms: stretch.start_ms,
            id: stored.id.clone(),
            start_ms: stored.start_ms,
            score,
        }));
    }
    moments(&sightings, excerpt.length_ms, excerpt.window_ms).remove(0)
}

#[test]
fn edited_excerpts_of_real_videos_are_found_at_their_time() {
    let Some(folder) = real() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let video = ffmpeg::options(scratch.path());
    let catalogue = support::catalogue();
    catalogue.pull(DEFAULT_VIDEO_MODEL, &|_, _, _| {}).unwrap();
    let embedder = catalogue.load(DEFAULT_VIDEO_MODEL, &|_, _, _| {}).unwrap();
    let all = EXCERPTS.iter().flat_map(|(name, _)| store(&folder, name, &embedder, &video));
    let stored: Vec<Stored> = all.collect();
    let (mut asked, mut found, mut right_video) = (0, 0, 0);
    let mut report = String::new();
    for (name, starts) in EXCERPTS {
        for start in starts {
            let start_ms = start * 10;
            let path = scratch.path().join("excerpt.mp4");
            let from = (start_ms as f64 / 1_000.0).to_string();
            let edit = "crop=iw*0.92:ih*0.92,scale=trunc(iw*0.3)*2:trunc(ih*0.3)*2,format=yuv420p";
            let codec = ["-c:v", "libx264", "-crf", "32"];
            let arguments = ["-ss", &from, "-t", LENGTH, "-an", "-map", "0:V:0", "-vf", edit];
            convert(&folder.join(name), &[&arguments[..], &codec].concat(), &path);
            let moment = locate(&path, &stored, &embedder, &video);
            let is_video = moment.id.as_str() == name;
            let off = moment.start_ms.abs_diff(start_ms);
            asked += 1;
            right_video += u32::from(is_video);
            found += u32::from(is_video && off <= PATCH_MS);
            report.push_str(&format!("\n{name} {start_ms}: {} {}", moment.id, moment.start_ms));
        }
    }
    println!("recall@1 {found} of {asked}, right video {right_video} of {asked}{report}");
    assert!(right_video == asked && found * 5 >= asked * 4, "{found} of {asked}{report}");
}
