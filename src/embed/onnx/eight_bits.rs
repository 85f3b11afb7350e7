//! Which products of a graph can be computed in integers of eight bits, and how are they?
//!
//! Weights are rounded once, and what they are multiplied with row by row, so that no text depends on those
//! beside it: what usual dynamic quantisation, whose scale is that of the whole batch, cannot say.

use std::collections::HashMap;

use prost::Message;

use super::graph::{Attribute, FLOAT, Node, RUNTIME_DOMAIN, TensorMessage, UINT8, attribute};
use super::prune::{AttributeNames, Cut};

/// How many weights share a scale.
const BLOCK: usize = 32;
/// What stands for zero among weights of eight bits, by the rule of the operator.
const ZERO: u8 = 128;

/// A matrix in eight bits: every 32 weights of a column share a scale.
pub(super) struct Rounded {
    /// How long a column is.
    from: usize,
    /// How many there are.
    to: usize,
    /// Column by column, each filled up to whole blocks.
    codes: Vec<u8>,
    scales: Vec<f32>,
}

impl Rounded {
    /// Rounds a matrix that is given by its columns, `from` weights each.
    pub(super) fn of(columns: &[f32], from: usize) -> Self {
        let to = columns.len() / from;
        let blocks = from.div_ceil(BLOCK);
        let mut codes = Vec::with_capacity(to * blocks * BLOCK);
        let mut scales = Vec::with_capacity(to * blocks);
        for column in columns.chunks_exact(from) {
            for block in column.chunks(BLOCK) {
                let most = block.iter().fold(0.0_f32, |most, weight| most.max(weight.abs()));
                let scale = most / 127.0;
                scales.push(scale);
                let inverse = if scale > 0.0 { scale.recip() } else { 0.0 };
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "between 1 and 255"
                )]
                let rounded = block.iter().map(|weight| {
                    ((weight * inverse).round().clamp(-127.0, 127.0) + f32::from(ZERO)) as u8
                });
                codes.extend(rounded);
                codes.resize(codes.len().next_multiple_of(BLOCK), ZERO);
            }
        }
        Self { from, to, codes, scales }
    }

    /// Returns the constants of the codes and of the scales, and the node that multiplies a value with
    /// them.
    pub(super) fn product(self, input: &str, output: &str) -> ([TensorMessage; 2], Node) {
        let names = ["codes", "scales"].map(|part| format!("{output}_{part}"));
        let blocks = self.from.div_ceil(BLOCK);
        let integer = |number: usize| Attribute::Integer(i64::try_from(number).unwrap_or(i64::MAX));
        let attributes = [
            ("K", integer(self.from)),
            ("N", integer(self.to)),
            ("bits", Attribute::Integer(8)),
            ("block_size", integer(BLOCK)),
            // What the weights are multiplied with is put into eight bits, too.
            ("accuracy_level", Attribute::Integer(4)),
        ];
        let constant = |name: &String, dims: &[usize], data_type, raw_data| TensorMessage {
            dims: dims.iter().filter_map(|&dim| i64::try_from(dim).ok()).collect(),
            data_type,
            name: name.clone(),
            raw_data,
            ..TensorMessage::default()
        };
        let scales = self.scales.iter().flat_map(|scale| scale.to_le_bytes()).collect();
        let constants = [
            constant(&names[0], &[self.to, blocks, BLOCK], UINT8, self.codes),
            constant(&names[1], &[self.to * blocks], FLOAT, scales),
        ];
        let [codes, scales] = names;
        let node = Node {
            input: vec![input.to_owned(), codes, scales],
            output: vec![output.to_owned()],
            name: format!("{output}_eight_bits"),
            op_type: "MatMulNBits".into(),
            attribute: attributes.iter().map(attribute).collect(),
            domain: RUNTIME_DOMAIN.to_owned(),
        };
        (constants, node)
    }
}

/// Returns a graph whose products with weights are computed in eight bits.
///
/// # Errors
/// Says what is in the way: no graph in one file, or no product of floats with a constant matrix.
pub(in crate::embed) fn in_eight_bits(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut graph = Cut::read(bytes)?;
    let weights = Weights { graph: &graph, matrices: graph.matrices() };
    let products = graph.nodes.iter().enumerate().filter(|(_, node)| node.op_type == "MatMul");
    let rounded: Vec<(usize, [TensorMessage; 2], Node)> = products
        .filter_map(|(at, node)| {
            let (input, weight, output) = (&node.input[..], node.input.get(1)?, &node.output[..]);
            let ([input, _], [output]) = (input, output) else { return None };
            let (columns, from) = weights.columns(weight)?;
            let (constants, node) = Rounded::of(&columns, from).product(input, output);
            Some((at, constants, node))
        })
        .collect();
    if rounded.is_empty() {
        return Err("precision is int8, which is made of products with weights in single precision; \
                    its graph has none (it may be in eight bits already): add it with precision single"
            .into());
    }
    for (at, constants, node) in rounded {
        let constants = constants.map(|constant| constant.encode_to_vec());
        graph.replace(at, node.encode_to_vec(), constants)?;
    }
    Ok(graph.with_operators_of(RUNTIME_DOMAIN))
}

/// The constants of a graph that may be weights.
struct Weights<'a> {
    graph: &'a Cut,
    /// Those in two dimensions, by name, as the bytes that they are.
    matrices: HashMap<String, &'a [u8]>,
}

impl Weights<'_> {
    /// Returns the matrix of this name column by column, and how long a column is; none if it is no
    /// constant matrix of floats.
    fn columns(&self, name: &str) -> Option<(Vec<f32>, usize)> {
        if let Some(bytes) = self.constant(name) {
            let (values, [rows, columns]) = matrix(bytes)?;
            let mut turned = Vec::with_capacity(values.len());
            for column in 0..columns {
                turned.extend((0..rows).map(|row| values[row * columns + column]));
            }
            return Some((turned, rows));
        }
        // Some graphs have the weights of a layer as they are kept, and turn them when they are run.
        let maker = &self.graph.nodes[self.graph.maker(name)?];
        let turns = |of: &AttributeNames| of.name != "perm" || of.ints == [1, 0];
        let is_turned = maker.op_type == "Transpose" && maker.attribute.iter().all(turns);
        let stored = maker.input.first().filter(|_| is_turned)?;
        let (values, [_, columns]) = matrix(self.constant(stored)?)?;
        Some((values, columns))
    }

    /// Returns the bytes of a constant matrix, also under another name for it.
    fn constant(&self, name: &str) -> Option<&[u8]> {
        if let Some(bytes) = self.matrices.get(name) {
            return Some(bytes);
        }
        let maker = &self.graph.nodes[self.graph.maker(name)?];
        let of = maker.input.first().filter(|_| maker.op_type == "Identity")?;
        self.matrices.get(of).copied()
    }
}

/// Returns the values of a constant, row by row, and its sides; none if they are no floats.
fn matrix(bytes: &[u8]) -> Option<(Vec<f32>, [usize; 2])> {
    let tensor = TensorMessage::decode(bytes).ok()?;
    let [rows, columns] = tensor.dims[..] else { return None };
    let sides = [usize::try_from(rows).ok()?, usize::try_from(columns).ok()?];
    if tensor.data_type != FLOAT {
        return None;
    }
    let values = if tensor.float_data.is_empty() {
        let values = tensor.raw_data.chunks_exact(4);
        values.map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect()
    } else {
        tensor.float_data
    };
    let is_whole = sides[0].checked_mul(sides[1]) == Some(values.len()) && !values.is_empty();
    let is_finite = values.iter().all(|value| value.is_finite());
    (is_whole && is_finite).then_some((values, sides))
}

#[cfg(test)]
mod tests {
    use super::super::graph::Graph;
    use super::super::prune::INPUT;
    use super::*;

    const WEIGHTS: [f32; 6] = [1.0, -2.0, 3.0, 0.5, -0.25, 127.0];

    /// A graph of one product with a matrix of three rows and two columns that `make` puts there.
    fn graph(make: impl FnOnce(&mut Graph) -> String) -> Vec<u8> {
        let mut graph = Graph::default();
        let input = graph.input(INPUT, &["rows", "columns"]);
        let weights = make(&mut graph);
        let product = graph.node("MatMul", &[&input, &weights], &[]);
        graph.output(&product, "out", &["rows"], 2);
        graph.encode()
    }

    #[test]
    fn products_with_constants_as_they_are_named_anew_or_turned_are_computed_in_eight_bits() {
        let plain = graph(|graph| graph.floats(&[3, 2], &WEIGHTS));
        let named = graph(|graph| {
            let weights = graph.floats(&[3, 2], &WEIGHTS);
            graph.node("Identity", &[&weights], &[])
        });
        let columns = [0, 2, 4, 1, 3, 5].map(|at| WEIGHTS[at]);
        let turned = graph(|graph| {
            let weights = graph.floats(&[2, 3], &columns);
            let order = [("perm", Attribute::Integers(&[1, 0]))];
            graph.node("Transpose", &[&weights], &order)
        });
        for bytes in [plain, named, turned] {
            let rounded = Cut::read(&in_eight_bits(&bytes).unwrap()).unwrap();
            let kinds: Vec<&str> = rounded.nodes.iter().map(|node| &node.op_type[..]).collect();
            assert_eq!(kinds, ["MatMulNBits", "Identity"], "and what turned them is gone");
            let mut constants: Vec<_> = rounded.constants.values().cloned().collect();
            constants.sort();
            assert_eq!(constants, [vec![2], vec![2, 1, 32]], "and so are the floats");
        }
        let Rounded { codes, scales, .. } = Rounded::of(&columns, 3);
        assert_eq!(scales, [3.0 / 127.0, 1.0]);
        assert_eq!((codes.len(), &codes[..4], codes[34]), (64, &[170, 255, 117, 128][..], 255));
    }

    #[test]
    fn a_graph_without_such_products_is_refused_by_what_it_has_not() {
        let computed = graph(|graph| {
            let weights = graph.floats(&[3, 2], &WEIGHTS);
            graph.node("Relu", &[&weights], &[])
        });
        let wrong = graph(|graph| graph.floats(&[3, 2], &[f32::NAN; 6]));
        for bytes in [computed, wrong] {
            let error = in_eight_bits(&bytes).unwrap_err();
            assert!(error.contains("products with weights in single precision"), "{error}");
            assert!(error.contains("add it with precision single"), "{error}");
        }
        let error = in_eight_bits(b"no graph").unwrap_err();
        assert!(error.contains("it is no ONNX graph"), "{error}");
    }
}
