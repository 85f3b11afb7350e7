//! BERT (Devlin et al. 2019) from its weights: embeddings, post-norm encoder layers with exact GELU,
//! pooling, length one. Equal to the reference implementation up to rounding.

use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use super::graph::{Attribute, Graph, Value};
use crate::embed::Pooling;
use crate::error::{Classified, ErrorKind};

/// The input of token ids, batch x tokens.
pub(super) const INPUT_IDS: &str = "input_ids";
/// The input that is 1 for tokens and 0 for padding, batch x tokens.
pub(super) const ATTENTION_MASK: &str = "attention_mask";
/// The output, batch x dimension, of length one.
pub(super) const EMBEDDING: &str = "embedding";
/// Stands in for minus infinity, which times zero is no number.
const MASKED: f32 = f32::MIN;

/// Why weights cannot be turned into a graph.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A configuration that cannot be read.
    #[error("config.json: {0}")]
    Config(String),
    /// A family of models that is not known.
    #[error("config.json describes a `{0}` with `{1}`, expected a `bert` with `gelu`")]
    Family(String, String),
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
            Self::Family(..) => ErrorKind::Unsupported,
            Self::Config(_) | Self::Weights(_) | Self::Tensor { .. } => ErrorKind::Corrupt,
            Self::File(_) => ErrorKind::Unavailable,
        }
    }
}

#[derive(Debug, Deserialize)]
struct Config {
    model_type: String,
    hidden_act: String,
    hidden_size: usize,
    num_attention_heads: usize,
    num_hidden_layers: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    type_vocab_size: usize,
    vocab_size: usize,
    layer_norm_eps: f32,
}

/// Returns the model in a folder with `config.json` and `model.safetensors` as an ONNX graph.
///
/// # Errors
/// [`ImportError`]: unsupported for another family, corrupt for files that do not fit one another.
pub(super) fn import(folder: &Path, pooling: Pooling) -> Result<Vec<u8>, ImportError> {
    let config = fs_err::read(folder.join("config.json"))?;
    let config: Config =
        serde_json::from_slice(&config).map_err(|error| ImportError::Config(error.to_string()))?;
    if config.model_type != "bert" || config.hidden_act != "gelu" {
        return Err(ImportError::Family(config.model_type, config.hidden_act));
    }
    if config.num_attention_heads == 0
        || !config.hidden_size.is_multiple_of(config.num_attention_heads)
    {
        return Err(ImportError::Config(format!(
            "hidden_size {} cannot be shared by {} heads",
            config.hidden_size, config.num_attention_heads
        )));
    }
    let bytes = fs_err::read(folder.join("model.safetensors"))?;
    let tensors = SafeTensors::deserialize(&bytes)
        .map_err(|error| ImportError::Weights(error.to_string()))?;
    let mut builder = Builder { config, weights: Weights { tensors }, graph: Graph::default() };
    builder.build(pooling)?;
    Ok(builder.graph.encode())
}

struct Weights<'a> {
    tensors: SafeTensors<'a>,
}

impl Weights<'_> {
    /// Returns the tensor as floats, row-major, whatever the prefix it was saved under.
    fn get(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ImportError> {
        let wrong = |actual: String| ImportError::Tensor {
            name: name.to_owned(),
            expected: shape.to_vec(),
            actual,
        };
        let view = ["", "bert.", "model.", "0.auto_model."]
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

struct Builder<'a> {
    config: Config,
    weights: Weights<'a>,
    graph: Graph,
}

impl Builder<'_> {
    fn build(&mut self, pooling: Pooling) -> Result<(), ImportError> {
        let ids = self.graph.input(INPUT_IDS, &["batch", "tokens"]);
        let mask = self.graph.input(ATTENTION_MASK, &["batch", "tokens"]);
        let mask = self.graph.node("Cast", &[&mask], &[("to", Attribute::Integer(1))]);
        let added = self.added_to_scores(&mask);
        let mut hidden = self.embeddings(&ids)?;
        for layer in 0..self.config.num_hidden_layers {
            hidden = self.layer(layer, &hidden, &added)?;
        }
        let pooled = match pooling {
            Pooling::Mean => self.mean(&hidden, &mask),
            Pooling::Cls => {
                let first = self.graph.integer(0);
                let axis = [("axis", Attribute::Integer(1))];
                self.graph.node("Gather", &[&hidden, &first], &axis)
            }
        };
        let unit = [("axis", Attribute::Integer(-1)), ("p", Attribute::Integer(2))];
        let unit = self.graph.node("LpNormalization", &[&pooled], &unit);
        self.graph.output(&unit, EMBEDDING, self.config.hidden_size);
        Ok(())
    }

    /// What is added to the scores of attention: nothing for tokens, and for padding so little that
    /// the softmax gives it nothing.
    fn added_to_scores(&mut self, mask: &Value) -> Value {
        let axes = self.graph.integers(&[1, 2]);
        let wide = self.graph.node("Unsqueeze", &[mask, &axes], &[]);
        let one = self.graph.floats(&[], &[1.0]);
        let padding = self.graph.node("Sub", &[&one, &wide], &[]);
        let lowest = self.graph.floats(&[], &[MASKED]);
        self.graph.node("Mul", &[&padding, &lowest], &[])
    }

    fn embeddings(&mut self, ids: &Value) -> Result<Value, ImportError> {
        let Config {
            hidden_size: width, vocab_size, max_position_embeddings, type_vocab_size, ..
        } = self.config;
        let words = self.weights.get("embeddings.word_embeddings.weight", &[vocab_size, width])?;
        let words = self.graph.floats(&[vocab_size, width], &words);
        // Every token is of the first type, so its vector is added to those of the positions.
        let types = "embeddings.token_type_embeddings.weight";
        let types = self.weights.get(types, &[type_vocab_size, width])?;
        let positions = "embeddings.position_embeddings.weight";
        let mut positions = self.weights.get(positions, &[max_position_embeddings, width])?;
        for row in positions.chunks_exact_mut(width) {
            row.iter_mut().zip(&types).for_each(|(value, kind)| *value += kind);
        }
        let positions = self.graph.floats(&[max_position_embeddings, width], &positions);

        let shape = self.graph.node("Shape", &[ids], &[]);
        let one = self.graph.integers(&[1]);
        let tokens = self.graph.node("Gather", &[&shape, &one], &[("axis", Attribute::Integer(0))]);
        let zero = self.graph.integers(&[0]);
        let positions = self.graph.node("Slice", &[&positions, &zero, &tokens, &zero], &[]);
        let words = self.graph.node("Gather", &[&words, ids], &[("axis", Attribute::Integer(0))]);
        let sum = self.graph.node("Add", &[&words, &positions], &[]);
        self.norm("embeddings.LayerNorm", &sum)
    }

    fn layer(&mut self, layer: usize, hidden: &Value, added: &Value) -> Result<Value, ImportError> {
        let at = |part: &str| format!("encoder.layer.{layer}.{part}");
        let (width, wide) = (self.config.hidden_size, self.config.intermediate_size);
        let attended = self.attention(&at("attention.self"), hidden, added)?;
        let attended = self.linear(&at("attention.output.dense"), &attended, width, width, 1.0)?;
        let sum = self.graph.node("Add", &[&attended, hidden], &[]);
        let attended = self.norm(&at("attention.output.LayerNorm"), &sum)?;

        let inner = self.linear(&at("intermediate.dense"), &attended, width, wide, 1.0)?;
        let inner = self.gelu(&inner);
        let outer = self.linear(&at("output.dense"), &inner, wide, width, 1.0)?;
        let sum = self.graph.node("Add", &[&outer, &attended], &[]);
        self.norm(&at("output.LayerNorm"), &sum)
    }

    fn attention(
        &mut self,
        name: &str,
        hidden: &Value,
        added: &Value,
    ) -> Result<Value, ImportError> {
        let width = self.config.hidden_size;
        let heads = self.config.num_attention_heads;
        let per_head = width / heads;
        // The division of the scores by the root of the width stands in the weights of the query.
        let scale = 1.0 / (per_head as f32).sqrt();
        let shape = [0, 0, integer(heads), integer(per_head)];
        let mut project = |part: &str, scale: f32, order: &[i64]| {
            let all = self.linear(&format!("{name}.{part}"), hidden, width, width, scale)?;
            let shape = self.graph.integers(&shape);
            let split = self.graph.node("Reshape", &[&all, &shape], &[]);
            let order = [("perm", Attribute::Integers(order))];
            Ok::<_, ImportError>(self.graph.node("Transpose", &[&split], &order))
        };
        let query = project("query", scale, &[0, 2, 1, 3])?;
        let key = project("key", 1.0, &[0, 2, 3, 1])?;
        let value = project("value", 1.0, &[0, 2, 1, 3])?;
        let scores = self.graph.node("MatMul", &[&query, &key], &[]);
        let scores = self.graph.node("Add", &[&scores, added], &[]);
        let shares = self.graph.node("Softmax", &[&scores], &[("axis", Attribute::Integer(-1))]);
        let mixed = self.graph.node("MatMul", &[&shares, &value], &[]);
        let order = [("perm", Attribute::Integers(&[0, 2, 1, 3]))];
        let mixed = self.graph.node("Transpose", &[&mixed], &order);
        let shape = self.graph.integers(&[0, 0, integer(width)]);
        Ok(self.graph.node("Reshape", &[&mixed, &shape], &[]))
    }

    /// x W + b, where the file holds the transpose of W.
    fn linear(
        &mut self,
        name: &str,
        input: &Value,
        from: usize,
        to: usize,
        scale: f32,
    ) -> Result<Value, ImportError> {
        let stored = self.weights.get(&format!("{name}.weight"), &[to, from])?;
        let mut weight = vec![0.0; from * to];
        for (row, values) in stored.chunks_exact(from).enumerate() {
            for (column, value) in values.iter().enumerate() {
                weight[column * to + row] = value * scale;
            }
        }
        let mut bias = self.weights.get(&format!("{name}.bias"), &[to])?;
        for value in &mut bias {
            *value *= scale;
        }
        let weight = self.graph.floats(&[from, to], &weight);
        let bias = self.graph.floats(&[to], &bias);
        let product = self.graph.node("MatMul", &[input, &weight], &[]);
        Ok(self.graph.node("Add", &[&product, &bias], &[]))
    }

    fn norm(&mut self, name: &str, input: &Value) -> Result<Value, ImportError> {
        let width = self.config.hidden_size;
        let scale = self.weights.get(&format!("{name}.weight"), &[width])?;
        let bias = self.weights.get(&format!("{name}.bias"), &[width])?;
        let scale = self.graph.floats(&[width], &scale);
        let bias = self.graph.floats(&[width], &bias);
        let attributes = [
            ("axis", Attribute::Integer(-1)),
            ("epsilon", Attribute::Float(self.config.layer_norm_eps)),
        ];
        Ok(self.graph.node("LayerNormalization", &[input, &scale, &bias], &attributes))
    }

    /// x (1 + erf(x / sqrt 2)) / 2 (Hendrycks and Gimpel 2016).
    fn gelu(&mut self, input: &Value) -> Value {
        let root = self.graph.floats(&[], &[std::f32::consts::SQRT_2]);
        let ratio = self.graph.node("Div", &[input, &root], &[]);
        let erf = self.graph.node("Erf", &[&ratio], &[]);
        let one = self.graph.floats(&[], &[1.0]);
        let sum = self.graph.node("Add", &[&erf, &one], &[]);
        let product = self.graph.node("Mul", &[input, &sum], &[]);
        let half = self.graph.floats(&[], &[0.5]);
        self.graph.node("Mul", &[&product, &half], &[])
    }

    /// The mean over the tokens that are no padding.
    fn mean(&mut self, hidden: &Value, mask: &Value) -> Value {
        let last = self.graph.integers(&[-1]);
        let mask = self.graph.node("Unsqueeze", &[mask, &last], &[]);
        let kept = self.graph.node("Mul", &[hidden, &mask], &[]);
        let tokens = self.graph.integers(&[1]);
        let flat = [("keepdims", Attribute::Integer(0))];
        let sum = self.graph.node("ReduceSum", &[&kept, &tokens], &flat);
        let count = self.graph.node("ReduceSum", &[&mask, &tokens], &flat);
        self.graph.node("Div", &[&sum, &count], &[])
    }
}

fn integer(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
