use super::{Keys, Pairs, Space};
use crate::vector::kernel::{self, Rows};

/// Rows of floats.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct FloatSpace<'a> {
    rows: Rows<'a, f32>,
    keys: Keys<'a>,
}

/// A query as floats.
#[derive(Debug, Default)]
pub(in super::super) struct FloatQuery {
    vector: Vec<f32>,
    lift: f32,
}

impl<'a> FloatSpace<'a> {
    /// Returns the space of the rows.
    pub(in super::super) fn new(rows: Rows<'a, f32>, keys: Keys<'a>) -> Self {
        Self { rows, keys }
    }
}

impl Space for FloatSpace<'_> {
    type Query = FloatQuery;

    fn prepare(&self, vector: &[f32], query: &mut FloatQuery) {
        query.vector.clear();
        query.vector.extend_from_slice(vector);
        query.lift = 0.0;
    }

    fn compare(&self, query: &FloatQuery, rows: &[u32], keys: &mut Vec<f32>) {
        let start = keys.len();
        keys.resize(start + rows.len(), 0.0);
        let keys = &mut keys[start..];
        match self.keys {
            Keys::Products => {
                kernel::dot_rows(&query.vector, self.rows, rows, keys);
                for key in keys {
                    *key = -*key;
                }
            }
            Keys::Distances | Keys::Lifted(_) => {
                kernel::squared_euclidean_rows(&query.vector, self.rows, rows, keys);
                self.keys.add_lifts(query.lift, rows, keys);
            }
        }
    }
}

impl Pairs for FloatSpace<'_> {
    fn prepare_row(&self, row: u32, query: &mut FloatQuery) {
        self.prepare(self.rows.row(row as usize), query);
        query.lift = self.keys.lift(row);
    }

    fn between(&self, a: u32, b: u32) -> f32 {
        let (left, right) = (self.rows.row(a as usize), self.rows.row(b as usize));
        match self.keys {
            Keys::Products => -kernel::dot(left, right),
            Keys::Distances | Keys::Lifted(_) => {
                kernel::squared_euclidean(left, right)
                    + (self.keys.lift(a) - self.keys.lift(b)).powi(2)
            }
        }
    }
}
