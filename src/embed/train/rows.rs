use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::embed::text::Random;
use crate::vector::kernel::add_scaled;

/// Rows of a table that several threads change: a lock for each row.
///
/// Training in the manner of Hogwild (Niu et al. 2011) lets threads write over each other. A lock that
/// nobody waits for costs about as much as adding one row to another, keeps every row whole, and lets
/// the loops inside work on plain numbers, which numbers shared without locks (atomics) would not.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    rows: Vec<Mutex<&'a mut [f32]>>,
}

impl<'a> Rows<'a> {
    /// Returns the rows of `width` values.
    pub(super) fn new(values: &'a mut [f32], width: usize) -> Self {
        Self { rows: values.chunks_exact_mut(width).map(Mutex::new).collect() }
    }

    /// Returns a row, to read and to change.
    #[inline]
    pub(super) fn lock(&self, row: u32) -> MutexGuard<'_, &'a mut [f32]> {
        self.rows[row as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a row to `sum`.
    #[inline]
    pub(super) fn add_to(&self, row: u32, sum: &mut [f32]) {
        add_scaled(sum, &self.lock(row), 1.0);
    }

    /// Adds `change` to a row.
    #[inline]
    pub(super) fn change(&self, row: u32, change: &[f32]) {
        add_scaled(&mut self.lock(row), change, 1.0);
    }
}

/// Returns values between `-reach` and `reach`.
pub(super) fn uniform(count: usize, reach: f32, seed: u64, part: u64) -> Vec<f32> {
    let mut random = Random::new(seed, part);
    (0..count).map(|_| (2.0 * random.unit() - 1.0) * reach).collect()
}
