//! BERT (Devlin et al. 2019) and its kin from their weights: embeddings, then encoder layers that
//! normalise after each step. Equal to the reference implementations up to rounding.

use super::family::{Family, Layers, Plan, integer};
use super::graph::{Attribute, Value};
use super::weights::ImportError;

/// The distance from which on MPNet tells none apart.
const DISTANCE_MAX: usize = 128;

/// What the parts of a layer are called.
struct Names {
    layer: &'static str,
    query: &'static str,
    key: &'static str,
    value: &'static str,
    attended: &'static str,
    attended_norm: &'static str,
    inner: &'static str,
    outer: &'static str,
    outer_norm: &'static str,
}

const BERT: Names = Names {
    layer: "encoder.layer",
    query: "attention.self.query",
    key: "attention.self.key",
    value: "attention.self.value",
    attended: "attention.output.dense",
    attended_norm: "attention.output.LayerNorm",
    inner: "intermediate.dense",
    outer: "output.dense",
    outer_norm: "output.LayerNorm",
};

const DISTIL: Names = Names {
    layer: "transformer.layer",
    query: "attention.q_lin",
    key: "attention.k_lin",
    value: "attention.v_lin",
    attended: "attention.out_lin",
    attended_norm: "sa_layer_norm",
    inner: "ffn.lin1",
    outer: "ffn.lin2",
    outer_norm: "output_layer_norm",
};

const MPNET: Names = Names {
    query: "attention.attn.q",
    key: "attention.attn.k",
    value: "attention.attn.v",
    attended: "attention.attn.o",
    attended_norm: "attention.LayerNorm",
    ..BERT
};

/// Builds the encoder and returns the vector of each token: batch x tokens x width. Without `types`
/// every token is of the first type.
pub(super) fn build(
    plan: &Plan<'_>,
    layers: &mut Layers<'_, '_>,
    ids: &Value,
    mask: &Value,
    types: Option<&Value>,
) -> Result<Value, ImportError> {
    let names = match plan.family {
        Family::Bert | Family::Roberta | Family::ModernBert => &BERT,
        Family::DistilBert => &DISTIL,
        Family::Mpnet => &MPNET,
    };
    let tokens = layers.tokens(ids);
    let mut hidden = embeddings(plan, layers, ids, &tokens, types)?;
    let mut added = vec![layers.added_to_scores(mask)];
    if plan.family == Family::Mpnet {
        added.push(nearness(plan, layers, &tokens)?);
    }
    let added: Vec<&Value> = added.iter().collect();
    for number in 0..plan.config.num_hidden_layers {
        hidden = layer(plan, layers, names, number, &hidden, &added)?;
    }
    Ok(hidden)
}

fn embeddings(
    plan: &Plan<'_>,
    layers: &mut Layers<'_, '_>,
    ids: &Value,
    tokens: &Value,
    types: Option<&Value>,
) -> Result<Value, ImportError> {
    let config = &plan.config;
    let (width, places) = (config.hidden_size, config.max_position_embeddings);
    let positions = "embeddings.position_embeddings.weight";
    let mut positions = layers.weights.get(positions, &[places, width])?;
    let kinds = "embeddings.token_type_embeddings.weight";
    let shape = [config.type_vocab_size, width];
    if config.type_vocab_size > 0 && types.is_none() {
        // Every token is of the first type, so its vector is added to those of the positions.
        let kinds = layers.weights.get(kinds, &shape)?;
        for row in positions.chunks_exact_mut(width) {
            row.iter_mut().zip(&kinds).for_each(|(value, kind)| *value += kind);
        }
    }
    let used = &positions[plan.first_position() * width..];
    let positions = layers.graph.floats(&[used.len() / width, width], used);
    let zero = layers.graph.integers(&[0]);
    let positions = layers.graph.node("Slice", &[&positions, &zero, tokens, &zero], &[]);
    let words = "embeddings.word_embeddings.weight";
    let words = layers.looked_up(words, [config.vocab_size, width], ids)?;
    let mut sum = layers.graph.node("Add", &[&words, &positions], &[]);
    if let Some(types) = types {
        let kinds = layers.looked_up(kinds, shape, types)?;
        sum = layers.graph.node("Add", &[&sum, &kinds], &[]);
    }
    layers.norm("embeddings.LayerNorm", &sum, width)
}

fn layer(
    plan: &Plan<'_>,
    layers: &mut Layers<'_, '_>,
    names: &Names,
    number: usize,
    hidden: &Value,
    added: &[&Value],
) -> Result<Value, ImportError> {
    let at = |part: &str| format!("{}.{number}.{part}", names.layer);
    let (width, wide) = (plan.config.hidden_size, plan.config.intermediate_size);
    let heads = plan.config.num_attention_heads;
    let per_head = width / heads;
    // The division of the scores by the root of the width stands in the weights of the query.
    let scale = 1.0 / (per_head as f32).sqrt();
    let mut project = |part: &str, scale: f32, order: &[i64]| {
        let all = layers.linear(&at(part), hidden, width, width, scale)?;
        Ok::<_, ImportError>(layers.split_heads(&all, heads, per_head, order))
    };
    let query = project(names.query, scale, &[0, 2, 1, 3])?;
    let key = project(names.key, 1.0, &[0, 2, 3, 1])?;
    let value = project(names.value, 1.0, &[0, 2, 1, 3])?;
    let attended = layers.attended(&query, &key, &value, added, width);
    let attended = layers.linear(&at(names.attended), &attended, width, width, 1.0)?;
    let sum = layers.graph.node("Add", &[&attended, hidden], &[]);
    let attended = layers.norm(&at(names.attended_norm), &sum, width)?;

    let inner = layers.linear(&at(names.inner), &attended, width, wide, 1.0)?;
    let inner = layers.activated(&inner, plan.activation);
    let outer = layers.linear(&at(names.outer), &inner, wide, width, 1.0)?;
    let sum = layers.graph.node("Add", &[&outer, &attended], &[]);
    layers.norm(&at(names.outer_norm), &sum, width)
}

/// What MPNet adds to the scores for the distance between two tokens (Raffel et al. 2020, as its
/// implementation has it): heads x tokens x tokens.
fn nearness(
    plan: &Plan<'_>,
    layers: &mut Layers<'_, '_>,
    tokens: &Value,
) -> Result<Value, ImportError> {
    let heads = plan.config.num_attention_heads;
    let buckets = plan.config.relative_attention_num_buckets;
    if buckets < 4 || !buckets.is_multiple_of(4) {
        return Err(ImportError::Setting {
            name: "relative_attention_num_buckets",
            actual: buckets.to_string(),
            expected: "a multiple of 4",
        });
    }
    let table = "encoder.relative_attention_bias.weight";
    let table = layers.weights.get(table, &[buckets, heads])?;
    // A column for each distance, from far before to far behind.
    let reach = integer(plan.config.max_position_embeddings);
    let mut columns = Vec::new();
    for head in 0..heads {
        columns
            .extend((1 - reach..reach).map(|ahead| table[bucket(ahead, buckets) * heads + head]));
    }
    let columns = layers.graph.floats(&[heads, columns.len() / heads], &columns);
    let scalar = layers.graph.integers(&[]);
    let count = layers.graph.node("Reshape", &[tokens, &scalar], &[]);
    let (zero, one) = (layers.graph.integer(0), layers.graph.integer(1));
    let places = layers.graph.node("Range", &[&zero, &count, &one], &[]);
    let (rows, across) = (layers.graph.integers(&[1]), layers.graph.integers(&[0]));
    let from = layers.graph.node("Unsqueeze", &[&places, &rows], &[]);
    let to = layers.graph.node("Unsqueeze", &[&places, &across], &[]);
    let ahead = layers.graph.node("Sub", &[&to, &from], &[]);
    let middle = layers.graph.integer(reach - 1);
    let column = layers.graph.node("Add", &[&ahead, &middle], &[]);
    Ok(layers.graph.node("Gather", &[&columns, &column], &[("axis", Attribute::Integer(1))]))
}

/// Returns the bucket of a token that stands so far ahead: one for each small distance, then wider and
/// wider ones; the second half of the buckets is for tokens ahead.
fn bucket(ahead: i64, buckets: usize) -> usize {
    let half = buckets / 2;
    let distance = usize::try_from(ahead.unsigned_abs()).unwrap_or(usize::MAX);
    let side = if ahead > 0 { half } else { 0 };
    let exact = half / 2;
    if distance < exact {
        return side + distance;
    }
    // In single precision, as the reference computes it.
    let ratio = (distance as f32 / exact as f32).ln() / (DISTANCE_MAX as f32 / exact as f32).ln();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the ratio is small and not negative"
    )]
    let wide = exact + (ratio * (half - exact) as f32) as usize;
    side + wide.min(half - 1)
}
