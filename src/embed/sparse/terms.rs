use std::collections::{HashSet, VecDeque};
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::stop;
use crate::document::words::fold;
use crate::embed::words::WordRule;

/// The longest run of words or letters that is one term.
const RUN_MAX: usize = 16;
/// The most stop words.
const STOP_WORDS_MAX: usize = 100_000;
/// The name that stands for the list of English stop words that comes with the program.
const ENGLISH: &str = "english";

/// What a term is made of. Persisted by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Analyzer {
    /// Words.
    #[default]
    Word,
    /// Characters, across the borders of words.
    Char,
    /// Characters of one word, with a blank at either end: its beginning and end are known.
    CharWb,
}

/// How a text becomes terms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TermSettings {
    /// What a term is made of.
    pub analyzer: Analyzer,
    /// The fewest words or characters that make a term, from 1.
    pub run_min: usize,
    /// The most words or characters that make a term.
    pub run_max: usize,
    /// Whether upper and lower case are the same.
    pub lowercase: bool,
    /// What counts as a word; for [`Analyzer::Word`].
    pub words: WordRule,
    /// Words of fewer letters are left out, where the script sets words apart by blanks; for
    /// [`Analyzer::Word`].
    pub letters_min: usize,
    /// Words that are left out, as they are after lower-casing; `english` stands for the list that
    /// comes with the program. For [`Analyzer::Word`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop_words: Vec<String>,
}

impl Default for TermSettings {
    fn default() -> Self {
        Self {
            analyzer: Analyzer::Word,
            run_min: 1,
            run_max: 1,
            lowercase: true,
            words: WordRule::Segmented,
            letters_min: 2,
            stop_words: Vec::new(),
        }
    }
}

impl TermSettings {
    /// Returns what is wrong with the settings, if something is.
    pub(in crate::embed) fn check(&self) -> Result<(), String> {
        let (from, to) = (self.run_min, self.run_max);
        if from == 0 || from > to || to > RUN_MAX {
            return Err(format!("a term is a run of 1 to {RUN_MAX}, got {from} to {to}"));
        }
        if self.stop_words.len() > STOP_WORDS_MAX {
            let count = self.stop_words.len();
            return Err(format!("at most {STOP_WORDS_MAX} stop words, got {count}"));
        }
        Ok(())
    }
}

/// Cuts texts into terms by its settings.
#[derive(Debug)]
pub(super) struct Terms {
    settings: TermSettings,
    stop_words: HashSet<String>,
}

impl Terms {
    pub(super) fn new(settings: TermSettings) -> Self {
        let mut stop_words = HashSet::new();
        for word in &settings.stop_words {
            if word == ENGLISH {
                stop_words.extend(stop::ENGLISH.map(str::to_owned));
            } else {
                stop_words.insert(word.clone());
            }
        }
        Self { settings, stop_words }
    }

    /// Shows each term of the text to `visit`, as often as it occurs, until that breaks off.
    pub(super) fn visit(
        &self,
        text: &str,
        visit: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        match self.settings.analyzer {
            Analyzer::Word => self.words(text, visit),
            Analyzer::Char => self.characters(&self.cased(text), visit),
            Analyzer::CharWb => self.characters_of_words(&self.cased(text), visit),
        }
    }

    fn cased(&self, text: &str) -> String {
        if self.settings.lowercase { text.to_lowercase() } else { text.to_owned() }
    }

    /// Runs of words, joined by a blank; all runs that end at a word come when it does.
    fn words(&self, text: &str, visit: &mut dyn FnMut(&str) -> ControlFlow<()>) -> ControlFlow<()> {
        let TermSettings { run_min, run_max, lowercase, words: rule, letters_min, .. } =
            self.settings;
        // Python lower-cases the text before it looks for words; a letter may become two.
        let lower;
        let text = if rule == WordRule::Letters && lowercase {
            lower = text.to_lowercase();
            lower.as_str()
        } else {
            text
        };
        let mut recent: VecDeque<String> = VecDeque::with_capacity(run_max);
        let mut run = String::new();
        for word in rule.words(text) {
            if word.is_spaced && word.text.chars().take(letters_min).count() < letters_min {
                continue;
            }
            let folds = rule == WordRule::Segmented && lowercase;
            let word = if folds { fold(word.text) } else { word.text.to_owned() };
            if self.stop_words.contains(&word) {
                continue;
            }
            if recent.len() == run_max {
                recent.pop_front();
            }
            recent.push_back(word);
            for length in run_min..=recent.len() {
                run.clear();
                for word in recent.range(recent.len() - length..) {
                    if !run.is_empty() {
                        run.push(' ');
                    }
                    run.push_str(word);
                }
                visit(&run)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn characters(
        &self,
        text: &str,
        visit: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let text = one_blank(text);
        let starts: Vec<usize> =
            text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        for length in self.settings.run_min..=self.settings.run_max {
            for ends in starts.windows(length + 1) {
                visit(&text[ends[0]..ends[length]])?;
            }
        }
        ControlFlow::Continue(())
    }

    fn characters_of_words(
        &self,
        text: &str,
        visit: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let (mut padded, mut starts) = (String::new(), Vec::new());
        for word in text.split(is_blank).filter(|word| !word.is_empty()) {
            padded.clear();
            padded.push(' ');
            padded.push_str(word);
            padded.push(' ');
            starts.clear();
            starts.extend(padded.char_indices().map(|(at, _)| at).chain([padded.len()]));
            let letters = starts.len() - 1;
            for length in self.settings.run_min..=self.settings.run_max {
                // A word that is no longer than the run is one term, and longer runs say no more.
                if length >= letters {
                    visit(&padded)?;
                    break;
                }
                for ends in starts.windows(length + 1) {
                    visit(&padded[ends[0]..ends[length]])?;
                }
            }
        }
        ControlFlow::Continue(())
    }
}

/// Makes one blank of two or more, as `re.sub(r"\s\s+", " ", text)` does; a single one stays what it is.
fn one_blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let is_run = is_blank(letter) && letters.peek().copied().is_some_and(is_blank);
        if is_run {
            while letters.peek().copied().is_some_and(is_blank) {
                letters.next();
            }
            out.push(' ');
        } else {
            out.push(letter);
        }
    }
    out
}

/// Whether Python's `str.isspace` holds: the separators of ASCII count too.
fn is_blank(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(settings: TermSettings, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        let seen = Terms::new(settings).visit(text, &mut |term| {
            found.push(term.to_owned());
            ControlFlow::Continue(())
        });
        assert!(seen.is_continue());
        found
    }

    #[test]
    fn words_come_in_runs_without_short_and_stop_words() {
        let stop_words = vec![ENGLISH.to_owned(), "oak".to_owned()];
        let settings = TermSettings { run_max: 2, stop_words, ..TermSettings::default() };
        let found = terms(settings, "The Cat and 猫 a x Oak tree");
        assert_eq!(found, ["cat", "猫", "cat 猫", "tree", "猫 tree"]);
    }

    #[test]
    fn characters_of_words_know_where_a_word_ends() {
        let settings = TermSettings {
            analyzer: Analyzer::CharWb,
            run_min: 3,
            run_max: 5,
            ..TermSettings::default()
        };
        assert_eq!(
            terms(settings, "A  Cat"),
            [" a ", " ca", "cat", "at ", " cat", "cat ", " cat "]
        );
    }

    #[test]
    fn characters_cross_words_and_blanks_are_one() {
        let settings = TermSettings {
            analyzer: Analyzer::Char,
            run_min: 2,
            run_max: 2,
            lowercase: false,
            ..TermSettings::default()
        };
        assert_eq!(terms(settings, "Ab \t\n c"), ["Ab", "b ", " c"]);
    }

    #[test]
    fn a_visitor_that_has_enough_is_not_shown_more() {
        let mut count = 0;
        let broke = Terms::new(TermSettings::default()).visit("one two three", &mut |_| {
            count += 1;
            if count == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(broke.is_break());
        assert_eq!(count, 2);
    }
}
