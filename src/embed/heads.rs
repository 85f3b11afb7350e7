//! What is made of the vectors of the tokens? Settings, as manifests have them.

use serde::{Deserialize, Serialize};

use super::manifest::is_plain_name;
use crate::vector::{MULTI_COMPONENTS_MAX, MULTI_VECTORS_MAX};

/// The most words that a vocabulary of weights has.
const WORDS_MAX: usize = 1 << 20;

/// How the vectors of the tokens become the vector of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The mean over the tokens.
    Mean,
    /// The vector of the first token.
    Cls,
    /// The largest of each component.
    Max,
    /// The vector of the last token.
    Last,
    /// The mean over the tokens, each counting as much as its place from 1.
    WeightedMean,
    /// The sum over the tokens divided by the root of their number.
    MeanSqrt,
}

/// A layer that a vector goes through: its products with rows of weights, bent. In a manifest a table of
/// the list `dense`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenseSettings {
    /// The file of its weights: `linear.weight` and, if it has one, `linear.bias`.
    pub file: String,
    /// What bends what comes out.
    #[serde(default, skip_serializing_if = "Bend::is_none")]
    pub bend: Bend,
    /// Whether what went in is added to what comes out, by way of `residual.weight` if that is there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub residual: bool,
}

/// A function that is applied to each component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bend {
    /// Nothing is bent.
    #[default]
    None,
    /// The hyperbolic tangent.
    Tanh,
    /// What is below zero becomes zero.
    Relu,
    /// The logistic function.
    Sigmoid,
}

impl Bend {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_none(&self) -> bool {
        *self == Self::None
    }

    /// Returns the function of a class of torch, by the last part of its name.
    pub(super) fn of_torch(class: &str) -> Option<Self> {
        match class.rsplit('.').next().unwrap_or_default() {
            "Identity" => Some(Self::None),
            "Tanh" => Some(Self::Tanh),
            "ReLU" => Some(Self::Relu),
            "Sigmoid" => Some(Self::Sigmoid),
            _ => None,
        }
    }

    /// Returns the value of the function.
    pub(super) fn of(self, value: f32) -> f32 {
        match self {
            Self::None => value,
            Self::Tanh => value.tanh(),
            Self::Relu => value.max(0.0),
            Self::Sigmoid => 1.0 / (1.0 + (-value).exp()),
        }
    }
}

/// Checks the layers of a manifest.
pub(super) fn check_dense(layers: &[DenseSettings]) -> Result<(), String> {
    match layers.iter().find(|layer| !is_plain_name(&layer.file)) {
        Some(layer) => Err(format!("file `{}` is not a plain name", layer.file)),
        None => Ok(()),
    }
}

/// How scores of words at tokens become the weights of a text (Formal et al. 2021).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpladeSettings {
    /// How the tokens are joined.
    #[serde(default)]
    pub joined: Joined,
    /// How often the logarithm of one plus the weight is taken.
    #[serde(default)]
    pub saturation: Saturation,
}

/// What questions get in place of a network's weights: one for each token, from a table, whatever stands
/// around it (Geng et al. 2024). In a manifest the table `questions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuestionSettings {
    /// The file of the table: `weight` in safetensors, or JSON with a number for each token.
    pub weights: String,
    /// The tokenizer of questions.
    pub tokenizer: String,
}

impl QuestionSettings {
    pub(super) fn check(&self) -> Result<(), String> {
        match [&self.weights, &self.tokenizer].into_iter().find(|file| !is_plain_name(file)) {
            Some(file) => Err(format!("file `{file}` is not a plain name")),
            None => Ok(()),
        }
    }
}

/// How weights at several tokens become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Joined {
    /// The greatest.
    #[default]
    Max,
    /// Their sum.
    Sum,
}

/// How weights are held down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Saturation {
    /// log(1 + x).
    #[default]
    Log,
    /// log(1 + log(1 + x)) (Shen et al. 2025).
    LogLog,
}

impl Saturation {
    /// Returns the weight of a score; nothing for one below zero.
    pub(super) fn of(self, score: f32) -> f32 {
        let once = score.max(0.0).ln_1p();
        match self {
            Self::Log => once,
            Self::LogLog => once.ln_1p(),
        }
    }
}

/// How the vectors of tokens stay apart, as late interaction wants them (Khattab and Zaharia 2020).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColbertSettings {
    /// The most tokens of a question, its special tokens and the marker included.
    pub query_tokens_max: usize,
    /// The token after the first one that says that a text is a question.
    pub query_marker: String,
    /// The token that says that it is a passage.
    pub passage_marker: String,
    /// The token that questions are filled up with, each of them asking for something too; none: they are
    /// not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filler: Option<String>,
    /// Whether tokens attend to what a question is filled up with.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub attends_to_filler: bool,
    /// Tokens whose vectors are left out of a passage's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
}

impl ColbertSettings {
    /// Returns how many tokens a passage may have at most, so that a multivector holds its vectors.
    pub(super) fn tokens_max(dimension: usize) -> usize {
        MULTI_VECTORS_MAX.min(MULTI_COMPONENTS_MAX / dimension.max(1))
    }

    pub(super) fn check(&self, tokens_max: usize, dimension: usize) -> Result<(), String> {
        let most = Self::tokens_max(dimension);
        let tokens = tokens_max.max(self.query_tokens_max);
        if self.query_tokens_max < 4 || tokens > most {
            let query = self.query_tokens_max;
            return Err(format!(
                "a passage has {tokens_max} tokens and a question {query}, expected 4 to {most} of \
                 {dimension} components"
            ));
        }
        if self.query_marker == self.passage_marker {
            return Err(format!("`{}` marks questions and passages alike", self.query_marker));
        }
        Ok(())
    }
}

/// Checks that a vocabulary is one that weights can be given to.
pub(super) fn check_words(dimension: usize) -> Result<(), String> {
    if dimension > WORDS_MAX {
        return Err(format!("there are {dimension} words, expected at most {WORDS_MAX}"));
    }
    Ok(())
}
