//! How many times faster than real time is a video read, and where does the time go? Decodes a video,
//! makes the latents of the frames that are looked at, and pools them, each measured by itself, on the
//! threads that the program uses.
//!
//!     cargo bench --bench video -- VIDEO MODEL [FFMPEG]      prints one JSON object
//!
//! MODEL is of the kind spacetime, or reads pictures.

#![expect(clippy::print_stdout, reason = "a bench prints its result")]

mod common;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use simile::cancel::Cancellation;
use simile::chunk::shots::{ShotCutter, ShotOptions};
use simile::decode::video::{FfmpegSearch, VideoOptions, container, frames};
use simile::embed::Lane;
use simile::embed::video::{ClipPooling, Latent, PatchSizes, TimedLatent, clip_vector, patches};
use simile::picture::Area;
use simile::vector::Vector;

/// How far frames that are looked at are apart, in milliseconds.
const GAP_MS: u64 = 250;
/// Latents that are pooled together.
const WINDOW: usize = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let (Some(file), Some(model)) = (arguments.next(), arguments.next()) else {
        return Err("expected a video and a model".into());
    };
    let explicit = arguments.next().map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).collect();
    let program = FfmpegSearch { explicit, folders, scratch: std::env::temp_dir() };
    let options = VideoOptions { program, ..VideoOptions::default() };
    let catalogue = common::catalogue(1)?;
    catalogue.pull(&model, &|_, _, _| {})?;
    let embedder = catalogue.load(&model, &|_, _, _| {})?;
    let bytes = fs_err::read(Path::new(&file))?;
    let kind = container(&bytes).ok_or("the file is no video")?;
    let cancel = Cancellation::new();

    let began = Instant::now();
    let mut cutter = ShotCutter::new(ShotOptions::default());
    let (mut shots, mut cutting) = (0_u64, Duration::ZERO);
    let (mut looked_at, mut count, mut end_ms, mut due_ms) = (Vec::new(), 0_u64, 0, 0);
    for frame in frames(&bytes, kind, &options, &cancel)? {
        let frame = frame?;
        let begun = Instant::now();
        shots += u64::from(cutter.push(&frame.picture, frame.start_ms, frame.end_ms).is_some());
        cutting += begun.elapsed();
        (count, end_ms) = (count + 1, frame.end_ms);
        if frame.start_ms >= due_ms {
            due_ms = frame.start_ms + GAP_MS;
            looked_at.push(frame);
        }
    }
    let decoding = began.elapsed().saturating_sub(cutting);

    let began = Instant::now();
    let mut latents = Vec::new();
    for group in looked_at.chunks(WINDOW) {
        let pictures: Vec<_> = group.iter().map(|frame| frame.picture.clone()).collect();
        let embedded = embedder.embed_pictures(&pictures, Lane::Bulk, &cancel)?;
        for (frame, embedding) in group.iter().zip(embedded.embeddings) {
            let Some(Vector::Dense(vector)) = embedding.vector else { continue };
            let whole = (vector.dimension(), 1, 1);
            let grid = embedder.grid().filter(|_| embedder.spacetime().is_none());
            let (channels, rows, columns) =
                grid.map_or(whole, |grid| (grid.channels, grid.rows, grid.columns));
            let latent = Latent::new(channels, rows, columns, vector.into_vec());
            let latent = latent.ok_or("a latent of another shape")?;
            latents.push(TimedLatent { latent, start_ms: frame.start_ms, end_ms: frame.end_ms });
        }
    }
    let seeing = began.elapsed();

    let began = Instant::now();
    let (area, mut tokens) = (Area { left: 0, top: 0, width: 320, height: 180 }, 0);
    for window in latents.chunks(WINDOW) {
        tokens += patches(window, PatchSizes::default(), area).map_or(0, |patches| patches.len());
        std::hint::black_box(clip_vector(window, &ClipPooling::default(), &[]));
    }
    let pooling = began.elapsed();

    let seconds = end_ms as f64 / 1_000.0;
    let total = decoding + cutting + seeing + pooling;
    let share = |part: Duration| part.as_secs_f64() / total.as_secs_f64();
    let report = serde_json::json!({
        "seconds": seconds,
        "frames": count,
        "shots": shots + 1,
        "latents": latents.len(),
        "patches": tokens,
        "times_real_time": seconds / total.as_secs_f64(),
        "share_decode": share(decoding),
        "share_shots": share(cutting),
        "share_latent": share(seeing),
        "share_patch": share(pooling),
    });
    println!("{report}");
    Ok(())
}
