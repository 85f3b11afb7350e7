//! AVX-512 with VNNI: 64 codes or 16 floats an instruction.
#![allow(clippy::wildcard_imports, reason = "the names of instructions have a prefix of their own")]

use std::arch::x86_64::*;

use super::{CODE_BIAS, Kernels, Rows, portable};

pub(super) static KERNELS: Kernels = Kernels {
    name: "avx512",
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
const FLOATS: usize = 16;
const BYTES: usize = 64;

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let length = a.len().min(b.len());
    let (left, right) = (a.as_ptr(), b.as_ptr());
    let mut sums = [_mm512_setzero_ps(); LANES];
    let mut at = 0;
    while at + LANES * FLOATS <= length {
        for (lane, sum) in sums.iter_mut().enumerate() {
            let offset = at + lane * FLOATS;
            // SAFETY: `offset + FLOATS <= length`, within both slices.
            let x = unsafe { _mm512_loadu_ps(left.add(offset)) };
            // SAFETY: as above.
            let y = unsafe { _mm512_loadu_ps(right.add(offset)) };
            *sum = _mm512_fmadd_ps(x, y, *sum);
        }
        at += LANES * FLOATS;
    }
    while at < length {
        let mask = float_mask(length - at);
        // SAFETY: the mask reads only components before `length`, within both slices.
        let x = unsafe { _mm512_maskz_loadu_ps(mask, left.add(at)) };
        // SAFETY: as above.
        let y = unsafe { _mm512_maskz_loadu_ps(mask, right.add(at)) };
        sums[0] = _mm512_fmadd_ps(x, y, sums[0]);
        at += FLOATS;
    }
    reduce(sums)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn squared_euclidean(a: &[f32], b: &[f32]) -> f32 {
    let length = a.len().min(b.len());
    let (left, right) = (a.as_ptr(), b.as_ptr());
    let mut sums = [_mm512_setzero_ps(); LANES];
    let mut at = 0;
    while at + LANES * FLOATS <= length {
        for (lane, sum) in sums.iter_mut().enumerate() {
            let offset = at + lane * FLOATS;
            // SAFETY: `offset + FLOATS <= length`, within both slices.
            let x = unsafe { _mm512_loadu_ps(left.add(offset)) };
            // SAFETY: as above.
            let y = unsafe { _mm512_loadu_ps(right.add(offset)) };
            let difference = _mm512_sub_ps(x, y);
            *sum = _mm512_fmadd_ps(difference, difference, *sum);
        }
        at += LANES * FLOATS;
    }
    while at < length {
        let mask = float_mask(length - at);
        // SAFETY: the mask reads only components before `length`, within both slices.
        let x = unsafe { _mm512_maskz_loadu_ps(mask, left.add(at)) };
        // SAFETY: as above.
        let y = unsafe { _mm512_maskz_loadu_ps(mask, right.add(at)) };
        let difference = _mm512_sub_ps(x, y);
        sums[0] = _mm512_fmadd_ps(difference, difference, sums[0]);
        at += FLOATS;
    }
    reduce(sums)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn reduce([a, b, c, d]: [__m512; LANES]) -> f32 {
    _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(a, b), _mm512_add_ps(c, d)))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn dot_codes(a: &[i8], b: &[u8]) -> i32 {
    _mm512_reduce_add_epi32(sum_codes(a, b))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn sum_codes(a: &[i8], b: &[u8]) -> __m512i {
    let length = a.len().min(b.len());
    let (left, right) = (a.as_ptr(), b.as_ptr().cast::<i8>());
    let mut even = _mm512_setzero_si512();
    let mut odd = _mm512_setzero_si512();
    let mut at = 0;
    while at + 2 * BYTES <= length {
        // SAFETY: `at + 2 * BYTES <= length`, within both slices.
        let (x, next_x) =
            unsafe { (_mm512_loadu_epi8(left.add(at)), _mm512_loadu_epi8(left.add(at + BYTES))) };
        // SAFETY: as above.
        let (y, next_y) =
            unsafe { (_mm512_loadu_epi8(right.add(at)), _mm512_loadu_epi8(right.add(at + BYTES))) };
        even = _mm512_dpbusd_epi32(even, y, x);
        odd = _mm512_dpbusd_epi32(odd, next_y, next_x);
        at += 2 * BYTES;
    }
    while at < length {
        let mask = byte_mask(length - at);
        // SAFETY: the mask reads only bytes before `length`, within both slices.
        let x = unsafe { _mm512_maskz_loadu_epi8(mask, left.add(at)) };
        // SAFETY: as above.
        let y = unsafe { _mm512_maskz_loadu_epi8(mask, right.add(at)) };
        even = _mm512_dpbusd_epi32(even, y, x);
        at += BYTES;
    }
    _mm512_add_epi32(even, odd)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn dot_stored_codes(a: &[u8], b: &[u8]) -> i32 {
    let length = a.len().min(b.len());
    let (left, right) = (a.as_ptr().cast::<i8>(), b.as_ptr().cast::<i8>());
    let bias = _mm512_set1_epi8(CODE_BIAS.cast_signed());
    let mut products = _mm512_setzero_si512();
    let mut sums = _mm512_setzero_si512();
    let mut at = 0;
    while at < length {
        let mask = byte_mask(length - at);
        // SAFETY: the mask reads only bytes before `length`, within both slices.
        let x = _mm512_maskz_sub_epi8(
            mask,
            unsafe { _mm512_maskz_loadu_epi8(mask, left.add(at)) },
            bias,
        );
        // SAFETY: as above.
        let y = unsafe { _mm512_maskz_loadu_epi8(mask, right.add(at)) };
        products = _mm512_dpbusd_epi32(products, y, x);
        sums = _mm512_dpbusd_epi32(sums, bias, x);
        at += BYTES;
    }
    // The stored operand keeps its bias; what it adds is the bias times the sum of the other.
    _mm512_reduce_add_epi32(_mm512_sub_epi32(products, sums))
}

#[inline]
fn float_mask(rest: usize) -> u16 {
    if rest >= FLOATS { u16::MAX } else { (1 << rest) - 1 }
}

#[inline]
fn byte_mask(rest: usize) -> u64 {
    if rest >= BYTES { u64::MAX } else { (1 << rest) - 1 }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn dot_code_rows(query: &[i8], rows: Rows<'_, u8>, ids: &[u32], out: &mut [i32]) {
    for (row, value) in rows.arriving(ids).zip(out) {
        *value = dot_codes(query, row);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn dot_rows(query: &[f32], rows: Rows<'_, f32>, ids: &[u32], out: &mut [f32]) {
    for (row, value) in rows.arriving(ids).zip(out) {
        *value = dot(query, row);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn squared_euclidean_rows(query: &[f32], rows: Rows<'_, f32>, ids: &[u32], out: &mut [f32]) {
    for (row, value) in rows.arriving(ids).zip(out) {
        *value = squared_euclidean(query, row);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn sum_codes_at(codes: &[i8], bits: &[u8]) -> i32 {
    let ones = _mm512_set1_epi8(1);
    let mut sum = _mm512_setzero_si512();
    let mut words = bits.chunks_exact(8);
    let mut at = 0;
    for word in &mut words {
        let mask = word.iter().rev().fold(0u64, |mask, &byte| mask << 8 | u64::from(byte));
        // SAFETY: the codes are eight for each byte of bits, so 64 are left at `at`.
        let chosen = unsafe { _mm512_maskz_loadu_epi8(mask, codes.as_ptr().add(at)) };
        sum = _mm512_dpbusd_epi32(sum, ones, chosen);
        at += BYTES;
    }
    let mask = words.remainder().iter().rev().fold(0u64, |mask, &byte| mask << 8 | u64::from(byte));
    if mask != 0 {
        // SAFETY: the mask has bits only for codes that are there, and reads no others.
        let chosen = unsafe { _mm512_maskz_loadu_epi8(mask, codes.as_ptr().add(at)) };
        sum = _mm512_dpbusd_epi32(sum, ones, chosen);
    }
    _mm512_reduce_add_epi32(sum)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn add_scaled(sum: &mut [f32], values: &[f32], factor: f32) {
    portable::add_scaled(sum, values, factor);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn descend(row: &mut [f32], gradient: &mut [f32], other: &[f32], factor: f32) {
    portable::descend(row, gradient, other, factor);
}
