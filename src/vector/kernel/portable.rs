//! Plain loops that run everywhere and say what the others have to return.

use super::{CODE_BIAS, Kernels, Rows};

pub(super) static KERNELS: Kernels = Kernels {
    name: "portable",
    dot,
    squared_euclidean,
    dot_codes,
    dot_stored_codes,
    dot_code_rows,
    dot_rows,
    squared_euclidean_rows,
    sum_codes_at,
    add_scaled,
    descend,
};

/// Sums that run side by side, so that the compiler may use what vector instructions there are.
const LANES: usize = 8;

fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum_of(a, b, |x, y| x * y)
}

fn squared_euclidean(a: &[f32], b: &[f32]) -> f32 {
    sum_of(a, b, |x, y| (x - y) * (x - y))
}

fn sum_of(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (left, right) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = left.remainder().iter().zip(right.remainder()).map(|(&x, &y)| term(x, y)).sum();
    for (x, y) in left.zip(right) {
        for lane in 0..LANES {
            sums[lane] += term(x[lane], y[lane]);
        }
    }
    sums.iter().sum::<f32>() + rest
}

fn dot_codes(a: &[i8], b: &[u8]) -> i32 {
    a.iter().zip(b).map(|(&x, &y)| i32::from(x) * i32::from(y)).sum()
}

fn dot_stored_codes(a: &[u8], b: &[u8]) -> i32 {
    let unbias = |code: u8| i32::from(code) - i32::from(CODE_BIAS);
    a.iter().zip(b).map(|(&x, &y)| unbias(x) * unbias(y)).sum()
}

fn dot_code_rows(query: &[i8], rows: Rows<'_, u8>, ids: &[u32], out: &mut [i32]) {
    for (row, value) in rows.arriving(ids).zip(out) {
        *value = dot_codes(query, row);
    }
}

fn dot_rows(query: &[f32], rows: Rows<'_, f32>, ids: &[u32], out: &mut [f32]) {
    for (row, value) in rows.arriving(ids).zip(out) {
        *value = dot(query, row);
    }
}

fn squared_euclidean_rows(query: &[f32], rows: Rows<'_, f32>, ids: &[u32], out: &mut [f32]) {
    for (row, value) in rows.arriving(ids).zip(out) {
        *value = squared_euclidean(query, row);
    }
}

fn sum_codes_at(codes: &[i8], bits: &[u8]) -> i32 {
    codes
        .chunks_exact(8)
        .zip(bits)
        .flat_map(|(codes, byte)| {
            codes
                .iter()
                .enumerate()
                .map(move |(bit, &code)| i32::from(byte >> bit & 1) * i32::from(code))
        })
        .sum()
}

/// Inlined into the other forms, where the compiler uses their wider instructions.
#[inline(always)]
pub(super) fn add_scaled(sum: &mut [f32], values: &[f32], factor: f32) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += factor * value;
    }
}

/// As [`add_scaled`].
#[inline(always)]
pub(super) fn descend(row: &mut [f32], gradient: &mut [f32], other: &[f32], factor: f32) {
    for ((row, gradient), other) in row.iter_mut().zip(gradient).zip(other) {
        *gradient += factor * *row;
        *row += factor * other;
    }
}
