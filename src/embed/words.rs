//! Where are the words of a text, for the methods that count or learn words?

use icu_properties::props::GeneralCategory;
use icu_properties::{CodePointMapData, CodePointMapDataBorrowed};
use icu_segmenter::WordSegmenter;
use icu_segmenter::options::WordBreakInvariantOptions;
use serde::{Deserialize, Serialize};

use crate::document::words::{Writing, words};

/// What counts as a word. Persisted by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WordRule {
    /// What a reader takes for one: between blanks where a script has them, else by a dictionary
    /// (Chinese, Japanese, Thai, Khmer, Lao, Burmese).
    #[default]
    Segmented,
    /// A run of letters, digits and underscores, as `\w+` finds it in Python: the rule of
    /// scikit-learn, under which a Chinese sentence is one word.
    Letters,
}

/// A word as it stands in its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word<'t> {
    /// The word.
    pub text: &'t str,
    /// The byte at which it starts.
    pub start: usize,
    /// Whether its script sets words apart by blanks, so that a single letter says little.
    pub is_spaced: bool,
}

impl WordRule {
    /// Returns the words of the text in order.
    pub fn words(self, text: &str) -> Box<dyn Iterator<Item = Word<'_>> + '_> {
        match self {
            Self::Segmented => Box::new(segmented(text)),
            Self::Letters => Box::new(letters(text)),
        }
    }
}

fn segmented(text: &str) -> impl Iterator<Item = Word<'_>> {
    let segmenter = WordSegmenter::new_dictionary(WordBreakInvariantOptions::default());
    words(text).flat_map(move |run| {
        let breaks: Vec<usize> = match run.writing {
            Writing::Spaced => vec![0, run.text.len()],
            Writing::Unspaced => segmenter.segment_str(run.text).collect(),
        };
        let is_spaced = run.writing == Writing::Spaced;
        (1..breaks.len()).map(move |at| Word {
            text: &run.text[breaks[at - 1]..breaks[at]],
            start: run.start + breaks[at - 1],
            is_spaced,
        })
    })
}

fn letters(text: &str) -> impl Iterator<Item = Word<'_>> {
    text.split(|letter| !is_word_letter(letter)).filter(|word| !word.is_empty()).map(|word| Word {
        text: word,
        start: word.as_ptr() as usize - text.as_ptr() as usize,
        is_spaced: true,
    })
}

/// Whether Python's `\w` matches the character: letters and numbers of any script, but no marks.
fn is_word_letter(letter: char) -> bool {
    const CATEGORIES: CodePointMapDataBorrowed<'static, GeneralCategory> =
        CodePointMapData::<GeneralCategory>::new();
    if letter.is_ascii() {
        return letter.is_ascii_alphanumeric() || letter == '_';
    }
    matches!(
        CATEGORIES.get(letter),
        GeneralCategory::UppercaseLetter
            | GeneralCategory::LowercaseLetter
            | GeneralCategory::TitlecaseLetter
            | GeneralCategory::ModifierLetter
            | GeneralCategory::OtherLetter
            | GeneralCategory::DecimalNumber
            | GeneralCategory::LetterNumber
            | GeneralCategory::OtherNumber
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(rule: WordRule, text: &str) -> Vec<&str> {
        let found: Vec<_> = rule.words(text).collect();
        for word in &found {
            assert_eq!(&text[word.start..word.start + word.text.len()], word.text);
        }
        found.into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn scripts_without_blanks_are_cut_by_a_dictionary() {
        let rule = WordRule::Segmented;
        assert_eq!(split(rule, "我喜欢火腿三明治。"), ["我", "喜欢", "火腿三明治"]);
        assert_eq!(
            split(rule, "猫がねずみを追いかける"),
            ["猫", "が", "ねずみ", "を", "追いかける"]
        );
        assert_eq!(split(rule, "The iPhone手机, 3.5"), ["The", "iPhone", "手机", "3", "5"]);
        assert_eq!(split(rule, "🐈 -- "), Vec::<&str>::new());
    }

    #[test]
    fn runs_of_letters_are_those_of_python() {
        let rule = WordRule::Letters;
        assert_eq!(split(rule, "snake_case x²+½, café!"), ["snake_case", "x²", "½", "café"]);
        // Marks are no letters to Python.
        assert_eq!(split(rule, "हिन्दी e\u{301}a"), ["ह", "न", "द", "e", "a"]);
        assert_eq!(split(rule, "猫追逐老鼠。"), ["猫追逐老鼠"]);
    }
}
