//! Which terms stand for a text? The same for every language, without any setting.
//!
//! The field of words has the stem of each word of a spaced script, and of scripts without spaces
//! each letter with its neighbour. The field of grams has four letters in a row of each spaced
//! word, its ends marked: they tell apart what the stems hold equal, and find what is misspelt or
//! compounded. For scripts without spaces it has the single letters, where a letter is a syllable
//! or a word, and three in a row, where a letter is a sound.

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

use super::language::{Language, Stemming};
use crate::document::words::{Word, Words, Writing, fold, words};

/// Longer words (hashes, encoded bytes) are cut to this many letters.
const WORD_LETTERS_MAX: usize = 64;
/// The letters of a gram of a spaced word.
const GRAM_LETTERS: usize = 4;
/// The letters of a gram in an alphabet without spaces.
const UNSPACED_GRAM_LETTERS: usize = 3;
/// What stands for the ends of a word in its grams; no letter of a word.
const WORD_END: char = ' ';
/// Before the name of a language that the index holds; no letter of a word.
const LANGUAGE_MARK: char = '\u{1}';

/// Returns a folded word without what is too long to be one.
pub(super) fn fold_word(word: &str) -> String {
    let mut folded = fold(word);
    if let Some((end, _)) = folded.char_indices().nth(WORD_LETTERS_MAX) {
        folded.truncate(end);
    }
    folded
}

/// Returns the terms of a run of a script without spaces: each letter with its neighbour, or the
/// only letter.
pub(super) fn pairs(run: &str) -> Vec<String> {
    let letters: Vec<char> = fold(run).chars().collect();
    if letters.len() < 2 {
        return letters.iter().map(char::to_string).collect();
    }
    letters.windows(2).map(|pair| pair.iter().collect()).collect()
}

/// Returns the grams of a word.
pub(super) fn grams(word: &Word<'_>) -> Vec<String> {
    let mut letters = Vec::new();
    let length = gram_letters(word, &mut letters);
    if letters.len() <= length {
        return vec![letters.iter().collect()];
    }
    letters.windows(length).map(|gram| gram.iter().collect()).collect()
}

/// Returns the term that marks parts in a language.
pub(super) fn language_term(language: Language) -> String {
    format!("{LANGUAGE_MARK}{}", language.name())
}

/// Returns the language that a term marks.
pub(super) fn marked_language(term: &str) -> Option<Language> {
    Language::from_name(term.strip_prefix(LANGUAGE_MARK)?)
}

/// Returns the bounds of the terms that mark languages.
pub(super) fn language_terms() -> (String, String) {
    (LANGUAGE_MARK.to_string(), char::from(LANGUAGE_MARK as u8 + 1).to_string())
}

/// Puts the letters that grams are cut from into `letters` and returns how many make one.
fn gram_letters(word: &Word<'_>, letters: &mut Vec<char>) -> usize {
    letters.clear();
    match word.writing {
        Writing::Spaced => {
            letters.push(WORD_END);
            letters.extend(fold(word.text).chars().take(WORD_LETTERS_MAX));
            letters.push(WORD_END);
            GRAM_LETTERS
        }
        Writing::Unspaced => {
            letters.extend(fold(word.text).chars());
            if letters.iter().copied().any(is_sound) { UNSPACED_GRAM_LETTERS } else { 1 }
        }
    }
}

/// Whether a letter of a script without spaces is a sound (Thai, Lao, Burmese, Khmer).
fn is_sound(letter: char) -> bool {
    matches!(letter, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}')
}

/// Gives the engine the terms of the field of words.
#[derive(Debug, Clone, Default)]
pub(super) struct WordTokenizer;

impl Tokenizer for WordTokenizer {
    type TokenStream<'a> = WordStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> WordStream<'a> {
        let stemming = Stemming::of(text);
        WordStream {
            words: words(text),
            stemming,
            language: stemming.language(),
            letters: Vec::new(),
            next_letter: 0,
            token: Token { position: usize::MAX, ..Token::default() },
        }
    }
}

/// The terms of a text in the field of words: the mark of its language, if it is not the default of
/// its script, then its words.
#[derive(Debug)]
pub(super) struct WordStream<'a> {
    words: Words<'a>,
    stemming: Stemming,
    language: Option<Language>,
    /// The letters of the run that is being cut into pairs, and where the next pair begins.
    letters: Vec<char>,
    next_letter: usize,
    token: Token,
}

impl TokenStream for WordStream<'_> {
    fn advance(&mut self) -> bool {
        self.token.position = self.token.position.wrapping_add(1);
        self.token.text.clear();
        if let Some(language) = self.language.take() {
            self.token.text.push_str(&language_term(language));
            return true;
        }
        if self.next_letter + 1 >= self.letters.len() {
            let Some(word) = self.words.next() else { return false };
            match word.writing {
                Writing::Spaced => {
                    self.token.text.push_str(&self.stemming.stem(&fold_word(word.text)));
                    return true;
                }
                Writing::Unspaced => {
                    self.letters.clear();
                    self.letters.extend(fold(word.text).chars());
                    self.next_letter = 0;
                }
            }
        }
        let end = self.letters.len().min(self.next_letter + 2);
        self.token.text.extend(&self.letters[self.next_letter..end]);
        self.next_letter += 1;
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

/// Gives the engine the terms of the field of grams.
#[derive(Debug, Clone, Default)]
pub(super) struct GramTokenizer;

impl Tokenizer for GramTokenizer {
    type TokenStream<'a> = GramStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> GramStream<'a> {
        GramStream {
            words: words(text),
            letters: Vec::new(),
            length: 1,
            next_letter: 0,
            token: Token { position: usize::MAX, ..Token::default() },
        }
    }
}

/// The terms of a text in the field of grams.
#[derive(Debug)]
pub(super) struct GramStream<'a> {
    words: Words<'a>,
    letters: Vec<char>,
    length: usize,
    next_letter: usize,
    token: Token,
}

impl TokenStream for GramStream<'_> {
    fn advance(&mut self) -> bool {
        self.token.position = self.token.position.wrapping_add(1);
        self.token.text.clear();
        // After the first gram of a word, another one begins while a whole one is left.
        if self.next_letter == 0 || self.next_letter + self.length > self.letters.len() {
            let Some(word) = self.words.next() else { return false };
            self.length = gram_letters(&word, &mut self.letters);
            self.next_letter = 0;
        }
        let end = self.letters.len().min(self.next_letter + self.length);
        self.token.text.extend(&self.letters[self.next_letter..end]);
        self.next_letter += 1;
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word_terms(text: &str) -> Vec<String> {
        let (mut tokenizer, mut terms) = (WordTokenizer, Vec::new());
        tokenizer.token_stream(text).process(&mut |token| terms.push(token.text.clone()));
        terms
    }

    fn gram_terms(text: &str) -> Vec<String> {
        let (mut tokenizer, mut terms) = (GramTokenizer, Vec::new());
        tokenizer.token_stream(text).process(&mut |token| terms.push(token.text.clone()));
        terms
    }

    #[test]
    fn words_become_stems_and_runs_without_spaces_become_pairs() {
        assert_eq!(word_terms("Cats chased 猫追逐 x"), ["cat", "chase", "猫追", "追逐", "x"]);
        assert_eq!(word_terms("猫, 狗"), ["猫", "狗"]);
        assert_eq!(word_terms(" ... "), Vec::<String>::new());
    }

    #[test]
    fn a_text_in_another_language_is_marked_with_it() {
        let terms = word_terms("Die Katzen jagen die Mäuse durch das ganze Haus und den Garten.");
        assert_eq!(&terms[..3], ["\u{1}german", "die", "katz"]);
        assert_eq!(marked_language(&terms[0]).map(Language::name), Some("german"));
        let (lower, upper) = language_terms();
        assert!(lower < terms[0] && terms[0] < upper);
    }

    #[test]
    fn grams_have_the_ends_of_words_in_them() {
        assert_eq!(gram_terms("mouse a"), [" mou", "mous", "ouse", "use ", " a "]);
        assert_eq!(gram_terms("猫追"), ["猫", "追"]);
        assert_eq!(gram_terms("แมว ก"), ["แมว", "ก"]);
        assert_eq!(gram_terms(""), Vec::<String>::new());
    }

    #[test]
    fn the_grams_of_a_query_are_those_of_the_index() {
        for text in ["mouse", "is", "猫追逐老鼠", "แมวไล่หนู", "ﬁnd"] {
            let word = words(text).next().unwrap();
            assert_eq!(grams(&word), gram_terms(text), "{text}");
        }
    }

    #[test]
    fn positions_count_up_so_that_phrases_can_be_found() {
        let (mut tokenizer, mut positions) = (WordTokenizer, Vec::new());
        let mut stream = tokenizer.token_stream("a 猫追逐 b");
        stream.process(&mut |token| positions.push(token.position));
        assert_eq!(positions, [0, 1, 2, 3]);
    }

    #[test]
    fn endless_words_are_cut() {
        let hash = "x".repeat(10_000);
        assert_eq!(word_terms(&hash), ["x".repeat(64)]);
        assert!(gram_terms(&hash).len() < 70);
    }
}
