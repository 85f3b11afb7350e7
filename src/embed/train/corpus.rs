use std::collections::HashMap;

use super::error::require;
use super::{TrainError, count_frequencies};
use crate::embed::text::{Vocabulary, WORDS_MAX, Words};

/// The most words that a corpus has, repeated ones counted: 16 GiB of memory.
pub const TOKENS_MAX: usize = 1 << 32;

/// Texts as numbered words: what models are trained on.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenCorpus {
    vocabulary: Vocabulary,
    ids: Vec<u32>,
    /// Where each text ends in `ids`.
    ends: Vec<usize>,
}

impl TokenCorpus {
    /// Returns the known words, the most frequent first, with their counts.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Returns how many texts there are, empty ones included.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns whether there are no texts.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns the ids of the words of a text, without the words that are not in the vocabulary.
    ///
    /// # Panics
    /// If there is no such text.
    pub fn text(&self, place: usize) -> &[u32] {
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.ids[start..self.ends[place]]
    }

    /// Returns the texts in order.
    pub fn texts(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        (0..self.len()).map(|place| self.text(place))
    }

    /// Returns the corpus without the words that are in more than a share of its texts.
    ///
    /// # Errors
    /// [`TrainError`]: invalid input if the share is none, or if no word remains.
    pub fn without_common(&self, share_max: f64) -> Result<Self, TrainError> {
        require((0.0..=1.0).contains(&share_max), "the greatest share", share_max, "0 to 1")?;
        let frequencies = count_frequencies(self);
        let most = share_max * self.len() as f64;
        let mut vocabulary = Vocabulary::default();
        let mut renamed = Vec::with_capacity(self.vocabulary.len());
        for (id, (word, &texts)) in self.vocabulary.words().zip(&frequencies.texts_with).enumerate()
        {
            let is_kept = texts as f64 <= most;
            let count = self.vocabulary.counts()[id];
            renamed.push(if is_kept { vocabulary.add(word, count) } else { None });
        }
        if vocabulary.is_empty() {
            let what = "words that are not in too many texts";
            return Err(TrainError::TooSmall { what, actual: 0, least: 1 });
        }
        let mut ids = Vec::with_capacity(self.ids.len());
        let mut ends = Vec::with_capacity(self.ends.len());
        for text in self.texts() {
            ids.extend(text.iter().filter_map(|&id| renamed[id as usize]));
            ends.push(ids.len());
        }
        Ok(Self { vocabulary, ids, ends })
    }

    /// Returns how many words there are, repeated ones counted.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }
}

/// Makes a [`TokenCorpus`], text by text.
#[derive(Debug)]
pub struct TokenCorpusBuilder {
    words: Words,
    ids: HashMap<Box<str>, u32>,
    counts: Vec<u64>,
    tokens: Vec<u32>,
    ends: Vec<usize>,
}

impl TokenCorpusBuilder {
    /// Returns a builder that cuts texts into words in the given way.
    pub fn new(words: Words) -> Self {
        let (ids, counts) = (HashMap::new(), Vec::new());
        Self { words, ids, counts, tokens: Vec::new(), ends: Vec::new() }
    }

    /// Adds a text.
    ///
    /// # Errors
    /// [`TrainError::TooLarge`] (unsupported).
    pub fn add(&mut self, text: &str) -> Result<(), TrainError> {
        let Self { words, ids, counts, tokens, ends } = self;
        for word in words.of(text) {
            if tokens.len() >= TOKENS_MAX {
                return Err(TrainError::TooLarge { what: "words", most: TOKENS_MAX });
            }
            let id = match ids.get(word.as_ref()) {
                Some(&id) => id,
                None => {
                    if ids.len() >= WORDS_MAX {
                        return Err(TrainError::TooLarge {
                            what: "distinct words",
                            most: WORDS_MAX,
                        });
                    }
                    let id = u32::try_from(ids.len()).unwrap_or(u32::MAX);
                    ids.insert(word.into(), id);
                    counts.push(0);
                    id
                }
            };
            counts[id as usize] += 1;
            tokens.push(id);
        }
        ends.push(tokens.len());
        Ok(())
    }

    /// Returns the corpus of the words that were seen at least `count_min` times, of which at most
    /// `words_max`, the most frequent; equally frequent ones in the order of their letters. Texts
    /// whose words are all left out stay, empty.
    ///
    /// # Errors
    /// [`TrainError::TooSmall`] (invalid input) if no word remains.
    pub fn finish(self, count_min: u64, words_max: usize) -> Result<TokenCorpus, TrainError> {
        const LEFT_OUT: u32 = u32::MAX;
        let Self { ids, counts, mut tokens, mut ends, .. } = self;
        let mut kept: Vec<(Box<str>, u32)> =
            ids.into_iter().filter(|&(_, id)| counts[id as usize] >= count_min).collect();
        kept.sort_unstable_by(|a, b| {
            counts[b.1 as usize].cmp(&counts[a.1 as usize]).then_with(|| a.0.cmp(&b.0))
        });
        kept.truncate(words_max);
        if kept.is_empty() {
            let what = "words that are frequent enough";
            return Err(TrainError::TooSmall { what, actual: 0, least: 1 });
        }
        let mut vocabulary = Vocabulary::default();
        let mut renamed = vec![LEFT_OUT; counts.len()];
        for (word, id) in kept {
            renamed[id as usize] = vocabulary.add(&word, counts[id as usize]).unwrap_or(LEFT_OUT);
        }
        let (mut start, mut written) = (0, 0);
        for end in &mut ends {
            for at in start..*end {
                let id = renamed[tokens[at] as usize];
                if id != LEFT_OUT {
                    tokens[written] = id;
                    written += 1;
                }
            }
            start = *end;
            *end = written;
        }
        tokens.truncate(written);
        Ok(TokenCorpus { vocabulary, ids: tokens, ends })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::text::Segmentation;

    #[test]
    fn rare_words_leave_the_corpus_and_texts_keep_their_places() {
        let mut builder = TokenCorpusBuilder::new(Words::new(Segmentation::Segmented, true));
        for text in ["A cat, a mouse", "nobody", "", "the cat a"] {
            builder.add(text).unwrap();
        }
        let corpus = builder.finish(2, 10).unwrap();
        assert_eq!(corpus.vocabulary().words().collect::<Vec<_>>(), ["a", "cat"]);
        assert_eq!(corpus.vocabulary().counts(), [3, 2]);
        let texts: Vec<&[u32]> = corpus.texts().collect();
        assert_eq!(texts, [&[0, 1, 0][..], &[], &[], &[1, 0]]);
    }

    #[test]
    fn words_of_too_many_texts_leave_the_corpus() {
        let mut builder = TokenCorpusBuilder::new(Words::new(Segmentation::Segmented, true));
        for text in ["the cat", "the dog the", "the", "a cat"] {
            builder.add(text).unwrap();
        }
        let corpus = builder.finish(1, 10).unwrap();
        let kept = corpus.without_common(0.5).unwrap();
        assert_eq!(kept.vocabulary().words().collect::<Vec<_>>(), ["cat", "a", "dog"]);
        assert_eq!(kept.vocabulary().counts(), [2, 1, 1]);
        assert_eq!(kept.texts().collect::<Vec<_>>(), [&[0][..], &[2], &[], &[1, 0]]);
        assert_eq!(corpus.without_common(1.0).unwrap(), corpus);
        assert!(corpus.without_common(0.1).is_err());
        assert!(corpus.without_common(f64::NAN).is_err());
    }

    #[test]
    fn a_corpus_without_frequent_words_is_refused() {
        let mut builder = TokenCorpusBuilder::new(Words::new(Segmentation::Segmented, true));
        builder.add("every word stands here once").unwrap();
        let error = builder.finish(2, 10).unwrap_err();
        assert!(error.to_string().contains("0 words that are frequent enough"), "{error}");
    }
}
