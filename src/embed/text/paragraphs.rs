use serde::{Deserialize, Serialize};

use super::{Objective, Random, Sigmoid, Vocabulary, WordTable, WordVectors};
use crate::vector::kernel;

/// How the vector of a document and the words around a word tell the word. Persisted by name.
///
/// Source: Le and Mikolov 2014, "Distributed representations of sentences and documents".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParagraphKind {
    /// The document alone tells each of its words (PV-DBOW).
    BagOfWords,
    /// The mean of the document and the words around (PV-DM).
    Mean,
    /// The document and the words around one after another, each at its place (PV-DM).
    Joined,
}

/// What shapes the vector of a new document. Persisted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParagraphSettings {
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
    /// How often a new document is gone through.
    pub epochs: usize,
    /// The learning rate at the beginning.
    pub rate_first: f32,
    /// The learning rate at the end.
    pub rate_last: f32,
}

/// Finds the vector of a document that tells its words best: Doc2Vec.
#[derive(Debug, Clone)]
pub struct Paragraphs {
    settings: ParagraphSettings,
    /// The words as company of others; one more row, the last, stands beyond both ends of a document.
    words: Vec<f32>,
    /// What each output says about what it is told from.
    output: WordTable,
    dimension: usize,
    objective: Objective,
    chances: Vec<f32>,
    sigmoid: Sigmoid,
}

/// The rows that a document's vector is found with.
#[derive(Debug, Clone)]
pub struct ParagraphRows {
    /// The words as company of others, and one row for what stands beyond the ends.
    pub words: Vec<f32>,
    /// The output rows, one for each word, with the words and their counts.
    pub output: WordTable,
}

impl Paragraphs {
    /// Returns what finds vectors of `dimension`.
    ///
    /// # Errors
    /// A reason, if a number is out of bounds or the rows do not fit.
    pub fn new(
        settings: ParagraphSettings,
        dimension: usize,
        rows: ParagraphRows,
    ) -> Result<Self, String> {
        let ParagraphRows { words, output } = rows;
        let counts = output.vocabulary().counts();
        if counts.len() < 2 {
            return Err(format!("{} words, expected at least 2", counts.len()));
        }
        settings.check()?;
        let expected = (settings.output_width(dimension), (counts.len() + 1) * dimension);
        if (output.dimension(), words.len()) != expected {
            let (width, values) = (output.dimension(), words.len());
            return Err(format!(
                "expected outputs of {} and {} values of words, got {width} and {values}",
                expected.0, expected.1
            ));
        }
        let objective = settings.objective(output.vocabulary());
        let chances = chances_to_stay(counts, settings.sample);
        let sigmoid = Sigmoid::new();
        Ok(Self { settings, words, output, dimension, objective, chances, sigmoid })
    }

    /// Returns the settings.
    pub fn settings(&self) -> &ParagraphSettings {
        &self.settings
    }

    /// Returns the known words.
    pub fn vocabulary(&self) -> &Vocabulary {
        self.output.vocabulary()
    }

    /// Returns how many components a vector has.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Returns the rows that vectors are found with.
    pub fn rows(&self) -> ParagraphRows {
        ParagraphRows { words: self.words.clone(), output: self.output.clone() }
    }

    /// Returns the vector of a document from the ids of its words, not of length one; nothing if there
    /// are no words. Chance follows from the words, so the same words give the same vector.
    ///
    /// # Panics
    /// If there is no such word.
    pub fn vector(&self, ids: &[u32]) -> Option<Vec<f32>> {
        if ids.is_empty() {
            return None;
        }
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        let seed = u64::from_le_bytes(blake3::hash(&bytes).as_bytes()[..8].try_into().ok()?);
        let mut random = Random::new(seed, 0);
        let reach = 1.0 / self.dimension as f32;
        let mut document: Vec<f32> =
            (0..self.dimension).map(|_| (2.0 * random.unit() - 1.0) * reach).collect();
        let width = self.output.dimension();
        let (mut hidden, mut gradient) = (vec![0.0; width], vec![0.0; width]);
        let ParagraphSettings { epochs, rate_first, rate_last, .. } = self.settings;
        for epoch in 0..epochs {
            let rate = rate_first - (rate_first - rate_last) * epoch as f32 / epochs as f32;
            let kept = thinned(ids, &self.chances, &mut random);
            for center in 0..kept.len() {
                self.settings.join(&mut hidden, &document, &kept, center, self, &mut random);
                gradient.fill(0.0);
                self.objective.each(kept[center], &mut random, |row, label| {
                    let row = self.output.row(row);
                    let error = label - self.sigmoid.of(kernel::dot(&hidden, row));
                    kernel::add_scaled(&mut gradient, row, error * rate);
                });
                kernel::add_scaled(&mut document, &gradient[..self.dimension], 1.0);
            }
        }
        document.iter().all(|value| value.is_finite()).then_some(document)
    }

    fn word(&self, id: usize) -> &[f32] {
        &self.words[id * self.dimension..][..self.dimension]
    }
}

impl ParagraphSettings {
    /// Returns what is wrong with the settings, if something is.
    pub(in crate::embed) fn check(&self) -> Result<(), String> {
        let within = |name: &str, value: f64, least: f64, most: f64| {
            let message = format!("{name} is {value}, expected {least} to {most}");
            if (least..=most).contains(&value) { Ok(()) } else { Err(message) }
        };
        within("window", self.window as f64, 1.0, 1000.0)?;
        within("negatives", self.negatives as f64, 0.0, 1000.0)?;
        within("negative_exponent", self.negative_exponent, -10.0, 10.0)?;
        within("sample", self.sample, 0.0, 1.0)?;
        within("epochs", self.epochs as f64, 1.0, 10_000.0)?;
        within("the first learning rate", self.rate_first.into(), 0.0, 1.0)?;
        within("the last learning rate", self.rate_last.into(), 0.0, 1.0)
    }

    /// Returns how wide an output row is.
    pub(in crate::embed) fn output_width(&self, dimension: usize) -> usize {
        match self.kind {
            ParagraphKind::BagOfWords | ParagraphKind::Mean => dimension,
            ParagraphKind::Joined => dimension * (1 + 2 * self.window),
        }
    }

    /// Returns how words are told from others.
    pub(in crate::embed) fn objective(&self, vocabulary: &Vocabulary) -> Objective {
        match self.negatives {
            0 => Objective::hierarchical_softmax(vocabulary.counts()),
            count => {
                let exponent = self.negative_exponent;
                Objective::negative_sampling(vocabulary.counts(), count, exponent)
            }
        }
    }

    fn join(
        &self,
        hidden: &mut [f32],
        document: &[f32],
        text: &[u32],
        center: usize,
        rows: &Paragraphs,
        random: &mut Random,
    ) {
        hidden[..document.len()].copy_from_slice(document);
        match self.kind {
            ParagraphKind::BagOfWords => {}
            ParagraphKind::Mean => {
                let (before, after) = drawn_window(text, center, self.window, random);
                for &id in before.iter().chain(after) {
                    kernel::add_scaled(hidden, rows.word(id as usize), 1.0);
                }
                let share = 1.0 / (1 + before.len() + after.len()) as f32;
                hidden.iter_mut().for_each(|value| *value *= share);
            }
            ParagraphKind::Joined => {
                let beyond = rows.vocabulary().len();
                let parts = hidden[document.len()..].chunks_exact_mut(document.len());
                for (part, id) in parts.zip(whole_window(text, center, self.window)) {
                    part.copy_from_slice(rows.word(id.map_or(beyond, |id| id as usize)));
                }
            }
        }
    }
}

/// Returns for each word the chance that an occurrence stays; empty if all stay.
///
/// Source: the code of word2vec, which differs from its paper: (sqrt(f / t) + 1) t / f.
pub(in crate::embed) fn chances_to_stay(counts: &[u64], sample: f64) -> Vec<f32> {
    if sample == 0.0 {
        return Vec::new();
    }
    let threshold = sample * counts.iter().sum::<u64>() as f64;
    let chance = |&count: &u64| {
        let share = count.max(1) as f64 / threshold.max(f64::MIN_POSITIVE);
        #[expect(clippy::cast_possible_truncation, reason = "a chance needs no more precision")]
        let chance = ((share.sqrt() + 1.0) / share) as f32;
        chance
    };
    counts.iter().map(chance).collect()
}

/// Returns the words of a text without some of the frequent ones.
pub(in crate::embed) fn thinned(text: &[u32], chances: &[f32], random: &mut Random) -> Vec<u32> {
    if chances.is_empty() {
        return text.to_vec();
    }
    let mut stays = |word: u32| {
        let chance = chances[word as usize];
        chance >= 1.0 || random.unit() < chance
    };
    text.iter().copied().filter(|&word| stays(word)).collect()
}

/// Returns the neighbours before and after a word, as far as the drawn window reaches.
pub(in crate::embed) fn drawn_window<'a>(
    text: &'a [u32],
    center: usize,
    most: usize,
    random: &mut Random,
) -> (&'a [u32], &'a [u32]) {
    let reach = 1 + random.below(most);
    let end = (center + reach + 1).min(text.len());
    (&text[center.saturating_sub(reach)..center], &text[center + 1..end])
}

/// Returns the neighbours at each place of the whole window, none beyond the ends.
pub(in crate::embed) fn whole_window(
    text: &[u32],
    center: usize,
    window: usize,
) -> impl Iterator<Item = Option<u32>> {
    let before = (1..=window).rev().map(move |back| center.checked_sub(back));
    let after = (1..=window).map(move |ahead| Some(center + ahead));
    before.chain(after).map(|place| place.and_then(|place| text.get(place).copied()))
}
