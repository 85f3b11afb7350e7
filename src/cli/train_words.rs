//! The methods of `simile model train` that learn words, topics and documents.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::train::FitArguments;
use crate::embed::Recipe;
use crate::embed::text::{AverageSettings, ParagraphKind, Power, Weighting, WordSettings};
use crate::embed::train::{
    Architecture, AverageRecipe, Doc2VecRecipe, FastTextRecipe, GloveOptions, GloveRecipe,
    LdaRecipe, Loss, ParagraphOptions, Share, TopicOptions, VocabularyLimits, Word2VecRecipe,
    WordOptions,
};

/// The `a` of SIF in its paper.
const SIF_A: f64 = 1e-3;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile model train word2vec --corpus ~/notes --lines --out notes-words\n  \
    simile model train word2vec --collection notes --out quick --architecture cbow --epochs 10\n\n\
    Learns a vector for each word; a text is the mean of its words. The vectors are in words.bin in\n\
    the folder of the model, in word2vec's binary form, which other programs read.")]
pub(super) struct Word2VecArguments {
    #[command(flatten)]
    pub(super) fit: FitArguments,
    #[command(flatten)]
    vocabulary: LimitArguments,
    #[command(flatten)]
    words: WordArguments,
    #[command(flatten)]
    average: AverageOptions,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    simile model train fasttext --corpus ~/notes --lines --out notes-subwords\n\n\
    As word2vec, but words are made of n-grams of letters, so that misspelt and unknown words have\n\
    vectors too. The model is in fasttext.bin in its folder, as fastText writes it.")]
pub(super) struct FastTextArguments {
    #[command(flatten)]
    pub(super) fit: FitArguments,
    #[command(flatten)]
    vocabulary: LimitArguments,
    #[command(flatten)]
    words: WordArguments,
    /// The fewest letters of an n-gram
    #[arg(long, value_name = "N", default_value_t = 3)]
    gram_min: usize,
    /// The most letters of an n-gram
    #[arg(long, value_name = "N", default_value_t = 6)]
    gram_max: usize,
    /// How many rows the n-grams share
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    buckets: usize,
    #[command(flatten)]
    average: AverageOptions,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    simile model train glove --corpus ~/notes --lines --out notes-glove --dimension 50")]
pub(super) struct GloveArguments {
    #[command(flatten)]
    pub(super) fit: FitArguments,
    #[command(flatten)]
    vocabulary: LimitArguments,
    /// The components of a vector
    #[arg(long, value_name = "N", default_value_t = 100)]
    dimension: usize,
    /// How many words before and after a word stand together with it
    #[arg(long, value_name = "N", default_value_t = 15)]
    window: usize,
    /// How often the pairs are gone through
    #[arg(long, value_name = "N", default_value_t = 25)]
    epochs: usize,
    /// The count from which on pairs of words weigh the same
    #[arg(long, value_name = "COUNT", default_value_t = 10.0)]
    x_max: f64,
    /// How steeply rarer pairs weigh less
    #[arg(long, value_name = "EXPONENT", default_value_t = 0.75)]
    alpha: f64,
    /// The learning rate
    #[arg(long, value_name = "RATE", default_value_t = 0.05)]
    rate: f32,
    /// The learning rate of the biases; the first implementation has 1, which wants millions of words
    #[arg(long, value_name = "RATE", default_value_t = 0.05)]
    rate_of_biases: f32,
    #[command(flatten)]
    average: AverageOptions,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    simile model train average --vectors glove.6B.100d.txt --corpus ~/notes --out notes-glove\n\n\
    Takes word vectors that are there (word2vec .bin or .vec, GloVe .txt, fastText .bin); the corpus\n\
    says how frequent words are, and what all texts have in common.")]
pub(super) struct AverageArguments {
    #[command(flatten)]
    pub(super) fit: FitArguments,
    /// The file of word vectors
    #[arg(long, value_name = "FILE")]
    vectors: PathBuf,
    /// Tell upper from lower case, for vectors that do
    #[arg(long)]
    case_sensitive: bool,
    #[command(flatten)]
    average: AverageOptions,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    simile model train lda --corpus ~/notes --out notes-topics --topics 50\n\n\
    Finds topics; a text is the shares of the topics in it. Uses one thread.")]
pub(super) struct LdaArguments {
    #[command(flatten)]
    pub(super) fit: FitArguments,
    #[command(flatten)]
    vocabulary: LimitArguments,
    /// How many topics
    #[arg(long, value_name = "N", default_value_t = 100)]
    topics: usize,
    /// How often every word chooses its topic anew
    #[arg(long, value_name = "N", default_value_t = 500)]
    sweeps: usize,
    /// How many words of a text are assumed before it is seen, over all topics
    #[arg(long, value_name = "N", default_value_t = 5.0)]
    alpha_sum: f64,
    /// How many of each word each topic is assumed to have
    #[arg(long, value_name = "N", default_value_t = 0.01)]
    beta: f64,
    /// Words that are in a larger share of the texts belong to no topic
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    max_df: f64,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    simile model train doc2vec --corpus ~/notes --out notes-documents --dm mean")]
pub(super) struct Doc2VecArguments {
    #[command(flatten)]
    pub(super) fit: FitArguments,
    #[command(flatten)]
    vocabulary: LimitArguments,
    /// How the vector of a text tells its words: alone, in the mean with the words around, or beside
    /// them
    #[arg(long, value_enum, default_value_t = DocumentKind::Dbow)]
    dm: DocumentKind,
    /// The components of a vector
    #[arg(long, value_name = "N", default_value_t = 100)]
    dimension: usize,
    /// How many words before and after a word are looked at
    #[arg(long, value_name = "N", default_value_t = 5)]
    window: usize,
    /// How many words are drawn against each; 0 for hierarchical softmax
    #[arg(long, value_name = "N", default_value_t = 5)]
    negatives: usize,
    /// How often the corpus is gone through
    #[arg(long, value_name = "N", default_value_t = 10)]
    epochs: usize,
    /// How often a new text is gone through
    #[arg(long, value_name = "N", default_value_t = 50)]
    infer_epochs: usize,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DocumentKind {
    /// PV-DBOW: alone
    Dbow,
    /// PV-DM: in the mean with the words around
    Mean,
    /// PV-DM: one after another
    Concat,
}

/// Which words are learnt.
#[derive(Debug, Args)]
struct LimitArguments {
    /// Leave out words that occur less often
    #[arg(long, value_name = "N", default_value_t = 5)]
    min_count: u64,
    /// Keep at most so many words, the most frequent ones
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    max_words: usize,
    /// Tell upper from lower case
    #[arg(long)]
    case_sensitive: bool,
}

/// How words are learnt.
#[derive(Debug, Args)]
struct WordArguments {
    /// Tell the words around from the word, or the word from those around
    #[arg(long, value_enum, default_value_t = WordArchitecture::SkipGram)]
    architecture: WordArchitecture,
    /// The components of a vector
    #[arg(long, value_name = "N", default_value_t = 100)]
    dimension: usize,
    /// How many words before and after a word are looked at
    #[arg(long, value_name = "N", default_value_t = 5)]
    window: usize,
    /// How many words are drawn against each; 0 for hierarchical softmax
    #[arg(long, value_name = "N", default_value_t = 5)]
    negatives: usize,
    /// How often the corpus is gone through
    #[arg(long, value_name = "N", default_value_t = 5)]
    epochs: usize,
    /// The learning rate at the beginning [default: 0.025, of fasttext 0.05]
    #[arg(long, value_name = "RATE")]
    rate: Option<f32>,
    /// Leave out at times what makes up a larger share of the words; 0 for never [default: 0.001, of
    /// fasttext 0.0001]
    #[arg(long, value_name = "SHARE")]
    sample: Option<f64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum WordArchitecture {
    /// Better for rare words and small corpora
    SkipGram,
    /// Faster
    Cbow,
}

/// How word vectors become the vector of a text.
#[derive(Debug, Args)]
struct AverageOptions {
    /// How much each word counts: all the same, rare ones by the texts that have them, or rare ones by
    /// their share of the corpus
    #[arg(long, value_enum, default_value_t = WordWeighting::Sif)]
    weighting: WordWeighting,
    /// Which means are put one after another
    #[arg(long, value_enum, value_delimiter = ',', default_value = "mean")]
    means: Vec<MeanKind>,
    /// Leave in what all texts have in common
    #[arg(long)]
    keep_common: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum WordWeighting {
    Uniform,
    Idf,
    Sif,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum MeanKind {
    Least,
    Mean,
    Cubic,
    Greatest,
}

impl AverageOptions {
    fn settings(&self) -> AverageSettings {
        let weighting = match self.weighting {
            WordWeighting::Uniform => Weighting::Uniform,
            WordWeighting::Idf => Weighting::Idf,
            WordWeighting::Sif => Weighting::Sif { a: SIF_A },
        };
        let power = |kind: &MeanKind| match kind {
            MeanKind::Least => Power::Least,
            MeanKind::Mean => Power::Mean,
            MeanKind::Cubic => Power::Cubic,
            MeanKind::Greatest => Power::Greatest,
        };
        let powers = self.means.iter().map(power).collect();
        AverageSettings { weighting, powers, without_common: !self.keep_common }
    }
}

impl LimitArguments {
    fn limits(&self) -> VocabularyLimits {
        let words = WordSettings { is_folded: !self.case_sensitive, ..WordSettings::default() };
        VocabularyLimits { words, count_min: self.min_count, words_max: self.max_words }
    }
}

impl WordArguments {
    fn options(&self, base: WordOptions) -> WordOptions {
        WordOptions {
            dimension: self.dimension,
            architecture: match self.architecture {
                WordArchitecture::SkipGram => Architecture::SkipGram,
                WordArchitecture::Cbow => Architecture::Cbow,
            },
            loss: match self.negatives {
                0 => Loss::HierarchicalSoftmax,
                count => Loss::NegativeSampling(count),
            },
            window: self.window,
            epochs: self.epochs,
            rate_first: self.rate.unwrap_or(base.rate_first),
            sample: self.sample.unwrap_or(base.sample),
            ..base
        }
    }
}

impl Word2VecArguments {
    pub(super) fn recipe(&self) -> Recipe {
        Recipe::Word2Vec(Word2VecRecipe {
            vocabulary: self.vocabulary.limits(),
            training: self.words.options(WordOptions::default()),
            average: self.average.settings(),
        })
    }
}

impl FastTextArguments {
    pub(super) fn recipe(&self) -> Recipe {
        Recipe::FastText(FastTextRecipe {
            vocabulary: self.vocabulary.limits(),
            training: self.words.options(FastTextRecipe::default().training),
            gram_min: self.gram_min,
            gram_max: self.gram_max,
            buckets: self.buckets,
            average: self.average.settings(),
        })
    }
}

impl GloveArguments {
    pub(super) fn recipe(&self) -> Recipe {
        Recipe::Glove(GloveRecipe {
            vocabulary: self.vocabulary.limits(),
            training: GloveOptions {
                dimension: self.dimension,
                window: self.window,
                count_full: self.x_max,
                exponent: self.alpha,
                epochs: self.epochs,
                rate: self.rate,
                rate_of_biases: self.rate_of_biases,
            },
            average: self.average.settings(),
        })
    }
}

impl AverageArguments {
    pub(super) fn recipe(&self) -> Recipe {
        let words = WordSettings { is_folded: !self.case_sensitive, ..WordSettings::default() };
        let (vectors, average) = (self.vectors.clone(), self.average.settings());
        Recipe::Average(AverageRecipe { vectors, words, average })
    }
}

impl LdaArguments {
    pub(super) fn recipe(&self) -> Recipe {
        Recipe::Lda(LdaRecipe {
            vocabulary: self.vocabulary.limits(),
            training: TopicOptions {
                topics: self.topics,
                alpha_sum: self.alpha_sum,
                beta: self.beta,
                sweeps: self.sweeps,
            },
            share_max: Share(self.max_df),
        })
    }
}

impl Doc2VecArguments {
    pub(super) fn recipe(&self) -> Recipe {
        Recipe::Doc2Vec(Doc2VecRecipe {
            vocabulary: self.vocabulary.limits(),
            training: ParagraphOptions {
                dimension: self.dimension,
                kind: match self.dm {
                    DocumentKind::Dbow => ParagraphKind::BagOfWords,
                    DocumentKind::Mean => ParagraphKind::Mean,
                    DocumentKind::Concat => ParagraphKind::Joined,
                },
                window: self.window,
                negatives: self.negatives,
                epochs: self.epochs,
                infer_epochs: self.infer_epochs,
                ..ParagraphOptions::default()
            },
        })
    }
}
