use std::path::Path;
use std::sync::Arc;

use ort::session::Session;
use ort::value::TensorRef;

use super::prune::{Asked, Cut, GRAPH_BYTES_MAX, INPUT, feature_name};
use super::reduce::{Given, reduce};
use super::transformer::builder;
use crate::embed::image::{
    ImageSettings, Layout, NetworkSettings, Pixels, Preprocess, Preprocessor, Reduction,
};
use crate::embed::tokenizer::NoText;
use crate::embed::video::{ClipReading, FrameSettings, Stacked};
use crate::embed::{
    EmbedError, Embedder, Encoded, Grid, Manifest, Modality, Specification, Tokenize,
};
use crate::vector::{DenseVector, Vector};

/// A network in a session of ONNX Runtime that reads pictures, or the frames of a clip at once, cut to what
/// its layer needs.
#[derive(Debug)]
pub(in crate::embed) struct PictureNetwork {
    specification: Specification,
    preprocessor: Arc<dyn Preprocess>,
    features: Features,
    normalizes: bool,
    /// How it looks at videos, if it reads clips.
    clip_reading: Option<ClipReading>,
}

/// A graph that was cut to some of its values.
#[derive(Debug)]
pub(in crate::embed) struct Features {
    session: Session,
    reads: Reads,
    /// How many pictures it reads at a time, if that is fixed.
    batch: Option<usize>,
    taps: Vec<Tap>,
}

/// What a graph reads as one picture: a picture, or the frames of a clip, one below the other.
#[derive(Debug, Clone)]
struct Reads {
    /// Rows and columns of pixels.
    size: [usize; 2],
    /// The dimensions of its tensor.
    shape: Vec<usize>,
    layout: Layout,
}

/// A value that is taken, what it is for one picture, and what is made of it.
#[derive(Debug)]
struct Tap {
    layer: String,
    given: Given,
    reduction: Reduction,
}

/// What a graph gives for some pictures: its dimensions for one of them, and the values of all.
struct Values {
    dimensions: Vec<usize>,
    values: Vec<f32>,
}

impl PictureNetwork {
    /// Loads the network of a graph and looks at a black picture with it; the runtime is loaded
    /// already.
    pub(in crate::embed) fn open(
        manifest: &Manifest,
        image: &ImageSettings,
        network: &NetworkSettings,
        graph: &[u8],
        threads: usize,
    ) -> Result<Self, EmbedError> {
        let failed = |reason| EmbedError::Failed { name: manifest.name.clone(), reason };
        let layers = [(network.layer.clone(), network.pooling)];
        let mut cut = Cut::read(graph).map_err(failed)?;
        if network.any_size {
            cut.forget_sizes(image.layout);
        }
        let features = Features::of(&cut, Reads::picture(image), &layers, threads);
        let features = features.and_then(|features| features.of_dimension(manifest.dimension));
        Ok(Self {
            specification: manifest.specification(),
            preprocessor: Arc::new(Preprocessor::of(image.clone())),
            features: features.map_err(failed)?,
            normalizes: network.normalize,
            clip_reading: None,
        })
    }

    /// Loads the network of a graph that reads the frames of a clip at once, of the kin of `VideoMAE`
    /// (Tong et al. 2022) and `ViViT` (Arnab et al. 2021), and looks at a black clip with it; the runtime
    /// is loaded already.
    pub(in crate::embed) fn open_clips(
        manifest: &Manifest,
        image: &ImageSettings,
        frames: &FrameSettings,
        graph: &[u8],
        threads: usize,
    ) -> Result<Self, EmbedError> {
        let features = Features::open_clips(graph, image, frames, threads);
        let features = features.and_then(|features| features.of_dimension(manifest.dimension));
        let failed = |reason| EmbedError::Failed { name: manifest.name.clone(), reason };
        Ok(Self {
            specification: manifest.specification(),
            preprocessor: Arc::new(Stacked::of(Preprocessor::of(image.clone()), frames.count)),
            features: features.map_err(failed)?,
            normalizes: true,
            clip_reading: Some(frames.reading()),
        })
    }
}

impl Reads {
    fn picture(image: &ImageSettings) -> Self {
        let size = [image.height as usize, image.width as usize];
        let ([height, width], channels) = (size, image.channels.count());
        let shape = match image.layout {
            Layout::Nchw => vec![channels, height, width],
            Layout::Nhwc => vec![height, width, channels],
        };
        Self { size, shape, layout: image.layout }
    }

    fn clip(image: &ImageSettings, frames: usize) -> Self {
        let Self { size: [height, width], mut shape, layout } = Self::picture(image);
        shape.insert(0, frames);
        Self { size: [frames * height, width], shape, layout }
    }
}

impl Features {
    /// Cuts a graph to these layers, and looks at a black picture with it; the runtime is loaded
    /// already.
    pub(in crate::embed) fn open(
        graph: &[u8],
        image: &ImageSettings,
        layers: &[(String, Reduction)],
        threads: usize,
    ) -> Result<Self, String> {
        Self::of(&Cut::read(graph)?, Reads::picture(image), layers, threads)
    }

    /// As [`Self::open`], of a graph that reads the frames of a clip at once.
    pub(in crate::embed) fn open_clips(
        graph: &[u8],
        image: &ImageSettings,
        frames: &FrameSettings,
        threads: usize,
    ) -> Result<Self, String> {
        if image.layout != Layout::Nchw {
            return Err("a network of clips reads channel by channel".to_owned());
        }
        let layers = [(frames.layer.clone(), frames.pooling)];
        Self::of(&Cut::read(graph)?, Reads::clip(image, frames.count), &layers, threads)
    }

    fn of(
        cut: &Cut,
        reads: Reads,
        layers: &[(String, Reduction)],
        threads: usize,
    ) -> Result<Self, String> {
        let names: Vec<&str> = layers.iter().map(|(layer, _)| layer.as_str()).collect();
        let (graph, asked) = cut.features(&names)?;
        check_input(&asked, &reads.shape)?;
        let session = builder(threads)?.commit_from_memory(&graph).map_err(|e| e.to_string())?;
        let batch = asked.dimensions.first().copied().flatten();
        let layout = reads.layout;
        let mut features = Self { session, reads, batch, taps: Vec::new() };
        let black = vec![0.0; batch.unwrap_or(1) * features.picture_values()];
        let given = features.values(&black, layers.len())?;
        for ((layer, reduction), values) in layers.iter().zip(given) {
            let given = Given::of(&values.dimensions, layout)?;
            // Whether it can be reduced that way shows here.
            let one = values.dimensions.iter().product();
            reduce(values.values.get(..one).unwrap_or_default(), given, layout, *reduction)?;
            features.taps.push(Tap { layer: layer.clone(), given, reduction: *reduction });
        }
        Ok(features)
    }

    /// Returns these, if the vectors of the first layer have so many components.
    fn of_dimension(self, expected: usize) -> Result<Self, String> {
        match (self.dimension(0), self.taps.first()) {
            (actual, Some(Tap { layer, .. })) if actual != expected => {
                Err(format!("expected {expected} components of {layer}, got {actual}"))
            }
            _ => Ok(self),
        }
    }

    /// Returns how many components the vectors of a layer have.
    pub(in crate::embed) fn dimension(&self, layer: usize) -> usize {
        self.taps.get(layer).map_or(0, Tap::dimension)
    }

    /// Returns the feature map that the vectors of a layer are, if that is what they are.
    pub(in crate::embed) fn grid(&self, layer: usize) -> Option<Grid> {
        match self.taps.get(layer) {
            Some(Tap { given: Given::Map(grid), reduction: Reduction::Flatten, .. }) => Some(*grid),
            _ => None,
        }
    }

    /// Returns, for each layer, the vector of each picture as it comes out.
    pub(in crate::embed) fn run(
        &mut self,
        batch: &[&Pixels],
    ) -> Result<Vec<Vec<Vec<f32>>>, String> {
        let mut vectors: Vec<Vec<Vec<f32>>> = self.taps.iter().map(|_| Vec::new()).collect();
        for group in batch.chunks(self.batch.unwrap_or(batch.len()).max(1)) {
            let mut values: Vec<f32> = Vec::with_capacity(group.len() * self.picture_values());
            for pixels in group {
                if [pixels.height, pixels.width] != self.reads.size {
                    let ([h, w], Pixels { height, width, .. }) = (self.reads.size, pixels);
                    return Err(format!("expected {h} x {w} pixels, got {height} x {width}"));
                }
                values.extend_from_slice(&pixels.values);
            }
            // The places that a graph of a fixed batch has left over are black.
            values.resize(self.batch.unwrap_or(group.len()) * self.picture_values(), 0.0);
            let given = self.values(&values, self.taps.len())?;
            for ((tap, Values { dimensions, values }), vectors) in
                self.taps.iter().zip(given).zip(&mut vectors)
            {
                let given = Given::of(&dimensions, self.reads.layout)?;
                if given != tap.given {
                    return Err(format!(
                        "expected {:?} of {}, got {given:?}",
                        tap.given, tap.layer
                    ));
                }
                let one = dimensions.iter().product::<usize>().max(1);
                for values in values.chunks_exact(one).take(group.len()) {
                    vectors.push(reduce(values, given, self.reads.layout, tap.reduction)?);
                }
            }
        }
        match vectors.iter().find(|vectors| vectors.len() != batch.len()) {
            Some(vectors) => {
                Err(format!("expected {} vectors, got {}", batch.len(), vectors.len()))
            }
            None => Ok(vectors),
        }
    }

    fn picture_values(&self) -> usize {
        self.reads.shape.iter().product()
    }

    /// Runs the graph over pictures that lie one after another.
    fn values(&mut self, pixels: &[f32], layers: usize) -> Result<Vec<Values>, String> {
        let count = pixels.len() / self.picture_values();
        let shape: Vec<usize> =
            [count].into_iter().chain(self.reads.shape.iter().copied()).collect();
        let run = || -> ort::Result<Vec<Values>> {
            let input = TensorRef::from_array_view((shape, pixels))?;
            let outputs = self.session.run(ort::inputs![INPUT => input])?;
            let values = |place: usize| {
                let (shape, values) =
                    outputs[feature_name(place).as_str()].try_extract_tensor::<f32>()?;
                let shape = shape.iter().map(|&length| usize::try_from(length).unwrap_or(0));
                Ok(Values { dimensions: shape.collect(), values: values.to_vec() })
            };
            (0..layers).map(values).collect()
        };
        let mut all = run().map_err(|error| error.to_string())?;
        for Values { dimensions, .. } in &mut all {
            // Some graphs drop a batch of one.
            if dimensions.first() == Some(&count) && dimensions.len() > 1 {
                dimensions.remove(0);
            } else if count != 1 {
                return Err(format!(
                    "a layer gives {dimensions:?} for {count} pictures, expected the pictures first"
                ));
            }
        }
        Ok(all)
    }
}

impl Tap {
    fn dimension(&self) -> usize {
        match (self.given, self.reduction) {
            (Given::Vector(width), _) => width,
            (Given::Tokens { count, width }, Reduction::Flatten) => count * width,
            (Given::Tokens { width, .. }, _) => width,
            (Given::Map(grid), Reduction::Flatten) => grid.channels * grid.rows * grid.columns,
            (Given::Map(grid), _) => grid.channels,
        }
    }
}

/// Reads the file of a graph.
pub(in crate::embed) fn graph_bytes(file: &Path) -> Result<Vec<u8>, String> {
    let length = fs_err::metadata(file).map_err(|error| error.to_string())?.len();
    if length > GRAPH_BYTES_MAX {
        return Err(format!("a graph has at most {GRAPH_BYTES_MAX} bytes, got {length}"));
    }
    fs_err::read(file).map_err(|error| error.to_string())
}

/// Checks that a graph reads tensors of these dimensions, behind the number of them.
fn check_input(asked: &Asked, expected: &[usize]) -> Result<(), String> {
    let name = &asked.name;
    // A graph need not say what it reads.
    if asked.dimensions.is_empty() {
        return Ok(());
    }
    let rest = asked.dimensions.get(1..).unwrap_or_default();
    let fits =
        |(fixed, expected): (&Option<usize>, &usize)| fixed.is_none_or(|fixed| fixed == *expected);
    if rest.len() == expected.len() && rest.iter().zip(expected).all(fits) {
        return Ok(());
    }
    let length = |length: &Option<usize>| length.map_or("any".to_owned(), |it| it.to_string());
    let actual: Vec<String> = asked.dimensions.iter().map(length).collect();
    let expected: Vec<String> = expected.iter().map(usize::to_string).collect();
    let expected = expected.join(" x ");
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
        Some(Arc::clone(&self.preprocessor))
    }

    fn clip_reading(&self) -> Option<ClipReading> {
        self.clip_reading
    }

    fn grid(&self) -> Option<Grid> {
        self.features.grid(0)
    }

    fn run(&mut self, _: &[&Encoded]) -> Result<Vec<Option<Vector>>, EmbedError> {
        self.specification.require(Modality::Text)?;
        Ok(Vec::new())
    }

    fn run_pictures(&mut self, batch: &[&Pixels]) -> Result<Vec<Option<Vector>>, EmbedError> {
        let vectors = self.features.run(batch).map_err(|reason| {
            let name = self.specification.name.clone();
            EmbedError::Failed { name, reason }
        })?;
        vectors.into_iter().flatten().map(|vector| finished(vector, self.normalizes)).collect()
    }
}

/// Returns the vector of a picture; none if it would have to have a direction and is zero.
pub(in crate::embed) fn finished(
    values: Vec<f32>,
    normalizes: bool,
) -> Result<Option<Vector>, EmbedError> {
    let is_zero = values.iter().all(|&value| value == 0.0);
    let vector = DenseVector::new(values)?;
    if !normalizes {
        return Ok(Some(vector.into()));
    }
    if is_zero { Ok(None) } else { Ok(Some(vector.normalized()?.into())) }
}
