use std::sync::Arc;

use ort::session::Session;
use ort::value::TensorRef;

use super::network::{NoText, finished};
use super::prune::{Cut, INPUT, feature_name};
use super::reduce::{Given, reduce};
use super::transformer::builder;
use crate::embed::image::{ImageSettings, Layout, Pixels, Preprocess, Preprocessor, Reduction};
use crate::embed::video::{ClipReading, FrameSettings, Stacked};
use crate::embed::{EmbedError, Embedder, Encoded, Manifest, Modality, Specification, Tokenize};
use crate::vector::Vector;

/// A network that reads the frames of a clip at once, of the kin of `VideoMAE` (Tong et al. 2022) and
/// `ViViT` (Arnab et al. 2021), in a session of ONNX Runtime.
#[derive(Debug)]
pub(in crate::embed) struct VideoNetwork {
    specification: Specification,
    preprocessor: Arc<Stacked>,
    reading: ClipReading,
    network: Clips,
}

/// The network itself.
#[derive(Debug)]
struct Clips {
    session: Session,
    /// Frames, channels, rows and columns of a clip.
    shape: [usize; 4],
    /// How many clips it reads at a time, if that is fixed.
    batch: Option<usize>,
    pooling: Reduction,
}

impl VideoNetwork {
    /// Loads the network of a graph and looks at a black clip with it; the runtime is loaded already.
    pub(in crate::embed) fn open(
        manifest: &Manifest,
        image: &ImageSettings,
        frames: &FrameSettings,
        graph: &[u8],
        threads: usize,
    ) -> Result<Self, EmbedError> {
        let failed = |reason| EmbedError::Failed { name: manifest.name.clone(), reason };
        let (network, actual) = Clips::open(graph, image, frames, threads).map_err(failed)?;
        let expected = manifest.dimension;
        if actual != expected {
            let layer = &frames.layer;
            return Err(failed(format!("expected {expected} components of {layer}, got {actual}")));
        }
        let preprocessor = Stacked::of(Preprocessor::of(image.clone()), frames.count);
        Ok(Self {
            specification: manifest.specification(),
            preprocessor: Arc::new(preprocessor),
            reading: frames.reading(),
            network,
        })
    }

    /// Returns how many components the vectors of a graph have.
    pub(in crate::embed) fn dimension(
        graph: &[u8],
        image: &ImageSettings,
        frames: &FrameSettings,
        threads: usize,
    ) -> Result<usize, String> {
        Clips::open(graph, image, frames, threads).map(|(_, dimension)| dimension)
    }
}

impl Clips {
    /// Returns the network, and how many components its vectors have.
    fn open(
        graph: &[u8],
        image: &ImageSettings,
        frames: &FrameSettings,
        threads: usize,
    ) -> Result<(Self, usize), String> {
        if image.layout != Layout::Nchw {
            return Err("a network of clips reads channel by channel".to_owned());
        }
        let (graph, asked) = Cut::read(graph)?.features(&[frames.layer.as_str()])?;
        let (height, width) = (image.height as usize, image.width as usize);
        let shape = [frames.count, image.channels.count(), height, width];
        let given: Vec<Option<usize>> = asked.dimensions.iter().skip(1).copied().collect();
        let fits = given.iter().zip(&shape).all(|(given, here)| given.is_none_or(|it| it == *here));
        if given.len() != shape.len() || !fits {
            let length =
                |length: &Option<usize>| length.map_or("any".to_owned(), |it| it.to_string());
            let actual: Vec<String> = asked.dimensions.iter().map(length).collect();
            let expected = shape.map(|length| length.to_string()).join(" x ");
            let (name, actual) = (&asked.name, actual.join(" x "));
            return Err(format!(
                "its input `{name}` is {actual}, expected any x {expected}: clips, frames, channels, \
                 rows and columns"
            ));
        }
        let session = builder(threads)?.commit_from_memory(&graph).map_err(|e| e.to_string())?;
        let batch = asked.dimensions.first().copied().flatten();
        let mut network = Self { session, shape, batch, pooling: frames.pooling };
        let black = Pixels {
            height: frames.count * height,
            width,
            values: vec![0.0; shape.iter().product()],
        };
        let vectors = network.run(&[&black])?;
        let dimension = vectors.first().map_or(0, Vec::len);
        Ok((network, dimension))
    }

    /// Returns the vector of each clip as it comes out.
    fn run(&mut self, batch: &[&Pixels]) -> Result<Vec<Vec<f32>>, String> {
        let [frames, channels, height, width] = self.shape;
        let size: usize = self.shape.iter().product();
        let mut vectors = Vec::with_capacity(batch.len());
        for group in batch.chunks(self.batch.unwrap_or(batch.len()).max(1)) {
            let mut values: Vec<f32> = Vec::with_capacity(group.len() * size);
            for pixels in group {
                if pixels.values.len() != size {
                    let actual = pixels.values.len();
                    return Err(format!("expected {size} values of a clip, got {actual}"));
                }
                values.extend_from_slice(&pixels.values);
            }
            let count = self.batch.unwrap_or(group.len());
            // The places that a graph of a fixed batch has left over are black.
            values.resize(count * size, 0.0);
            let mut run = || -> ort::Result<(Vec<usize>, Vec<f32>)> {
                let shape = [count, frames, channels, height, width];
                let input = TensorRef::from_array_view((shape, &values[..]))?;
                let outputs = self.session.run(ort::inputs![INPUT => input])?;
                let name = feature_name(0);
                let (shape, values) = outputs[name.as_str()].try_extract_tensor::<f32>()?;
                let shape = shape.iter().map(|&length| usize::try_from(length).unwrap_or(0));
                Ok((shape.collect(), values.to_vec()))
            };
            let (dimensions, values) = run().map_err(|error| error.to_string())?;
            if dimensions.first() != Some(&count) || dimensions.len() < 2 {
                return Err(format!(
                    "its output is {dimensions:?} for {count} clips, expected the clips first"
                ));
            }
            let given = Given::of(&dimensions[1..], Layout::Nchw)?;
            let one = dimensions[1..].iter().product::<usize>().max(1);
            for values in values.chunks_exact(one).take(group.len()) {
                vectors.push(reduce(values, given, Layout::Nchw, self.pooling)?);
            }
        }
        Ok(vectors)
    }
}

impl Embedder for VideoNetwork {
    fn specification(&self) -> &Specification {
        &self.specification
    }

    fn tokenizer(&self) -> Arc<dyn Tokenize> {
        Arc::new(NoText(self.specification.clone()))
    }

    fn preprocessor(&self) -> Option<Arc<dyn Preprocess>> {
        Some(Arc::clone(&self.preprocessor) as Arc<dyn Preprocess>)
    }

    fn clip_reading(&self) -> Option<ClipReading> {
        Some(self.reading)
    }

    fn run(&mut self, _: &[&Encoded]) -> Result<Vec<Option<Vector>>, EmbedError> {
        self.specification.require(Modality::Text)?;
        Ok(Vec::new())
    }

    fn run_pictures(&mut self, batch: &[&Pixels]) -> Result<Vec<Option<Vector>>, EmbedError> {
        let vectors = self.network.run(batch).map_err(|reason| {
            let name = self.specification.name.clone();
            EmbedError::Failed { name, reason }
        })?;
        vectors.into_iter().map(|vector| finished(vector, true)).collect()
    }
}
