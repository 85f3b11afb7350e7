use super::{Keys, Pairs, Space, TRAILER_BYTES, padded, trailer, write_trailer};
use crate::vector::kernel::{self, Rows};

/// Rows of one byte a component, each ended by a scale of its own and its squared length.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct CodeSpace<'a> {
    rows: Rows<'a, u8>,
    keys: Keys<'a>,
}

/// A query as signed codes.
#[derive(Debug, Default)]
pub(in super::super) struct CodeQuery {
    codes: Vec<i8>,
    /// What the bias of the stored codes adds to every product.
    bias: i32,
    scale: f32,
    norm: f32,
    lift: f32,
}

/// Products are computed for so many rows at a time.
const BATCH: usize = 64;
/// The largest code; its negative is the smallest.
const CODE_MAX: f32 = 127.0;
/// One and a half times two to the power of the bits of a mantissa: adding it leaves the nearest
/// whole number in the low bits.
const WHOLE: f32 = 12_582_912.0;

impl<'a> CodeSpace<'a> {
    /// Returns the space of rows that [`Self::encode`] wrote.
    pub(in super::super) fn new(rows: Rows<'a, u8>, keys: Keys<'a>) -> Self {
        Self { rows, keys }
    }

    /// Returns how many bytes the row of a vector takes.
    pub(in super::super) fn width(components: usize) -> usize {
        padded(components)
    }

    /// Returns the most components of a row that takes no more bytes than that.
    pub(in super::super) fn components_in(width: usize) -> usize {
        width.saturating_sub(TRAILER_BYTES)
    }

    /// Writes the row of a vector; `norm` is the squared length that the key is to be computed
    /// with, that of the vector before it was projected.
    pub(in super::super) fn encode(vector: &[f32], norm: f32, codes: &mut Vec<i8>, row: &mut [u8]) {
        let scale = quantise(vector, row.len(), codes);
        for (stored, &code) in row.iter_mut().zip(&*codes) {
            *stored = code.cast_unsigned() ^ kernel::CODE_BIAS;
        }
        write_trailer(row, scale, norm);
    }
}

impl Space for CodeSpace<'_> {
    type Query = CodeQuery;

    fn prepare(&self, vector: &[f32], query: &mut CodeQuery) {
        query.scale = quantise(vector, self.rows.width(), &mut query.codes);
        (query.norm, query.lift) = (kernel::dot(vector, vector), 0.0);
        query.finish();
    }

    fn compare(&self, query: &CodeQuery, rows: &[u32], keys: &mut Vec<f32>) {
        let start = keys.len();
        let mut products = [0; BATCH];
        for batch in rows.chunks(BATCH) {
            let products = &mut products[..batch.len()];
            kernel::dot_code_rows(&query.codes, self.rows, batch, products);
            keys.extend(batch.iter().zip(products).map(|(&row, product)| {
                let (scale, norm) = trailer(self.rows.row(row as usize));
                let product = query.scale * scale * (*product - query.bias) as f32;
                self.keys.key(product, query.norm, norm)
            }));
        }
        self.keys.add_lifts(query.lift, rows, &mut keys[start..]);
    }
}

impl Pairs for CodeSpace<'_> {
    fn prepare_row(&self, row: u32, query: &mut CodeQuery) {
        let stored = self.rows.row(row as usize);
        query.codes.clear();
        query.codes.extend(stored.iter().map(|&code| (code ^ kernel::CODE_BIAS).cast_signed()));
        // The trailer is no component: zeroes let it count for nothing.
        let components = stored.len() - TRAILER_BYTES;
        query.codes[components..].fill(0);
        (query.scale, query.norm) = trailer(stored);
        query.lift = self.keys.lift(row);
        query.finish();
    }

    fn between(&self, a: u32, b: u32) -> f32 {
        let (left, right) = (self.rows.row(a as usize), self.rows.row(b as usize));
        let components = left.len() - TRAILER_BYTES;
        let product = kernel::dot_stored_codes(&left[..components], &right[..components]);
        let ((scale, norm), (other_scale, other_norm)) = (trailer(left), trailer(right));
        let key = self.keys.key(scale * other_scale * product as f32, norm, other_norm);
        key + (self.keys.lift(a) - self.keys.lift(b)).powi(2)
    }
}

impl CodeQuery {
    fn finish(&mut self) {
        let sum: i32 = self.codes.iter().map(|&code| i32::from(code)).sum();
        self.bias = sum * i32::from(kernel::CODE_BIAS);
    }
}

/// Writes the components as signed codes, padded with zeroes to `width`, and returns the scale:
/// component = scale x code, to within half a scale.
pub(super) fn quantise(vector: &[f32], width: usize, codes: &mut Vec<i8>) -> f32 {
    let largest = vector.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    codes.clear();
    if largest > 0.0 {
        codes.extend(vector.iter().map(|value| {
            // Dividing first keeps the quotient finite for the smallest magnitudes, too.
            let bits = (value / largest * CODE_MAX + WHOLE).to_bits();
            #[expect(clippy::cast_possible_truncation, reason = "the low bits are what is meant")]
            let code = bits as i8;
            code
        }));
    }
    codes.resize(width, 0);
    largest / CODE_MAX
}
