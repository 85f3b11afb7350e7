//! How far apart are rows? The graph sees vectors only through a [`Space`], in whatever form they
//! are kept.

mod bits;
mod codes;
mod floats;

pub(super) use bits::{BitQuery, BitSpace};
pub(super) use codes::{CodeQuery, CodeSpace};
pub(super) use floats::{FloatQuery, FloatSpace};

/// Rows that can be compared with a query, by number.
///
/// Keys order rows by nearness to a query, lower is nearer. In a space of distances the key of two
/// rows is a squared distance: the same both ways, and never negative but for rounding.
pub(super) trait Space: Sync {
    /// A query in the form that rows are compared with.
    type Query: Send + Default;

    /// Makes a vector, projected as the rows are, the query.
    fn prepare(&self, vector: &[f32], query: &mut Self::Query);

    /// Appends the key of each of the rows to `keys`.
    ///
    /// # Panics
    /// If there is no such row.
    fn compare(&self, query: &Self::Query, rows: &[u32], keys: &mut Vec<f32>);
}

/// Rows that can be compared with each other, too: what a graph is built over.
pub(super) trait Pairs: Space {
    /// Makes a row the query.
    fn prepare_row(&self, row: u32, query: &mut Self::Query);

    /// Returns the key of two rows.
    ///
    /// # Panics
    /// If there is no such row.
    fn between(&self, a: u32, b: u32) -> f32;
}

/// What the keys of a space are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Keys<'a> {
    /// Negative inner products; for searches by cosine and inner product.
    Products,
    /// Squared distances.
    Distances,
    /// Squared distances of rows with one more component each, which makes all of them equally
    /// long: inner products then order rows as these distances do (Bachrach et al. 2014). For
    /// building only.
    Lifted(&'a [f32]),
}

/// Bytes at the end of a quantised row: its scale and its squared length.
const TRAILER_BYTES: usize = 8;
/// Bytes that quantised rows are padded to, so that they start on cache lines.
const LINE_BYTES: usize = 64;

/// Returns the bytes of a quantised row of so many bytes of components.
fn padded(bytes: usize) -> usize {
    let bytes = bytes + TRAILER_BYTES;
    if bytes >= LINE_BYTES { bytes.next_multiple_of(LINE_BYTES) } else { bytes.next_power_of_two() }
}

fn write_trailer(row: &mut [u8], scale: f32, norm: f32) {
    let start = row.len() - TRAILER_BYTES;
    row[start..start + 4].copy_from_slice(&scale.to_le_bytes());
    row[start + 4..].copy_from_slice(&norm.to_le_bytes());
}

/// Returns the scale and the squared length that end a row.
#[inline]
fn trailer(row: &[u8]) -> (f32, f32) {
    match row.last_chunk::<TRAILER_BYTES>() {
        Some(&[a, b, c, d, e, f, g, h]) => {
            (f32::from_le_bytes([a, b, c, d]), f32::from_le_bytes([e, f, g, h]))
        }
        None => (0.0, 0.0),
    }
}

impl Keys<'_> {
    /// Returns the key of a query and a row from their inner product and squared lengths.
    #[inline]
    fn key(self, product: f32, query_norm: f32, norm: f32) -> f32 {
        match self {
            Self::Products => -product,
            Self::Distances | Self::Lifted(_) => query_norm + norm - 2.0 * product,
        }
    }

    fn lift(self, row: u32) -> f32 {
        match self {
            Self::Products | Self::Distances => 0.0,
            Self::Lifted(extras) => extras[row as usize],
        }
    }

    /// Adds to each key the squared difference of the components that lift the rows.
    fn add_lifts(self, lift: f32, rows: &[u32], keys: &mut [f32]) {
        if let Self::Lifted(extras) = self {
            for (&row, key) in rows.iter().zip(keys) {
                *key += (extras[row as usize] - lift).powi(2);
            }
        }
    }
}

#[cfg(test)]
mod tests;
