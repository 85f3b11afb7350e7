use std::borrow::Cow;
use std::ops::Range;

use icu_normalizer::ComposingNormalizerBorrowed;
use serde::{Deserialize, Serialize};

use crate::embed::words::WordRule;

/// How a text becomes words. Persisted by name; shapes every vector of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Segmentation {
    /// What a reader takes for one: by a dictionary in Chinese, Japanese and Thai, without
    /// punctuation.
    #[default]
    Segmented,
    /// What stands between blanks: how the tools read that most published vectors come from.
    Blanks,
}

/// Cuts texts into the words of a model, always in the same way.
#[derive(Debug)]
pub struct Words {
    segmentation: Segmentation,
    is_folded: bool,
    normalizer: ComposingNormalizerBorrowed<'static>,
}

impl Words {
    /// Returns what cuts in the given way; with `is_folded`, words are in lower case and in the
    /// compatibility form of Unicode (NFKC), so that different spellings of a letter are one.
    pub fn new(segmentation: Segmentation, is_folded: bool) -> Self {
        Self { segmentation, is_folded, normalizer: ComposingNormalizerBorrowed::new_nfkc() }
    }

    /// Returns where the words of a text stand, in bytes and in order.
    pub fn ranges<'a>(&self, text: &'a str) -> Box<dyn Iterator<Item = Range<usize>> + 'a> {
        match self.segmentation {
            Segmentation::Blanks => Box::new(text.split_ascii_whitespace().map(|word| {
                let start = word.as_ptr() as usize - text.as_ptr() as usize;
                start..start + word.len()
            })),
            Segmentation::Segmented => {
                let words = WordRule::Segmented.words(text);
                Box::new(words.map(|word| word.start..word.start + word.text.len()))
            }
        }
    }

    /// Returns the words of a text in order, folded if this folds.
    pub fn of<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Cow<'a, str>> + 'a {
        self.ranges(text).map(|range| self.fold(&text[range]))
    }

    fn fold<'a>(&self, word: &'a str) -> Cow<'a, str> {
        let is_folded = |byte: u8| byte.is_ascii() && !byte.is_ascii_uppercase();
        if !self.is_folded || word.bytes().all(is_folded) {
            return Cow::Borrowed(word);
        }
        if word.is_ascii() {
            return Cow::Owned(word.to_ascii_lowercase());
        }
        let folded = self.normalizer.normalize(word).to_lowercase();
        // Some single characters stand for several words, which no file of vectors could hold.
        if folded.contains(char::is_whitespace) {
            return Cow::Owned(word.to_lowercase());
        }
        Cow::Owned(self.normalizer.normalize(&folded).into_owned())
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
        let folded = |text, expected: &[&str]| check(Segmentation::Segmented, true, text, expected);
        folded("The CAT, a mouse!", &["the", "cat", "a", "mouse"]);
        folded("猫追逐老鼠。", &["猫", "追逐", "老鼠"]);
        folded("猫がねずみを追いかける", &["猫", "が", "ねずみ", "を", "追いかける"]);
        folded("Ｆｕｌｌ e\u{301}clair ÉCLAIR", &["full", "éclair", "éclair"]);
        folded("🐈 — …", &[]);
        folded("", &[]);
        folded("\u{fdfa}", &["\u{fdfa}"]);
        check(Segmentation::Segmented, false, "The Cat", &["The", "Cat"]);
        check(Segmentation::Blanks, false, " The  cat. \n", &["The", "cat."]);
        check(Segmentation::Blanks, true, "The cat.", &["the", "cat."]);
    }
}
