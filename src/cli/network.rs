//! `simile model layers`, and what can be said of an image network that is added.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Value as Json, json};

use super::exit::{CliError, Outcome};
use super::output::{FAINT, GOOD, Output, STRONG, styled};
use crate::embed::image::{Channels, Crop, Layout, Reduction, Resampler, Resize};
use crate::embed::onnx::Layers;
use crate::embed::{Catalogue, NetworkOptions};
use crate::picture::Filter;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile model layers simile-residual-64\n  \
    simile model layers ./vgg16.onnx --json\n\n\
    Each line is a value of the graph that can be the feature: its index and name, which --layer of\n\
    `simile model add` and `simile eval labels` take, its shape for one picture, and what it costs to\n\
    compute: multiplications, in millions, of its own operator and of everything up to it. The one marked\n\
    > is taken where none is named; those marked * end a block.")]
pub(super) struct LayersArguments {
    /// The name of a model, or the file of a graph
    #[arg(value_name = "NAME|FILE")]
    model: String,
    /// The rows and columns of pictures, for a graph that reads any [default: 224]
    #[arg(long, value_name = "N|HxW", value_parser = size)]
    size: Option<[u32; 2]>,
}

/// What becomes of a feature map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PoolingChoice {
    Flatten,
    Mean,
    Gem,
    Max,
    Cls,
}

impl From<PoolingChoice> for Reduction {
    fn from(choice: PoolingChoice) -> Self {
        match choice {
            PoolingChoice::Flatten => Self::Flatten,
            PoolingChoice::Mean => Self::Mean,
            PoolingChoice::Gem => Self::Gem,
            PoolingChoice::Max => Self::Max,
            PoolingChoice::Cls => Self::Cls,
        }
    }
}

/// What is said of an image network.
#[derive(Debug, Args)]
#[command(next_help_heading = "Image networks")]
pub(super) struct NetworkArguments {
    /// The layer that is the feature, by name or index; see `simile model layers` [default: an output
    /// named as a feature, else what the last layer with weights reads]
    #[arg(long, value_name = "LAYER", allow_hyphen_values = true)]
    layer: Option<String>,
    /// Do not scale vectors to length one; they are compared by distance then
    #[arg(long)]
    no_normalize: bool,
    /// The rows and columns of pixels that are read [default: as the graph or the folder says]
    #[arg(long, value_name = "N|HxW", value_parser = size)]
    size: Option<[u32; 2]>,
    /// How a picture of another shape is fitted [default: as the folder says, else short-edge]
    #[arg(long, value_parser = super::train::choice::<Resize>(
        &["stretch", "short-edge", "square", "crop"]))]
    resize: Option<Resize>,
    /// How long its edge is before the middle is cut out [default: 256 of 224]
    #[arg(long, value_name = "PIXELS")]
    edge: Option<u32>,
    /// How the half of what is cut off is rounded [default: down]
    #[arg(long, value_parser = super::train::choice::<Crop>(&["down", "even"]))]
    crop: Option<Crop>,
    /// What new pixels are made of old ones by [default: bilinear]
    #[arg(long, value_parser = super::train::choice::<Filter>(
        &["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]))]
    filter: Option<Filter>,
    /// Whose arithmetic the resize follows [default: pillow]
    #[arg(long, value_parser = super::train::choice::<Resampler>(
        &["pillow", "torch-bytes", "torch-floats"]))]
    resampler: Option<Resampler>,
    /// What a sample, 0 to 255, is multiplied by [default: 1/255]
    #[arg(long, value_name = "FACTOR")]
    scale: Option<f64>,
    /// What is then taken off red, green and blue [default: that of `ImageNet`]
    #[arg(long, value_name = "R,G,B", value_parser = three, allow_hyphen_values = true)]
    mean: Option<[f64; 3]>,
    /// What red, green and blue are divided by [default: that of `ImageNet`]
    #[arg(long, value_name = "R,G,B", value_parser = three)]
    std: Option<[f64; 3]>,
    /// The order of the channels [default: rgb]
    #[arg(long, value_parser = super::train::choice::<Channels>(&["rgb", "bgr", "grey"]))]
    channels: Option<Channels>,
    /// How the numbers are laid out [default: as the graph says]
    #[arg(long, value_parser = super::train::choice::<Layout>(&["nchw", "nhwc"]))]
    layout: Option<Layout>,
}

impl NetworkArguments {
    /// Returns what is said, with the pooling and the licence that other models have too.
    pub(super) fn options(
        &self,
        pooling: Option<Reduction>,
        licence: Option<String>,
    ) -> NetworkOptions {
        NetworkOptions {
            layer: self.layer.clone(),
            pooling,
            normalize: self.no_normalize.then_some(false),
            size: self.size,
            resize: self.resize,
            edge: self.edge,
            crop: self.crop,
            filter: self.filter,
            resampler: self.resampler,
            scale: self.scale,
            mean: self.mean,
            std: self.std,
            channels: self.channels,
            layout: self.layout,
            licence,
        }
    }
}

/// Whether what is to be added is an image network: a graph by itself, or a folder that says how pictures
/// are read.
pub(super) fn is_network(path: &Path) -> bool {
    let is_graph = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("onnx"));
    (path.is_file() && is_graph) || path.join("preprocessor_config.json").is_file()
}

/// Prints the layers of an image network.
pub(super) fn layers(
    catalogue: &Catalogue,
    arguments: &LayersArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    let report = output.model_report();
    let progress = |what: &str, done: u64, total: Option<u64>| report(what, done, total);
    let file = PathBuf::from(&arguments.model);
    let found = if file.is_file() {
        let size = arguments.size.map(|size| size.map(|side| side as usize));
        catalogue.layers_of(&file, size, &progress)
    } else {
        catalogue.layers(&arguments.model, &progress)
    };
    let layers = found.map_err(|error| CliError::of(&error))?;
    output.answer(|| to_json(&layers), || table(&layers))?;
    Ok(Outcome::Done)
}

fn to_json(layers: &Layers) -> Json {
    let all = layers.layers.iter().map(|layer| {
        json!({
            "index": layer.index,
            "name": layer.name,
            "operator": layer.operator,
            "shape": layer.shape,
            "operations": layer.operations,
            "operations_needed": layer.operations_needed,
            "block": layer.is_block,
        })
    });
    json!({
        "height": layers.size[0],
        "width": layers.size[1],
        "channels": layers.channels,
        "layout": layers.layout,
        "batch": layers.batch,
        "usual": layers.usual,
        "layers": all.collect::<Vec<_>>(),
    })
}

fn table(layers: &Layers) -> String {
    let [height, width] = layers.size;
    let batch = layers.batch.map_or("any number".to_owned(), |batch| batch.to_string());
    let mut text =
        format!("reads {batch} of {height} x {width} pixels, {} channels", layers.channels);
    let longest = |of: fn(&str) -> usize| {
        layers.layers.iter().map(|layer| of(&layer.name)).max().unwrap_or(0)
    };
    let name_width = longest(|name| name.chars().count());
    let millions = |operations: u64| operations as f64 / 1e6;
    for layer in &layers.layers {
        let shape: Vec<String> = layer.shape.iter().map(ToString::to_string).collect();
        let mark = match (layer.index == layers.usual, layer.is_block) {
            (true, _) => styled(GOOD, ">"),
            (false, true) => "*".to_owned(),
            (false, false) => " ".to_owned(),
        };
        // Writing to a String does not fail.
        _ = write!(
            text,
            "\n{mark}{:>4}  {STRONG}{:<name_width$}{STRONG:#}  {:>16}  {:>9.2} {:>9.2}  \
             {FAINT}{}{FAINT:#}",
            layer.index,
            layer.name,
            shape.join(" x "),
            millions(layer.operations),
            millions(layer.operations_needed),
            layer.operator,
        );
    }
    text
}

/// Reads `224` or `224x320`, rows first.
fn size(text: &str) -> Result<[u32; 2], String> {
    let side = |text: &str| text.parse::<u32>();
    let read = match text.split_once('x') {
        Some((height, width)) => side(height).and_then(|height| Ok([height, side(width)?])),
        None => side(text).map(|side| [side; 2]),
    };
    read.map_err(|_| format!("expected a number or two, as 224 or 224x320; got {text:?}"))
}

/// Reads one number for all channels, or three.
fn three(text: &str) -> Result<[f64; 3], String> {
    let numbers: Result<Vec<f64>, _> = text.split(',').map(|part| part.trim().parse()).collect();
    match numbers.as_deref() {
        Ok([all]) => Ok([*all; 3]),
        Ok([red, green, blue]) => Ok([*red, *green, *blue]),
        Ok(_) | Err(_) => {
            Err(format!("expected one number or three, as 0.485,0.456,0.406; got {text:?}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::onnx::Layer;

    #[test]
    fn sizes_and_channels_are_one_number_or_several() {
        assert_eq!(size("224"), Ok([224, 224]));
        assert_eq!(size("120x160"), Ok([120, 160]));
        assert_eq!(three("0.5"), Ok([0.5; 3]));
        assert_eq!(three("104, 117,123"), Ok([104.0, 117.0, 123.0]));
        for wrong in ["", "x", "1x", "a", "1x2x3"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "1,2", "1,2,3,4", "a"] {
            assert!(three(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_list_marks_what_is_usual_and_what_ends_a_block() {
        let layer = |index, name: &str, is_block| Layer {
            index,
            name: name.to_owned(),
            operator: "Conv".to_owned(),
            shape: vec![8, 4, 4],
            operations: 2_000_000,
            operations_needed: 3_500_000,
            is_block,
        };
        let layers = Layers {
            size: [32, 48],
            channels: 3,
            layout: Layout::Nchw,
            batch: None,
            layers: vec![layer(0, "a", false), layer(1, "longer", true), layer(2, "c", true)],
            usual: 2,
        };
        let text = anstream::adapter::strip_str(&table(&layers)).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "reads any number of 32 x 48 pixels, 3 channels");
        assert_eq!(lines[1], "    0  a              8 x 4 x 4       2.00      3.50  Conv");
        assert!(
            lines[2].starts_with("*   1  longer  ") && lines[3].starts_with(">   2  c"),
            "{text}"
        );
        assert_eq!(to_json(&layers)["layers"][1]["block"], true);
    }
}
