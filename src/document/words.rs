//! Where are the words of a text? One answer for conditions on payloads, for the lexical index and
//! for highlights, so that they agree.

use std::iter::FusedIterator;
use std::ops::Range;

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{GeneralCategory, Script};
use icu_properties::{CodePointMapData, CodePointMapDataBorrowed};

/// How the script of a word marks where words end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Writing {
    /// By spaces: the word is a word.
    Spaced,
    /// Not at all, or not in a way that helps to search (Han, kana, hangul, Thai, Lao, Khmer, Burmese):
    /// the word is a run of letters, and what is searched are the letters and their neighbours.
    Unspaced,
}

/// A longest run of letters, digits and marks of one kind of writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word<'t> {
    /// The run as it stands in the text.
    pub text: &'t str,
    /// The byte in the text at which it starts.
    pub start: usize,
    /// Whether the run is a word or a stretch of them.
    pub writing: Writing,
}

impl Word<'_> {
    /// Returns the bytes of the text that the word takes.
    pub fn bytes(&self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }
}

/// Returns the words of the text in order.
pub fn words(text: &str) -> Words<'_> {
    Words { text, position: 0 }
}

/// The iterator that [`words`] returns.
#[derive(Debug, Clone)]
pub struct Words<'t> {
    text: &'t str,
    position: usize,
}

impl<'t> Iterator for Words<'t> {
    type Item = Word<'t>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.text.get(self.position..)?;
        let mut letters = rest.char_indices();
        let (offset, writing) = letters.find_map(|(offset, letter)| match role(letter) {
            Role::Letter(writing) => Some((offset, writing)),
            Role::Mark | Role::Separator => None,
        })?;
        let end = letters
            .find(|&(_, letter)| match role(letter) {
                Role::Letter(other) => other != writing,
                Role::Mark => false,
                Role::Separator => true,
            })
            .map_or(rest.len(), |(end, _)| end);
        let start = self.position + offset;
        self.position += end;
        Some(Word { text: &rest[offset..end], start, writing })
    }
}

impl FusedIterator for Words<'_> {}

/// Returns the form under which words are compared: Unicode compatibility forms made one (NFKC), in
/// lower case.
pub fn fold(word: &str) -> String {
    if word.is_ascii() {
        return word.to_ascii_lowercase();
    }
    let composed = ComposingNormalizerBorrowed::new_nfkc().normalize(word);
    // Lower-casing may decompose (`İ`), so the result is composed once more.
    let lower = composed.to_lowercase();
    match ComposingNormalizerBorrowed::new_nfkc().normalize(&lower) {
        std::borrow::Cow::Borrowed(_) => lower,
        std::borrow::Cow::Owned(again) => again,
    }
}

/// Returns what conditions on a text compare: the folded words, and of runs without spaces the
/// letters one by one. Positions in the list are positions of phrases.
pub fn terms(text: &str) -> Vec<String> {
    let mut terms = Vec::new();
    for word in words(text) {
        push_terms(&word, &mut terms);
    }
    terms
}

/// Returns the words of the text, each as the terms that have to stand one after another.
pub fn term_groups(text: &str) -> Vec<Vec<String>> {
    words(text)
        .map(|word| {
            let mut group = Vec::new();
            push_terms(&word, &mut group);
            group
        })
        .collect()
}

fn push_terms(word: &Word<'_>, terms: &mut Vec<String>) {
    let folded = fold(word.text);
    match word.writing {
        Writing::Spaced => terms.push(folded),
        Writing::Unspaced => terms.extend(folded.chars().map(String::from)),
    }
}

enum Role {
    Letter(Writing),
    /// Belongs to the letter before it.
    Mark,
    Separator,
}

fn role(letter: char) -> Role {
    const CATEGORIES: CodePointMapDataBorrowed<'static, GeneralCategory> =
        CodePointMapData::<GeneralCategory>::new();
    if letter.is_ascii() {
        return if letter.is_ascii_alphanumeric() {
            Role::Letter(Writing::Spaced)
        } else {
            Role::Separator
        };
    }
    let is_mark = matches!(
        CATEGORIES.get(letter),
        GeneralCategory::NonspacingMark
            | GeneralCategory::SpacingMark
            | GeneralCategory::EnclosingMark
    );
    if is_mark || continues(letter) {
        Role::Mark
    } else if letter.is_alphanumeric() {
        Role::Letter(writing(letter))
    } else {
        Role::Separator
    }
}

/// Letters of no script that lengthen, repeat or join what stands before them.
fn continues(letter: char) -> bool {
    matches!(letter, 'ー' | 'ｰ' | 'ﾞ' | 'ﾟ' | '\u{200c}' | '\u{200d}' | '\u{00ad}')
}

fn writing(letter: char) -> Writing {
    const SCRIPTS: CodePointMapDataBorrowed<'static, Script> = CodePointMapData::<Script>::new();
    const UNSPACED: [Script; 10] = [
        Script::Han,
        Script::Hiragana,
        Script::Katakana,
        Script::Bopomofo,
        Script::Hangul,
        Script::Thai,
        Script::Lao,
        Script::Khmer,
        Script::Myanmar,
        Script::Yi,
    ];
    if UNSPACED.contains(&SCRIPTS.get(letter)) { Writing::Unspaced } else { Writing::Spaced }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<(&str, Writing)> {
        words(text).map(|word| (word.text, word.writing)).collect()
    }

    #[test]
    fn words_end_at_spaces_and_at_a_change_of_writing() {
        use Writing::{Spaced, Unspaced};
        assert_eq!(
            split("The cat's iPhone手机, 3.5 kg"),
            [
                ("The", Spaced),
                ("cat", Spaced),
                ("s", Spaced),
                ("iPhone", Spaced),
                ("手机", Unspaced),
                ("3", Spaced),
                ("5", Spaced),
                ("kg", Spaced),
            ]
        );
        assert_eq!(split("हिन्दी में"), [("हिन्दी", Spaced), ("में", Spaced)]);
        assert_eq!(split("คนที่ไป"), [("คนที่ไป", Unspaced)]);
        assert_eq!(split("コーヒー。"), [("コーヒー", Unspaced)]);
        assert_eq!(split(" -- …"), []);
        assert_eq!(split(""), []);
    }

    #[test]
    fn every_word_stands_where_it_says() {
        let text = "añb 猫c\u{301}, ไทยx";
        for word in words(text) {
            assert_eq!(&text[word.bytes()], word.text);
        }
    }

    #[test]
    fn folding_makes_one_of_what_reads_the_same() {
        assert_eq!(fold("ＡＢＣ"), "abc");
        assert_eq!(fold("e\u{301}"), fold("É"));
        assert_eq!(fold("STRASSE"), "strasse");
        assert_eq!(fold("ﬁn"), "fin");
    }

    #[test]
    fn a_run_without_spaces_is_a_phrase_of_its_letters() {
        assert_eq!(terms("猫追 x"), ["猫", "追", "x"]);
        assert_eq!(term_groups("猫追 x"), [vec!["猫", "追"], vec!["x"]]);
    }
}
