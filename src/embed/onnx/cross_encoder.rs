//! A question and a passage read together by one transformer (Nogueira and Cho 2019): how well does the
//! one answer the other? From weights of BERT and its kin with a head for sequence classification of one
//! label, or from a graph of others.

use std::path::Path;
use std::sync::Arc;

use ort::session::Session;

use super::family::{self, ATTENTION_MASK, Family, INPUT_IDS, Layers, Plan};
use super::graph::{Attribute, Graph, Value};
use super::padded::Padded;
use super::reader::graph_session;
use super::transformer::{TOKEN_TYPE_IDS, builder};
use super::weights::{ImportError, WeightFiles};
use super::{modern, pooling};
use crate::embed::files::Files;
use crate::embed::tokenizer::FileTokenizer;
use crate::embed::{
    EmbedError, Embedder, Encoded, Manifest, OnnxSettings, Pooling, Specification, TextSettings,
    Tokenize,
};
use crate::vector::{DenseVector, Vector};

/// The output, batch x 1, of graphs that are built here.
const SCORE: &str = "score";

/// A cross-encoder in a session of ONNX Runtime. What it makes of a pair is a vector of one component, the
/// label before any squashing.
#[derive(Debug)]
pub(in crate::embed) struct CrossEncoder {
    specification: Specification,
    tokenizer: Arc<FileTokenizer>,
    session: Session,
    has_types: bool,
    output: String,
    /// The token after which the passage begins.
    separator: Option<i64>,
}

impl CrossEncoder {
    /// Loads the model in a folder, from a graph if one is named; the runtime is loaded already.
    pub(in crate::embed) fn load(
        manifest: &Manifest,
        text: &TextSettings,
        onnx: Option<&OnnxSettings>,
        folder: &Path,
        threads: usize,
    ) -> Result<Self, EmbedError> {
        let name = &manifest.name;
        let failed = |reason| EmbedError::Failed { name: name.clone(), reason };
        let tokenizer = FileTokenizer::open(&folder.join("tokenizer.json"), text.clone())?;
        let (session, output) = if let Some(onnx) = onnx {
            let files = Files::Folder(folder.to_owned());
            (graph_session(onnx, text.precision, &files, threads), onnx.output.clone())
        } else {
            let graph = import(folder, text)
                .map_err(|source| EmbedError::Import { name: name.clone(), source })?;
            let session = builder(threads).and_then(|mut builder| {
                builder.commit_from_memory(&graph).map_err(|error| error.to_string())
            });
            (session, SCORE.to_owned())
        };
        let session = session.map_err(failed)?;
        let has = |wanted: &str| session.inputs().iter().any(|input| input.name() == wanted);
        let has_types = has(TOKEN_TYPE_IDS);
        Ok(Self {
            specification: manifest.specification(),
            separator: tokenizer.separator().map(i64::from),
            tokenizer: Arc::new(tokenizer),
            session,
            has_types,
            output,
        })
    }

    fn failed(&self, reason: &impl ToString) -> EmbedError {
        let name = self.specification.name.clone();
        EmbedError::Failed { name, reason: reason.to_string() }
    }
}

impl Embedder for CrossEncoder {
    fn specification(&self) -> &Specification {
        &self.specification
    }

    fn tokenizer(&self) -> Arc<dyn Tokenize> {
        Arc::clone(&self.tokenizer) as Arc<dyn Tokenize>
    }

    fn run(&mut self, batch: &[&Encoded]) -> Result<Vec<Option<Vector>>, EmbedError> {
        let pairs = Padded::of(batch);
        let [_, longest] = pairs.shape;
        let mut types = vec![0_i64; pairs.ids.len()];
        for (row, text) in batch.iter().enumerate() {
            // What follows the first separator is the passage.
            let ids = text.ids.iter().map(|&id| Some(i64::from(id)));
            let second = ids.take_while(|&id| id != self.separator).count() + 1;
            let passage = second.min(text.ids.len())..text.ids.len();
            types[row * longest..][passage].fill(1);
        }
        let mut run = || -> ort::Result<Vec<f32>> {
            let mut inputs = vec![
                pairs.input(INPUT_IDS, &pairs.ids)?,
                pairs.input(ATTENTION_MASK, &pairs.mask)?,
            ];
            if self.has_types {
                inputs.push(pairs.input(TOKEN_TYPE_IDS, &types)?);
            }
            let outputs = self.session.run(inputs)?;
            let Some(output) = outputs.get(&self.output) else { return Ok(Vec::new()) };
            Ok(output.try_extract_tensor::<f32>()?.1.to_vec())
        };
        let values = run().map_err(|error| self.failed(&error))?;
        if values.len() != batch.len() {
            let (expected, actual) = (batch.len(), values.len());
            return Err(self.failed(&format!("expected {expected} scores, got {actual}")));
        }
        values.into_iter().map(|value| Ok(Some(DenseVector::new(vec![value])?.into()))).collect()
    }
}

/// Returns the model in a folder with `config.json` and `model.safetensors` as an ONNX graph that gives a
/// score for each pair.
fn import(folder: &Path, text: &TextSettings) -> Result<Vec<u8>, ImportError> {
    let config = fs_err::read(folder.join("config.json"))?;
    let plan = Plan::read(&config, text, 1)?;
    let files = WeightFiles::read(folder)?;
    let weights = files.weights()?;
    let mut graph = Graph::default();
    let ids = graph.input(INPUT_IDS, &["batch", "tokens"]);
    let mask = graph.input(ATTENTION_MASK, &["batch", "tokens"]);
    let mask = graph.node("Cast", &[&mask], &[("to", Attribute::Integer(1))]);
    let tells_apart = plan.config.type_vocab_size > 1;
    let types = tells_apart.then(|| graph.input(TOKEN_TYPE_IDS, &["batch", "tokens"]));
    let epsilon = plan.config.epsilon();
    let precision = text.precision;
    let mut layers = Layers { weights: &weights, graph: &mut graph, epsilon, precision };
    let hidden = family::hidden(&plan, &mut layers, &ids, &mask, types.as_ref())?;
    let score = head(&plan, &mut layers, &hidden, &mask)?;
    graph.output(&score, SCORE, &["batch"], 1);
    Ok(graph.encode())
}

/// What a family makes of the vector of the first token; the newest can look at all of them.
fn head(
    plan: &Plan<'_>,
    layers: &mut Layers<'_, '_>,
    hidden: &Value,
    mask: &Value,
) -> Result<Value, ImportError> {
    let width = plan.config.hidden_size;
    if let (Family::ModernBert, Some(settings)) = (plan.family, &plan.config.modern) {
        let pooling = match settings.classifier_pooling.as_deref() {
            None | Some("cls") => Pooling::Cls,
            Some("mean") => Pooling::Mean,
            Some(other) => {
                return Err(ImportError::Setting {
                    name: "classifier_pooling",
                    actual: other.to_owned(),
                    expected: "cls or mean",
                });
            }
        };
        let vector = pooling::pool(layers.graph, hidden, mask, pooling);
        let inner = modern::head(plan, layers, &vector)?;
        return layers.linear("classifier", &inner, width, 1, 1.0);
    }
    let first = layers.graph.integer(0);
    let first = layers.graph.node("Gather", &[hidden, &first], &[("axis", Attribute::Integer(1))]);
    let (inner, bend, outer) = match plan.family {
        Family::Bert => ("pooler.dense", "Tanh", "classifier"),
        Family::Roberta | Family::Mpnet => ("classifier.dense", "Tanh", "classifier.out_proj"),
        Family::DistilBert => ("pre_classifier", "Relu", "classifier"),
        Family::ModernBert => {
            return Err(ImportError::Config("the settings of a modernbert are missing".into()));
        }
    };
    let inner = layers.linear(inner, &first, width, width, 1.0)?;
    let inner = layers.graph.node(bend, &[&inner], &[]);
    layers.linear(outer, &inner, width, 1, 1.0)
}
