//! Which glyphs of a page are one line, and in which order are the lines read?

use super::glyphs::Glyph;

/// A gap of this many ems may part columns; it is looked for where many lines have it at one place.
const COLUMN_GAP_EMS: f64 = 0.6;

/// A gap of this many ems is wider than any between two words of a line of text: that line is a row.
const CELL_GAP_EMS: f64 = 1.5;

/// A gap of this many ems parts two words.
const WORD_GAP_EMS: f64 = 0.18;

/// Scripts without blanks are set wider apart without meaning a blank.
const UNSPACED_GAP_EMS: f64 = 0.6;

/// How far from a baseline glyphs of the line may stand, in ems: footnote marks, indices.
const BASELINE_EMS: f64 = 0.42;

/// A line of text. Lengths are in points, along and across the direction of reading.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) text: String,
    /// Where it begins and ends, along the direction of reading.
    pub(super) start: f64,
    pub(super) end: f64,
    /// Where its baseline is, across the direction of reading.
    pub(super) baseline: f64,
    pub(super) size: f64,
    /// How wide its first word is.
    pub(super) first_word: f64,
    /// Whether it is a row of a table, or an entry of a table of contents.
    pub(super) is_row: bool,
}

/// Lines that are read one after the other.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Block {
    pub(super) lines: Vec<Line>,
    /// Whether they are written in another direction than most of the page.
    pub(super) is_turned: bool,
}

/// A glyph in the frame of its direction.
#[derive(Debug, Clone)]
struct Placed<'g> {
    text: &'g str,
    start: f64,
    end: f64,
    baseline: f64,
    size: f64,
}

/// Glyphs of one line without a gap that could part columns.
#[derive(Debug, Clone)]
struct Fragment<'g> {
    glyphs: Vec<Placed<'g>>,
    start: f64,
    end: f64,
    baseline: f64,
    size: f64,
    characters: usize,
}

/// Returns the lines of a page in blocks that are read one after the other: the text in the main
/// direction first, each of its columns a block, then text in other directions.
pub(super) fn blocks(glyphs: &[Glyph]) -> Vec<Block> {
    let mut blocks = Vec::new();
    for (place, placed) in by_direction(glyphs).into_iter().enumerate() {
        let mut regions = Vec::new();
        columns(fragments(placed), 0, &mut regions);
        let lines = regions.into_iter().map(lines).filter(|lines| !lines.is_empty());
        blocks.extend(lines.map(|lines| Block { lines, is_turned: place > 0 }));
    }
    blocks
}

/// Returns the glyphs of each direction of reading, that with the most glyphs first.
fn by_direction(glyphs: &[Glyph]) -> Vec<Vec<Placed<'_>>> {
    // Five degrees apart is one direction: scans and curved titles vary.
    let key = |glyph: &Glyph| {
        let degrees = glyph.direction.y.atan2(glyph.direction.x).to_degrees();
        (degrees / 5.0).round().rem_euclid(72.0) as u32
    };
    let mut groups: Vec<(u32, Vec<&Glyph>)> = Vec::new();
    for glyph in glyphs {
        let key = key(glyph);
        match groups.iter_mut().find(|group| group.0 == key) {
            Some(group) => group.1.push(glyph),
            None => groups.push((key, vec![glyph])),
        }
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.1.len()));
    groups
        .into_iter()
        .map(|(key, glyphs)| {
            let angle = f64::from(key * 5).to_radians();
            let (sin, cos) = angle.sin_cos();
            glyphs
                .into_iter()
                .map(|glyph| {
                    let start = glyph.origin.x * cos + glyph.origin.y * sin;
                    Placed {
                        text: &glyph.text,
                        start,
                        end: start + glyph.advance,
                        baseline: glyph.origin.y * cos - glyph.origin.x * sin,
                        size: glyph.size,
                    }
                })
                .collect()
        })
        .collect()
}

/// Puts glyphs together that stand side by side. Producers draw most lines from their beginning to
/// their end, so a glyph is first compared with the one before it.
fn fragments(glyphs: Vec<Placed<'_>>) -> Vec<Fragment<'_>> {
    let mut fragments: Vec<Fragment<'_>> = Vec::new();
    for glyph in glyphs {
        match fragments.last_mut() {
            Some(last) if last.is_followed_by(&glyph) => last.push(glyph),
            _ => fragments.push(Fragment::new(glyph)),
        }
    }
    merge_rows(fragments)
}

/// Puts fragments of one line together that were not drawn one after the other.
fn merge_rows(mut fragments: Vec<Fragment<'_>>) -> Vec<Fragment<'_>> {
    fragments.retain(|fragment| fragment.characters > 0);
    sort_by_rows(&mut fragments);
    let mut merged: Vec<Fragment<'_>> = Vec::new();
    for fragment in fragments {
        match merged.last_mut() {
            Some(last) if last.is_on_line_of(&fragment) && last.is_near(&fragment) => {
                last.append(fragment);
            }
            _ => merged.push(fragment),
        }
    }
    merged
}

impl Placed<'_> {
    /// Returns how far apart two glyphs stand, whichever comes first.
    fn gap_to(&self, other: &Placed<'_>) -> f64 {
        (other.start - self.end).max(self.start - other.end)
    }
}

impl<'g> Fragment<'g> {
    fn new(glyph: Placed<'g>) -> Self {
        Self {
            start: glyph.start,
            end: glyph.end,
            baseline: glyph.baseline,
            size: glyph.size,
            characters: glyph.text.trim().chars().count(),
            glyphs: vec![glyph],
        }
    }

    fn is_followed_by(&self, glyph: &Placed<'_>) -> bool {
        let size = self.size.max(glyph.size);
        (glyph.baseline - self.baseline).abs() <= size * BASELINE_EMS
            && glyph.start >= self.end - size * 0.5
            && glyph.start <= self.end + size * COLUMN_GAP_EMS
    }

    fn is_on_line_of(&self, other: &Fragment<'_>) -> bool {
        let size = self.size.max(other.size);
        (other.baseline - self.baseline).abs() <= size * BASELINE_EMS
    }

    fn is_near(&self, other: &Fragment<'_>) -> bool {
        let gap = (other.start - self.end).max(self.start - other.end);
        gap <= self.size.max(other.size) * COLUMN_GAP_EMS
    }

    fn push(&mut self, glyph: Placed<'g>) {
        // The larger glyphs say where the line is, not its marks and indices.
        if glyph.size > self.size * 1.05 {
            (self.baseline, self.size) = (glyph.baseline, glyph.size);
        }
        self.start = self.start.min(glyph.start);
        self.end = self.end.max(glyph.end);
        self.characters += glyph.text.trim().chars().count();
        self.glyphs.push(glyph);
    }

    fn append(&mut self, other: Fragment<'g>) {
        for glyph in other.glyphs {
            self.push(glyph);
        }
    }
}

/// Sorts by lines, from top to bottom, and along each line.
fn sort_by_rows(fragments: &mut [Fragment<'_>]) {
    fragments.sort_by(|a, b| a.baseline.total_cmp(&b.baseline));
    // Baselines that differ a little are one line: a chain of neighbours, each close to the first.
    let mut first = 0;
    while first < fragments.len() {
        let mut size = fragments[first].size;
        let mut end = first + 1;
        while end < fragments.len() {
            let reach = size.max(fragments[end].size) * BASELINE_EMS;
            if fragments[end].baseline - fragments[first].baseline > reach {
                break;
            }
            size = size.max(fragments[end].size);
            end += 1;
        }
        fragments[first..end].sort_by(|a, b| a.start.total_cmp(&b.start));
        first = end;
    }
}

/// How deep columns may be inside columns.
const COLUMN_DEPTH_MAX: usize = 3;

/// Parts the fragments where a blank strip runs down between them, and reads what is left of it
/// before what is right of it. Lines that cross the strip, such as titles and wide tables, end both
/// columns above them.
fn columns<'g>(fragments: Vec<Fragment<'g>>, depth: usize, regions: &mut Vec<Vec<Fragment<'g>>>) {
    let strip = if depth < COLUMN_DEPTH_MAX { strip(&fragments) } else { None };
    let Some(strip) = strip else {
        regions.push(fragments);
        return;
    };
    // What stands in one column, until a band with two of them comes.
    let mut single = Vec::new();
    for band in strip.bands(fragments) {
        if strip.parts_columns(&band) {
            regions.extend(Some(std::mem::take(&mut single)).filter(|lines| !lines.is_empty()));
            let (left, right): (Vec<_>, Vec<_>) =
                band.into_iter().partition(|fragment| strip.is_left(fragment));
            columns(left, depth + 1, regions);
            columns(right, depth + 1, regions);
        } else {
            single.extend(band);
        }
    }
    if !single.is_empty() {
        regions.push(single);
    }
}

/// A strip down the page that few lines cross.
#[derive(Debug, Clone, Copy)]
struct Strip {
    begins: f64,
    ends: f64,
}

impl Strip {
    fn is_left(self, fragment: &Fragment<'_>) -> bool {
        fragment.end <= self.ends && fragment.start < self.begins
    }

    fn is_crossed(self, fragment: &Fragment<'_>) -> bool {
        !self.is_left(fragment) && fragment.start < self.begins
    }

    /// Parts the fragments, which are in order, into runs that all cross the strip or none of which
    /// does.
    fn bands<'g>(self, fragments: Vec<Fragment<'g>>) -> Vec<Vec<Fragment<'g>>> {
        let mut bands: Vec<(bool, Vec<Fragment<'g>>)> = Vec::new();
        for fragment in fragments {
            let is_crossed = self.is_crossed(&fragment);
            match bands.last_mut() {
                Some(band) if band.0 == is_crossed => band.1.push(fragment),
                _ => bands.push((is_crossed, vec![fragment])),
            }
        }
        bands.into_iter().map(|band| band.1).collect()
    }

    /// Returns whether there is running text on both sides of the strip; the cells of a table are
    /// short and belong together across it.
    fn parts_columns(self, band: &[Fragment<'_>]) -> bool {
        let (left, right): (Vec<&Fragment<'_>>, Vec<_>) =
            band.iter().partition(|fragment| self.is_left(fragment));
        if right.iter().any(|fragment| self.is_crossed(fragment)) {
            return false;
        }
        let is_text = |side: &[&Fragment<'_>]| {
            let characters: usize = side.iter().map(|fragment| fragment.characters).sum();
            let size = median(side.iter().map(|fragment| fragment.size).collect());
            let width = median(side.iter().map(|fragment| fragment.end - fragment.start).collect());
            side.len() >= 4 && characters >= side.len() * 8 && width >= size * 8.0
        };
        if !is_text(&left) || !is_text(&right) {
            return false;
        }
        let reach = |side: &[&Fragment<'_>]| {
            let baselines = side.iter().map(|fragment| fragment.baseline);
            let top = baselines.clone().fold(f64::INFINITY, f64::min);
            (top, baselines.fold(f64::NEG_INFINITY, f64::max))
        };
        let ((left_top, left_bottom), (right_top, right_bottom)) = (reach(&left), reach(&right));
        let shared = left_bottom.min(right_bottom) - left_top.max(right_top);
        shared > 0.5 * (left_bottom - left_top).min(right_bottom - right_top)
    }
}

/// Returns the strip that parts two columns of text somewhere on the page.
fn strip(fragments: &[Fragment<'_>]) -> Option<Strip> {
    const SLICES: usize = 200;
    /// The outer parts of the width hold margins, not strips.
    const MARGIN: usize = SLICES / 6;
    let start = fragments.iter().map(|fragment| fragment.start).fold(f64::INFINITY, f64::min);
    let end = fragments.iter().map(|fragment| fragment.end).fold(f64::NEG_INFINITY, f64::max);
    let width = (end - start) / SLICES as f64;
    if fragments.len() < 8 || width <= 0.0 || !width.is_finite() {
        return None;
    }
    // How many fragments cover each slice of the width, by the differences at their ends.
    let slice = |at: f64| (((at - start) / width) as usize).min(SLICES - 1);
    let mut changes = [0_i64; SLICES + 1];
    for fragment in fragments {
        changes[slice(fragment.start)] += 1;
        changes[slice(fragment.end) + 1] -= 1;
    }
    let mut covered = 0;
    let cover = changes.map(|change| {
        covered += change;
        covered
    });
    let count = fragments.len() as i64;
    let least = cover[MARGIN..SLICES - MARGIN].iter().copied().min().unwrap_or(count);
    let few = least + count / 20;
    let size = median(fragments.iter().map(|fragment| fragment.size).collect());
    let mut strips: Vec<(i64, usize, usize)> = Vec::new();
    let mut at = MARGIN;
    while at < SLICES - MARGIN {
        let run = cover[at..SLICES].iter().take_while(|&&count| count <= few).count();
        if run as f64 * width >= size * 0.7 {
            let most = cover[at..at + run].iter().copied().max().unwrap_or(0);
            strips.push((most, SLICES - run, at));
        }
        at += run.max(1);
    }
    strips.sort_unstable();
    strips.into_iter().take(4).find_map(|(_, rest, at)| {
        let begins = start + at as f64 * width;
        let strip = Strip { begins, ends: begins + (SLICES - rest) as f64 * width };
        let bands = strip.bands(fragments.to_vec());
        bands.iter().any(|band| strip.parts_columns(band)).then_some(strip)
    })
}

/// Returns the lines of a region, from top to bottom.
fn lines(mut fragments: Vec<Fragment<'_>>) -> Vec<Line> {
    sort_by_rows(&mut fragments);
    let mut rows: Vec<Fragment<'_>> = Vec::new();
    for fragment in fragments {
        match rows.last_mut() {
            Some(row) if row.is_on_line_of(&fragment) => row.append(fragment),
            _ => rows.push(fragment),
        }
    }
    rows.into_iter().map(line).filter(|line| !line.text.is_empty()).collect()
}

/// Writes the glyphs of a line as text, with blanks where there are gaps.
fn line(mut row: Fragment<'_>) -> Line {
    row.glyphs.sort_by(|a, b| a.start.total_cmp(&b.start));
    drop_doubles(&mut row.glyphs);
    if reads_from_the_right(&row.glyphs) {
        turn_around(&mut row.glyphs);
    }
    let mut text = String::new();
    let mut first_word = None;
    let mut before: Option<&Placed<'_>> = None;
    let mut is_row = false;
    for glyph in &row.glyphs {
        is_row |= before.is_some_and(|before| before.gap_to(glyph) > row.size * CELL_GAP_EMS);
        if let Some(before) = before
            && is_parted(before, glyph)
            && !text.ends_with(' ')
        {
            text.push(' ');
        }
        if first_word.is_none()
            && (glyph.text == " " || text.ends_with(' '))
            && !text.trim().is_empty()
        {
            first_word = Some((glyph.start - row.start).abs());
        }
        if !(glyph.text == " " && (text.is_empty() || text.ends_with(' '))) {
            text.push_str(glyph.text);
        }
        // A gap is measured from what is seen.
        if glyph.text != " " {
            before = Some(glyph);
        }
    }
    text.truncate(text.trim_end().len());
    is_row |= shorten_leaders(&mut text);
    Line {
        text,
        start: row.start,
        end: row.end,
        baseline: row.baseline,
        size: row.size,
        first_word: first_word.unwrap_or(row.end - row.start),
        is_row,
    }
}

/// Writes the dots that lead to a page number as one character, and returns whether there were any.
fn shorten_leaders(text: &mut String) -> bool {
    const DOTS_MIN: usize = 5;
    let is_leader = |character: char| matches!(character, '.' | ' ' | '·' | '…');
    let mut shortened = String::with_capacity(text.len());
    let mut rest = text.as_str();
    let mut had_leaders = false;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|character| !is_leader(character)).unwrap_or(rest.len());
        let dots = rest[..end].chars().filter(|&character| character != ' ').count();
        if dots >= DOTS_MIN {
            had_leaders = true;
            shortened.truncate(shortened.trim_end().len());
            shortened.push_str(" … ");
            rest = &rest[end..];
        } else {
            let step = end.max(first.len_utf8());
            shortened.push_str(&rest[..step]);
            rest = &rest[step..];
        }
    }
    if had_leaders {
        *text = shortened.trim_end().to_owned();
    }
    had_leaders
}

/// Takes away what was drawn twice at one place to look bold.
fn drop_doubles(glyphs: &mut Vec<Placed<'_>>) {
    glyphs.dedup_by(|next, before| {
        next.text == before.text
            && (next.start - before.start).abs() < before.size * 0.08
            && (next.baseline - before.baseline).abs() < before.size * 0.08
            && next.text != " "
    });
}

fn is_parted(before: &Placed<'_>, next: &Placed<'_>) -> bool {
    use super::super::writer::is_unspaced;
    let gap = before.gap_to(next);
    let is_dense = before.text.chars().next_back().is_some_and(is_unspaced)
        && next.text.chars().next().is_some_and(is_unspaced);
    let ems = if is_dense { UNSPACED_GAP_EMS } else { WORD_GAP_EMS };
    gap > before.size.min(next.size) * ems
}

fn reads_from_the_right(glyphs: &[Placed<'_>]) -> bool {
    let characters = || glyphs.iter().flat_map(|glyph| glyph.text.chars());
    let right = characters().filter(|&character| is_right_to_left(character)).count();
    right * 2 > characters().filter(|character| character.is_alphabetic()).count()
}

/// Brings a line that is read from the right into the order of reading; numbers and words of other
/// scripts inside it keep theirs.
fn turn_around(glyphs: &mut [Placed<'_>]) {
    glyphs.reverse();
    let keeps = |glyph: &Placed<'_>| {
        glyph
            .text
            .chars()
            .all(|c| !is_right_to_left(c) && (c.is_alphanumeric() || ".,:/%-+".contains(c)))
    };
    let mut at = 0;
    while at < glyphs.len() {
        let run = glyphs[at..].iter().take_while(|glyph| keeps(glyph)).count();
        glyphs[at..at + run].reverse();
        at += run.max(1);
    }
}

fn is_right_to_left(character: char) -> bool {
    matches!(character,
        '\u{590}'..='\u{8FF}' | '\u{FB1D}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}'
        | '\u{10800}'..='\u{10FFF}' | '\u{1E800}'..='\u{1EFFF}')
}

pub(super) fn median(mut numbers: Vec<f64>) -> f64 {
    let middle = numbers.len() / 2;
    if numbers.is_empty() {
        return 0.0;
    }
    *numbers.select_nth_unstable_by(middle, f64::total_cmp).1
}
