//! Which layers does an image network have, and what does it cost to get there?

use std::collections::{HashMap, HashSet};

use ort::session::Session;
use ort::value::{TensorElementType, TensorRef, ValueType};

use super::prune::{Asked, Cut, INPUT, NodeNames, names_read};
use super::transformer::builder;
use crate::embed::image::Layout;

/// The most nodes of a graph whose layers are listed.
const LISTED_NODES_MAX: usize = 20_000;
/// The side of a picture for a graph that reads any.
const SIDE_USUAL: usize = 224;
/// The outputs that are taken for the feature, the first that is there.
const FEATURES: [&str; 10] = [
    "image_embeds",
    "image_embedding",
    "pooler_output",
    "embedding",
    "embeddings",
    "feature",
    "features",
    "latent",
    "latents",
    "last_hidden_state",
];
/// Operators that put values into another order or shape and compute nothing.
const RESHAPING: [&str; 11] = [
    "Identity",
    "Dropout",
    "Reshape",
    "Flatten",
    "Transpose",
    "Cast",
    "Squeeze",
    "Unsqueeze",
    "Shape",
    "Split",
    "Slice",
];
/// Operators that finish what the one before them began.
const FINISHING: [&str; 14] = [
    "BatchNormalization",
    "Relu",
    "LeakyRelu",
    "PRelu",
    "Clip",
    "Sigmoid",
    "HardSigmoid",
    "HardSwish",
    "Elu",
    "Gelu",
    "LRN",
    "InstanceNormalization",
    "LayerNormalization",
    "Softmax",
];

/// A value of an image network that can be its feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Its place in the list, from 0.
    pub index: usize,
    /// The name of the value.
    pub name: String,
    /// The operator that gives it.
    pub operator: String,
    /// Its dimensions for one picture, without the batch.
    pub shape: Vec<usize>,
    /// How many multiplications and additions in one its operator does for a picture.
    pub operations: u64,
    /// The same of everything that it needs, its own included: what is run if it is the feature.
    pub operations_needed: u64,
    /// Whether it ends a block: nothing that only finishes or reshapes follows it.
    pub is_block: bool,
}

/// What an image network reads and has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layers {
    /// Rows and columns of the pictures it was looked at with.
    pub size: [usize; 2],
    /// How many channels they have.
    pub channels: usize,
    /// How it lays them out.
    pub layout: Layout,
    /// How many pictures it reads at a time, if that is fixed.
    pub batch: Option<usize>,
    /// The values, in the order in which they are computed.
    pub layers: Vec<Layer>,
    /// The place of the one that is usually taken: an output that is named as a feature, else what the
    /// last layer with weights reads.
    pub usual: usize,
}

impl Layers {
    /// Returns the layer of a name or, if none has it, of an index; a negative one counts from the end.
    ///
    /// # Errors
    /// There is none; says what there is.
    pub fn find(&self, layer: &str) -> Result<&Layer, String> {
        if let Some(found) = self.layers.iter().find(|known| known.name == layer) {
            return Ok(found);
        }
        let count = self.layers.len();
        let place = layer.parse::<i64>().ok().and_then(|index| {
            let from_end = i64::try_from(count).ok()?.checked_add(index)?;
            usize::try_from(if index < 0 { from_end } else { index }).ok()
        });
        place.and_then(|place| self.layers.get(place)).ok_or_else(|| {
            format!(
                "there is no layer `{layer}`; expected a name, or an index from 0 to {}; `simile model \
                 layers` lists them",
                count.saturating_sub(1)
            )
        })
    }
}

/// Looks at a picture with the whole graph and returns what it has. `size` is that of the picture, for a
/// graph that reads any.
pub(in crate::embed) fn layers(graph: &[u8], size: Option<[usize; 2]>) -> Result<Layers, String> {
    let cut = Cut::read(graph)?;
    if cut.nodes.len() > LISTED_NODES_MAX {
        let nodes = cut.nodes.len();
        return Err(format!("the graph has {nodes} nodes, at most {LISTED_NODES_MAX} are listed"));
    }
    let inputs = cut.inputs();
    let picture = inputs.iter().find(|input| input.dimensions.len() == 4).ok_or_else(|| {
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        let names = names.join(", ");
        format!("none of its inputs ({names}) has 4 dimensions, as pictures have")
    })?;
    let read = Read::of(picture, size)?;
    let values = depending(&cut, picture, &inputs);
    let dimensions = read.dimensions(&cut, picture, &values)?;
    let parents = parents(&cut);
    let operations: Vec<u64> = cut.nodes.iter().map(|node| operations(node, &dimensions)).collect();
    let consumers = consumers(&cut);
    let mut layers = Vec::new();
    for (name, at) in &values {
        let Some(shape) = dimensions.get(name).filter(|shape| shape.is_float) else { continue };
        let needed = needed(&parents, *at);
        let node = &cut.nodes[*at];
        let follows = consumers.get(name.as_str()).map_or(&[][..], Vec::as_slice);
        let is_finished = match follows {
            [next] => {
                !is_one_of(&cut.nodes[*next], &FINISHING)
                    && !is_one_of(&cut.nodes[*next], &RESHAPING[..2])
            }
            _ => true,
        };
        layers.push(Layer {
            index: layers.len(),
            name: name.clone(),
            operator: node.op_type.clone(),
            shape: shape.dimensions.get(1..).unwrap_or_default().to_vec(),
            operations: operations[*at],
            operations_needed: needed.iter().map(|&at| operations[at]).sum(),
            is_block: is_finished && !is_one_of(node, &RESHAPING),
        });
    }
    let usual = usual(&cut, &layers).ok_or("it gives no floats for a picture")?;
    let Read { size, channels, layout, batch } = read;
    Ok(Layers { size, channels, layout, batch, layers, usual })
}

/// How a graph reads pictures.
struct Read {
    size: [usize; 2],
    channels: usize,
    layout: Layout,
    batch: Option<usize>,
}

/// The dimensions of a value, the batch included.
struct Dimensions {
    dimensions: Vec<usize>,
    is_float: bool,
}

impl Read {
    fn of(picture: &Asked, size: Option<[usize; 2]>) -> Result<Self, String> {
        let [batch, second, third, last] = picture.dimensions[..] else {
            return Err("a picture has 4 dimensions".to_owned());
        };
        let is_channels = |length: Option<usize>| matches!(length, Some(1 | 3));
        let (layout, channels, fixed) = if !is_channels(second) && is_channels(last) {
            (Layout::Nhwc, last, [second, third])
        } else {
            (Layout::Nchw, second, [third, last])
        };
        let channels = channels.unwrap_or(3);
        if !is_channels(Some(channels)) {
            let name = &picture.name;
            return Err(format!("its input `{name}` has {channels} channels, expected 3 or 1"));
        }
        let asked = size.unwrap_or([SIDE_USUAL; 2]);
        let size = [0, 1].map(|axis| fixed[axis].unwrap_or(asked[axis]));
        Ok(Self { size, channels, layout, batch })
    }

    /// Runs the graph and returns the dimensions of these values, and of the input.
    fn dimensions(
        &self,
        cut: &Cut,
        picture: &Asked,
        values: &[(String, usize)],
    ) -> Result<HashMap<String, Dimensions>, String> {
        let names: Vec<String> = values.iter().map(|(name, _)| name.clone()).collect();
        let graph = cut.with_outputs(&names, picture);
        let mut session = builder(1)?.commit_from_memory(&graph).map_err(|e| e.to_string())?;
        let count = self.batch.unwrap_or(1);
        let [height, width] = self.size;
        let shape = match self.layout {
            Layout::Nchw => [count, self.channels, height, width],
            Layout::Nhwc => [count, height, width, self.channels],
        };
        let black = vec![0.0_f32; shape.iter().product()];
        let run = |session: &mut Session| -> ort::Result<HashMap<String, Dimensions>> {
            let input = TensorRef::from_array_view((shape, black.as_slice()))?;
            let outputs = session.run(ort::inputs![INPUT => input])?;
            Ok(outputs
                .iter()
                .filter_map(|(name, value)| Some((name.to_owned(), of(value.dtype())?)))
                .collect())
        };
        let mut dimensions = run(&mut session).map_err(|error| error.to_string())?;
        dimensions.insert(
            picture.name.clone(),
            Dimensions { dimensions: shape.to_vec(), is_float: true },
        );
        Ok(dimensions)
    }
}

fn of(kind: &ValueType) -> Option<Dimensions> {
    let ValueType::Tensor { ty, shape, .. } = kind else { return None };
    let is_float = matches!(
        ty,
        TensorElementType::Float32
            | TensorElementType::Float16
            | TensorElementType::Bfloat16
            | TensorElementType::Float64
    );
    let length = |&length: &i64| usize::try_from(length).unwrap_or(0);
    Some(Dimensions { dimensions: shape.iter().map(length).collect(), is_float })
}

/// Returns the values that the picture makes a difference to, and no other input does, each with its node.
fn depending(cut: &Cut, picture: &Asked, inputs: &[Asked]) -> Vec<(String, usize)> {
    let mut by_picture: HashSet<&str> = HashSet::from([picture.name.as_str()]);
    let mut by_others: HashSet<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
    by_others.remove(picture.name.as_str());
    let mut values = Vec::new();
    for (at, node) in cut.nodes.iter().enumerate() {
        let mut read = Vec::new();
        names_read(node, &mut read);
        let reads = |of: &HashSet<&str>| read.iter().any(|name| of.contains(name.as_str()));
        let (picture, others) = (reads(&by_picture), reads(&by_others));
        for output in node.output.iter().filter(|name| !name.is_empty()) {
            if others {
                by_others.insert(output);
            }
            if picture {
                by_picture.insert(output);
            }
            if picture && !others {
                values.push((output.clone(), at));
            }
        }
    }
    values
}

/// Returns the nodes that each node reads from.
fn parents(cut: &Cut) -> Vec<Vec<usize>> {
    let of = |node: &NodeNames| {
        let mut read = Vec::new();
        names_read(node, &mut read);
        read.iter().filter_map(|name| cut.maker(name)).collect()
    };
    cut.nodes.iter().map(of).collect()
}

/// Returns the nodes that read each value.
fn consumers(cut: &Cut) -> HashMap<&str, Vec<usize>> {
    let mut consumers: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, node) in cut.nodes.iter().enumerate() {
        for name in &node.input {
            consumers.entry(name).or_default().push(at);
        }
    }
    consumers
}

fn needed(parents: &[Vec<usize>], node: usize) -> Vec<usize> {
    let mut is_seen = vec![false; parents.len()];
    is_seen[node] = true;
    let (mut seen, mut next) = (vec![node], 0);
    while let Some(&at) = seen.get(next) {
        for &parent in &parents[at] {
            if !std::mem::replace(&mut is_seen[parent], true) {
                seen.push(parent);
            }
        }
        next += 1;
    }
    seen
}

/// Returns the multiplications of a node with their additions; one a value where there is no telling.
fn operations(node: &NodeNames, dimensions: &HashMap<String, Dimensions>) -> u64 {
    let of = |name: Option<&String>| name.and_then(|name| dimensions.get(name));
    let count = |of: Option<&Dimensions>| {
        of.map_or(0, |of| of.dimensions.iter().map(|&length| length as u64).product())
    };
    let output: u64 = count(of(node.output.first()));
    let read = of(node.input.first());
    let attribute = |name: &str| node.attribute.iter().find(|attribute| attribute.name == name);
    let group = attribute("group").and_then(|group| group.i).unwrap_or(1);
    let group = u64::try_from(group).unwrap_or(1).max(1);
    let kernel: u64 = attribute("kernel_shape").map_or(1, |kernel| {
        kernel.ints.iter().filter_map(|&length| u64::try_from(length).ok()).product()
    });
    let length = |axis: usize| {
        let found = read.and_then(|read| read.dimensions.get(axis));
        found.map_or(1, |&length| length as u64)
    };
    match node.op_type.as_str() {
        "Conv" => output.saturating_mul(kernel).saturating_mul(length(1) / group),
        "ConvTranspose" => {
            let width = of(node.output.first()).and_then(|of| of.dimensions.get(1).copied());
            count(read).saturating_mul(kernel).saturating_mul(width.unwrap_or(1) as u64 / group)
        }
        "Gemm" => output.saturating_mul(count(read) / length(0).max(1)),
        "MatMul" => {
            let last = read.map_or(0, |read| read.dimensions.len().saturating_sub(1));
            output.saturating_mul(length(last))
        }
        "AveragePool" | "MaxPool" => output.saturating_mul(kernel),
        "GlobalAveragePool" | "GlobalMaxPool" | "ReduceMean" | "ReduceSum" | "ReduceMax" => {
            count(read)
        }
        _ => output,
    }
}

fn is_one_of(node: &NodeNames, operators: &[&str]) -> bool {
    operators.contains(&node.op_type.as_str())
}

/// Returns the place of the layer that is usually taken.
fn usual(cut: &Cut, layers: &[Layer]) -> Option<usize> {
    let place = |name: &str| layers.iter().position(|layer| layer.name == name);
    let outputs = cut.outputs();
    let named = FEATURES.iter().find(|feature| outputs.contains(feature));
    if let Some(found) = named.and_then(|name| place(name)) {
        return Some(found);
    }
    let last = outputs.iter().find_map(|output| place(output)).or(layers.len().checked_sub(1))?;
    let mut value = layers[last].name.as_str();
    // A graph has an end: each step goes to a node before this one.
    while let Some(at) = cut.maker(value) {
        let node = &cut.nodes[at];
        let read = node.input.iter().find(|input| place(input).is_some());
        let Some(read) = read else { break };
        let has_weights = matches!(node.op_type.as_str(), "Gemm" | "MatMul" | "Conv");
        value = read;
        if has_weights {
            return place(value);
        }
    }
    Some(last)
}
