//! What the `ffmpeg` program reads.

use std::path::Path;
use std::time::Duration;

use simile::cancel::{Cancellation, Interrupted};
use simile::decode::DecodeError;
use simile::decode::video::{
    Container, FfmpegSearch, Frame, Frames, VideoOptions, container, frames,
};
use simile::error::{Classified, ErrorKind};
use simile::picture::Picture;

use super::ffmpeg::{self, convert, encode};
use super::render::{HEIGHT, WIDTH, number_of, numbered};

const PALETTE: [&str; 2] = [
    "-filter_complex",
    "split[a][b];[a]palettegen=stats_mode=full[p];[b][p]paletteuse=dither=none",
];
const H264: [&str; 6] = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "10"];

fn read(path: &Path, options: &VideoOptions) -> Result<(Vec<Frame>, (u32, u32)), DecodeError> {
    let bytes = fs_err::read(path).unwrap();
    let kind = container(&bytes).unwrap_or_else(|| panic!("{} is no video", path.display()));
    let video = frames(&bytes, kind, options, &Cancellation::new())?;
    let size = video.size();
    Ok((video.collect::<Result<_, _>>()?, size))
}

fn numbers(frames: &[Frame]) -> Vec<usize> {
    let grey =
        |picture: &Picture| picture.row(picture.height() * 3 / 4)[picture.width() as usize / 2 * 3];
    frames.iter().map(|frame| number_of(grey(&frame.picture))).collect()
}

fn starts(frames: &[Frame]) -> Vec<u64> {
    frames.iter().map(|frame| frame.start_ms).collect()
}

#[test]
fn every_container_gives_each_frame_at_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let options = ffmpeg::options(folder.path());
    let clip = numbered(12, "25:1");
    let expected: Vec<u64> = (0..12).map(|number| number * 40).collect();
    for (name, arguments, kind) in [
        ("a.mp4", &H264[..], Container::Mp4),
        ("a.mov", &["-c:v", "mpeg4", "-q:v", "2"], Container::Mp4),
        ("a.mkv", &["-c:v", "ffv1"], Container::Matroska),
        ("a.webm", &["-c:v", "libvpx", "-b:v", "2M"], Container::Matroska),
        ("a.avi", &["-c:v", "mjpeg", "-q:v", "2"], Container::Avi),
        ("a.ts", &["-c:v", "mpeg2video", "-q:v", "2"], Container::TransportStream),
        ("a.flv", &["-c:v", "flv", "-q:v", "2"], Container::Flv),
        ("a.webp", &["-c:v", "libwebp_anim", "-lossless", "1", "-loop", "0"], Container::WebP),
        ("a.apng", &["-c:v", "apng", "-f", "apng", "-plays", "0"], Container::Png),
        ("a.gif", &PALETTE, Container::Gif),
    ] {
        let file = folder.path().join(name);
        encode(&clip, arguments, &file);
        assert_eq!(container(&fs_err::read(&file).unwrap()), Some(kind), "{name}");
        let (found, size) = read(&file, &options).unwrap();
        assert_eq!(size, (WIDTH as u32, HEIGHT as u32), "{name}");
        assert_eq!(numbers(&found), (0..12).collect::<Vec<_>>(), "{name}");
        assert_eq!(starts(&found), expected, "{name}");
        assert_eq!(found[11].end_ms, 480, "{name}");
    }
}

#[test]
fn a_variable_frame_rate_keeps_its_pace() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.mp4");
    // The square of the number: one frame long, then three, then five.
    let times = ["-vf", "settb=1/25,setpts=N*N", "-fps_mode", "passthrough"];
    encode(&numbered(8, "25:1"), &[&times[..], &H264].concat(), &file);
    let (found, _) = read(&file, &ffmpeg::options(folder.path())).unwrap();
    assert_eq!(starts(&found), (0..8).map(|number| number * number * 40).collect::<Vec<u64>>());
    assert_eq!(numbers(&found), (0..8).collect::<Vec<_>>());
}

#[test]
fn frames_stand_upright_with_square_pixels_and_fit() {
    let folder = tempfile::tempdir().unwrap();
    let options = ffmpeg::options(folder.path());
    let (plain, turned, wide) = (
        folder.path().join("plain.mp4"),
        folder.path().join("turned.mp4"),
        folder.path().join("wide.mp4"),
    );
    encode(&numbered(3, "25:1"), &H264, &plain);
    convert(&plain, &["-c", "copy", "-map_metadata", "0"], &wide);
    let turn = |degrees: &str| {
        let output = std::process::Command::new(ffmpeg::program())
            .args([
                "-hide_banner",
                "-loglevel",
                "error",
                "-y",
                "-nostdin",
                "-display_rotation",
                degrees,
                "-i",
            ])
            .arg(&plain)
            .args(["-c", "copy"])
            .arg(&turned)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    turn("90");
    let (found, size) = read(&turned, &options).unwrap();
    assert_eq!(size, (HEIGHT as u32, WIDTH as u32));
    let picture = &found[0].picture;
    assert_eq!((picture.width(), picture.height()), size);
    // Turned against the clock, the corner that was upper left is lower left.
    let corner = |x: u32, y: u32| picture.row(y)[x as usize * 3];
    assert!(corner(4, HEIGHT as u32 + 20) > 200 && corner(4, 4) < 100, "{picture:?}");
    convert(&plain, &[&["-vf", "setsar=2/1"][..], &H264].concat(), &wide);
    let small = VideoOptions { side_max: 48, ..options };
    let (found, size) = read(&wide, &small).unwrap();
    assert_eq!(size, (2 * WIDTH as u32, HEIGHT as u32));
    assert_eq!((found[0].picture.width(), found[0].picture.height()), (48, 16));
}

#[test]
fn broken_files_end_in_a_named_error_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let options = ffmpeg::options(scratch.path());
    let file = folder.path().join("a.mp4");
    encode(&numbered(12, "25:1"), &H264, &file);
    let whole = fs_err::read(&file).unwrap();
    let of = |bytes: &[u8]| {
        frames(bytes, Container::Mp4, &options, &Cancellation::new())
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
    };
    // What says where the frames are stands at the end.
    let error = of(&whole[..whole.len() / 2]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("moov atom not found"), "{error}");
    let error = of(b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41").unwrap_err().to_string();
    assert!(error.starts_with("the MP4 or QuickTime video is damaged: "), "{error}");
    assert!(!error.contains(&*scratch.path().to_string_lossy()), "{error}");
    let mut outcomes = [0, 0];
    for at in (0..whole.len()).step_by(whole.len() / 12) {
        let mut bytes = whole.clone();
        bytes[at..(at + 40).min(whole.len())].fill(0xA5);
        outcomes[usize::from(of(&bytes).is_err())] += 1;
    }
    assert!(outcomes[0] > 0, "most of a damaged video can still be read: {outcomes:?}");
    let sound = folder.path().join("sound.mp4");
    convert(&file, &["-f", "lavfi", "-i", "sine=duration=1", "-map", "1:a"], &sound);
    let error = of(&fs_err::read(&sound).unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert_eq!(fs_err::read_dir(scratch.path()).unwrap().count(), 0, "copies are removed");
}

#[test]
fn a_playlist_in_disguise_reads_no_other_file() {
    let folder = tempfile::tempdir().unwrap();
    let options = ffmpeg::options(folder.path());
    let secret = folder.path().join("secret.mp4");
    encode(&numbered(3, "25:1"), &H264, &secret);
    let playlist = format!("#EXTM3U\n#EXTINF:1,\nfile:{0}\n", secret.display());
    let concat = format!("ffconcat version 1.0\nfile {}\n", secret.display());
    for disguised in [playlist, concat] {
        for kind in [Container::Mp4, Container::Matroska, Container::TransportStream] {
            let read = frames(disguised.as_bytes(), kind, &options, &Cancellation::new());
            let error = read.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        }
    }
}

#[test]
fn a_stream_that_is_dropped_or_cancelled_ends_its_program() {
    let folder = tempfile::tempdir().unwrap();
    let options = ffmpeg::options(folder.path());
    let file = folder.path().join("a.mp4");
    encode(&numbered(30, "25:1"), &H264, &file);
    let cancel = Cancellation::new();
    let mut video = Frames::of_file(&file, Container::Mp4, &options, &cancel).unwrap();
    video.next().unwrap().unwrap();
    cancel.cancel();
    let ended = video.find_map(Result::err);
    assert_eq!(ended, Some(DecodeError::Interrupted(Interrupted::Cancelled)));
    // Ends only once the program has: its threads are waited for.
    drop(video);
    let video = Frames::of_file(&file, Container::Mp4, &options, &Cancellation::new()).unwrap();
    drop(video);
}

#[cfg(unix)]
#[test]
fn a_program_that_hangs_or_is_none_is_an_error_in_time() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("ffmpeg");
    let of = |lines: &str| {
        fs_err::write(&script, format!("#!/bin/sh\n{lines}\n")).unwrap();
        fs_err::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let program = FfmpegSearch {
            explicit: None,
            folders: vec![folder.path().to_owned()],
            scratch: folder.path().to_owned(),
        };
        let frame_time_max = Duration::from_millis(300);
        let options = VideoOptions { program, frame_time_max, ..VideoOptions::default() };
        frames(b"\0\0\0\x20ftypisom", Container::Mp4, &options, &Cancellation::new()).unwrap_err()
    };
    let error = of("exec sleep 1000");
    assert!(error.to_string().contains("did not come within 0 seconds"), "{error}");
    let error = of("echo this is no picture");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("ffmpeg wrote no picture: this is no picture"), "{error}");
    let error = of("echo '[x @ 1] [error] Something is wrong' >&2; exit 1").to_string();
    assert_eq!(error, "the MP4 or QuickTime video is damaged: Something is wrong");
}
