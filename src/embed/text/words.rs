use std::borrow::Cow;
use std::ops::Range;

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_segmenter::options::WordBreakInvariantOptions;
use icu_segmenter::{WordSegmenter, WordSegmenterBorrowed};
use serde::{Deserialize, Serialize};

/// How a text becomes words. Persisted by name; shapes every vector of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Segmentation {
    /// The words of Unicode (UAX 29), by dictionary in Chinese, Japanese and Thai, without
    /// punctuation.
    #[default]
    Words,
    /// What stands between blanks: how the tools read that most published vectors come from.
    Blanks,
}

/// Cuts texts into the words of a model, always in the same way.
#[derive(Debug)]
pub struct Words {
    segmentation: Segmentation,
    is_folded: bool,
    segmenter: WordSegmenterBorrowed<'static>,
    normalizer: ComposingNormalizerBorrowed<'static>,
}

impl Words {
    /// Returns what cuts in the given way; with `is_folded`, words are in lower case and in the
    /// compatibility form of Unicode (NFKC), so that different spellings of a letter are one.
    pub fn new(segmentation: Segmentation, is_folded: bool) -> Self {
        Self {
            segmentation,
            is_folded,
            segmenter: WordSegmenter::new_dictionary(WordBreakInvariantOptions::default()),
            normalizer: ComposingNormalizerBorrowed::new_nfkc(),
        }
    }

    /// Returns how texts are cut.
    pub fn segmentation(&self) -> Segmentation {
        self.segmentation
    }

    /// Returns whether words are folded.
    pub fn is_folded(&self) -> bool {
        self.is_folded
    }

    /// Returns where the words of a text stand, in bytes and in order.
    pub fn ranges<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
        let (by_blanks, by_words) = match self.segmentation {
            Segmentation::Blanks => (Some(text.split_ascii_whitespace()), None),
            Segmentation::Words => {
                let mut start = 0;
                let breaks = self.segmenter.segment_str(text).iter_with_word_type();
                let ranges = breaks.filter_map(move |(end, sort)| {
                    let range = start..end;
                    start = end;
                    (sort.is_word_like() && !range.is_empty()).then_some(range)
                });
                (None, Some(ranges))
            }
        };
        let by_blanks = by_blanks.into_iter().flatten().map(|word| {
            let start = word.as_ptr() as usize - text.as_ptr() as usize;
            start..start + word.len()
        });
        by_blanks.chain(by_words.into_iter().flatten())
    }

    /// Returns the words of a text in order, folded if this folds.
    pub fn of<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Cow<'a, str>> + 'a {
        self.ranges(text).map(|range| self.fold(&text[range]))
    }

    fn fold<'a>(&self, word: &'a str) -> Cow<'a, str> {
        if !self.is_folded || word.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase())
        {
            return Cow::Borrowed(word);
        }
        if word.is_ascii() {
            return Cow::Owned(word.to_ascii_lowercase());
        }
        Cow::Owned(
            self.normalizer.normalize(&self.normalizer.normalize(word).to_lowercase()).into_owned(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(segmentation: Segmentation, is_folded: bool, text: &str, expected: &[&str]) {
        let words = Words::new(segmentation, is_folded);
        assert_eq!(words.of(text).collect::<Vec<_>>(), expected, "{text}");
        let ranges: Vec<_> = words.ranges(text).collect();
        assert_eq!(ranges.len(), expected.len());
        assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start));
    }

    #[test]
    fn words_of_every_script_are_found_and_folded() {
        let folded = |text, expected: &[&str]| check(Segmentation::Words, true, text, expected);
        folded("The CAT's mouse, 3.5%!", &["the", "cat's", "mouse", "3.5"]);
        folded("猫追逐老鼠。", &["猫", "追逐", "老鼠"]);
        folded("猫がねずみを追いかける", &["猫", "が", "ねずみ", "を", "追いかける"]);
        folded("Ｆｕｌｌ e\u{301}clair ÉCLAIR", &["full", "éclair", "éclair"]);
        folded("🐈 — …", &[]);
        folded("", &[]);
        check(Segmentation::Words, false, "The Cat", &["The", "Cat"]);
        check(Segmentation::Blanks, false, " The  cat. \n", &["The", "cat."]);
        check(Segmentation::Blanks, true, "The cat.", &["the", "cat."]);
    }
}
