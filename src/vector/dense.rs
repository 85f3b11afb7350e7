use super::{VectorError, kernel};

/// The most components a dense vector has.
pub const DIMENSION_MAX: usize = 8_192;

/// A vector of 1 to [`DIMENSION_MAX`] finite components.
#[derive(Debug, Clone, PartialEq)]
pub struct DenseVector(Vec<f32>);

impl DenseVector {
    /// Returns the components as a vector.
    ///
    /// # Errors
    /// [`VectorError`] (invalid input) if there are none or too many, or one is not finite.
    pub fn new(components: Vec<f32>) -> Result<Self, VectorError> {
        if components.is_empty() || components.len() > DIMENSION_MAX {
            return Err(VectorError::Dimension(components.len()));
        }
        if let Some(position) = components.iter().position(|value| !value.is_finite()) {
            return Err(VectorError::NotFinite { position, value: components[position] });
        }
        Ok(Self(components))
    }

    /// Returns the vector of length one with the same direction.
    ///
    /// The length is computed in `f64` after scaling by the largest magnitude, so neither tiny nor
    /// huge components lose the direction.
    ///
    /// # Errors
    /// [`VectorError::Zero`] (invalid input) if every component is zero.
    pub fn normalized(mut self) -> Result<Self, VectorError> {
        let largest = self.0.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        if largest == 0.0 {
            return Err(VectorError::Zero);
        }
        let scale = f64::from(largest);
        let length =
            self.0.iter().map(|&value| (f64::from(value) / scale).powi(2)).sum::<f64>().sqrt();
        for value in &mut self.0 {
            #[expect(clippy::cast_possible_truncation, reason = "the quotient is at most one")]
            let unit = (f64::from(*value) / scale / length) as f32;
            *value = unit;
        }
        Ok(self)
    }

    /// Returns how many components there are.
    pub fn dimension(&self) -> usize {
        self.0.len()
    }

    /// Returns the components in order.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// Returns the components, giving the vector up.
    pub fn into_vec(self) -> Vec<f32> {
        self.0
    }

    /// Returns the Euclidean length.
    pub fn norm(&self) -> f32 {
        kernel::dot(&self.0, &self.0).sqrt()
    }

    /// Checks that the vector has the dimension of what it meets.
    ///
    /// # Errors
    /// [`VectorError::DimensionMismatch`] (invalid input) with both sides.
    pub fn require_dimension(&self, expected: usize) -> Result<(), VectorError> {
        if self.dimension() == expected {
            Ok(())
        } else {
            Err(VectorError::DimensionMismatch { expected, actual: self.dimension() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_that_are_no_numbers_are_refused_by_position() {
        let error = DenseVector::new(vec![1.0, f32::INFINITY]).unwrap_err();
        assert_eq!(error.to_string(), "component 1 is inf, expected a finite number");
        assert!(matches!(
            DenseVector::new(vec![f32::NAN]),
            Err(VectorError::NotFinite { position: 0, .. })
        ));
        assert_eq!(DenseVector::new(vec![]), Err(VectorError::Dimension(0)));
        assert!(DenseVector::new(vec![0.0; DIMENSION_MAX + 1]).is_err());
    }

    #[test]
    fn normalizing_keeps_the_direction_of_tiny_and_huge_vectors() {
        for scale in [1e-38f32, 1.0, 1e37] {
            let unit = DenseVector::new(vec![3.0 * scale, 4.0 * scale]).unwrap().normalized();
            let unit = unit.unwrap().into_vec();
            assert!((unit[0] - 0.6).abs() < 1e-6 && (unit[1] - 0.8).abs() < 1e-6, "{unit:?}");
        }
        let zero = DenseVector::new(vec![0.0, -0.0]).unwrap();
        assert_eq!(zero.normalized(), Err(VectorError::Zero));
    }
}
