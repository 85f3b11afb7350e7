//! What of a graph does one of its values need?
//!
//! An output in the middle of a graph saves no time; leaving out what it does not need does. Nodes and
//! constants are kept as the bytes that they are, whatever they hold; only their names are read.

use std::collections::{HashMap, HashSet};

use prost::Message;

use super::graph::{
    Attribute, Dimension, FLOAT, Node, OperatorSet, Shape, TensorType, TypeMessage, ValueInfo,
    attribute, value_info,
};
use crate::embed::image::Layout;

/// The most bytes of a graph, which is what its format allows.
pub(super) const GRAPH_BYTES_MAX: u64 = (1 << 31) - 1;
/// The most nodes of a graph.
const NODES_MAX: usize = 100_000;
/// The first version of the operators whose Cast names its type by number.
const CASTING_VERSION: i64 = 6;
/// What a cut graph reads, in floats whatever it computes in.
pub(super) const INPUT: &str = "simile_input";

/// A model whose parts stay as they are.
#[derive(Clone, PartialEq, Message)]
struct RawModel {
    #[prost(int64, tag = "1")]
    ir_version: i64,
    #[prost(message, optional, tag = "7")]
    graph: Option<RawGraph>,
    #[prost(message, repeated, tag = "8")]
    opset_import: Vec<OperatorSet>,
    #[prost(bytes = "vec", repeated, tag = "25")]
    functions: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct RawGraph {
    #[prost(bytes = "vec", repeated, tag = "1")]
    node: Vec<Vec<u8>>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(bytes = "vec", repeated, tag = "5")]
    initializer: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<ValueInfo>,
    #[prost(bytes = "vec", repeated, tag = "15")]
    sparse_initializer: Vec<Vec<u8>>,
}

/// What a node reads and gives, and the sizes in its attributes.
#[derive(Clone, PartialEq, Message)]
pub(super) struct NodeNames {
    #[prost(string, repeated, tag = "1")]
    pub(super) input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(super) output: Vec<String>,
    #[prost(string, tag = "4")]
    pub(super) op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub(super) attribute: Vec<AttributeNames>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AttributeNames {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(int64, optional, tag = "3")]
    pub(super) i: Option<i64>,
    #[prost(message, optional, tag = "5")]
    pub(super) t: Option<TensorNames>,
    #[prost(message, optional, tag = "6")]
    pub(super) g: Option<GraphNames>,
    #[prost(int64, repeated, tag = "8")]
    pub(super) ints: Vec<i64>,
    #[prost(message, repeated, tag = "11")]
    pub(super) graphs: Vec<GraphNames>,
}

/// A graph inside a node: it reads values of the one around it.
#[derive(Clone, PartialEq, Message)]
pub(super) struct GraphNames {
    #[prost(message, repeated, tag = "1")]
    pub(super) node: Vec<NodeNames>,
    #[prost(message, repeated, tag = "5")]
    pub(super) initializer: Vec<TensorNames>,
    #[prost(message, repeated, tag = "12")]
    pub(super) output: Vec<ValueInfo>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorNames {
    #[prost(int64, repeated, tag = "1")]
    pub(super) dims: Vec<i64>,
    #[prost(string, tag = "8")]
    pub(super) name: String,
    #[prost(int32, tag = "14")]
    pub(super) data_location: i32,
}

#[derive(Clone, PartialEq, Message)]
struct SparseNames {
    #[prost(message, optional, tag = "1")]
    values: Option<TensorNames>,
}

/// A graph whose nodes are known by what they read and give.
#[derive(Debug)]
pub(super) struct Cut {
    model: RawModel,
    graph: RawGraph,
    pub(super) nodes: Vec<NodeNames>,
    /// The constants by name, with their dimensions.
    pub(super) constants: HashMap<String, Vec<i64>>,
    /// Which node gives a value.
    makers: HashMap<String, usize>,
}

/// What a graph asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) name: String,
    /// The number of the type of its elements.
    kind: i32,
    /// Its dimensions, where they are fixed.
    pub(super) dimensions: Vec<Option<usize>>,
}

/// Returns the name under which a cut graph gives the value of this place.
pub(super) fn feature_name(place: usize) -> String {
    format!("simile_feature_{place}")
}

impl Cut {
    /// Reads a graph.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let no_graph =
            |reason: &dyn ToString| format!("it is no ONNX graph: {}", reason.to_string());
        let mut model = RawModel::decode(bytes).map_err(|error| no_graph(&error))?;
        let graph = model.graph.take().ok_or_else(|| no_graph(&"there is none in it"))?;
        if graph.node.is_empty() || graph.node.len() > NODES_MAX {
            let nodes = graph.node.len();
            return Err(no_graph(&format!("it has {nodes} nodes, expected 1 to {NODES_MAX}")));
        }
        let nodes = graph.node.iter().map(|node| NodeNames::decode(&node[..]));
        let nodes: Vec<NodeNames> = nodes.collect::<Result<_, _>>().map_err(|e| no_graph(&e))?;
        let mut constants = HashMap::new();
        for bytes in &graph.initializer {
            let tensor = TensorNames::decode(&bytes[..]).map_err(|error| no_graph(&error))?;
            check_inside(&tensor)?;
            constants.insert(tensor.name, tensor.dims);
        }
        for bytes in &graph.sparse_initializer {
            let sparse = SparseNames::decode(&bytes[..]).map_err(|error| no_graph(&error))?;
            let tensor = sparse.values.unwrap_or_default();
            check_inside(&tensor)?;
            constants.insert(tensor.name, tensor.dims);
        }
        nodes.iter().try_for_each(check_node)?;
        let mut makers = HashMap::new();
        for (at, node) in nodes.iter().enumerate() {
            for output in node.output.iter().filter(|name| !name.is_empty()) {
                makers.insert(output.clone(), at);
            }
        }
        Ok(Self { model, graph, nodes, constants, makers })
    }

    /// Forgets the sizes of the pictures that the graph says it reads: what follows the batch and, in
    /// the first of the layouts, the channels.
    pub(super) fn forget_sizes(&mut self, layout: Layout) {
        let sides = match layout {
            Layout::Nchw => 2..4,
            Layout::Nhwc => 1..3,
        };
        for input in &mut self.graph.input {
            let shape = input.kind.as_mut().and_then(|kind| kind.tensor_type.as_mut());
            let Some(shape) = shape.and_then(|tensor| tensor.shape.as_mut()) else { continue };
            if shape.dim.len() == 4 && !self.constants.contains_key(&input.name) {
                shape.dim[sides.clone()].fill(Dimension::default());
            }
        }
    }

    /// Returns the names of what the graph gives, in order.
    pub(super) fn outputs(&self) -> Vec<&str> {
        self.graph.output.iter().map(|output| output.name.as_str()).collect()
    }

    /// Returns the node that gives a value.
    pub(super) fn maker(&self, value: &str) -> Option<usize> {
        self.makers.get(value).copied()
    }

    /// Returns which nodes a value needs.
    pub(super) fn needed(&self, value: &str) -> HashSet<usize> {
        let mut needed = HashSet::new();
        let mut waiting = vec![value.to_owned()];
        while let Some(value) = waiting.pop() {
            if let Some(at) = self.maker(&value)
                && needed.insert(at)
            {
                names_read(&self.nodes[at], &mut waiting);
            }
        }
        needed
    }

    /// Returns what has to be given for a value.
    pub(super) fn asked(&self, needed: &HashSet<usize>) -> Vec<Asked> {
        let mut read = Vec::new();
        needed.iter().for_each(|&at| names_read(&self.nodes[at], &mut read));
        let read: HashSet<String> = read.into_iter().collect();
        let is_asked = |input: &&ValueInfo| {
            read.contains(&input.name) && !self.constants.contains_key(&input.name)
        };
        self.graph.input.iter().filter(is_asked).map(asked).collect()
    }

    /// Returns the graph that gives some values as [`feature_name`] says and asks for one input as
    /// [`INPUT`], all in floats; and what the input was.
    pub(super) fn features(&self, layers: &[&str]) -> Result<(Vec<u8>, Asked), String> {
        if let Some(layer) = layers.iter().find(|layer| self.maker(layer).is_none()) {
            let known = self.outputs().join(", ");
            return Err(format!("its graph gives no `{layer}`; its outputs are {known}"));
        }
        let needed = layers.iter().flat_map(|layer| self.needed(layer)).collect();
        let asked = match &self.asked(&needed)[..] {
            [asked] => asked.clone(),
            several => {
                let names: Vec<&str> = several.iter().map(|asked| asked.name.as_str()).collect();
                let (count, names, layers) = (names.len(), names.join(", "), layers.join(", "));
                return Err(format!("`{layers}` needs {count} inputs ({names}), expected one"));
            }
        };
        let tensor = TensorType { elem_type: FLOAT, shape: None };
        let kind = TypeMessage { tensor_type: Some(tensor) };
        let mut last = Vec::new();
        let mut output = Vec::new();
        for (place, layer) in layers.iter().enumerate() {
            let name = feature_name(place);
            last.push((*layer, converting(layer, &name, FLOAT, self.casts())));
            output.push(ValueInfo { name, kind: Some(kind.clone()) });
        }
        Ok((self.cut(&needed, Some(&asked), last, output), asked))
    }

    /// Returns the graph that gives one value as [`feature_name`] says, in floats, and asks for its inputs
    /// as they are; and their names.
    pub(super) fn value(&self, layer: &str) -> Result<(Vec<u8>, Vec<String>), String> {
        if self.maker(layer).is_none() {
            return Err(format!("its graph gives no `{layer}`"));
        }
        let needed = self.needed(layer);
        let asked = self.asked(&needed).into_iter().map(|asked| asked.name).collect();
        let name = feature_name(0);
        let last = vec![(layer, converting(layer, &name, FLOAT, self.casts()))];
        let tensor_type = Some(TensorType { elem_type: FLOAT, shape: None });
        let output = vec![ValueInfo { name, kind: Some(TypeMessage { tensor_type }) }];
        Ok((self.cut(&needed, None, last, output), asked))
    }

    /// Returns the graph that gives these values as they are and asks for one input, as [`INPUT`] in
    /// floats.
    pub(super) fn with_outputs(&self, values: &[String], asked: &Asked) -> Vec<u8> {
        let needed = values.iter().flat_map(|value| self.needed(value)).collect();
        let output = |name: &String| ValueInfo { name: name.clone(), kind: None };
        self.cut(&needed, Some(asked), Vec::new(), values.iter().map(output).collect())
    }

    /// Returns what of the graph is needed, between an input in floats, or else the inputs as they are, and
    /// the last nodes, each with the value that it reads.
    fn cut(
        &self,
        needed: &HashSet<usize>,
        floats: Option<&Asked>,
        last: Vec<(&str, Vec<u8>)>,
        output: Vec<ValueInfo>,
    ) -> Vec<u8> {
        let mut read = Vec::new();
        needed.iter().for_each(|&at| names_read(&self.nodes[at], &mut read));
        read.extend(last.iter().map(|(value, _)| (*value).to_owned()));
        let read: HashSet<String> = read.into_iter().collect();
        let converted = |asked: &Asked| converting(INPUT, &asked.name, asked.kind, self.casts());
        let mut node: Vec<Vec<u8>> = floats.map(converted).into_iter().collect();
        let kept = self.graph.node.iter().enumerate().filter(|(at, _)| needed.contains(at));
        node.extend(kept.map(|(_, node)| node.clone()));
        node.extend(last.into_iter().map(|(_, node)| node));
        let constants = |tensors: &[Vec<u8>], name: fn(&[u8]) -> Option<String>| {
            let is_read = |bytes: &&Vec<u8>| name(bytes).is_some_and(|name| read.contains(&name));
            tensors.iter().filter(is_read).cloned().collect()
        };
        let mut input: Vec<ValueInfo> =
            floats.map(|asked| self.floats_in(asked)).into_iter().collect();
        // Before version 4 of the format constants were listed among the inputs.
        let is_kept = |input: &&ValueInfo| {
            let is_replaced = floats.is_some() && !self.constants.contains_key(&input.name);
            read.contains(&input.name) && !is_replaced
        };
        input.extend(self.graph.input.iter().filter(is_kept).cloned());
        self.encode(RawGraph {
            node,
            name: self.graph.name.clone(),
            initializer: constants(&self.graph.initializer, tensor_name),
            input,
            output,
            sparse_initializer: constants(&self.graph.sparse_initializer, sparse_name),
        })
    }

    /// Returns the constants in two dimensions by name, as the bytes that they are.
    pub(super) fn matrices(&self) -> HashMap<String, &[u8]> {
        let named = self.graph.initializer.iter().filter_map(|bytes| {
            let tensor = TensorNames::decode(&bytes[..]).ok()?;
            (tensor.dims.len() == 2).then_some((tensor.name, &bytes[..]))
        });
        named.collect()
    }

    /// Puts another node in the place of one that gives the same, with the constants that it reads.
    pub(super) fn replace(
        &mut self,
        at: usize,
        node: Vec<u8>,
        constants: impl IntoIterator<Item = Vec<u8>>,
    ) -> Result<(), String> {
        self.nodes[at] = NodeNames::decode(&node[..]).map_err(|error| error.to_string())?;
        self.graph.node[at] = node;
        self.graph.initializer.extend(constants);
        Ok(())
    }

    /// Returns the graph with what its outputs need, some of whose operators may be of a domain.
    pub(super) fn with_operators_of(mut self, domain: &str) -> Vec<u8> {
        if self.model.opset_import.iter().all(|set| set.domain != domain) {
            let domain = domain.to_owned();
            self.model.opset_import.push(OperatorSet { domain, version: 1 });
        }
        // From this version of the format on constants need not be listed among the inputs.
        self.model.ir_version = self.model.ir_version.max(4);
        let constants = &self.constants;
        self.graph.input.retain(|input| !constants.contains_key(&input.name));
        let needed = self.outputs().into_iter().flat_map(|value| self.needed(value)).collect();
        self.cut(&needed, None, Vec::new(), self.graph.output.clone())
    }

    fn encode(&self, graph: RawGraph) -> Vec<u8> {
        RawModel { graph: Some(graph), ..self.model.clone() }.encode_to_vec()
    }

    /// Whether the version of the usual operators has a Cast that names its type by number.
    fn casts(&self) -> bool {
        let usual = |set: &&OperatorSet| set.domain.is_empty() || set.domain == "ai.onnx";
        let version = self.model.opset_import.iter().find(usual).map_or(1, |set| set.version);
        version >= CASTING_VERSION
    }

    /// Returns what the graph asks for, constants left out.
    pub(super) fn inputs(&self) -> Vec<Asked> {
        let is_asked = |input: &&ValueInfo| !self.constants.contains_key(&input.name);
        self.graph.input.iter().filter(is_asked).map(asked).collect()
    }

    fn floats_in(&self, asked: &Asked) -> ValueInfo {
        let original = self.graph.input.iter().find(|input| input.name == asked.name);
        let shape =
            original.and_then(|input| input.kind.as_ref()?.tensor_type.as_ref()?.shape.clone());
        let dim = shape.map_or_else(Vec::new, |Shape { dim }| dim);
        value_info(INPUT, FLOAT, dim)
    }
}

/// Returns the names of values that a node reads, those of the graphs inside it included.
pub(super) fn names_read(node: &NodeNames, names: &mut Vec<String>) {
    names.extend(node.input.iter().filter(|name| !name.is_empty()).cloned());
    for attribute in &node.attribute {
        for graph in attribute.g.iter().chain(&attribute.graphs) {
            names.extend(graph.output.iter().map(|output| output.name.clone()));
            // How deep they may lie is bounded where the messages are decoded.
            graph.node.iter().for_each(|node| names_read(node, names));
        }
    }
}

fn check_node(node: &NodeNames) -> Result<(), String> {
    for attribute in &node.attribute {
        attribute.t.iter().try_for_each(check_inside)?;
        for graph in attribute.g.iter().chain(&attribute.graphs) {
            graph.initializer.iter().try_for_each(check_inside)?;
            graph.node.iter().try_for_each(check_node)?;
        }
    }
    Ok(())
}

/// A path in a graph may lead anywhere.
fn check_inside(tensor: &TensorNames) -> Result<(), String> {
    if tensor.data_location == 0 {
        return Ok(());
    }
    Err(format!(
        "its constant `{}` is kept in another file, expected a graph in one file; the onnx package \
         writes one: onnx.save(onnx.load(PATH), NEW)",
        tensor.name
    ))
}

fn tensor_name(bytes: &[u8]) -> Option<String> {
    TensorNames::decode(bytes).ok().map(|tensor| tensor.name)
}

fn sparse_name(bytes: &[u8]) -> Option<String> {
    SparseNames::decode(bytes).ok()?.values.map(|tensor| tensor.name)
}

fn asked(input: &ValueInfo) -> Asked {
    let tensor = input.kind.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    let shape = tensor.and_then(|tensor| tensor.shape.as_ref());
    let length = |value: Option<i64>| value.and_then(|value| usize::try_from(value).ok());
    Asked {
        name: input.name.clone(),
        kind: tensor.map_or(FLOAT, |tensor| tensor.elem_type),
        dimensions: shape.map_or_else(Vec::new, |shape| {
            let dimensions = shape.dim.iter().map(|dim| length(dim.dim_value));
            dimensions.map(|length| length.filter(|&length| length > 0)).collect()
        }),
    }
}

/// Returns a node that gives a value under another name, as elements of a type.
fn converting(from: &str, to: &str, kind: i32, casts: bool) -> Vec<u8> {
    let operator = if casts { "Cast" } else { "Identity" };
    let attributes = [("to", Attribute::Integer(i64::from(kind)))];
    Node {
        input: vec![from.to_owned()],
        output: vec![to.to_owned()],
        name: format!("{operator}_{to}"),
        op_type: operator.to_owned(),
        attribute: attributes.iter().filter(|_| casts).map(attribute).collect(),
        domain: String::new(),
    }
    .encode_to_vec()
}
