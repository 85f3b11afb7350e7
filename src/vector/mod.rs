//! How far apart are two vectors?
//!
//! Checked vectors, the metrics they are compared by, and the kernels that do it fast. A value of
//! these types is finite and of a bounded length; what enters an index needs no second look.

mod dense;
pub mod kernel;
mod metric;
mod multi;
mod sparse;

pub use dense::{DIMENSION_MAX, DenseVector};
pub use metric::{Metric, Score};
pub use multi::{MULTI_COMPONENTS_MAX, MULTI_VECTORS_MAX, MultiVector};
pub use sparse::{SPARSE_ENTRIES_MAX, SparseVector};

use crate::error::{Classified, ErrorKind};

/// The forms of a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// Every component is there.
    Dense,
    /// Only the components that are not zero are there.
    Sparse,
    /// Several dense vectors of one dimension.
    Multi,
}

impl Form {
    /// Returns the name of the form.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Sparse => "sparse",
            Self::Multi => "multi",
        }
    }
}

/// A vector of any form: what a model gives, and what a part is stored with.
#[derive(Debug, Clone, PartialEq)]
pub enum Vector {
    /// Every component is there.
    Dense(DenseVector),
    /// Only the components that are not zero are there.
    Sparse(SparseVector),
    /// Several dense vectors of one dimension.
    Multi(MultiVector),
}

impl Vector {
    /// Returns which form it has.
    pub fn form(&self) -> Form {
        match self {
            Self::Dense(_) => Form::Dense,
            Self::Sparse(_) => Form::Sparse,
            Self::Multi(_) => Form::Multi,
        }
    }

    /// Returns the vector if it is dense.
    pub fn as_dense(&self) -> Option<&DenseVector> {
        match self {
            Self::Dense(vector) => Some(vector),
            Self::Sparse(_) | Self::Multi(_) => None,
        }
    }

    /// Returns the vector if it is sparse.
    pub fn as_sparse(&self) -> Option<&SparseVector> {
        match self {
            Self::Sparse(vector) => Some(vector),
            Self::Dense(_) | Self::Multi(_) => None,
        }
    }

    /// Returns the vectors if there are several.
    pub fn as_multi(&self) -> Option<&MultiVector> {
        match self {
            Self::Multi(vector) => Some(vector),
            Self::Dense(_) | Self::Sparse(_) => None,
        }
    }

    /// Returns about how many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Dense(vector) => vector.dimension() * 4,
            Self::Sparse(vector) => vector.indices().len() * 8,
            Self::Multi(vector) => vector.as_slice().len() * 4,
        }
    }
}

impl From<DenseVector> for Vector {
    fn from(vector: DenseVector) -> Self {
        Self::Dense(vector)
    }
}

impl From<SparseVector> for Vector {
    fn from(vector: SparseVector) -> Self {
        Self::Sparse(vector)
    }
}

impl From<MultiVector> for Vector {
    fn from(vector: MultiVector) -> Self {
        Self::Multi(vector)
    }
}

/// Why numbers from outside are not a vector.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum VectorError {
    /// A dense vector of no or of too many components.
    #[error("a vector has 1 to {DIMENSION_MAX} components, got {0}")]
    Dimension(usize),
    /// A vector of another length than the index holds.
    #[error("expected dimension {expected}, got {actual}")]
    DimensionMismatch {
        /// The dimension of the index or of the other vector.
        expected: usize,
        /// The dimension of the vector that was given.
        actual: usize,
    },
    /// A component that is no finite number.
    #[error("component {position} is {value}, expected a finite number")]
    NotFinite {
        /// Which component, from 0.
        position: usize,
        /// What it was.
        value: f32,
    },
    /// A vector of length zero where a direction is asked for.
    #[error("a vector of length zero has no direction, and cosine compares directions")]
    Zero,
    /// A sparse vector with other numbers of indices and values.
    #[error("a sparse vector has as many indices as values, got {indices} and {values}")]
    Uneven {
        /// How many indices were given.
        indices: usize,
        /// How many values were given.
        values: usize,
    },
    /// A sparse vector that names an index twice.
    #[error("index {0} stands twice in a sparse vector")]
    DuplicateIndex(u32),
    /// A multivector of no or of too many vectors.
    #[error("a multivector has 1 to {MULTI_VECTORS_MAX} vectors, got {0}")]
    Count(usize),
    /// A multivector of too many components.
    #[error("a multivector has at most {MULTI_COMPONENTS_MAX} components, got {0}")]
    TooManyComponents(usize),
    /// One of the vectors of a multivector.
    #[error("vector {row} of a multivector: {source}")]
    Row {
        /// Which one, from 0.
        row: usize,
        /// What is wrong with it.
        #[source]
        source: Box<VectorError>,
    },
    /// A vector of another form than the one that is asked for.
    #[error("expected a {} vector, got a {} one", expected.name(), actual.name())]
    FormMismatch {
        /// The form that is asked for.
        expected: Form,
        /// The form that was given.
        actual: Form,
    },
    /// A sparse vector of too many entries.
    #[error("a sparse vector has at most {SPARSE_ENTRIES_MAX} entries, got {0}")]
    TooManyEntries(usize),
}

impl Classified for VectorError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }
}
