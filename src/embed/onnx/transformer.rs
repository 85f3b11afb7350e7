use std::path::Path;
use std::sync::Arc;

use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::ValueType;

use super::dense::Dense;
use super::family::Taken;
use super::padded::Padded;
use super::reader::Reader;
use crate::embed::files::Files;
use crate::embed::tokenizer::FileTokenizer;
use crate::embed::{
    EmbedError, Embedder, Encoded, Manifest, OnnxSettings, Pooling, Specification, TextSettings,
    Tokenize,
};
use crate::vector::{DenseVector, Vector};

/// The input that says of which type each token is: the first one, where a text stands alone.
pub(super) const TOKEN_TYPE_IDS: &str = "token_type_ids";

/// A text transformer in a session of ONNX Runtime.
#[derive(Debug)]
pub(in crate::embed) struct Transformer {
    specification: Specification,
    tokenizer: Arc<FileTokenizer>,
    reader: Reader,
    finish: Finish,
}

/// What is to be done with the output of the graph.
#[derive(Debug)]
enum Finish {
    /// Nothing: it is the vector.
    Nothing,
    /// It is joined, if it is of tokens, goes through layers, and is cut.
    All { pooling: Option<Pooling>, dense: Vec<Dense>, normalizes: bool },
}

/// The shape of an output of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::embed) enum OutputShape {
    /// A vector for each token; how wide, if the graph says so.
    Tokens(Option<usize>),
    /// A vector for each text; how wide, if the graph says so.
    Text(Option<usize>),
}

impl Transformer {
    /// Loads the model in a folder from its weights; the runtime is loaded already.
    pub(in crate::embed) fn of_weights(
        manifest: &Manifest,
        text: &TextSettings,
        folder: &Path,
        threads: usize,
    ) -> Result<Self, EmbedError> {
        let taken =
            if text.dense.is_empty() { Taken::Text(manifest.dimension) } else { Taken::Pooled };
        Self::taking(taken, manifest, text, folder, threads)
    }

    /// Loads the model in a folder from its weights, for whoever asks for the vectors of its tokens: they
    /// are joined here and not in the graph. The runtime is loaded already.
    pub(in crate::embed) fn of_weights_by_tokens(
        manifest: &Manifest,
        text: &TextSettings,
        folder: &Path,
        threads: usize,
    ) -> Result<Self, EmbedError> {
        Self::taking(Taken::Tokens, manifest, text, folder, threads)
    }

    fn taking(
        taken: Taken,
        manifest: &Manifest,
        text: &TextSettings,
        folder: &Path,
        threads: usize,
    ) -> Result<Self, EmbedError> {
        let name = &manifest.name;
        let tokenizer = FileTokenizer::open(&folder.join("tokenizer.json"), text.clone())?;
        let dense = Dense::read_all(&text.dense, &Files::Folder(folder.to_owned()), name)?;
        let pooling = (taken == Taken::Tokens).then_some(text.pooling);
        let finish = match taken {
            Taken::Text(_) => Finish::Nothing,
            Taken::Pooled | Taken::Tokens | Taken::Words(_) => {
                Finish::All { pooling, dense, normalizes: text.normalize }
            }
        };
        Ok(Self {
            specification: manifest.specification(),
            tokenizer: Arc::new(tokenizer),
            reader: Reader::of_weights(name, text, taken, folder, threads)?,
            finish,
        })
    }

    /// Loads a model from its graph; the runtime is loaded already.
    pub(in crate::embed) fn of_graph(
        manifest: &Manifest,
        text: &TextSettings,
        onnx: &OnnxSettings,
        files: &Files,
        threads: usize,
    ) -> Result<Self, EmbedError> {
        let tokenizer = FileTokenizer::read(&files.read("tokenizer.json")?, text.clone())?;
        let dense = Dense::read_all(&text.dense, files, &manifest.name)?;
        let reader = Reader::of_graph(&manifest.name, onnx, text.precision, files, threads)?;
        let pooling = match reader.shape {
            OutputShape::Tokens(_) => Some(text.pooling),
            OutputShape::Text(_) => None,
        };
        Ok(Self {
            specification: manifest.specification(),
            tokenizer: Arc::new(tokenizer),
            reader,
            finish: Finish::All { pooling, dense, normalizes: text.normalize },
        })
    }

    /// Returns how the vectors of tokens are joined here; none where the graph gives one of the text.
    pub(in crate::embed) fn pooling(&self) -> Option<Pooling> {
        match &self.finish {
            Finish::Nothing => None,
            Finish::All { pooling, .. } => *pooling,
        }
    }

    /// Returns the tokenizer, for whoever asks where tokens stand.
    pub(in crate::embed) fn file_tokenizer(&self) -> Arc<FileTokenizer> {
        Arc::clone(&self.tokenizer)
    }

    /// Returns the vectors of the tokens of each text, row by row, padding left out.
    ///
    /// # Errors
    /// [`EmbedError`] (internal) if the network fails, or gives one of the text.
    pub(in crate::embed) fn states(
        &mut self,
        batch: &[&Encoded],
    ) -> Result<Vec<Vec<f32>>, EmbedError> {
        let texts = Padded::of(batch);
        let [_, longest] = texts.shape;
        let values = self.reader.run(&texts)?;
        let rows = self.reader.width(&values, batch.len())?;
        let width = self.width(rows, longest)?;
        let rows = values.chunks_exact(rows).zip(batch);
        Ok(rows.map(|(rows, text)| rows[..text.ids.len() * width].to_vec()).collect())
    }

    /// Returns the vector of the tokens whose vectors these are, row by row, as if they were a text.
    ///
    /// # Errors
    /// [`EmbedError`] (internal) if they make no vector.
    pub(in crate::embed) fn joined(
        &self,
        rows: &[f32],
        tokens: usize,
    ) -> Result<Vector, EmbedError> {
        let (pooling, dense, normalizes) = match &self.finish {
            Finish::Nothing => (None, &[][..], false),
            Finish::All { pooling, dense, normalizes } => (*pooling, &dense[..], *normalizes),
        };
        let mut vector = match pooling {
            Some(pooling) => pooled(rows, rows.len() / tokens.max(1), tokens, pooling),
            None => rows.to_vec(),
        };
        for layer in dense {
            vector = layer.apply(&vector);
        }
        vector.truncate(self.specification.dimension);
        let vector = DenseVector::new(vector)?;
        Ok(if normalizes { vector.normalized()? } else { vector }.into())
    }

    /// Returns how wide the vectors are that are joined, if a text has a row of `row` components for its
    /// `longest` tokens.
    fn width(&self, row: usize, longest: usize) -> Result<usize, EmbedError> {
        let dimension = self.specification.dimension;
        let (pooling, dense) = match &self.finish {
            Finish::Nothing => (None, &[][..]),
            Finish::All { pooling, dense, .. } => (*pooling, &dense[..]),
        };
        let width = if pooling.is_some() { row / longest.max(1) } else { row };
        let read = dense.first().map_or(width, Dense::from);
        let given = dense.last().map_or(width, Dense::to);
        if given < dimension || read != width || width == 0 {
            let reason = format!("expected {dimension} components, got {width}");
            return Err(self.reader.failed(&reason));
        }
        Ok(width)
    }

    /// Returns the outputs of the graph in a file, for whoever adds a model.
    pub(in crate::embed) fn outputs(
        file: &Path,
    ) -> Result<Vec<(String, Result<OutputShape, String>)>, String> {
        let session = builder(1)?.commit_from_file(file).map_err(|error| error.to_string())?;
        let names = session.outputs().iter().map(|output| output.name().to_owned());
        Ok(names.map(|name| (name.clone(), output_shape(&session, &name))).collect())
    }
}

pub(super) fn output_shape(session: &Session, name: &str) -> Result<OutputShape, String> {
    let outputs = session.outputs();
    let Some(output) = outputs.iter().find(|output| output.name() == name) else {
        let known: Vec<&str> = outputs.iter().map(|output| output.name()).collect();
        return Err(format!("its graph has no output `{name}`, it has {}", known.join(", ")));
    };
    let width = |length: i64| usize::try_from(length).ok().filter(|length| *length > 0);
    match output.dtype() {
        ValueType::Tensor { shape, .. } => match shape[..] {
            [_, _, length] => Ok(OutputShape::Tokens(width(length))),
            [_, length] => Ok(OutputShape::Text(width(length))),
            _ => Err(format!("output `{name}` has {} dimensions, expected 2 or 3", shape.len())),
        },
        _ => Err(format!("output `{name}` is no tensor")),
    }
}

pub(super) fn builder(threads: usize) -> Result<SessionBuilder, String> {
    // An arena keeps its high-water mark, and a memory pattern is kept for each shape it meets.
    let processor = ort::ep::CPU::default().with_arena_allocator(false).build();
    let environment = super::runtime::environment().ok_or("ONNX Runtime is not loaded")?;
    let builder = Session::builder(environment).map_err(|error| error.to_string())?;
    let said = |error: ort::Error<SessionBuilder>| error.to_string();
    builder
        .with_optimization_level(GraphOptimizationLevel::Level3)
        .map_err(said)?
        .with_intra_threads(threads)
        .map_err(said)?
        .with_memory_pattern(false)
        .map_err(said)?
        .with_intra_op_spinning(false)
        .map_err(said)?
        .with_execution_providers([processor])
        .map_err(said)
}

impl Embedder for Transformer {
    fn specification(&self) -> &Specification {
        &self.specification
    }

    fn tokenizer(&self) -> Arc<dyn Tokenize> {
        Arc::clone(&self.tokenizer) as Arc<dyn Tokenize>
    }

    fn run(&mut self, batch: &[&Encoded]) -> Result<Vec<Option<Vector>>, EmbedError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let texts = Padded::of(batch);
        let [_, longest] = texts.shape;
        let values = self.reader.run(&texts)?;
        let rows = self.reader.width(&values, batch.len())?;
        let width = self.width(rows, longest)?;
        let read = |text: &Encoded| match self.pooling() {
            Some(_) => text.ids.len() * width,
            None => width,
        };
        let texts = values.chunks_exact(rows).zip(batch);
        let joined = texts.map(|(values, text)| self.joined(&values[..read(text)], text.ids.len()));
        joined.map(|vector| vector.map(Some)).collect()
    }
}

/// Returns the vector of a text from those of its `tokens`, rows of `width`.
fn pooled(values: &[f32], width: usize, tokens: usize, pooling: Pooling) -> Vec<f32> {
    let rows = || values.chunks_exact(width).take(tokens);
    let weighted = |weight: &dyn Fn(usize) -> f32, divisor: f32| {
        let mut sum = vec![0.0; width];
        for (place, row) in rows().enumerate() {
            let weight = weight(place);
            sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value);
        }
        sum.iter_mut().for_each(|sum| *sum /= divisor);
        sum
    };
    let count = tokens as f32;
    match pooling {
        Pooling::Cls => values[..width].to_vec(),
        Pooling::Last => values[(tokens.max(1) - 1) * width..][..width].to_vec(),
        Pooling::Mean => weighted(&|_| 1.0, count),
        Pooling::MeanSqrt => weighted(&|_| 1.0, count.sqrt()),
        Pooling::WeightedMean => weighted(&|place| (place + 1) as f32, count * (count + 1.0) / 2.0),
        Pooling::Max => {
            let mut most = vec![f32::MIN; width];
            for row in rows() {
                most.iter_mut().zip(row).for_each(|(most, value)| *most = most.max(*value));
            }
            most
        }
    }
}
