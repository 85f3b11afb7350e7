use crate::vector::MultiVector;
use crate::vector::kernel::{self, CODE_BIAS};

/// The largest code; its negative is the smallest.
const CODE_MAX: f32 = 127.0;
/// By how much an inner product in single precision is off at most, relative to the lengths of the two
/// vectors, with a margin: a kernel adds at least eight sums of up to 1,024 products side by side.
const ROUNDING: f64 = 1_024.0 * f32::EPSILON as f64;

/// A multivector in one byte a component.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Codes {
    dimension: usize,
    /// `count` x `dimension`, row-major, biased.
    codes: Vec<u8>,
    rows: Vec<Row>,
}

/// What is known of a vector beside its codes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Row {
    /// Component = scale x code, to within half a scale.
    scale: f32,
    /// The length of what the codes give.
    length: f32,
    /// The length of what the codes lose, not less.
    lost: f32,
}

/// The vectors of a question as signed codes.
#[derive(Debug)]
pub(super) struct Question {
    rows: Vec<(Vec<i8>, i32, Row)>,
}

impl Codes {
    /// Returns the codes of a multivector.
    pub(super) fn new(vector: &MultiVector) -> Self {
        let mut codes = Vec::with_capacity(vector.as_slice().len());
        let mut rows = Vec::with_capacity(vector.count());
        for components in vector.rows() {
            let (signed, row) = quantise(components);
            codes.extend(signed.iter().map(|code| code.cast_unsigned() ^ CODE_BIAS));
            rows.push(row);
        }
        Self { dimension: vector.dimension(), codes, rows }
    }

    /// Returns between which two numbers the score of the multivector lies.
    pub(super) fn bounds(&self, question: &Question) -> (f32, f32) {
        let (mut least, mut most) = (0.0_f64, 0.0_f64);
        for (codes, bias, asked) in &question.rows {
            let (asked_length, asked_lost) = (f64::from(asked.length), f64::from(asked.lost));
            let asked_whole = asked_length + asked_lost;
            let (mut low, mut high) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
            for (stored, row) in self.codes.chunks_exact(self.dimension).zip(&self.rows) {
                let (length, lost) = (f64::from(row.length), f64::from(row.lost));
                let product = f64::from(kernel::dot_codes(codes, stored) - bias);
                let product = product * f64::from(asked.scale) * f64::from(row.scale);
                // |q·d - q'·d'| <= |q||d - d'| + |q - q'||d'|, and |q| <= |q'| + |q - q'|.
                let off = asked_whole * lost + asked_lost * length;
                let off = off + ROUNDING * asked_whole * (length + lost);
                low = low.max(product - off);
                high = high.max(product + off);
            }
            least += low;
            most += high;
        }
        #[expect(clippy::cast_possible_truncation, reason = "what is cut off is made good for")]
        let bounds = (least as f32, most as f32);
        (bounds.0.next_down(), bounds.1.next_up())
    }

    /// Returns how many vectors there are.
    pub(super) fn count(&self) -> usize {
        self.rows.len()
    }

    /// Returns about how many bytes of memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.codes.len() + self.rows.len() * size_of::<Row>() + size_of::<Self>()
    }
}

impl Question {
    /// Returns the codes of a question.
    pub(super) fn new(vector: &MultiVector) -> Self {
        let row = |components| {
            let (codes, row) = quantise(components);
            let sum: i32 = codes.iter().map(|&code| i32::from(code)).sum();
            (codes, sum * i32::from(CODE_BIAS), row)
        };
        Self { rows: vector.rows().map(row).collect() }
    }
}

fn quantise(components: &[f32]) -> (Vec<i8>, Row) {
    let largest = components.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let code = |&value: &f32| {
        // Dividing first keeps the quotient finite for the smallest magnitudes, too.
        let quotient = if largest > 0.0 { (value / largest * CODE_MAX).round() } else { 0.0 };
        #[expect(clippy::cast_possible_truncation, reason = "the quotient is at most 127")]
        let code = quotient as i8;
        code
    };
    let codes: Vec<i8> = components.iter().map(code).collect();
    let scale = largest / CODE_MAX;
    let (mut length, mut lost) = (0.0_f64, 0.0_f64);
    for (&code, &value) in codes.iter().zip(components) {
        let given = f64::from(scale) * f64::from(code);
        length += given * given;
        lost += (f64::from(value) - given).powi(2);
    }
    (codes, Row { scale, length: above(length.sqrt()), lost: above(lost.sqrt()) })
}

/// Returns a single-precision number that is not less.
fn above(value: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "what is cut off is made good for")]
    let near = value as f32;
    near.next_up()
}
