//! What a document says of itself, as payload.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::document::{Payload, Value};

const FIELDS_MAX: usize = 64;
const VALUE_BYTES_MAX: usize = 4_096;

/// Adds a text under a name, cleaned and cut to a length; an empty one is left out, and the first of
/// a name stays.
pub(super) fn add(metadata: &mut Payload, name: &str, text: &str) {
    if let Some(text) = clean(text) {
        add_value(metadata, name, Value::Text(text));
    }
}

/// Adds a point in time in the form of RFC 3339, or the text if it is none.
pub(super) fn add_time(metadata: &mut Payload, name: &str, text: &str) {
    if let Some(text) = clean(text) {
        add_value(metadata, name, Value::Text(point_in_time(&text).unwrap_or(text)));
    }
}

/// Adds a value under a name.
pub(super) fn add_value(metadata: &mut Payload, name: &str, value: Value) {
    if metadata.len() < FIELDS_MAX {
        metadata.entry(super::records::field_name(name)).or_insert(value);
    }
}

/// Returns the text in one line and of a bounded length, or nothing if it is blank.
pub(super) fn clean(text: &str) -> Option<String> {
    // What is cut off may be a book that was never meant to be a title.
    let text = &text[..text.floor_char_boundary(VALUE_BYTES_MAX * 4)];
    let seen: String = text
        .chars()
        .filter(|&character| character.is_whitespace() || !super::writer::is_unseen(character))
        .collect();
    let words: Vec<&str> = seen.split_whitespace().collect();
    let mut text = words.join(" ");
    text.truncate(text.floor_char_boundary(VALUE_BYTES_MAX));
    (!text.is_empty()).then_some(text)
}

/// Returns the text in the form of RFC 3339 if it is a date or a point in time in one of the usual
/// forms; what names no time zone is taken as UTC.
pub(super) fn point_in_time(text: &str) -> Option<String> {
    let text = text.trim();
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.to_string());
    }
    if let Ok(time) = text.parse::<Zoned>() {
        return Some(time.timestamp().to_string());
    }
    let civil = text
        .parse::<DateTime>()
        .or_else(|_| {
            text.parse::<Date>().map(|date| date.to_datetime(jiff::civil::Time::midnight()))
        })
        .ok()?;
    let zoned = civil.to_zoned(TimeZone::UTC).ok()?;
    Some(zoned.timestamp().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_become_points_in_time() {
        for (given, expected) in [
            ("2024-05-01", "2024-05-01T00:00:00Z"),
            ("2024-05-01T08:30:00+08:00", "2024-05-01T00:30:00Z"),
            ("2024-05-01 08:30", "2024-05-01T08:30:00Z"),
        ] {
            assert_eq!(point_in_time(given).as_deref(), Some(expected));
        }
        assert_eq!(point_in_time("in May"), None);
    }

    #[test]
    fn values_are_cleaned_and_bounded() {
        let mut metadata = Payload::new();
        add(&mut metadata, "author", " A.\n B. \u{0}");
        add(&mut metadata, "author", "second");
        add(&mut metadata, "empty", " ");
        add(&mut metadata, "dc.subject", &"猫".repeat(5_000));
        assert_eq!(metadata["author"], Value::Text("A. B.".to_owned()));
        assert_eq!(metadata.len(), 2);
        let Value::Text(subject) = &metadata["dc_subject"] else { panic!("no text") };
        assert_eq!(subject.len(), 4_095);
    }
}
