//! How do the vectors of the tokens become one? In the graph, padding left out.

use super::family::MASKED;
use super::graph::{Attribute, Graph, Value};
use crate::embed::Pooling;

/// Returns the vector of each text, batch x width, from those of its tokens. `mask` is 1 for tokens and
/// 0 for padding, which stands at the end.
pub(super) fn pool(graph: &mut Graph, hidden: &Value, mask: &Value, pooling: Pooling) -> Value {
    match pooling {
        Pooling::Cls => {
            let first = graph.integer(0);
            graph.node("Gather", &[hidden, &first], &[("axis", Attribute::Integer(1))])
        }
        Pooling::Max => {
            let one = graph.floats(&[], &[1.0]);
            let padding = graph.node("Sub", &[&one, mask], &[]);
            let lowest = graph.floats(&[], &[MASKED]);
            let added = graph.node("Mul", &[&padding, &lowest], &[]);
            let added = column(graph, &added);
            // Where a token stands, zero is added.
            let kept = graph.node("Add", &[hidden, &added], &[]);
            let attributes =
                [("axes", Attribute::Integers(&[1])), ("keepdims", Attribute::Integer(0))];
            graph.node("ReduceMax", &[&kept], &attributes)
        }
        Pooling::Mean => mean(graph, hidden, mask, mask),
        Pooling::MeanSqrt => {
            let sum = sum(graph, hidden, mask);
            let count = total(graph, mask);
            let root = graph.node("Sqrt", &[&count], &[]);
            graph.node("Div", &[&sum, &root], &[])
        }
        Pooling::WeightedMean => {
            let places = places(graph, mask);
            let weights = graph.node("Mul", &[&places, mask], &[]);
            mean(graph, hidden, &weights, &weights)
        }
        Pooling::Last => {
            let places = places(graph, mask);
            let count = total(graph, mask);
            let is_last = graph.node("Equal", &[&places, &count], &[]);
            let is_last = graph.node("Cast", &[&is_last], &[("to", Attribute::Integer(1))]);
            sum(graph, hidden, &is_last)
        }
    }
}

/// The number of each token from 1, padding counted on as the last token.
fn places(graph: &mut Graph, mask: &Value) -> Value {
    let axis = graph.integer(1);
    let counted = graph.node("CumSum", &[mask, &axis], &[]);
    // So that padding is never taken for the last token.
    let one = graph.floats(&[], &[1.0]);
    let padding = graph.node("Sub", &[&one, mask], &[]);
    graph.node("Add", &[&counted, &padding], &[])
}

fn mean(graph: &mut Graph, hidden: &Value, weights: &Value, counted: &Value) -> Value {
    let sum = sum(graph, hidden, weights);
    let count = total(graph, counted);
    graph.node("Div", &[&sum, &count], &[])
}

/// The sum over the tokens, each times its weight: batch x width.
pub(super) fn sum(graph: &mut Graph, hidden: &Value, weights: &Value) -> Value {
    let weights = column(graph, weights);
    let kept = graph.node("Mul", &[hidden, &weights], &[]);
    let tokens = graph.integers(&[1]);
    graph.node("ReduceSum", &[&kept, &tokens], &[("keepdims", Attribute::Integer(0))])
}

/// The sum of the weights: batch x 1.
fn total(graph: &mut Graph, weights: &Value) -> Value {
    let tokens = graph.integers(&[1]);
    graph.node("ReduceSum", &[weights, &tokens], &[("keepdims", Attribute::Integer(1))])
}

fn column(graph: &mut Graph, values: &Value) -> Value {
    let last = graph.integers(&[-1]);
    graph.node("Unsqueeze", &[values, &last], &[])
}
