//! Which words would stand at each token, as a masked language model scores them: what learned sparse
//! vectors are made of (Formal et al. 2021).

use super::family::{Activation, Family, Layers, Plan};
use super::graph::{Attribute, Value};
use super::weights::ImportError;
use super::{modern, pooling};
use crate::embed::{Joined, Pooling, Saturation, SpladeSettings};

/// What the parts of a head are called.
struct Names {
    dense: &'static str,
    norm: &'static str,
    decoder: &'static str,
    bias: &'static str,
}

const BERT: Names = Names {
    dense: "cls.predictions.transform.dense",
    norm: "cls.predictions.transform.LayerNorm",
    decoder: "cls.predictions.decoder.weight",
    bias: "cls.predictions.bias",
};

const ROBERTA: Names = Names {
    dense: "lm_head.dense",
    norm: "lm_head.layer_norm",
    decoder: "lm_head.decoder.weight",
    bias: "lm_head.bias",
};

const DISTIL: Names = Names {
    dense: "vocab_transform",
    norm: "vocab_layer_norm",
    decoder: "vocab_projector.weight",
    bias: "vocab_projector.bias",
};

/// Builds the head behind an encoder and returns the weight of each word, batch x words, and how many
/// words there are.
pub(super) fn build(
    plan: &Plan<'_>,
    layers: &mut Layers<'_, '_>,
    hidden: &Value,
    mask: &Value,
    settings: SpladeSettings,
) -> Result<(Value, usize), ImportError> {
    let (width, words) = (plan.config.hidden_size, plan.config.vocab_size);
    let (names, activation) = match plan.family {
        Family::Bert => (Some(&BERT), plan.activation),
        Family::DistilBert => (Some(&DISTIL), plan.activation),
        // Theirs is the same whatever the encoder has.
        Family::Roberta | Family::Mpnet => (Some(&ROBERTA), Activation::Gelu),
        Family::ModernBert => (None, plan.activation),
    };
    let (inner, decoder, bias) = if let Some(names) = names {
        let inner = layers.linear(names.dense, hidden, width, width, 1.0)?;
        let inner = layers.activated(&inner, activation);
        (layers.norm(names.norm, &inner, width)?, names.decoder, names.bias)
    } else {
        (modern::head(plan, layers, hidden)?, "decoder.weight", "decoder.bias")
    };
    let shape = [words, width];
    // The table of the words that are read is that of the words that are scored, unless it is written
    // down apart.
    let table = match plan.family {
        Family::ModernBert => "embeddings.tok_embeddings.weight",
        Family::Bert | Family::Roberta | Family::DistilBert | Family::Mpnet => {
            "embeddings.word_embeddings.weight"
        }
    };
    let stored = match layers.weights.find(decoder, &shape)? {
        Some(stored) => stored,
        None => layers.weights.get(table, &shape)?,
    };
    let scores = layers.product(&inner, &stored, width, 1.0);
    let bias = layers.weights.get(bias, &[words])?;
    let bias = layers.graph.floats(&[words], &bias);
    let weights = match settings.joined {
        // The logarithm keeps the order, so that it is taken of one row for each text.
        Joined::Max => {
            let most = pooling::pool(layers.graph, &scores, mask, Pooling::Max);
            let most = layers.graph.node("Add", &[&most, &bias], &[]);
            saturated(layers, &most, settings.saturation)
        }
        Joined::Sum => {
            let scores = layers.graph.node("Add", &[&scores, &bias], &[]);
            let weights = saturated(layers, &scores, settings.saturation);
            pooling::sum(layers.graph, &weights, mask)
        }
    };
    Ok((weights, words))
}

fn saturated(layers: &mut Layers<'_, '_>, scores: &Value, saturation: Saturation) -> Value {
    let mut weights = layers.graph.node("Relu", &[scores], &[] as &[(&str, Attribute<'_>)]);
    let times = match saturation {
        Saturation::Log => 1,
        Saturation::LogLog => 2,
    };
    for _ in 0..times {
        let one = layers.graph.floats(&[], &[1.0]);
        let sum = layers.graph.node("Add", &[&weights, &one], &[]);
        weights = layers.graph.node("Log", &[&sum], &[]);
    }
    weights
}
