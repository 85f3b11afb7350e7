//! AVX2 with FMA: 8 floats or 16 codes an instruction.
//!
//! Codes are widened to 16 bits first: the instruction that multiplies bytes saturates its sums of
//! two products.
#![allow(clippy::wildcard_imports, reason = "the names of instructions have a prefix of their own")]

use std::arch::x86_64::*;

use super::{CODE_BIAS, Kernels, Rows, portable};

pub(super) static KERNELS: Kernels = Kernels {
    name: "avx2",
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

/// Sums that run side by side, because an addition waits for the one before.
const LANES: usize = 4;
const FLOATS: usize = 8;
const CODES: usize = 16;

#[target_feature(enable = "avx2,fma")]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let length = a.len().min(b.len());
    let (left, right) = (a.as_ptr(), b.as_ptr());
    let mut sums = [_mm256_setzero_ps(); LANES];
    let mut at = 0;
    while at + LANES * FLOATS <= length {
        for (lane, sum) in sums.iter_mut().enumerate() {
            let offset = at + lane * FLOATS;
            // SAFETY: `offset + FLOATS <= length`, within both slices.
            let x = unsafe { _mm256_loadu_ps(left.add(offset)) };
            // SAFETY: as above.
            let y = unsafe { _mm256_loadu_ps(right.add(offset)) };
            *sum = _mm256_fmadd_ps(x, y, *sum);
        }
        at += LANES * FLOATS;
    }
    let rest: f32 = a[at..length].iter().zip(&b[at..length]).map(|(x, y)| x * y).sum();
    reduce(sums) + rest
}

#[target_feature(enable = "avx2,fma")]
fn squared_euclidean(a: &[f32], b: &[f32]) -> f32 {
    let length = a.len().min(b.len());
    let (left, right) = (a.as_ptr(), b.as_ptr());
    let mut sums = [_mm256_setzero_ps(); LANES];
    let mut at = 0;
    while at + LANES * FLOATS <= length {
        for (lane, sum) in sums.iter_mut().enumerate() {
            let offset = at + lane * FLOATS;
            // SAFETY: `offset + FLOATS <= length`, within both slices.
            let x = unsafe { _mm256_loadu_ps(left.add(offset)) };
            // SAFETY: as above.
            let y = unsafe { _mm256_loadu_ps(right.add(offset)) };
            let difference = _mm256_sub_ps(x, y);
            *sum = _mm256_fmadd_ps(difference, difference, *sum);
        }
        at += LANES * FLOATS;
    }
    let rest: f32 = a[at..length].iter().zip(&b[at..length]).map(|(x, y)| (x - y) * (x - y)).sum();
    reduce(sums) + rest
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn reduce([a, b, c, d]: [__m256; LANES]) -> f32 {
    let sum = _mm256_add_ps(_mm256_add_ps(a, b), _mm256_add_ps(c, d));
    let four = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps::<1>(sum));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
}

#[target_feature(enable = "avx2,fma")]
fn dot_codes(a: &[i8], b: &[u8]) -> i32 {
    let length = a.len().min(b.len());
    let (left, right) = (a.as_ptr(), b.as_ptr());
    let mut sum = _mm256_setzero_si256();
    let mut at = 0;
    while at + CODES <= length {
        // SAFETY: `at + CODES <= length`, within both slices.
        let x = unsafe { _mm_loadu_si128(left.add(at).cast()) };
        // SAFETY: as above.
        let y = unsafe { _mm_loadu_si128(right.add(at).cast()) };
        let products = _mm256_madd_epi16(_mm256_cvtepi8_epi16(x), _mm256_cvtepu8_epi16(y));
        sum = _mm256_add_epi32(sum, products);
        at += CODES;
    }
    let rest: i32 =
        a[at..length].iter().zip(&b[at..length]).map(|(&x, &y)| i32::from(x) * i32::from(y)).sum();
    reduce_integers(sum) + rest
}

#[target_feature(enable = "avx2,fma")]
fn dot_stored_codes(a: &[u8], b: &[u8]) -> i32 {
    let length = a.len().min(b.len());
    let (left, right) = (a.as_ptr(), b.as_ptr());
    let bias = _mm_set1_epi8(CODE_BIAS.cast_signed());
    let mut sum = _mm256_setzero_si256();
    let mut at = 0;
    while at + CODES <= length {
        // SAFETY: `at + CODES <= length`, within both slices.
        let x = _mm_xor_si128(unsafe { _mm_loadu_si128(left.add(at).cast()) }, bias);
        // SAFETY: as above.
        let y = _mm_xor_si128(unsafe { _mm_loadu_si128(right.add(at).cast()) }, bias);
        let products = _mm256_madd_epi16(_mm256_cvtepi8_epi16(x), _mm256_cvtepi8_epi16(y));
        sum = _mm256_add_epi32(sum, products);
        at += CODES;
    }
    let unbias = |code: u8| i32::from(code) - i32::from(CODE_BIAS);
    let rest: i32 =
        a[at..length].iter().zip(&b[at..length]).map(|(&x, &y)| unbias(x) * unbias(y)).sum();
    reduce_integers(sum) + rest
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn reduce_integers(sum: __m256i) -> i32 {
    let four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
    let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b00_00_11_10>(four));
    _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b00_00_00_01>(two)))
}

#[target_feature(enable = "avx2,fma")]
fn dot_code_rows(query: &[i8], rows: Rows<'_, u8>, ids: &[u32], out: &mut [i32]) {
    for (row, value) in rows.arriving(ids).zip(out) {
        *value = dot_codes(query, row);
    }
}

#[target_feature(enable = "avx2,fma")]
fn dot_rows(query: &[f32], rows: Rows<'_, f32>, ids: &[u32], out: &mut [f32]) {
    for (row, value) in rows.arriving(ids).zip(out) {
        *value = dot(query, row);
    }
}

#[target_feature(enable = "avx2,fma")]
fn squared_euclidean_rows(query: &[f32], rows: Rows<'_, f32>, ids: &[u32], out: &mut [f32]) {
    for (row, value) in rows.arriving(ids).zip(out) {
        *value = squared_euclidean(query, row);
    }
}

#[target_feature(enable = "avx2,fma")]
fn sum_codes_at(codes: &[i8], bits: &[u8]) -> i32 {
    // Each of 32 bytes gets the byte its bit is in, then that bit alone.
    let spread =
        _mm256_setr_epi64x(0, 0x0101_0101_0101_0101, 0x0202_0202_0202_0202, 0x0303_0303_0303_0303);
    let each = _mm256_set1_epi64x(i64::from_le_bytes([1, 2, 4, 8, 16, 32, 64, 128]));
    let mut sum = _mm256_setzero_si256();
    let mut at = 0;
    let mut words = bits.chunks_exact(4);
    for word in &mut words {
        let word = word.iter().rev().fold(0i32, |word, &byte| word << 8 | i32::from(byte));
        let bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(word), spread);
        let mask = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, each), each);
        // SAFETY: the codes are eight for each byte of bits, so 32 are left at `at`.
        let chosen =
            _mm256_and_si256(unsafe { _mm256_loadu_si256(codes.as_ptr().add(at).cast()) }, mask);
        let pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), chosen);
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
        at += 32;
    }
    let rest: i32 = codes[at..]
        .iter()
        .enumerate()
        .filter(|(index, _)| words.remainder()[index / 8] >> (index % 8) & 1 == 1)
        .map(|(_, &code)| i32::from(code))
        .sum();
    reduce_integers(sum) + rest
}

#[target_feature(enable = "avx2,fma")]
fn add_scaled(sum: &mut [f32], values: &[f32], factor: f32) {
    portable::add_scaled(sum, values, factor);
}

#[target_feature(enable = "avx2,fma")]
fn descend(row: &mut [f32], gradient: &mut [f32], other: &[f32], factor: f32) {
    portable::descend(row, gradient, other, factor);
}
