use crate::embed::EmbedError;

/// Why a batch failed, for each of those whose inputs were in it.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    Failed { reason: String },
    Endpoint { reason: String, is_passing: bool },
}

impl Failure {
    pub(super) fn of(error: EmbedError) -> Self {
        match error {
            EmbedError::Endpoint { reason, is_passing, .. } => {
                Self::Endpoint { reason, is_passing }
            }
            EmbedError::Failed { reason, .. } => Self::Failed { reason },
            other => Self::Failed { reason: other.to_string() },
        }
    }

    pub(super) fn error(self, name: String) -> EmbedError {
        match self {
            Self::Failed { reason } => EmbedError::Failed { name, reason },
            Self::Endpoint { reason, is_passing } => {
                EmbedError::Endpoint { name, reason, is_passing }
            }
        }
    }
}
