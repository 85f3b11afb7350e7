//! In which encoding is this text?

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// A text that was told from bytes.
#[derive(Debug)]
pub(super) struct Decoded<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) warnings: Vec<String>,
}

/// As much of a file as is looked at to tell what it is.
const PREVIEW_BYTES: usize = 64 << 10;

/// Returns the bytes as text: by their byte order mark, else as UTF-8 if they are, else as declared,
/// else as is likely. UTF-8 goes before what is declared because text that is valid UTF-8 by chance is
/// very rare and wrong declarations are not.
pub(super) fn decode<'a>(bytes: &'a [u8], declared: Option<&str>) -> Decoded<'a> {
    let (encoding, bom_bytes) = match Encoding::for_bom(bytes) {
        Some((encoding, length)) => (encoding, length),
        None => (guess(bytes, declared.and_then(|label| Encoding::for_label(label.as_bytes()))), 0),
    };
    let (text, had_errors) = encoding.decode_without_bom_handling(&bytes[bom_bytes..]);
    let mut warnings = Vec::new();
    if had_errors {
        let lost = text.matches('\u{FFFD}').count();
        warnings.push(format!("{lost} characters could not be read as {}", encoding.name()));
    }
    Decoded { text, warnings }
}

/// Returns the encoding if it takes two bytes or more for every character.
pub(super) fn wide(bytes: &[u8]) -> Option<&'static Encoding> {
    match Encoding::for_bom(bytes) {
        Some((encoding, _)) => Some(encoding).filter(|&encoding| encoding != UTF_8),
        None => wide_without_mark(bytes),
    }
}

/// Returns the encoding that a page declares about itself at its beginning.
pub(super) fn declared_in_html(bytes: &[u8]) -> Option<&str> {
    let head = &bytes[..bytes.len().min(4_096)];
    let at = head.windows(8).position(|window| window.eq_ignore_ascii_case(b"charset="))?;
    let rest = head[at + 8..].trim_ascii_start();
    let rest = rest.strip_prefix(b"\"").or_else(|| rest.strip_prefix(b"'")).unwrap_or(rest);
    let end =
        rest.iter().position(|byte| !(byte.is_ascii_alphanumeric() || b"-_:.".contains(byte)));
    std::str::from_utf8(&rest[..end.unwrap_or(rest.len())]).ok().filter(|label| !label.is_empty())
}

/// Tells the text of the pieces of a file that is never seen as a whole.
#[derive(Debug)]
pub(super) struct Pieces {
    /// What the beginning, else the first piece that was not UTF-8, turned out to be.
    encoding: Option<&'static Encoding>,
}

impl Pieces {
    /// Looks at the beginning of the file, which says more than its first piece.
    pub(super) fn new(beginning: &[u8]) -> Self {
        let encoding = guess(&beginning[..beginning.len().min(PREVIEW_BYTES)], None);
        Self { encoding: Some(encoding).filter(|&encoding| encoding != UTF_8) }
    }

    /// Returns the piece as text.
    pub(super) fn text<'a>(&mut self, piece: &'a [u8]) -> Cow<'a, str> {
        match std::str::from_utf8(piece) {
            Ok(text) if !piece.contains(&0x1B) => Cow::Borrowed(text),
            _ => {
                let encoding = *self.encoding.get_or_insert_with(|| guess(piece, None));
                encoding.decode_without_bom_handling(piece).0
            }
        }
    }
}

/// Returns the beginning of the bytes as text, for telling formats apart.
pub(super) fn preview(bytes: &[u8]) -> Cow<'_, str> {
    decode(&bytes[..bytes.len().min(PREVIEW_BYTES)], None).text
}

/// Returns whether the beginning of the bytes can be text in some encoding.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    let bytes = &bytes[..bytes.len().min(PREVIEW_BYTES)];
    if Encoding::for_bom(bytes).is_some() || wide_without_mark(bytes).is_some() {
        return true;
    }
    let controls = bytes
        .iter()
        .filter(|byte| matches!(byte, 0x01..=0x08 | 0x0B | 0x0E..=0x1A | 0x1C..=0x1F | 0x7F))
        .count();
    // A few stray controls happen in real texts; other files have one byte in ten.
    !bytes.contains(&0) && controls * 50 <= bytes.len()
}

/// Returns the likely encoding of bytes without a byte order mark.
pub(super) fn guess(bytes: &[u8], declared: Option<&'static Encoding>) -> &'static Encoding {
    if let Some(encoding) = wide_without_mark(bytes) {
        return encoding;
    }
    // ISO-2022-JP is made of ASCII bytes alone, and known by its escapes.
    let has_escapes = bytes.contains(&0x1B);
    if !has_escapes && is_mostly_utf8(bytes) {
        return UTF_8;
    }
    if let Some(encoding) = declared
        && encoding != UTF_8
        && !encoding.decode_without_bom_handling(bytes).1
    {
        return encoding;
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(bytes, true);
    let guessed = detector.guess(None, Utf8Detection::Allow);
    // What no encoding fits is read as declared, if anything is.
    match declared {
        Some(encoding) if guessed == WINDOWS_1252 => encoding,
        _ => guessed,
    }
}

/// Returns whether the bytes are UTF-8 but for a rare damage.
fn is_mostly_utf8(bytes: &[u8]) -> bool {
    let (mut whole, mut broken) = (0_usize, 0_usize);
    for chunk in bytes.utf8_chunks() {
        whole += chunk.valid().chars().filter(|character| !character.is_ascii()).count();
        // A piece of a file may end inside a character.
        broken += usize::from(!chunk.invalid().is_empty());
    }
    broken == 0 || whole >= broken * 8
}

/// Returns UTF-16 if every other byte of the beginning is zero often enough.
fn wide_without_mark(bytes: &[u8]) -> Option<&'static Encoding> {
    let bytes = &bytes[..bytes.len().min(4_096) & !1];
    let zeros =
        |first: usize| bytes.iter().skip(first).step_by(2).filter(|&&byte| byte == 0).count();
    let pairs = bytes.len() / 2;
    match (zeros(0), zeros(1)) {
        _ if pairs < 2 => None,
        (0, low) if low * 2 > pairs => Some(UTF_16LE),
        (high, 0) if high * 2 > pairs => Some(UTF_16BE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use encoding_rs::{BIG5, EUC_KR, GB18030, ISO_2022_JP, SHIFT_JIS, WINDOWS_1251};

    use super::*;

    const CHINESE: &str =
        "小猫在院子里追逐老鼠，老鼠躲进了墙角的洞里。晚上月亮升起来的时候，小猫还在那里等着。";
    const JAPANESE: &str = "子猫が庭でねずみを追いかけています。ねずみは壁の穴に隠れました。夜になっても子猫は待っていました。";

    fn read(bytes: &[u8]) -> String {
        decode(bytes, None).text.into_owned()
    }

    #[test]
    fn legacy_encodings_are_told_from_the_bytes() {
        for (encoding, text) in [
            (GB18030, CHINESE),
            (SHIFT_JIS, JAPANESE),
            (ISO_2022_JP, JAPANESE),
            (
                BIG5,
                "小貓在院子裡追逐老鼠，老鼠躲進了牆角的洞裡。晚上月亮升起來的時候，小貓還在那裡等著。",
            ),
            (EUC_KR, "고양이가 마당에서 쥐를 쫓고 있습니다. 쥐는 벽 구석의 구멍에 숨었습니다."),
            (WINDOWS_1251, "Котёнок гоняется за мышью во дворе, а мышь спряталась в углу стены."),
            (WINDOWS_1252, "Le chaton était caché derrière la forêt où l’été s’achève déjà."),
        ] {
            let (bytes, _, had_errors) = encoding.encode(text);
            assert!(!had_errors);
            assert_eq!(read(&bytes), text, "{}", encoding.name());
        }
    }

    #[test]
    fn utf_16_is_told_with_and_without_a_mark() {
        let text = "The kitten hunts rodents.";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!((read(&little), read(&big)), (text.to_owned(), text.to_owned()));
        let marked: Vec<u8> = [0xFF, 0xFE]
            .into_iter()
            .chain(CHINESE.encode_utf16().flat_map(u16::to_le_bytes))
            .collect();
        assert_eq!(read(&marked), CHINESE);
        assert!(is_text(&little) && is_text(&marked));
    }

    #[test]
    fn a_rare_damage_leaves_utf_8_what_it_is_and_is_said() {
        let mut bytes = CHINESE.as_bytes().to_vec();
        bytes[30] = 0xFF;
        let decoded = decode(&bytes, None);
        assert!(decoded.text.ends_with("小猫还在那里等着。"));
        assert_eq!(decoded.warnings.len(), 1);
        assert!(
            decoded.warnings[0].ends_with("could not be read as UTF-8"),
            "{:?}",
            decoded.warnings
        );
    }

    #[test]
    fn a_page_says_its_encoding_in_either_form() {
        for (head, label) in [
            ("<meta charset=gb2312>", Some("gb2312")),
            ("<META content='text/html; CHARSET=Shift_JIS'>", Some("Shift_JIS")),
            ("<meta charset=\"utf-8\">", Some("utf-8")),
            ("<p>charset</p>", None),
        ] {
            assert_eq!(declared_in_html(head.as_bytes()), label);
        }
    }

    #[test]
    fn a_declaration_helps_short_texts_and_does_not_override_utf_8() {
        let (bytes, _, _) = SHIFT_JIS.encode("猫");
        assert_eq!(decode(&bytes, Some("shift_jis")).text, "猫");
        assert_eq!(decode("猫".as_bytes(), Some("shift_jis")).text, "猫");
    }

    #[test]
    fn bytes_with_zeros_or_many_controls_are_no_text() {
        assert!(!is_text(&[b'a', 0, 0, 0, b'b', 7, 0, 0]));
        assert!(!is_text(&(0..=255).filter(|&byte| byte != 0).collect::<Vec<u8>>()));
        assert!(is_text("plain\ttext\r\n\u{c}".as_bytes()));
    }
}
