use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::kernel;

/// How two dense vectors are compared. Persisted by name; variants may be added, never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// The cosine of the angle; vectors are stored with length one.
    Cosine,
    /// The inner product.
    Dot,
    /// The Euclidean distance.
    Euclidean,
}

impl Metric {
    /// Returns the score of `b` as an answer to `a`: the cosine (of unit vectors), the inner
    /// product, or the negative Euclidean distance.
    ///
    /// # Panics
    /// If the dimensions differ, which the index rules out.
    pub fn score(self, a: &[f32], b: &[f32]) -> Score {
        match self {
            Self::Cosine | Self::Dot => Score(kernel::dot(a, b)),
            Self::Euclidean => Score(-kernel::squared_euclidean(a, b).sqrt()),
        }
    }

    /// Returns the name under which the metric is stored and asked for.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::Dot => "dot",
            Self::Euclidean => "euclidean",
        }
    }
}

/// How well something answers a question: higher is better, whatever the metric. Never NaN where it
/// comes from checked vectors; ordered totally all the same.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Score(pub f32);

impl PartialEq for Score {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Score {}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}
