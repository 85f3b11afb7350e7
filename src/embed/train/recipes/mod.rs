//! The trainers as recipes: from a corpus of texts to the files of a model.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    Architecture, GloveOptions, ParagraphOptions, Run, TokenCorpus, TokenCorpusBuilder,
    TopicOptions, TrainError, WordOptions, fit_averaging, train_glove, train_paragraphs,
    train_subwords, train_topics, train_words,
};
use crate::embed::text::{
    AverageSettings, FASTTEXT_FILE, FastText, ParagraphKind, Subwords, TOPICS_FILE, TopicSettings,
    WORDS_FILE, WordSettings, WordTable, WordVectors, write_averaging, write_paragraphs,
};
use crate::embed::{EmbedError, Fitted, Method, Training};
use crate::vector::Metric;

/// How often the progress of reading is told, in texts.
const TOLD_EVERY: u64 = 1_024;

/// Which words a model learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VocabularyLimits {
    /// What counts as a word.
    pub words: WordSettings,
    /// Words that occur less often are left out.
    pub count_min: u64,
    /// At most so many words are kept, the most frequent.
    pub words_max: usize,
}

impl Default for VocabularyLimits {
    fn default() -> Self {
        Self { words: WordSettings::default(), count_min: 5, words_max: 2_000_000 }
    }
}

/// Word2Vec, and the mean of its vectors.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Word2VecRecipe {
    /// Which words are learnt.
    pub vocabulary: VocabularyLimits,
    /// How they are learnt.
    pub training: WordOptions,
    /// How they become the vector of a text.
    pub average: AverageSettings,
}

/// fastText, and the mean of its vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FastTextRecipe {
    /// Which words are learnt.
    pub vocabulary: VocabularyLimits,
    /// How they are learnt.
    pub training: WordOptions,
    /// The fewest characters of an n-gram.
    pub gram_min: usize,
    /// The most characters of an n-gram.
    pub gram_max: usize,
    /// How many rows the n-grams share.
    pub buckets: usize,
    /// How they become the vector of a text.
    pub average: AverageSettings,
}

impl Default for FastTextRecipe {
    /// The defaults of fastText, but with 200,000 buckets instead of two million: a collection has far
    /// fewer n-grams than the web, and every bucket takes a row on disk and in memory.
    fn default() -> Self {
        Self {
            vocabulary: VocabularyLimits::default(),
            training: WordOptions { rate_first: 0.05, sample: 1e-4, ..WordOptions::default() },
            gram_min: 3,
            gram_max: 6,
            buckets: 200_000,
            average: AverageSettings::default(),
        }
    }
}

/// GloVe, and the mean of its vectors.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GloveRecipe {
    /// Which words are learnt.
    pub vocabulary: VocabularyLimits,
    /// How they are learnt.
    pub training: GloveOptions,
    /// How they become the vector of a text.
    pub average: AverageSettings,
}

/// The mean of word vectors that are there already.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AverageRecipe {
    /// A file of word vectors: word2vec, GloVe or fastText.
    pub vectors: PathBuf,
    /// What counts as a word.
    pub words: WordSettings,
    /// How they become the vector of a text.
    pub average: AverageSettings,
}

/// Latent Dirichlet allocation.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LdaRecipe {
    /// Which words are learnt.
    pub vocabulary: VocabularyLimits,
    /// How the topics are found.
    pub training: TopicOptions,
    /// Words that are in a larger share of the texts belong to no topic; 1 for none.
    pub share_max: Share,
}

/// A share of the texts, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Share(pub f64);

impl Default for Share {
    fn default() -> Self {
        Self(0.5)
    }
}

/// Doc2Vec.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Doc2VecRecipe {
    /// Which words are learnt.
    pub vocabulary: VocabularyLimits,
    /// How vectors are learnt.
    pub training: ParagraphOptions,
}

impl Word2VecRecipe {
    /// Trains the model and writes its files.
    ///
    /// # Errors
    /// As [`Recipe::fit`](crate::embed::Recipe::fit).
    pub(in crate::embed) fn fit(
        &self,
        training: &Training<'_>,
        folder: &Path,
    ) -> Result<Fitted, EmbedError> {
        const NAME: &str = "Word2Vec";
        let corpus = read(training, &self.vocabulary, NAME)?;
        let table = train_words(&corpus, &self.training, run(training)).map_err(unfit(NAME))?;
        let how = match self.training.architecture {
            Architecture::SkipGram => "Word2Vec, skip-gram",
            Architecture::Cbow => "Word2Vec, CBOW",
        };
        let (words, average) = (self.vocabulary.words, &self.average);
        fitted_table(&table, &corpus, words, average, how, training, folder)
    }
}

impl GloveRecipe {
    /// As [`Word2VecRecipe::fit`].
    pub(in crate::embed) fn fit(
        &self,
        training: &Training<'_>,
        folder: &Path,
    ) -> Result<Fitted, EmbedError> {
        const NAME: &str = "GloVe";
        let corpus = read(training, &self.vocabulary, NAME)?;
        let table = train_glove(&corpus, &self.training, run(training)).map_err(unfit(NAME))?;
        let (words, average) = (self.vocabulary.words, &self.average);
        fitted_table(&table, &corpus, words, average, NAME, training, folder)
    }
}

impl FastTextRecipe {
    /// As [`Word2VecRecipe::fit`].
    pub(in crate::embed) fn fit(
        &self,
        training: &Training<'_>,
        folder: &Path,
    ) -> Result<Fitted, EmbedError> {
        const NAME: &str = "fastText";
        let corpus = read(training, &self.vocabulary, NAME)?;
        let subwords =
            Subwords { shortest: self.gram_min, longest: self.gram_max, buckets: self.buckets };
        let model = train_subwords(&corpus, &self.training, subwords, run(training))
            .map_err(unfit(NAME))?;
        let (words, average) = (self.vocabulary.words, &self.average);
        fitted_fast_text(&model, &corpus, words, average, NAME, training, folder)
    }
}

impl AverageRecipe {
    /// As [`Word2VecRecipe::fit`].
    pub(in crate::embed) fn fit(
        &self,
        training: &Training<'_>,
        folder: &Path,
    ) -> Result<Fitted, EmbedError> {
        let limits = VocabularyLimits { words: self.words, count_min: 1, ..Default::default() };
        let corpus = read(training, &limits, "averaging")?;
        let how = self.vectors.file_name().unwrap_or_default().to_string_lossy().into_owned();
        (training.progress)(&format!("reading {how}"), 0, None);
        let (words, average) = (self.words, &self.average);
        if FastText::is_model(&self.vectors)? {
            let model = FastText::read(&self.vectors)?;
            return fitted_fast_text(&model, &corpus, words, average, &how, training, folder);
        }
        let table = WordTable::read(&self.vectors)?;
        fitted_table(&table, &corpus, words, average, &how, training, folder)
    }
}

impl LdaRecipe {
    /// As [`Word2VecRecipe::fit`].
    pub(in crate::embed) fn fit(
        &self,
        training: &Training<'_>,
        folder: &Path,
    ) -> Result<Fitted, EmbedError> {
        const NAME: &str = "LDA";
        let corpus = read(training, &self.vocabulary, NAME)?;
        let corpus = corpus.without_common(self.share_max.0).map_err(unfit(NAME))?;
        let topics = train_topics(&corpus, &self.training, run(training)).map_err(unfit(NAME))?;
        topics.counts().write_binary(&folder.join(TOPICS_FILE))?;
        let (alpha, beta) = topics.priors();
        let method =
            Method::Lda { words: self.vocabulary.words, topics: TopicSettings { alpha, beta } };
        Ok(fitted(method, topics.len(), vec![TOPICS_FILE.to_owned()], NAME, &corpus))
    }
}

impl Doc2VecRecipe {
    /// As [`Word2VecRecipe::fit`].
    pub(in crate::embed) fn fit(
        &self,
        training: &Training<'_>,
        folder: &Path,
    ) -> Result<Fitted, EmbedError> {
        const NAME: &str = "Doc2Vec";
        let corpus = read(training, &self.vocabulary, NAME)?;
        let (model, _) =
            train_paragraphs(&corpus, &self.training, run(training)).map_err(unfit(NAME))?;
        let files = write_paragraphs(&model, folder)?;
        let how = match self.training.kind {
            ParagraphKind::BagOfWords => "Doc2Vec, PV-DBOW",
            ParagraphKind::Mean => "Doc2Vec, PV-DM with the mean",
            ParagraphKind::Joined => "Doc2Vec, PV-DM with concatenation",
        };
        let paragraphs = *model.settings();
        let method = Method::Doc2Vec { words: self.vocabulary.words, paragraphs };
        Ok(fitted(method, model.dimension(), files, how, &corpus))
    }
}

fn run<'a>(training: &Training<'a>) -> Run<'a> {
    let Training { seed, threads, table_bytes_max, progress, cancel, .. } = *training;
    Run { seed, threads, table_bytes_max, progress, cancel }
}

fn unfit(method: &'static str) -> impl Fn(TrainError) -> EmbedError {
    move |error| match error {
        TrainError::Interrupted(reason) => reason.into(),
        TrainError::Option { .. }
        | TrainError::TooSmall { .. }
        | TrainError::TooLarge { .. }
        | TrainError::Memory { .. }
        | TrainError::Diverged(_) => EmbedError::Unfit { method, reason: error.to_string() },
    }
}

/// Reads the corpus as numbered words.
fn read(
    training: &Training<'_>,
    limits: &VocabularyLimits,
    method: &'static str,
) -> Result<TokenCorpus, EmbedError> {
    let mut builder = TokenCorpusBuilder::new(limits.words.words());
    for (number, text) in (0u64..).zip(training.corpus.texts()) {
        training.cancel.check()?;
        if number % TOLD_EVERY == 0 {
            (training.progress)("reading", number, None);
        }
        builder.add(&text?).map_err(unfit(method))?;
    }
    builder.finish(limits.count_min, limits.words_max).map_err(unfit(method))
}

fn fitted_table(
    table: &WordTable,
    corpus: &TokenCorpus,
    words: WordSettings,
    average: &AverageSettings,
    how: &str,
    training: &Training<'_>,
    folder: &Path,
) -> Result<Fitted, EmbedError> {
    table.write_binary(&folder.join(WORDS_FILE))?;
    let (average, dimension, mut files) = fitted_average(table, corpus, average, training, folder)?;
    files.push(WORDS_FILE.to_owned());
    Ok(fitted(Method::WordVectors { words, average }, dimension, files, how, corpus))
}

fn fitted_fast_text(
    model: &FastText,
    corpus: &TokenCorpus,
    words: WordSettings,
    average: &AverageSettings,
    how: &str,
    training: &Training<'_>,
    folder: &Path,
) -> Result<Fitted, EmbedError> {
    model.write(&folder.join(FASTTEXT_FILE))?;
    let (average, dimension, mut files) = fitted_average(model, corpus, average, training, folder)?;
    files.push(FASTTEXT_FILE.to_owned());
    Ok(fitted(Method::FastText { words, average }, dimension, files, how, corpus))
}

/// Fits how word vectors are averaged, and returns the settings as they turned out, the components of a
/// vector, and the names of the files.
fn fitted_average(
    vectors: &dyn WordVectors,
    corpus: &TokenCorpus,
    settings: &AverageSettings,
    training: &Training<'_>,
    folder: &Path,
) -> Result<(AverageSettings, usize, Vec<String>), EmbedError> {
    let AverageSettings { weighting, powers, without_common } = settings.clone();
    let averaging =
        fit_averaging(corpus, vectors, weighting, powers, without_common, run(training))
            .map_err(unfit("averaging"))?;
    let files = write_averaging(&averaging, folder)?;
    let without_common = averaging.common().is_some();
    let dimension = averaging.dimension(vectors.dimension());
    Ok((AverageSettings { without_common, ..settings.clone() }, dimension, files))
}

fn fitted(
    method: Method,
    dimension: usize,
    files: Vec<String>,
    how: &str,
    corpus: &TokenCorpus,
) -> Fitted {
    let description = format!(
        "{how}: {} words, {} occurrences in {} texts",
        corpus.vocabulary().len(),
        corpus.tokens(),
        corpus.len()
    );
    Fitted { method, dimension, metric: Metric::Cosine, files, description }
}

#[cfg(test)]
mod tests;
