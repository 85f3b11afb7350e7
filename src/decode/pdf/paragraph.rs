//! Which lines are one paragraph, and how is it written?

use std::collections::HashSet;

use super::super::writer::is_unspaced;
use super::line::{Block, Line, median};

/// A paragraph, or a heading, before it is known which.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Paragraph {
    pub(super) text: String,
    pub(super) size: f64,
    pub(super) lines: usize,
    /// Whether it stands across the page.
    pub(super) is_turned: bool,
}

/// Lines this much further apart than the others of their block are two paragraphs.
const SPACING_RATIO: f64 = 1.3;

/// Text that differs this much in size is another paragraph.
const SIZE_RATIO: f64 = 1.12;

/// An indent of this many ems begins a paragraph.
const INDENT_EMS: f64 = 0.8;

/// The words with hyphens that a document writes inside a line: a hyphen at the end of a line is kept
/// if the word is among them.
#[derive(Debug, Default)]
pub(super) struct Hyphenated(HashSet<String>);

/// So many words are remembered.
const HYPHENATED_MAX: usize = 100_000;

impl Hyphenated {
    pub(super) fn learn(&mut self, line: &str) {
        for word in line.split_whitespace() {
            let word = word.trim_matches(|c: char| !c.is_alphanumeric());
            if word.contains('-') && word.len() <= 64 && self.0.len() < HYPHENATED_MAX {
                self.0.insert(word.to_lowercase());
            }
        }
    }

    /// Returns whether the hyphen between the end of a line and the next line belongs to the word.
    fn keeps(&self, text: &str, next: &str) -> bool {
        let before = text.rsplit(char::is_whitespace).next().unwrap_or("");
        let before = before.trim_start_matches(|c: char| !c.is_alphanumeric());
        let after = next.split(|c: char| !c.is_alphanumeric() && c != '-').next().unwrap_or("");
        self.0.contains(&format!("{before}{after}").to_lowercase())
    }
}

/// Returns the paragraphs of a block of lines.
pub(super) fn paragraphs(block: &Block, hyphenated: &Hyphenated) -> Vec<Paragraph> {
    let mut paragraphs: Vec<Paragraph> = Vec::new();
    for stack in stacks(&block.lines) {
        let right = stack.iter().map(|line| line.end).fold(f64::NEG_INFINITY, f64::max);
        let left = left_margin(stack);
        let mut open: Vec<&Line> = Vec::new();
        for line in stack {
            if open
                .last()
                .is_some_and(|before| begins_paragraph(before, line, left, right, open.len()))
            {
                paragraphs.push(written(&open, right, hyphenated));
                open.clear();
            }
            open.push(line);
        }
        paragraphs.push(written(&open, right, hyphenated));
    }
    for paragraph in &mut paragraphs {
        paragraph.is_turned = block.is_turned;
    }
    paragraphs
}

/// Parts the lines where the spacing or the size changes.
fn stacks(lines: &[Line]) -> Vec<&[Line]> {
    let steps: Vec<f64> = lines
        .windows(2)
        .map(|pair| (pair[1].baseline - pair[0].baseline) / pair[0].size.max(pair[1].size))
        .collect();
    // A block of two lines shows no usual spacing; more than this would be one and a half.
    let usual = median(steps.iter().copied().filter(|&step| step > 0.0).collect());
    let usual = if steps.len() < 3 { usual.clamp(0.9, 1.5) } else { usual.min(2.5) };
    let mut stacks = Vec::new();
    let mut first = 0;
    for (at, &step) in steps.iter().enumerate() {
        let ratio = lines[at + 1].size / lines[at].size;
        let is_apart = step > usual * SPACING_RATIO || step < 0.0;
        if is_apart || !(1.0 / SIZE_RATIO..=SIZE_RATIO).contains(&ratio) {
            stacks.push(&lines[first..=at]);
            first = at + 1;
        }
    }
    if first < lines.len() {
        stacks.push(&lines[first..]);
    }
    stacks
}

/// Returns where most lines begin; the first of a paragraph may begin further in or further out.
fn left_margin(lines: &[Line]) -> f64 {
    median(lines.iter().map(|line| line.start).collect())
}

fn begins_paragraph(
    before: &Line,
    line: &Line,
    left: f64,
    right: f64,
    lines_before: usize,
) -> bool {
    let em = line.size;
    let is_indented = line.start > left + em * INDENT_EMS && before.start < left + em * INDENT_EMS;
    // A paragraph that hangs: its first line begins further out than its others.
    let hangs_out = line.start < left - em * INDENT_EMS && before.start > left - em * INDENT_EMS;
    let ends_early = before.end < right - (right - left) * 0.15 - em;
    let ends_sentence =
        before.text.ends_with(['.', '!', '?', ':', '。', '！', '？', '：', '”', '」', '"']);
    is_indented
        || (hangs_out && ends_sentence)
        || (ends_early && ends_sentence && would_fit(before, line, right))
        || begins_item(&line.text)
        || (lines_before >= 2 && begins_item(&before.text) && line.start < before.start - em)
}

/// Returns whether the first word of the line would have had room on the line before, so that the
/// break was meant.
fn would_fit(before: &Line, line: &Line, right: f64) -> bool {
    let is_dense = line.text.chars().next().is_some_and(is_unspaced);
    let (word, blank) =
        if is_dense { (line.size, 0.0) } else { (line.first_word, line.size * 0.3) };
    before.end + blank + word < right - line.size * 0.2
}

fn begins_item(text: &str) -> bool {
    let marker = text.split_whitespace().next().unwrap_or("");
    matches!(marker, "•" | "◦" | "▪" | "‣" | "–" | "●" | "○" | "■" | "-" | "*")
        || text.starts_with(['•', '●', '▪'])
        || (marker.ends_with(['.', ')'])
            && marker.len() <= 4
            && marker.len() >= 2
            && marker[..marker.len() - 1].bytes().all(|byte| byte.is_ascii_digit()))
}

/// Writes the lines as one text: wrapping is undone, breaks that were meant stay.
fn written(lines: &[&Line], right: f64, hyphenated: &Hyphenated) -> Paragraph {
    let mut text = String::new();
    let mut before: Option<&Line> = None;
    for line in lines {
        match before {
            Some(before)
                if (before.is_row || line.is_row || would_fit(before, line, right))
                    && !is_hyphen_end(&text) =>
            {
                text.push('\n');
                text.push_str(&line.text);
            }
            Some(_) => join(&mut text, &line.text, hyphenated),
            None => text.push_str(&line.text),
        }
        before = Some(line);
    }
    // Hyphens that only say where a line may break have done their work.
    text.retain(|character| character != '\u{AD}');
    let size = lines.iter().map(|line| line.size).fold(0.0, f64::max);
    Paragraph { text, size, lines: lines.len(), is_turned: false }
}

fn is_hyphen_end(text: &str) -> bool {
    text.ends_with(['-', '\u{2010}', '\u{AD}'])
}

/// Adds a line to the text it goes on from.
pub(super) fn join(text: &mut String, next: &str, hyphenated: &Hyphenated) {
    let mut end = text.chars().rev();
    let (last, letter) = (end.next(), end.next());
    let is_word = letter.is_some_and(char::is_alphabetic)
        && next.chars().next().is_some_and(char::is_lowercase);
    match last {
        Some('\u{AD}') => {
            text.pop();
        }
        Some('-' | '\u{2010}') if is_word && !hyphenated.keeps(text, next) => {
            text.pop();
        }
        // Addresses and ranges are broken behind these.
        Some('/' | '@' | '_' | '–') if letter.is_some_and(|letter| !letter.is_whitespace()) => {}
        // Other hyphens belong there: well-known, Anglo-Saxon, 1990-1995.
        Some('-' | '\u{2010}') if letter.is_some_and(char::is_alphanumeric) => {}
        Some(last) if is_unspaced(last) && next.chars().next().is_some_and(is_unspaced) => {}
        Some(_) => text.push(' '),
        None => {}
    }
    text.push_str(next);
}

/// Returns whether the text goes on in the next column or on the next page.
pub(super) fn goes_on(text: &str, next: &str) -> bool {
    let Some(last) = text.chars().next_back() else {
        return false;
    };
    let ends = matches!(
        last,
        '.' | '!' | '?' | ':' | ';' | '。' | '！' | '？' | '：' | '”' | '"' | '」' | ')'
    );
    let first = next.chars().next();
    let may_follow = first
        .is_some_and(|first| first.is_lowercase() || (is_unspaced(first) && is_unspaced(last)));
    !ends && may_follow && !begins_item(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Builds a line ten points high whose characters are five points wide.
    fn line(row: u32, indent: f64, text: &str) -> Line {
        let width = |text: &str| text.chars().count() as f64 * 5.0;
        Line {
            text: text.to_owned(),
            start: indent,
            end: indent + width(text),
            baseline: f64::from(row) * 12.0,
            size: 10.0,
            first_word: width(text.split(' ').next().unwrap()),
            is_row: false,
        }
    }

    fn texts(lines: &[Line]) -> Vec<String> {
        let mut hyphenated = Hyphenated::default();
        for line in lines {
            hyphenated.learn(&line.text);
        }
        let block = Block { lines: lines.to_vec(), is_turned: false };
        paragraphs(&block, &hyphenated).into_iter().map(|paragraph| paragraph.text).collect()
    }

    #[test]
    fn wrapped_lines_are_joined_and_meant_breaks_stay() {
        let lines = [
            line(0, 0.0, "The well-known mill stood by the river for a hun-"),
            line(1, 0.0, "dred years, and nobody thought that the well-"),
            line(2, 0.0, "known wheel would ever stop turning in the"),
            line(3, 0.0, "stream."),
            line(5, 0.0, "Anna Ott"),
            line(6, 0.0, "Mill Lane 4"),
            line(7, 0.0, "River Town, where the long road ends at last"),
        ];
        assert_eq!(
            texts(&lines),
            [
                "The well-known mill stood by the river for a hundred years, and nobody thought that \
                 the well-known wheel would ever stop turning in the stream.",
                "Anna Ott\nMill Lane 4\nRiver Town, where the long road ends at last",
            ]
        );
    }

    #[test]
    fn an_indent_or_a_short_last_line_begins_a_paragraph() {
        let lines = [
            line(0, 10.0, "It rained on the roof all night and all of the day"),
            line(1, 0.0, "after, and the road was gone by noon of the second."),
            line(2, 10.0, "Then it stopped, and the birds came back to the old"),
            line(3, 0.0, "tree."),
            line(4, 0.0, "Nobody spoke of it again in all the years that came"),
            line(5, 0.0, "after that one, which was long."),
        ];
        let texts = texts(&lines);
        assert_eq!(texts.len(), 3, "{texts:?}");
        assert!(texts[1].starts_with("Then it stopped") && texts[1].ends_with("old tree."));
    }

    #[test]
    fn chinese_lines_are_joined_without_blanks() {
        let wide = |row: u32, text: &str| Line {
            end: text.chars().count() as f64 * 10.0,
            first_word: 10.0,
            ..line(row, 0.0, text)
        };
        let lines = [wide(0, "小猫在院子里追逐"), wide(1, "老鼠，老鼠躲进了"), wide(2, "洞里。")];
        assert_eq!(texts(&lines), ["小猫在院子里追逐老鼠，老鼠躲进了洞里。"]);
    }
}
