//! Where in a text does a query show?

use std::ops::Range;

use super::Snippet;
use super::analysis::fold_word;
use super::language::Language;
use super::plan::Visible;
use crate::document::words::{Word, Writing, fold, words};

/// Shows where a query matches; made once for all hits of a query.
#[derive(Debug)]
pub struct Highlighter {
    visible: Visible,
    languages: Vec<Language>,
}

/// A stretch of a text that matches.
#[derive(Debug, Clone, PartialEq)]
struct Match {
    bytes: Range<usize>,
    /// What matches, so that the same again counts less.
    what: String,
    worth: f32,
}

/// What another match of the same is worth.
const WORTH_OF_REPEAT: f32 = 0.1;

impl Highlighter {
    pub(super) fn new(visible: Visible, languages: &[Language]) -> Self {
        Self { visible, languages: languages.to_vec() }
    }

    /// Returns the stretch of the text, of about `letters_max` letters, that shows best why the
    /// query found it, or nothing if no word of the query stands in it.
    pub fn snippet(&self, text: &str, letters_max: usize) -> Option<Snippet> {
        if self.visible.is_empty() {
            return None;
        }
        let matches = self.matches(text);
        let letters: Vec<usize> = text.char_indices().map(|(byte, _)| byte).collect();
        let letter_at = |byte: usize| letters.partition_point(|&start| start < byte);
        let (first, last) = best_window(&matches, letters_max, &letter_at)?;
        let (start, end) =
            (letter_at(matches[first].bytes.start), letter_at(matches[last].bytes.end));
        // What room is left is shown on both sides.
        let room = letters_max.saturating_sub(end - start);
        let start = start.saturating_sub(room / 2).min(letters.len().saturating_sub(letters_max));
        let end = (start + letters_max.max(1)).min(letters.len());
        let byte_of = |letter: usize| letters.get(letter).copied().unwrap_or(text.len());
        let bytes = at_word_ends(text, byte_of(start)..byte_of(end));
        let highlights = highlights(&matches, &bytes);
        (!highlights.is_empty()).then_some(Snippet { bytes, highlights })
    }

    fn matches(&self, text: &str) -> Vec<Match> {
        let mut matches = Vec::new();
        for word in words(text) {
            match word.writing {
                Writing::Spaced => {
                    let folded = fold_word(word.text);
                    if let Some(worth) = self.visible.worth(&folded, &self.languages) {
                        matches.push(Match { bytes: word.bytes(), what: folded, worth });
                    }
                }
                Writing::Unspaced => self.push_pairs(&word, &mut matches),
            }
        }
        matches
    }

    fn push_pairs(&self, word: &Word<'_>, matches: &mut Vec<Match>) {
        let letters: Vec<(usize, char)> = word.text.char_indices().collect();
        for (index, &(offset, letter)) in letters.iter().enumerate() {
            let start = word.start + offset;
            let mut what = fold(letter.encode_utf8(&mut [0; 4]));
            if let Some(&worth) = self.visible.terms.get(&what) {
                let bytes = start..start + letter.len_utf8();
                matches.push(Match { bytes, what: what.clone(), worth });
            }
            let Some(&(next_offset, next)) = letters.get(index + 1) else { continue };
            what.push_str(&fold(next.encode_utf8(&mut [0; 4])));
            if let Some(&worth) = self.visible.terms.get(&what) {
                let bytes = start..word.start + next_offset + next.len_utf8();
                matches.push(Match { bytes, what, worth });
            }
        }
    }
}

/// The first and last match of the window that is worth most; the first of equal ones.
fn best_window(
    matches: &[Match],
    letters_max: usize,
    letter_at: &dyn Fn(usize) -> usize,
) -> Option<(usize, usize)> {
    let mut best: Option<(f32, (usize, usize))> = None;
    for first in 0..matches.len() {
        let start = letter_at(matches[first].bytes.start);
        let (mut worth, mut last) = (0.0, first);
        for (index, next) in matches.iter().enumerate().skip(first) {
            if index > first && letter_at(next.bytes.end) - start > letters_max {
                break;
            }
            last = index;
            let is_repeat = matches[first..index].iter().any(|seen| seen.what == next.what);
            worth += if is_repeat { next.worth * WORTH_OF_REPEAT } else { next.worth };
        }
        if best.is_none_or(|(most, _)| worth > most) {
            best = Some((worth, (first, last)));
        }
    }
    best.map(|(_, window)| window)
}

/// Draws both ends in to the border of a word, unless the word is all there is.
fn at_word_ends(text: &str, bytes: Range<usize>) -> Range<usize> {
    let cut = |byte: usize| {
        words(text)
            .take_while(|word| word.start < byte)
            .find(|word| word.writing == Writing::Spaced && word.bytes().end > byte)
            .map(|word| word.bytes())
    };
    let start = cut(bytes.start).map_or(bytes.start, |word| word.end);
    let end = cut(bytes.end).map_or(bytes.end, |word| word.start);
    let trimmed = text.get(start..end).unwrap_or_default();
    if trimmed.trim().is_empty() {
        return bytes;
    }
    let start = end - trimmed.trim_start().len();
    start..start + trimmed.trim().len()
}

/// The matches within the bytes, those that touch made one.
fn highlights(matches: &[Match], within: &Range<usize>) -> Vec<Range<usize>> {
    let mut highlights: Vec<Range<usize>> = Vec::new();
    for found in matches {
        let start = found.bytes.start.max(within.start);
        let end = found.bytes.end.min(within.end);
        if start >= end {
            continue;
        }
        match highlights.last_mut() {
            Some(last) if start <= last.end => last.end = last.end.max(end),
            _ => highlights.push(start..end),
        }
    }
    highlights
}

#[cfg(test)]
mod tests {
    use super::*;

    fn highlighter(terms: &[(&str, f32)]) -> Highlighter {
        let terms = terms.iter().map(|&(term, worth)| (term.to_owned(), worth)).collect();
        Highlighter::new(Visible { terms, fragments: Vec::new() }, &[])
    }

    fn shown<'t>(
        highlighter: &Highlighter,
        text: &'t str,
        letters: usize,
    ) -> (&'t str, Vec<&'t str>) {
        let snippet = highlighter.snippet(text, letters).unwrap();
        let highlights = snippet.highlights.iter().map(|bytes| &text[bytes.clone()]).collect();
        (&text[snippet.bytes], highlights)
    }

    #[test]
    fn a_short_text_is_shown_whole() {
        let highlighter = highlighter(&[("cat", 1.0), ("chase", 1.0)]);
        let text = "The cat was chasing cats.";
        assert_eq!(shown(&highlighter, text, 100), (text, vec!["cat", "chasing", "cats"]));
        assert_eq!(highlighter.snippet("a dog", 100), None);
        assert_eq!(highlighter.snippet("", 100), None);
    }

    #[test]
    fn the_window_with_the_worthiest_words_is_shown() {
        let highlighter = highlighter(&[("common", 1.0), ("rare", 3.0), ("word", 1.0)]);
        let filler = "nothing here at all ".repeat(20);
        let text = format!("common common common {filler} a rare word stands {filler} common word");
        let (window, highlights) = shown(&highlighter, &text, 60);
        assert_eq!(highlights, ["rare", "word"]);
        assert!(window.len() <= 60 && window.contains("a rare word stands"), "{window}");
        // Words are not cut at the ends.
        assert!(text.contains(&format!(" {window} ")), "{window}");
    }

    #[test]
    fn pairs_of_letters_that_touch_are_one_highlight() {
        let highlighter = highlighter(&[("猫追", 1.0), ("追逐", 1.0), ("老鼠", 1.0)]);
        let (_, highlights) = shown(&highlighter, "一只猫追逐着老鼠。", 100);
        assert_eq!(highlights, ["猫追逐", "老鼠"]);
    }

    #[test]
    fn ends_never_stand_within_a_letter() {
        let highlighter = highlighter(&[("猫追", 1.0), ("café", 1.0), ("пес", 1.0)]);
        let text = "é猫追ÿ😀 café пес ".repeat(30);
        for letters in 0..60 {
            let snippet = highlighter.snippet(&text, letters).unwrap();
            assert!(text.get(snippet.bytes.clone()).is_some());
            assert!(!snippet.highlights.is_empty());
            for bytes in snippet.highlights {
                assert!(text.get(bytes.clone()).is_some_and(|found| !found.is_empty()));
                assert!(snippet.bytes.start <= bytes.start && bytes.end <= snippet.bytes.end);
            }
        }
    }

    #[test]
    fn an_unknown_word_is_shown_within_a_longer_one() {
        let visible = Visible { fragments: vec!["fußball".to_owned()], ..Visible::default() };
        let highlighter = Highlighter::new(visible, &[]);
        let (_, highlights) = shown(&highlighter, "Der Fußballspieler läuft.", 100);
        assert_eq!(highlights, ["Fußballspieler"]);
    }
}
