use std::fmt;

use serde::{Deserialize, Serialize};

/// How a sound is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SoundFormat {
    /// WAV: plain samples, or ADPCM.
    Wav,
    /// AIFF.
    Aiff,
    /// FLAC.
    Flac,
    /// MP3.
    Mp3,
    /// Ogg with Vorbis or FLAC in it.
    Ogg,
    /// AAC without a container.
    Aac,
    /// MPEG-4 with nothing but a sound in it.
    M4a,
}

impl SoundFormat {
    /// Returns the short name that a field of the payload says.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Aiff => "aiff",
            Self::Flac => "flac",
            Self::Mp3 => "mp3",
            Self::Ogg => "ogg",
            Self::Aac => "aac",
            Self::M4a => "m4a",
        }
    }
}

impl fmt::Display for SoundFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Wav => "WAV sound",
            Self::Aiff => "AIFF sound",
            Self::Flac => "FLAC sound",
            Self::Mp3 => "MP3 sound",
            Self::Ogg => "Ogg sound",
            Self::Aac => "AAC sound",
            Self::M4a => "M4A sound",
        })
    }
}

/// What the first page of an Opus stream holds, which is not read.
const OPUS: &[u8] = b"OpusHead";
/// How far into an Ogg file its first packet begins.
const OGG_HEADER_BYTES_MAX: usize = 27 + 255;

/// Returns how a sound is packed; none for bytes that are no sound that is read.
pub fn sound_format(bytes: &[u8]) -> Option<SoundFormat> {
    let at = |offset: usize, magic: &[u8]| {
        bytes.get(offset..).is_some_and(|rest| rest.starts_with(magic))
    };
    let first_page = &bytes[..bytes.len().min(OGG_HEADER_BYTES_MAX + OPUS.len())];
    let holds = |mark: &[u8]| first_page.windows(mark.len()).any(|window| window == mark);
    Some(match () {
        () if at(0, b"RIFF") && at(8, b"WAVE") => SoundFormat::Wav,
        () if at(0, b"FORM") && (at(8, b"AIFF") || at(8, b"AIFC")) => SoundFormat::Aiff,
        () if at(0, b"fLaC\0") => SoundFormat::Flac,
        () if at(0, b"OggS\0") && !holds(OPUS) && !holds(b"theora") => SoundFormat::Ogg,
        () if at(4, b"ftypM4A") || at(4, b"ftypM4B") => SoundFormat::M4a,
        () if has_tag(bytes) => SoundFormat::Mp3,
        () => return by_frame(bytes),
    })
}

/// Returns whether the bytes begin with tags in the form of ID3, whose version and sizes have only
/// certain values; what follows is nearly always MP3.
fn has_tag(bytes: &[u8]) -> bool {
    let header: Option<&[u8; 10]> = bytes.first_chunk();
    header.is_some_and(|header| {
        header.starts_with(b"ID3")
            && (2..=4).contains(&header[3])
            && header[6..].iter().all(|&byte| byte < 0x80)
    })
}

/// Returns what begins with the header of a frame: eleven set bits and values that are allowed.
fn by_frame(bytes: &[u8]) -> Option<SoundFormat> {
    let &[first, second, third, _] = bytes.first_chunk()?;
    if first != 0xFF {
        return None;
    }
    // MPEG-4 and MPEG-2 AAC in ADTS: the layer is 0, and one of 13 rates.
    if second & 0xF6 == 0xF0 && (third >> 2) & 0xF <= 12 {
        return Some(SoundFormat::Aac);
    }
    // Layer 3 of MPEG-1, 2 or 2.5.
    let (version, layer, bits, rate) =
        ((second >> 3) & 3, (second >> 1) & 3, third >> 4, third >> 2 & 3);
    let is_frame = second & 0xE0 == 0xE0 && version != 1 && layer == 1;
    (is_frame && bits != 0 && bits != 15 && rate != 3).then_some(SoundFormat::Mp3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sounds_are_told_from_texts_videos_and_each_other() {
        for (bytes, expected) in [
            (&b"RIFF\x24\0\0\0WAVEfmt "[..], Some(SoundFormat::Wav)),
            (b"RIFF\x24\0\0\0AVI LIST", None),
            (b"FORM\0\0\0\x24AIFFCOMM", Some(SoundFormat::Aiff)),
            (b"FORM follows function", None),
            (b"fLaC\0\0\0\x22", Some(SoundFormat::Flac)),
            (b"OggS\0\x02..................\x01\x1e\x01vorbis", Some(SoundFormat::Ogg)),
            (b"OggS\0\x02..................\x01\x13OpusHead", None),
            (b"OggS\0\x02..................\x01\x2a\x80theora", None),
            (b"\0\0\0\x20ftypM4A \0\0", Some(SoundFormat::M4a)),
            (b"\0\0\0\x20ftypisom\0\0", None),
            (b"ID3\x04\0\0\0\0\x02\x01", Some(SoundFormat::Mp3)),
            (b"ID3 tags are read", None),
            (b"\xFF\xFB\x90\x64", Some(SoundFormat::Mp3)),
            (b"\xFF\xF1\x50\x80", Some(SoundFormat::Aac)),
            (b"\xFF\xFE\x41\0", None),
            (b"\xFF\xD8\xFF\xE0", None),
            (b"\xFF", None),
            (b"", None),
        ] {
            assert_eq!(sound_format(bytes), expected, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
