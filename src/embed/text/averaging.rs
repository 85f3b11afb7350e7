use serde::{Deserialize, Serialize};

use super::{Vocabulary, WordVectors};
use crate::vector::kernel;

/// How much each word of a text counts. Persisted by name.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weighting {
    /// All words the same.
    Uniform,
    /// By the logarithm of the share of texts without the word: `ln((1 + n) / (1 + df)) + 1`.
    Idf,
    /// Frequent words less: `a / (a + p)`, where `p` is the share of the word in the corpus.
    ///
    /// Source: Arora, Liang and Ma 2017, "A simple but tough-to-beat baseline for sentence
    /// embeddings", whose `a` is 0.001.
    Sif {
        /// The share of the corpus from which on a word counts less than half.
        a: f64,
    },
}

/// How the vectors of the words become one. Persisted by name.
///
/// Source: Rücklé et al. 2018, "Concatenated power mean word embeddings as universal cross-lingual
/// sentence representations".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Power {
    /// The least of each component: the power mean of minus infinity.
    Least,
    /// The mean.
    Mean,
    /// The cubic root of the mean of cubes.
    Cubic,
    /// The greatest of each component.
    Greatest,
}

/// In how many texts of a corpus, and how often, the words of a vocabulary occur.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Frequencies {
    /// The words with how often they occur.
    pub words: Vocabulary,
    /// For each of them, in how many texts.
    pub texts_with: Vec<u64>,
    /// How many texts there are.
    pub texts: u64,
}

/// The mean of the words of a text, in one of its forms.
#[derive(Debug, Clone, PartialEq)]
pub struct Averaging {
    weighting: Weighting,
    powers: Vec<Power>,
    frequencies: Frequencies,
    tokens: u64,
    /// What all texts have in common, of length one: taken out of every vector.
    common: Option<Vec<f32>>,
}

impl Averaging {
    /// Returns the averaging with these weights; the powers are concatenated in order.
    ///
    /// # Errors
    /// A reason, if there are no powers or a number is out of bounds.
    pub fn new(
        weighting: Weighting,
        powers: Vec<Power>,
        frequencies: Frequencies,
    ) -> Result<Self, String> {
        if powers.is_empty() || powers.len() > 4 {
            return Err(format!("{} power means, expected 1 to 4", powers.len()));
        }
        if let Weighting::Sif { a } = weighting
            && !(a > 0.0 && a <= 1.0)
        {
            return Err(format!("a is {a}, expected more than 0 and at most 1"));
        }
        if frequencies.texts_with.len() != frequencies.words.len() {
            let (words, texts) = (frequencies.words.len(), frequencies.texts_with.len());
            return Err(format!("{words} words with the frequencies of {texts}"));
        }
        let tokens = frequencies.words.counts().iter().sum();
        Ok(Self { weighting, powers, frequencies, tokens, common: None })
    }

    /// Returns the averaging that takes a direction out of every vector; `common` is of the dimension
    /// of the vectors.
    #[must_use]
    pub fn without_common(mut self, mut common: Vec<f32>) -> Self {
        let length = kernel::dot(&common, &common).sqrt();
        if length > 0.0 {
            common.iter_mut().for_each(|value| *value /= length);
            self.common = Some(common);
        }
        self
    }

    /// Returns what all texts have in common, if that is taken out.
    pub fn common(&self) -> Option<&[f32]> {
        self.common.as_deref()
    }

    /// Returns how often the words occur in the corpus that this was fitted on.
    pub fn frequencies(&self) -> &Frequencies {
        &self.frequencies
    }

    /// Returns how many components a vector has, made from word vectors of `dimension`.
    pub fn dimension(&self, dimension: usize) -> usize {
        dimension * self.powers.len()
    }

    /// Returns how much a word counts: more than zero.
    pub fn weight(&self, word: &str) -> f32 {
        let id = self.frequencies.words.id(word).map(|id| id as usize);
        let weight = match self.weighting {
            Weighting::Uniform => 1.0,
            Weighting::Idf => {
                let with = id.map_or(0, |id| self.frequencies.texts_with[id]) as f64;
                ((1.0 + self.frequencies.texts as f64) / (1.0 + with)).ln() + 1.0
            }
            Weighting::Sif { a } => {
                let count = id.map_or(0, |id| self.frequencies.words.counts()[id]) as f64;
                a / (a + count / self.tokens.max(1) as f64)
            }
        };
        #[expect(clippy::cast_possible_truncation, reason = "a weight needs no more precision")]
        let weight = weight as f32;
        weight
    }

    /// Returns the vector of a text from its words, not of length one; nothing if no word has a
    /// vector, or if nothing remains of them.
    pub fn vector<'a>(
        &self,
        words: impl IntoIterator<Item = &'a str>,
        vectors: &dyn WordVectors,
    ) -> Option<Vec<f32>> {
        let mut mean = Means::new(&self.powers, vectors.dimension());
        let mut row = vec![0.0; vectors.dimension()];
        for word in words {
            row.fill(0.0);
            if vectors.add(word, 1.0, &mut row) {
                mean.add(&row, self.weight(word));
            }
        }
        self.finish(mean)
    }

    /// Returns the vector of a text from the weights and vectors of its words.
    pub(in crate::embed) fn finish(&self, means: Means<'_>) -> Option<Vec<f32>> {
        let mut vector = means.finish()?;
        if let Some(common) = &self.common {
            let share = kernel::dot(&vector, common);
            kernel::add_scaled(&mut vector, common, -share);
        }
        vector.iter().any(|&value| value != 0.0).then_some(vector)
    }

    /// Returns what gathers the words of a text.
    pub(in crate::embed) fn means(&self, dimension: usize) -> Means<'_> {
        Means::new(&self.powers, dimension)
    }
}

/// The power means of the words of a text, word by word.
#[derive(Debug)]
pub(in crate::embed) struct Means<'a> {
    powers: &'a [Power],
    dimension: usize,
    values: Vec<f32>,
    weight: f32,
}

impl<'a> Means<'a> {
    fn new(powers: &'a [Power], dimension: usize) -> Self {
        Self { powers, dimension, values: vec![0.0; powers.len() * dimension], weight: 0.0 }
    }

    /// Adds the vector of a word; the greatest and the least know no weights.
    pub(in crate::embed) fn add(&mut self, row: &[f32], weight: f32) {
        let is_first = self.weight == 0.0;
        for (power, values) in self.powers.iter().zip(self.values.chunks_exact_mut(self.dimension))
        {
            match power {
                Power::Mean => kernel::add_scaled(values, row, weight),
                Power::Cubic => {
                    values.iter_mut().zip(row).for_each(|(sum, x)| *sum += weight * x * x * x);
                }
                Power::Least | Power::Greatest if is_first => values.copy_from_slice(row),
                Power::Least => values.iter_mut().zip(row).for_each(|(y, x)| *y = y.min(*x)),
                Power::Greatest => values.iter_mut().zip(row).for_each(|(y, x)| *y = y.max(*x)),
            }
        }
        self.weight += weight;
    }

    fn finish(mut self) -> Option<Vec<f32>> {
        if self.weight <= 0.0 {
            return None;
        }
        let weight = self.weight;
        for (power, values) in self.powers.iter().zip(self.values.chunks_exact_mut(self.dimension))
        {
            match power {
                Power::Mean => values.iter_mut().for_each(|value| *value /= weight),
                Power::Cubic => {
                    values.iter_mut().for_each(|value| *value = (*value / weight).cbrt())
                }
                Power::Least | Power::Greatest => {}
            }
        }
        self.values.iter().all(|value| value.is_finite()).then_some(self.values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::text::WordTable;

    fn table() -> WordTable {
        let mut vocabulary = Vocabulary::default();
        for word in ["the", "cat", "dog"] {
            vocabulary.add(word, 0);
        }
        WordTable::new(vocabulary, 2, vec![4.0, 0.0, 1.0, 2.0, -1.0, 3.0]).unwrap()
    }

    fn frequencies() -> Frequencies {
        let mut words = Vocabulary::default();
        words.add("the", 90);
        words.add("cat", 10);
        Frequencies { words, texts_with: vec![9, 1], texts: 9 }
    }

    fn vector(weighting: Weighting, powers: &[Power], text: &str) -> Option<Vec<f32>> {
        let averaging = Averaging::new(weighting, powers.to_vec(), frequencies()).unwrap();
        averaging.vector(text.split(' '), &table())
    }

    fn near(actual: Option<Vec<f32>>, expected: &[f32]) {
        let actual = actual.unwrap();
        assert_eq!(actual.len(), expected.len());
        for (a, b) in actual.iter().zip(expected) {
            assert!((a - b).abs() < 1e-5, "{actual:?}, not {expected:?}");
        }
    }

    #[test]
    fn every_weighting_is_the_one_of_its_source() {
        near(vector(Weighting::Uniform, &[Power::Mean], "the cat"), &[2.5, 1.0]);
        // idf: the 1 + ln(10 / 10), cat 1 + ln(10 / 2).
        let cat = 1.0 + 5f32.ln();
        let expected = [(4.0 + cat) / (1.0 + cat), 2.0 * cat / (1.0 + cat)];
        near(vector(Weighting::Idf, &[Power::Mean], "the cat"), &expected);
        // SIF: the 0.1 / (0.1 + 0.9), cat 0.1 / (0.1 + 0.1), dog, which was never seen, 1.
        let sif = Weighting::Sif { a: 0.1 };
        near(vector(sif, &[Power::Mean], "the cat"), &[0.9 / 0.6, 1.0 / 0.6]);
        near(vector(sif, &[Power::Mean], "dog"), &[-1.0, 3.0]);
    }

    #[test]
    fn power_means_stand_one_after_another() {
        let all = [Power::Least, Power::Mean, Power::Cubic, Power::Greatest];
        let cubes = [(0.0f32).cbrt(), (35.0f32 / 2.0).cbrt()];
        let expected = [-1.0, 2.0, 0.0, 2.5, cubes[0], cubes[1], 1.0, 3.0];
        near(vector(Weighting::Uniform, &all, "cat dog"), &expected);
    }

    #[test]
    fn a_text_of_unknown_words_has_no_vector() {
        for powers in [&[Power::Mean][..], &[Power::Least, Power::Greatest]] {
            assert_eq!(vector(Weighting::Uniform, powers, "bird fish"), None);
        }
        near(vector(Weighting::Uniform, &[Power::Mean], "bird cat"), &[1.0, 2.0]);
    }

    #[test]
    fn what_all_texts_have_in_common_is_taken_out() {
        let averaging =
            Averaging::new(Weighting::Uniform, vec![Power::Mean], frequencies()).unwrap();
        let averaging = averaging.without_common(vec![0.0, 5.0]);
        near(averaging.vector(["cat", "dog", "the"], &table()), &[4.0 / 3.0, 0.0]);
        let other = averaging.without_common(vec![3.0, 0.0]);
        assert_eq!(other.vector(["the"], &table()), None, "nothing remains");
    }

    #[test]
    fn settings_out_of_bounds_are_refused() {
        let new = |weighting, powers| Averaging::new(weighting, powers, frequencies());
        assert!(new(Weighting::Sif { a: 0.0 }, vec![Power::Mean]).unwrap_err().contains("a is 0"));
        assert!(new(Weighting::Uniform, vec![]).unwrap_err().contains("0 power means"));
    }
}
