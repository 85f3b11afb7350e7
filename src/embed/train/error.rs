use crate::cancel::Interrupted;
use crate::error::{Classified, ErrorKind};

/// Why there is no trained model.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// An option out of its bounds.
    #[error("{option} is {actual}, expected {expected}")]
    Option {
        /// Its name.
        option: &'static str,
        /// What it is.
        actual: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A corpus with nothing to learn from.
    #[error("the corpus has {actual} {what}, at least {least} are needed")]
    TooSmall {
        /// What there is too little of.
        what: &'static str,
        /// How much of it there is.
        actual: usize,
        /// How much is needed.
        least: usize,
    },
    /// A corpus that does not fit.
    #[error("the corpus has more than {most} {what}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much of it can be.
        most: usize,
    },
    /// Tables that do not fit into the memory that a training may take.
    #[error(
        "its tables take {actual} bytes of memory, at most {most} are given; fewer components, words, \
         topics or buckets take less"
    )]
    Memory {
        /// How much they take.
        actual: u64,
        /// How much there is for them.
        most: u64,
    },
    /// The training was ended early.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// A training that ran away from all numbers: its learning rate is too high.
    #[error("the training did not converge: {0}")]
    Diverged(String),
}

impl Classified for TrainError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Option { .. } | Self::TooSmall { .. } | Self::Diverged(_) => {
                ErrorKind::InvalidInput
            }
            Self::TooLarge { .. } | Self::Memory { .. } => ErrorKind::Unsupported,
            Self::Interrupted(error) => error.kind(),
        }
    }
}

/// Returns an error unless the option is within its bounds.
pub(super) fn require(
    is_met: bool,
    option: &'static str,
    actual: impl ToString,
    expected: &'static str,
) -> Result<(), TrainError> {
    if is_met {
        Ok(())
    } else {
        Err(TrainError::Option { option, actual: actual.to_string(), expected })
    }
}
