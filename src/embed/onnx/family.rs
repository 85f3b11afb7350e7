use std::path::Path;

use serde::Deserialize;

use super::graph::{Attribute, Graph, Value};
use super::weights::{ImportError, WeightFiles, Weights};
use super::{encoder, modern, pooling, words};
use crate::embed::{Pooling, Precision, SpladeSettings, TextSettings};

/// The input of token ids, batch x tokens.
pub(super) const INPUT_IDS: &str = "input_ids";
/// The input that is 1 for tokens and 0 for padding, batch x tokens.
pub(super) const ATTENTION_MASK: &str = "attention_mask";
/// The output, batch x dimension.
pub(super) const EMBEDDING: &str = "embedding";
/// Stands in for minus infinity, which times zero is no number.
pub(super) const MASKED: f32 = f32::MIN;

/// What `config.json` says; the names of each family are one here.
#[derive(Debug, Deserialize)]
pub(super) struct Config {
    model_type: String,
    #[serde(alias = "activation", alias = "hidden_activation")]
    hidden_act: String,
    #[serde(alias = "dim")]
    pub(super) hidden_size: usize,
    #[serde(alias = "n_heads")]
    pub(super) num_attention_heads: usize,
    #[serde(alias = "n_layers")]
    pub(super) num_hidden_layers: usize,
    #[serde(alias = "hidden_dim")]
    pub(super) intermediate_size: usize,
    pub(super) max_position_embeddings: usize,
    #[serde(default)]
    pub(super) type_vocab_size: usize,
    pub(super) vocab_size: usize,
    #[serde(default)]
    layer_norm_eps: Option<f32>,
    /// Of ModernBERT, which may write down the other too.
    #[serde(default)]
    norm_eps: Option<f32>,
    #[serde(default)]
    pad_token_id: Option<usize>,
    #[serde(default)]
    position_embedding_type: Option<String>,
    /// Of MPNet: how many distances its attention tells apart.
    #[serde(default = "Config::usual_buckets")]
    pub(super) relative_attention_num_buckets: usize,
    /// Of ModernBERT.
    #[serde(flatten)]
    pub(super) modern: Option<modern::Settings>,
}

impl Config {
    /// DistilBERT does not write its own down.
    pub(super) fn epsilon(&self) -> f32 {
        self.norm_eps.or(self.layer_norm_eps).unwrap_or(1e-12)
    }

    fn usual_buckets() -> usize {
        32
    }
}

/// The families that are built from their weights, by the `model_type` of their configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Bert,
    /// RoBERTa and XLM-R: BERT whose positions are counted from after the padding's id.
    Roberta,
    DistilBert,
    Mpnet,
    ModernBert,
}

const FAMILIES: [(&str, Family); 7] = [
    ("bert", Family::Bert),
    ("roberta", Family::Roberta),
    ("xlm-roberta", Family::Roberta),
    ("camembert", Family::Roberta),
    ("distilbert", Family::DistilBert),
    ("mpnet", Family::Mpnet),
    ("modernbert", Family::ModernBert),
];

/// The functions between the layers of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    /// x (1 + erf(x / sqrt 2)) / 2 (Hendrycks and Gimpel 2016).
    Gelu,
    /// The same by a hyperbolic tangent.
    GeluTanh,
    Relu,
}

impl Activation {
    pub(super) fn parse(name: &str) -> Result<Self, ImportError> {
        match name {
            "gelu" => Ok(Self::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Self::GeluTanh),
            "relu" => Ok(Self::Relu),
            other => Err(ImportError::Setting {
                name: "activation",
                actual: other.to_owned(),
                expected: "gelu, gelu_new, gelu_pytorch_tanh, gelu_fast or relu",
            }),
        }
    }
}

/// What is taken of a network that is built from its weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// The vector of each text, cut to so many components and scaled as the settings say.
    Text(usize),
    /// The vector of each text as wide as the network is, for what follows it.
    Pooled,
    /// The vector of each token.
    Tokens,
    /// The weight of each word of the vocabulary.
    Words(SpladeSettings),
}

/// What a configuration and the settings of the text ask to be built.
pub(super) struct Plan<'a> {
    pub(super) family: Family,
    pub(super) config: Config,
    pub(super) activation: Activation,
    text: &'a TextSettings,
    dimension: usize,
}

impl<'a> Plan<'a> {
    /// Reads and checks a configuration. `dimension` is how many components of the hidden ones are kept.
    pub(super) fn read(
        bytes: &[u8],
        text: &'a TextSettings,
        dimension: usize,
    ) -> Result<Self, ImportError> {
        let config: Config = serde_json::from_slice(bytes)
            .map_err(|error| ImportError::Config(error.to_string()))?;
        let family = FAMILIES.iter().find(|(name, _)| *name == config.model_type);
        let Some(&(_, family)) = family else {
            let known = FAMILIES.map(|(name, _)| name).join(", ");
            return Err(ImportError::Family { family: config.model_type, known });
        };
        let activation = Activation::parse(&config.hidden_act)?;
        if let Some(other) = config.position_embedding_type.as_deref().filter(|p| *p != "absolute")
        {
            return Err(ImportError::Setting {
                name: "position_embedding_type",
                actual: other.to_owned(),
                expected: "absolute",
            });
        }
        let plan = Self { family, config, activation, text, dimension };
        plan.check()?;
        Ok(plan)
    }

    fn check(&self) -> Result<(), ImportError> {
        let (config, wrong) = (&self.config, |reason| Err(ImportError::Config(reason)));
        let (width, heads) = (config.hidden_size, config.num_attention_heads);
        if heads == 0 || width == 0 || !width.is_multiple_of(heads) {
            return wrong(format!("hidden_size {width} cannot be shared by {heads} heads"));
        }
        if self.dimension > width {
            return wrong(format!(
                "hidden_size is {width}, expected at least the dimension {}",
                self.dimension
            ));
        }
        let room = config.max_position_embeddings.saturating_sub(self.first_position());
        if self.text.tokens_max > room {
            let tokens = self.text.tokens_max;
            return wrong(format!("there are positions for {room} tokens, expected {tokens}"));
        }
        Ok(())
    }

    /// Returns the position of the first token.
    pub(super) fn first_position(&self) -> usize {
        match self.family {
            Family::Bert | Family::DistilBert | Family::ModernBert => 0,
            Family::Roberta => self.config.pad_token_id.unwrap_or(1) + 1,
            // Its padding is written down in no configuration.
            Family::Mpnet => 2,
        }
    }
}

/// Returns the model in a folder with `config.json` and its safetensors as an ONNX graph whose output is
/// what is taken of it.
///
/// # Errors
/// [`ImportError`]: unsupported for another family, corrupt for files that do not fit one another.
pub(super) fn import(
    folder: &Path,
    text: &TextSettings,
    taken: Taken,
) -> Result<Vec<u8>, ImportError> {
    let config = fs_err::read(folder.join("config.json"))?;
    let dimension = if let Taken::Text(dimension) = taken { dimension } else { 1 };
    let plan = Plan::read(&config, text, dimension)?;
    let files = WeightFiles::read(folder)?;
    let weights = files.weights()?;
    let mut graph = Graph::default();
    let ids = graph.input(INPUT_IDS, &["batch", "tokens"]);
    let mask = graph.input(ATTENTION_MASK, &["batch", "tokens"]);
    let mask = graph.node("Cast", &[&mask], &[("to", Attribute::Integer(1))]);
    let (epsilon, precision) = (plan.config.epsilon(), text.precision);
    let mut layers = Layers { weights: &weights, graph: &mut graph, epsilon, precision };
    let hidden = hidden(&plan, &mut layers, &ids, &mask, None)?;
    let width = plan.config.hidden_size;
    match taken {
        Taken::Tokens => graph.output(&hidden, EMBEDDING, &["batch", "tokens"], width),
        Taken::Pooled => {
            let vector = pooling::pool(&mut graph, &hidden, &mask, text.pooling);
            graph.output(&vector, EMBEDDING, &["batch"], width);
        }
        Taken::Words(settings) => {
            let (weights, words) = words::build(&plan, &mut layers, &hidden, &mask, settings)?;
            graph.output(&weights, EMBEDDING, &["batch"], words);
        }
        Taken::Text(dimension) => {
            let mut vector = pooling::pool(&mut graph, &hidden, &mask, text.pooling);
            if dimension < width {
                let (from, to) = (graph.integers(&[0]), graph.integers(&[integer(dimension)]));
                let axis = graph.integers(&[1]);
                vector = graph.node("Slice", &[&vector, &from, &to, &axis], &[]);
            }
            if text.normalize {
                let unit = [("axis", Attribute::Integer(-1)), ("p", Attribute::Integer(2))];
                vector = graph.node("LpNormalization", &[&vector], &unit);
            }
            graph.output(&vector, EMBEDDING, &["batch"], dimension);
        }
    }
    Ok(graph.encode())
}

/// Builds the encoder of a family and returns the vector of each token: batch x tokens x width.
pub(super) fn hidden(
    plan: &Plan<'_>,
    layers: &mut Layers<'_, '_>,
    ids: &Value,
    mask: &Value,
    types: Option<&Value>,
) -> Result<Value, ImportError> {
    match plan.family {
        Family::Bert | Family::Roberta | Family::DistilBert | Family::Mpnet => {
            encoder::build(plan, layers, ids, mask, types)
        }
        Family::ModernBert => modern::build(plan, layers, ids, mask),
    }
}

/// The layers that every family has, made of its weights.
pub(super) struct Layers<'a, 'w> {
    pub(super) weights: &'a Weights<'w>,
    pub(super) graph: &'a mut Graph,
    pub(super) epsilon: f32,
    pub(super) precision: Precision,
}

impl Layers<'_, '_> {
    /// What is added to the scores of attention: nothing for tokens, and for padding so little that
    /// the softmax gives it nothing.
    pub(super) fn added_to_scores(&mut self, mask: &Value) -> Value {
        let axes = self.graph.integers(&[1, 2]);
        let wide = self.graph.node("Unsqueeze", &[mask, &axes], &[]);
        let one = self.graph.floats(&[], &[1.0]);
        let padding = self.graph.node("Sub", &[&one, &wide], &[]);
        let lowest = self.graph.floats(&[], &[MASKED]);
        self.graph.node("Mul", &[&padding, &lowest], &[])
    }

    /// The vector of each token, from a table.
    pub(super) fn looked_up(
        &mut self,
        name: &str,
        shape: [usize; 2],
        ids: &Value,
    ) -> Result<Value, ImportError> {
        let table = self.weights.get(name, &shape)?;
        let table = self.graph.floats(&shape, &table);
        Ok(self.graph.node("Gather", &[&table, ids], &[("axis", Attribute::Integer(0))]))
    }

    /// How many tokens a row has, padding included: in one dimension.
    pub(super) fn tokens(&mut self, ids: &Value) -> Value {
        let shape = self.graph.node("Shape", &[ids], &[]);
        let one = self.graph.integers(&[1]);
        self.graph.node("Gather", &[&shape, &one], &[("axis", Attribute::Integer(0))])
    }

    /// x W + b, where the file holds the transpose of W; all of it times `scale`.
    pub(super) fn linear(
        &mut self,
        name: &str,
        input: &Value,
        from: usize,
        to: usize,
        scale: f32,
    ) -> Result<Value, ImportError> {
        let stored = self.weights.get(&format!("{name}.weight"), &[to, from])?;
        let product = self.product(input, &stored, from, scale);
        let mut bias = self.weights.get(&format!("{name}.bias"), &[to])?;
        for value in &mut bias {
            *value *= scale;
        }
        let bias = self.graph.floats(&[to], &bias);
        Ok(self.graph.node("Add", &[&product, &bias], &[]))
    }

    /// x W, where `stored` is the transpose of W with rows of length `from`; times `scale`.
    pub(super) fn product(
        &mut self,
        input: &Value,
        stored: &[f32],
        from: usize,
        scale: f32,
    ) -> Value {
        let to = stored.len() / from;
        if self.precision == Precision::Int8 {
            let scaled: Vec<f32> = stored.iter().map(|weight| weight * scale).collect();
            return self.graph.product_int8(input, &scaled, from);
        }
        let mut weight = vec![0.0; stored.len()];
        for (row, values) in stored.chunks_exact(from).enumerate() {
            for (column, value) in values.iter().enumerate() {
                weight[column * to + row] = value * scale;
            }
        }
        let weight = self.graph.floats(&[from, to], &weight);
        self.graph.node("MatMul", &[input, &weight], &[])
    }

    /// Layer normalisation with the scale and shift of a name.
    pub(super) fn norm(
        &mut self,
        name: &str,
        input: &Value,
        width: usize,
    ) -> Result<Value, ImportError> {
        let scale = self.weights.get(&format!("{name}.weight"), &[width])?;
        let bias = self.weights.get(&format!("{name}.bias"), &[width])?;
        Ok(self.normalized(input, &scale, &bias))
    }

    pub(super) fn normalized(&mut self, input: &Value, scale: &[f32], bias: &[f32]) -> Value {
        let scale = self.graph.floats(&[scale.len()], scale);
        let bias = self.graph.floats(&[bias.len()], bias);
        let attributes =
            [("axis", Attribute::Integer(-1)), ("epsilon", Attribute::Float(self.epsilon))];
        self.graph.node("LayerNormalization", &[input, &scale, &bias], &attributes)
    }

    /// Batch x tokens x width to batch x heads x tokens x width of a head, axes in this order.
    pub(super) fn split_heads(
        &mut self,
        all: &Value,
        heads: usize,
        per_head: usize,
        order: &[i64],
    ) -> Value {
        let shape = self.graph.integers(&[0, 0, integer(heads), integer(per_head)]);
        let split = self.graph.node("Reshape", &[all, &shape], &[]);
        self.graph.node("Transpose", &[&split], &[("perm", Attribute::Integers(order))])
    }

    /// The values mixed by the softmax of query times key plus what is added to that; heads joined.
    pub(super) fn attended(
        &mut self,
        query: &Value,
        key: &Value,
        value: &Value,
        added: &[&Value],
        width: usize,
    ) -> Value {
        let mut scores = self.graph.node("MatMul", &[query, key], &[]);
        for &added in added {
            scores = self.graph.node("Add", &[&scores, added], &[]);
        }
        let shares = self.graph.node("Softmax", &[&scores], &[("axis", Attribute::Integer(-1))]);
        let mixed = self.graph.node("MatMul", &[&shares, value], &[]);
        let order = [("perm", Attribute::Integers(&[0, 2, 1, 3]))];
        let mixed = self.graph.node("Transpose", &[&mixed], &order);
        let shape = self.graph.integers(&[0, 0, integer(width)]);
        self.graph.node("Reshape", &[&mixed, &shape], &[])
    }

    pub(super) fn activated(&mut self, input: &Value, activation: Activation) -> Value {
        let bent = match activation {
            Activation::Relu => return self.graph.node("Relu", &[input], &[]),
            Activation::Gelu => {
                let root = self.graph.floats(&[], &[std::f32::consts::SQRT_2]);
                let ratio = self.graph.node("Div", &[input, &root], &[]);
                self.graph.node("Erf", &[&ratio], &[])
            }
            Activation::GeluTanh => {
                let square = self.graph.node("Mul", &[input, input], &[]);
                let cube = self.graph.node("Mul", &[&square, input], &[]);
                let share = self.graph.floats(&[], &[0.044_715]);
                let cube = self.graph.node("Mul", &[&cube, &share], &[]);
                let sum = self.graph.node("Add", &[input, &cube], &[]);
                let root = self.graph.floats(&[], &[(2.0 / std::f32::consts::PI).sqrt()]);
                let inner = self.graph.node("Mul", &[&sum, &root], &[]);
                self.graph.node("Tanh", &[&inner], &[])
            }
        };
        let one = self.graph.floats(&[], &[1.0]);
        let sum = self.graph.node("Add", &[&bent, &one], &[]);
        let product = self.graph.node("Mul", &[input, &sum], &[]);
        let half = self.graph.floats(&[], &[0.5]);
        self.graph.node("Mul", &[&product, &half], &[])
    }
}

pub(super) fn integer(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Says what a configuration holds, for whoever adds a model: its family, how wide its vectors are,
/// and for how many tokens it has positions.
///
/// # Errors
/// As [`import`], without looking at weights.
pub(in crate::embed) fn describe(bytes: &[u8]) -> Result<(String, usize, usize), ImportError> {
    let text = TextSettings { tokens_max: 1, ..TextSettings::of(Pooling::Mean) };
    let plan = Plan::read(bytes, &text, 1)?;
    let room = plan.config.max_position_embeddings.saturating_sub(plan.first_position());
    Ok((plan.config.model_type, plan.config.hidden_size, room))
}
