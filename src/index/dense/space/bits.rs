use super::codes::quantise;
use super::{Keys, Space, padded, trailer, write_trailer};
use crate::vector::kernel::{self, Rows};

/// Rows of one bit a component, its sign, each ended by a scale of its own and its squared length.
/// The query keeps a byte a component (after Gao and Long 2024, "RaBitQ", without the rotation).
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct BitSpace<'a> {
    rows: Rows<'a, u8>,
    components: usize,
    keys: Keys<'a>,
}

/// A query as signed codes.
#[derive(Debug, Default)]
pub(in super::super) struct BitQuery {
    codes: Vec<i8>,
    sum: i32,
    scale: f32,
    norm: f32,
}

impl<'a> BitSpace<'a> {
    /// Returns the space of rows that [`Self::encode`] wrote.
    pub(in super::super) fn new(rows: Rows<'a, u8>, components: usize, keys: Keys<'a>) -> Self {
        Self { rows, components, keys }
    }

    /// Returns how many bytes the row of a vector takes.
    pub(in super::super) fn width(components: usize) -> usize {
        padded(components.div_ceil(8))
    }

    /// Writes the row of a vector of squared length `norm`.
    pub(in super::super) fn encode(vector: &[f32], norm: f32, row: &mut [u8]) {
        row.fill(0);
        for (byte, components) in row.iter_mut().zip(vector.chunks(8)) {
            for (bit, &component) in components.iter().enumerate() {
                *byte |= u8::from(component > 0.0) << bit;
            }
        }
        let magnitudes: f32 = vector.iter().map(|component| component.abs()).sum();
        // With this scale a vector's product with its own signs is its squared length.
        let scale = if magnitudes > 0.0 { norm / magnitudes } else { 0.0 };
        write_trailer(row, scale, norm);
    }

    fn product(&self, query: &BitQuery, row: &[u8]) -> (f32, f32) {
        let (scale, norm) = trailer(row);
        let positive = kernel::sum_codes_at(&query.codes, &row[..query.codes.len() / 8]);
        (query.scale * scale * (2 * positive - query.sum) as f32, norm)
    }
}

impl Space for BitSpace<'_> {
    type Query = BitQuery;

    fn prepare(&self, vector: &[f32], query: &mut BitQuery) {
        query.scale = quantise(vector, self.components.next_multiple_of(8), &mut query.codes);
        query.norm = kernel::dot(vector, vector);
        query.sum = query.codes.iter().map(|&code| i32::from(code)).sum();
    }

    fn compare(&self, query: &BitQuery, rows: &[u32], keys: &mut Vec<f32>) {
        for &row in rows {
            self.rows.prefetch(row as usize);
        }
        keys.extend(rows.iter().map(|&row| {
            let (product, norm) = self.product(query, self.rows.row(row as usize));
            self.keys.key(product, query.norm, norm)
        }));
    }
}
