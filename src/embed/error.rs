use std::path::PathBuf;

use super::Modality;
use super::manifest::ManifestError;
use super::obtain::ObtainError;
use super::onnx::{ImportError, RuntimeError};
use super::text::FormatError;
use crate::cancel::Interrupted;
use crate::error::{Classified, ErrorKind};
use crate::vector::VectorError;

/// Why there is no embedding.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// A name that no manifest has.
    #[error("no model is called `{name}`; known are {known}")]
    UnknownModel {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A model whose files are not here.
    #[error(
        "model {name} is not installed: {} is missing; `simile model pull {name}` fetches it",
        missing.display()
    )]
    NotInstalled {
        /// The model.
        name: String,
        /// The first of its files that is not here.
        missing: PathBuf,
    },
    /// A model that is not in memory: it is being loaded, or could not be.
    #[error("model {name} is not loaded: {reason}")]
    NotLoaded {
        /// The model.
        name: String,
        /// Why not.
        reason: String,
    },
    /// A file of a model that is not the one its manifest names.
    #[error(
        "{} of model {name} has SHA-256 {actual}, its manifest says {expected}; \
         `simile model pull {name}` fetches it anew",
        path.display()
    )]
    Damaged {
        /// The model.
        name: String,
        /// The file.
        path: PathBuf,
        /// The hash in the manifest.
        expected: String,
        /// The hash of the file.
        actual: String,
    },
    /// A model that does not give the vectors it should.
    #[error(
        "model {name} gives a vector of cosine {cosine:.6} to the expected one for {text:?}, \
         at least {least} is asked"
    )]
    Canary {
        /// The model.
        name: String,
        /// The input.
        text: String,
        /// How near the vector came.
        cosine: f32,
        /// How near it has to come.
        least: f32,
    },
    /// A model that nobody but this machine has.
    #[error(
        "model {name} was made here and no source is known for it; restore its folder {} from a copy",
        folder.display()
    )]
    NoSource {
        /// The model.
        name: String,
        /// Where its files belong.
        folder: PathBuf,
    },
    /// A model that is asked with a key, and no key.
    #[error(
        "model {name} is asked with a key, and the environment variable {variable} that should hold it \
         is not set"
    )]
    NoKey {
        /// The model.
        name: String,
        /// The variable.
        variable: String,
    },
    /// A name that a model has already.
    #[error(
        "a model called `{name}` is there already; a model is never replaced, take another name"
    )]
    ModelExists {
        /// The name.
        name: String,
    },
    /// A corpus or options that no model can be fitted with.
    #[error("no {method} model can be fitted: {reason}")]
    Unfit {
        /// The method.
        method: &'static str,
        /// Why not.
        reason: String,
    },
    /// More texts to learn from than are held.
    #[error("the corpus has more than {most} bytes of text; take a part of it")]
    CorpusTooLarge {
        /// The bound.
        most: usize,
    },
    /// A file of a model that does not hold what it should.
    #[error("{}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of word vectors or the like that cannot be read or written.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A text that is longer than any model is asked to look at.
    #[error("a text has at most {most} bytes, got {actual}")]
    TextTooLong {
        /// How many bytes were given.
        actual: usize,
        /// The bound.
        most: usize,
    },
    /// A text for a model of pictures, or the other way round.
    #[error("model {name} reads {reads}, got {actual}")]
    NotRead {
        /// The model.
        name: String,
        /// What it reads.
        reads: String,
        /// What it was given.
        actual: Modality,
    },
    /// The queue of the model is full.
    #[error("the queue of model {name} is full: {waiting} inputs wait, at most {most} may")]
    QueueFull {
        /// The model.
        name: String,
        /// How many texts or pictures wait.
        waiting: usize,
        /// The bound.
        most: usize,
    },
    /// The caller withdrew, or the deadline passed.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// The tokenizer refused a text or its own file.
    #[error("the tokenizer failed: {0}")]
    Tokenize(String),
    /// The model failed on a batch.
    #[error("model {name} failed: {reason}")]
    Failed {
        /// The model.
        name: String,
        /// What it said.
        reason: String,
    },
    /// A model that another server runs, and what is to be said of that server's answer.
    #[error("the endpoint of model {name} gives no vectors: {reason}")]
    Endpoint {
        /// The model.
        name: String,
        /// What the endpoint answers, or that it does not.
        reason: String,
        /// Whether the same request may succeed later.
        is_passing: bool,
    },
    /// The thread that owned the model is gone.
    #[error("the worker of model {name} has ended")]
    WorkerEnded {
        /// The model.
        name: String,
    },
    /// A model that yields what is no vector.
    #[error("the model yields no vector")]
    Vector(#[from] VectorError),
    /// A manifest that is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// No usable ONNX Runtime.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// Files could not be obtained.
    #[error(transparent)]
    Obtain(#[from] ObtainError),
    /// Weights that could not be turned into a graph.
    #[error("model {name} cannot be imported")]
    Import {
        /// The model.
        name: String,
        /// Why.
        source: ImportError,
    },
    /// A file could not be read or written.
    #[error("cannot read or write the files of a model")]
    File(#[from] std::io::Error),
}

impl Classified for EmbedError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownModel { .. } => ErrorKind::NotFound,
            Self::TextTooLong { .. }
            | Self::Unfit { .. }
            | Self::CorpusTooLarge { .. }
            | Self::NotRead { .. } => ErrorKind::InvalidInput,
            Self::ModelExists { .. } => ErrorKind::AlreadyExists,
            // What the endpoint refuses has to be put right there, or in what is known of it here.
            Self::Endpoint { is_passing: false, .. } => ErrorKind::Conflict,
            Self::Endpoint { is_passing: true, .. }
            | Self::NotInstalled { .. }
            | Self::NotLoaded { .. }
            | Self::NoSource { .. }
            | Self::NoKey { .. }
            | Self::WorkerEnded { .. }
            | Self::File(_) => ErrorKind::Unavailable,
            Self::Damaged { .. } | Self::Canary { .. } | Self::Unreadable { .. } => {
                ErrorKind::Corrupt
            }
            Self::QueueFull { .. } => ErrorKind::Overloaded,
            Self::Tokenize(_) | Self::Failed { .. } | Self::Vector(_) => ErrorKind::Internal,
            Self::Format(error) => error.kind(),
            Self::Interrupted(error) => error.kind(),
            Self::Manifest(error) => error.kind(),
            Self::Runtime(error) => error.kind(),
            Self::Obtain(error) => error.kind(),
            Self::Import { source, .. } => source.kind(),
        }
    }
}
