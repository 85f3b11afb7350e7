//! A long text as the mean of the vectors of its pieces, by a model that reads one of them at a time: what
//! stands behind the first window of the model counts too.

use std::ops::Range;
use std::sync::Arc;

use icu_segmenter::options::SentenceBreakInvariantOptions;
use icu_segmenter::{SentenceSegmenter, SentenceSegmenterBorrowed};
use serde::{Deserialize, Serialize};

use super::worker::{BATCH_TOKENS, cheapest};
use super::{
    EmbedError, Embedder, Encoded, Manifest, Modality, Role, Specification, TEXT_BYTES_MAX,
    Tokenize,
};
use crate::vector::{Form, Metric, Vector};

/// What stands between the tokens of two pieces: no token's number.
const BORDER: u32 = u32::MAX;
/// The most tokens of a text.
const TOKENS_MAX: usize = 8_192;

/// What a text is cut into. Persisted by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Piece {
    /// As many sentences as the model reads at once: less work, and each is read in its context.
    #[default]
    Window,
    /// Each sentence by itself.
    Sentence,
}

/// How much each piece counts. Persisted by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PieceWeight {
    /// As many times as it has tokens.
    #[default]
    Tokens,
    /// Once.
    Uniform,
}

/// How the vectors of the pieces become one, by which model. The table `document` of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentSettings {
    /// The name of the model that reads the pieces.
    pub model: String,
    /// The fingerprint of that model, 64 hexadecimal digits: another one would make other vectors.
    pub model_fingerprint: String,
    /// What a text is cut into.
    #[serde(default)]
    pub piece: Piece,
    /// How much each counts.
    #[serde(default)]
    pub weight: PieceWeight,
    /// The most tokens of a text.
    #[serde(default = "usual_tokens_max")]
    pub tokens_max: usize,
}

fn usual_tokens_max() -> usize {
    TOKENS_MAX
}

impl DocumentSettings {
    /// Returns the usual settings over a model.
    pub fn over(model: &Specification) -> Self {
        Self {
            model: model.name.clone(),
            model_fingerprint: model.fingerprint.to_string(),
            piece: Piece::default(),
            weight: PieceWeight::default(),
            tokens_max: TOKENS_MAX,
        }
    }

    /// Returns what is wrong with the settings, if something is.
    pub(super) fn check(&self) -> Result<(), String> {
        if !(8..=TOKENS_MAX).contains(&self.tokens_max) {
            return Err(format!("tokens_max is {}, expected 8 to {TOKENS_MAX}", self.tokens_max));
        }
        Ok(())
    }
}

/// A model whose texts are longer than those of the model inside.
#[derive(Debug)]
pub(super) struct Document {
    specification: Specification,
    weight: PieceWeight,
    tokenizer: Arc<PieceTokenizer>,
    inner: Box<dyn Embedder>,
}

impl Document {
    /// Puts long texts on top of the model that the manifest names.
    pub(super) fn over(
        manifest: &Manifest,
        settings: &DocumentSettings,
        inner: Box<dyn Embedder>,
    ) -> Result<Self, EmbedError> {
        let specification = inner.specification().clone();
        specification.require(Modality::Text)?;
        let failed = |reason| Err(EmbedError::Failed { name: manifest.name.clone(), reason });
        let (name, form) = (&specification.name, specification.form);
        let (expected, actual) =
            (&settings.model_fingerprint, specification.fingerprint.to_string());
        if *expected != actual {
            return failed(format!(
                "expected its model {name} with the fingerprint {expected}, got {actual}"
            ));
        }
        if form != Form::Dense || specification.dimension != manifest.dimension {
            let (expected, actual) = (manifest.dimension, specification.dimension);
            return failed(format!(
                "expected dense vectors of {expected} components of its model {name}, got {} of \
                 {actual}",
                form.name()
            ));
        }
        let tokenizer = PieceTokenizer::new(inner.tokenizer(), specification.tokens_max, settings);
        Ok(Self {
            specification: manifest.specification(),
            weight: settings.weight,
            tokenizer: Arc::new(tokenizer),
            inner,
        })
    }

    /// Returns the vectors of pieces, in order: neighbours in length are read together.
    fn read(&mut self, pieces: &[Encoded]) -> Result<Vec<Option<Vector>>, EmbedError> {
        let mut order: Vec<usize> = (0..pieces.len()).collect();
        order.sort_by_key(|&place| pieces[place].ids.len());
        let mut vectors = vec![None; pieces.len()];
        let lengths: Vec<usize> = order.iter().map(|&place| pieces[place].ids.len()).collect();
        let mut rest = &order[..];
        for count in cheapest(&lengths, BATCH_TOKENS) {
            let (batch, after) = rest.split_at(count);
            let encoded: Vec<&Encoded> = batch.iter().map(|&place| &pieces[place]).collect();
            for (&place, vector) in batch.iter().zip(self.inner.run(&encoded)?) {
                vectors[place] = vector;
            }
            rest = after;
        }
        Ok(vectors)
    }

    /// Returns the mean of the vectors of the pieces, of length one where the metric looks at directions
    /// only; none where no piece has a vector.
    fn mean(&self, pieces: &[(Option<Vector>, usize)]) -> Result<Option<Vector>, EmbedError> {
        let mut sum = vec![0.0_f32; self.specification.dimension];
        let mut total = 0.0;
        for (vector, tokens) in pieces {
            let Some(vector) = vector.as_ref().and_then(Vector::as_dense) else { continue };
            let weight = match self.weight {
                PieceWeight::Tokens => *tokens as f32,
                PieceWeight::Uniform => 1.0,
            };
            total += weight;
            for (sum, value) in sum.iter_mut().zip(vector.as_slice()) {
                *sum += weight * value;
            }
        }
        if total == 0.0 {
            return Ok(None);
        }
        sum.iter_mut().for_each(|value| *value /= total);
        super::onnx::finished(sum, self.specification.metric == Metric::Cosine)
    }
}

impl Embedder for Document {
    fn specification(&self) -> &Specification {
        &self.specification
    }

    fn tokenizer(&self) -> Arc<dyn Tokenize> {
        Arc::clone(&self.tokenizer) as Arc<dyn Tokenize>
    }

    fn run(&mut self, batch: &[&Encoded]) -> Result<Vec<Option<Vector>>, EmbedError> {
        let special = self.tokenizer.inner.special_tokens();
        let mut pieces = Vec::new();
        let mut counts = Vec::with_capacity(batch.len());
        for text in batch {
            let before = pieces.len();
            pieces.extend(
                text.ids
                    .split(|id| *id == BORDER)
                    .filter(|ids| !ids.is_empty())
                    .map(|ids| Encoded { ids: ids.to_vec(), truncated: false }),
            );
            counts.push(pieces.len() - before);
        }
        let vectors = self.read(&pieces)?;
        let tokens = pieces.iter().map(|piece| piece.ids.len().saturating_sub(special).max(1));
        let mut read = vectors.into_iter().zip(tokens);
        let texts = counts.into_iter();
        let texts: Vec<Vec<_>> = texts.map(|count| read.by_ref().take(count).collect()).collect();
        texts.iter().map(|pieces| self.mean(pieces)).collect()
    }
}

/// Cuts texts into pieces, and pieces into the tokens of the model inside.
struct PieceTokenizer {
    inner: Arc<dyn Tokenize>,
    /// How many tokens a piece has at most, without special ones.
    room: usize,
    piece: Piece,
    tokens_max: usize,
    segmenter: SentenceSegmenterBorrowed<'static>,
}

impl std::fmt::Debug for PieceTokenizer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PieceTokenizer").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl PieceTokenizer {
    fn new(inner: Arc<dyn Tokenize>, tokens_max: usize, settings: &DocumentSettings) -> Self {
        // What a passage is prefixed with takes its place.
        let empty = inner.encode("", Role::Passage).map_or(0, |encoded| encoded.ids.len());
        let room = tokens_max.saturating_sub(empty.max(inner.special_tokens())).max(1);
        let segmenter = SentenceSegmenter::new(SentenceBreakInvariantOptions::default());
        let DocumentSettings { piece, tokens_max, .. } = *settings;
        Self { inner, room, piece, tokens_max, segmenter }
    }

    /// Returns the bytes of each piece, and whether the text is longer than what is read.
    fn pieces(&self, text: &str) -> (Vec<Range<usize>>, bool) {
        let mut tokens = self.inner.token_ranges(text);
        let is_cut = tokens.len() > self.tokens_max;
        tokens.truncate(self.tokens_max);
        // Runs of tokens: a sentence, or as much of one as there is room for.
        let mut runs: Vec<Range<usize>> = Vec::new();
        let mut from = 0;
        for end in self.segmenter.segment_str(text) {
            let to = from + tokens[from..].partition_point(|token| token.start < end);
            runs.extend(
                (from..to).step_by(self.room).map(|start| start..(start + self.room).min(to)),
            );
            from = to;
        }
        if self.piece == Piece::Window {
            runs = joined(runs, self.room);
        }
        let bytes = |run: Range<usize>| {
            let start = tokens.get(run.start)?.start;
            // A token of a sign that is no letter of its own may end before another one does.
            let end = tokens.get(run).into_iter().flatten().map(|token| token.end).max()?;
            text.get(start..end).map(|_| start..end)
        };
        (runs.into_iter().filter_map(bytes).collect(), is_cut)
    }
}

/// Returns neighbours together while they have at most so many tokens.
fn joined(runs: Vec<Range<usize>>, most: usize) -> Vec<Range<usize>> {
    let mut joined: Vec<Range<usize>> = Vec::new();
    for run in runs {
        match joined.last_mut() {
            Some(last) if run.end - last.start <= most => last.end = run.end,
            Some(_) | None => joined.push(run),
        }
    }
    joined
}

impl Tokenize for PieceTokenizer {
    fn encode(&self, text: &str, role: Role) -> Result<Encoded, EmbedError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(EmbedError::TextTooLong { actual: text.len(), most: TEXT_BYTES_MAX });
        }
        // A question is read as a whole by the model that is asked.
        if role == Role::Query {
            return self.inner.encode(text, role);
        }
        let (pieces, truncated) = self.pieces(text);
        let mut ids = Vec::new();
        for piece in pieces {
            if !ids.is_empty() {
                ids.push(BORDER);
            }
            ids.extend(self.inner.encode(&text[piece], role)?.ids);
        }
        if ids.is_empty() {
            ids = self.inner.encode("", role)?.ids;
        }
        Ok(Encoded { ids, truncated })
    }

    fn token_ranges(&self, text: &str) -> Vec<Range<usize>> {
        self.inner.token_ranges(text)
    }

    fn special_tokens(&self) -> usize {
        self.inner.special_tokens()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::DenseVector;

    /// A model that knows words by their first letter: a component for each of a to d.
    #[derive(Debug)]
    struct Letters(Specification);

    #[derive(Debug)]
    struct LetterTokenizer;

    impl Tokenize for LetterTokenizer {
        fn encode(&self, text: &str, _: Role) -> Result<Encoded, EmbedError> {
            let letters = text.split_whitespace().filter_map(|word| word.bytes().next());
            let mut ids: Vec<u32> = letters.take(4).map(u32::from).collect();
            ids.insert(0, 0);
            Ok(Encoded { ids, truncated: false })
        }

        fn token_ranges(&self, text: &str) -> Vec<Range<usize>> {
            let start = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
            text.split_whitespace().map(|word| start(word)..start(word) + word.len()).collect()
        }

        fn special_tokens(&self) -> usize {
            1
        }
    }

    impl Embedder for Letters {
        fn specification(&self) -> &Specification {
            &self.0
        }

        fn tokenizer(&self) -> Arc<dyn Tokenize> {
            Arc::new(LetterTokenizer)
        }

        fn run(&mut self, batch: &[&Encoded]) -> Result<Vec<Option<Vector>>, EmbedError> {
            let vector = |text: &&Encoded| {
                assert!(text.ids.len() <= 5, "a piece is too long: {text:?}");
                let mut counts = vec![0.0; 4];
                for id in text.ids.iter().filter(|id| **id > 0) {
                    counts[(*id - u32::from(b'a')) as usize] += 1.0;
                }
                if counts == [0.0; 4] {
                    return Ok(None);
                }
                Ok(Some(DenseVector::new(counts)?.normalized()?.into()))
            };
            batch.iter().map(vector).collect()
        }
    }

    fn document(piece: Piece, weight: PieceWeight) -> Document {
        let manifest = "schema = 1\nname = \"letters\"\nkind = \"static-text\"\ndescription = \"\"\n\
            licence = \"CC0-1.0\"\ndimension = 4\nmetric = \"cosine\"\n\n[text]\ntokens_max = 8\n\
            pooling = \"mean\"\n";
        let manifest = Manifest::parse(manifest, "letters").unwrap();
        let inner = Specification { tokens_max: 5, ..manifest.specification() };
        let settings = DocumentSettings { piece, weight, ..DocumentSettings::over(&inner) };
        Document::over(&manifest, &settings, Box::new(Letters(inner))).unwrap()
    }

    fn vector(model: &mut Document, text: &str) -> Option<Vec<f32>> {
        let encoded = model.tokenizer().encode(text, Role::Passage).unwrap();
        let vector = model.run(&[&encoded]).unwrap().remove(0);
        vector.map(|vector| vector.as_dense().unwrap().as_slice().to_vec())
    }

    fn unit(values: [f32; 4]) -> Option<Vec<f32>> {
        let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
        Some(values.iter().map(|value| value / length).collect())
    }

    #[track_caller]
    fn assert_same(ours: Option<Vec<f32>>, expected: Option<Vec<f32>>) {
        let (ours, expected) = (ours.unwrap(), expected.unwrap());
        let differs = ours.iter().zip(&expected).any(|(a, b)| (a - b).abs() > 1e-6);
        assert!(!differs, "{ours:?}, expected {expected:?}");
    }

    #[test]
    fn a_text_is_the_explicit_mean_of_its_pieces() {
        // Three sentences of one, two and five words; the last is longer than a piece.
        let text = "a! b b! c c c d d";
        let root = 0.5_f32.sqrt();
        let mut sentences = document(Piece::Sentence, PieceWeight::Uniform);
        let last = [3.0 / 10.0_f32.sqrt(), 1.0 / 10.0_f32.sqrt()];
        assert_same(vector(&mut sentences, text), unit([1.0, 1.0, last[0], last[1] + 1.0]));
        let mut weighted = document(Piece::Sentence, PieceWeight::Tokens);
        assert_same(
            vector(&mut weighted, text),
            unit([1.0, 2.0, 4.0 * last[0], 4.0 * last[1] + 1.0]),
        );
        // Windows of at most four words: the first two sentences, and then the last in two.
        let mut windows = document(Piece::Window, PieceWeight::Uniform);
        let first = [1.0 / 5.0_f32.sqrt(), 2.0 / 5.0_f32.sqrt()];
        assert_same(vector(&mut windows, text), unit([first[0], first[1], last[0], last[1] + 1.0]));
        // One piece is the vector of the model inside.
        assert_same(vector(&mut windows, "a b"), Some(vec![root, root, 0.0, 0.0]));
        assert_eq!(vector(&mut windows, ""), None);
    }

    #[test]
    fn texts_in_a_batch_keep_their_pieces_apart_and_a_question_is_read_at_once() {
        let mut model = document(Piece::Sentence, PieceWeight::Uniform);
        let tokenizer = model.tokenizer();
        let texts = ["a! b! c!", "", "d d d", "b b b b b b! a"];
        let encoded: Vec<Encoded> =
            texts.iter().map(|text| tokenizer.encode(text, Role::Passage).unwrap()).collect();
        let batch: Vec<&Encoded> = encoded.iter().collect();
        let together = model.run(&batch).unwrap();
        for (text, together) in texts.iter().zip(together) {
            let together = together.map(|vector| vector.as_dense().unwrap().as_slice().to_vec());
            assert_eq!(together, vector(&mut model, text), "{text}");
        }
        let question = tokenizer.encode("a! b! c! d! a", Role::Query).unwrap();
        assert!(!question.ids.contains(&BORDER));
        assert!(encoded[0].ids.contains(&BORDER));
    }

    #[test]
    fn a_text_that_is_too_long_says_so_and_another_model_inside_is_refused() {
        let model = document(Piece::Window, PieceWeight::Tokens);
        let long = "a b c d ".repeat(TOKENS_MAX / 4);
        assert!(!model.tokenizer().encode(&long, Role::Passage).unwrap().truncated);
        let longer = format!("{long} a");
        assert!(model.tokenizer().encode(&longer, Role::Passage).unwrap().truncated);
        let Document { specification, inner, .. } = model;
        let settings = DocumentSettings {
            model_fingerprint: "0".repeat(64),
            ..DocumentSettings::over(inner.specification())
        };
        let manifest = format!(
            "schema = 1\nname = \"long\"\nkind = \"document\"\ndescription = \"\"\nlicence = \
             \"CC0-1.0\"\ndimension = 4\nmetric = \"cosine\"\n\n[document]\nmodel = \"{}\"\n\
             model_fingerprint = \"{}\"\n",
            specification.name, settings.model_fingerprint
        );
        let manifest = Manifest::parse(&manifest, "long").unwrap();
        let error = Document::over(&manifest, &settings, inner).unwrap_err();
        assert!(error.to_string().contains("expected its model letters"), "{error}");
    }
}
