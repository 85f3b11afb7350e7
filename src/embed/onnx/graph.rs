//! The messages of the ONNX format that a graph needs, by the field numbers of its specification
//! (onnx.proto, IR version 8), and a builder over them.

use prost::Message;

use super::eight_bits::Rounded;

const IR_VERSION: i64 = 8;
const OPSET_VERSION: i64 = 17;
pub(super) const FLOAT: i32 = 1;
pub(super) const UINT8: i32 = 2;
const INT64: i32 = 7;
/// Where the operators of ONNX Runtime beside those of the format are.
pub(super) const RUNTIME_DOMAIN: &str = "com.microsoft";

#[derive(Clone, PartialEq, Message)]
struct Model {
    #[prost(int64, tag = "1")]
    ir_version: i64,
    #[prost(string, tag = "2")]
    producer_name: String,
    #[prost(message, optional, tag = "7")]
    graph: Option<GraphMessage>,
    #[prost(message, repeated, tag = "8")]
    opset_import: Vec<OperatorSet>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct OperatorSet {
    #[prost(string, tag = "1")]
    pub(super) domain: String,
    #[prost(int64, tag = "2")]
    pub(super) version: i64,
}

#[derive(Clone, PartialEq, Message)]
struct GraphMessage {
    #[prost(message, repeated, tag = "1")]
    node: Vec<Node>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<TensorMessage>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<ValueInfo>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Node {
    #[prost(string, repeated, tag = "1")]
    pub(super) input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(super) output: Vec<String>,
    #[prost(string, tag = "3")]
    pub(super) name: String,
    #[prost(string, tag = "4")]
    pub(super) op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub(super) attribute: Vec<AttributeMessage>,
    #[prost(string, tag = "7")]
    pub(super) domain: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AttributeMessage {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(float, optional, tag = "2")]
    pub(super) f: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    pub(super) i: Option<i64>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub(super) ints: Vec<i64>,
    #[prost(int32, tag = "20")]
    pub(super) kind: i32,
}

/// A constant.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorMessage {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub(super) dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub(super) data_type: i32,
    /// Graphs that others made may have their floats here.
    #[prost(float, repeated, tag = "4")]
    pub(super) float_data: Vec<f32>,
    #[prost(string, tag = "8")]
    pub(super) name: String,
    #[prost(bytes = "vec", tag = "9")]
    pub(super) raw_data: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ValueInfo {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, optional, tag = "2")]
    pub(super) kind: Option<TypeMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TypeMessage {
    #[prost(message, optional, tag = "1")]
    pub(super) tensor_type: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorType {
    #[prost(int32, tag = "1")]
    pub(super) elem_type: i32,
    #[prost(message, optional, tag = "2")]
    pub(super) shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Shape {
    #[prost(message, repeated, tag = "1")]
    pub(super) dim: Vec<Dimension>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Dimension {
    #[prost(int64, optional, tag = "1")]
    pub(super) dim_value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub(super) dim_param: Option<String>,
}

/// An attribute of a node.
#[derive(Debug, Clone, Copy)]
pub(super) enum Attribute<'a> {
    Float(f32),
    Integer(i64),
    Integers(&'a [i64]),
}

/// The name of a value inside a graph.
pub(super) type Value = String;

/// A graph in the making. Values are named by what makes them, in order.
#[derive(Default)]
pub(super) struct Graph {
    message: GraphMessage,
}

impl Graph {
    /// Adds an input of integers whose dimensions have names.
    pub(super) fn input(&mut self, name: &str, dimensions: &[&str]) -> Value {
        let dim = dimensions
            .iter()
            .map(|name| Dimension { dim_value: None, dim_param: Some((*name).to_owned()) })
            .collect();
        self.message.input.push(value_info(name, INT64, dim));
        name.to_owned()
    }

    /// Adds a constant of floats.
    pub(super) fn floats(&mut self, dims: &[usize], values: &[f32]) -> Value {
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(dims, FLOAT, raw)
    }

    /// Adds a constant of integers in one dimension.
    pub(super) fn integers(&mut self, values: &[i64]) -> Value {
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(&[values.len()], INT64, raw)
    }

    /// Adds a single integer, which has no dimension.
    pub(super) fn integer(&mut self, value: i64) -> Value {
        self.constant(&[], INT64, value.to_le_bytes().to_vec())
    }

    /// Adds a node with one output and returns that.
    pub(super) fn node(
        &mut self,
        operator: &str,
        inputs: &[&Value],
        attributes: &[(&str, Attribute<'_>)],
    ) -> Value {
        let output = format!("{operator}_{}", self.message.node.len());
        self.message.node.push(Node {
            input: inputs.iter().map(|&input| input.clone()).collect(),
            output: vec![output.clone()],
            name: output.clone(),
            op_type: operator.to_owned(),
            attribute: attributes.iter().map(attribute).collect(),
            domain: String::new(),
        });
        output
    }

    /// Adds the product with a matrix in integers of eight bits and returns it. The matrix is given by its
    /// columns, `from` weights each; every 32 of a column share a scale, and so do what they are multiplied
    /// with, in each row.
    pub(super) fn product_int8(&mut self, input: &Value, columns: &[f32], from: usize) -> Value {
        let output = format!("MatMulNBits_{}", self.message.node.len());
        let (constants, node) = Rounded::of(columns, from).product(input, &output);
        self.message.initializer.extend(constants);
        self.message.node.push(node);
        output
    }

    /// Makes a value of floats an output of the graph under a name: its axes, the last one so long.
    pub(super) fn output(&mut self, value: &Value, name: &str, axes: &[&str], columns: usize) {
        self.message.node.push(Node {
            input: vec![value.clone()],
            output: vec![name.to_owned()],
            name: name.to_owned(),
            op_type: "Identity".into(),
            attribute: Vec::new(),
            domain: String::new(),
        });
        let named =
            |axis: &&str| Dimension { dim_value: None, dim_param: Some((*axis).to_owned()) };
        let mut dim: Vec<Dimension> = axes.iter().map(named).collect();
        dim.push(Dimension { dim_value: i64::try_from(columns).ok(), dim_param: None });
        self.message.output.push(value_info(name, FLOAT, dim));
    }

    /// Returns the graph as the bytes of an ONNX file.
    pub(super) fn encode(mut self) -> Vec<u8> {
        self.message.name = "simile".into();
        let mut operators = vec![OperatorSet { domain: String::new(), version: OPSET_VERSION }];
        if self.message.node.iter().any(|node| node.domain == RUNTIME_DOMAIN) {
            operators.push(OperatorSet { domain: RUNTIME_DOMAIN.to_owned(), version: 1 });
        }
        let model = Model {
            ir_version: IR_VERSION,
            producer_name: "simile".into(),
            graph: Some(self.message),
            opset_import: operators,
        };
        model.encode_to_vec()
    }

    fn constant(&mut self, dims: &[usize], data_type: i32, raw_data: Vec<u8>) -> Value {
        let name = format!("constant_{}", self.message.initializer.len());
        let dims = dims.iter().filter_map(|&dim| i64::try_from(dim).ok()).collect();
        let constant = TensorMessage { dims, data_type, raw_data, ..TensorMessage::default() };
        self.message.initializer.push(TensorMessage { name: name.clone(), ..constant });
        name
    }
}

pub(super) fn value_info(name: &str, elem_type: i32, dim: Vec<Dimension>) -> ValueInfo {
    let tensor_type = Some(TensorType { elem_type, shape: Some(Shape { dim }) });
    ValueInfo { name: name.to_owned(), kind: Some(TypeMessage { tensor_type }) }
}

pub(super) fn attribute((name, value): &(&str, Attribute<'_>)) -> AttributeMessage {
    let name = (*name).to_owned();
    let empty = AttributeMessage { name, f: None, i: None, ints: Vec::new(), kind: 0 };
    match *value {
        Attribute::Float(value) => AttributeMessage { f: Some(value), kind: 1, ..empty },
        Attribute::Integer(value) => AttributeMessage { i: Some(value), kind: 2, ..empty },
        Attribute::Integers(values) => AttributeMessage { ints: values.to_vec(), kind: 7, ..empty },
    }
}
