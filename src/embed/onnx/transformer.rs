use std::path::Path;
use std::sync::Arc;

use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::ValueType;

use super::family::{self, ATTENTION_MASK, EMBEDDING, INPUT_IDS};
use super::padded::Padded;
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
    session: Session,
    has_types: bool,
    finish: Finish,
}

/// What is to be done with the output of the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Finish {
    /// Nothing: it is the vector.
    Nothing,
    /// It comes from a graph of others, under this name.
    Theirs { output: String, pooling: Option<Pooling>, normalizes: bool },
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
        let name = &manifest.name;
        let tokenizer = FileTokenizer::open(&folder.join("tokenizer.json"), text.clone())?;
        let graph = family::import(folder, text, manifest.dimension)
            .map_err(|source| EmbedError::Import { name: name.clone(), source })?;
        let session = builder(threads)
            .and_then(|mut builder| {
                builder.commit_from_memory(&graph).map_err(|error| error.to_string())
            })
            .map_err(|reason| EmbedError::Failed { name: name.clone(), reason })?;
        Ok(Self {
            specification: manifest.specification(),
            tokenizer: Arc::new(tokenizer),
            session,
            has_types: false,
            finish: Finish::Nothing,
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
        let failed = |reason| EmbedError::Failed { name: manifest.name.clone(), reason };
        let tokenizer = FileTokenizer::read(&files.read("tokenizer.json")?, text.clone())?;
        let mut builder = builder(threads).map_err(failed)?;
        let session = match files {
            // Weights may lie in files beside the graph.
            Files::Folder(folder) => builder.commit_from_file(folder.join(&onnx.file)),
            Files::Program(_) => builder.commit_from_memory(&files.read(&onnx.file)?),
        };
        let session = session.map_err(|error| failed(error.to_string()))?;
        let mut has_types = false;
        for input in session.inputs() {
            match input.name() {
                INPUT_IDS | ATTENTION_MASK => {}
                TOKEN_TYPE_IDS => has_types = true,
                other => {
                    return Err(failed(format!(
                        "its graph asks for `{other}`, expected {INPUT_IDS}, {ATTENTION_MASK} and \
                         perhaps {TOKEN_TYPE_IDS}"
                    )));
                }
            }
        }
        let shape = output_shape(&session, &onnx.output).map_err(failed)?;
        let pooling = match shape {
            OutputShape::Tokens(_) => Some(text.pooling),
            OutputShape::Text(_) => None,
        };
        let (output, normalizes) = (onnx.output.clone(), text.normalize);
        Ok(Self {
            specification: manifest.specification(),
            tokenizer: Arc::new(tokenizer),
            session,
            has_types,
            finish: Finish::Theirs { output, pooling, normalizes },
        })
    }

    /// Returns the outputs of the graph in a file, for whoever adds a model.
    pub(in crate::embed) fn outputs(
        file: &Path,
    ) -> Result<Vec<(String, Result<OutputShape, String>)>, String> {
        let session = builder(1)?.commit_from_file(file).map_err(|error| error.to_string())?;
        let names = session.outputs().iter().map(|output| output.name().to_owned());
        Ok(names.map(|name| (name.clone(), output_shape(&session, &name))).collect())
    }

    fn failed(&self, reason: &impl ToString) -> EmbedError {
        let name = self.specification.name.clone();
        EmbedError::Failed { name, reason: reason.to_string() }
    }
}

fn output_shape(session: &Session, name: &str) -> Result<OutputShape, String> {
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
        let texts = Padded::of(batch);
        let [_, longest] = texts.shape;
        let types = self.has_types.then(|| vec![0_i64; texts.ids.len()]);
        let output = match &self.finish {
            Finish::Nothing => EMBEDDING,
            Finish::Theirs { output, .. } => output,
        };
        let values = {
            let run = |session: &mut Session| -> ort::Result<Vec<f32>> {
                let mut inputs = vec![
                    texts.input(INPUT_IDS, &texts.ids)?,
                    texts.input(ATTENTION_MASK, &texts.mask)?,
                ];
                if let Some(types) = &types {
                    inputs.push(texts.input(TOKEN_TYPE_IDS, types)?);
                }
                let outputs = session.run(inputs)?;
                let (_, values) = outputs[output].try_extract_tensor::<f32>()?;
                Ok(values.to_vec())
            };
            run(&mut self.session)
        };
        let values = values.map_err(|error| self.failed(&error))?;
        let dimension = self.specification.dimension;
        match &self.finish {
            Finish::Nothing if values.len() == batch.len() * dimension => values
                .chunks_exact(dimension)
                .map(|row| Ok(Some(DenseVector::new(row.to_vec())?.into())))
                .collect(),
            Finish::Theirs { pooling, normalizes, .. } if !batch.is_empty() => {
                let rows = values.len() / batch.len();
                let width = if pooling.is_some() { rows / longest.max(1) } else { rows };
                if width < dimension || width == 0 {
                    let reason = format!("expected {dimension} components, got {width}");
                    return Err(self.failed(&reason));
                }
                let texts = values.chunks_exact(rows).zip(batch);
                let finish = |(values, text): (&[f32], &&Encoded)| {
                    let mut vector = match pooling {
                        Some(pooling) => pooled(values, width, text.ids.len(), *pooling),
                        None => values.to_vec(),
                    };
                    vector.truncate(dimension);
                    let vector = DenseVector::new(vector)?;
                    let vector = if *normalizes { vector.normalized()? } else { vector };
                    Ok(Some(vector.into()))
                };
                texts.map(finish).collect()
            }
            Finish::Nothing | Finish::Theirs { .. } => {
                let expected = batch.len();
                let reason =
                    format!("expected {expected} x {dimension} components, got {}", values.len());
                Err(self.failed(&reason))
            }
        }
    }
}

/// Returns the vector of a text from those of its `tokens` first rows of `width`; padding follows them.
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
