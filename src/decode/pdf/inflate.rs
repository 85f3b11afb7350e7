//! Is this file a bomb? How much its compressed streams unpack to is counted before any of them is
//! unpacked into memory.

use std::io::{self, Read};

use flate2::read::{DeflateDecoder, ZlibDecoder};
use hayro_interpret::hayro_syntax::Filter;
use hayro_interpret::hayro_syntax::Pdf;
use hayro_interpret::hayro_syntax::object::{Object, Stream};

use super::super::{DecodeError, Limits};

/// No stream that compresses this little can be a bomb; smaller ones are not counted at all.
const HARMLESS_BYTES: usize = 4_096;

/// Counts what the streams of the file unpack to, without reading what the file says of itself: the
/// tables of objects may be compressed too and are unpacked on loading.
pub(super) fn check_raw(bytes: &[u8], limits: &Limits) -> Result<(), DecodeError> {
    let mut total = 0_u64;
    let mut at = 0;
    while let Some(found) = find(&bytes[at..], b"stream") {
        let keyword = at + found;
        at = keyword + 6;
        if bytes[..keyword].ends_with(b"end") {
            continue;
        }
        let data = match &bytes[at..] {
            [b'\r', b'\n', data @ ..] | [b'\n' | b'\r', data @ ..] => data,
            _ => continue,
        };
        let end = find(data, b"endstream").unwrap_or(data.len());
        // Filters that only encode, and passwords, are looked behind later.
        let looks_deflated = data.first().is_some_and(|byte| byte & 0x0F == 8);
        if looks_deflated && end > HARMLESS_BYTES {
            total += count(ZlibDecoder::new(&data[..end]), left(total, limits));
            check(total, limits)?;
        }
    }
    Ok(())
}

/// Counts what the streams unpack to through which several filters are to be applied, or which are
/// encrypted; the others were counted before.
pub(super) fn check_objects(pdf: &Pdf, limits: &Limits) -> Result<(), DecodeError> {
    let mut total = 0_u64;
    for object in pdf.objects() {
        let stream = match object {
            Object::Stream(stream) => stream,
            _ => continue,
        };
        total += unpacked(&stream, left(total, limits));
        check(total, limits)?;
    }
    Ok(())
}

/// Returns to how many bytes the stream unpacks, if that is more than `most` then any number above.
fn unpacked(stream: &Stream<'_>, most: u64) -> u64 {
    let filters = stream.filters();
    let expanding = filters.iter().filter(|filter| ratio_of(**filter) > 1).count();
    if expanding == 0 || is_image(&filters) {
        return 0;
    }
    let raw = stream.raw_data();
    if expanding > 1 {
        // Compressed twice: what the ratios allow is what is feared.
        let ratio: u64 = filters.iter().map(|&filter| ratio_of(filter)).product();
        return raw.len() as u64 * ratio;
    }
    let mut data = raw.into_owned();
    let mut count_of = 0;
    for filter in filters {
        match filter {
            Filter::AsciiHexDecode => data = from_hex(&data),
            Filter::Ascii85Decode => data = from_base_85(&data),
            Filter::FlateDecode => {
                let zlib = count(ZlibDecoder::new(&data[..]), most);
                count_of += zlib.max(count(DeflateDecoder::new(&data[..]), most));
            }
            Filter::LzwDecode => count_of += lzw_length(&data, most),
            Filter::RunLengthDecode => count_of += data.len() as u64 * ratio_of(filter),
            _ => {}
        }
    }
    count_of
}

/// Returns how many bytes one byte can become.
fn ratio_of(filter: Filter) -> u64 {
    match filter {
        Filter::FlateDecode => 1_032,
        Filter::LzwDecode => 2_731,
        Filter::RunLengthDecode => 64,
        _ => 1,
    }
}

fn is_image(filters: &[Filter]) -> bool {
    filters.iter().any(|filter| {
        matches!(
            filter,
            Filter::DctDecode | Filter::JpxDecode | Filter::Jbig2Decode | Filter::CcittFaxDecode
        )
    })
}

fn check(total: u64, limits: &Limits) -> Result<(), DecodeError> {
    if total > limits.unpacked_bytes_max {
        return Err(DecodeError::TooLarge {
            what: "bytes of unpacked streams",
            limit: limits.unpacked_bytes_max,
            actual: total,
        });
    }
    Ok(())
}

fn left(total: u64, limits: &Limits) -> u64 {
    limits.unpacked_bytes_max.saturating_sub(total).saturating_add(1)
}

/// Returns how much the source gives, up to `most`; damage ends it.
fn count(source: impl Read, most: u64) -> u64 {
    let mut source = source.take(most);
    let mut buffer = [0; 32 << 10];
    let mut total = 0;
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return total,
            Ok(read) => total += read as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return total,
        }
    }
}

fn from_hex(data: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = data
        .iter()
        .take_while(|&&byte| byte != b'>')
        .filter_map(|&byte| char::from(byte).to_digit(16))
        .map(|digit| digit as u8)
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair.get(1).copied().unwrap_or(0)).collect()
}

fn from_base_85(data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(data.len());
    let mut group: Vec<u32> = Vec::with_capacity(5);
    let flush = |group: &mut Vec<u32>, bytes: &mut Vec<u8>| {
        let known = group.len();
        if known > 1 {
            group.resize(5, 84);
            let value =
                group.iter().fold(0_u32, |sum, &digit| sum.wrapping_mul(85).wrapping_add(digit));
            bytes.extend(&value.to_be_bytes()[..known - 1]);
        }
        group.clear();
    };
    for &byte in data {
        match byte {
            b'z' if group.is_empty() => bytes.extend([0; 4]),
            b'!'..=b'u' => {
                group.push(u32::from(byte - b'!'));
                if group.len() == 5 {
                    flush(&mut group, &mut bytes);
                }
            }
            b'~' => break,
            _ => {}
        }
    }
    flush(&mut group, &mut bytes);
    bytes
}

/// Returns to how many bytes the LZW codes expand, keeping only the length of each table entry.
fn lzw_length(data: &[u8], most: u64) -> u64 {
    const CLEAR: usize = 256;
    const END: usize = 257;
    let mut lengths: Vec<u64> = vec![1; 258];
    let (mut bits, mut held, mut width) = (0_u64, 0_u32, 9_u32);
    let mut previous: Option<u64> = None;
    let mut total = 0;
    for &byte in data {
        bits = bits << 8 | u64::from(byte);
        held += 8;
        if held < width {
            continue;
        }
        held -= width;
        let code = (bits >> held) as usize & ((1 << width) - 1);
        bits &= (1 << held) - 1;
        if code == CLEAR {
            lengths.truncate(258);
            (width, previous) = (9, None);
            continue;
        }
        if code == END || total > most {
            break;
        }
        let length = lengths.get(code).copied().or(previous.map(|length| length + 1)).unwrap_or(1);
        total += length;
        if let Some(previous) = previous
            && lengths.len() < 4_096
        {
            lengths.push(previous + 1);
        }
        previous = Some(length);
        width = match lengths.len() + 1 {
            0..=511 => 9,
            512..=1_023 => 10,
            1_024..=2_047 => 11,
            _ => 12,
        };
    }
    total
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, needle)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn deflated(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_stream_that_unpacks_to_too_much_is_found_before_it_is_unpacked() {
        let mut file = b"%PDF-1.7\n1 0 obj << /Filter /FlateDecode >> stream\r\n".to_vec();
        file.extend(deflated(&vec![b' '; 8 << 20]));
        file.extend(b"\nendstream endobj");
        let limits = Limits { unpacked_bytes_max: 4 << 20, ..Limits::default() };
        assert_eq!(
            check_raw(&file, &limits).unwrap_err().to_string(),
            "too many bytes of unpacked streams: at most 4194304, got 4194305"
        );
        assert_eq!(check_raw(&file, &Limits::default()), Ok(()));
    }

    #[test]
    fn encodings_that_hide_a_stream_are_undone() {
        assert_eq!(from_hex(b"48 65 6C6c 6F>zz"), b"Hello");
        assert_eq!(from_base_85(b"87cURD]i,\"Ebo80~>"), b"Hello World!");
        assert_eq!(from_base_85(b"z!!~>"), [0, 0, 0, 0, 0]);
    }

    #[test]
    fn the_length_of_lzw_data_is_known_without_unpacking_it() {
        // The example of ISO 32000-2, 7.4.4.2: ten bytes in nine codes.
        let data = [0x80, 0x0B, 0x60, 0x50, 0x22, 0x0C, 0x0C, 0x85, 0x01];
        assert_eq!(lzw_length(&data, 1_000), 10);
    }
}
