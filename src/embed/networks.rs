//! How does an image network of the user's own get into the catalogue, and which layers does it have?

use std::path::Path;
use std::sync::Arc;

use super::image::{
    Channels, Crop, ImageSettings, Layout, NetworkSettings, Pixels, Preprocess, Preprocessor,
    Reduction, Resampler, Resize,
};
use super::import::{Found, bytes, file_name, refused};
use super::obtain::Progress;
use super::onnx::{Features, Layer, Layers, finished, graph_bytes, layers};
use super::shelf::Entry;
use super::{Catalogue, EmbedError, Manifest, Method, Modality, clips, joint};
use crate::picture::{Filter, Picture};
use crate::vector::{DIMENSION_MAX, Metric, Vector};

/// What a folder of the hub's layout keeps the preprocessing of pictures in.
pub(super) const PREPROCESSOR: &str = "preprocessor_config.json";
/// Where the graph of an image network is looked for in such a folder.
const GRAPHS: [&str; 4] =
    ["vision_model.onnx", "onnx/vision_model.onnx", "model.onnx", "onnx/model.onnx"];
/// The share of the shorter edge that networks trained on `ImageNet` usually see: 224 of 256.
const EDGE_NUMERATOR: u32 = 256;
const EDGE_DENOMINATOR: u32 = 224;
/// Below this side pictures are stretched, as those are on which such networks are trained.
const STRETCHED_BELOW: u32 = 128;

/// What the person who adds an image network says about it, where its graph and its folder do not or say
/// otherwise.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NetworkOptions {
    /// The layer that is taken, by name or index; see [`Layers::find`].
    pub layer: Option<String>,
    /// What is made of it.
    pub pooling: Option<Reduction>,
    /// Whether vectors are scaled to length one.
    pub normalize: Option<bool>,
    /// Rows and columns of the pictures.
    pub size: Option<[u32; 2]>,
    /// How a picture of another shape is fitted.
    pub resize: Option<Resize>,
    /// How long its edge is before the middle is cut out.
    pub edge: Option<u32>,
    /// Where the middle begins.
    pub crop: Option<Crop>,
    /// What new pixels are made of old ones by.
    pub filter: Option<Filter>,
    /// Whose arithmetic the resize follows.
    pub resampler: Option<Resampler>,
    /// What a sample, 0 to 255, is multiplied by.
    pub scale: Option<f64>,
    /// What is taken off each channel.
    pub mean: Option<[f64; 3]>,
    /// What each channel is divided by.
    pub std: Option<[f64; 3]>,
    /// The order of the channels.
    pub channels: Option<Channels>,
    /// How the numbers are laid out.
    pub layout: Option<Layout>,
    /// The licence of the weights, as an SPDX expression.
    pub licence: Option<String>,
}

/// Some layers of an image network, computed together.
#[derive(Debug)]
pub struct LayerEmbedder {
    name: String,
    layers: Vec<Layer>,
    features: Features,
    preprocessor: Preprocessor,
    normalizes: bool,
}

/// Which layers are computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// These, each by name or index.
    Named(Vec<String>),
    /// The last of each block, except those that are too long for a vector.
    Blocks,
}

impl Catalogue {
    /// Returns the layers of an image network of the catalogue.
    ///
    /// # Errors
    /// [`EmbedError`]: not found; invalid input if it is no image network; no runtime; the graph cannot be
    /// run.
    pub fn layers(&self, name: &str, progress: Progress<'_>) -> Result<Layers, EmbedError> {
        let (entry, image, network) = self.network(name)?;
        self.options.runtime.load(progress)?;
        let size = [image.height as usize, image.width as usize];
        let found = layers(&entry.graph(&network.file)?, Some(size));
        found.map_err(|reason| refused(&entry.folder.join(&network.file), reason))
    }

    /// Returns the layers of the image network in a file. `size` is that of the pictures, in rows and
    /// columns, for a network that reads any; 224 each by default.
    ///
    /// # Errors
    /// [`EmbedError::Unreadable`] (corrupt): no graph, or one that cannot be run; no runtime.
    pub fn layers_of(
        &self,
        file: &Path,
        size: Option<[usize; 2]>,
        progress: Progress<'_>,
    ) -> Result<Layers, EmbedError> {
        self.options.runtime.load(progress)?;
        let found = graph_bytes(file).and_then(|graph| layers(&graph, size));
        found.map_err(|reason| refused(file, reason))
    }

    /// Returns what computes some layers of an image network of the catalogue, for those who compare them.
    /// Where no pooling is named, feature maps are averaged, and of a transformer the first token is taken.
    ///
    /// # Errors
    /// As [`Self::layers`]; [`EmbedError::Unreadable`] for a layer that there is not.
    pub fn open_layers(
        &self,
        name: &str,
        choice: &Choice,
        pooling: Option<Reduction>,
        progress: Progress<'_>,
    ) -> Result<LayerEmbedder, EmbedError> {
        let (entry, image, network) = self.network(name)?;
        let file = entry.folder.join(&network.file);
        let known = self.layers(name, progress)?;
        let chosen: Vec<Layer> = match choice {
            Choice::Named(names) => {
                let find = |name: &String| known.find(name).cloned();
                names.iter().map(find).collect::<Result<_, _>>().map_err(|r| refused(&file, r))?
            }
            Choice::Blocks => known.layers.into_iter().filter(|layer| layer.is_block).collect(),
        };
        let reduced = chosen.into_iter().map(|layer| {
            let pooling = pooling.unwrap_or_else(|| usual_pooling(&layer));
            (layer, pooling)
        });
        let reduced: Vec<(Layer, Reduction)> = match choice {
            Choice::Named(_) => reduced.collect(),
            Choice::Blocks => reduced.filter(fits).collect(),
        };
        let taps: Vec<(String, Reduction)> =
            reduced.iter().map(|(layer, pooling)| (layer.name.clone(), *pooling)).collect();
        let graph = entry.graph(&network.file)?;
        let features = Features::open(&graph, &image, &taps, self.options.threads)
            .map_err(|reason| refused(&file, reason))?;
        Ok(LayerEmbedder {
            name: entry.manifest.name.clone(),
            layers: reduced.into_iter().map(|(layer, _)| layer).collect(),
            features,
            preprocessor: Preprocessor::of(image),
            normalizes: network.normalize,
        })
    }

    /// Adds an image network from a file, or from a folder of the model hub's layout, to the models of the
    /// user's own: its files are copied. A folder with a graph of texts and one of pictures is a joint
    /// model.
    ///
    /// # Errors
    /// [`EmbedError::Unreadable`] (corrupt) naming what does not fit; [`EmbedError::ModelExists`] (already
    /// exists); no runtime; the disk refuses.
    pub fn add_network(
        &self,
        name: &str,
        path: &Path,
        options: &NetworkOptions,
        progress: Progress<'_>,
    ) -> Result<Arc<Manifest>, EmbedError> {
        self.options.runtime.load(progress)?;
        let threads = self.options.threads;
        if path.is_dir() && clips::is_one(path)? {
            let found = || clips::read(path, options, threads);
            return self.adopt(name, found, options.licence.clone(), progress);
        }
        let found = || match joint::graphs(path)? {
            Some(graphs) => joint::read(path, graphs, options, threads),
            None => read(path, options, threads),
        };
        self.adopt(name, found, options.licence.clone(), progress)
    }

    /// Returns an image network with its settings.
    fn network(&self, name: &str) -> Result<(Entry, ImageSettings, NetworkSettings), EmbedError> {
        let entry = self.entry(name)?;
        match &entry.manifest.method {
            Method::OnnxImage { image, network } => {
                let (image, network) = (image.clone(), network.clone());
                Ok((entry, image, network))
            }
            _ => {
                entry.manifest.specification().require(Modality::Image)?;
                let reason = "its layers cannot be told apart".to_owned();
                Err(EmbedError::Failed { name: name.to_owned(), reason })
            }
        }
    }
}

impl LayerEmbedder {
    /// Returns the layers, in the order of the vectors.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Returns how many components the vectors of each layer have.
    pub fn dimensions(&self) -> Vec<usize> {
        (0..self.layers.len()).map(|layer| self.features.dimension(layer)).collect()
    }

    /// Returns for each layer the vector of each picture, in order; none where the layer sees nothing.
    ///
    /// # Errors
    /// [`EmbedError`] (internal) if the network fails or gives what is no vector.
    pub fn embed(&mut self, pictures: &[&Picture]) -> Result<Vec<Vec<Option<Vector>>>, EmbedError> {
        let pixels = pictures.iter().map(|picture| self.preprocessor.preprocess(picture));
        let pixels: Vec<Pixels> = pixels.collect::<Result<_, _>>()?;
        let batch: Vec<&Pixels> = pixels.iter().collect();
        let vectors = self.features.run(&batch).map_err(|reason| {
            let name = self.name.clone();
            EmbedError::Failed { name, reason }
        })?;
        let of_layer = |vectors: Vec<Vec<f32>>| {
            vectors.into_iter().map(|vector| finished(vector, self.normalizes)).collect()
        };
        vectors.into_iter().map(of_layer).collect()
    }
}

/// Reads a graph, or what a folder holds of one; the runtime is loaded already.
fn read(path: &Path, options: &NetworkOptions, threads: usize) -> Result<Found, EmbedError> {
    let (graph, config) = if path.is_dir() {
        let graph = GRAPHS.iter().map(|graph| path.join(graph)).find(|graph| graph.is_file());
        let missing = || refused(path, format!("there is none of {}", GRAPHS.join(", ")));
        (graph.ok_or_else(missing)?, bytes(&path.join(PREPROCESSOR))?)
    } else {
        (path.to_owned(), None)
    };
    let of_graph = |reason| refused(&graph, reason);
    let content = graph_bytes(&graph).map_err(of_graph)?;
    let said = config
        .map(|json| ImageSettings::of_config(&json))
        .transpose()
        .map_err(|reason| refused(&path.join(PREPROCESSOR), reason))?;
    let size = options.size.or(said.as_ref().map(|said| [said.height, said.width]));
    let known =
        layers(&content, size.map(|size| size.map(|side| side as usize))).map_err(of_graph)?;
    let image = settings(said, &known, options);
    image.check().map_err(of_graph)?;
    let layer = match &options.layer {
        Some(layer) => known.find(layer).map_err(of_graph)?,
        None => &known.layers[known.usual],
    };
    let pooling = options.pooling.unwrap_or_else(|| usual_pooling(layer));
    let taps = [(layer.name.clone(), pooling)];
    let features = Features::open(&content, &image, &taps, threads).map_err(of_graph)?;
    let dimension = features.dimension(0);
    if dimension > DIMENSION_MAX {
        let (layer, pooling) = (&layer.name, pooling.name());
        return Err(of_graph(format!(
            "`{layer}` has {dimension} components with pooling {pooling}, at most {DIMENSION_MAX} make a \
             vector; mean, max and gem make one of each channel"
        )));
    }
    let network = NetworkSettings {
        file: file_name(&graph),
        layer: layer.name.clone(),
        pooling,
        normalize: options.normalize.unwrap_or(true),
        any_size: false,
    };
    let (height, width) = (image.height, image.width);
    let description = format!(
        "pictures of {height} x {width}, {pooling} of {layer}",
        pooling = pooling.name(),
        layer = layer.name
    );
    let metric = if network.normalize { Metric::Cosine } else { Metric::Euclidean };
    let files = vec![(graph.clone(), file_name(&graph))];
    Ok(Found {
        method: Method::OnnxImage { image, network },
        dimension,
        metric,
        description,
        files,
    })
}

/// Joins what the folder says, what the graph shows, and what the person says; the later counts.
pub(super) fn settings(
    said: Option<ImageSettings>,
    known: &Layers,
    options: &NetworkOptions,
) -> ImageSettings {
    let is_said = said.is_some();
    let mut image = said.unwrap_or_default();
    let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
    [image.height, image.width] = options.size.unwrap_or(known.size.map(side));
    image.layout = known.layout;
    if known.channels == 1 {
        image.channels = Channels::Grey;
    }
    if !is_said || options.size.is_some() {
        let shorter = image.height.min(image.width);
        if shorter < STRETCHED_BELOW {
            (image.resize, image.edge) = (Resize::Stretch, None);
        } else if image.edge.is_some() {
            image.edge = Some(shorter.saturating_mul(EDGE_NUMERATOR) / EDGE_DENOMINATOR);
        }
    }
    if let Some(resize) = options.resize {
        let has_edge = matches!(resize, Resize::ShortEdge | Resize::Square);
        let usual = image.height.min(image.width).saturating_mul(EDGE_NUMERATOR) / EDGE_DENOMINATOR;
        image.edge = has_edge.then(|| image.edge.unwrap_or(usual));
        image.resize = resize;
    }
    if let Some(edge) = options.edge {
        image.edge = Some(edge);
        if options.resize.is_none() && image.resize == Resize::Stretch {
            image.resize = Resize::ShortEdge;
        }
    }
    image.crop = options.crop.unwrap_or(image.crop);
    image.filter = options.filter.unwrap_or(image.filter);
    image.resampler = options.resampler.unwrap_or(image.resampler);
    image.scale = options.scale.unwrap_or(image.scale);
    image.mean = options.mean.unwrap_or(image.mean);
    image.std = options.std.unwrap_or(image.std);
    image.channels = options.channels.unwrap_or(image.channels);
    image.layout = options.layout.unwrap_or(image.layout);
    image
}

/// Returns what is usually made of a layer of this shape.
fn usual_pooling(layer: &Layer) -> Reduction {
    match layer.shape.len() {
        3 => Reduction::Mean,
        2 => Reduction::Cls,
        _ => Reduction::Flatten,
    }
}

/// Whether a layer makes a vector.
fn fits((layer, pooling): &(Layer, Reduction)) -> bool {
    let all: usize = layer.shape.iter().product();
    let is_known = (1..=3).contains(&layer.shape.len());
    is_known && all > 1 && (*pooling != Reduction::Flatten || all <= DIMENSION_MAX)
}
