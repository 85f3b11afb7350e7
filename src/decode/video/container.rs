use std::fmt;

use serde::{Deserialize, Serialize};

/// How the frames of a video are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Container {
    /// An animated GIF.
    Gif,
    /// An animated WebP.
    WebP,
    /// An animated PNG.
    Png,
    /// Uncompressed frames, as `yuv4mpegpipe` writes them.
    Y4m,
    /// MP4, `QuickTime` and their kin.
    Mp4,
    /// Matroska and `WebM`.
    Matroska,
    /// AVI.
    Avi,
    /// The program and elementary streams of MPEG-1 and MPEG-2.
    Mpeg,
    /// The transport stream of MPEG-2.
    TransportStream,
    /// Flash video.
    Flv,
    /// Ogg with a video in it.
    Ogg,
}

impl Container {
    /// Returns whether the `ffmpeg` program reads it.
    pub fn needs_program(self) -> bool {
        match self {
            Self::Gif | Self::WebP | Self::Png | Self::Y4m => false,
            Self::Mp4
            | Self::Matroska
            | Self::Avi
            | Self::Mpeg
            | Self::TransportStream
            | Self::Flv
            | Self::Ogg => true,
        }
    }

    /// Returns the only names of demuxers that `ffmpeg` may read it with: a playlist in disguise would
    /// read other files.
    pub(super) fn demuxers(self) -> &'static str {
        match self {
            Self::Mp4 => "mov,mp4,m4a,3gp,3g2,mj2",
            Self::Matroska => "matroska,webm",
            Self::Avi => "avi",
            Self::Mpeg => "mpeg,mpegvideo",
            Self::TransportStream => "mpegts",
            Self::Flv => "flv",
            Self::Ogg => "ogg",
            Self::Gif | Self::WebP | Self::Png | Self::Y4m => "",
        }
    }
}

impl fmt::Display for Container {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Gif => "animated GIF",
            Self::WebP => "animated WebP",
            Self::Png => "animated PNG",
            Self::Y4m => "Y4M video",
            Self::Mp4 => "MP4 or QuickTime video",
            Self::Matroska => "Matroska or WebM video",
            Self::Avi => "AVI video",
            Self::Mpeg => "MPEG video",
            Self::TransportStream => "MPEG transport stream",
            Self::Flv => "Flash video",
            Self::Ogg => "Ogg video",
        })
    }
}

/// Bytes of a packet of a transport stream.
const PACKET_BYTES: usize = 188;
/// How many packets have to begin where they should.
const PACKETS_SEEN: usize = 4;
/// How far into a PNG or WebP the mark of an animation is looked for.
const MARK_BYTES_MAX: usize = 64 << 10;

/// Returns how the frames of a video are packed; none for bytes that are no video. A GIF, WebP or PNG
/// counts as one only if it is animated.
pub fn container(bytes: &[u8]) -> Option<Container> {
    let at = |offset: usize, magic: &[u8]| {
        bytes.get(offset..).is_some_and(|rest| rest.starts_with(magic))
    };
    if at(0, b"YUV4MPEG2") {
        return Some(Container::Y4m);
    }
    if at(0, b"GIF8") {
        return is_animated_gif(bytes).then_some(Container::Gif);
    }
    if at(0, b"RIFF") && at(8, b"WEBP") {
        // The extended header has a bit for it.
        let is_animated = at(12, b"VP8X") && bytes.get(20).is_some_and(|flags| flags & 2 != 0);
        return is_animated.then_some(Container::WebP);
    }
    if at(0, b"\x89PNG\r\n\x1a\n") {
        return has_animation_chunk(bytes).then_some(Container::Png);
    }
    let still = [&b"ftyphei"[..], b"ftyphev", b"ftypmif1", b"ftypmsf1", b"ftypavi", b"ftypM4A"];
    let is_sound_or_still = still.iter().any(|brand| at(4, brand));
    let begins_mp4 = [&b"ftyp"[..], b"moov", b"mdat", b"wide"].iter().any(|name| at(4, name));
    if begins_mp4 && !is_sound_or_still {
        return Some(Container::Mp4);
    }
    let is_transport = bytes.len() >= PACKETS_SEEN * PACKET_BYTES
        && (0..PACKETS_SEEN).all(|packet| bytes[packet * PACKET_BYTES] == 0x47);
    Some(match () {
        () if at(0, b"\x1A\x45\xDF\xA3") => Container::Matroska,
        () if at(0, b"RIFF") && at(8, b"AVI ") => Container::Avi,
        () if at(0, b"\0\0\x01\xBA") || at(0, b"\0\0\x01\xB3") => Container::Mpeg,
        () if at(0, b"FLV\x01") => Container::Flv,
        // Which codecs are inside stands in the first pages.
        () if at(0, b"OggS") && holds(bytes, b"theora") => Container::Ogg,
        () if is_transport => Container::TransportStream,
        () => return None,
    })
}

fn holds(bytes: &[u8], mark: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(4_096)];
    head.windows(mark.len()).any(|window| window == mark)
}

/// The chunk that says that a PNG is animated stands before the first one with pixels.
fn has_animation_chunk(bytes: &[u8]) -> bool {
    let mut at = 8;
    while let Some(head) = bytes.get(at..at + 8) {
        match &head[4..] {
            b"acTL" => return true,
            b"IDAT" | b"IEND" => return false,
            _ => {}
        }
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        at = at.saturating_add(length).saturating_add(12);
        if at > MARK_BYTES_MAX {
            return false;
        }
    }
    false
}

/// Walks the blocks of a GIF until the second picture.
fn is_animated_gif(bytes: &[u8]) -> bool {
    let table = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let Some(&flags) = bytes.get(10) else { return false };
    let mut at = 13 + table(flags);
    let mut pictures = 0;
    loop {
        let body = match bytes.get(at) {
            Some(0x2C) => {
                pictures += 1;
                if pictures > 1 {
                    return true;
                }
                let Some(&flags) = bytes.get(at + 9) else { return false };
                at + 11 + table(flags)
            }
            Some(0x21) => at + 2,
            _ => return false,
        };
        at = body;
        // Blocks of a byte of length and as many bytes, until one of none.
        loop {
            match bytes.get(at) {
                Some(0) => break,
                Some(&length) => at += 1 + length as usize,
                None => return false,
            }
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn videos_are_told_from_pictures_and_sounds() {
        let mut transport = vec![0; 4 * PACKET_BYTES];
        (0..4).for_each(|packet| transport[packet * PACKET_BYTES] = 0x47);
        for (bytes, expected) in [
            (&b"YUV4MPEG2 W2 H2 F25:1\n"[..], Some(Container::Y4m)),
            (b"\0\0\0\x20ftypisom\0\0", Some(Container::Mp4)),
            (b"\0\0\0\x08wide\0\0\0\0mdat", Some(Container::Mp4)),
            (b"\0\0\0\x20ftypM4A \0\0", None),
            (b"\0\0\0\x20ftypheic\0\0", None),
            (b"\0\0\0\x20ftypavif\0\0", None),
            (b"\x1A\x45\xDF\xA3\x01", Some(Container::Matroska)),
            (b"RIFF\0\0\0\0AVI LIST", Some(Container::Avi)),
            (b"RIFF\0\0\0\0WAVEfmt ", None),
            (b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0", Some(Container::WebP)),
            (b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0", None),
            (b"RIFF\0\0\0\0WEBPVP8 \x0a\0\0\0\x02\0\0\0", None),
            (b"FLV\x01\x05", Some(Container::Flv)),
            (b"OggS\0\x02........\x80theora", Some(Container::Ogg)),
            (b"OggS\0\x02........\x01vorbis", None),
            (b"\x89PNG\r\n\x1a\n\0\0\0\0IDAT", None),
            (b"\x89PNG\r\n\x1a\n\0\0\0\x01iCCP.....\0\0\0\x08acTL", Some(Container::Png)),
            (b"GIF89a\x01\0\x01\0\0\0\0,", None),
            (&transport, Some(Container::TransportStream)),
            (b"hello", None),
            (b"", None),
        ] {
            assert_eq!(container(bytes), expected, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
