use rayon::prelude::*;

use super::ClusterError;
use crate::vector::kernel::{self, Rows};
use crate::vector::{DIMENSION_MAX, DenseVector, VectorError};

/// From this many components on, comparing is worth the cost of sharing it between threads.
const PARALLEL_COMPONENTS_MIN: usize = 1 << 20;

/// The vectors that are clustered: `count` x `dimension`, row-major, finite. A row is a point.
#[derive(Debug, Clone, PartialEq)]
pub struct Points {
    values: Vec<f32>,
    dimension: usize,
}

impl Points {
    /// Returns rows of `dimension` components.
    ///
    /// # Errors
    /// [`ClusterError`] (invalid input): none, a dimension out of bounds, a remainder, or a component
    /// that is not finite.
    pub fn new(values: Vec<f32>, dimension: usize) -> Result<Self, ClusterError> {
        let wrong = |row, source| Err(ClusterError::Vector { row, source });
        if dimension == 0 || dimension > DIMENSION_MAX {
            return wrong(0, VectorError::Dimension(dimension));
        }
        if values.is_empty() {
            return Err(ClusterError::Empty);
        }
        let rows = values.len() / dimension;
        let actual = values.len() % dimension;
        if actual != 0 {
            return wrong(rows, VectorError::DimensionMismatch { expected: dimension, actual });
        }
        if u32::try_from(rows).is_err() {
            let most = u32::MAX as usize;
            return Err(ClusterError::TooMany { method: "clustering", most, actual: rows });
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let (row, position) = (at / dimension, at % dimension);
            return wrong(row, VectorError::NotFinite { position, value: values[at] });
        }
        Ok(Self { values, dimension })
    }

    /// Returns the points with length one.
    ///
    /// # Errors
    /// [`ClusterError::Vector`] (invalid input) for a row of length zero.
    pub fn normalized(mut self) -> Result<Self, ClusterError> {
        for (row, values) in self.values.chunks_exact_mut(self.dimension).enumerate() {
            let unit = DenseVector::new(values.to_vec()).and_then(DenseVector::normalized);
            let unit = unit.map_err(|source| ClusterError::Vector { row, source })?;
            values.copy_from_slice(unit.as_slice());
        }
        Ok(self)
    }

    /// Returns how many points there are; at least one.
    pub fn count(&self) -> usize {
        self.values.len() / self.dimension
    }

    /// Returns how many components a point has.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Returns a point.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.dimension..(row + 1) * self.dimension]
    }

    /// Returns the components, one point after another.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Returns the points as the kernels take them.
    pub(super) fn rows(&self) -> Rows<'_, f32> {
        Rows::new(&self.values, self.dimension)
    }

    /// Returns the Euclidean distance of two points.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn distance(&self, a: usize, b: usize) -> f32 {
        kernel::squared_euclidean(self.row(a), self.row(b)).sqrt()
    }

    /// Writes to `out` the squared Euclidean distance of each of the rows from a query.
    ///
    /// # Panics
    /// If there is no such row, or the query has another dimension.
    pub(super) fn squared_distances(&self, query: &[f32], rows: &[u32], out: &mut [f32]) {
        if rows.len() * self.dimension < PARALLEL_COMPONENTS_MIN {
            kernel::squared_euclidean_rows(query, self.rows(), rows, out);
            return;
        }
        let at_once = (PARALLEL_COMPONENTS_MIN / 4 / self.dimension).max(1);
        rows.par_chunks(at_once).zip(out.par_chunks_mut(at_once)).for_each(|(rows, out)| {
            kernel::squared_euclidean_rows(query, self.rows(), rows, out);
        });
    }

    /// Returns the points of these rows, in their order; at least one row is named.
    pub(super) fn of(&self, rows: &[u32]) -> Self {
        let values = rows.iter().flat_map(|&row| self.row(row as usize)).copied().collect();
        Self { values, dimension: self.dimension }
    }

    /// Returns at most `most` rows, spread evenly over all.
    pub(super) fn spread(&self, most: usize) -> Vec<u32> {
        let count = self.count();
        let taken = count.min(most.max(1));
        (0..taken).map(|place| row_id(place * count / taken)).collect()
    }
}

/// Returns a row's number as it is kept in lists.
pub(super) fn row_id(row: usize) -> u32 {
    u32::try_from(row)
        .expect("a set of points has at most 2^32 rows, which is checked as it is made")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_set_of_points_is_refused_with_its_row() {
        let refused = |values: Vec<f32>, dimension| Points::new(values, dimension).unwrap_err();
        assert!(matches!(refused(vec![], 2), ClusterError::Empty));
        assert!(matches!(refused(vec![1.0; 5], 2), ClusterError::Vector { row: 2, .. }));
        let error = refused(vec![0.0, 1.0, 2.0, f32::NAN], 2);
        assert_eq!(error.to_string(), "vector 1: component 1 is NaN, expected a finite number");
        let zero = Points::new(vec![1.0, 0.0, 0.0, 0.0], 2).unwrap().normalized();
        assert!(matches!(zero, Err(ClusterError::Vector { row: 1, .. })));
    }
}
