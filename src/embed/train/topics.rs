//! Finds the topics of a corpus: collapsed Gibbs sampling with sparse counts.
//!
//! Sources: Griffiths and Steyvers 2004, "Finding scientific topics"; Yao, Mimno and McCallum 2009,
//! "Efficient methods for topic model inference on streaming document collections" (the three buckets).

use serde::{Deserialize, Serialize};

use super::error::require;
use super::{Run, TokenCorpus, TrainError};
use crate::embed::text::{Random, Topics, WordTable};

/// The most counts of words by topics.
const COUNTS_MAX: usize = 1 << 30;

/// How topics are found. The priors are those of Mallet.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TopicOptions {
    /// How many topics.
    pub topics: usize,
    /// How many words of a text are assumed before it is seen, over all topics.
    pub alpha_sum: f64,
    /// How many of each word each topic is assumed to have.
    pub beta: f64,
    /// How often every word of the corpus chooses its topic anew.
    pub sweeps: usize,
}

impl Default for TopicOptions {
    fn default() -> Self {
        Self { topics: 100, alpha_sum: 5.0, beta: 0.01, sweeps: 500 }
    }
}

impl TopicOptions {
    fn check(&self, words: usize) -> Result<(), TrainError> {
        require((2..=4096).contains(&self.topics), "topics", self.topics, "2 to 4096")?;
        require((1..=100_000).contains(&self.sweeps), "sweeps", self.sweeps, "1 to 100000")?;
        let alpha = self.alpha_sum;
        require((1e-6..=1e6).contains(&alpha), "alpha_sum", alpha, "0.000001 to 1e6")?;
        require((1e-9..=1e3).contains(&self.beta), "beta", self.beta, "1e-9 to 1000")?;
        if words * self.topics > COUNTS_MAX {
            let most = COUNTS_MAX / self.topics;
            return Err(TrainError::TooLarge { what: "distinct words for so many topics", most });
        }
        Ok(())
    }
}

/// Finds the topics of a corpus. Works on one thread, so that the seed decides the result.
///
/// # Errors
/// [`TrainError`]: invalid input for options out of bounds; unsupported for more words than fit;
/// cancelled.
pub fn train_topics(
    corpus: &TokenCorpus,
    options: &TopicOptions,
    run: Run<'_>,
) -> Result<Topics, TrainError> {
    let words = corpus.vocabulary().len();
    options.check(words)?;
    run.require_room(words.saturating_mul(options.topics).saturating_add(corpus.tokens()))?;
    let mut random = Random::new(run.seed, 1);
    let mut sampler = Sampler::new(words, options);
    let mut assigned = sampler.scatter(corpus, &mut random);
    let total = options.sweeps as u64;
    for sweep in 0..options.sweeps {
        let name = format!("sweep {} of {total}", sweep + 1);
        (run.progress)(&name, sweep as u64, Some(total));
        let mut start = 0;
        for text in corpus.texts() {
            run.cancel.check()?;
            let assigned = &mut assigned[start..start + text.len()];
            sampler.sweep(text, assigned, &mut random);
            start += text.len();
        }
    }
    let mut counts = vec![0.0; words * options.topics];
    for (row, topics) in counts.chunks_exact_mut(options.topics).zip(&sampler.of_words) {
        for &(topic, count) in topics {
            row[topic as usize] = count as f32;
        }
    }
    let counts = WordTable::new(corpus.vocabulary().clone(), options.topics, counts)
        .map_err(TrainError::Diverged)?;
    let alpha = options.alpha_sum / options.topics as f64;
    Topics::new(counts, alpha, options.beta).map_err(TrainError::Diverged)
}

/// The counts, and of the three parts of every topic's chance those that change little:
/// `alpha beta + n_text beta + (alpha + n_text) n_word`, each over `n_topic + words beta`.
struct Sampler {
    alpha: f64,
    beta: f64,
    beta_sum: f64,
    /// For each word the topics it has, with how many of its occurrences.
    of_words: Vec<Vec<(u32, u32)>>,
    of_topics: Vec<u64>,
    of_text: Vec<u32>,
    /// The topics that the text has, in no order.
    in_text: Vec<u32>,
    /// The sum of the first part.
    smoothing: f64,
    /// The sum of the second part.
    text_part: f64,
    /// `(alpha + n_text) / (n_topic + words beta)` for each topic.
    factors: Vec<f64>,
    weights: Vec<f64>,
}

impl Sampler {
    fn new(words: usize, options: &TopicOptions) -> Self {
        let topics = options.topics;
        Self {
            alpha: options.alpha_sum / topics as f64,
            beta: options.beta,
            beta_sum: options.beta * words as f64,
            of_words: vec![Vec::new(); words],
            of_topics: vec![0; topics],
            of_text: vec![0; topics],
            in_text: Vec::new(),
            smoothing: 0.0,
            text_part: 0.0,
            factors: vec![0.0; topics],
            weights: Vec::new(),
        }
    }

    /// Gives every word of the corpus some topic, and returns them in order.
    fn scatter(&mut self, corpus: &TokenCorpus, random: &mut Random) -> Vec<u32> {
        let topics = self.of_topics.len();
        let mut assigned = Vec::with_capacity(corpus.tokens());
        for &word in corpus.texts().flatten() {
            let topic = index(random.below(topics));
            change(&mut self.of_words[word as usize], topic, true);
            self.of_topics[topic as usize] += 1;
            assigned.push(topic);
        }
        assigned
    }

    /// Lets every word of a text choose its topic anew.
    fn sweep(&mut self, text: &[u32], assigned: &mut [u32], random: &mut Random) {
        self.enter(assigned);
        for (&word, topic) in text.iter().zip(assigned) {
            self.count(word, *topic, false);
            *topic = self.draw(word, random);
            self.count(word, *topic, true);
        }
        for topic in self.in_text.drain(..) {
            self.of_text[topic as usize] = 0;
        }
    }

    /// Counts the topics of a text, and computes the sums anew, so that rounding never adds up.
    fn enter(&mut self, assigned: &[u32]) {
        for &topic in assigned {
            if self.of_text[topic as usize] == 0 {
                self.in_text.push(topic);
            }
            self.of_text[topic as usize] += 1;
        }
        (self.smoothing, self.text_part) = (0.0, 0.0);
        for topic in 0..self.of_topics.len() {
            let total = self.of_topics[topic] as f64 + self.beta_sum;
            self.smoothing += self.alpha * self.beta / total;
            self.text_part += f64::from(self.of_text[topic]) * self.beta / total;
            self.factors[topic] = (self.alpha + f64::from(self.of_text[topic])) / total;
        }
    }

    /// Counts a word in or out of a topic.
    fn count(&mut self, word: u32, topic: u32, is_in: bool) {
        let place = topic as usize;
        let total = self.of_topics[place] as f64 + self.beta_sum;
        self.smoothing -= self.alpha * self.beta / total;
        self.text_part -= f64::from(self.of_text[place]) * self.beta / total;
        if is_in {
            self.of_topics[place] += 1;
            if self.of_text[place] == 0 && !self.in_text.contains(&topic) {
                self.in_text.push(topic);
            }
            self.of_text[place] += 1;
        } else {
            self.of_topics[place] -= 1;
            self.of_text[place] -= 1;
        }
        change(&mut self.of_words[word as usize], topic, is_in);
        let total = self.of_topics[place] as f64 + self.beta_sum;
        self.smoothing += self.alpha * self.beta / total;
        self.text_part += f64::from(self.of_text[place]) * self.beta / total;
        self.factors[place] = (self.alpha + f64::from(self.of_text[place])) / total;
    }

    fn draw(&mut self, word: u32, random: &mut Random) -> u32 {
        let topics = &self.of_words[word as usize];
        self.weights.clear();
        let mut word_part = 0.0;
        for &(topic, count) in topics {
            word_part += f64::from(count) * self.factors[topic as usize];
            self.weights.push(word_part);
        }
        let text_part = self.text_part.max(0.0);
        let mut left = f64::from(random.unit()) * (word_part + text_part + self.smoothing);
        if left < word_part {
            let place = self.weights.partition_point(|&sum| sum <= left);
            return topics[place.min(topics.len() - 1)].0;
        }
        left -= word_part;
        if left < text_part {
            for &topic in &self.in_text {
                let total = self.of_topics[topic as usize] as f64 + self.beta_sum;
                left -= f64::from(self.of_text[topic as usize]) * self.beta / total;
                if left < 0.0 {
                    return topic;
                }
            }
            left = 0.0;
        } else {
            left -= text_part;
        }
        for (topic, &count) in self.of_topics.iter().enumerate() {
            left -= self.alpha * self.beta / (count as f64 + self.beta_sum);
            if left < 0.0 {
                return index(topic);
            }
        }
        index(self.of_topics.len() - 1)
    }
}

/// Counts one occurrence in or out of a topic of a word. The greater counts stand before the smaller, so
/// that most draws end soon.
fn change(topics: &mut Vec<(u32, u32)>, topic: u32, is_in: bool) {
    let found = topics.iter().position(|&(other, _)| other == topic);
    match (found, is_in) {
        (None, true) => topics.push((topic, 1)),
        (None, false) => {}
        (Some(mut place), true) => {
            topics[place].1 += 1;
            while place > 0 && topics[place - 1].1 < topics[place].1 {
                topics.swap(place - 1, place);
                place -= 1;
            }
        }
        (Some(mut place), false) => {
            topics[place].1 -= 1;
            while place + 1 < topics.len() && topics[place + 1].1 > topics[place].1 {
                topics.swap(place, place + 1);
                place += 1;
            }
            if topics[place].1 == 0 {
                topics.remove(place);
            }
        }
    }
}

fn index(topic: usize) -> u32 {
    u32::try_from(topic).expect("topics are bounded by 4096")
}

#[cfg(test)]
mod tests {
    use super::super::TokenCorpusBuilder;
    use super::super::tests::run;
    use super::*;
    use crate::cancel::Cancellation;
    use crate::embed::text::{Segmentation, WordVectors, Words};

    const PLANTED: usize = 5;
    const WORDS: usize = 40;

    /// Each planted topic gives eight words of its own often and all words at times.
    fn planted_chance(topic: usize, word: usize) -> f64 {
        let own = if word / (WORDS / PLANTED) == topic { 0.9 / 8.0 } else { 0.0 };
        own + 0.1 / WORDS as f64
    }

    fn corpus(seed: u64) -> TokenCorpus {
        let mut random = Random::new(seed, 0);
        let mut builder = TokenCorpusBuilder::new(Words::new(Segmentation::Blanks, false));
        for _ in 0..400 {
            let topics = [random.below(PLANTED), random.below(PLANTED)];
            let words: Vec<String> = (0..40)
                .map(|_| {
                    let topic = topics[random.below(2)];
                    let own = topic * 8 + random.below(8);
                    let word = if random.unit() < 0.9 { own } else { random.below(WORDS) };
                    format!("w{word:02}")
                })
                .collect();
            builder.add(&words.join(" ")).unwrap();
        }
        builder.finish(1, 1000).unwrap()
    }

    fn cosine(a: &[f64], b: &[f64]) -> f64 {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    }

    /// For each planted topic how near the nearest found one comes.
    fn recovered(topics: &Topics) -> Vec<f64> {
        let id = |word: usize| topics.vocabulary().id(&format!("w{word:02}")).unwrap();
        let column = |topic: usize| -> Vec<f64> {
            (0..WORDS).map(|word| topics.chances(id(word))[topic]).collect()
        };
        let planted = (0..PLANTED).map(|topic| -> Vec<f64> {
            (0..WORDS).map(|word| planted_chance(topic, word)).collect()
        });
        planted
            .map(|planted| {
                (0..topics.len()).map(|topic| cosine(&column(topic), &planted)).fold(0.0, f64::max)
            })
            .collect()
    }

    fn options() -> TopicOptions {
        TopicOptions { topics: PLANTED, alpha_sum: 1.0, sweeps: 150, ..TopicOptions::default() }
    }

    #[test]
    fn planted_topics_are_recovered_and_seen_in_new_texts() {
        let cancel = Cancellation::new();
        let corpus = corpus(1);
        let topics = train_topics(&corpus, &options(), run(&cancel, 3, 1)).unwrap();
        let nearest = recovered(&topics);
        assert!(nearest.iter().all(|&cosine| cosine > 0.98), "{nearest:?}");
        let id = |word: &str| topics.vocabulary().id(word).unwrap();
        let text = |words: [&str; 4]| topics.shares(&words.map(id)).unwrap();
        let [a, b, other] = [
            text(["w00", "w01", "w02", "w03"]),
            text(["w04", "w05", "w06", "w07"]),
            text(["w16", "w17", "w18", "w19"]),
        ];
        let widened = |shares: &[f32]| shares.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
        assert!(cosine(&widened(&a), &widened(&b)) > 0.9, "{a:?} {b:?}");
        assert!(cosine(&widened(&a), &widened(&other)) < 0.4, "{a:?} {other:?}");
        assert!((a.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        let mixed = text(["w00", "w01", "w16", "w17"]);
        let turned = text(["w17", "w01", "w00", "w16"]);
        assert_eq!(mixed, turned, "the order of words does not count");
        assert_eq!(topics.shares(&[]), None);
        assert_eq!(topics.words_of(0, 8).len(), 8);
    }

    #[test]
    fn the_seed_decides_and_counts_that_know_nothing_fail_the_test_of_topics() {
        let cancel = Cancellation::new();
        let corpus = corpus(2);
        let train = |seed, sweeps| {
            let options = TopicOptions { sweeps, ..options() };
            train_topics(&corpus, &options, run(&cancel, seed, 1)).unwrap()
        };
        assert_eq!(train(1, 3), train(1, 3));
        assert_ne!(train(1, 3), train(2, 3));
        let words = corpus.vocabulary().len();
        let constant =
            WordTable::new(corpus.vocabulary().clone(), PLANTED, vec![1.0; words * PLANTED]);
        let constant = Topics::new(constant.unwrap(), 0.2, 0.01).unwrap();
        assert!(recovered(&constant).iter().all(|&cosine| cosine < 0.9));
        let trained = train(1, 60);
        let mut rows: Vec<&[f32]> = trained.counts().values().chunks(PLANTED).collect();
        let mut random = Random::new(5, 0);
        for at in (1..rows.len()).rev() {
            rows.swap(at, random.below(at + 1));
        }
        let permuted = WordTable::new(corpus.vocabulary().clone(), PLANTED, rows.concat()).unwrap();
        let permuted = Topics::new(permuted, 0.2, 0.01).unwrap();
        assert!(recovered(&permuted).iter().all(|&cosine| cosine < 0.9));
    }

    /// The counts are kept up step by step; here they are counted anew.
    #[test]
    fn every_occurrence_has_one_topic_in_the_end() {
        let cancel = Cancellation::new();
        let corpus = corpus(3);
        let options = TopicOptions { sweeps: 4, ..options() };
        let topics = train_topics(&corpus, &options, run(&cancel, 1, 1)).unwrap();
        for (word, &count) in corpus.vocabulary().words().zip(corpus.vocabulary().counts()) {
            let row = topics.counts().vector(word).unwrap();
            assert_eq!(row.iter().sum::<f32>(), count as f32, "{word}");
        }
    }

    #[test]
    fn options_out_of_bounds_are_refused_and_a_cancelled_training_ends() {
        let cancel = Cancellation::new();
        let corpus = corpus(1);
        let refuse = |options: TopicOptions| {
            train_topics(&corpus, &options, run(&cancel, 1, 1)).unwrap_err().to_string()
        };
        assert_eq!(
            refuse(TopicOptions { topics: 1, ..options() }),
            "topics is 1, expected 2 to 4096"
        );
        assert!(refuse(TopicOptions { beta: f64::NAN, ..options() }).contains("beta is NaN"));
        cancel.cancel();
        assert!(refuse(options()).contains("cancelled"));
    }
}
