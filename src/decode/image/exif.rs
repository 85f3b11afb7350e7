//! What a camera wrote beside the picture (Exif 2.32, CIPA DC-008; the structure is that of TIFF 6.0).

/// The most entries of a directory that are read.
const ENTRIES_MAX: usize = 512;
/// The most bytes of a text.
const TEXT_BYTES_MAX: usize = 1_024;

const IMAGE_DESCRIPTION: u16 = 0x010E;
const MAKE: u16 = 0x010F;
const MODEL: u16 = 0x0110;
const ORIENTATION: u16 = 0x0112;
const DATE_TIME: u16 = 0x0132;
const ICC_PROFILE: u16 = 0x8773;
const EXIF_DIRECTORY: u16 = 0x8769;
const GPS_DIRECTORY: u16 = 0x8825;
const DATE_TIME_ORIGINAL: u16 = 0x9003;
const OFFSET_TIME_ORIGINAL: u16 = 0x9011;
const LATITUDE_REFERENCE: u16 = 1;
const LATITUDE: u16 = 2;
const LONGITUDE_REFERENCE: u16 = 3;
const LONGITUDE: u16 = 4;

/// What is known of how a picture came to be.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Exif {
    /// How the stored rows and columns stand, 1 to 8; none: upright.
    pub(super) orientation: Option<u16>,
    pub(super) title: Option<String>,
    pub(super) make: Option<String>,
    pub(super) model: Option<String>,
    /// In the form of RFC 3339; without an offset if the camera names none.
    pub(super) taken: Option<String>,
    /// Latitude and longitude in degrees.
    pub(super) place: Option<(f64, f64)>,
}

/// Returns what the bytes say, from the header of the TIFF structure on; what is damaged is left out.
pub(super) fn read(bytes: &[u8]) -> Exif {
    // Some writers keep the marker of the segment that it stands in within a JPEG.
    let bytes = bytes.strip_prefix(b"Exif\0\0").unwrap_or(bytes);
    let Some(tiff) = Tiff::open(bytes) else { return Exif::default() };
    let Some(main) = tiff.u32(4).and_then(|at| tiff.directory(at)) else { return Exif::default() };
    let below = |tag| main.number(tag).and_then(|at| tiff.directory(at));
    let exif = below(EXIF_DIRECTORY);
    let original = exif.as_ref().and_then(|exif| {
        let taken = date(&exif.text(DATE_TIME_ORIGINAL)?)?;
        let offset = exif.text(OFFSET_TIME_ORIGINAL).filter(|offset| is_offset(offset));
        Some(taken + offset.as_deref().unwrap_or_default())
    });
    let orientation = main.number(ORIENTATION).and_then(|number| u16::try_from(number).ok());
    Exif {
        orientation: orientation.filter(|number| (1..=8).contains(number)),
        title: main.text(IMAGE_DESCRIPTION),
        make: main.text(MAKE),
        model: main.text(MODEL),
        taken: original.or_else(|| date(&main.text(DATE_TIME)?)),
        place: below(GPS_DIRECTORY).and_then(|gps| place(&gps)),
    }
}

/// Returns the ICC profile within a TIFF.
pub(super) fn profile(bytes: &[u8]) -> Option<Vec<u8>> {
    let tiff = Tiff::open(bytes)?;
    let main = tiff.directory(tiff.u32(4)?)?;
    main.value(ICC_PROFILE).map(|value| value.bytes.to_vec())
}

/// Returns a date as `2024:05:01 08:30:00` in the form of RFC 3339.
fn date(text: &str) -> Option<String> {
    let (day, time) = text.split_once(' ')?;
    let day = day.replace(':', "-");
    let is_date = day.len() == 10 && !day.starts_with("0000");
    (is_date && time.len() == 8).then(|| format!("{day}T{time}"))
}

fn is_offset(text: &str) -> bool {
    text.len() == 6 && text.starts_with(['+', '-']) && text.as_bytes()[3] == b':'
}

fn place(gps: &Directory<'_>) -> Option<(f64, f64)> {
    let degrees = |value, reference, negative, most: f64| {
        let [degrees, minutes, seconds] = gps.rationals(value)?;
        let degrees = degrees + minutes / 60.0 + seconds / 3600.0;
        let is_negative = gps.text(reference)?.eq_ignore_ascii_case(negative);
        let degrees = if is_negative { -degrees } else { degrees };
        (degrees.abs() <= most).then_some(degrees)
    };
    let latitude = degrees(LATITUDE, LATITUDE_REFERENCE, "S", 90.0)?;
    let longitude = degrees(LONGITUDE, LONGITUDE_REFERENCE, "W", 180.0)?;
    // A camera without a fix writes zeros.
    ((latitude, longitude) != (0.0, 0.0)).then_some((latitude, longitude))
}

#[derive(Debug, Clone, Copy)]
struct Tiff<'a> {
    bytes: &'a [u8],
    is_little: bool,
}

/// A directory: a list of entries of 12 bytes.
#[derive(Debug)]
struct Directory<'a> {
    tiff: Tiff<'a>,
    entries: &'a [u8],
}

/// The value of an entry: its type, and its bytes.
#[derive(Debug)]
struct Value<'a> {
    kind: u16,
    bytes: &'a [u8],
}

impl<'a> Tiff<'a> {
    fn open(bytes: &'a [u8]) -> Option<Self> {
        match bytes.get(..4)? {
            b"II*\0" => Some(Self { bytes, is_little: true }),
            b"MM\0*" => Some(Self { bytes, is_little: false }),
            _ => None,
        }
    }

    fn u16(&self, at: usize) -> Option<u16> {
        let bytes = self.bytes.get(at..)?.first_chunk()?;
        Some(if self.is_little { u16::from_le_bytes(*bytes) } else { u16::from_be_bytes(*bytes) })
    }

    fn u32(&self, at: usize) -> Option<u32> {
        number(self.bytes.get(at..)?, self.is_little)
    }

    fn directory(self, at: u32) -> Option<Directory<'a>> {
        let at = at as usize;
        let count = usize::from(self.u16(at)?).min(ENTRIES_MAX);
        let rest = self.bytes.get(at + 2..)?;
        // Of a directory that is cut off, what is there.
        let entries = &rest[..rest.len().min(count * 12)];
        Some(Directory { tiff: self, entries })
    }
}

impl<'a> Directory<'a> {
    fn value(&self, tag: u16) -> Option<Value<'a>> {
        let entry = Tiff { bytes: self.entries, ..self.tiff };
        let mut places = (0..self.entries.len() / 12).map(|number| number * 12);
        let at = places.find(|&at| entry.u16(at) == Some(tag))?;
        let kind = entry.u16(at + 2)?;
        let size = match kind {
            1 | 2 | 7 => 1,
            3 => 2,
            4 => 4,
            5 => 8,
            _ => return None,
        };
        let length = (entry.u32(at + 4)? as usize).checked_mul(size)?;
        let bytes = if length <= 4 {
            self.entries.get(at + 8..at + 8 + length)?
        } else {
            let start = entry.u32(at + 8)? as usize;
            self.tiff.bytes.get(start..start.checked_add(length)?)?
        };
        Some(Value { kind, bytes })
    }

    fn number(&self, tag: u16) -> Option<u32> {
        let value = self.value(tag)?;
        let tiff = Tiff { bytes: value.bytes, ..self.tiff };
        match value.kind {
            3 => tiff.u16(0).map(u32::from),
            4 => tiff.u32(0),
            _ => None,
        }
    }

    fn text(&self, tag: u16) -> Option<String> {
        let value = self.value(tag).filter(|value| value.kind == 2)?;
        let bytes = &value.bytes[..value.bytes.len().min(TEXT_BYTES_MAX)];
        let text = bytes.split(|&byte| byte == 0).next()?;
        let text = String::from_utf8_lossy(text).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }

    fn rationals<const COUNT: usize>(&self, tag: u16) -> Option<[f64; COUNT]> {
        let value = self.value(tag).filter(|value| value.kind == 5)?;
        let tiff = Tiff { bytes: value.bytes, ..self.tiff };
        let mut values = [0.0; COUNT];
        for (number, value) in values.iter_mut().enumerate() {
            let (above, below) = (tiff.u32(number * 8)?, tiff.u32(number * 8 + 4)?);
            *value = (below != 0).then(|| f64::from(above) / f64::from(below))?;
        }
        Some(values)
    }
}

fn number(bytes: &[u8], is_little: bool) -> Option<u32> {
    let bytes = bytes.first_chunk()?;
    Some(if is_little { u32::from_le_bytes(*bytes) } else { u32::from_be_bytes(*bytes) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes directories one after another: each a list of (tag, type, count, bytes).
    fn tiff(directories: &[&[(u16, u16, u32, &[u8])]]) -> Vec<u8> {
        let mut bytes = b"MM\0*\0\0\0\x08".to_vec();
        for entries in directories {
            let count = u16::try_from(entries.len()).unwrap();
            bytes.extend(count.to_be_bytes());
            let mut data = bytes.len() + entries.len() * 12 + 4;
            for (tag, kind, count, value) in *entries {
                bytes.extend(tag.to_be_bytes());
                bytes.extend(kind.to_be_bytes());
                bytes.extend(count.to_be_bytes());
                if value.len() <= 4 {
                    bytes.extend(value.iter().chain(&[0; 4]).take(4));
                } else {
                    bytes.extend(u32::try_from(data).unwrap().to_be_bytes());
                    data += value.len();
                }
            }
            bytes.extend([0; 4]);
            for (.., value) in entries.iter().filter(|entry| entry.3.len() > 4) {
                bytes.extend(*value);
            }
        }
        bytes
    }

    fn degrees(values: [u32; 3]) -> Vec<u8> {
        values.into_iter().flat_map(|value| [value, 1]).flat_map(u32::to_be_bytes).collect()
    }

    #[test]
    fn date_camera_place_and_orientation_are_read() {
        let (latitude, longitude) = (degrees([47, 30, 36]), degrees([8, 45, 0]));
        let gps: &[(u16, u16, u32, &[u8])] = &[
            (LATITUDE_REFERENCE, 2, 2, b"S\0"),
            (LATITUDE, 5, 3, &latitude),
            (LONGITUDE_REFERENCE, 2, 2, b"E\0"),
            (LONGITUDE, 5, 3, &longitude),
        ];
        let exif: &[(u16, u16, u32, &[u8])] = &[
            (DATE_TIME_ORIGINAL, 2, 20, b"2024:05:01 08:30:00\0"),
            (OFFSET_TIME_ORIGINAL, 2, 7, b"+02:00\0"),
        ];
        // The directories below stand before the main one, whose place the header then says.
        let below = tiff(&[gps, exif]);
        let exif_at = 8 + 2 + 4 * 12 + 4 + 48;
        let mut all = below.clone();
        let at = u32::try_from(all.len()).unwrap();
        all[4..8].copy_from_slice(&at.to_be_bytes());
        let main: &[(u16, u16, u32, &[u8])] = &[
            (MAKE, 2, 4, b"Ape\0"),
            (ORIENTATION, 3, 1, &[0, 6]),
            (EXIF_DIRECTORY, 4, 1, &u32::to_be_bytes(exif_at)),
            (GPS_DIRECTORY, 4, 1, &[0, 0, 0, 8]),
        ];
        all.extend(&tiff(&[main])[8..]);
        let read = read(&all);
        assert_eq!(read.taken.as_deref(), Some("2024-05-01T08:30:00+02:00"));
        assert_eq!((read.make.as_deref(), read.orientation), (Some("Ape"), Some(6)));
        assert_eq!(read.place, Some((-47.51, 8.75)));
    }

    #[test]
    fn what_is_cut_off_or_points_outside_is_left_out() {
        let main: &[(u16, u16, u32, &[u8])] = &[
            (MODEL, 2, 9, b"Camera 1\0"),
            (ORIENTATION, 3, 1, &[0, 9]),
            (EXIF_DIRECTORY, 4, 1, &[0xFF; 4]),
        ];
        let bytes = tiff(&[main]);
        let whole = read(&bytes);
        assert_eq!((whole.model.as_deref(), whole.orientation), (Some("Camera 1"), None));
        for length in 0..bytes.len() {
            let cut = read(&bytes[..length]);
            assert!(cut.model.is_none() || cut.model == whole.model, "{length}");
        }
        // A directory that is its own below ends as well.
        let own: &[(u16, u16, u32, &[u8])] = &[(EXIF_DIRECTORY, 4, 1, &[0, 0, 0, 8])];
        assert_eq!(read(&tiff(&[own])), Exif::default());
    }
}
