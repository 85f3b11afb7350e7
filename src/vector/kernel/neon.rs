//! NEON: 4 floats or 8 codes an instruction.
#![allow(clippy::wildcard_imports, reason = "the names of instructions have a prefix of their own")]

use std::arch::aarch64::*;

use super::{CODE_BIAS, Kernels, Rows, portable};

pub(super) static KERNELS: Kernels = Kernels {
    name: "neon",
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
const FLOATS: usize = 4;
const CODES: usize = 8;
const BYTES: usize = 16;

#[target_feature(enable = "neon")]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let length = a.len().min(b.len());
    let (left, right) = (a.as_ptr(), b.as_ptr());
    let mut sums = [vdupq_n_f32(0.0); LANES];
    let mut at = 0;
    while at + LANES * FLOATS <= length {
        for (lane, sum) in sums.iter_mut().enumerate() {
            let offset = at + lane * FLOATS;
            // SAFETY: `offset + FLOATS <= length`, within both slices.
            let x = unsafe { vld1q_f32(left.add(offset)) };
            // SAFETY: as above.
            let y = unsafe { vld1q_f32(right.add(offset)) };
            *sum = vfmaq_f32(*sum, x, y);
        }
        at += LANES * FLOATS;
    }
    let rest: f32 = a[at..length].iter().zip(&b[at..length]).map(|(x, y)| x * y).sum();
    reduce(sums) + rest
}

#[target_feature(enable = "neon")]
fn squared_euclidean(a: &[f32], b: &[f32]) -> f32 {
    let length = a.len().min(b.len());
    let (left, right) = (a.as_ptr(), b.as_ptr());
    let mut sums = [vdupq_n_f32(0.0); LANES];
    let mut at = 0;
    while at + LANES * FLOATS <= length {
        for (lane, sum) in sums.iter_mut().enumerate() {
            let offset = at + lane * FLOATS;
            // SAFETY: `offset + FLOATS <= length`, within both slices.
            let x = unsafe { vld1q_f32(left.add(offset)) };
            // SAFETY: as above.
            let y = unsafe { vld1q_f32(right.add(offset)) };
            let difference = vsubq_f32(x, y);
            *sum = vfmaq_f32(*sum, difference, difference);
        }
        at += LANES * FLOATS;
    }
    let rest: f32 = a[at..length].iter().zip(&b[at..length]).map(|(x, y)| (x - y) * (x - y)).sum();
    reduce(sums) + rest
}

#[target_feature(enable = "neon")]
#[inline]
fn reduce([a, b, c, d]: [float32x4_t; LANES]) -> f32 {
    vaddvq_f32(vaddq_f32(vaddq_f32(a, b), vaddq_f32(c, d)))
}

#[target_feature(enable = "neon")]
fn dot_codes(a: &[i8], b: &[u8]) -> i32 {
    let length = a.len().min(b.len());
    let (mut low, mut high) = (vdupq_n_s32(0), vdupq_n_s32(0));
    let mut at = 0;
    while at + CODES <= length {
        // SAFETY: `at + CODES <= length`, within both slices.
        let x = vmovl_s8(unsafe { vld1_s8(a.as_ptr().add(at)) });
        // SAFETY: as above.
        let y = vreinterpretq_s16_u16(vmovl_u8(unsafe { vld1_u8(b.as_ptr().add(at)) }));
        low = vmlal_s16(low, vget_low_s16(x), vget_low_s16(y));
        high = vmlal_s16(high, vget_high_s16(x), vget_high_s16(y));
        at += CODES;
    }
    let rest: i32 =
        a[at..length].iter().zip(&b[at..length]).map(|(&x, &y)| i32::from(x) * i32::from(y)).sum();
    vaddvq_s32(low) + vaddvq_s32(high) + rest
}

#[target_feature(enable = "neon")]
fn dot_stored_codes(a: &[u8], b: &[u8]) -> i32 {
    let length = a.len().min(b.len());
    let bias = vdup_n_u8(CODE_BIAS);
    let (mut low, mut high) = (vdupq_n_s32(0), vdupq_n_s32(0));
    let mut at = 0;
    while at + CODES <= length {
        // SAFETY: `at + CODES <= length`, within both slices.
        let x = veor_u8(unsafe { vld1_u8(a.as_ptr().add(at)) }, bias);
        // SAFETY: as above.
        let y = veor_u8(unsafe { vld1_u8(b.as_ptr().add(at)) }, bias);
        let products = (vmovl_s8(vreinterpret_s8_u8(x)), vmovl_s8(vreinterpret_s8_u8(y)));
        low = vmlal_s16(low, vget_low_s16(products.0), vget_low_s16(products.1));
        high = vmlal_s16(high, vget_high_s16(products.0), vget_high_s16(products.1));
        at += CODES;
    }
    let unbias = |code: u8| i32::from(code) - i32::from(CODE_BIAS);
    let rest: i32 =
        a[at..length].iter().zip(&b[at..length]).map(|(&x, &y)| unbias(x) * unbias(y)).sum();
    vaddvq_s32(low) + vaddvq_s32(high) + rest
}

#[target_feature(enable = "neon")]
fn dot_code_rows(query: &[i8], rows: Rows<'_, u8>, ids: &[u32], out: &mut [i32]) {
    for (row, value) in rows.arriving(ids).zip(out) {
        *value = dot_codes(query, row);
    }
}

#[target_feature(enable = "neon")]
fn dot_rows(query: &[f32], rows: Rows<'_, f32>, ids: &[u32], out: &mut [f32]) {
    for (row, value) in rows.arriving(ids).zip(out) {
        *value = dot(query, row);
    }
}

#[target_feature(enable = "neon")]
fn squared_euclidean_rows(query: &[f32], rows: Rows<'_, f32>, ids: &[u32], out: &mut [f32]) {
    for (row, value) in rows.arriving(ids).zip(out) {
        *value = squared_euclidean(query, row);
    }
}

#[target_feature(enable = "neon")]
fn sum_codes_at(codes: &[i8], bits: &[u8]) -> i32 {
    let each = vcreate_u8(u64::from_le_bytes([1, 2, 4, 8, 16, 32, 64, 128]));
    let mut sum = vdupq_n_s32(0);
    for (index, &byte) in bits.iter().enumerate() {
        let mask = vtst_u8(vdup_n_u8(byte), each);
        // SAFETY: the codes are eight for each byte of bits.
        let eight = unsafe { vld1_s8(codes.as_ptr().add(index * CODES)) };
        let chosen = vand_s8(eight, vreinterpret_s8_u8(mask));
        sum = vpadalq_s16(sum, vmovl_s8(chosen));
    }
    vaddvq_s32(sum)
}

#[target_feature(enable = "neon")]
fn add_scaled(sum: &mut [f32], values: &[f32], factor: f32) {
    portable::add_scaled(sum, values, factor);
}

#[target_feature(enable = "neon")]
fn descend(row: &mut [f32], gradient: &mut [f32], other: &[f32], factor: f32) {
    portable::descend(row, gradient, other, factor);
}
