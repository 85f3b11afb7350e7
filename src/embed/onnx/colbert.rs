//! A vector for each token, for late interaction (ColBERT: Khattab and Zaharia 2020): what each token of a
//! question finds in a passage is decided when they meet.

use std::ops::Range;
use std::sync::Arc;

use super::dense::Dense;
use super::family::Taken;
use super::padded::Padded;
use super::reader::Reader;
use crate::embed::files::Files;
use crate::embed::tokenizer::FileTokenizer;
use crate::embed::{
    ColbertSettings, EmbedError, Embedder, Encoded, Manifest, OnnxSettings, Role, Specification,
    TextSettings, Tokenize,
};
use crate::vector::{MultiVector, Vector};

/// A network whose vectors of tokens stay apart.
#[derive(Debug)]
pub(in crate::embed) struct Colbert {
    specification: Specification,
    tokenizer: Arc<MarkingTokenizer>,
    reader: Reader,
    dense: Vec<Dense>,
    /// Tokens whose vectors are left out of a passage's, in order.
    skipped: Vec<u32>,
    attends_to_filler: bool,
}

impl Colbert {
    /// Loads the model, from a graph if one is named; the runtime is loaded already.
    pub(in crate::embed) fn load(
        manifest: &Manifest,
        text: &TextSettings,
        colbert: &ColbertSettings,
        onnx: Option<&OnnxSettings>,
        files: &Files,
        threads: usize,
    ) -> Result<Self, EmbedError> {
        let name = &manifest.name;
        let tokenizer = MarkingTokenizer::read(files, text, colbert)?;
        let reader = match (onnx, files) {
            (Some(onnx), files) => Reader::of_graph(name, onnx, text.precision, files, threads)?,
            (None, Files::Folder(folder)) => {
                Reader::of_weights(name, text, Taken::Tokens, folder, threads)?
            }
            (None, Files::Program(_)) => {
                let reason = "the program carries graphs, and no weights".to_owned();
                return Err(EmbedError::Failed { name: name.clone(), reason });
            }
        };
        let ids = colbert.skipped.iter().filter_map(|token| tokenizer.passage.id(token));
        let mut skipped: Vec<u32> = ids.collect();
        skipped.sort_unstable();
        Ok(Self {
            specification: manifest.specification(),
            tokenizer: Arc::new(tokenizer),
            reader,
            dense: Dense::read_all(&text.dense, files, name)?,
            skipped,
            attends_to_filler: colbert.attends_to_filler,
        })
    }

    fn vector(&self, rows: &[f32], width: usize, text: &Encoded) -> Result<Vector, EmbedError> {
        let dimension = self.specification.dimension;
        let is_question = self.tokenizer.is_question(text);
        let mut kept = Vec::with_capacity(text.ids.len() * dimension);
        for (row, id) in rows.chunks_exact(width).zip(&text.ids) {
            if !is_question && self.skipped.binary_search(id).is_ok() {
                continue;
            }
            let mut vector = row.to_vec();
            for layer in &self.dense {
                vector = layer.apply(&vector);
            }
            kept.extend_from_slice(vector.get(..dimension).unwrap_or_default());
        }
        Ok(MultiVector::new(dimension, kept)?.normalized()?.into())
    }
}

impl Embedder for Colbert {
    fn specification(&self) -> &Specification {
        &self.specification
    }

    fn tokenizer(&self) -> Arc<dyn Tokenize> {
        Arc::clone(&self.tokenizer) as Arc<dyn Tokenize>
    }

    fn run(&mut self, batch: &[&Encoded]) -> Result<Vec<Option<Vector>>, EmbedError> {
        let mut texts = Padded::of(batch);
        let [_, longest] = texts.shape;
        if !self.attends_to_filler {
            for (row, text) in batch.iter().enumerate() {
                let filled = self.tokenizer.filled(text);
                texts.mask[row * longest..][filled].fill(0);
            }
        }
        let values = self.reader.run(&texts)?;
        let width = self.reader.width(&values, batch.len() * longest)?;
        let read = self.dense.first().map_or(width, Dense::from);
        let given = self.dense.last().map_or(width, Dense::to);
        let dimension = self.specification.dimension;
        if read != width || given < dimension {
            let reason = format!("expected {dimension} components of a token, got {width}");
            return Err(self.reader.failed(&reason));
        }
        let rows = values.chunks_exact(longest * width).zip(batch);
        rows.map(|(rows, text)| Ok(Some(self.vector(rows, width, text)?))).collect()
    }
}

/// Marks texts as questions or passages, and fills questions up.
#[derive(Debug)]
struct MarkingTokenizer {
    question: FileTokenizer,
    passage: FileTokenizer,
    question_marker: u32,
    passage_marker: u32,
    /// What questions are filled up with, and to how many tokens.
    filler: Option<(u32, usize)>,
}

impl MarkingTokenizer {
    fn read(
        files: &Files,
        text: &TextSettings,
        colbert: &ColbertSettings,
    ) -> Result<Self, EmbedError> {
        let bytes = files.read("tokenizer.json")?;
        // There is to be room for the marker.
        let cut = |tokens: usize| TextSettings { tokens_max: tokens - 1, ..text.clone() };
        let question = FileTokenizer::read(&bytes, cut(colbert.query_tokens_max))?;
        let passage = FileTokenizer::read(&bytes, cut(text.tokens_max))?;
        let id = |token: &String| {
            passage.id(token).ok_or_else(|| EmbedError::Unreadable {
                path: files.path("tokenizer.json"),
                reason: format!("it has no token `{token}`"),
            })
        };
        let filler = colbert.filler.as_ref().map(id).transpose()?;
        Ok(Self {
            question_marker: id(&colbert.query_marker)?,
            passage_marker: id(&colbert.passage_marker)?,
            filler: filler.map(|filler| (filler, colbert.query_tokens_max)),
            question,
            passage,
        })
    }

    fn is_question(&self, text: &Encoded) -> bool {
        text.ids.get(1) == Some(&self.question_marker)
    }

    /// Returns which tokens of a text it was filled up with: those after its last special token.
    fn filled(&self, text: &Encoded) -> Range<usize> {
        let end = text.ids.len();
        match self.filler {
            Some((filler, _)) if self.is_question(text) => {
                let count = text.ids.iter().rev().take_while(|&&id| id == filler).count();
                end - count..end
            }
            Some(_) | None => end..end,
        }
    }
}

impl Tokenize for MarkingTokenizer {
    fn encode(&self, text: &str, role: Role) -> Result<Encoded, EmbedError> {
        let (tokenizer, marker) = match role {
            Role::Query => (&self.question, self.question_marker),
            Role::Passage => (&self.passage, self.passage_marker),
        };
        let mut encoded = tokenizer.encode(text, role)?;
        encoded.ids.insert(1.min(encoded.ids.len()), marker);
        if let (Role::Query, Some((filler, tokens))) = (role, self.filler)
            && encoded.ids.len() < tokens
        {
            encoded.ids.resize(tokens, filler);
        }
        Ok(encoded)
    }

    fn token_ranges(&self, text: &str) -> Vec<Range<usize>> {
        self.passage.token_ranges(text)
    }

    fn special_tokens(&self) -> usize {
        self.passage.special_tokens() + 1
    }
}
