//! Y4M: a line of text, then uncompressed frames, each after a line of its own. The format is described
//! in the manual page yuv4mpeg(5) of mjpegtools.

use super::Container;
use super::fit::{fitting, resized};
use super::stream::{RawFrame, Source};
use crate::cancel::Cancellation;
use crate::decode::DecodeError;
use crate::picture::Picture;

const LINE_BYTES_MAX: usize = 1_024;

/// Reads frames out of the bytes of a file.
#[derive(Debug)]
pub(super) struct Y4m<'a> {
    rest: &'a [u8],
    header: Header,
    side_max: u32,
    next: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Header {
    width: u32,
    height: u32,
    /// Frames in so many seconds.
    rate: (u32, u32),
    aspect: (u32, u32),
    /// How many pixels share a chroma sample, across and down; none without chroma.
    chroma: Option<(u32, u32)>,
    /// Planes with transparency have a fourth.
    has_alpha: bool,
    bits: u32,
    is_full_range: bool,
}

impl<'a> Y4m<'a> {
    pub(super) fn new(
        bytes: &'a [u8],
        pixels_max: u64,
        side_max: u32,
    ) -> Result<Self, DecodeError> {
        let (line, rest) = line(bytes)?;
        let header = Header::parse(line)?;
        let pixels = u64::from(header.width) * u64::from(header.height);
        if pixels > pixels_max {
            return Err(DecodeError::TooLarge {
                what: "pixels",
                limit: pixels_max,
                actual: pixels,
            });
        }
        Ok(Self { rest, header, side_max, next: 0 })
    }

    pub(super) fn size(&self) -> (u32, u32) {
        let Header { width, height, aspect, .. } = self.header;
        fitting(width, height, aspect, u32::MAX)
    }
}

impl Source for Y4m<'_> {
    fn next(&mut self, _: &Cancellation) -> Result<Option<RawFrame>, DecodeError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (line, rest) = line(self.rest)?;
        if !line.starts_with("FRAME") {
            return Err(damaged(format!("frame {} does not begin with FRAME", self.next)));
        }
        let bytes = self.header.frame_bytes();
        let Some((frame, rest)) = rest.split_at_checked(bytes) else {
            let number = self.next;
            let actual = rest.len();
            return Err(damaged(format!("frame {number} has {actual} of its {bytes} bytes")));
        };
        self.rest = rest;
        let Header { width, height, aspect, rate: (frames, seconds), .. } = self.header;
        let picture = Picture::new(width, height, self.header.colours(frame))
            .ok_or_else(|| damaged("it has no pixels".to_owned()))?;
        let (wide, high) = fitting(width, height, aspect, self.side_max);
        let at = |number: u64| number as f64 * f64::from(seconds) * 1_000.0 / f64::from(frames);
        let start_ms = at(self.next);
        self.next += 1;
        Ok(Some(RawFrame {
            picture: resized(picture, wide, high),
            start_ms: Some(start_ms),
            duration_ms: Some(at(self.next) - start_ms),
        }))
    }
}

impl Header {
    fn parse(line: &str) -> Result<Self, DecodeError> {
        let mut tags = line.split_ascii_whitespace();
        if tags.next() != Some("YUV4MPEG2") {
            return Err(damaged("it does not begin as one".to_owned()));
        }
        let mut header = Self {
            width: 0,
            height: 0,
            rate: (25, 1),
            aspect: (0, 0),
            chroma: Some((2, 2)),
            has_alpha: false,
            bits: 8,
            is_full_range: false,
        };
        for tag in tags {
            let Some((name, value)) = tag.split_at_checked(1) else { continue };
            let wrong = || damaged(format!("its header says `{tag}`"));
            let ratio = || {
                let sides = value.split_once(':').ok_or_else(wrong)?;
                let number = |side: &str| side.parse::<u32>().map_err(|_| wrong());
                Ok::<_, DecodeError>((number(sides.0)?, number(sides.1)?))
            };
            match name {
                "W" => header.width = value.parse().map_err(|_| wrong())?,
                "H" => header.height = value.parse().map_err(|_| wrong())?,
                "F" => header.rate = ratio()?,
                "A" => header.aspect = ratio()?,
                "C" => header.read_colours(value)?,
                "X" if value == "COLORRANGE=FULL" => header.is_full_range = true,
                _ => {}
            }
        }
        if header.rate.0 == 0 || header.rate.1 == 0 {
            let (frames, seconds) = header.rate;
            return Err(damaged(format!("its rate is {frames}:{seconds}")));
        }
        if header.width == 0 || header.height == 0 {
            let Self { width, height, .. } = header;
            return Err(damaged(format!("its size is {width} x {height}")));
        }
        Ok(header)
    }

    fn read_colours(&mut self, value: &str) -> Result<(), DecodeError> {
        let unknown = || damaged(format!("its colours are `{value}`, which is not known"));
        // Where chroma stands between the pixels is not looked at.
        let sited = ["jpeg", "mpeg2", "paldv"].iter().find_map(|end| value.strip_suffix(end));
        let (layout, depth) = match sited.unwrap_or(value).split_once('p') {
            Some((layout, depth)) => (layout, depth.parse().map_err(|_| unknown())?),
            None => (sited.unwrap_or(value), 8),
        };
        self.bits = depth;
        self.chroma = match layout {
            "420" => Some((2, 2)),
            "422" => Some((2, 1)),
            "411" => Some((4, 1)),
            "444" | "444alpha" => Some((1, 1)),
            "mono" => None,
            _ if layout.starts_with("mono") => {
                self.bits = layout[4..].parse().map_err(|_| unknown())?;
                None
            }
            _ => return Err(unknown()),
        };
        self.has_alpha = layout == "444alpha";
        if (8..=16).contains(&self.bits) { Ok(()) } else { Err(unknown()) }
    }

    fn sample_bytes(&self) -> usize {
        if self.bits > 8 { 2 } else { 1 }
    }

    /// Returns the width and height of a plane of chroma.
    fn chroma_size(&self) -> (usize, usize) {
        let (across, down) = self.chroma.unwrap_or((1, 1));
        (self.width.div_ceil(across) as usize, self.height.div_ceil(down) as usize)
    }

    fn frame_bytes(&self) -> usize {
        let luma = self.width as usize * self.height as usize;
        let (wide, high) = self.chroma_size();
        let chroma = if self.chroma.is_some() { 2 * wide * high } else { 0 };
        let alpha = if self.has_alpha { luma } else { 0 };
        (luma + chroma + alpha) * self.sample_bytes()
    }

    /// Returns the samples in red, green, blue, by the matrix of BT.601; a chroma sample colours all
    /// the pixels that share it.
    fn colours(&self, frame: &[u8]) -> Vec<u8> {
        let bytes = self.sample_bytes();
        let scale = 1.0 / f32::from(1_u16 << (self.bits - 8));
        let sample = |at: usize| match bytes {
            1 => f32::from(frame[at]),
            _ => f32::from(u16::from_le_bytes([frame[2 * at], frame[2 * at + 1]])) * scale,
        };
        let (width, height) = (self.width as usize, self.height as usize);
        let (wide, high) = self.chroma_size();
        let (across, down) = self.chroma.unwrap_or((1, 1));
        let (floor, luma_scale, chroma_scale) =
            if self.is_full_range { (0.0, 1.0, 1.0) } else { (16.0, 255.0 / 219.0, 255.0 / 224.0) };
        let mut samples = Vec::with_capacity(width * height * 3);
        for row in 0..height {
            for column in 0..width {
                let y = (sample(row * width + column) - floor) * luma_scale;
                let (u, v) = if self.chroma.is_some() {
                    let at = width * height + row / down as usize * wide + column / across as usize;
                    let tint = |at| (sample(at) - 128.0) * chroma_scale;
                    (tint(at), tint(at + wide * high))
                } else {
                    (0.0, 0.0)
                };
                let colours = [y + 1.402 * v, y - 0.344_136 * u - 0.714_136 * v, y + 1.772 * u];
                samples.extend(colours.map(|value| value.round().clamp(0.0, 255.0) as u8));
            }
        }
        samples
    }
}

/// Returns the text up to the next line end, and what follows.
fn line(bytes: &[u8]) -> Result<(&str, &[u8]), DecodeError> {
    let head = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let end = head.iter().position(|&byte| byte == b'\n');
    let end = end.ok_or_else(|| damaged("a line of its header does not end".to_owned()))?;
    let text = std::str::from_utf8(&head[..end]);
    let text = text.map_err(|_| damaged("a line of its header is no text".to_owned()))?;
    Ok((text, &bytes[end + 1..]))
}

fn damaged(reason: String) -> DecodeError {
    DecodeError::DamagedVideo { container: Container::Y4m, reason }
}
