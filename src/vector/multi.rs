use super::{DIMENSION_MAX, DenseVector, Score, VectorError, kernel};

/// The most vectors of a multivector: a page as patches, or a passage as tokens, has about half.
pub const MULTI_VECTORS_MAX: usize = 2_048;
/// The most components of all its vectors together: 1 MiB of them.
pub const MULTI_COMPONENTS_MAX: usize = 262_144;

/// Several dense vectors of one dimension, one for each token or patch of what they stand for
/// (late interaction: Khattab and Zaharia 2020).
#[derive(Debug, Clone, PartialEq)]
pub struct MultiVector {
    dimension: usize,
    /// `count` x `dimension`, row-major.
    components: Vec<f32>,
}

impl MultiVector {
    /// Returns the vectors as one: `count` x `dimension` components, row-major.
    ///
    /// # Errors
    /// [`VectorError`] (invalid input) if there are none or too many, the components do not fill
    /// the last vector, or one is not finite.
    pub fn new(dimension: usize, components: Vec<f32>) -> Result<Self, VectorError> {
        if dimension == 0 || dimension > DIMENSION_MAX {
            return Err(VectorError::Dimension(dimension));
        }
        let (count, rest) = (components.len() / dimension, components.len() % dimension);
        if rest != 0 {
            return Err(VectorError::DimensionMismatch { expected: dimension, actual: rest });
        }
        if count == 0 || count > MULTI_VECTORS_MAX {
            return Err(VectorError::Count(count));
        }
        if components.len() > MULTI_COMPONENTS_MAX {
            return Err(VectorError::TooManyComponents(components.len()));
        }
        if let Some(place) = components.iter().position(|value| !value.is_finite()) {
            let (row, position) = (place / dimension, place % dimension);
            let source = VectorError::NotFinite { position, value: components[place] };
            return Err(VectorError::Row { row, source: Box::new(source) });
        }
        Ok(Self { dimension, components })
    }

    /// Returns the vectors as one.
    ///
    /// # Errors
    /// As [`Self::new`]; vectors that differ in dimension.
    pub fn from_rows(rows: Vec<Vec<f32>>) -> Result<Self, VectorError> {
        let dimension = rows.first().map_or(0, Vec::len);
        if rows.is_empty() || rows.len() > MULTI_VECTORS_MAX {
            return Err(VectorError::Count(rows.len()));
        }
        for (row, vector) in rows.iter().enumerate() {
            if vector.len() != dimension {
                let (expected, actual) = (dimension, vector.len());
                let source = VectorError::DimensionMismatch { expected, actual };
                return Err(VectorError::Row { row, source: Box::new(source) });
            }
        }
        Self::new(dimension, rows.concat())
    }

    /// Returns the vectors, each of length one.
    ///
    /// # Errors
    /// [`VectorError::Row`] (invalid input) naming the first that has no direction.
    pub fn normalized(mut self) -> Result<Self, VectorError> {
        for (row, vector) in self.components.chunks_exact_mut(self.dimension).enumerate() {
            let unit = DenseVector::new(vector.to_vec()).and_then(DenseVector::normalized);
            let unit = unit.map_err(|source| VectorError::Row { row, source: Box::new(source) })?;
            vector.copy_from_slice(unit.as_slice());
        }
        Ok(self)
    }

    /// Returns how many components each vector has.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Returns how many vectors there are.
    pub fn count(&self) -> usize {
        self.components.len() / self.dimension
    }

    /// Returns all components: `count` x `dimension`, row-major.
    pub fn as_slice(&self) -> &[f32] {
        &self.components
    }

    /// Returns the vectors in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.components.chunks_exact(self.dimension)
    }

    /// Checks that the vectors have the dimension of what they meet.
    ///
    /// # Errors
    /// [`VectorError::DimensionMismatch`] (invalid input) with both sides.
    pub fn require_dimension(&self, expected: usize) -> Result<(), VectorError> {
        if self.dimension == expected {
            Ok(())
        } else {
            Err(VectorError::DimensionMismatch { expected, actual: self.dimension })
        }
    }

    /// Returns how well `other` answers: the sum over the vectors of this one of their greatest
    /// inner product with one of the other's ("`MaxSim`", Khattab and Zaharia 2020, eq. 3).
    ///
    /// # Panics
    /// If the dimensions differ, which the index rules out.
    pub fn max_sim(&self, other: &Self) -> Score {
        let mut sum = 0.0_f64;
        for question in self.rows() {
            let products = other.rows().map(|answer| kernel::dot(question, answer));
            sum += f64::from(products.fold(f32::NEG_INFINITY, f32::max));
        }
        #[expect(clippy::cast_possible_truncation, reason = "a score is single precision")]
        let score = sum as f32;
        Score(score)
    }

    /// Returns which vector of `other` speaks most for the score of [`Self::max_sim`]: each vector of
    /// this one counts for its greatest product by how far that stands above its mean product, so that
    /// what is everywhere alike says nothing.
    ///
    /// # Panics
    /// If the dimensions differ, which the index rules out.
    pub fn most_telling(&self, other: &Self) -> usize {
        let mut votes = vec![0.0_f64; other.count()];
        for question in self.rows() {
            let (mut best, mut most, mut sum) = (0, f64::NEG_INFINITY, 0.0);
            for (row, answer) in other.rows().enumerate() {
                let product = f64::from(kernel::dot(question, answer));
                sum += product;
                if product > most {
                    (best, most) = (row, product);
                }
            }
            votes[best] += most - sum / votes.len() as f64;
        }
        let most = votes.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
        most.map_or(0, |(row, _)| row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_multivector_is_refused_with_both_sides() {
        let refused = |rows: Vec<Vec<f32>>| MultiVector::from_rows(rows).unwrap_err().to_string();
        assert_eq!(refused(vec![]), "a multivector has 1 to 2048 vectors, got 0");
        assert_eq!(
            refused(vec![vec![1.0, 2.0], vec![1.0]]),
            "vector 1 of a multivector: expected dimension 2, got 1"
        );
        assert_eq!(
            refused(vec![vec![1.0, 2.0], vec![1.0, f32::NAN]]),
            "vector 1 of a multivector: component 1 is NaN, expected a finite number"
        );
        assert!(refused(vec![vec![1.0]; MULTI_VECTORS_MAX + 1]).ends_with("got 2049"));
        let long = refused(vec![vec![1.0; 8_192]; 33]);
        assert_eq!(long, "a multivector has at most 262144 components, got 270336");
        assert!(refused(vec![vec![]]).contains("1 to 8192"));
        let zero = MultiVector::from_rows(vec![vec![3.0, 4.0], vec![0.0, 0.0]]).unwrap();
        let error = zero.normalized().unwrap_err().to_string();
        assert!(error.starts_with("vector 1 of a multivector: a vector of length zero"), "{error}");
        assert!(MultiVector::new(2, vec![1.0; 3]).is_err());
    }

    #[test]
    fn what_speaks_most_for_a_score_is_not_what_is_everywhere_alike() {
        let question =
            MultiVector::from_rows(vec![vec![1.0, 0.0], vec![1.0, 0.0], vec![0.0, 1.0]]).unwrap();
        // The first two vectors of the question find everything about as well, the third one thing.
        let rows = vec![vec![0.9, 0.0], vec![0.92, 0.0], vec![0.8, 0.7], vec![0.9, 0.1]];
        let answer = MultiVector::from_rows(rows).unwrap();
        assert_eq!(question.most_telling(&answer), 2);
    }

    #[test]
    fn each_vector_of_the_question_counts_by_its_best_answer() {
        let question = MultiVector::from_rows(vec![vec![1.0, 0.0], vec![0.0, 2.0]]).unwrap();
        let answer = MultiVector::from_rows(vec![vec![0.5, -1.0], vec![-2.0, 0.25]]).unwrap();
        // max(0.5, -2) + max(-2, 0.5)
        assert_eq!(question.max_sim(&answer), Score(1.0));
        let unit = question.normalized().unwrap();
        assert_eq!((unit.as_slice(), unit.count()), (&[1.0, 0.0, 0.0, 1.0][..], 2));
    }
}
