use std::path::Path;

use ort::session::Session;

use super::eight_bits::in_eight_bits;
use super::family::{ATTENTION_MASK, EMBEDDING, INPUT_IDS, Taken, import};
use super::network::graph_bytes;
use super::padded::Padded;
use super::transformer::{OutputShape, TOKEN_TYPE_IDS, builder, output_shape};
use crate::embed::files::Files;
use crate::embed::{EmbedError, OnnxSettings, Precision, TextSettings};

/// Returns a session over a graph, whose products with weights are computed in these numbers.
pub(super) fn graph_session(
    onnx: &OnnxSettings,
    precision: Precision,
    files: &Files,
    threads: usize,
) -> Result<Session, String> {
    let said = |error: ort::Error| error.to_string();
    let mut builder = builder(threads)?;
    let graph = match files {
        // Weights may lie in files beside the graph.
        Files::Folder(folder) if precision == Precision::Single => {
            return builder.commit_from_file(folder.join(&onnx.file)).map_err(said);
        }
        Files::Folder(folder) => graph_bytes(&folder.join(&onnx.file))?.into(),
        Files::Program(_) => files.read(&onnx.file).map_err(|error| error.to_string())?,
    };
    let graph = match precision {
        Precision::Single => graph,
        Precision::Int8 => in_eight_bits(&graph)?.into(),
    };
    builder.commit_from_memory(&graph).map_err(said)
}

/// A network that reads tokens, in a session of ONNX Runtime.
#[derive(Debug)]
pub(super) struct Reader {
    name: String,
    session: Session,
    has_types: bool,
    output: String,
    /// What its output is said to be.
    pub(super) shape: OutputShape,
}

impl Reader {
    /// Loads the network in a folder from its weights; the runtime is loaded already.
    pub(super) fn of_weights(
        name: &str,
        text: &TextSettings,
        taken: Taken,
        folder: &Path,
        threads: usize,
    ) -> Result<Self, EmbedError> {
        let failed = |reason| EmbedError::Failed { name: name.to_owned(), reason };
        let graph = import(folder, text, taken)
            .map_err(|source| EmbedError::Import { name: name.to_owned(), source })?;
        let session = builder(threads)
            .and_then(|mut builder| {
                builder.commit_from_memory(&graph).map_err(|error| error.to_string())
            })
            .map_err(failed)?;
        Self::over(name, session, EMBEDDING).map_err(failed)
    }

    /// Loads a network from its graph; the runtime is loaded already.
    pub(super) fn of_graph(
        name: &str,
        onnx: &OnnxSettings,
        precision: Precision,
        files: &Files,
        threads: usize,
    ) -> Result<Self, EmbedError> {
        let failed = |reason| EmbedError::Failed { name: name.to_owned(), reason };
        let session = graph_session(onnx, precision, files, threads).map_err(failed)?;
        Self::over(name, session, &onnx.output).map_err(failed)
    }

    fn over(name: &str, session: Session, output: &str) -> Result<Self, String> {
        let mut has_types = false;
        for input in session.inputs() {
            match input.name() {
                INPUT_IDS | ATTENTION_MASK => {}
                TOKEN_TYPE_IDS => has_types = true,
                other => {
                    return Err(format!(
                        "its graph asks for `{other}`, expected {INPUT_IDS}, {ATTENTION_MASK} and \
                         perhaps {TOKEN_TYPE_IDS}"
                    ));
                }
            }
        }
        let shape = output_shape(&session, output)?;
        let (name, output) = (name.to_owned(), output.to_owned());
        Ok(Self { name, session, has_types, output, shape })
    }

    /// Returns what comes out for some texts, row by row.
    pub(super) fn run(&mut self, texts: &Padded) -> Result<Vec<f32>, EmbedError> {
        let types = self.has_types.then(|| vec![0_i64; texts.ids.len()]);
        let mut run = || -> ort::Result<Vec<f32>> {
            let mut inputs = vec![
                texts.input(INPUT_IDS, &texts.ids)?,
                texts.input(ATTENTION_MASK, &texts.mask)?,
            ];
            if let Some(types) = &types {
                inputs.push(texts.input(TOKEN_TYPE_IDS, types)?);
            }
            let outputs = self.session.run(inputs)?;
            let (_, values) = outputs[self.output.as_str()].try_extract_tensor::<f32>()?;
            Ok(values.to_vec())
        };
        run().map_err(|error| self.failed(&error))
    }

    /// Returns how wide the rows are that came out for so many texts or tokens.
    pub(super) fn width(&self, values: &[f32], rows: usize) -> Result<usize, EmbedError> {
        let width = values.len().checked_div(rows).unwrap_or(0);
        if width == 0 || width * rows != values.len() {
            let reason = format!("expected {rows} rows, got {} components", values.len());
            return Err(self.failed(&reason));
        }
        Ok(width)
    }

    pub(super) fn failed(&self, reason: &impl ToString) -> EmbedError {
        EmbedError::Failed { name: self.name.clone(), reason: reason.to_string() }
    }
}
