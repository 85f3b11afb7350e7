use std::path::Path;
use std::sync::Arc;

use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::TensorRef;

use super::bert::{self, ATTENTION_MASK, EMBEDDING, INPUT_IDS};
use crate::embed::tokenizer::FileTokenizer;
use crate::embed::{
    EmbedError, Embedder, Encoded, Manifest, Specification, TextSettings, Tokenize,
};
use crate::vector::{DenseVector, Vector};

/// A text transformer of the BERT family in a session of ONNX Runtime.
#[derive(Debug)]
pub(in crate::embed) struct Transformer {
    specification: Specification,
    tokenizer: Arc<FileTokenizer>,
    session: Session,
}

impl Transformer {
    /// Loads the model in a folder; the runtime is loaded already.
    pub(in crate::embed) fn load(
        manifest: &Manifest,
        text: &TextSettings,
        folder: &Path,
        threads: usize,
    ) -> Result<Self, EmbedError> {
        let name = &manifest.name;
        let tokenizer = FileTokenizer::open(&folder.join("tokenizer.json"), text.clone())?;
        let graph = bert::import(folder, text.pooling)
            .map_err(|source| EmbedError::Import { name: name.clone(), source })?;
        let session = session(&graph, threads)
            .map_err(|reason| EmbedError::Failed { name: name.clone(), reason })?;
        let specification = manifest.specification();
        Ok(Self { specification, tokenizer: Arc::new(tokenizer), session })
    }

    fn failed(&self, reason: &impl ToString) -> EmbedError {
        let name = self.specification.name.clone();
        EmbedError::Failed { name, reason: reason.to_string() }
    }
}

fn session(graph: &[u8], threads: usize) -> Result<Session, String> {
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
        .map_err(said)?
        .commit_from_memory(graph)
        .map_err(|error| error.to_string())
}

impl Embedder for Transformer {
    fn specification(&self) -> &Specification {
        &self.specification
    }

    fn tokenizer(&self) -> Arc<dyn Tokenize> {
        Arc::clone(&self.tokenizer) as Arc<dyn Tokenize>
    }

    fn run(&mut self, batch: &[&Encoded]) -> Result<Vec<Option<Vector>>, EmbedError> {
        let longest = batch.iter().map(|text| text.ids.len()).max().unwrap_or(0);
        let mut ids = vec![0_i64; batch.len() * longest];
        let mut mask = vec![0_i64; batch.len() * longest];
        for (row, text) in batch.iter().enumerate() {
            for (column, &id) in text.ids.iter().enumerate() {
                ids[row * longest + column] = i64::from(id);
                mask[row * longest + column] = 1;
            }
        }
        let shape = [batch.len(), longest];
        let vectors = {
            let run = |session: &mut Session| -> ort::Result<Vec<f32>> {
                let ids = TensorRef::from_array_view((shape, ids.as_slice()))?;
                let mask = TensorRef::from_array_view((shape, mask.as_slice()))?;
                let inputs = ort::inputs![INPUT_IDS => ids, ATTENTION_MASK => mask];
                let outputs = session.run(inputs)?;
                let (_, values) = outputs[EMBEDDING].try_extract_tensor::<f32>()?;
                Ok(values.to_vec())
            };
            run(&mut self.session)
        };
        let vectors = vectors.map_err(|error| self.failed(&error))?;
        let dimension = self.specification.dimension;
        if vectors.len() != batch.len() * dimension {
            let reason =
                format!("expected {} x {dimension} components, got {}", batch.len(), vectors.len());
            return Err(self.failed(&reason));
        }
        vectors
            .chunks_exact(dimension)
            .map(|row| Ok(Some(DenseVector::new(row.to_vec())?.into())))
            .collect()
    }
}
