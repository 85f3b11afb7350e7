use super::VectorError;

/// The most entries a sparse vector has.
pub const SPARSE_ENTRIES_MAX: usize = 65_536;

/// A vector given by its entries: distinct indices in ascending order, each with a finite value.
/// It may be empty (a text of unknown words).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SparseVector {
    indices: Vec<u32>,
    values: Vec<f32>,
}

impl SparseVector {
    /// Returns the entries as a vector, sorted by index.
    ///
    /// # Errors
    /// [`VectorError`] (invalid input) if the lists differ in length, an index stands twice, a value
    /// is not finite, or there are more than [`SPARSE_ENTRIES_MAX`].
    pub fn new(indices: Vec<u32>, values: Vec<f32>) -> Result<Self, VectorError> {
        if indices.len() != values.len() {
            return Err(VectorError::Uneven { indices: indices.len(), values: values.len() });
        }
        if indices.len() > SPARSE_ENTRIES_MAX {
            return Err(VectorError::TooManyEntries(indices.len()));
        }
        if let Some(position) = values.iter().position(|value| !value.is_finite()) {
            return Err(VectorError::NotFinite { position, value: values[position] });
        }
        let mut entries: Vec<(u32, f32)> = indices.into_iter().zip(values).collect();
        entries.sort_unstable_by_key(|&(index, _)| index);
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(VectorError::DuplicateIndex(pair[0].0));
        }
        let (indices, values) = entries.into_iter().unzip();
        Ok(Self { indices, values })
    }

    /// Returns the indices, ascending.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// Returns the values in the order of the indices.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Returns the vector without its entries of value 0.
    #[must_use]
    pub fn nonzero(&self) -> Self {
        let entries = self.indices.iter().zip(&self.values).filter(|&(_, &value)| value != 0.0);
        let (indices, values) = entries.map(|(&index, &value)| (index, value)).unzip();
        Self { indices, values }
    }

    /// Returns the vector with its entries of greatest magnitude, `entries_max` of them at most; of
    /// equal ones those with the lower index.
    #[must_use]
    pub fn strongest(&self, entries_max: usize) -> Self {
        let mut order: Vec<usize> = (0..self.indices.len()).collect();
        order.sort_by(|&a, &b| self.values[b].abs().total_cmp(&self.values[a].abs()));
        order.truncate(entries_max);
        order.sort_unstable();
        Self {
            indices: order.iter().map(|&at| self.indices[at]).collect(),
            values: order.iter().map(|&at| self.values[at]).collect(),
        }
    }

    /// Returns the inner product, walking both lists once.
    pub fn dot(&self, other: &Self) -> f32 {
        let (mut left, mut right, mut sum) = (0, 0, 0.0f64);
        while left < self.indices.len() && right < other.indices.len() {
            match self.indices[left].cmp(&other.indices[right]) {
                std::cmp::Ordering::Less => left += 1,
                std::cmp::Ordering::Greater => right += 1,
                std::cmp::Ordering::Equal => {
                    sum += f64::from(self.values[left]) * f64::from(other.values[right]);
                    left += 1;
                    right += 1;
                }
            }
        }
        #[expect(clippy::cast_possible_truncation, reason = "a score is single precision")]
        let score = sum as f32;
        score
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_sorted_and_checked() {
        let vector = SparseVector::new(vec![7, 2], vec![1.0, 3.0]).unwrap();
        assert_eq!((vector.indices(), vector.values()), (&[2, 7][..], &[3.0, 1.0][..]));
        assert_eq!(
            SparseVector::new(vec![2, 2], vec![1.0, 1.0]),
            Err(VectorError::DuplicateIndex(2))
        );
        assert!(SparseVector::new(vec![2], vec![]).is_err());
        assert!(SparseVector::new(vec![2], vec![f32::NAN]).is_err());
    }

    #[test]
    fn the_strongest_entries_are_kept_in_the_order_of_their_indices() {
        let vector = SparseVector::new(vec![1, 4, 7, 9], vec![0.5, -2.0, 0.5, 0.0]).unwrap();
        let strongest = vector.strongest(2);
        assert_eq!((strongest.indices(), strongest.values()), (&[1, 4][..], &[0.5, -2.0][..]));
        assert_eq!(vector.strongest(9), vector);
        assert_eq!(vector.nonzero().indices(), [1, 4, 7]);
    }

    #[test]
    fn the_inner_product_counts_shared_indices_only() {
        let a = SparseVector::new(vec![1, 4, 9], vec![1.0, 2.0, 3.0]).unwrap();
        let b = SparseVector::new(vec![4, 5, 9], vec![10.0, 99.0, -1.0]).unwrap();
        assert_eq!(a.dot(&b), 17.0);
        assert_eq!(a.dot(&SparseVector::default()), 0.0);
    }
}
