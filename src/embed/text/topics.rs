use super::{TopicSettings, Vocabulary, WordTable, WordVectors};

/// How often the shares of the topics in a text are improved, at most.
const FOLD_STEPS_MAX: usize = 200;
/// Shares that change less than this stay as they are.
const FOLD_TOLERANCE: f64 = 1e-6;

/// Topics that were found in a corpus, and how to see them in a text: latent Dirichlet allocation.
///
/// Sources: Blei, Ng and Jordan 2003, "Latent Dirichlet allocation"; the shares in a new text as Asuncion
/// et al. 2009, "On smoothing and inference for topic models" (CVB0), which needs no chance.
#[derive(Debug, Clone, PartialEq)]
pub struct Topics {
    /// For each word a row: how many of its occurrences belong to each topic.
    counts: WordTable,
    /// Before a text is seen, each topic has this many words of it.
    alpha: f64,
    /// Before the corpus was seen, each topic had this many of each word.
    beta: f64,
    /// For each word a row: how likely each topic gives the word.
    chances: Vec<f64>,
}

impl Topics {
    /// Returns the topics of the counts: for each word a row with how many of its occurrences belong to
    /// each topic.
    ///
    /// # Errors
    /// A reason, if a number is out of bounds.
    pub fn new(counts: WordTable, alpha: f64, beta: f64) -> Result<Self, String> {
        TopicSettings { alpha, beta }.check()?;
        if let Some(count) = counts.values().iter().find(|&&count| count < 0.0) {
            return Err(format!("a count is {count}, expected 0 or more"));
        }
        let topics = counts.dimension();
        let mut totals = vec![beta * counts.vocabulary().len() as f64; topics];
        for row in counts.values().chunks_exact(topics) {
            totals.iter_mut().zip(row).for_each(|(total, &count)| *total += f64::from(count));
        }
        let chance = |(&count, total): (&f32, &f64)| (f64::from(count) + beta) / total;
        let rows = counts.values().chunks_exact(topics);
        let chances = rows.flat_map(|row| row.iter().zip(&totals).map(chance)).collect();
        Ok(Self { counts, alpha, beta, chances })
    }

    /// Returns the known words.
    pub fn vocabulary(&self) -> &Vocabulary {
        self.counts.vocabulary()
    }

    /// Returns how many topics there are.
    pub fn len(&self) -> usize {
        self.counts.dimension()
    }

    /// Returns whether there are none, which is never so.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the counts that this was made of.
    pub fn counts(&self) -> &WordTable {
        &self.counts
    }

    /// Returns how many words of a text, and of a topic, are assumed before they are seen.
    pub fn priors(&self) -> (f64, f64) {
        (self.alpha, self.beta)
    }

    /// Returns how likely each topic gives a word, in the order of the topics.
    ///
    /// # Panics
    /// If there is no such word.
    pub fn chances(&self, id: u32) -> &[f64] {
        &self.chances[id as usize * self.len()..][..self.len()]
    }

    /// Returns the words that a topic gives most often, the most frequent first, with their chances.
    pub fn words_of(&self, topic: usize, count: usize) -> Vec<(&str, f64)> {
        let chances = self.chances.chunks_exact(self.len()).map(|row| row[topic]);
        let mut words: Vec<(&str, f64)> = self.vocabulary().words().zip(chances).collect();
        words.sort_by(|a, b| b.1.total_cmp(&a.1));
        words.truncate(count);
        words
    }

    /// Returns the share of each topic in a text, which add up to one; nothing if there are no words.
    /// The same words give the same shares, whatever their order.
    ///
    /// # Panics
    /// If there is no such word.
    pub fn shares(&self, ids: &[u32]) -> Option<Vec<f32>> {
        if ids.is_empty() {
            return None;
        }
        let mut sorted = ids.to_vec();
        sorted.sort_unstable();
        let words: Vec<(u32, f64)> =
            sorted.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as f64)).collect();
        let topics = self.len();
        let even = 1.0 / topics as f64;
        let mut parts = vec![even; words.len() * topics];
        let mut amounts = vec![self.alpha + sorted.len() as f64 * even; topics];
        for _ in 0..FOLD_STEPS_MAX {
            let mut change = 0.0f64;
            for ((id, count), part) in words.iter().zip(parts.chunks_exact_mut(topics)) {
                let mut total = 0.0;
                let mut next = self.chances(*id).to_vec();
                for (topic, next) in next.iter_mut().enumerate() {
                    // The word itself is left out of what it is judged by.
                    *next *= (amounts[topic] - part[topic]).max(self.alpha);
                    total += *next;
                }
                for (topic, next) in next.iter().enumerate() {
                    let new = next / total;
                    amounts[topic] += count * (new - part[topic]);
                    change = change.max((new - part[topic]).abs());
                    part[topic] = new;
                }
            }
            if change < FOLD_TOLERANCE {
                break;
            }
        }
        let total: f64 = amounts.iter().sum();
        #[expect(clippy::cast_possible_truncation, reason = "a share needs no more precision")]
        let shares = amounts.into_iter().map(|amount| (amount / total) as f32).collect();
        Some(shares)
    }
}
