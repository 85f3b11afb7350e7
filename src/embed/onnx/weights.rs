use safetensors::{Dtype, SafeTensors};

use crate::error::{Classified, ErrorKind};

/// Why weights cannot be turned into a graph.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A configuration that cannot be read, or that does not fit itself.
    #[error("config.json: {0}")]
    Config(String),
    /// A family of models that is not known.
    #[error("config.json describes a `{family}`, expected one of {known}")]
    Family {
        /// What it describes.
        family: String,
        /// What could be read.
        known: String,
    },
    /// A setting of a known family that is not built here.
    #[error("config.json has {name} `{actual}`, expected {expected}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// What it is.
        actual: String,
        /// What could be built.
        expected: &'static str,
    },
    /// Weights that cannot be read.
    #[error("the weights cannot be read: {0}")]
    Weights(String),
    /// A tensor that is missing or of another shape.
    #[error("tensor `{name}`: expected {expected:?}, got {actual}")]
    Tensor {
        /// Its name.
        name: String,
        /// The shape that the configuration asks for.
        expected: Vec<usize>,
        /// The shape it has, or that it is missing.
        actual: String,
    },
    /// A file that cannot be read.
    #[error("cannot read the model")]
    File(#[from] std::io::Error),
}

impl Classified for ImportError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Family { .. } | Self::Setting { .. } => ErrorKind::Unsupported,
            Self::Config(_) | Self::Weights(_) | Self::Tensor { .. } => ErrorKind::Corrupt,
            Self::File(_) => ErrorKind::Unavailable,
        }
    }
}

/// The prefixes that models are saved under, by themselves or inside a larger one.
const PREFIXES: [&str; 7] =
    ["", "bert.", "roberta.", "distilbert.", "mpnet.", "model.", "0.auto_model."];

/// The tensors of a safetensors file.
pub(super) struct Weights<'a> {
    tensors: SafeTensors<'a>,
}

impl<'a> Weights<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, ImportError> {
        let tensors = SafeTensors::deserialize(bytes)
            .map_err(|error| ImportError::Weights(error.to_string()))?;
        Ok(Self { tensors })
    }

    /// Returns the tensor as floats, row-major, whatever the prefix it was saved under.
    pub(super) fn get(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ImportError> {
        let wrong = |actual: String| ImportError::Tensor {
            name: name.to_owned(),
            expected: shape.to_vec(),
            actual,
        };
        let view = PREFIXES
            .iter()
            .find_map(|prefix| self.tensors.tensor(&format!("{prefix}{name}")).ok())
            .ok_or_else(|| wrong("none of that name".into()))?;
        if view.shape() != shape {
            return Err(wrong(format!("{:?}", view.shape())));
        }
        let data = view.data();
        let halves = || data.chunks_exact(2).map(|bytes| [bytes[0], bytes[1]]);
        match view.dtype() {
            Dtype::F32 => Ok(data
                .chunks_exact(4)
                .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
                .collect()),
            Dtype::F16 => Ok(halves().map(|b| half::f16::from_le_bytes(b).to_f32()).collect()),
            Dtype::BF16 => Ok(halves().map(|b| half::bf16::from_le_bytes(b).to_f32()).collect()),
            other => Err(wrong(format!("elements of type {other:?}"))),
        }
    }
}
