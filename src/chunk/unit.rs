use std::ops::Range;

use icu_segmenter::options::WordBreakInvariantOptions;
use icu_segmenter::{
    GraphemeClusterSegmenter, GraphemeClusterSegmenterBorrowed, WordSegmenter,
    WordSegmenterBorrowed,
};

use super::sentence::{Border, Sentences};
use super::{ChunkOptions, CountTokens};
use crate::cancel::{Cancellation, Interrupted};

/// A stretch of text that is not cut any more: a sentence, or a piece of one that is too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) bytes: Range<usize>,
    pub(super) tokens: usize,
    /// How good the place before it is for a cut.
    pub(super) border: Border,
}

/// How much text a tokenizer gets at once; less does not pay, more takes memory.
const TOKENISE_BYTES: usize = 16 << 10;

/// A sentence is a few hundred bytes; what is longer than this is no sentence and is cut unread.
const SENTENCE_BYTES_MAX: usize = 8 << 10;

/// Cuts texts into units.
pub(super) struct Cutter<'a> {
    text: &'a str,
    counter: &'a dyn CountTokens,
    cancel: &'a Cancellation,
    sentences: Sentences,
    words: WordSegmenterBorrowed<'static>,
    graphemes: GraphemeClusterSegmenterBorrowed<'static>,
    tokens_max: usize,
    bytes_max: usize,
}

impl<'a> Cutter<'a> {
    pub(super) fn new(
        text: &'a str,
        counter: &'a dyn CountTokens,
        options: &ChunkOptions,
        cancel: &'a Cancellation,
    ) -> Self {
        Self {
            text,
            counter,
            cancel,
            sentences: Sentences::new(),
            words: WordSegmenter::new_dictionary(WordBreakInvariantOptions::default()),
            graphemes: GraphemeClusterSegmenter::new(),
            tokens_max: options.tokens_max,
            bytes_max: options.bytes_max,
        }
    }

    /// Adds the units of `text[within]` in order; each has at most the tokens and bytes of a passage,
    /// as far as characters allow.
    pub(super) fn cut(
        &self,
        within: Range<usize>,
        units: &mut Vec<Unit>,
    ) -> Result<(), Interrupted> {
        let mut batch: Vec<(Range<usize>, Border)> = Vec::new();
        let mut interrupted = Ok(());
        self.sentences.each(self.text, within, |sentence, border| {
            for piece in bounded(self.text, sentence, border) {
                batch.push(piece);
                let begins = batch[0].0.start;
                if batch.last().is_some_and(|last| last.0.end - begins >= TOKENISE_BYTES) {
                    interrupted = interrupted.and_then(|()| self.cancel.check());
                    if interrupted.is_ok() {
                        self.count(&batch, units);
                    }
                    batch.clear();
                }
            }
        });
        interrupted?;
        self.count(&batch, units);
        Ok(())
    }

    /// Tokenises the sentences together and makes units of them.
    fn count(&self, sentences: &[(Range<usize>, Border)], units: &mut Vec<Unit>) {
        let (Some(first), Some(last)) = (sentences.first(), sentences.last()) else {
            return;
        };
        let base = first.0.start;
        let mut tokens = self.counter.token_ranges(&self.text[base..last.0.end]);
        for token in &mut tokens {
            *token = token.start + base..token.end + base;
        }
        let mut rest = &tokens[..];
        for (bytes, border) in sentences {
            let tokens = tokens_within(&mut rest, bytes);
            let is_over = tokens.len() > self.tokens_max || bytes.len() > self.bytes_max;
            let has_few_ends = tokens.len() > self.tokens_max / 4
                && self.text[bytes.clone()].chars().any(ends_sentences_with_blanks);
            if is_over || has_few_ends {
                self.divide(bytes.clone(), *border, tokens, Border::Clause, units);
            } else {
                self.give(bytes.clone(), tokens.len(), *border, units);
            }
        }
    }

    /// Cuts what is too long at the borders of a level, and pieces that are still too long at those
    /// of the next. Clauses may be as long as a passage; smaller pieces are at most a quarter of one,
    /// so that passages become full.
    fn divide(
        &self,
        bytes: Range<usize>,
        border: Border,
        tokens: &[Range<usize>],
        level: Border,
        units: &mut Vec<Unit>,
    ) {
        let source = &self.text[bytes.clone()];
        let (ends, next): (Vec<usize>, _) = match level {
            Border::Clause => (clause_ends(source), Border::Blank),
            Border::Blank => (blank_ends(source), Border::Word),
            Border::Word => (self.words.segment_str(source).collect(), Border::Inside),
            Border::Inside
            | Border::Sentence
            | Border::Line
            | Border::Paragraph
            | Border::Section => {
                self.divide_word(bytes, border, tokens, units);
                return;
            }
        };
        let mut rest = tokens;
        let mut start = 0;
        let mut border = border;
        for end in ends.into_iter().chain([source.len()]) {
            if end <= start {
                continue;
            }
            let piece = bytes.start + start..bytes.start + end;
            let tokens = tokens_within(&mut rest, &piece);
            let parts = if level == Border::Clause { 1 } else { 4 };
            if self.is_small(tokens.len(), piece.len(), parts) {
                self.give(piece, tokens.len(), border, units);
            } else {
                self.divide(piece, border, tokens, next, units);
            }
            border = level;
            start = end;
        }
    }

    /// Cuts a word between its graphemes, and a grapheme that is still too long between characters.
    fn divide_word(
        &self,
        bytes: Range<usize>,
        mut border: Border,
        tokens: &[Range<usize>],
        units: &mut Vec<Unit>,
    ) {
        let source = &self.text[bytes.clone()];
        let mut rest = tokens;
        let mut start = 0;
        let mut fits = 0;
        let mut give = |piece: Range<usize>, tokens: usize| {
            self.give(piece, tokens, border, units);
            border = Border::Inside;
        };
        let ends = self.graphemes.segment_str(source).flat_map(|end| {
            let begin = std::mem::replace(&mut fits, end);
            let is_long = end - begin > self.bytes_max / 8;
            let inner = source[begin..end].char_indices().skip(1).map(move |(at, _)| begin + at);
            inner.filter(move |_| is_long).chain([end])
        });
        let mut previous = 0;
        for end in ends {
            let whole = bytes.start + start..bytes.start + end;
            let count = tokens_within(&mut { rest }, &whole).len();
            if previous > start && !self.is_small(count, whole.len(), 4) {
                let piece = bytes.start + start..bytes.start + previous;
                let tokens = tokens_within(&mut rest, &piece).len();
                give(piece, tokens);
                start = previous;
            }
            previous = end;
        }
        if start < source.len() {
            let piece = bytes.start + start..bytes.end;
            let tokens = tokens_within(&mut rest, &piece).len();
            give(piece, tokens);
        }
    }

    /// Adds a unit, unless there is nothing to read in it: a passage of blanks would repeat the one
    /// before it.
    fn give(&self, bytes: Range<usize>, tokens: usize, border: Border, units: &mut Vec<Unit>) {
        if !self.text[bytes.clone()].trim().is_empty() {
            units.push(Unit { bytes, tokens, border });
        }
    }

    /// Returns whether this much is at most such a part of a passage.
    fn is_small(&self, tokens: usize, bytes: usize, parts: usize) -> bool {
        tokens <= (self.tokens_max / parts).max(1) && bytes <= (self.bytes_max / parts).max(4)
    }
}

/// Returns the tokens that touch the piece and leaves in `rest` those that may touch the next; a
/// token that lies across the border counts on both sides.
fn tokens_within<'t>(rest: &mut &'t [Range<usize>], piece: &Range<usize>) -> &'t [Range<usize>] {
    let all = *rest;
    let first = all.partition_point(|token| token.end.max(token.start + 1) <= piece.start);
    let count = all[first..].partition_point(|token| token.start < piece.end);
    let touching = &all[first..first + count];
    let across = touching.iter().rev().take_while(|token| token.end > piece.end).count();
    *rest = &all[first + count - across..];
    touching
}

/// Cuts what is far longer than a sentence without reading it, so that no tokenizer meets a word of a
/// megabyte.
fn bounded(text: &str, sentence: Range<usize>, border: Border) -> Vec<(Range<usize>, Border)> {
    let mut pieces = Vec::new();
    let mut start = sentence.start;
    let mut border = border;
    while sentence.end - start > SENTENCE_BYTES_MAX {
        let window = &text[start..text.floor_char_boundary(start + SENTENCE_BYTES_MAX)];
        let blank = window.rfind(char::is_whitespace).filter(|&at| at > window.len() / 2);
        let (end, next) = match blank {
            Some(at) => {
                let width = window[at..].chars().next().map_or(1, char::len_utf8);
                (start + at + width, Border::Blank)
            }
            None => (start + window.len(), Border::Inside),
        };
        pieces.push((start..end, border));
        border = next;
        start = end;
    }
    pieces.push((start..sentence.end, border));
    pieces
}

fn clause_ends(source: &str) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut before: Option<char> = None;
    let mut characters = source.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let end = at + character.len_utf8();
        let is_end = match character {
            '、' | '，' | '；' | '：' | '。' | '！' | '？' => true,
            _ if character.is_whitespace() => {
                let follows_blank = characters.peek().is_some_and(|(_, next)| next.is_whitespace());
                !follows_blank
                    && before.is_some_and(|mark| {
                        matches!(mark, ',' | ';' | ':' | '–' | '—' | ')' | '،' | '؛')
                            || ends_sentences_with_blanks(mark)
                    })
            }
            _ => false,
        };
        if is_end {
            ends.push(end);
        }
        if !character.is_whitespace() {
            before = Some(character);
        }
    }
    ends
}

fn blank_ends(source: &str) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut was_blank = false;
    for (at, character) in source.char_indices() {
        if was_blank && !character.is_whitespace() {
            ends.push(at);
        }
        was_blank = character.is_whitespace();
    }
    ends
}

/// Returns whether the script parts sentences by blanks alone: Thai, Lao, Khmer.
fn ends_sentences_with_blanks(character: char) -> bool {
    matches!(character, '\u{0E00}'..='\u{0EFF}' | '\u{1780}'..='\u{17FF}')
}
