use std::path::PathBuf;

use super::*;
use crate::cancel::{Cancellation, Interrupted};
use crate::decode::DecodeError;
use crate::error::{Classified, ErrorKind};
use crate::picture::Picture;

/// A clip of `count` frames of 8 x 6 pixels, each of one grey, in Y4M.
fn y4m(header: &str, greys: &[u8]) -> Vec<u8> {
    let mut bytes = format!("YUV4MPEG2 {header}\n").into_bytes();
    for &grey in greys {
        bytes.extend(b"FRAME\n");
        bytes.extend([grey; 48]);
        bytes.extend([128; 24]);
    }
    bytes
}

fn read(bytes: &[u8], options: &VideoOptions) -> Result<Vec<Frame>, DecodeError> {
    let kind = container(bytes).expect("it begins as a video");
    frames(bytes, kind, options, &Cancellation::new())?.collect()
}

fn times(frames: &[Frame]) -> Vec<(u64, u64)> {
    frames.iter().map(|frame| (frame.start_ms, frame.end_ms)).collect()
}

/// The red sample in the middle.
fn middle(picture: &Picture) -> u8 {
    picture.row(picture.height() / 2)[picture.width() as usize / 2 * 3]
}

/// An animated GIF of grey frames, with these delays in hundredths of a second.
fn gif(delays: &[(u8, u32)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
    for &(grey, hundredths) in delays {
        let pixels = image::RgbaImage::from_pixel(10, 8, image::Rgba([grey, grey, grey, 255]));
        let delay = image::Delay::from_numer_denom_ms(hundredths * 10, 1);
        encoder.encode_frame(image::Frame::from_parts(pixels, 0, 0, delay)).unwrap();
    }
    drop(encoder);
    bytes
}

#[test]
fn frames_of_y4m_have_the_times_of_its_rate_and_the_colours_of_bt_601() {
    let found = read(&y4m("W8 H6 F30000:1001 C420jpeg", &[16, 126, 235]), &VideoOptions::default());
    let found = found.unwrap();
    assert_eq!(times(&found), [(0, 33), (33, 67), (67, 100)]);
    let greys: Vec<u8> = found.iter().map(|frame| middle(&frame.picture)).collect();
    assert_eq!(greys, [0, 128, 255]);
    let mut red = b"YUV4MPEG2 W2 H2 F1:1 C444\nFRAME\n".to_vec();
    red.extend([81; 4].iter().chain(&[90; 4]).chain(&[240; 4]));
    let found = read(&red, &VideoOptions::default()).unwrap();
    assert_eq!(found[0].picture.row(0)[..3], [254, 0, 0]);
    let mut deep = b"YUV4MPEG2 W1 H1 F1:1 Cmono10\nFRAME\n".to_vec();
    deep.extend(940_u16.to_le_bytes());
    assert_eq!(read(&deep, &VideoOptions::default()).unwrap()[0].picture.samples(), [255; 3]);
}

#[test]
fn pixels_become_square_and_frames_no_larger_than_asked() {
    let bytes = y4m("W8 H6 F10:1 A2:1", &[200]);
    let video = frames(&bytes, Container::Y4m, &VideoOptions::default(), &Cancellation::new());
    assert_eq!(video.unwrap().size(), (16, 6));
    let options = VideoOptions { side_max: 4, ..VideoOptions::default() };
    let found = read(&bytes, &options).unwrap();
    assert_eq!((found[0].picture.width(), found[0].picture.height()), (4, 2));
}

#[test]
fn an_animated_gif_keeps_its_delays_and_one_without_is_slowed_as_in_a_browser() {
    let found = read(&gif(&[(10, 5), (60, 0), (200, 12)]), &VideoOptions::default()).unwrap();
    assert_eq!(times(&found), [(0, 50), (50, 150), (150, 270)]);
    let greys: Vec<u8> = found.iter().map(|frame| middle(&frame.picture)).collect();
    assert_eq!(greys, [10, 60, 200]);
    assert_eq!(container(&gif(&[(10, 5)])), None, "one picture is no video");
}

#[test]
fn broken_and_hostile_videos_end_in_a_named_error() {
    let whole = y4m("W8 H6 F25:1", &[10, 20]);
    let cut = &whole[..whole.len() - 5];
    let huge = b"YUV4MPEG2 W100000 H100000 F25:1\nFRAME\n";
    let options = VideoOptions { frames_max: 1, ..VideoOptions::default() };
    for (bytes, options, message) in [
        (cut, VideoOptions::default(), "the Y4M video is damaged: frame 1 has 67 of its 72 bytes"),
        (
            b"YUV4MPEG2 W8 H6\n",
            VideoOptions::default(),
            "the Y4M video is damaged: there is no frame in it",
        ),
        (
            b"YUV4MPEG2 W8 H0\n",
            VideoOptions::default(),
            "the Y4M video is damaged: its size is 8 x 0",
        ),
        (
            b"YUV4MPEG2 W8 H6 F0:1\n",
            VideoOptions::default(),
            "the Y4M video is damaged: its rate is 0:1",
        ),
        (
            b"YUV4MPEG2 W8 Hx\n",
            VideoOptions::default(),
            "the Y4M video is damaged: its header says `Hx`",
        ),
        (
            b"YUV4MPEG2 W8 H6 C410\n",
            VideoOptions::default(),
            "the Y4M video is damaged: its colours are `410`, which is not known",
        ),
        (
            b"YUV4MPEG2 W8 H6\nFROME\n",
            VideoOptions::default(),
            "the Y4M video is damaged: frame 0 does not begin with FRAME",
        ),
        (
            b"YUV4MPEG2 W8",
            VideoOptions::default(),
            "the Y4M video is damaged: a line of its header does not end",
        ),
        (huge, VideoOptions::default(), "too many pixels: at most 67108864, got 10000000000"),
        (&whole, options, "too many frames: at most 1, got 2"),
    ] {
        let error = read(bytes, &options).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn damaged_animations_give_frames_or_an_error_and_never_a_panic() {
    let whole = gif(&[(10, 5), (60, 7), (200, 12)]);
    let mut outcomes = [0, 0];
    for at in 13..whole.len() {
        for flip in [0x01, 0x80, 0xFF] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            let read =
                frames(&bytes, Container::Gif, &VideoOptions::default(), &Cancellation::new())
                    .and_then(Iterator::collect::<Result<Vec<_>, _>>);
            outcomes[usize::from(read.is_err())] += 1;
        }
    }
    assert!(outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
}

#[test]
fn a_cancelled_stream_ends_with_that_reason() {
    let bytes = y4m("W8 H6 F25:1", &[10, 20, 30, 40]);
    let cancel = Cancellation::new();
    let mut video = frames(&bytes, Container::Y4m, &VideoOptions::default(), &cancel).unwrap();
    video.next().unwrap().unwrap();
    cancel.cancel();
    // The frame that was read before is whole, and comes first.
    assert!(video.next().unwrap().is_ok());
    assert_eq!(
        video.next().unwrap().unwrap_err(),
        DecodeError::Interrupted(Interrupted::Cancelled)
    );
    assert!(video.next().is_none());
}

#[test]
fn without_the_program_the_error_names_the_package_and_the_places() {
    let program = FfmpegSearch {
        explicit: None,
        folders: vec![PathBuf::from("/no/such/bin"), PathBuf::from("/nor/this")],
        scratch: PathBuf::new(),
    };
    let options = VideoOptions { program, ..VideoOptions::default() };
    let error = read(b"\0\0\0\x20ftypisom\0\0\0\0", &options).unwrap_err();
    let message = "the MP4 or QuickTime video needs the program ffmpeg, which is not there: install it \
                   (Debian and Ubuntu: `apt install ffmpeg`) or say where it is; looked for `ffmpeg` in \
                   /no/such/bin, /nor/this";
    assert_eq!((error.to_string().as_str(), error.kind()), (message, ErrorKind::Unsupported));
    let explicit = Some(PathBuf::from("/no/such/ffmpeg"));
    let options = VideoOptions {
        program: FfmpegSearch { explicit, ..FfmpegSearch::default() },
        ..VideoOptions::default()
    };
    let error = read(b"\x1A\x45\xDF\xA3", &options).unwrap_err().to_string();
    assert!(error.ends_with("looked for `/no/such/ffmpeg`"), "{error}");
}
