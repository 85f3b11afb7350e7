use std::ops::Range;

use icu_segmenter::{SentenceSegmenter, SentenceSegmenterBorrowed};

/// How good a place for a cut is, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Border {
    /// Inside a word.
    Inside,
    /// Between words that no blank parts.
    Word,
    /// At a blank.
    Blank,
    /// After a comma and the like, and at a blank of a script that ends sentences with blanks.
    Clause,
    /// Between sentences.
    Sentence,
    /// Between lines that are not one wrapped text.
    Line,
    /// At an empty line.
    Paragraph,
    /// Between sections, or pages.
    Section,
}

/// Lines narrower than this are verses, items or table rows, not wrapped text; in columns.
const WRAP_COLUMNS_MIN: usize = 40;

/// Abbreviations that a name or a number follows, so that no sentence ends with them.
const ABBREVIATIONS: [&str; 24] = [
    "Mr.", "Mrs.", "Ms.", "Dr.", "Prof.", "St.", "Sr.", "Jr.", "Rev.", "Gen.", "Col.", "Capt.",
    "Lt.", "Hon.", "vs.", "cf.", "e.g.", "i.e.", "No.", "Fig.", "Figs.", "Eq.", "Sec.", "Vol.",
];

/// Finds the sentences of texts.
pub(super) struct Sentences {
    segmenter: SentenceSegmenterBorrowed<'static>,
}

impl Sentences {
    pub(super) fn new() -> Self {
        Self {
            segmenter: SentenceSegmenter::new(
                icu_segmenter::options::SentenceBreakInvariantOptions::default(),
            ),
        }
    }

    /// Gives each sentence of `text[within]` in order, trailing blanks included, with the border
    /// before it. Empty lines belong to no sentence.
    pub(super) fn each(
        &self,
        text: &str,
        within: Range<usize>,
        mut give: impl FnMut(Range<usize>, Border),
    ) {
        let mut border = Border::Section;
        let mut at = within.start;
        while let Some(lines) = next_paragraph(text, &mut at, within.end) {
            for part in wrapped_parts(text, &lines) {
                self.split(text, part, border, &mut give);
                border = Border::Line;
            }
            border = Border::Paragraph;
        }
    }

    fn split(
        &self,
        text: &str,
        part: Range<usize>,
        mut border: Border,
        give: &mut impl FnMut(Range<usize>, Border),
    ) {
        let source = &text[part.clone()];
        // A line break ends a sentence by the Unicode rules; these breaks only wrap a line. A blank
        // is as long, so the places stay the same.
        let unwrapped = source.replace(['\n', '\r'], " ");
        let mut start = 0;
        for end in self.segmenter.segment_str(&unwrapped) {
            let is_last = end == unwrapped.len();
            if end > start && (is_last || !ends_with_abbreviation(&unwrapped[start..end])) {
                give(part.start + start..part.start + end, border);
                border = Border::Sentence;
                start = end;
            }
        }
    }
}

/// Returns the lines up to the next empty line, without empty lines before them.
fn next_paragraph(text: &str, at: &mut usize, end: usize) -> Option<Vec<Range<usize>>> {
    let mut lines = Vec::new();
    while *at < end {
        let length = text[*at..end].find('\n').map_or(end - *at, |newline| newline + 1);
        let line = *at..*at + length;
        *at = line.end;
        let is_blank = text[line.clone()].trim().is_empty();
        if !is_blank {
            lines.push(line);
        } else if !lines.is_empty() {
            break;
        }
    }
    (!lines.is_empty()).then_some(lines)
}

/// Joins the lines that only wrapping parted.
fn wrapped_parts(text: &str, lines: &[Range<usize>]) -> Vec<Range<usize>> {
    let widths: Vec<usize> =
        lines.iter().map(|line| columns(text[line.clone()].trim_end())).collect();
    let width_max = widths.iter().copied().max().unwrap_or(0);
    let mut parts: Vec<Range<usize>> = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let is_wrapped = index > 0
            && widths[index - 1] >= WRAP_COLUMNS_MIN
            && !begins_item(&text[line.clone()])
            && widths[index - 1] + 1 + first_word_columns(&text[line.clone()]) > width_max;
        match parts.last_mut() {
            Some(part) if is_wrapped => part.end = line.end,
            _ => parts.push(line.clone()),
        }
    }
    parts
}

fn begins_item(line: &str) -> bool {
    let line = line.trim_start();
    let marker = line.split_whitespace().next().unwrap_or("");
    matches!(marker, "-" | "*" | "+" | "•" | "–")
        || (marker.ends_with(['.', ')'])
            && marker.len() <= 4
            && marker.bytes().next().is_some_and(|byte| byte.is_ascii_digit()))
}

fn first_word_columns(line: &str) -> usize {
    let line = line.trim_start();
    match line.chars().next() {
        Some(first) if is_wide(first) => 2,
        _ => columns(line.split_whitespace().next().unwrap_or("")),
    }
}

fn columns(line: &str) -> usize {
    line.chars().map(|character| if is_wide(character) { 2 } else { 1 }).sum()
}

/// Returns whether the character takes two columns, roughly: East Asian scripts and their marks.
fn is_wide(character: char) -> bool {
    matches!(character,
        '\u{1100}'..='\u{115F}' | '\u{2E80}'..='\u{A4CF}' | '\u{AC00}'..='\u{D7A3}'
        | '\u{F900}'..='\u{FAFF}' | '\u{FE30}'..='\u{FE6F}' | '\u{FF00}'..='\u{FF60}'
        | '\u{20000}'..='\u{3FFFD}')
}

fn ends_with_abbreviation(sentence: &str) -> bool {
    let trimmed = sentence.trim_end();
    if trimmed.len() == sentence.len() || !trimmed.ends_with('.') {
        return false;
    }
    let word = trimmed.rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or("");
    let is_initial = word.len() == 2 && word.starts_with(|first: char| first.is_ascii_uppercase());
    is_initial || ABBREVIATIONS.contains(&word)
}
