//! Which of near duplicates to keep, by what their payloads say of them.

use std::cmp::Reverse;

use super::cluster::cancelled;
use super::engine::damaged;
use super::error::Error;
use super::open::Collection;
use crate::cluster::Work;
use crate::document::{Payload, Slot, Value, parse_datetime};
use crate::ingest::SHARPNESS;

/// The fields that say when a picture was made: by the camera, or else by the file.
const TIMES: [&str; 2] = ["taken", "modified"];

/// Which of near duplicates to keep. Among equals the larger, and then the first; what is not known of a
/// document counts as least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// The one that most others are near to; of copies of one picture the first.
    #[default]
    Central,
    /// The one with most pixels, or the longest text.
    Largest,
    /// The sharpest picture.
    Sharpest,
    /// The one that was made first.
    Oldest,
}

impl Collection {
    /// Returns a number for each document, the lower the rather it is kept; none where only distances
    /// decide.
    pub(super) fn preference(
        &self,
        starts: &[u32],
        keep: Keep,
        work: &Work<'_>,
    ) -> Result<Option<Vec<u64>>, Error> {
        if keep == Keep::Central {
            return Ok(None);
        }
        // What is kept first has the lowest of these.
        let mut ranked: Vec<((i64, Reverse<u64>), usize)> = Vec::with_capacity(starts.len());
        for (row, &start) in starts.iter().enumerate() {
            if row.is_multiple_of(4_096) {
                cancelled(work, "reading documents", row, starts.len())?;
            }
            let body = self.engine.body(Slot(start))?;
            let payload = body.ok_or_else(|| damaged("body", start, "missing"))?.payload;
            let size = match pixels(&payload) {
                Some(pixels) => pixels,
                None => self.text_at(start, usize::MAX)?.map_or(0, |text| text.len() as u64),
            };
            let first = match keep {
                Keep::Central | Keep::Largest => 0,
                Keep::Sharpest => milli(&payload, SHARPNESS).map_or(0, |sharpness| -sharpness),
                Keep::Oldest => made(&payload).unwrap_or(i64::MAX),
            };
            ranked.push(((first, Reverse(size)), row));
        }
        ranked.sort_unstable();
        let mut preference = vec![0; starts.len()];
        let (mut rank, mut last) = (0, None);
        for (key, row) in ranked {
            rank += u64::from(last.is_some_and(|last| last != key));
            last = Some(key);
            preference[row] = rank;
        }
        Ok(Some(preference))
    }
}

fn pixels(payload: &Payload) -> Option<u64> {
    let side = |name: &str| match payload.get(name) {
        Some(&Value::Integer(side)) => u64::try_from(side).ok(),
        Some(_) | None => None,
    };
    side("width")?.checked_mul(side("height")?)
}

/// Returns thousandths of a number.
fn milli(payload: &Payload, field: &str) -> Option<i64> {
    let number = match payload.get(field)? {
        Value::Float(number) => *number,
        Value::Integer(number) => *number as f64,
        _ => return None,
    };
    #[expect(clippy::cast_possible_truncation, reason = "the ends of the range are as good")]
    let milli = (number * 1_000.0).clamp(-1e15, 1e15) as i64;
    Some(milli)
}

/// Returns when it was made; a camera that names no offset is taken to be at UTC.
fn made(payload: &Payload) -> Option<i64> {
    TIMES.into_iter().find_map(|field| match payload.get(field) {
        Some(Value::Text(text)) => {
            parse_datetime(text).or_else(|| parse_datetime(&format!("{text}Z")))
        }
        Some(_) | None => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_payloads_say_of_size_sharpness_and_age_is_read_and_nothing_else() {
        let text = |text: &str| Value::Text(text.to_owned());
        let payload = |fields: &[(&str, Value)]| -> Payload {
            fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
        };
        let sides = payload(&[("width", Value::Integer(40)), ("height", Value::Integer(30))]);
        assert_eq!((pixels(&sides), pixels(&Payload::new())), (Some(1_200), None));
        let wrong = payload(&[("width", Value::Integer(-4)), ("height", Value::Integer(30))]);
        assert_eq!(pixels(&wrong), None);
        let sharp = payload(&[(SHARPNESS, Value::Float(1.25))]);
        assert_eq!((milli(&sharp, SHARPNESS), milli(&sides, SHARPNESS)), (Some(1_250), None));
        let early = payload(&[("taken", text("2019-05-01T08:30:00"))]);
        let late = payload(&[("taken", text("2019-05-01T08:30:00-01:00"))]);
        let file = payload(&[("taken", text("May")), ("modified", text("2018-01-01T00:00:00Z"))]);
        assert!(made(&file) < made(&early) && made(&early) < made(&late));
        assert_eq!(made(&sides), None);
    }
}
