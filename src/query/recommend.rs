use std::collections::BTreeMap;
use std::sync::Arc;

use crate::document::DocumentId;
use crate::vector::{DenseVector, Score, SparseVector, Vector, VectorError};

/// More like some documents or vectors, and less like others.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recommend {
    /// What hits are to be like; at least one.
    pub positive: Vec<Weighted>,
    /// What they are not to be like.
    pub negative: Vec<Weighted>,
    /// How the examples are joined.
    pub strategy: Strategy,
    /// The vector name in which examples are compared; none: the only one there is.
    pub vector: Option<String>,
}

impl Recommend {
    /// Returns all examples.
    pub fn examples(&self) -> impl Iterator<Item = &Weighted> {
        self.positive.iter().chain(&self.negative)
    }
}

/// An example. A document stands for the vectors of all its parts, and is not among the hits.
#[derive(Debug, Clone, PartialEq)]
pub enum Example {
    /// A stored document.
    Document(DocumentId),
    /// A vector of its own.
    Vector(Vector),
    /// A text, embedded for the vector that is compared.
    Text(String),
    /// A picture, the bytes of its file, embedded for the vector that is compared.
    Image(Arc<[u8]>),
    /// An excerpt of a video or a sound, the bytes of its file: what each of its stretches is like.
    Clip(Arc<[u8]>),
}

/// An example, and how much it counts among those of its side.
#[derive(Debug, Clone, PartialEq)]
pub struct Weighted {
    /// The example.
    pub example: Example,
    /// More than 0; 1 for all is the plain mean.
    pub weight: f32,
}

impl From<Example> for Weighted {
    fn from(example: Example) -> Self {
        Self { example, weight: 1.0 }
    }
}

/// How examples become a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// One question: the mean of the positive examples, and as far beyond it as that of the negative
    /// ones lies before it.
    #[default]
    Average,
    /// Each stored vector is compared with every example, see [`best_score`].
    BestScore,
}

/// Returns the vector that the average strategy asks for: `p + (p - n)`, where `p` and `n` are the
/// weighted means of the positive and of the negative examples; `p` alone without negative ones.
///
/// # Errors
/// [`VectorError`] (invalid input) if the examples differ in form or dimension; a dense result may
/// be of length zero, which is for the caller to refuse.
pub fn average(
    positive: &[(Vector, f32)],
    negative: &[(Vector, f32)],
) -> Result<Vector, VectorError> {
    let total = |examples: &[(Vector, f32)]| -> f64 {
        examples.iter().map(|&(_, weight)| f64::from(weight)).sum()
    };
    let plus = if negative.is_empty() { 1.0 } else { 2.0 } / total(positive);
    let minus = -1.0 / total(negative);
    let weighted = || {
        let by = |share: f64| {
            move |(vector, weight): &'_ (Vector, f32)| (vector.clone(), share * f64::from(*weight))
        };
        positive.iter().map(by(plus)).chain(negative.iter().map(by(minus)))
    };
    match positive.first().map(|first| &first.0) {
        Some(Vector::Dense(first)) => {
            let mut sum = vec![0.0_f64; first.dimension()];
            for (vector, weight) in weighted() {
                let vector = dense(&vector)?;
                vector.require_dimension(sum.len())?;
                for (sum, &value) in sum.iter_mut().zip(vector.as_slice()) {
                    *sum += weight * f64::from(value);
                }
            }
            DenseVector::new(sum.into_iter().map(narrow).collect()).map(Vector::from)
        }
        Some(Vector::Sparse(_)) => {
            let mut sum = BTreeMap::<u32, f64>::new();
            for (vector, weight) in weighted() {
                let vector = sparse(&vector)?;
                for (&index, &value) in vector.indices().iter().zip(vector.values()) {
                    *sum.entry(index).or_default() += weight * f64::from(value);
                }
            }
            let (indices, values) =
                sum.into_iter().map(|(index, sum)| (index, narrow(sum))).unzip();
            SparseVector::new(indices, values).map(Vector::from)
        }
        Some(Vector::Multi(_)) => {
            let (expected, actual) = (crate::vector::Form::Dense, crate::vector::Form::Multi);
            Err(VectorError::FormMismatch { expected, actual })
        }
        None => Err(VectorError::Dimension(0)),
    }
}

/// Returns the score of something whose best score among the positive examples and among the
/// negative ones (if there are any) are these: what is nearer to a positive one scores between 0
/// and 1 by how near, what is nearer to a negative one between -1 and 0 by how far.
pub fn best_score(positive: Score, negative: Option<Score>) -> Score {
    match negative {
        Some(negative) if negative >= positive => Score(-bounded(negative.0)),
        Some(_) | None => Score(bounded(positive.0)),
    }
}

/// Maps all numbers to 0..1 in their order.
fn bounded(score: f32) -> f32 {
    let score = f64::from(score);
    narrow(0.5 + 0.5 * score / (1.0 + score.abs()))
}

fn dense(vector: &Vector) -> Result<&DenseVector, VectorError> {
    let (expected, actual) = (crate::vector::Form::Dense, vector.form());
    vector.as_dense().ok_or(VectorError::FormMismatch { expected, actual })
}

fn sparse(vector: &Vector) -> Result<&SparseVector, VectorError> {
    let (expected, actual) = (crate::vector::Form::Sparse, vector.form());
    vector.as_sparse().ok_or(VectorError::FormMismatch { expected, actual })
}

#[expect(clippy::cast_possible_truncation, reason = "a component is single precision")]
fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(components: &[f32]) -> Vector {
        DenseVector::new(components.to_vec()).unwrap().into()
    }

    #[test]
    fn the_average_lies_beyond_the_positive_mean_away_from_the_negative_one() {
        let one = |vector| (vector, 1.0);
        let positive = [one(vector(&[1.0, 0.0])), one(vector(&[3.0, 2.0]))];
        assert_eq!(average(&positive, &[]).unwrap(), vector(&[2.0, 1.0]));
        let away = average(&positive, &[one(vector(&[0.0, 1.0]))]).unwrap();
        assert_eq!(away, vector(&[4.0, 1.0]));
        let leaning = [(vector(&[1.0, 0.0]), 3.0), (vector(&[3.0, 2.0]), 1.0)];
        assert_eq!(average(&leaning, &[]).unwrap(), vector(&[1.5, 0.5]));
        let sparse = |indices: &[u32], values: &[f32]| -> Vector {
            SparseVector::new(indices.to_vec(), values.to_vec()).unwrap().into()
        };
        let joined =
            average(&[one(sparse(&[1, 5], &[1.0, 1.0]))], &[one(sparse(&[5], &[3.0]))]).unwrap();
        assert_eq!(joined, sparse(&[1, 5], &[2.0, -1.0]));
    }

    #[test]
    fn examples_that_differ_in_form_or_dimension_are_refused_with_both_sides() {
        let one = |components: &[f32]| (vector(components), 1.0);
        let error = average(&[one(&[1.0])], &[one(&[1.0, 2.0])]).unwrap_err();
        assert_eq!(error.to_string(), "expected dimension 1, got 2");
        let sparse = Vector::from(SparseVector::default());
        let error = average(&[one(&[1.0]), (sparse, 1.0)], &[]).unwrap_err();
        assert_eq!(error.to_string(), "expected a dense vector, got a sparse one");
    }

    #[test]
    fn what_is_nearer_to_a_negative_example_stands_below_all_that_is_not() {
        let score =
            |positive, negative: Option<f32>| best_score(Score(positive), negative.map(Score));
        assert!(score(0.9, None) > score(0.5, Some(0.4)));
        assert!(score(-5.0, Some(-6.0)) > score(100.0, Some(101.0)));
        assert!(score(0.2, Some(0.3)) > score(0.8, Some(0.9)));
    }
}
