//! Real videos, in the folder that `SIMILE_SHARED_DATA` names; without it these checks say so and pass.

use std::path::{Path, PathBuf};

use simile::cancel::Cancellation;
use simile::chunk::shots::{CutRule, Shot, ShotCutter, ShotOptions};
use simile::decode::video::{Frames, container};
use simile::error::{Classified, ErrorKind};

use super::ffmpeg::{self, convert};

/// The folder of the real videos, if there is one.
#[expect(clippy::print_stderr, reason = "who reads the output is told what was left out")]
pub(super) fn real() -> Option<PathBuf> {
    let folder = std::env::var_os("SIMILE_SHARED_DATA").map(|data| Path::new(&data).join("video"));
    if folder.is_none() {
        eprintln!("SIMILE_SHARED_DATA names no folder: real videos are left out");
    }
    folder
}

fn open(path: &Path, scratch: &Path) -> Frames<'static> {
    let head = fs_err::read(path).unwrap();
    let kind = container(&head).unwrap_or_else(|| panic!("{} is no video", path.display()));
    Frames::of_file(path, kind, &ffmpeg::options(scratch), &Cancellation::new()).unwrap()
}

#[test]
fn frames_of_real_videos_have_the_recorded_times() {
    let Some(folder) = real() else { return };
    #[derive(serde::Deserialize)]
    struct Recorded {
        pts_time: String,
    }
    let path = folder.join("torchcodec/nasa_13013.mp4");
    let record =
        fs_err::read(folder.join("torchcodec/nasa_13013.mp4.stream0.all_frames_info.json"));
    let record: Vec<Recorded> = serde_json::from_slice(&record.unwrap()).unwrap();
    let found: Vec<u64> = open(&path, &folder).map(|frame| frame.unwrap().start_ms).collect();
    assert_eq!(found.len(), record.len());
    for (number, (found, recorded)) in found.iter().zip(&record).enumerate() {
        let expected = recorded.pts_time.parse::<f64>().unwrap() * 1_000.0;
        assert!((*found as f64 - expected).abs() <= 0.5, "frame {number}: {found}, not {expected}");
    }
}

#[test]
fn real_videos_of_every_codec_are_read_and_the_corrupted_one_is_no_panic() {
    let Some(folder) = real() else { return };
    for (name, frames, size) in [
        ("torchcodec/av1_video.mkv", 125, (640, 360)),
        ("torchcodec/h264_10bits.mp4", 30, (200, 200)),
        ("torchcodec/h265_10bits.mp4", 30, (200, 200)),
        ("torchcodec/h265_video.mp4", 10, (128, 128)),
        ("torchcodec/bt709_full_range.mp4", 30, (1280, 720)),
        ("bbb_vp9.webm", 300, (320, 180)),
        ("decord/tests/test_data/video_0.mov", 3, (568, 320)),
        ("decord/tests/test_data/video_90.mov", 3, (320, 568)),
        ("decord/tests/test_data/video_180.mov", 3, (568, 320)),
        ("decord/tests/test_data/video_270.mov", 3, (320, 568)),
    ] {
        let video = open(&folder.join(name), &folder);
        assert_eq!(video.size(), size, "{name}");
        let times: Vec<(u64, u64)> =
            video.map(|frame| frame.unwrap()).map(|frame| (frame.start_ms, frame.end_ms)).collect();
        assert_eq!(times.len(), frames, "{name}");
        assert!(times.windows(2).all(|pair| pair[0].1 == pair[1].0), "{name}");
    }
    for name in ["corrupted.mp4", "unordered.mov"] {
        let path = folder.join("decord/tests/test_data").join(name);
        let mut video = open(&path, &folder);
        let ended = video.find_map(Result::err);
        assert!(ended.is_none_or(|error| error.kind() == ErrorKind::InvalidInput), "{name}");
    }
}

fn shots(path: &Path, scratch: &Path) -> Vec<Shot> {
    let mut cutter =
        ShotCutter::new(ShotOptions { rule: CutRule::CONTENT, ..ShotOptions::default() });
    let mut found = Vec::new();
    for frame in open(path, scratch) {
        let frame = frame.unwrap();
        found.extend(cutter.push(&frame.picture, frame.start_ms, frame.end_ms));
    }
    found.extend(cutter.finish());
    found
}

/// Pieces of real videos one after another: where they meet is known.
#[test]
fn cuts_between_pieces_of_real_videos_are_found() {
    let Some(folder) = real() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let pieces = [
        ("intel/car-detection.mp4", "2"),
        ("tmk/doorknob-hd-no-bar.mp4", "1"),
        ("intel/bottle-detection.mp4", "5"),
        ("decord/examples/flipping_a_pancake.mkv", "1"),
        ("intel/one-by-one-person-detection.mp4", "20"),
        ("tmk/pattern-hd-no-bar.mp4", "2"),
        ("torchcodec/bt709_full_range.mp4", "0"),
    ];
    let mut list = String::new();
    for (number, (name, from)) in pieces.iter().enumerate() {
        let piece = scratch.path().join(format!("{number}.mp4"));
        let scaled = "scale=320:240,setsar=1,fps=25,format=yuv420p";
        let arguments =
            ["-ss", from, "-t", "2", "-an", "-vf", scaled, "-c:v", "libx264", "-crf", "28"];
        convert(&folder.join(name), &arguments, &piece);
        list.push_str(&format!("file {}\n", piece.display()));
    }
    let (script, film) = (scratch.path().join("list.txt"), scratch.path().join("film.mp4"));
    fs_err::write(&script, list).unwrap();
    let output = std::process::Command::new(ffmpeg::program())
        .args(["-loglevel", "error", "-nostdin", "-f", "concat", "-safe", "0", "-i"])
        .arg(&script)
        .args(["-c", "copy"])
        .arg(&film)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Vec<u64> =
        shots(&film, scratch.path())[1..].iter().map(|shot| shot.start_ms).collect();
    // Pieces that are shorter than two seconds begin the next one sooner; cuts are told in order.
    let lengths = (0..pieces.len() - 1).map(|number| {
        let piece = scratch.path().join(format!("{number}.mp4"));
        open(&piece, scratch.path()).last().unwrap().unwrap().end_ms
    });
    let expected: Vec<u64> = lengths
        .scan(0, |sum, length| {
            *sum += length;
            Some(*sum)
        })
        .collect();
    let hits =
        expected.iter().filter(|cut| found.iter().any(|at| at.abs_diff(**cut) <= 120)).count();
    let f1 = 2.0 * hits as f64 / (expected.len() + found.len()) as f64;
    assert!(f1 >= 0.8, "F1 {f1:.2}: {found:?}, expected {expected:?}");
}
