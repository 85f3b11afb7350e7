use crate::cancel::Interrupted;
use crate::error::{Classified, ErrorKind};
use crate::vector::VectorError;

/// Why vectors were not clustered.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Nothing to cluster.
    #[error("there are no vectors to cluster")]
    Empty,
    /// More vectors than a method can take.
    #[error("{method} takes at most {most} vectors, got {actual}")]
    TooMany {
        /// The method.
        method: &'static str,
        /// The most it takes.
        most: usize,
        /// How many there were.
        actual: usize,
    },
    /// A number out of its range.
    #[error("{name} is {actual}, expected {least} to {most}")]
    Option {
        /// Which number.
        name: &'static str,
        /// The least it may be.
        least: f64,
        /// The most it may be.
        most: f64,
        /// What it is.
        actual: f64,
    },
    /// No cluster of an earlier run.
    #[error("no document has the number of a cluster in the field `{field}`")]
    NothingSaved {
        /// The field.
        field: String,
    },
    /// Two things that have to be of one length, and are not.
    #[error("expected {expected} {what}, got {actual}")]
    Uneven {
        /// Of what.
        what: &'static str,
        /// How many are needed.
        expected: usize,
        /// How many there were.
        actual: usize,
    },
    /// A row that is no vector, or that has no direction.
    #[error("vector {row}: {source}")]
    Vector {
        /// Which row, from 0.
        row: usize,
        /// What is wrong.
        source: VectorError,
    },
    /// The work was ended early.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl ClusterError {
    /// Checks that a number is in its range; not a number is in none.
    pub(crate) fn require(
        name: &'static str,
        actual: f64,
        least: f64,
        most: f64,
    ) -> Result<(), Self> {
        if (least..=most).contains(&actual) {
            Ok(())
        } else {
            Err(Self::Option { name, least, most, actual })
        }
    }
}

impl Classified for ClusterError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Empty
            | Self::NothingSaved { .. }
            | Self::TooMany { .. }
            | Self::Option { .. }
            | Self::Uneven { .. } => ErrorKind::InvalidInput,
            Self::Vector { source, .. } => source.kind(),
            Self::Interrupted(error) => error.kind(),
        }
    }
}
