//! The inner loops: distances over rows of equal length, in the widest form the processor has.
//!
//! Which form that is, is found out once. The portable form is the oracle: a test compares every
//! form that the machine can run with it.
//!
//! A *code* is a component in one byte, biased by [`CODE_BIAS`]; a signed code is the same without
//! the bias. The unsigned form is what is stored, because the instructions that multiply bytes take
//! one unsigned and one signed operand.
#![allow(unsafe_code, reason = "vector instructions and prefetches have no safe form")]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

use std::sync::OnceLock;

/// What a stored code of zero is.
pub const CODE_BIAS: u8 = 128;

/// How many cache lines ahead of the row being compared are asked for from memory, about as many as
/// a core can wait for at a time.
const LINES_AHEAD: usize = 24;
/// Bytes that memory is read in.
const CACHE_LINE_BYTES: usize = 64;

/// One implementation of every loop. The functions may only be called on a processor that has the
/// instructions, on slices of equal length.
struct Kernels {
    name: &'static str,
    dot: unsafe fn(&[f32], &[f32]) -> f32,
    squared_euclidean: unsafe fn(&[f32], &[f32]) -> f32,
    /// Signed codes with stored codes, the bias of the stored ones still in the sum.
    dot_codes: unsafe fn(&[i8], &[u8]) -> i32,
    /// Stored codes with stored codes, without any bias.
    dot_stored_codes: unsafe fn(&[u8], &[u8]) -> i32,
    dot_code_rows: unsafe fn(&[i8], Rows<'_, u8>, &[u32], &mut [i32]),
    dot_rows: unsafe fn(&[f32], Rows<'_, f32>, &[u32], &mut [f32]),
    squared_euclidean_rows: unsafe fn(&[f32], Rows<'_, f32>, &[u32], &mut [f32]),
    /// The bits have an eighth of the length of the codes.
    sum_codes_at: unsafe fn(&[i8], &[u8]) -> i32,
    add_scaled: unsafe fn(&mut [f32], &[f32], f32),
    descend: unsafe fn(&mut [f32], &mut [f32], &[f32], f32),
}

/// Rows of equal length, one after another.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a, T> {
    values: &'a [T],
    width: usize,
    count: usize,
}

impl<'a, T> Rows<'a, T> {
    /// Returns the values as rows of `width`; a remainder is left out.
    ///
    /// # Panics
    /// If `width` is zero.
    pub fn new(values: &'a [T], width: usize) -> Self {
        let count = values.len() / width;
        Self { values: &values[..count * width], width, count }
    }

    /// Returns how many rows there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns how many values a row has.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns a row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, index: usize) -> &'a [T] {
        &self.values[index * self.width..(index + 1) * self.width]
    }

    /// Returns the rows named by `ids`, asking for those further on from memory before they come.
    #[inline(always)]
    fn arriving(self, ids: &[u32]) -> impl Iterator<Item = &'a [T]> {
        let ahead = (LINES_AHEAD * CACHE_LINE_BYTES / (self.width * size_of::<T>()).max(1)).max(2);
        for &id in ids.iter().take(ahead) {
            self.prefetch(id as usize);
        }
        ids.iter().enumerate().map(move |(position, &id)| {
            if let Some(&next) = ids.get(position + ahead) {
                self.prefetch(next as usize);
            }
            self.row(id as usize)
        })
    }

    /// Asks for a row from memory, so that it is there when it is read soon after. No such row: no
    /// effect.
    #[inline]
    pub fn prefetch(&self, index: usize) {
        if index < self.count {
            // SAFETY: `index < count` and `values` holds `count * width` values, so the row lies
            // within the slice.
            let start = unsafe { self.values.as_ptr().add(index * self.width) };
            prefetch_bytes(start.cast(), self.width * size_of::<T>());
        }
    }
}

/// Returns the name of the instructions in use.
pub fn instructions() -> &'static str {
    kernels().name
}

/// Returns the inner product of two slices of equal length.
///
/// # Panics
/// If the lengths differ.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    require_equal(a.len(), b.len());
    // SAFETY: `kernels` returns functions for this processor, and the lengths are equal.
    unsafe { (kernels().dot)(a, b) }
}

/// Returns the squared Euclidean distance of two slices of equal length.
///
/// # Panics
/// If the lengths differ.
pub fn squared_euclidean(a: &[f32], b: &[f32]) -> f32 {
    require_equal(a.len(), b.len());
    // SAFETY: `kernels` returns functions for this processor, and the lengths are equal.
    unsafe { (kernels().squared_euclidean)(a, b) }
}

/// Returns the inner product of signed codes with stored codes, the bias of the stored ones still
/// in: `sum(a * (b + bias))`.
///
/// # Panics
/// If the lengths differ.
pub fn dot_codes(a: &[i8], b: &[u8]) -> i32 {
    require_equal(a.len(), b.len());
    // SAFETY: `kernels` returns functions for this processor, and the lengths are equal.
    unsafe { (kernels().dot_codes)(a, b) }
}

/// Returns the inner product of two slices of stored codes of equal length, without the bias.
///
/// # Panics
/// If the lengths differ.
pub fn dot_stored_codes(a: &[u8], b: &[u8]) -> i32 {
    require_equal(a.len(), b.len());
    // SAFETY: `kernels` returns functions for this processor, and the lengths are equal.
    unsafe { (kernels().dot_stored_codes)(a, b) }
}

/// Writes to `out` what [`dot_codes`] returns for each of the rows named by `ids`.
///
/// # Panics
/// If the query is not as wide as the rows, `ids` and `out` differ in length, or there is no such
/// row.
pub fn dot_code_rows(query: &[i8], rows: Rows<'_, u8>, ids: &[u32], out: &mut [i32]) {
    require_equal(query.len(), rows.width);
    require_equal(ids.len(), out.len());
    require_rows(ids, rows.count);
    // SAFETY: `kernels` returns functions for this processor; widths and lengths are equal and
    // every id names a row, as checked above.
    unsafe { (kernels().dot_code_rows)(query, rows, ids, out) }
}

/// Writes to `out` what [`dot`] returns for each of the rows named by `ids`.
///
/// # Panics
/// If the query is not as wide as the rows, `ids` and `out` differ in length, or there is no such
/// row.
pub fn dot_rows(query: &[f32], rows: Rows<'_, f32>, ids: &[u32], out: &mut [f32]) {
    require_equal(query.len(), rows.width);
    require_equal(ids.len(), out.len());
    require_rows(ids, rows.count);
    // SAFETY: `kernels` returns functions for this processor; widths and lengths are equal and
    // every id names a row, as checked above.
    unsafe { (kernels().dot_rows)(query, rows, ids, out) }
}

/// Writes to `out` what [`squared_euclidean`] returns for each of the rows named by `ids`.
///
/// # Panics
/// If the query is not as wide as the rows, `ids` and `out` differ in length, or there is no such
/// row.
pub fn squared_euclidean_rows(query: &[f32], rows: Rows<'_, f32>, ids: &[u32], out: &mut [f32]) {
    require_equal(query.len(), rows.width);
    require_equal(ids.len(), out.len());
    require_rows(ids, rows.count);
    // SAFETY: `kernels` returns functions for this processor; widths and lengths are equal and
    // every id names a row, as checked above.
    unsafe { (kernels().squared_euclidean_rows)(query, rows, ids, out) }
}

/// Returns the sum of the codes whose bit is set, the lowest bit of the first byte first.
///
/// # Panics
/// If there are not eight codes for each byte of bits.
pub fn sum_codes_at(codes: &[i8], bits: &[u8]) -> i32 {
    require_equal(codes.len(), 8 * bits.len());
    // SAFETY: `kernels` returns functions for this processor, and the lengths fit.
    unsafe { (kernels().sum_codes_at)(codes, bits) }
}

/// Adds `factor` times `values` to `sum`, the same to the last bit in every form.
///
/// # Panics
/// If the lengths differ.
pub fn add_scaled(sum: &mut [f32], values: &[f32], factor: f32) {
    require_equal(sum.len(), values.len());
    // SAFETY: `kernels` returns functions for this processor, and the lengths are equal.
    unsafe { (kernels().add_scaled)(sum, values, factor) }
}

/// Adds `factor` times `row` to `gradient`, and `factor` times `other` to `row` as it was: how both
/// sides of an inner product learn. The same to the last bit in every form.
///
/// # Panics
/// If the lengths differ.
pub fn descend(row: &mut [f32], gradient: &mut [f32], other: &[f32], factor: f32) {
    require_equal(row.len(), gradient.len());
    require_equal(row.len(), other.len());
    // SAFETY: `kernels` returns functions for this processor, and the lengths are equal.
    unsafe { (kernels().descend)(row, gradient, other, factor) }
}

/// Asks for bytes from memory, so that they are there when they are read soon after.
#[inline]
pub fn prefetch<T>(values: &[T]) {
    prefetch_bytes(values.as_ptr().cast(), size_of_val(values));
}

#[inline]
fn prefetch_bytes(start: *const u8, length: usize) {
    let mut offset = 0;
    while offset < length {
        prefetch_line(start.wrapping_add(offset));
        offset += CACHE_LINE_BYTES;
    }
}

#[inline]
fn prefetch_line(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint that reads nothing and cannot fault, whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a prefetch is a hint that reads nothing and cannot fault, whatever the address.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{0}]", in(reg) address, options(nostack, readonly, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = address;
}

#[inline]
fn require_equal(a: usize, b: usize) {
    assert!(a == b, "rows that are compared are of one length, got {a} and {b}");
}

#[inline]
fn require_rows(ids: &[u32], count: usize) {
    let largest = ids.iter().copied().max().unwrap_or(0);
    assert!(
        ids.is_empty() || (largest as usize) < count,
        "row {largest} was asked for, and there are {count}"
    );
}

#[inline]
fn kernels() -> &'static Kernels {
    static KERNELS: OnceLock<&'static Kernels> = OnceLock::new();
    KERNELS.get_or_init(|| available()[0])
}

/// Returns the implementations that this processor can run, the fastest first.
fn available() -> Vec<&'static Kernels> {
    let mut found: Vec<&'static Kernels> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vnni")
        {
            found.push(&avx512::KERNELS);
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            found.push(&avx2::KERNELS);
        }
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("neon") {
        found.push(&neon::KERNELS);
    }
    found.push(&portable::KERNELS);
    found
}

#[cfg(test)]
mod tests;
