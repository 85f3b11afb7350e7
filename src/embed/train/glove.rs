//! GloVe: word vectors whose inner products are the logarithms of how often words stand together.
//!
//! Source: Pennington, Socher and Manning 2014, "GloVe: global vectors for word representation".

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::drive::{LossSum, drive};
use super::error::require;
use super::rows::{Rows, uniform};
use super::{Run, TokenCorpus, TrainError};
use crate::embed::text::{Random, WordTable};
use crate::vector::{DIMENSION_MAX, kernel};

/// The most pairs of words that are counted: 8 GiB of memory.
const PAIRS_MAX: usize = 1 << 29;
/// How many pairs are gathered before those of the same words are added up.
const BATCH_PAIRS: usize = 1 << 22;
/// How many numbers of four bytes a pair is.
const PAIR_NUMBERS: usize = size_of::<Pair>() / 4;
/// How many pairs a thread takes at a time.
const PIECE_PAIRS: usize = 20_000;
/// A step is at most this long, so that no single pair can throw the rows far off.
const STEP_MAX: f32 = 100.0;

/// How GloVe is trained. The defaults are those of its demonstration.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GloveOptions {
    /// The components of a vector.
    pub dimension: usize,
    /// How many words before and after a word stand together with it; one at distance d counts 1/d.
    pub window: usize,
    /// The count from which on pairs weigh the same.
    pub count_full: f64,
    /// How steeply rarer pairs weigh less.
    pub exponent: f64,
    /// How often the pairs are gone through.
    pub epochs: usize,
    /// The learning rate of `AdaGrad`.
    pub rate: f32,
    /// The learning rate of the biases. The first implementation has 1 here, by which a bias learns how
    /// frequent its word is before the vector has learnt anything: a little better on millions of words,
    /// and nothing is left to learn on a few thousand.
    pub rate_of_biases: f32,
}

impl Default for GloveOptions {
    fn default() -> Self {
        let (count_full, exponent) = (10.0, 0.75);
        let (rate, rate_of_biases) = (0.05, 0.05);
        Self { dimension: 100, window: 15, count_full, exponent, epochs: 25, rate, rate_of_biases }
    }
}

impl GloveOptions {
    fn check(&self) -> Result<(), TrainError> {
        let dimensions = (1..=DIMENSION_MAX).contains(&self.dimension);
        require(dimensions, "dimension", self.dimension, "1 to 8192")?;
        require((1..=1000).contains(&self.window), "window", self.window, "1 to 1000")?;
        require((1..=10_000).contains(&self.epochs), "epochs", self.epochs, "1 to 10000")?;
        let full = self.count_full;
        require((1e-3..=1e9).contains(&full), "count_full", full, "0.001 to 1e9")?;
        require((0.0..=10.0).contains(&self.exponent), "exponent", self.exponent, "0 to 10")?;
        let rate = self.rate_of_biases;
        require((0.0..=1.0).contains(&self.rate), "the learning rate", self.rate, "0 to 1")?;
        require((0.0..=1.0).contains(&rate), "the learning rate of biases", rate, "0 to 1")
    }
}

/// Trains a vector for each word of the corpus: the sum of its vectors as a word and as company.
///
/// # Errors
/// [`TrainError`]: invalid input for options out of bounds or a corpus in which no two words stand
/// together; unsupported for one with too many pairs; cancelled.
pub fn train_glove(
    corpus: &TokenCorpus,
    options: &GloveOptions,
    run: Run<'_>,
) -> Result<WordTable, TrainError> {
    options.check()?;
    let side = Side { dimension: options.dimension };
    let table = 2 * side.width() * corpus.vocabulary().len();
    run.require_room(table)?;
    let mut pairs = count_pairs(corpus, options.window, run)?;
    if pairs.is_empty() {
        let what = "pairs of words that stand together";
        return Err(TrainError::TooSmall { what, actual: 0, least: 1 });
    }
    shuffle(&mut pairs, run.seed);
    let words = corpus.vocabulary().len();
    let dimension = options.dimension;
    let reach = 0.5 / dimension as f32;
    let start = |part| {
        let mut values = uniform(words * side.width(), reach, run.seed, part);
        values.chunks_exact_mut(side.width()).for_each(|row| row[side.squares()].fill(1.0));
        values
    };
    let (mut as_word, mut as_company) = (start(u64::MAX), start(u64::MAX - 1));
    fit(options, &pairs, [&mut as_word, &mut as_company], run)?;
    let mut values = Vec::with_capacity(words * dimension);
    for (word, company) in
        as_word.chunks_exact(side.width()).zip(as_company.chunks_exact(side.width()))
    {
        values.extend(word[..dimension].iter().zip(company).map(|(a, b)| a + b));
    }
    WordTable::new(corpus.vocabulary().clone(), dimension, values).map_err(TrainError::Diverged)
}

/// How often two words stand together; the first has the greater id, or they are one.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Pair {
    words: (u32, u32),
    count: f32,
}

/// Returns how often the words of each pair stand together, within the window and nearer ones counting
/// more, in the order of the ids.
fn count_pairs(corpus: &TokenCorpus, window: usize, run: Run<'_>) -> Result<Vec<Pair>, TrainError> {
    let total = corpus.tokens() as u64;
    let (mut sums, mut batch) = (Vec::new(), Vec::with_capacity(BATCH_PAIRS));
    let mut done = 0;
    for text in corpus.texts() {
        for (place, &word) in text.iter().enumerate() {
            let before = &text[place.saturating_sub(window)..place];
            for (distance, &other) in (1..).zip(before.iter().rev()) {
                // A word beside itself is counted from both sides.
                let count = if word == other { 2.0 } else { 1.0 } / distance as f32;
                batch.push(Pair { words: (word.max(other), word.min(other)), count });
            }
            if batch.len() + window > BATCH_PAIRS {
                sums = merged(sums, &mut batch)?;
                run.require_room(sums.len().saturating_mul(PAIR_NUMBERS))?;
                run.cancel.check()?;
                (run.progress)("counting pairs", done, Some(total));
            }
        }
        done += text.len() as u64;
    }
    merged(sums, &mut batch)
}

/// Adds the pairs of a batch to the sums, which are in order, and empties it.
fn merged(sums: Vec<Pair>, batch: &mut Vec<Pair>) -> Result<Vec<Pair>, TrainError> {
    let mut all = sums;
    all.append(batch);
    // The sort is stable and merges runs, so the sums before are not sorted anew; and sums of floats
    // come out the same whenever the corpus does.
    all.sort_by_key(|pair| pair.words);
    all.dedup_by(|from, into| {
        let is_same = from.words == into.words;
        if is_same {
            into.count += from.count;
        }
        is_same
    });
    if all.len() > PAIRS_MAX {
        return Err(TrainError::TooLarge { what: "pairs of words", most: PAIRS_MAX });
    }
    Ok(all)
}

fn shuffle(pairs: &mut [Pair], seed: u64) {
    let mut random = Random::new(seed, u64::MAX - 2);
    for last in (1..pairs.len()).rev() {
        pairs.swap(last, random.below(last + 1));
    }
}

/// How a row is laid out: the vector, its bias, then the sums of squared gradients of each.
#[derive(Debug, Clone, Copy)]
struct Side {
    dimension: usize,
}

impl Side {
    fn width(self) -> usize {
        2 * (self.dimension + 1)
    }

    fn squares(self) -> Range<usize> {
        self.dimension + 1..self.width()
    }
}

fn fit(
    options: &GloveOptions,
    pairs: &[Pair],
    [as_word, as_company]: [&mut [f32]; 2],
    run: Run<'_>,
) -> Result<(), TrainError> {
    let side = Side { dimension: options.dimension };
    let (as_word, as_company) =
        (Rows::new(as_word, side.width()), Rows::new(as_company, side.width()));
    let pieces: Vec<&[Pair]> = pairs.chunks(PIECE_PAIRS).collect();
    let targets = |count: f32| {
        let share = (f64::from(count) / options.count_full).min(1.0);
        #[expect(clippy::cast_possible_truncation, reason = "at most one")]
        let weight = share.powf(options.exponent) as f32;
        (count.ln(), weight)
    };
    drive(
        run,
        options.epochs,
        pieces.len(),
        pairs.len() as u64,
        || (),
        |(), piece, _, clockwork| {
            let mut loss = LossSum::default();
            for pair in pieces[piece] {
                let (target, weight) = targets(pair.count);
                let (a, b) = pair.words;
                let orders = [(a, b), (b, a)];
                for &(word, company) in &orders[..if a == b { 1 } else { 2 }] {
                    // The word is always locked before the company, so no two threads wait for each other.
                    let (mut word, mut company) = (as_word.lock(word), as_company.lock(company));
                    let rates = [options.rate, options.rate_of_biases];
                    loss.sum += step(&mut word, &mut company, target, weight, rates);
                    loss.examples += 1;
                }
            }
            clockwork.advance(pieces[piece].len());
            loss
        },
    )
}

/// Brings the inner product of two rows nearer to the target, and returns the weighted squared error.
fn step(
    word: &mut [f32],
    company: &mut [f32],
    target: f32,
    weight: f32,
    [rate, rate_of_biases]: [f32; 2],
) -> f64 {
    let parameters = word.len() / 2;
    let dimension = parameters - 1;
    let (word, word_squares) = word.split_at_mut(parameters);
    let (company, company_squares) = company.split_at_mut(parameters);
    let product = kernel::dot(&word[..dimension], &company[..dimension]);
    let error = product + word[dimension] + company[dimension] - target;
    let scale = weight * error * rate;
    if !scale.is_finite() {
        return 0.0;
    }
    for at in 0..dimension {
        let (down_word, down_company) = (
            (scale * company[at]).clamp(-STEP_MAX, STEP_MAX),
            (scale * word[at]).clamp(-STEP_MAX, STEP_MAX),
        );
        word[at] -= down_word / word_squares[at].sqrt();
        company[at] -= down_company / company_squares[at].sqrt();
        word_squares[at] += down_word * down_word;
        company_squares[at] += down_company * down_company;
    }
    let down = (weight * error * rate_of_biases).clamp(-STEP_MAX, STEP_MAX);
    word[dimension] -= down / word_squares[dimension].sqrt();
    company[dimension] -= down / company_squares[dimension].sqrt();
    word_squares[dimension] += down * down;
    company_squares[dimension] += down * down;
    f64::from(0.5 * weight * error * error)
}

#[cfg(test)]
mod tests {
    use super::super::TokenCorpusBuilder;
    use super::super::tests::{found_synonyms, planted, run};
    use super::*;
    use crate::cancel::Cancellation;
    use crate::embed::text::{Segmentation, Words};

    #[test]
    fn pairs_count_by_their_distance_from_both_sides() {
        let cancel = Cancellation::new();
        let mut builder = TokenCorpusBuilder::new(Words::new(Segmentation::Blanks, false));
        for text in ["a b a c", "c"] {
            builder.add(text).unwrap();
        }
        let corpus = builder.finish(1, 10).unwrap();
        assert_eq!(corpus.vocabulary().words().collect::<Vec<_>>(), ["a", "c", "b"]);
        let pairs = count_pairs(&corpus, 2, run(&cancel, 1, 1)).unwrap();
        let expected = [((0, 0), 1.0), ((1, 0), 1.0), ((2, 0), 2.0), ((2, 1), 0.5)];
        let found: Vec<_> = pairs.iter().map(|pair| (pair.words, pair.count)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn words_that_keep_the_same_company_come_to_lie_together() {
        let cancel = Cancellation::new();
        let options = GloveOptions { dimension: 24, window: 5, ..GloveOptions::default() };
        let corpus = planted(1);
        let table = train_glove(&corpus, &options, run(&cancel, 5, 1)).unwrap();
        assert!(found_synonyms(&table) >= 11, "{} of 12", found_synonyms(&table));
        assert_eq!(table, train_glove(&corpus, &options, run(&cancel, 5, 1)).unwrap());
        let shared = train_glove(&corpus, &options, run(&cancel, 5, 2)).unwrap();
        assert!(found_synonyms(&shared) >= 11);
    }

    /// The objective itself: after training, inner products and biases give back the logarithms.
    #[test]
    fn inner_products_give_back_the_logarithms_of_the_counts() {
        let cancel = Cancellation::new();
        let base = GloveOptions { dimension: 8, epochs: 400, ..GloveOptions::default() };
        let counts = [1.0, 5.0, 0.5, 40.0, 2.0, 9.0];
        let words = [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)];
        let pairs: Vec<_> =
            words.iter().zip(counts).map(|(&words, count)| Pair { words, count }).collect();
        let side = Side { dimension: 8 };
        let start = |part| {
            let mut values = uniform(4 * side.width(), 0.06, 1, part);
            values.chunks_exact_mut(side.width()).for_each(|row| row[side.squares()].fill(1.0));
            values
        };
        for rate_of_biases in [0.05, 1.0] {
            let options = GloveOptions { count_full: 1.0, rate_of_biases, ..base };
            let (mut word, mut company) = (start(1), start(2));
            fit(&options, &pairs, [&mut word, &mut company], run(&cancel, 1, 1)).unwrap();
            for pair in pairs.iter().filter(|pair| pair.count >= 1.0) {
                let row =
                    |values: &[f32], id: u32| values[id as usize * side.width()..][..9].to_vec();
                let (a, b) = (row(&word, pair.words.0), row(&company, pair.words.1));
                let said: f32 = (0..8).map(|at| a[at] * b[at]).sum::<f32>() + a[8] + b[8];
                assert!(
                    (said - pair.count.ln()).abs() < 0.05,
                    "{rate_of_biases}, {pair:?}: {said}"
                );
            }
        }
    }
}
