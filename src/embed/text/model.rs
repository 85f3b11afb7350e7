//! The models of this folder as embedders: what their manifests say, their files, and how a text
//! becomes a vector.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::files::{read_vector, write_vector};
use super::{
    Averaging, FastText, FormatError, Frequencies, ParagraphRows, ParagraphSettings, Paragraphs,
    Power, Segmentation, Topics, Vocabulary, Weighting, WordTable, WordVectors, Words,
};
use crate::embed::{
    EmbedError, Embedder, Encoded, Manifest, Role, Specification, TEXT_BYTES_MAX, Tokenize,
};
use crate::vector::{DenseVector, Vector, VectorError};

/// The most tokens of a text that these models read.
pub const TOKENS_MAX: usize = 1 << 16;

/// The vectors of the words, in the binary form of word2vec.
pub(in crate::embed) const WORDS_FILE: &str = "words.bin";
/// The vectors of the words and their n-grams, as fastText writes them.
pub(in crate::embed) const FASTTEXT_FILE: &str = "fasttext.bin";
/// How often the words occur in the corpus.
pub(in crate::embed) const FREQUENCIES_FILE: &str = "frequencies.json";
/// What all texts of the corpus have in common.
pub(in crate::embed) const COMMON_FILE: &str = "common.json";
/// For each word how many of its occurrences belong to each topic, in the binary form of word2vec.
pub(in crate::embed) const TOPICS_FILE: &str = "topics.bin";
/// The output rows of Doc2Vec, in the binary form of word2vec.
pub(in crate::embed) const OUTPUT_FILE: &str = "output.bin";
/// What stands beyond the ends of a text, among the words of Doc2Vec. No word of a text holds `<`.
const BEYOND: &str = "</s>";
/// Set on the first row of a word, so that a list of rows falls into words.
const FIRST_ROW: u32 = 1 << 31;

/// How a text becomes words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WordSettings {
    /// What counts as a word.
    pub segmentation: Segmentation,
    /// Whether words are in lower case and in the compatibility form of Unicode (NFKC).
    pub is_folded: bool,
}

impl Default for WordSettings {
    fn default() -> Self {
        Self { segmentation: Segmentation::default(), is_folded: true }
    }
}

impl WordSettings {
    /// Returns what cuts texts so.
    pub fn words(&self) -> Words {
        Words::new(self.segmentation, self.is_folded)
    }
}

/// How the vectors of the words become that of a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AverageSettings {
    /// How much each word counts.
    pub weighting: Weighting,
    /// Which means are concatenated.
    pub powers: Vec<Power>,
    /// Whether what all texts of the corpus have in common is taken out.
    pub without_common: bool,
}

impl Default for AverageSettings {
    fn default() -> Self {
        let weighting = Weighting::Sif { a: 1e-3 };
        Self { weighting, powers: vec![Power::Mean], without_common: true }
    }
}

impl AverageSettings {
    /// Returns what is wrong with the settings, if something is.
    pub(in crate::embed) fn check(&self) -> Result<(), String> {
        let Self { weighting, powers, .. } = self;
        Averaging::new(*weighting, powers.clone(), Frequencies::default()).map(drop)
    }
}

/// What was assumed before the corpus was seen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicSettings {
    /// How many words of a text each topic has before it is seen.
    pub alpha: f64,
    /// How many of each word each topic had before the corpus was seen.
    pub beta: f64,
}

impl TopicSettings {
    /// Returns what is wrong with the settings, if something is.
    pub(in crate::embed) fn check(&self) -> Result<(), String> {
        for (name, value) in [("alpha", self.alpha), ("beta", self.beta)] {
            if !(value.is_finite() && value > 0.0) {
                return Err(format!("{name} is {value}, expected more than 0"));
            }
        }
        Ok(())
    }
}

/// A model of this folder behind the trait that all models share.
#[derive(Debug)]
pub(in crate::embed) struct TextModel {
    specification: Specification,
    knowledge: Arc<Knowledge>,
}

/// What the tokenizer and the model both look into.
#[derive(Debug)]
struct Knowledge {
    words: Words,
    method: KnownMethod,
}

#[derive(Debug)]
enum KnownMethod {
    Table { table: WordTable, averaging: Averaging, weights: Vec<f32> },
    FastText { model: FastText, averaging: Averaging, weights: Vec<f32>, unseen: f32 },
    Topics(Topics),
    Paragraphs(Paragraphs),
}

impl TextModel {
    /// Loads the averaged word vectors in a folder.
    pub(in crate::embed) fn word_vectors(
        manifest: &Manifest,
        words: &WordSettings,
        average: &AverageSettings,
        folder: &Path,
    ) -> Result<Self, EmbedError> {
        let table = WordTable::read(&folder.join(WORDS_FILE))?;
        let averaging = read_averaging(folder, average, table.dimension())?;
        let weights = table.vocabulary().words().map(|word| averaging.weight(word)).collect();
        let dimension = averaging.dimension(table.dimension());
        let method = KnownMethod::Table { table, averaging, weights };
        Self::new(manifest, words, method, dimension, &folder.join(WORDS_FILE))
    }

    /// Loads the averaged vectors of words and n-grams in a folder.
    pub(in crate::embed) fn fast_text(
        manifest: &Manifest,
        words: &WordSettings,
        average: &AverageSettings,
        folder: &Path,
    ) -> Result<Self, EmbedError> {
        let path = folder.join(FASTTEXT_FILE);
        let model = FastText::read(&path)?;
        let rows = model.vocabulary().len() + model.settings().subwords.buckets;
        if rows >= FIRST_ROW as usize {
            let reason = format!("{rows} rows, at most {FIRST_ROW} are supported");
            return Err(EmbedError::Unreadable { path, reason });
        }
        let averaging = read_averaging(folder, average, model.dimension())?;
        let weights = model.vocabulary().words().map(|word| averaging.weight(word)).collect();
        // No word of a text is empty, so this is the weight of one that the corpus did not have.
        let unseen = averaging.weight("");
        let dimension = averaging.dimension(model.dimension());
        let method = KnownMethod::FastText { model, averaging, weights, unseen };
        Self::new(manifest, words, method, dimension, &path)
    }

    /// Loads the topics in a folder.
    pub(in crate::embed) fn topics(
        manifest: &Manifest,
        words: &WordSettings,
        settings: &TopicSettings,
        folder: &Path,
    ) -> Result<Self, EmbedError> {
        let path = folder.join(TOPICS_FILE);
        let topics = Topics::new(WordTable::read(&path)?, settings.alpha, settings.beta)
            .map_err(|reason| EmbedError::Unreadable { path: path.clone(), reason })?;
        let dimension = topics.len();
        Self::new(manifest, words, KnownMethod::Topics(topics), dimension, &path)
    }

    /// Loads what finds the vectors of documents in a folder.
    pub(in crate::embed) fn paragraphs(
        manifest: &Manifest,
        words: &WordSettings,
        settings: &ParagraphSettings,
        folder: &Path,
    ) -> Result<Self, EmbedError> {
        let path = folder.join(OUTPUT_FILE);
        let paragraphs = read_paragraphs(settings, folder)?
            .map_err(|reason| EmbedError::Unreadable { path: path.clone(), reason })?;
        let dimension = paragraphs.dimension();
        Self::new(manifest, words, KnownMethod::Paragraphs(paragraphs), dimension, &path)
    }

    fn new(
        manifest: &Manifest,
        words: &WordSettings,
        method: KnownMethod,
        dimension: usize,
        path: &Path,
    ) -> Result<Self, EmbedError> {
        if dimension != manifest.dimension {
            let reason = format!("expected dimension {}, got {dimension}", manifest.dimension);
            return Err(EmbedError::Unreadable { path: path.to_owned(), reason });
        }
        let knowledge = Arc::new(Knowledge { words: words.words(), method });
        Ok(Self { specification: manifest.specification(), knowledge })
    }
}

/// Writes how word vectors are averaged into the folder of a model, and returns the names of the files.
pub(in crate::embed) fn write_averaging(
    averaging: &Averaging,
    folder: &Path,
) -> Result<Vec<String>, FormatError> {
    averaging.frequencies().write(&folder.join(FREQUENCIES_FILE))?;
    let mut files = vec![FREQUENCIES_FILE.to_owned()];
    if let Some(common) = averaging.common() {
        write_vector(&folder.join(COMMON_FILE), common)?;
        files.push(COMMON_FILE.to_owned());
    }
    Ok(files)
}

fn read_averaging(
    folder: &Path,
    settings: &AverageSettings,
    dimension: usize,
) -> Result<Averaging, EmbedError> {
    let path = folder.join(FREQUENCIES_FILE);
    let frequencies = Frequencies::read(&path)?;
    let averaging = Averaging::new(settings.weighting, settings.powers.clone(), frequencies)
        .map_err(|reason| EmbedError::Unreadable { path, reason })?;
    let common = folder.join(COMMON_FILE);
    if !settings.without_common {
        return Ok(averaging);
    }
    let common = read_vector(&common, averaging.dimension(dimension))?;
    Ok(averaging.without_common(common))
}

/// Writes what finds the vectors of documents into the folder of a model, and returns the names of the
/// files.
pub(in crate::embed) fn write_paragraphs(
    paragraphs: &Paragraphs,
    folder: &Path,
) -> Result<Vec<String>, EmbedError> {
    let ParagraphRows { words, output } = paragraphs.rows();
    let mut vocabulary = output.vocabulary().clone();
    vocabulary.add(BEYOND, 0);
    let path = folder.join(WORDS_FILE);
    let words = WordTable::new(vocabulary, paragraphs.dimension(), words)
        .map_err(|reason| EmbedError::Unreadable { path: path.clone(), reason })?;
    words.write_binary(&path)?;
    output.write_binary(&folder.join(OUTPUT_FILE))?;
    let texts_with = vec![0; output.vocabulary().len()];
    let frequencies = Frequencies { words: output.vocabulary().clone(), texts_with, texts: 0 };
    frequencies.write(&folder.join(FREQUENCIES_FILE))?;
    Ok([WORDS_FILE, OUTPUT_FILE, FREQUENCIES_FILE].map(str::to_owned).to_vec())
}

fn read_paragraphs(
    settings: &ParagraphSettings,
    folder: &Path,
) -> Result<Result<Paragraphs, String>, FormatError> {
    let words = WordTable::read(&folder.join(WORDS_FILE))?;
    let output = WordTable::read(&folder.join(OUTPUT_FILE))?;
    let frequencies = Frequencies::read(&folder.join(FREQUENCIES_FILE))?;
    let vocabulary: Vocabulary = frequencies.words;
    let are_same = vocabulary.words().eq(output.vocabulary().words());
    let is_beyond_last = words.vocabulary().words().last() == Some(BEYOND);
    if !are_same || !is_beyond_last || words.vocabulary().len() != vocabulary.len() + 1 {
        return Ok(Err("its words are not those of the other files".into()));
    }
    let dimension = words.dimension();
    let output = WordTable::new(vocabulary, output.dimension(), output.values().to_vec());
    Ok(output.and_then(|output| {
        Paragraphs::new(*settings, dimension, ParagraphRows { words: words.into_values(), output })
    }))
}

impl Knowledge {
    /// Adds the token ids of a word; none if it is unknown.
    fn add_ids(&self, word: &str, ids: &mut Vec<u32>) {
        match &self.method {
            KnownMethod::Table { table, .. } => ids.extend(table.vocabulary().id(word)),
            KnownMethod::Topics(topics) => ids.extend(topics.vocabulary().id(word)),
            KnownMethod::Paragraphs(paragraphs) => ids.extend(paragraphs.vocabulary().id(word)),
            KnownMethod::FastText { model, .. } => {
                let first = ids.len();
                match model.vocabulary().id(word) {
                    Some(id) => ids.push(id),
                    None => ids.extend(model.rows_of_unknown(word)),
                }
                if let Some(id) = ids.get_mut(first) {
                    *id |= FIRST_ROW;
                }
            }
        }
    }

    /// Returns the vector of a text from its token ids, not of length one.
    fn vector(&self, ids: &[u32]) -> Option<Vec<f32>> {
        match &self.method {
            KnownMethod::Table { table, averaging, weights } => {
                let mut means = averaging.means(table.dimension());
                for &id in ids {
                    means.add(table.row(id), weights[id as usize]);
                }
                averaging.finish(means)
            }
            KnownMethod::FastText { model, averaging, weights, unseen } => {
                let mut means = averaging.means(model.dimension());
                let mut row = vec![0.0; model.dimension()];
                for word in ids.chunk_by(|_, next| next & FIRST_ROW == 0) {
                    row.fill(0.0);
                    let first = word[0] & !FIRST_ROW;
                    match weights.get(first as usize) {
                        Some(&weight) => {
                            model.add_known(first, &mut row);
                            means.add(&row, weight);
                        }
                        None => {
                            let rows = word.iter().map(|id| id & !FIRST_ROW);
                            model.add_mean(rows, &mut row);
                            means.add(&row, *unseen);
                        }
                    }
                }
                averaging.finish(means)
            }
            KnownMethod::Topics(topics) => topics.shares(ids),
            KnownMethod::Paragraphs(paragraphs) => paragraphs.vector(ids),
        }
    }
}

impl Embedder for TextModel {
    fn specification(&self) -> &Specification {
        &self.specification
    }

    fn tokenizer(&self) -> Arc<dyn Tokenize> {
        Arc::clone(&self.knowledge) as Arc<dyn Tokenize>
    }

    /// Returns the vectors; none for a text of which no word is known.
    fn run(&mut self, batch: &[&Encoded]) -> Result<Vec<Option<Vector>>, EmbedError> {
        let vector = |text: &&Encoded| {
            let Some(values) = self.knowledge.vector(&text.ids) else { return Ok(None) };
            match DenseVector::new(values)?.normalized() {
                Ok(vector) => Ok(Some(vector.into())),
                Err(VectorError::Zero) => Ok(None),
                Err(error) => Err(error.into()),
            }
        };
        batch.iter().map(vector).collect()
    }
}

impl Tokenize for Knowledge {
    fn encode(&self, text: &str, _role: Role) -> Result<Encoded, EmbedError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(EmbedError::TextTooLong { actual: text.len(), most: TEXT_BYTES_MAX });
        }
        let mut ids = Vec::new();
        for word in self.words.of(text) {
            let before = ids.len();
            self.add_ids(&word, &mut ids);
            if ids.len() > TOKENS_MAX {
                ids.truncate(before);
                return Ok(Encoded { ids, truncated: true });
            }
        }
        Ok(Encoded { ids, truncated: false })
    }

    fn token_ranges(&self, text: &str) -> Vec<Range<usize>> {
        self.words.ranges(text).collect()
    }

    fn special_tokens(&self) -> usize {
        0
    }
}
