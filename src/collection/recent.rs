//! Which rows were answers made of lately? Reading a row from the tables costs more than finding it.

use std::sync::{Arc, OnceLock};

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::engine::{Body, Engine, damaged};
use super::error::Error;
use crate::document::{Slot, Span};

/// How many rows room is made for at first.
const ROWS_EXPECTED: usize = 1_000;
/// What a row takes beside its texts, about.
const ROW_BYTES: u64 = 160;

/// The rows of the hits of the last answers, up to a number of bytes. Rows under slots never change, and a
/// slot is never given twice: what is here needs no second look.
#[derive(Debug)]
pub(super) struct Recent {
    bytes_max: u64,
    // Made by the first answer: most of a thousand collections give none.
    rows: OnceLock<Rows>,
}

#[derive(Debug)]
struct Rows {
    parts: Cache<u32, Arc<PassageRow>, ByBytes>,
    bodies: Cache<u32, Arc<Body>, ByBytes>,
}

/// A part, as a hit shows it.
#[derive(Debug)]
pub(super) struct PassageRow {
    /// The first slot of its version.
    pub(super) first: Slot,
    /// What it shares with the other parts.
    pub(super) body: Arc<Body>,
    pub(super) span: Span,
    pub(super) text: String,
}

#[derive(Debug, Clone)]
struct ByBytes;

impl Weighter<u32, Arc<PassageRow>> for ByBytes {
    fn weight(&self, _: &u32, row: &Arc<PassageRow>) -> u64 {
        // The other row of the body may be gone.
        ROW_BYTES + row.text.len() as u64 + body_bytes(&row.body)
    }
}

impl Weighter<u32, Arc<Body>> for ByBytes {
    fn weight(&self, _: &u32, body: &Arc<Body>) -> u64 {
        body_bytes(body)
    }
}

fn body_bytes(body: &Body) -> u64 {
    // A parsed payload takes about this much more than its JSON.
    ROW_BYTES + body.id.as_str().len() as u64 + 3 * body.payload_bytes
}

impl Recent {
    /// Returns room for so many bytes of rows.
    pub(super) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, rows: OnceLock::new() }
    }

    /// Returns how many bytes the rows take, about.
    pub(super) fn bytes(&self) -> u64 {
        self.rows.get().map_or(0, |rows| rows.parts.weight() + rows.bodies.weight())
    }

    fn rows(&self) -> &Rows {
        self.rows.get_or_init(|| Rows {
            parts: Cache::with_weighter(ROWS_EXPECTED, self.bytes_max / 2, ByBytes),
            bodies: Cache::with_weighter(ROWS_EXPECTED, self.bytes_max / 2, ByBytes),
        })
    }
}

impl Engine {
    /// Returns a part that a hit shows.
    pub(super) fn passage_row(&self, slot: Slot) -> Result<Arc<PassageRow>, Error> {
        let parts = &self.recent.rows().parts;
        if let Some(row) = parts.get(&slot.0) {
            return Ok(row);
        }
        let part = self.part(slot)?.ok_or_else(|| damaged("part", slot.0, "missing"))?;
        let (first, span) = (Slot(part.first), part.span.into());
        let body = self.body_row(first)?;
        let row = Arc::new(PassageRow { first, body, span, text: part.text });
        parts.insert(slot.0, Arc::clone(&row));
        Ok(row)
    }

    /// Returns what the parts share of which a hit is one.
    fn body_row(&self, first: Slot) -> Result<Arc<Body>, Error> {
        let bodies = &self.recent.rows().bodies;
        if let Some(body) = bodies.get(&first.0) {
            return Ok(body);
        }
        let body = self.body(first)?.ok_or_else(|| damaged("body", first.0, "missing"))?;
        let body = Arc::new(body);
        bodies.insert(first.0, Arc::clone(&body));
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{DocumentId, Payload};

    #[test]
    fn rows_are_kept_up_to_a_number_of_bytes() {
        let recent = Recent::new(40_000);
        assert_eq!(recent.bytes(), 0);
        let body = Arc::new(Body {
            id: DocumentId::new("d").unwrap(),
            parts: 1,
            sequence: 1,
            payload: Payload::default(),
            payload_bytes: 2,
        });
        for number in 0..1_000 {
            let (first, body, span) = (Slot(number), Arc::clone(&body), Span::Whole);
            let row = PassageRow { first, body, span, text: "a".repeat(100) };
            recent.rows().parts.insert(number, Arc::new(row));
        }
        assert!((1..=20_000).contains(&recent.bytes()), "{}", recent.bytes());
        let kept = (0..1_000).filter(|number| recent.rows().parts.get(number).is_some());
        // As many as half the room has place for, and no more.
        let most = 20_000 / (100 + ROW_BYTES as usize);
        assert!((20..=most).contains(&kept.clone().count()), "{}", kept.count());
        for number in kept {
            assert_eq!(recent.rows().parts.get(&number).unwrap().first, Slot(number));
        }
    }
}
