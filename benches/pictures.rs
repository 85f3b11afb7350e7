//! How fast do files become what a network can read? On one thread: decoding alone, with making ready for
//! a network, and with what ingestion does beside it (a thumbnail, perceptual hashes). Prints a line of
//! JSON, which `benches/peers/pictures.py` reads beside what Pillow does.
//!
//!     cargo bench --bench pictures -- FOLDER [ROUNDS]

#![expect(clippy::print_stdout, reason = "a bench prints its result")]

use std::path::PathBuf;
use std::time::Instant;

use simile::decode::{Limits, decode_picture, thumbnail};
use simile::embed::image::{
    Channels, Crop, ImageSettings, Layout, Preprocess as _, Preprocessor, Resampler, Resize,
};
use simile::picture::{Filter, Likeness, Picture};

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let Some(folder) = arguments.next() else {
        println!("usage: cargo bench --bench pictures -- FOLDER [ROUNDS]");
        return;
    };
    let rounds: usize = arguments.next().map_or(3, |rounds| rounds.parse().expect("a number"));
    let files = files(&folder);
    let limits = Limits::default();
    let read = |bytes: &Vec<u8>| decode_picture(bytes, &limits).expect("a picture");
    let decode = best(rounds, || files.iter().map(read).map(|picture| pixels(&picture)).sum());
    let network = Preprocessor::of(imagenet());
    let prepare = best(rounds, || {
        let ready = files.iter().map(read).map(|picture| network.preprocess(&picture));
        ready.map(|pixels| pixels.expect("it reads any picture").values.len() as u64).sum()
    });
    let shrink = best(rounds, || {
        let small = files.iter().map(read).map(|picture| picture.fitted(256));
        small.map(|picture| pixels(&picture)).sum()
    });
    let all = best(rounds, || {
        let kept = files.iter().map(read).map(|picture| {
            let hash = Likeness::of(&picture).upright.phash;
            thumbnail(&picture).len() as u64 + (hash & 1)
        });
        kept.sum()
    });
    let of = |seconds: f64| files.len() as f64 / seconds;
    println!(
        "{{\"files\": {}, \"decode_per_second\": {:.1}, \"decode_and_prepare_per_second\": {:.1}, \
         \"decode_and_shrink_per_second\": {:.1}, \"decode_hash_and_thumbnail_per_second\": {:.1}}}",
        files.len(),
        of(decode),
        of(prepare),
        of(shrink),
        of(all)
    );
}

/// Returns how the networks of torchvision read pictures.
fn imagenet() -> ImageSettings {
    ImageSettings {
        height: 224,
        width: 224,
        resize: Resize::ShortEdge,
        edge: Some(256),
        crop: Crop::Even,
        filter: Filter::Bilinear,
        resampler: Resampler::Pillow,
        scale: 1.0 / 255.0,
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
        channels: Channels::Rgb,
        layout: Layout::Nchw,
    }
}

/// Returns the bytes of all pictures below a folder, in the order of their names.
fn files(folder: &str) -> Vec<Vec<u8>> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter();
    let paths: Vec<PathBuf> =
        entries.filter_map(Result::ok).map(walkdir::DirEntry::into_path).collect();
    let is_picture = |path: &&PathBuf| {
        path.extension().is_some_and(|ending| ["jpg", "png"].contains(&&*ending.to_string_lossy()))
    };
    paths.iter().filter(is_picture).map(|path| fs_err::read(path).expect("a file")).collect()
}

fn pixels(picture: &Picture) -> u64 {
    u64::from(picture.width()) * u64::from(picture.height())
}

/// Returns the seconds of the fastest round.
fn best(rounds: usize, work: impl Fn() -> u64) -> f64 {
    let round = |_| {
        let began = Instant::now();
        assert!(std::hint::black_box(work()) > 0, "there is no picture in the folder");
        began.elapsed().as_secs_f64()
    };
    (0..rounds).map(round).fold(f64::INFINITY, f64::min)
}
