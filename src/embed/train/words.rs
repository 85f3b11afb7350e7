//! Word2Vec and fastText: a word is known by the company it keeps.
//!
//! Sources: Mikolov et al. 2013, "Efficient estimation of word representations in vector space" and
//! "Distributed representations of words and phrases and their compositionality"; Bojanowski et al.
//! 2017, "Enriching word vectors with subword information".

use serde::{Deserialize, Serialize};

use super::drive::Rate;
use super::error::require;
use super::network::{Training, train};
use super::rows::{Rows, uniform};
use super::{Run, TokenCorpus, TrainError};
use crate::embed::text::{
    FastText, FastTextKind, FastTextSettings, Objective, Subwords, Vocabulary, WordTable,
    chances_to_stay, drawn_window, thinned,
};
use crate::vector::DIMENSION_MAX;

/// What is told from what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    /// The neighbours from the word: better for rare words and small corpora.
    SkipGram,
    /// The word from the mean of its neighbours: faster.
    Cbow,
}

/// How right and wrong answers are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Against so many words drawn by frequency.
    NegativeSampling(usize),
    /// Along a Huffman tree of the words.
    HierarchicalSoftmax,
}

/// How word vectors are trained. The defaults are those of word2vec and gensim.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WordOptions {
    /// The components of a vector.
    pub dimension: usize,
    /// What is told from what.
    pub architecture: Architecture,
    /// How right and wrong answers are told apart.
    pub loss: Loss,
    /// How many words before and after a word are its neighbours, at most: each time a number from
    /// one to this is drawn.
    pub window: usize,
    /// How strongly frequency counts when words are drawn.
    pub negative_exponent: f64,
    /// Words that make up a larger share of the corpus are left out at times; zero for never.
    pub sample: f64,
    /// How often the corpus is gone through.
    pub epochs: usize,
    /// The learning rate at the beginning.
    pub rate_first: f32,
    /// The learning rate at the end.
    pub rate_last: f32,
}

impl Default for WordOptions {
    fn default() -> Self {
        Self {
            dimension: 100,
            architecture: Architecture::SkipGram,
            loss: Loss::NegativeSampling(5),
            window: 5,
            negative_exponent: 0.75,
            sample: 1e-3,
            epochs: 5,
            rate_first: 0.025,
            rate_last: 0.0001,
        }
    }
}

impl WordOptions {
    /// Returns the defaults of an architecture.
    pub fn of(architecture: Architecture) -> Self {
        Self { architecture, ..Self::default() }
    }

    pub(super) fn check(&self) -> Result<(), TrainError> {
        let dimensions = (1..=DIMENSION_MAX).contains(&self.dimension);
        require(dimensions, "dimension", self.dimension, "1 to 8192")?;
        require((1..=1000).contains(&self.window), "window", self.window, "1 to 1000")?;
        require((1..=10_000).contains(&self.epochs), "epochs", self.epochs, "1 to 10000")?;
        let is_rate = |rate: f32| rate.is_finite() && (0.0..=1.0).contains(&rate);
        require(is_rate(self.rate_first), "the first learning rate", self.rate_first, "0 to 1")?;
        require(is_rate(self.rate_last), "the last learning rate", self.rate_last, "0 to 1")?;
        require((0.0..=1.0).contains(&self.sample), "sample", self.sample, "0 to 1")?;
        let exponent = self.negative_exponent;
        require((-10.0..=10.0).contains(&exponent), "negative_exponent", exponent, "-10 to 10")?;
        if let Loss::NegativeSampling(count) = self.loss {
            require((1..=1000).contains(&count), "negatives", count, "1 to 1000")?;
        }
        Ok(())
    }

    pub(super) fn objective(&self, vocabulary: &Vocabulary) -> Objective {
        match self.loss {
            Loss::NegativeSampling(count) => {
                Objective::negative_sampling(vocabulary.counts(), count, self.negative_exponent)
            }
            Loss::HierarchicalSoftmax => Objective::hierarchical_softmax(vocabulary.counts()),
        }
    }

    pub(super) fn training<'a>(
        &self,
        input: &'a Rows<'a>,
        output: &'a Rows<'a>,
        objective: &'a Objective,
    ) -> Training<'a> {
        Training {
            input,
            output,
            width: self.dimension,
            objective,
            rate: Rate { first: self.rate_first, last: self.rate_last },
            epochs: self.epochs,
        }
    }
}

/// Trains a vector for each word of the corpus: Word2Vec.
///
/// # Errors
/// [`TrainError`]: invalid input for options out of bounds or a corpus of fewer than two words;
/// cancelled.
pub fn train_words(
    corpus: &TokenCorpus,
    options: &WordOptions,
    run: Run<'_>,
) -> Result<WordTable, TrainError> {
    let (input, _) = fit(corpus, options, None, run)?;
    WordTable::new(corpus.vocabulary().clone(), options.dimension, input)
        .map_err(TrainError::Diverged)
}

/// Trains a vector for each word of the corpus and for the buckets of its n-grams: fastText.
///
/// # Errors
/// As [`train_words`].
pub fn train_subwords(
    corpus: &TokenCorpus,
    options: &WordOptions,
    subwords: Subwords,
    run: Run<'_>,
) -> Result<FastText, TrainError> {
    require((1..=1 << 26).contains(&subwords.buckets), "buckets", subwords.buckets, "1 to 2^26")?;
    let lengths = (1..=subwords.longest).contains(&subwords.shortest) && subwords.longest <= 64;
    let actual = format!("{} to {} characters", subwords.shortest, subwords.longest);
    require(lengths, "the length of n-grams", actual, "1 to 64, the shortest first")?;
    let (input, output) = fit(corpus, options, Some(subwords), run)?;
    let settings = FastTextSettings {
        kind: match options.architecture {
            Architecture::SkipGram => FastTextKind::SkipGram,
            Architecture::Cbow => FastTextKind::Cbow,
        },
        dimension: options.dimension,
        window: options.window,
        epochs: options.epochs,
        count_min: corpus.vocabulary().counts().last().map_or(1, |&count| count as usize),
        negatives: match options.loss {
            Loss::NegativeSampling(count) => count,
            Loss::HierarchicalSoftmax => 0,
        },
        subwords,
        sample: options.sample,
    };
    FastText::new(settings, corpus.vocabulary().clone(), input, output)
        .map_err(TrainError::Diverged)
}

/// Returns the input and the output rows after training.
fn fit(
    corpus: &TokenCorpus,
    options: &WordOptions,
    subwords: Option<Subwords>,
    run: Run<'_>,
) -> Result<(Vec<f32>, Vec<f32>), TrainError> {
    options.check()?;
    let vocabulary = corpus.vocabulary();
    let words = vocabulary.len();
    if words < 2 {
        return Err(TrainError::TooSmall { what: "distinct words", actual: words, least: 2 });
    }
    let width = options.dimension;
    let row_count = words + subwords.map_or(0, |subwords| subwords.buckets);
    run.require_room((row_count + words).saturating_mul(width))?;
    let mut input = uniform(row_count * width, 1.0 / width as f32, run.seed, 0);
    let mut output = vec![0.0; words * width];
    let rows_of = rows_of_words(vocabulary, subwords);
    let chances = chances_to_stay(vocabulary.counts(), options.sample);
    let objective = options.objective(vocabulary);
    let lengths: Vec<usize> = corpus.texts().map(<[u32]>::len).collect();
    {
        let (input, output) = (Rows::new(&mut input, width), Rows::new(&mut output, width));
        let training = options.training(&input, &output, &objective);
        train(&training, &lengths, run, |learner, text| {
            let kept = thinned(corpus.text(text), &chances, &mut learner.random);
            let mut rows = Vec::new();
            for (center, &word) in kept.iter().enumerate() {
                let (before, after) =
                    drawn_window(&kept, center, options.window, &mut learner.random);
                let neighbours = before.iter().chain(after);
                match options.architecture {
                    // As in fastText, and in the papers: the n-grams of a word are taken once.
                    Architecture::SkipGram if subwords.is_some() => {
                        learner.learn(rows_of.get(word), neighbours.copied());
                    }
                    // As in word2vec: each neighbour tells the word. Over a corpus these are the same
                    // pairs, but the row of a frequent word is not moved many times in a row.
                    Architecture::SkipGram => {
                        for &neighbour in neighbours {
                            learner.learn_joined(&[neighbour], word);
                        }
                    }
                    Architecture::Cbow => {
                        rows.clear();
                        neighbours.for_each(|&word| rows.extend_from_slice(rows_of.get(word)));
                        learner.learn(&rows, std::iter::once(word));
                    }
                }
            }
        })?;
    }
    Ok((input, output))
}

/// For each word the input rows whose mean it is.
struct RowsOfWords {
    rows: Vec<u32>,
    ends: Vec<usize>,
}

impl RowsOfWords {
    #[inline]
    fn get(&self, word: u32) -> &[u32] {
        let word = word as usize;
        let start = word.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.rows[start..self.ends[word]]
    }
}

fn rows_of_words(vocabulary: &Vocabulary, subwords: Option<Subwords>) -> RowsOfWords {
    let mut found = RowsOfWords { rows: Vec::new(), ends: Vec::new() };
    let first_bucket = u32::try_from(vocabulary.len()).unwrap_or(u32::MAX);
    for (id, word) in (0..).zip(vocabulary.words()) {
        found.rows.push(id);
        let buckets = subwords.map(|subwords| subwords.buckets_of(word.as_bytes()));
        found.rows.extend(buckets.into_iter().flatten().map(|bucket| first_bucket + bucket));
        found.ends.push(found.rows.len());
    }
    found
}
