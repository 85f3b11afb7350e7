//! Sparse vectors that a network learnt to give: a weight for each word of its vocabulary, those that the
//! text does not have included (SPLADE: Formal et al. 2021).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use super::family::Taken;
use super::padded::Padded;
use super::reader::Reader;
use super::transformer::OutputShape;
use super::weights::Weights;
use crate::embed::files::Files;
use crate::embed::tokenizer::FileTokenizer;
use crate::embed::{
    EmbedError, Embedder, Encoded, Joined, Manifest, OnnxSettings, QuestionSettings, Role,
    Specification, SpladeSettings, TextSettings, Tokenize,
};
use crate::vector::{SPARSE_ENTRIES_MAX, SparseVector, Vector};

/// The most scores that are computed at a time, one for each word at each token.
pub(in crate::embed) const SCORES_MAX: usize = 1 << 25;

/// A network that gives weights of words.
#[derive(Debug)]
pub(in crate::embed) struct Splade {
    specification: Specification,
    tokenizer: Arc<FileTokenizer>,
    reader: Reader,
    /// How scores at tokens are joined, if the network does not do that itself.
    joins: Option<SpladeSettings>,
    questions: Option<Arc<Questions>>,
}

/// What questions get in place of the network's weights.
#[derive(Debug)]
struct Questions {
    passages: Arc<FileTokenizer>,
    tokenizer: FileTokenizer,
    /// The weight of each token.
    weights: Vec<f32>,
}

/// What stands before the tokens of a question that the network is not asked about: no token's number.
const QUESTION: u32 = u32::MAX;

impl Splade {
    /// Loads the model, from a graph if one is named; the runtime is loaded already.
    pub(in crate::embed) fn load(
        manifest: &Manifest,
        text: &TextSettings,
        splade: SpladeSettings,
        onnx: Option<&OnnxSettings>,
        files: &Files,
        threads: usize,
    ) -> Result<Self, EmbedError> {
        let name = &manifest.name;
        let tokenizer = FileTokenizer::read(&files.read("tokenizer.json")?, text.clone())?;
        let (reader, joins) = match (onnx, files) {
            (None, Files::Folder(folder)) => {
                let taken = Taken::Words(splade);
                (Reader::of_weights(name, text, taken, folder, threads)?, None)
            }
            (None, Files::Program(_)) => {
                let reason = "the program carries graphs, and no weights".to_owned();
                return Err(EmbedError::Failed { name: name.clone(), reason });
            }
            (Some(onnx), files) => {
                let reader = Reader::of_graph(name, onnx, text.precision, files, threads)?;
                let joins = match reader.shape {
                    OutputShape::Tokens(_) => Some(splade),
                    OutputShape::Text(_) => None,
                };
                (reader, joins)
            }
        };
        let specification = manifest.specification();
        let tokenizer = Arc::new(tokenizer);
        Ok(Self { specification, tokenizer, reader, joins, questions: None })
    }

    /// Returns the model with a table that questions are looked up in.
    pub(in crate::embed) fn with_questions(
        self,
        settings: &QuestionSettings,
        text: &TextSettings,
        files: &Files,
    ) -> Result<Self, EmbedError> {
        let tokenizer = FileTokenizer::plain(&files.read(&settings.tokenizer)?, text.clone())?;
        let words = self.specification.dimension;
        let weights = read_table(&files.read(&settings.weights)?, &tokenizer, words);
        let path = || files.path(&settings.weights);
        let weights = weights.map_err(|reason| EmbedError::Unreadable { path: path(), reason })?;
        let passages = Arc::clone(&self.tokenizer);
        let questions = Some(Arc::new(Questions { passages, tokenizer, weights }));
        Ok(Self { questions, ..self })
    }

    fn run_group(&mut self, group: &[&Encoded]) -> Result<Vec<Option<Vector>>, EmbedError> {
        let texts = Padded::of(group);
        let [_, longest] = texts.shape;
        let values = self.reader.run(&texts)?;
        let rows = self.reader.width(&values, group.len())?;
        let words = if self.joins.is_some() { rows / longest.max(1) } else { rows };
        if words != self.specification.dimension {
            let expected = self.specification.dimension;
            return Err(self.reader.failed(&format!("expected {expected} words, got {words}")));
        }
        let texts = values.chunks_exact(rows).zip(group);
        let finish = |(values, text): (&[f32], &&Encoded)| {
            let weights = match self.joins {
                Some(settings) => joined(values, words, text.ids.len(), settings),
                None => values.to_vec(),
            };
            Ok(Some(sparse(&weights)?.into()))
        };
        texts.map(finish).collect()
    }
}

impl Embedder for Splade {
    fn specification(&self) -> &Specification {
        &self.specification
    }

    fn tokenizer(&self) -> Arc<dyn Tokenize> {
        match &self.questions {
            Some(questions) => Arc::clone(questions) as Arc<dyn Tokenize>,
            None => Arc::clone(&self.tokenizer) as Arc<dyn Tokenize>,
        }
    }

    fn run(&mut self, batch: &[&Encoded]) -> Result<Vec<Option<Vector>>, EmbedError> {
        let Some(questions) = self.questions.clone() else { return self.run_passages(batch) };
        let is_question = |text: &&&Encoded| text.ids.first() == Some(&QUESTION);
        let passages: Vec<&Encoded> =
            batch.iter().filter(|text| !is_question(text)).copied().collect();
        let mut passages = self.run_passages(&passages)?.into_iter();
        let vector = |text: &&Encoded| {
            if is_question(&text) {
                Ok(Some(questions.vector(text)?.into()))
            } else {
                Ok(passages.next().flatten())
            }
        };
        batch.iter().map(vector).collect()
    }
}

impl Splade {
    fn run_passages(&mut self, batch: &[&Encoded]) -> Result<Vec<Option<Vector>>, EmbedError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let longest = batch.iter().map(|text| text.ids.len()).max().unwrap_or(0).max(1);
        let texts = (SCORES_MAX / self.specification.dimension / longest).max(1);
        let mut vectors = Vec::with_capacity(batch.len());
        for group in batch.chunks(texts) {
            vectors.extend(self.run_group(group)?);
        }
        Ok(vectors)
    }
}

impl Questions {
    /// Each token counts once, however often it is there.
    fn vector(&self, text: &Encoded) -> Result<SparseVector, EmbedError> {
        let ids: BTreeSet<u32> = text.ids.iter().skip(1).copied().collect();
        let weight = |id: &u32| self.weights.get(*id as usize).copied().unwrap_or(0.0);
        let entries = ids.iter().map(|id| (*id, weight(id))).filter(|(_, weight)| *weight != 0.0);
        let (indices, values) = entries.unzip();
        Ok(SparseVector::new(indices, values)?)
    }
}

impl Tokenize for Questions {
    fn encode(&self, text: &str, role: Role) -> Result<Encoded, EmbedError> {
        match role {
            Role::Passage => self.passages.encode(text, role),
            Role::Query => {
                let mut encoded = self.tokenizer.encode(text, role)?;
                encoded.ids.insert(0, QUESTION);
                Ok(encoded)
            }
        }
    }

    fn token_ranges(&self, text: &str) -> Vec<Range<usize>> {
        self.passages.token_ranges(text)
    }

    fn special_tokens(&self) -> usize {
        self.passages.special_tokens()
    }
}

/// Reads a weight for each token: `weight` in safetensors, or JSON with a number for each token.
fn read_table(bytes: &[u8], tokenizer: &FileTokenizer, words: usize) -> Result<Vec<f32>, String> {
    let weights = if bytes.trim_ascii_start().first() == Some(&b'{') {
        let table: BTreeMap<String, f32> =
            serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let mut weights = vec![0.0; words];
        for (token, weight) in table {
            let id = tokenizer.id(&token).map(|id| id as usize).filter(|id| *id < words);
            let id = id.ok_or_else(|| format!("the tokenizer has no token `{token}`"))?;
            weights[id] = weight;
        }
        weights
    } else {
        let files = Weights::read([bytes]).map_err(|error| error.to_string())?;
        files.get("weight", &[words]).map_err(|error| error.to_string())?
    };
    match weights.iter().find(|weight| !weight.is_finite()) {
        Some(weight) => Err(format!("a token has the weight {weight}, expected a number")),
        None => Ok(weights),
    }
}

/// Returns the weight of each word from its scores at the first `tokens` tokens; padding follows them.
fn joined(scores: &[f32], words: usize, tokens: usize, settings: SpladeSettings) -> Vec<f32> {
    let mut weights = vec![0.0_f32; words];
    for row in scores.chunks_exact(words).take(tokens) {
        for (weight, &score) in weights.iter_mut().zip(row) {
            match settings.joined {
                Joined::Max => *weight = weight.max(score),
                Joined::Sum => *weight += settings.saturation.of(score),
            }
        }
    }
    if settings.joined == Joined::Max {
        // The logarithm keeps the order, so that it is taken once.
        weights.iter_mut().for_each(|weight| *weight = settings.saturation.of(*weight));
    }
    weights
}

/// Returns the words that have a weight; where there are too many, the heaviest.
fn sparse(weights: &[f32]) -> Result<SparseVector, EmbedError> {
    let mut entries: Vec<(u32, f32)> = (0..).zip(weights.iter().copied()).collect();
    // What is no number is refused below.
    entries.retain(|(_, weight)| *weight > 0.0 || weight.is_nan());
    if entries.len() > SPARSE_ENTRIES_MAX {
        entries.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        entries.truncate(SPARSE_ENTRIES_MAX);
    }
    let (indices, values) = entries.into_iter().unzip();
    Ok(SparseVector::new(indices, values)?)
}
