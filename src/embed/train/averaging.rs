//! Fits how words are weighed, and what all texts have in common.

use super::{Run, TokenCorpus, TrainError};
use crate::embed::text::{Averaging, Frequencies, Power, Random, Weighting, WordVectors};
use crate::vector::kernel;

/// From how many texts it is found out what all have in common.
const SAMPLE_TEXTS: usize = 20_000;
/// How often the direction is multiplied with the texts. The largest component stands out by far, so
/// that it is found long before.
const POWER_STEPS: usize = 60;

/// Returns in how many texts, and how often, the words of a corpus occur.
pub fn count_frequencies(corpus: &TokenCorpus) -> Frequencies {
    let words = corpus.vocabulary().clone();
    let mut texts_with = vec![0; words.len()];
    let mut last_text = vec![usize::MAX; words.len()];
    for (number, text) in corpus.texts().enumerate() {
        for &id in text {
            let id = id as usize;
            if last_text[id] != number {
                last_text[id] = number;
                texts_with[id] += 1;
            }
        }
    }
    Frequencies { words, texts_with, texts: corpus.len() as u64 }
}

/// Fits the averaging of word vectors on a corpus. With `without_common`, the first principal
/// component of the texts' vectors (not centred) is kept, to be taken out of every vector: once and for
/// all, so that a vector never depends on what it is embedded with.
///
/// # Errors
/// [`TrainError`]: invalid input for settings out of bounds; cancelled.
pub fn fit_averaging(
    corpus: &TokenCorpus,
    vectors: &dyn WordVectors,
    weighting: Weighting,
    powers: Vec<Power>,
    without_common: bool,
    run: Run<'_>,
) -> Result<Averaging, TrainError> {
    let averaging =
        Averaging::new(weighting, powers, count_frequencies(corpus)).map_err(|actual| {
            TrainError::Option {
                option: "the averaging",
                actual,
                expected: "settings within bounds",
            }
        })?;
    if !without_common {
        return Ok(averaging);
    }
    let mut rows: Vec<Vec<f32>> = Vec::new();
    for place in sample(corpus.len(), run.seed) {
        run.cancel.check()?;
        let words = corpus.text(place).iter().map(|&id| corpus.vocabulary().word(id));
        rows.extend(averaging.vector(words, vectors));
    }
    (run.progress)("finding what all texts have in common", 0, None);
    match first_component(&rows) {
        Some(common) => Ok(averaging.without_common(common)),
        None => Ok(averaging),
    }
}

/// Returns the places of some of the texts, in order.
fn sample(texts: usize, seed: u64) -> Vec<usize> {
    let mut random = Random::new(seed, u64::MAX - 3);
    let mut places: Vec<usize> = (0..texts.min(SAMPLE_TEXTS)).collect();
    for text in SAMPLE_TEXTS..texts {
        let place = random.below(text + 1);
        if let Some(kept) = places.get_mut(place) {
            *kept = text;
        }
    }
    places.sort_unstable();
    places
}

/// Returns the direction in which the rows reach furthest: the first right singular vector.
fn first_component(rows: &[Vec<f32>]) -> Option<Vec<f32>> {
    let width = rows.first()?.len();
    let mut direction = vec![0.0; width];
    // Their sum is seldom at a right angle to it; the longest row stands in where it is.
    rows.iter().for_each(|row| kernel::add_scaled(&mut direction, row, 1.0));
    if !normalize(&mut direction) {
        let length = |row: &&Vec<f32>| kernel::dot(row, row);
        direction.copy_from_slice(rows.iter().max_by(|a, b| length(a).total_cmp(&length(b)))?);
        normalize(&mut direction);
    }
    for _ in 0..POWER_STEPS {
        let mut next = vec![0.0; width];
        for row in rows {
            kernel::add_scaled(&mut next, row, kernel::dot(row, &direction));
        }
        if !normalize(&mut next) {
            return None;
        }
        direction = next;
    }
    Some(direction)
}

fn normalize(row: &mut [f32]) -> bool {
    let length = kernel::dot(row, row).sqrt();
    let has_direction = length.is_finite() && length > 1e-20;
    if has_direction {
        row.iter_mut().for_each(|value| *value /= length);
    }
    has_direction
}

#[cfg(test)]
mod tests {
    use super::super::tests::{planted, run};
    use super::*;
    use crate::cancel::Cancellation;
    use crate::embed::text::WordTable;

    #[test]
    fn frequencies_count_words_and_the_texts_that_have_them() {
        let corpus = planted(1);
        let frequencies = count_frequencies(&corpus);
        assert_eq!(frequencies.texts, 4_000);
        for word in ["thing0", "c3x2"] {
            let id = corpus.vocabulary().id(word).unwrap();
            let with = corpus.texts().filter(|text| text.contains(&id)).count() as u64;
            let count = corpus.texts().flatten().filter(|&&other| other == id).count() as u64;
            assert_eq!(frequencies.texts_with[id as usize], with);
            assert_eq!(frequencies.words.counts()[id as usize], count);
        }
    }

    /// Every row is a multiple of one direction with a little of others.
    #[test]
    fn the_first_component_is_the_direction_in_which_the_rows_reach_furthest() {
        let mut random = Random::new(9, 0);
        let planted = [0.6f32, 0.0, -0.8];
        let rows: Vec<Vec<f32>> = (0..500)
            .map(|_| {
                let reach = 4.0 * (random.unit() - 0.4);
                planted.iter().map(|value| reach * value + 0.3 * (random.unit() - 0.5)).collect()
            })
            .collect();
        let found = first_component(&rows).unwrap();
        assert!(kernel::dot(&found, &planted).abs() > 0.995, "{found:?}");
        assert_eq!(first_component(&[vec![0.0; 3]]), None);
        assert_eq!(first_component(&[]), None);
        let opposite = first_component(&[vec![1.0, 0.0], vec![-1.0, 0.0]]).unwrap();
        assert_eq!(opposite[0].abs(), 1.0);
    }

    #[test]
    fn the_common_component_is_found_once_and_taken_out_of_every_text() {
        let cancel = Cancellation::new();
        let corpus = planted(1);
        let mut random = Random::new(2, 0);
        let words = corpus.vocabulary().len();
        let values = (0..words).flat_map(|_| [3.0, random.unit() - 0.5, random.unit() - 0.5]);
        let table = WordTable::new(corpus.vocabulary().clone(), 3, values.collect()).unwrap();
        let fit = |without_common| {
            let weighting = Weighting::Sif { a: 1e-3 };
            let run = run(&cancel, 1, 1);
            fit_averaging(&corpus, &table, weighting, vec![Power::Mean], without_common, run)
                .unwrap()
        };
        let common = fit(true).common().unwrap().to_vec();
        assert!(common[0].abs() > 0.999, "{common:?}");
        let text = ["thing0", "c0x1"];
        assert!(fit(false).vector(text, &table).unwrap()[0] > 2.9);
        assert!(fit(true).vector(text, &table).unwrap()[0].abs() < 0.1);
        assert_eq!(fit(true), fit(true));
    }

    #[test]
    fn a_sample_is_even_and_in_order() {
        let places = sample(3 * SAMPLE_TEXTS, 4);
        assert_eq!(places.len(), SAMPLE_TEXTS);
        assert!(places.windows(2).all(|pair| pair[0] < pair[1]));
        let third = places.iter().filter(|&&place| place < SAMPLE_TEXTS).count();
        assert!((6_000..7_400).contains(&third), "{third} of 20000 from the first third");
        assert_eq!(sample(5, 1), [0, 1, 2, 3, 4]);
    }
}
