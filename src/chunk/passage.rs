use std::ops::Range;

use super::sentence::Border;
use super::unit::{Cutter, Unit};
use super::{CountTokens, group};
use crate::cancel::{Cancellation, Interrupted};
use crate::document::Section;

/// The least that [`ChunkOptions::tokens_max`] can mean: one character may be four tokens.
pub const TOKENS_MAX_LEAST: usize = 8;

/// How long passages are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkOptions {
    /// The most tokens of a passage, without the special tokens that the model adds; fewer than
    /// [`TOKENS_MAX_LEAST`] count as that many.
    pub tokens_max: usize,
    /// The most tokens that a passage repeats of the one before it; whole sentences only, except
    /// inside a sentence that is longer than a passage. More than half of `tokens_max` count as half.
    pub tokens_overlap: usize,
    /// The most bytes of a passage, for texts whose tokens have no bound of their own; fewer than 64
    /// count as 64.
    pub bytes_max: usize,
}

impl Default for ChunkOptions {
    fn default() -> Self {
        Self { tokens_max: 254, tokens_overlap: 32, bytes_max: 16 << 10 }
    }
}

/// One passage of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// Its bytes in the text that was cut, without blanks at either end.
    pub bytes: Range<usize>,
    /// The page that it begins on, from 1, where the text has pages.
    pub page: Option<u32>,
    /// The headings above it, outermost first, joined by " > ".
    pub heading: Option<String>,
    /// Its tokens, without the special tokens that the model adds; at least as many as the tokenizer
    /// finds in it, and exactly as many if the tokenizer is additive and no word was cut.
    pub tokens: usize,
}

/// Returns the passages of the text in order.
///
/// They cover all of the text that is not blank, whatever the sections cover; each has at most
/// `options.tokens_max` tokens. The same input gives the same passages, in time that grows with the
/// length of the text.
///
/// # Errors
/// [`Interrupted`] once the token ends.
pub fn chunk(
    text: &str,
    sections: &[Section],
    counter: &dyn CountTokens,
    options: &ChunkOptions,
    cancel: &Cancellation,
) -> Result<Vec<Passage>, Interrupted> {
    let options = ChunkOptions {
        tokens_max: options.tokens_max.max(TOKENS_MAX_LEAST),
        tokens_overlap: options.tokens_overlap.min(options.tokens_max.max(TOKENS_MAX_LEAST) / 2),
        bytes_max: options.bytes_max.max(64),
    };
    let sections = group::complete(text, sections);
    let cutter = Cutter::new(text, counter, &options, cancel);
    let mut units = Vec::new();
    let mut groups = group::runs(&sections);
    for group in &mut groups {
        cancel.check()?;
        let first = units.len();
        cutter.cut(group.bytes.clone(), &mut units)?;
        group.units = first..units.len();
        group.tokens = units[first..].iter().map(|unit| unit.tokens).sum();
    }
    mark_sections(&sections, &mut units);
    let groups = group::merge(text, groups, &units, options.tokens_max);
    let mut packer = Packer { text, counter, options, passages: Vec::new() };
    for group in groups {
        cancel.check()?;
        let begins = packer.passages.len();
        packer.pack(&units[group.units]);
        for passage in &mut packer.passages[begins..] {
            passage.heading.clone_from(&group.heading);
        }
    }
    set_pages(&sections, &mut packer.passages);
    Ok(packer.passages)
}

/// Makes the unit that begins a section a good place to cut.
fn mark_sections(sections: &[Section], units: &mut [Unit]) {
    let mut next = 0;
    for section in sections {
        while next < units.len() && units[next].bytes.end <= section.bytes.start {
            next += 1;
        }
        if let Some(unit) = units.get_mut(next)
            && unit.bytes.start >= section.bytes.start
        {
            unit.border = Border::Section;
        }
    }
}

fn set_pages(sections: &[Section], passages: &mut [Passage]) {
    for passage in passages {
        let at = sections.partition_point(|section| section.bytes.end <= passage.bytes.start);
        passage.page = sections.get(at).and_then(|section| section.page);
    }
}

struct Packer<'a> {
    text: &'a str,
    counter: &'a dyn CountTokens,
    options: ChunkOptions,
    passages: Vec<Passage>,
}

impl Packer<'_> {
    /// Adds the passages of one group.
    fn pack(&mut self, units: &[Unit]) {
        // The units from `begin` to `new` repeat the end of the passage before.
        let (mut begin, mut new) = (0, 0);
        while new < units.len() {
            let mut end = self.fill(units, begin, new);
            while end == new && begin < new {
                begin += 1;
                end = self.fill(units, begin, new);
            }
            end = end.max(new + 1);
            if end < units.len() {
                end = self.best_cut(units, begin, new, end);
            }
            (begin, end) = self.add(units, begin, new, end);
            new = end;
            begin = self.overlap(units, begin, new);
        }
    }

    /// Returns the end of the units that fit into a passage from `begin` on.
    fn fill(&self, units: &[Unit], begin: usize, new: usize) -> usize {
        let mut tokens: usize = units[begin..new].iter().map(|unit| unit.tokens).sum();
        let mut end = new;
        while let Some(unit) = units.get(end) {
            tokens += unit.tokens;
            let bytes = unit.bytes.end - units[begin].bytes.start;
            if tokens > self.options.tokens_max || bytes > self.options.bytes_max {
                break;
            }
            end += 1;
        }
        end
    }

    /// Returns the best place to cut in the last third of the passage, the latest of equals.
    fn best_cut(&self, units: &[Unit], begin: usize, new: usize, end: usize) -> usize {
        let tokens: usize = units[begin..end].iter().map(|unit| unit.tokens).sum();
        let enough = tokens.min(self.options.tokens_max) * 2 / 3;
        let mut before = tokens;
        let mut best = end;
        for cut in (new + 1..end).rev() {
            before -= units[cut].tokens;
            if before < enough {
                break;
            }
            if units[cut].border > units[best].border {
                best = cut;
            }
        }
        best
    }

    /// Adds the passage of the units, shortened if the tokenizer finds more tokens in it than in its
    /// units, and returns the units it has.
    fn add(&mut self, units: &[Unit], begin: usize, new: usize, end: usize) -> (usize, usize) {
        let (mut begin, mut end) = (begin, end);
        loop {
            let bytes = trimmed(self.text, units[begin].bytes.start..units[end - 1].bytes.end);
            let is_word_cut = units[begin].border == Border::Inside
                || units.get(end).is_some_and(|next| next.border == Border::Inside);
            let sum = units[begin..end].iter().map(|unit| unit.tokens).sum();
            if self.counter.is_additive() && !is_word_cut {
                self.give(bytes, sum);
                return (begin, end);
            }
            let tokens = self.counter.token_ranges(&self.text[bytes.clone()]).len();
            let Some(mut over) = tokens.checked_sub(self.options.tokens_max + 1) else {
                self.give(bytes, tokens);
                return (begin, end);
            };
            over += 1;
            if end - begin == 1 {
                self.halve(bytes);
                return (begin, end);
            }
            while over > 0 && end - begin > 1 {
                let dropped = if begin < new { begin } else { end - 1 };
                over = over.saturating_sub(units[dropped].tokens.max(1));
                if begin < new {
                    begin += 1;
                } else {
                    end -= 1;
                }
            }
        }
    }

    /// Adds a stretch that has no borders left in as many passages as it needs.
    fn halve(&mut self, bytes: Range<usize>) {
        let mut rest = vec![bytes];
        while let Some(bytes) = rest.pop() {
            let source = &self.text[bytes.clone()];
            let tokens = self.counter.token_ranges(source).len();
            let middle = bytes.start + source.floor_char_boundary(source.len() / 2);
            if tokens <= self.options.tokens_max || middle == bytes.start {
                self.give(trimmed(self.text, bytes), tokens);
            } else {
                rest.push(middle..bytes.end);
                rest.push(bytes.start..middle);
            }
        }
    }

    fn give(&mut self, bytes: Range<usize>, tokens: usize) {
        if !bytes.is_empty() {
            self.passages.push(Passage { bytes, page: None, heading: None, tokens });
        }
    }

    /// Returns where the next passage begins so that it repeats whole sentences of this one.
    fn overlap(&self, units: &[Unit], begin: usize, end: usize) -> usize {
        if end >= units.len() {
            return end;
        }
        let least =
            if units[end].border >= Border::Sentence { Border::Sentence } else { Border::Inside };
        let mut tokens = 0;
        let mut from = end;
        for start in (begin + 1..end).rev() {
            tokens += units[start].tokens;
            // Bytes as well, or text of which a tokenizer makes nothing would be repeated for ever.
            let bytes = units[end].bytes.start - units[start].bytes.start;
            if tokens > self.options.tokens_overlap || bytes > self.options.bytes_max / 2 {
                break;
            }
            // Inside a long sentence, a better border wins over a longer overlap.
            let is_better = from == end || units[start].border >= units[from].border;
            if units[start].border >= least && (least == Border::Sentence || is_better) {
                from = start;
            }
        }
        from
    }
}

fn trimmed(text: &str, bytes: Range<usize>) -> Range<usize> {
    let source = &text[bytes.clone()];
    let start = bytes.start + (source.len() - source.trim_start().len());
    let end = bytes.start + source.trim_end().len();
    start..end.max(start)
}
