//! Doc2Vec: a document is known by the words that it tells.
//!
//! Source: Le and Mikolov 2014, "Distributed representations of sentences and documents".

use serde::{Deserialize, Serialize};

use super::drive::Rate;
use super::error::require;
use super::network::{Training, train};
use super::rows::{Rows, uniform};
use super::{Run, TokenCorpus, TrainError};
use crate::embed::text::{
    ParagraphKind, ParagraphRows, ParagraphSettings, Paragraphs, WordTable, chances_to_stay,
    drawn_window, thinned, whole_window,
};
use crate::vector::DIMENSION_MAX;

/// How Doc2Vec is trained. The defaults are those of gensim, but for the kind and for the epochs of
/// new documents.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ParagraphOptions {
    /// The components of a vector.
    pub dimension: usize,
    /// How a word is told.
    pub kind: ParagraphKind,
    /// How many words before and after a word are looked at, at most.
    pub window: usize,
    /// How many words are drawn against each; zero for hierarchical softmax.
    pub negatives: usize,
    /// How strongly frequency counts when words are drawn.
    pub negative_exponent: f64,
    /// Words that make up a larger share of the corpus are left out at times; zero for never.
    pub sample: f64,
    /// How often the corpus is gone through.
    pub epochs: usize,
    /// How often a new document is gone through.
    pub infer_epochs: usize,
    /// The learning rate at the beginning.
    pub rate_first: f32,
    /// The learning rate at the end.
    pub rate_last: f32,
}

impl Default for ParagraphOptions {
    fn default() -> Self {
        Self {
            dimension: 100,
            kind: ParagraphKind::BagOfWords,
            window: 5,
            negatives: 5,
            negative_exponent: 0.75,
            sample: 1e-3,
            epochs: 10,
            infer_epochs: 50,
            rate_first: 0.025,
            rate_last: 0.0001,
        }
    }
}

/// Trains on a corpus what finds the vectors of documents. The vectors of the corpus's own texts are
/// returned beside it: a row for each.
///
/// # Errors
/// [`TrainError`]: invalid input for options out of bounds or a corpus of fewer than two words;
/// cancelled.
pub fn train_paragraphs(
    corpus: &TokenCorpus,
    options: &ParagraphOptions,
    run: Run<'_>,
) -> Result<(Paragraphs, Vec<f32>), TrainError> {
    let dimension = options.dimension;
    require((1..=DIMENSION_MAX).contains(&dimension), "dimension", dimension, "1 to 8192")?;
    require((1..=10_000).contains(&options.epochs), "epochs", options.epochs, "1 to 10000")?;
    let settings = ParagraphSettings {
        kind: options.kind,
        window: options.window,
        negatives: options.negatives,
        negative_exponent: options.negative_exponent,
        sample: options.sample,
        epochs: options.infer_epochs,
        rate_first: options.rate_first,
        rate_last: options.rate_last,
    };
    let width = settings.output_width(dimension);
    require(width <= DIMENSION_MAX, "dimension x (1 + 2 x window)", width, "at most 8192")?;
    let words = corpus.vocabulary().len();
    let rows = (words + 1).saturating_add(corpus.len());
    if u32::try_from(rows).is_err() {
        return Err(TrainError::TooLarge { what: "words and texts", most: u32::MAX as usize });
    }
    run.require_room(
        rows.saturating_mul(dimension).saturating_add(words.saturating_mul(2 * width)),
    )?;
    let blank = WordTable::new(corpus.vocabulary().clone(), width, vec![0.0; words * width])
        .map_err(TrainError::Diverged)?;
    // Checks the settings before any work is done, and is what an epoch of nothing would give.
    let start = ParagraphRows { words: vec![0.0; (words + 1) * dimension], output: blank };
    Paragraphs::new(settings, dimension, start).map_err(|actual| TrainError::Option {
        option: "the training",
        actual,
        expected: "settings within bounds",
    })?;
    let mut input = uniform(rows * dimension, 1.0 / dimension as f32, run.seed, 0);
    let mut output = vec![0.0; words * width];
    fit(corpus, options, &settings, [&mut input, &mut output], run)?;
    let texts = input.split_off((words + 1) * dimension);
    let output =
        WordTable::new(corpus.vocabulary().clone(), width, output).map_err(TrainError::Diverged)?;
    let rows = ParagraphRows { words: input, output };
    let trained = Paragraphs::new(settings, dimension, rows).map_err(TrainError::Diverged)?;
    Ok((trained, texts))
}

fn fit(
    corpus: &TokenCorpus,
    options: &ParagraphOptions,
    settings: &ParagraphSettings,
    [input, output]: [&mut [f32]; 2],
    run: Run<'_>,
) -> Result<(), TrainError> {
    let vocabulary = corpus.vocabulary();
    let width = settings.output_width(options.dimension);
    let objective = settings.objective(vocabulary);
    let chances = chances_to_stay(vocabulary.counts(), settings.sample);
    let lengths: Vec<usize> = corpus.texts().map(<[u32]>::len).collect();
    let (input, output) = (Rows::new(input, options.dimension), Rows::new(output, width));
    let training = Training {
        input: &input,
        output: &output,
        width,
        objective: &objective,
        rate: Rate { first: options.rate_first, last: options.rate_last },
        epochs: options.epochs,
    };
    let row = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
    let beyond = row(vocabulary.len());
    train(&training, &lengths, run, |learner, text| {
        let kept = thinned(corpus.text(text), &chances, &mut learner.random);
        let document = row(vocabulary.len() + 1 + text);
        if settings.kind == ParagraphKind::BagOfWords {
            learner.learn(&[document], kept.iter().copied());
            return;
        }
        let mut inputs = Vec::new();
        for (center, &word) in kept.iter().enumerate() {
            inputs.clear();
            inputs.push(document);
            if settings.kind == ParagraphKind::Joined {
                let window = whole_window(&kept, center, settings.window);
                inputs.extend(window.map(|id| id.unwrap_or(beyond)));
                learner.learn_joined(&inputs, word);
            } else {
                let random = &mut learner.random;
                let (before, after) = drawn_window(&kept, center, settings.window, random);
                inputs.extend(before.iter().chain(after));
                learner.learn(&inputs, std::iter::once(word));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::TokenCorpusBuilder;
    use super::super::tests::run;
    use super::*;
    use crate::cancel::Cancellation;
    use crate::embed::text::{Random, Segmentation, Words};
    use crate::vector::kernel;

    const SUBJECTS: usize = 4;

    /// Returns a text about a subject, in which one word in three is of the subject: so few that the
    /// words around a word seldom tell it, and the document has to.
    fn text(subject: usize, random: &mut Random) -> String {
        let word = |random: &mut Random| match random.below(3) {
            0 => format!("s{subject}w{}", random.below(8)),
            _ => format!("x{}", random.below(20)),
        };
        (0..30).map(|_| word(random)).collect::<Vec<_>>().join(" ")
    }

    fn corpus(seed: u64) -> TokenCorpus {
        let mut random = Random::new(seed, 0);
        let mut builder = TokenCorpusBuilder::new(Words::new(Segmentation::Blanks, false));
        for number in 0..600 {
            builder.add(&text(number % SUBJECTS, &mut random)).unwrap();
        }
        builder.finish(1, 1000).unwrap()
    }

    fn options(kind: ParagraphKind) -> ParagraphOptions {
        let (dimension, window, sample) = (16, 2, 0.0);
        ParagraphOptions { dimension, window, sample, kind, ..ParagraphOptions::default() }
    }

    fn ids(paragraphs: &Paragraphs, text: &str) -> Vec<u32> {
        text.split(' ').filter_map(|word| paragraphs.vocabulary().id(word)).collect()
    }

    /// Returns which share of rows has a row of its own subject as the nearest other one.
    fn nearest_agree(rows: &[(usize, Vec<f32>)]) -> f64 {
        let cosine = |a: &[f32], b: &[f32]| {
            kernel::dot(a, b) / (kernel::dot(a, a) * kernel::dot(b, b)).sqrt().max(1e-20)
        };
        let agree = rows.iter().enumerate().filter(|(at, (subject, row))| {
            let others = rows.iter().enumerate().filter(|(other, _)| other != at);
            let nearest =
                others.max_by(|(_, a), (_, b)| cosine(row, &a.1).total_cmp(&cosine(row, &b.1)));
            nearest.is_some_and(|(_, (other, _))| other == subject)
        });
        agree.count() as f64 / rows.len() as f64
    }

    /// Returns new texts with the subject of each.
    fn new_texts() -> Vec<(usize, String)> {
        let mut random = Random::new(77, 0);
        (0..80).map(|number| (number % SUBJECTS, text(number % SUBJECTS, &mut random))).collect()
    }

    #[test]
    fn new_documents_lie_beside_those_of_their_subject() {
        let cancel = Cancellation::new();
        let corpus = corpus(1);
        for kind in [ParagraphKind::BagOfWords, ParagraphKind::Mean, ParagraphKind::Joined] {
            for negatives in [5, 0] {
                let options = ParagraphOptions { negatives, epochs: 30, ..options(kind) };
                let (model, own) = train_paragraphs(&corpus, &options, run(&cancel, 4, 1)).unwrap();
                assert_eq!(own.len(), 600 * 16);
                let found: Vec<_> = new_texts()
                    .iter()
                    .map(|(subject, text)| (*subject, model.vector(&ids(&model, text)).unwrap()))
                    .collect();
                let agree = nearest_agree(&found);
                assert!(agree > 0.75, "{kind:?}, {negatives} negatives: {agree}");
                let own = (0..200).map(|at| (at % SUBJECTS, own[at * 16..][..16].to_vec()));
                let own = nearest_agree(&own.collect::<Vec<_>>());
                assert!(own > 0.75, "{kind:?}, {negatives} negatives, the corpus itself: {own}");
            }
        }
    }

    #[test]
    fn the_same_document_has_the_same_vector_and_one_of_no_known_word_has_none() {
        let cancel = Cancellation::new();
        let options = options(ParagraphKind::Mean);
        let train = || train_paragraphs(&corpus(2), &options, run(&cancel, 4, 1)).unwrap();
        let (model, own) = train();
        assert_eq!(own, train().1);
        let words = ids(&model, "s1w1 s1w2 x3 s1w4 nobody");
        assert_eq!(words.len(), 4);
        assert_eq!(model.vector(&words), model.vector(&words));
        assert_eq!(model.vector(&words), train().0.vector(&words));
        assert_ne!(model.vector(&words), model.vector(&words[1..]));
        assert_eq!(model.vector(&[]), None);
    }

    #[test]
    fn equal_vectors_and_vectors_of_other_documents_fail_the_test_of_subjects() {
        let constant: Vec<_> = (0..80).map(|at| (at % SUBJECTS, vec![1.0; 4])).collect();
        assert!(nearest_agree(&constant) < 0.5, "{}", nearest_agree(&constant));
        let cancel = Cancellation::new();
        let options = options(ParagraphKind::BagOfWords);
        let (model, _) = train_paragraphs(&corpus(1), &options, run(&cancel, 4, 1)).unwrap();
        let mut random = Random::new(5, 0);
        let permuted: Vec<_> = new_texts()
            .iter()
            .map(|(_, text)| (random.below(SUBJECTS), model.vector(&ids(&model, text)).unwrap()))
            .collect();
        assert!(nearest_agree(&permuted) < 0.5, "{}", nearest_agree(&permuted));
    }

    #[test]
    fn options_out_of_bounds_are_refused() {
        let cancel = Cancellation::new();
        let corpus = corpus(1);
        let refuse = |options: ParagraphOptions| {
            train_paragraphs(&corpus, &options, run(&cancel, 1, 1)).unwrap_err().to_string()
        };
        let base = options(ParagraphKind::Joined);
        assert!(refuse(ParagraphOptions { window: 0, ..base }).contains("window is 0"));
        assert!(refuse(ParagraphOptions { infer_epochs: 0, ..base }).contains("epochs is 0"));
        let wide = ParagraphOptions { dimension: 1000, window: 5, ..base };
        assert!(refuse(wide).contains("is 11000, expected at most 8192"));
    }
}
