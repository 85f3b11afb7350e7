use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use crate::embed::manifest::is_plain_name;
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

/// What the first checkpoints of BERT call the scale and the shift of a normalisation, behind the usual
/// names.
const OLDER_NAMES: [(&str, &str); 2] =
    [("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")];

/// The file of weights, or the list of the files that they are spread over.
const FILE: &str = "model.safetensors";
pub(in crate::embed) const INDEX: &str = "model.safetensors.index.json";

/// The files of weights in a folder.
pub(super) struct WeightFiles(Vec<Vec<u8>>);

impl WeightFiles {
    /// Reads the one file, or those that the list names.
    pub(super) fn read(folder: &Path) -> Result<Self, ImportError> {
        let index = folder.join(INDEX);
        if !index.is_file() {
            return Ok(Self(vec![fs_err::read(folder.join(FILE))?]));
        }
        let files = shards(&fs_err::read(index)?)?;
        let read = |file: &String| fs_err::read(folder.join(file));
        Ok(Self(files.iter().map(read).collect::<Result<_, _>>()?))
    }

    pub(super) fn weights(&self) -> Result<Weights<'_>, ImportError> {
        Weights::read(self.0.iter().map(Vec::as_slice))
    }
}

/// Returns the files that a list of weights names, each once.
pub(in crate::embed) fn shards(index: &[u8]) -> Result<BTreeSet<String>, ImportError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let error = |reason: String| ImportError::Weights(format!("{INDEX}: {reason}"));
    let index: Index = serde_json::from_slice(index).map_err(|source| error(source.to_string()))?;
    let files: BTreeSet<String> = index.weight_map.into_values().collect();
    match files.iter().find(|file| !is_plain_name(file)) {
        Some(file) => Err(error(format!("`{file}` is not a plain name"))),
        None => Ok(files),
    }
}

/// The tensors of safetensors files.
pub(super) struct Weights<'a> {
    files: Vec<SafeTensors<'a>>,
}

impl<'a> Weights<'a> {
    pub(super) fn read(files: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, ImportError> {
        let read = |bytes: &'a [u8]| {
            SafeTensors::deserialize(bytes).map_err(|error| ImportError::Weights(error.to_string()))
        };
        Ok(Self { files: files.into_iter().map(read).collect::<Result<_, _>>()? })
    }

    /// Returns the tensor as floats, row-major, whatever the prefix it was saved under.
    pub(super) fn get(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ImportError> {
        let found = self.find(name, shape)?;
        found.ok_or_else(|| wrong(name, shape, "none of that name".into()))
    }

    /// Returns how many rows and columns a matrix has.
    pub(super) fn matrix(&self, name: &str) -> Result<[usize; 2], ImportError> {
        let view =
            self.view(name).ok_or_else(|| wrong(name, &[0, 0], "none of that name".into()))?;
        match view.shape() {
            &[rows, columns] if rows > 0 && columns > 0 => Ok([rows, columns]),
            other => Err(wrong(name, &[0, 0], format!("{other:?}"))),
        }
    }

    fn view(&self, name: &str) -> Option<TensorView<'_>> {
        let older = OLDER_NAMES
            .iter()
            .find_map(|(usual, older)| Some(format!("{}{older}", name.strip_suffix(usual)?)));
        let names = [Some(name.to_owned()), older].into_iter().flatten();
        let named = names.flat_map(|name| PREFIXES.map(|prefix| format!("{prefix}{name}")));
        named
            .flat_map(|name| self.files.iter().map(move |file| file.tensor(&name).ok()))
            .flatten()
            .next()
    }

    /// The same, if it is there.
    pub(super) fn find(
        &self,
        name: &str,
        shape: &[usize],
    ) -> Result<Option<Vec<f32>>, ImportError> {
        let Some(view) = self.view(name) else { return Ok(None) };
        if view.shape() != shape {
            return Err(wrong(name, shape, format!("{:?}", view.shape())));
        }
        let data = view.data();
        let halves = || data.chunks_exact(2).map(|bytes| [bytes[0], bytes[1]]);
        match view.dtype() {
            Dtype::F32 => Ok(Some(
                data.chunks_exact(4)
                    .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
                    .collect(),
            )),
            Dtype::F16 => {
                Ok(Some(halves().map(|b| half::f16::from_le_bytes(b).to_f32()).collect()))
            }
            Dtype::BF16 => {
                Ok(Some(halves().map(|b| half::bf16::from_le_bytes(b).to_f32()).collect()))
            }
            other => Err(wrong(name, shape, format!("elements of type {other:?}"))),
        }
    }
}

fn wrong(name: &str, shape: &[usize], actual: String) -> ImportError {
    ImportError::Tensor { name: name.to_owned(), expected: shape.to_vec(), actual }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_are_found_under_their_older_names() {
        let values = [1.5_f32, 2.5].map(f32::to_le_bytes).concat();
        let names = ["bert.a.LayerNorm.gamma", "bert.a.LayerNorm.beta", "bert.a.gamma"];
        let tensors =
            names.map(|name| (name, TensorView::new(Dtype::F32, vec![2], &values).unwrap()));
        let bytes = safetensors::serialize(tensors, None).unwrap();
        let weights = Weights::read([&bytes[..]]).unwrap();
        for name in ["a.LayerNorm.weight", "a.LayerNorm.bias", "a.gamma"] {
            assert_eq!(weights.get(name, &[2]).unwrap(), [1.5, 2.5], "{name}");
        }
        let error = weights.get("a.weight", &[2]).unwrap_err().to_string();
        assert!(error.contains("`a.weight`: expected [2], got none of that name"), "{error}");
    }
}
