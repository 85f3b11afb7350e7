//! ModernBERT (Warner et al. 2024) from its weights: positions by rotation, layers that normalise
//! before each step, gated linear units, and attention that in most layers sees only what is near.

use serde::Deserialize;

use super::family::{Activation, Layers, MASKED, Plan};
use super::graph::{Attribute, Value};
use super::weights::ImportError;

/// What the configuration of this family alone has.
#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    global_attn_every_n_layers: usize,
    local_attention: usize,
    global_rope_theta: f64,
    local_rope_theta: Option<f64>,
    #[serde(default = "Settings::usual_activation")]
    classifier_activation: String,
    /// What a classifier looks at: `cls` or `mean`.
    #[serde(default)]
    pub(super) classifier_pooling: Option<String>,
}

impl Settings {
    fn usual_activation() -> String {
        "gelu".to_owned()
    }
}

/// The cosines and sines that turn queries and keys by their place, as long as the batch is.
struct Turn {
    cosines: Value,
    sines: Value,
}

/// Builds the encoder and returns the vector of each token: batch x tokens x width.
pub(super) fn build(
    plan: &Plan<'_>,
    layers: &mut Layers<'_, '_>,
    ids: &Value,
    mask: &Value,
) -> Result<Value, ImportError> {
    let Some(settings) = &plan.config.modern else {
        return Err(ImportError::Config("the settings of a modernbert are missing".into()));
    };
    let width = plan.config.hidden_size;
    let words = "embeddings.tok_embeddings.weight";
    let words = layers.looked_up(words, [plan.config.vocab_size, width], ids)?;
    let mut hidden = norm(layers, "embeddings.norm", &words, width)?;
    let tokens = layers.tokens(ids);
    let global = layers.added_to_scores(mask);
    let local = near(layers, &tokens, settings.local_attention / 2);
    let local = layers.graph.node("Min", &[&global, &local], &[]);
    let far_turn = turn(plan, layers, &tokens, settings.global_rope_theta);
    let near_turn = turn(
        plan,
        layers,
        &tokens,
        settings.local_rope_theta.unwrap_or(settings.global_rope_theta),
    );
    for number in 0..plan.config.num_hidden_layers {
        let is_global = number.is_multiple_of(settings.global_attn_every_n_layers.max(1));
        let (added, turn) = if is_global { (&global, &far_turn) } else { (&local, &near_turn) };
        hidden = layer(plan, layers, number, &hidden, added, turn)?;
    }
    norm(layers, "final_norm", &hidden, width)
}

fn layer(
    plan: &Plan<'_>,
    layers: &mut Layers<'_, '_>,
    number: usize,
    hidden: &Value,
    added: &Value,
    turn: &Turn,
) -> Result<Value, ImportError> {
    let at = |part: &str| format!("layers.{number}.{part}");
    let (width, wide) = (plan.config.hidden_size, plan.config.intermediate_size);
    let heads = plan.config.num_attention_heads;
    let per_head = width / heads;
    // The first layer follows the normalisation of the embeddings.
    let normed =
        if number == 0 { hidden.clone() } else { norm(layers, &at("attn_norm"), hidden, width)? };
    let all = layers.weights.get(&at("attn.Wqkv.weight"), &[3 * width, width])?;
    let mut project = |part: usize, scale: f32| {
        let stored = &all[part * width * width..(part + 1) * width * width];
        let projected = layers.product(&normed, stored, width, scale);
        layers.split_heads(&projected, heads, per_head, &[0, 2, 1, 3])
    };
    let query = project(0, 1.0 / (per_head as f32).sqrt());
    let key = project(1, 1.0);
    let value = project(2, 1.0);
    let query = turned(layers, &query, turn, per_head);
    let key = turned(layers, &key, turn, per_head);
    let order = [("perm", Attribute::Integers(&[0, 1, 3, 2]))];
    let key = layers.graph.node("Transpose", &[&key], &order);
    let attended = layers.attended(&query, &key, &value, &[added], width);
    let out = layers.weights.get(&at("attn.Wo.weight"), &[width, width])?;
    let attended = layers.product(&attended, &out, width, 1.0);
    let hidden = layers.graph.node("Add", &[hidden, &attended], &[]);

    let normed = norm(layers, &at("mlp_norm"), &hidden, width)?;
    let inner = layers.weights.get(&at("mlp.Wi.weight"), &[2 * wide, width])?;
    let (input, gate) = inner.split_at(wide * width);
    let input = layers.product(&normed, input, width, 1.0);
    let gate = layers.product(&normed, gate, width, 1.0);
    let input = layers.activated(&input, plan.activation);
    let gated = layers.graph.node("Mul", &[&input, &gate], &[]);
    let outer = layers.weights.get(&at("mlp.Wo.weight"), &[width, wide])?;
    let outer = layers.product(&gated, &outer, wide, 1.0);
    Ok(layers.graph.node("Add", &[&hidden, &outer], &[]))
}

/// What stands between the encoder and what scores words or texts.
pub(super) fn head(
    plan: &Plan<'_>,
    layers: &mut Layers<'_, '_>,
    input: &Value,
) -> Result<Value, ImportError> {
    let Some(settings) = &plan.config.modern else {
        return Err(ImportError::Config("the settings of a modernbert are missing".into()));
    };
    let width = plan.config.hidden_size;
    let stored = layers.weights.get("head.dense.weight", &[width, width])?;
    let mut inner = layers.product(input, &stored, width, 1.0);
    if let Some(bias) = layers.weights.find("head.dense.bias", &[width])? {
        let bias = layers.graph.floats(&[width], &bias);
        inner = layers.graph.node("Add", &[&inner, &bias], &[]);
    }
    let inner = layers.activated(&inner, Activation::parse(&settings.classifier_activation)?);
    norm(layers, "head.norm", &inner, width)
}

/// Layer normalisation without a shift.
fn norm(
    layers: &mut Layers<'_, '_>,
    name: &str,
    input: &Value,
    width: usize,
) -> Result<Value, ImportError> {
    let scale = layers.weights.get(&format!("{name}.weight"), &[width])?;
    Ok(layers.normalized(input, &scale, &vec![0.0; width]))
}

/// What is added to the scores so that a token sees only those at most `reach` away: tokens x tokens.
fn near(layers: &mut Layers<'_, '_>, tokens: &Value, reach: usize) -> Value {
    let scalar = layers.graph.integers(&[]);
    let count = layers.graph.node("Reshape", &[tokens, &scalar], &[]);
    let (zero, one) = (layers.graph.integer(0), layers.graph.integer(1));
    let places = layers.graph.node("Range", &[&zero, &count, &one], &[]);
    let (rows, across) = (layers.graph.integers(&[1]), layers.graph.integers(&[0]));
    let from = layers.graph.node("Unsqueeze", &[&places, &rows], &[]);
    let to = layers.graph.node("Unsqueeze", &[&places, &across], &[]);
    let apart = layers.graph.node("Sub", &[&to, &from], &[]);
    let apart = layers.graph.node("Abs", &[&apart], &[]);
    let reach = layers.graph.integer(super::family::integer(reach));
    let is_far = layers.graph.node("Greater", &[&apart, &reach], &[]);
    let is_far = layers.graph.node("Cast", &[&is_far], &[("to", Attribute::Integer(1))]);
    let lowest = layers.graph.floats(&[], &[MASKED]);
    layers.graph.node("Mul", &[&is_far, &lowest], &[])
}

/// Rotary positions (Su et al. 2021): a pair of components is turned by place / theta^(2i / width).
fn turn(plan: &Plan<'_>, layers: &mut Layers<'_, '_>, tokens: &Value, theta: f64) -> Turn {
    let per_head = plan.config.hidden_size / plan.config.num_attention_heads;
    let places = plan.config.max_position_embeddings;
    let half = per_head / 2;
    let (mut cosines, mut sines) = (Vec::new(), Vec::new());
    for place in 0..places {
        for component in 0..per_head {
            let exponent = (2 * (component % half.max(1))) as f64 / per_head as f64;
            let angle = place as f64 / theta.powf(exponent);
            #[expect(clippy::cast_possible_truncation, reason = "weights are of single precision")]
            let (sine, cosine) = (angle.sin() as f32, angle.cos() as f32);
            cosines.push(cosine);
            sines.push(sine);
        }
    }
    let mut cut = |table: &[f32]| {
        let table = layers.graph.floats(&[places, per_head], table);
        let zero = layers.graph.integers(&[0]);
        layers.graph.node("Slice", &[&table, &zero, tokens, &zero], &[])
    };
    Turn { cosines: cut(&cosines), sines: cut(&sines) }
}

/// x cos + (-x2, x1) sin, where x1 and x2 are the halves of x.
fn turned(layers: &mut Layers<'_, '_>, input: &Value, turn: &Turn, per_head: usize) -> Value {
    let half = super::family::integer(per_head / 2);
    let end = super::family::integer(per_head);
    let axis = layers.graph.integers(&[3]);
    let mut part = |from: i64, to: i64| {
        let (from, to) = (layers.graph.integers(&[from]), layers.graph.integers(&[to]));
        layers.graph.node("Slice", &[input, &from, &to, &axis], &[])
    };
    let (first, second) = (part(0, half), part(half, end));
    let second = layers.graph.node("Neg", &[&second], &[]);
    let crossed = [("axis", Attribute::Integer(-1))];
    let crossed = layers.graph.node("Concat", &[&second, &first], &crossed);
    let straight = layers.graph.node("Mul", &[input, &turn.cosines], &[]);
    let crossed = layers.graph.node("Mul", &[&crossed, &turn.sines], &[]);
    layers.graph.node("Add", &[&straight, &crossed], &[])
}
