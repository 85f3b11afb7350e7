//! How does a corpus become a model? The front door of every method that can be trained.

use std::borrow::Cow;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::obtain::Progress;
use super::{EmbedError, Method, sparse, train};
use crate::cancel::Cancellation;
use crate::vector::Metric;

/// Texts that can be gone through more than once.
pub trait Corpus: Sync {
    /// Returns the texts, each time the same ones in the same order.
    fn texts(&self) -> Box<dyn Iterator<Item = Result<Cow<'_, str>, EmbedError>> + '_>;
}

impl<T: AsRef<str> + Sync> Corpus for [T] {
    fn texts(&self) -> Box<dyn Iterator<Item = Result<Cow<'_, str>, EmbedError>> + '_> {
        Box::new(self.iter().map(|text| Ok(Cow::Borrowed(text.as_ref()))))
    }
}

impl<T: AsRef<str> + Sync> Corpus for Vec<T> {
    fn texts(&self) -> Box<dyn Iterator<Item = Result<Cow<'_, str>, EmbedError>> + '_> {
        self.as_slice().texts()
    }
}

/// Texts in memory, of which there is a bound.
#[derive(Debug)]
pub struct Texts {
    all: Vec<String>,
    bytes: usize,
    bytes_max: usize,
    by_line: bool,
}

impl Texts {
    /// Returns none yet; at most so many bytes are taken, and with `by_line` every line is a text of
    /// its own.
    pub fn new(bytes_max: usize, by_line: bool) -> Self {
        Self { all: Vec::new(), bytes: 0, bytes_max, by_line }
    }

    /// Adds a text, or its lines; what is blank is left out.
    ///
    /// # Errors
    /// [`EmbedError::CorpusTooLarge`] (invalid input).
    pub fn add(&mut self, text: &str) -> Result<(), EmbedError> {
        self.bytes = self.bytes.saturating_add(text.len());
        if self.bytes > self.bytes_max {
            return Err(EmbedError::CorpusTooLarge { most: self.bytes_max });
        }
        if self.by_line {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            self.all.extend(lines.map(str::to_owned));
        } else if !text.trim().is_empty() {
            self.all.push(text.to_owned());
        }
        Ok(())
    }

    /// Returns how many texts there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

impl Corpus for Texts {
    fn texts(&self) -> Box<dyn Iterator<Item = Result<Cow<'_, str>, EmbedError>> + '_> {
        self.all.texts()
    }
}

/// What every method needs to be fitted.
#[derive(Clone, Copy)]
pub struct Training<'a> {
    /// What it is fitted on.
    pub corpus: &'a dyn Corpus,
    /// What chance starts from: with one thread, the same seed and corpus give the same model.
    pub seed: u64,
    /// The most threads that work; at least one.
    pub threads: usize,
    /// How many bytes of memory the tables of the model may take while it is fitted.
    pub table_bytes_max: u64,
    /// Told what is being done, how much is done, and of how much if known.
    pub progress: Progress<'a>,
    /// Asked between steps whether to go on.
    pub cancel: &'a Cancellation,
}

impl<'a> Training<'a> {
    /// Returns a training of seed 1 on one thread, with as much memory as there is.
    pub fn new(corpus: &'a dyn Corpus, progress: Progress<'a>, cancel: &'a Cancellation) -> Self {
        Self { corpus, seed: 1, threads: 1, table_bytes_max: u64::MAX, progress, cancel }
    }
}

impl std::fmt::Debug for Training<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Training")
            .field("seed", &self.seed)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

/// A method that can be trained, with its options.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", content = "options", rename_all = "kebab-case")]
pub enum Recipe {
    /// Which words a text has.
    OneHot(sparse::OneHotOptions),
    /// Term frequencies against document frequencies.
    TfIdf(sparse::TfIdfOptions),
    /// Counts of runs of words or letters.
    NGram(sparse::NGramOptions),
    /// Word2Vec.
    #[serde(rename = "word2vec")]
    Word2Vec(train::Word2VecRecipe),
    /// fastText.
    #[serde(rename = "fasttext")]
    FastText(train::FastTextRecipe),
    /// GloVe.
    #[serde(rename = "glove")]
    Glove(train::GloveRecipe),
    /// The mean of word vectors that are there already.
    Average(train::AverageRecipe),
    /// Latent Dirichlet allocation.
    Lda(train::LdaRecipe),
    /// Doc2Vec.
    #[serde(rename = "doc2vec")]
    Doc2Vec(train::Doc2VecRecipe),
}

/// What fitting gives: the method as the manifest will describe it, and files in the folder that
/// fitting was given.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// The method with its settings.
    pub method: Method,
    /// The components of a vector; of a sparse one, how many there could be.
    pub dimension: usize,
    /// How vectors are compared.
    pub metric: Metric,
    /// The names of the files that were written, without folders.
    pub files: Vec<String>,
    /// One line on what it was fitted on, for lists.
    pub description: String,
}

impl Recipe {
    /// Fits the model and writes its files, without a manifest, into a folder that is there and empty.
    ///
    /// # Errors
    /// [`EmbedError::Unfit`] (invalid input) for options or a corpus that nothing can be learnt with;
    /// interrupted as the token says; the corpus's own errors; the folder cannot be written.
    pub fn fit(&self, training: &Training<'_>, folder: &Path) -> Result<Fitted, EmbedError> {
        match self {
            Self::OneHot(options) => sparse::fit_one_hot(options, training, folder),
            Self::TfIdf(options) => sparse::fit_tf_idf(options, training, folder),
            Self::NGram(options) => sparse::fit_n_gram(options, training, folder),
            Self::Word2Vec(recipe) => recipe.fit(training, folder),
            Self::FastText(recipe) => recipe.fit(training, folder),
            Self::Glove(recipe) => recipe.fit(training, folder),
            Self::Average(recipe) => recipe.fit(training, folder),
            Self::Lda(recipe) => recipe.fit(training, folder),
            Self::Doc2Vec(recipe) => recipe.fit(training, folder),
        }
    }
}
