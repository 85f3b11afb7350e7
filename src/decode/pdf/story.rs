//! What do the pages tell, read one after the other?

use std::collections::{HashMap, HashSet};

use super::super::writer::{Writer, is_unspaced};
use super::super::{DecodeError, Limits, metadata};
use super::glyphs::Shown;
use super::line::{self, Block, Line};
use super::paragraph::{self, Hyphenated, Paragraph};
use crate::document::Section;

/// The text of all pages.
pub(super) struct Story {
    pub(super) text: String,
    pub(super) sections: Vec<Section>,
    /// The largest heading of the first page with text.
    pub(super) title: Option<String>,
}

/// Text this much larger than most of the document is a heading.
const HEADING_RATIO: f64 = 1.15;

/// A heading is no longer than this.
const HEADING_CHARS_MAX: usize = 200;
const HEADING_LINES_MAX: usize = 3;

/// Smaller differences of size than this are the same level.
const LEVEL_RATIO: f64 = 1.06;
const LEVELS_MAX: usize = 6;

/// Returns the text of the pages without what is repeated on each, as paragraphs under headings.
pub(super) fn tell(pages: &[Shown], limits: &Limits) -> Result<Story, DecodeError> {
    let mut pages: Vec<Vec<Block>> = pages.iter().map(|page| line::blocks(&page.glyphs)).collect();
    drop_repeated(&mut pages);
    let mut hyphenated = Hyphenated::default();
    for line in pages.iter().flatten().flat_map(|block| &block.lines) {
        hyphenated.learn(&line.text);
    }
    let pages: Vec<Vec<Paragraph>> = pages
        .iter()
        .map(|blocks| {
            let mut paragraphs: Vec<Paragraph> = Vec::new();
            for block in blocks {
                append(&mut paragraphs, paragraph::paragraphs(block, &hyphenated), &hyphenated);
            }
            paragraphs
        })
        .collect();
    let levels = Levels::new(&pages);
    let mut writer = Writer::new(limits.text_bytes_max);
    let mut title: Option<(f64, String)> = None;
    for (number, paragraphs) in (1_u32..).zip(&pages) {
        writer.page(number);
        for (index, paragraph) in paragraphs.iter().enumerate() {
            if let Some(level) = levels.of(paragraph) {
                writer.heading(level, &paragraph.text.replace('\n', " "));
                if title.as_ref().is_none_or(|(size, _)| number == 1 && paragraph.size > *size) {
                    title = metadata::clean(&paragraph.text).map(|text| (paragraph.size, text));
                }
            } else if index == 0 && writer.goes_on_with(&paragraph.text) {
                writer.line(&paragraph.text);
            } else {
                writer.block(&paragraph.text);
            }
        }
    }
    let (text, sections) = writer.finish()?;
    Ok(Story { text, sections, title: title.map(|title| title.1) })
}

/// Adds the paragraphs of the next column; one that goes on from the column before is joined to it.
fn append(paragraphs: &mut Vec<Paragraph>, next: Vec<Paragraph>, hyphenated: &Hyphenated) {
    let mut next = next.into_iter();
    if let (Some(last), Some(first)) = (paragraphs.last_mut(), next.as_slice().first()) {
        let is_same_size = (last.size / first.size - 1.0).abs() < 0.05;
        if is_same_size && paragraph::goes_on(&last.text, &first.text) {
            paragraph::join(&mut last.text, &first.text, hyphenated);
            last.lines += first.lines;
            next.next();
        }
    }
    paragraphs.extend(next);
}

impl Writer {
    /// Returns whether the first paragraph of a page goes on from the page before.
    fn goes_on_with(&self, text: &str) -> bool {
        self.last().is_some_and(|last| {
            let before = last.to_string();
            paragraph::goes_on(&before, text)
                || (is_unspaced(last) && paragraph::goes_on(&before, text))
        })
    }
}

/// Which sizes of text are headings of which level.
struct Levels {
    body: f64,
    sizes: Vec<f64>,
}

impl Levels {
    fn new(pages: &[Vec<Paragraph>]) -> Self {
        let mut characters: HashMap<u64, usize> = HashMap::new();
        for paragraph in pages.iter().flatten() {
            *characters.entry(half_points(paragraph.size)).or_default() += paragraph.text.len();
        }
        // The largest size in which, with all larger ones, a good part of the text is written; tables
        // and footnotes may be more than the text itself.
        let mut sizes: Vec<(u64, usize)> = characters.into_iter().collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        let total: usize = sizes.iter().map(|size| size.1).sum();
        let mut larger = 0;
        let body = sizes.iter().find(|size| {
            larger += size.1;
            larger * 4 >= total
        });
        let body = body.map_or(0.0, |&(size, _)| size as f64 / 2.0);
        let mut levels = Self { body, sizes: Vec::new() };
        let mut sizes: Vec<f64> = pages
            .iter()
            .flatten()
            .filter(|paragraph| levels.is_heading(paragraph))
            .map(|paragraph| paragraph.size)
            .collect();
        sizes.sort_by(|a, b| b.total_cmp(a));
        sizes.dedup_by(|smaller, larger| *larger < *smaller * LEVEL_RATIO);
        sizes.truncate(LEVELS_MAX);
        levels.sizes = sizes;
        levels
    }

    fn of(&self, paragraph: &Paragraph) -> Option<u8> {
        if !self.is_heading(paragraph) {
            return None;
        }
        let level = self.sizes.iter().position(|&size| paragraph.size * LEVEL_RATIO > size)?;
        u8::try_from(level + 1).ok()
    }

    fn is_heading(&self, paragraph: &Paragraph) -> bool {
        let is_sentence = paragraph.text.ends_with(['.', '。', ';', '；', ',', '，'])
            && paragraph.text.chars().count() > 40;
        paragraph.size >= self.body * HEADING_RATIO
            && !paragraph.is_turned
            && !is_sentence
            && paragraph.lines <= HEADING_LINES_MAX
            && paragraph.text.chars().count() <= HEADING_CHARS_MAX
            && paragraph.text.chars().any(char::is_alphabetic)
    }
}

fn half_points(size: f64) -> u64 {
    u64::try_from(line::rounded(size * 2.0)).unwrap_or(0).min(10_000)
}

/// Takes away the lines at the top and bottom of pages that come again on many, and those that count
/// the pages: running titles and page numbers.
fn drop_repeated(pages: &mut [Vec<Block>]) {
    const PAGES_MIN: usize = 3;
    let mut titles: HashMap<(String, i64), usize> = HashMap::new();
    let mut counts: HashMap<i64, usize> = HashMap::new();
    for (index, page) in pages.iter().enumerate() {
        let edges = edges(page);
        let keys: HashSet<_> = edges.iter().map(|edge| edge.title.clone()).collect();
        let numbers: HashSet<_> = edges.iter().flat_map(|edge| edge.counts(index)).collect();
        for key in keys {
            *titles.entry(key).or_default() += 1;
        }
        for number in numbers {
            *counts.entry(number).or_default() += 1;
        }
    }
    // Left and right pages may have their own titles, and the first of a chapter none.
    let often = PAGES_MIN.max(pages.len() * 3 / 10);
    let offset = counts.into_iter().max_by_key(|&(offset, count)| (count, -offset.abs()));
    let offset = offset.filter(|&(_, count)| count >= 2 && count * 2 >= pages.len());
    for (index, page) in pages.iter_mut().enumerate() {
        let mut drop: Vec<(usize, usize)> = edges(page)
            .into_iter()
            .filter(|edge| {
                let counts = offset.is_some_and(|(offset, _)| edge.counts(index).contains(&offset));
                counts || titles.get(&edge.title).is_some_and(|&count| count >= often)
            })
            .map(|edge| edge.place)
            .collect();
        drop.sort_unstable_by(|a, b| b.cmp(a));
        for (block, line) in drop {
            page[block].lines.remove(line);
        }
        page.retain(|block| !block.lines.is_empty());
    }
}

/// A line at the top or bottom of a page.
struct Edge {
    /// Its block, and its place there.
    place: (usize, usize),
    /// What says that two are the same: the text, in which all numbers are one, and the height.
    title: (String, i64),
    /// The numbers that it begins and ends with.
    numbers: Vec<i64>,
}

impl Edge {
    /// Returns how much the numbers are ahead of the page's place in the file.
    fn counts(&self, index: usize) -> Vec<i64> {
        let index = i64::try_from(index).unwrap_or(i64::MAX);
        self.numbers.iter().map(|number| number - index).collect()
    }
}

/// Returns the two topmost and the two lowest lines of a page.
fn edges(page: &[Block]) -> Vec<Edge> {
    let mut lines: Vec<((usize, usize), &Line)> = page
        .iter()
        .enumerate()
        .filter(|(_, block)| !block.is_turned)
        .flat_map(|(at, block)| {
            block.lines.iter().enumerate().map(move |(index, line)| ((at, index), line))
        })
        .collect();
    lines.sort_by(|a, b| a.1.baseline.total_cmp(&b.1.baseline));
    let count = lines.len();
    let edges = lines.into_iter().enumerate().filter(|&(at, _)| at < 2 || at + 2 >= count);
    edges
        .map(|(_, (place, line))| Edge {
            place,
            title: (without_numbers(&line.text), line::rounded(line.baseline / 8.0)),
            numbers: numbers_at_ends(&line.text),
        })
        .collect()
}

fn without_numbers(text: &str) -> String {
    let mut written = String::new();
    for character in text.chars().take(200) {
        if !character.is_ascii_digit() {
            written.push(character);
        } else if !written.ends_with('#') {
            written.push('#');
        }
    }
    written
}

/// Returns the numbers that the line begins and ends with, if it is no more than a running title.
fn numbers_at_ends(text: &str) -> Vec<i64> {
    const CHARS_MAX: usize = 100;
    if text.chars().count() > CHARS_MAX {
        return Vec::new();
    }
    let bare = |word: &str| {
        let digits = word.trim_matches(|c: char| !c.is_ascii_digit());
        digits.parse::<i64>().ok().filter(|_| digits.len() <= 5 && digits.len() + 2 >= word.len())
    };
    let mut words = text.split_whitespace().filter(|word| !matches!(*word, "-" | "–" | "|" | "页"));
    let ends = [words.next(), words.next_back()];
    ends.into_iter().flatten().filter_map(bare).collect()
}
