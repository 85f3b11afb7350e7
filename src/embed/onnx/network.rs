use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use ort::session::Session;
use ort::value::TensorRef;

use super::prune::{Asked, Cut, FEATURE, GRAPH_BYTES_MAX, INPUT};
use super::reduce::{Given, reduce};
use super::transformer::builder;
use crate::embed::image::{
    ImageSettings, Layout, NetworkSettings, Pixels, Preprocess, Preprocessor, Reduction,
};
use crate::embed::{
    EmbedError, Embedder, Encoded, Grid, Manifest, Modality, Role, Specification, Tokenize,
};
use crate::vector::{DenseVector, Vector};

const CHANNELS: usize = 3;

/// An image network in a session of ONNX Runtime, cut to what its layer needs.
#[derive(Debug)]
pub(in crate::embed) struct PictureNetwork {
    specification: Specification,
    preprocessor: Arc<Preprocessor>,
    feature: Feature,
    normalizes: bool,
}

/// A graph that was cut to one of its values.
#[derive(Debug)]
pub(super) struct Feature {
    session: Session,
    size: [usize; 2],
    layout: Layout,
    /// How many pictures it reads at a time, if that is fixed.
    batch: Option<usize>,
    /// What it gives for one of them.
    given: Given,
    reduction: Reduction,
}

impl PictureNetwork {
    /// Loads the network in a folder and looks at a black picture with it; the runtime is loaded
    /// already.
    pub(in crate::embed) fn open(
        manifest: &Manifest,
        image: &ImageSettings,
        network: &NetworkSettings,
        folder: &Path,
        threads: usize,
    ) -> Result<Self, EmbedError> {
        let failed = |reason| EmbedError::Failed { name: manifest.name.clone(), reason };
        let feature =
            Feature::open(&folder.join(&network.file), image, network, threads).map_err(failed)?;
        let actual = feature.dimension();
        if actual != manifest.dimension {
            let (layer, expected) = (&network.layer, manifest.dimension);
            return Err(failed(format!("expected {expected} components of {layer}, got {actual}")));
        }
        Ok(Self {
            specification: manifest.specification(),
            preprocessor: Arc::new(Preprocessor::of(image.clone())),
            feature,
            normalizes: network.normalize,
        })
    }
}

impl Feature {
    /// Cuts the graph in a file, and looks at a black picture with it.
    pub(super) fn open(
        file: &Path,
        image: &ImageSettings,
        network: &NetworkSettings,
        threads: usize,
    ) -> Result<Self, String> {
        let (graph, asked) = Cut::read(&graph_bytes(file)?)?.feature(&network.layer)?;
        Self::of(&graph, &asked, image, network.pooling, threads)
    }

    fn of(
        graph: &[u8],
        asked: &Asked,
        image: &ImageSettings,
        reduction: Reduction,
        threads: usize,
    ) -> Result<Self, String> {
        let size = [image.height as usize, image.width as usize];
        check_input(asked, size, image.layout)?;
        let session = builder(threads)?.commit_from_memory(graph).map_err(|e| e.to_string())?;
        let mut feature = Self {
            session,
            size,
            layout: image.layout,
            batch: asked.dimensions.first().copied().flatten(),
            given: Given::Vector(0),
            reduction,
        };
        let black = vec![0.0; feature.batch.unwrap_or(1) * feature.picture_values()];
        let (dimensions, values) = feature.values(&black)?;
        feature.given = Given::of(&dimensions, image.layout)?;
        // Whether it can be reduced that way shows here.
        let one = dimensions.iter().product();
        reduce(values.get(..one).unwrap_or_default(), feature.given, image.layout, reduction)?;
        Ok(feature)
    }

    /// Returns how many components its vectors have.
    pub(super) fn dimension(&self) -> usize {
        match (self.given, self.reduction) {
            (Given::Vector(width), _) => width,
            (Given::Tokens { count, width }, Reduction::Flatten) => count * width,
            (Given::Tokens { width, .. }, _) => width,
            (Given::Map(grid), Reduction::Flatten) => grid.channels * grid.rows * grid.columns,
            (Given::Map(grid), _) => grid.channels,
        }
    }

    /// Returns the feature map that its vectors are, if that is what they are.
    pub(super) fn grid(&self) -> Option<Grid> {
        match (self.given, self.reduction) {
            (Given::Map(grid), Reduction::Flatten) => Some(grid),
            _ => None,
        }
    }

    /// Returns the vector of each picture as it comes out.
    pub(super) fn run(&mut self, batch: &[&Pixels]) -> Result<Vec<Vec<f32>>, String> {
        let mut vectors = Vec::with_capacity(batch.len());
        for group in batch.chunks(self.batch.unwrap_or(batch.len().max(1))) {
            let mut values: Vec<f32> = Vec::with_capacity(group.len() * self.picture_values());
            for pixels in group {
                if [pixels.height, pixels.width] != self.size {
                    let ([h, w], Pixels { height, width, .. }) = (self.size, pixels);
                    return Err(format!("expected {h} x {w} pixels, got {height} x {width}"));
                }
                values.extend_from_slice(&pixels.values);
            }
            // The places that a graph of a fixed batch has left over are black.
            values.resize(self.batch.unwrap_or(group.len()) * self.picture_values(), 0.0);
            let (dimensions, values) = self.values(&values)?;
            let given = Given::of(&dimensions, self.layout)?;
            if given != self.given {
                return Err(format!("expected {:?}, got {given:?}", self.given));
            }
            let one: usize = dimensions.iter().product();
            for values in values.chunks_exact(one.max(1)).take(group.len()) {
                vectors.push(reduce(values, given, self.layout, self.reduction)?);
            }
        }
        if vectors.len() == batch.len() {
            Ok(vectors)
        } else {
            Err(format!("expected {} vectors, got {}", batch.len(), vectors.len()))
        }
    }

    fn picture_values(&self) -> usize {
        self.size[0] * self.size[1] * CHANNELS
    }

    /// Returns the dimensions of what the layer gives for a picture, and that for all of them.
    fn values(&mut self, pixels: &[f32]) -> Result<(Vec<usize>, Vec<f32>), String> {
        let [height, width] = self.size;
        let count = pixels.len() / self.picture_values();
        let shape = match self.layout {
            Layout::Nchw => [count, CHANNELS, height, width],
            Layout::Nhwc => [count, height, width, CHANNELS],
        };
        let mut run = || -> ort::Result<(Vec<usize>, Vec<f32>)> {
            let input = TensorRef::from_array_view((shape, pixels))?;
            let outputs = self.session.run(ort::inputs![INPUT => input])?;
            let (shape, values) = outputs[FEATURE].try_extract_tensor::<f32>()?;
            let shape = shape.iter().map(|&length| usize::try_from(length).unwrap_or(0));
            Ok((shape.collect(), values.to_vec()))
        };
        let (mut dimensions, values) = run().map_err(|error| error.to_string())?;
        // Some graphs drop a batch of one.
        if dimensions.first() == Some(&count) && dimensions.len() > 1 {
            dimensions.remove(0);
        } else if count != 1 {
            return Err(format!(
                "the layer gives {dimensions:?} for {count} pictures, expected the pictures first"
            ));
        }
        Ok((dimensions, values))
    }
}

/// Reads the file of a graph.
pub(super) fn graph_bytes(file: &Path) -> Result<Vec<u8>, String> {
    let length = fs_err::metadata(file).map_err(|error| error.to_string())?.len();
    if length > GRAPH_BYTES_MAX {
        return Err(format!("a graph has at most {GRAPH_BYTES_MAX} bytes, got {length}"));
    }
    fs_err::read(file).map_err(|error| error.to_string())
}

/// Checks that a graph reads pictures of this size in this layout.
fn check_input(asked: &Asked, [height, width]: [usize; 2], layout: Layout) -> Result<(), String> {
    let expected = match layout {
        Layout::Nchw => [CHANNELS, height, width],
        Layout::Nhwc => [height, width, CHANNELS],
    };
    let name = &asked.name;
    // A graph need not say what it reads.
    if asked.dimensions.is_empty() {
        return Ok(());
    }
    let rest = asked.dimensions.get(1..).unwrap_or_default();
    let fits =
        |(fixed, expected): (&Option<usize>, &usize)| fixed.is_none_or(|fixed| fixed == *expected);
    if rest.len() == expected.len() && rest.iter().zip(&expected).all(fits) {
        return Ok(());
    }
    let length = |length: &Option<usize>| length.map_or("any".to_owned(), |it| it.to_string());
    let actual: Vec<String> = asked.dimensions.iter().map(length).collect();
    let expected = expected.map(|length| length.to_string()).join(" x ");
    Err(format!("its input `{name}` is {}, expected any x {expected}", actual.join(" x ")))
}

impl Embedder for PictureNetwork {
    fn specification(&self) -> &Specification {
        &self.specification
    }

    fn tokenizer(&self) -> Arc<dyn Tokenize> {
        Arc::new(NoText(self.specification.clone()))
    }

    fn preprocessor(&self) -> Option<Arc<dyn Preprocess>> {
        Some(Arc::clone(&self.preprocessor) as Arc<dyn Preprocess>)
    }

    fn grid(&self) -> Option<Grid> {
        self.feature.grid()
    }

    fn run(&mut self, _: &[&Encoded]) -> Result<Vec<Option<Vector>>, EmbedError> {
        self.specification.require(Modality::Text)?;
        Ok(Vec::new())
    }

    fn run_pictures(&mut self, batch: &[&Pixels]) -> Result<Vec<Option<Vector>>, EmbedError> {
        let vectors = self.feature.run(batch).map_err(|reason| {
            let name = self.specification.name.clone();
            EmbedError::Failed { name, reason }
        })?;
        vectors.into_iter().map(|vector| finished(vector, self.normalizes)).collect()
    }
}

/// Returns the vector of a picture; none if it would have to have a direction and is zero.
pub(super) fn finished(values: Vec<f32>, normalizes: bool) -> Result<Option<Vector>, EmbedError> {
    let is_zero = values.iter().all(|&value| value == 0.0);
    let vector = DenseVector::new(values)?;
    if !normalizes {
        return Ok(Some(vector.into()));
    }
    if is_zero { Ok(None) } else { Ok(Some(vector.normalized()?.into())) }
}

/// Refuses texts for a model that reads none.
#[derive(Debug)]
struct NoText(Specification);

impl Tokenize for NoText {
    fn encode(&self, _: &str, _: Role) -> Result<Encoded, EmbedError> {
        self.0.require(Modality::Text)?;
        Ok(Encoded { ids: Vec::new(), truncated: false })
    }

    fn token_ranges(&self, text: &str) -> Vec<Range<usize>> {
        let start = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
        text.split_whitespace().map(|word| start(word)..start(word) + word.len()).collect()
    }

    fn special_tokens(&self) -> usize {
        0
    }
}
