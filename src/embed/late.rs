//! A passage as its document has it: the network reads as much of the document as it can at once, and the
//! vector of a passage is the mean over its own tokens, which have seen what stands around them.
//!
//! Source: Günther et al. 2024, "Late chunking: contextual chunk embeddings using long-context embedding
//! models".

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::onnx::Transformer;
use super::tokenizer::{FileTokenizer, Placed};
use super::worker::{BATCH_TOKENS, cheapest};
use super::{
    EmbedError, Embedder, Encoded, Manifest, Modality, Pooling, Role, Specification,
    TEXT_BYTES_MAX, Tokenize,
};
use crate::document::Span;
use crate::vector::Vector;

/// Stands behind the tokens of a window, before the places of a passage in it: no token's number.
const BORDER: u32 = u32::MAX;
/// How many tokens are looked at for one that begins a word, where a window begins or ends.
const WORD_TOKENS_MAX: usize = 16;

/// The model whose tokens are joined passage by passage. The table `late` of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LateSettings {
    /// The name of the model that reads the documents.
    pub model: String,
    /// The fingerprint of that model, 64 hexadecimal digits: another one would make other vectors.
    pub model_fingerprint: String,
    /// The most tokens of a document that are read at once, special tokens included: as many as that
    /// model reads.
    pub tokens_max: usize,
}

impl LateSettings {
    /// Returns the settings over a model.
    pub(super) fn over(model: &Specification) -> Self {
        Self {
            model: model.name.clone(),
            model_fingerprint: model.fingerprint.to_string(),
            tokens_max: model.tokens_max,
        }
    }

    /// Returns what is wrong with the settings, if something is.
    pub(super) fn check(&self) -> Result<(), String> {
        if !(8..=8192).contains(&self.tokens_max) {
            return Err(format!("tokens_max is {}, expected 8 to 8192", self.tokens_max));
        }
        Ok(())
    }
}

/// A passage, and where in its document it stands.
#[derive(Debug, Clone, Copy)]
pub struct Passage<'a> {
    /// The passage itself.
    pub text: &'a str,
    /// Where it stands: what it repeats of the one before is found by its bytes.
    pub span: &'a Span,
}

/// A model that reads passages with what stands around them in their documents.
#[derive(Debug)]
pub(super) struct Late {
    specification: Specification,
    tokenizer: Arc<LateTokenizer>,
    network: Transformer,
    /// The window that was read last, with the vectors of its tokens: its passages may come in the next
    /// batch.
    kept: Option<(Vec<u32>, Vec<f32>)>,
}

impl Late {
    /// Puts passages on top of the network of the model that the manifest names.
    pub(super) fn over(
        manifest: &Manifest,
        settings: &LateSettings,
        network: Transformer,
    ) -> Result<Self, EmbedError> {
        let inner = network.specification();
        let failed = |reason| Err(EmbedError::Failed { name: manifest.name.clone(), reason });
        let (name, actual) = (&inner.name, inner.fingerprint.to_string());
        let expected = &settings.model_fingerprint;
        if *expected != actual {
            return failed(format!(
                "expected its model {name} with the fingerprint {expected}, got {actual}"
            ));
        }
        inner.require(Modality::Text)?;
        let expected = (manifest.dimension, settings.tokens_max);
        if expected != (inner.dimension, inner.tokens_max) {
            let (dimension, tokens) = expected;
            return failed(format!(
                "expected {dimension} components and {tokens} tokens of its model {name}, got {} and {}",
                inner.dimension, inner.tokens_max
            ));
        }
        match network.pooling() {
            Some(Pooling::Mean) => {}
            Some(other) => {
                return failed(format!(
                    "its model {name} joins tokens by {other:?}, expected their mean: that of a \
                     passage is one over its own tokens"
                ));
            }
            None => {
                return failed(format!(
                    "its model {name} gives a vector of the whole text, expected one of each token"
                ));
            }
        }
        let tokenizer = LateTokenizer::new(network.file_tokenizer(), settings.tokens_max);
        Ok(Self {
            specification: manifest.specification(),
            tokenizer: Arc::new(tokenizer),
            network,
            kept: None,
        })
    }

    /// Reads windows, and writes down the vectors of the passages in them.
    fn read(
        &mut self,
        windows: &[Window<'_>],
        vectors: &mut [Option<Vector>],
    ) -> Result<(), EmbedError> {
        let whole = |window: &Window<'_>| Encoded { ids: window.ids.to_vec(), truncated: false };
        let encoded: Vec<Encoded> = windows.iter().map(whole).collect();
        let encoded: Vec<&Encoded> = encoded.iter().collect();
        let mut states = self.network.states(&encoded)?;
        for (window, rows) in windows.iter().zip(&states) {
            self.finish(window, rows, vectors)?;
        }
        if let (Some(window), Some(rows)) = (windows.last(), states.pop()) {
            self.kept = Some((window.ids.to_vec(), rows));
        }
        Ok(())
    }

    fn finish(
        &self,
        window: &Window<'_>,
        rows: &[f32],
        vectors: &mut [Option<Vector>],
    ) -> Result<(), EmbedError> {
        let width = rows.len() / window.ids.len().max(1);
        for (place, tokens) in &window.passages {
            let own = &rows[tokens.start * width..tokens.end * width];
            vectors[*place] = Some(self.network.joined(own, tokens.len())?);
        }
        Ok(())
    }
}

/// What is read at once, and which tokens of it are which passage's.
struct Window<'a> {
    ids: &'a [u32],
    /// The place of each passage in the batch, and its tokens.
    passages: Vec<(usize, Range<usize>)>,
}

impl Embedder for Late {
    fn specification(&self) -> &Specification {
        &self.specification
    }

    fn tokenizer(&self) -> Arc<dyn Tokenize> {
        Arc::clone(&self.tokenizer) as Arc<dyn Tokenize>
    }

    fn run(&mut self, batch: &[&Encoded]) -> Result<Vec<Option<Vector>>, EmbedError> {
        let mut windows: Vec<Window<'_>> = Vec::new();
        let mut known: HashMap<&[u32], usize> = HashMap::new();
        for (place, text) in batch.iter().enumerate() {
            let (ids, tokens) = parted(text);
            let window = *known.entry(ids).or_insert(windows.len());
            if window == windows.len() {
                windows.push(Window { ids, passages: Vec::new() });
            }
            windows[window].passages.push((place, tokens));
        }
        let mut vectors = vec![None; batch.len()];
        if let Some((ids, rows)) = &self.kept
            && let Some(place) = windows.iter().position(|window| window.ids == ids)
        {
            let window = windows.remove(place);
            self.finish(&window, rows, &mut vectors)?;
        }
        windows.sort_by_key(|window| window.ids.len());
        let lengths: Vec<usize> = windows.iter().map(|window| window.ids.len()).collect();
        let mut rest = &windows[..];
        for count in cheapest(&lengths, BATCH_TOKENS) {
            let (read, after) = rest.split_at(count);
            self.read(read, &mut vectors)?;
            rest = after;
        }
        Ok(vectors)
    }
}

/// Returns the tokens of a window, and which of them are the passage's: all of those of a text that stands
/// alone.
fn parted(text: &Encoded) -> (&[u32], Range<usize>) {
    match text.ids[..] {
        [ref window @ .., BORDER, from, to] => (window, from as usize..to as usize),
        _ => (&text.ids, 0..text.ids.len()),
    }
}

/// Returns how many tokens a passage has, without those of its window.
pub(super) fn own_tokens(text: &Encoded) -> usize {
    parted(text).1.len()
}

/// Cuts documents into windows, and finds passages in them.
#[derive(Debug)]
struct LateTokenizer {
    inner: Arc<FileTokenizer>,
    /// How many tokens a window has at most, without special ones and without a prefix.
    room: usize,
}

impl LateTokenizer {
    fn new(inner: Arc<FileTokenizer>, tokens_max: usize) -> Self {
        // What a passage is prefixed with takes its place.
        let empty = inner.encode("", Role::Passage).map_or(0, |encoded| encoded.ids.len());
        let room = tokens_max.saturating_sub(empty.max(inner.special_tokens())).max(1);
        Self { inner, room }
    }

    /// Returns the bytes of a window: from where a word begins to where one ends, unless that is within
    /// the tokens that have to be in it.
    fn bytes(
        text: &str,
        tokens: &[Range<usize>],
        window: &Range<usize>,
        needed: &Range<usize>,
    ) -> Range<usize> {
        let begins_word = |at: usize| {
            let Some(token) = tokens.get(at) else { return true };
            let (before, behind) = text.split_at(text.floor_char_boundary(token.start));
            before.chars().next_back().is_none_or(char::is_whitespace)
                || behind.starts_with(char::is_whitespace)
        };
        let last = needed.start.min(window.start + WORD_TOKENS_MAX);
        let start = (window.start..=last).find(|&at| begins_word(at)).unwrap_or(window.start);
        let first = needed.end.max(window.end.saturating_sub(WORD_TOKENS_MAX));
        let end = (first..=window.end).rev().find(|&at| begins_word(at)).unwrap_or(window.end);
        let from = tokens.get(start).map_or(0, |token| token.start);
        let to = tokens[start..end].iter().map(|token| token.end).max().unwrap_or(from);
        text.floor_char_boundary(from)..text.ceil_char_boundary(to)
    }
}

/// Returns windows that overlap by half of their tokens; the last one ends with the document.
fn windows(count: usize, room: usize) -> Vec<Range<usize>> {
    let last = count.saturating_sub(room);
    let starts = (0..last).step_by(room.div_ceil(2)).chain([last]);
    starts.map(|start| start..(start + room).min(count)).collect()
}

/// Returns the window in which a run of tokens has most tokens on the side where it has fewer, the ends of
/// the document being as good as any: one of those that are shared, or, if it is in none of them, one
/// around it.
fn window_of(run: &Range<usize>, windows: &[Range<usize>], room: usize) -> Range<usize> {
    let count = windows.last().map_or(0, |last| last.end);
    let context = |window: &&Range<usize>| {
        let before = if window.start == 0 { usize::MAX } else { run.start - window.start };
        let after = if window.end == count { usize::MAX } else { window.end - run.end };
        before.min(after)
    };
    // No token is in more than two windows, but for the last one, which may begin where it likes.
    let behind = windows.partition_point(|window| window.start <= run.start);
    let near = &windows[behind.saturating_sub(3)..behind];
    let fitting = near.iter().filter(|window| window.end >= run.end);
    fitting.max_by_key(context).cloned().unwrap_or_else(|| {
        let before = room.saturating_sub(run.len()) / 2;
        let start = run.start.saturating_sub(before).min(count.saturating_sub(room));
        start..(start + room).min(count)
    })
}

impl Tokenize for LateTokenizer {
    fn encode(&self, text: &str, role: Role) -> Result<Encoded, EmbedError> {
        self.inner.encode(text, role)
    }

    fn reads_around(&self) -> bool {
        true
    }

    fn encode_passages(&self, passages: &[Passage<'_>]) -> Result<Vec<Encoded>, EmbedError> {
        let (text, places) = joined(passages);
        if text.len() > TEXT_BYTES_MAX {
            return Err(EmbedError::TextTooLong { actual: text.len(), most: TEXT_BYTES_MAX });
        }
        let tokens = self.inner.token_ranges(&text);
        let windows = windows(tokens.len(), self.room);
        let mut encoded = Vec::with_capacity(passages.len());
        let mut read: Option<(Range<usize>, Placed)> = None;
        for (passage, place) in passages.iter().zip(places) {
            let from = tokens.partition_point(|token| token.end <= place.start);
            let length = tokens[from..].partition_point(|token| token.end <= place.end);
            let run = from..from + length;
            let window = window_of(&run, &windows, self.room);
            let bytes = Self::bytes(&text, &tokens, &window, &run);
            let placed = match read.take() {
                Some((same, placed)) if same == bytes => placed,
                Some(_) | None => self.inner.encode_placed(&text[bytes.clone()], Role::Passage)?,
            };
            // Signs that the tokenizer leaves out may stand before the first token of a window.
            let within = |at: usize| at.saturating_sub(bytes.start);
            encoded.push(match placed.passage(within(place.start)..within(place.end)) {
                Some(encoded) => encoded,
                None => self.inner.encode(passage.text, Role::Passage)?,
            });
            read = Some((bytes, placed));
        }
        Ok(encoded)
    }

    fn token_ranges(&self, text: &str) -> Vec<Range<usize>> {
        self.inner.token_ranges(text)
    }

    fn special_tokens(&self) -> usize {
        self.inner.special_tokens()
    }
}

impl Placed {
    /// Returns the window with which tokens of it are those of a passage; none if none is. Of a passage
    /// that is all of the window nothing is marked: it is read as a text that stands alone.
    fn passage(&self, bytes: Range<usize>) -> Option<Encoded> {
        let mut ids = self.ids.clone();
        let is_text = |range: &Range<usize>| !range.is_empty();
        // The first token of a word may have the blank before it.
        let is_own = |range: &Range<usize>| {
            is_text(range) && range.end > bytes.start && range.end <= bytes.end
        };
        let from = self.ranges.iter().position(is_own)?;
        let to = self.ranges.iter().rposition(is_own)? + 1;
        let all = self.ranges.iter().filter(|range| is_text(range)).count();
        let is_cut = self.truncated && self.ranges[to..].iter().all(|range| !is_text(range));
        if self.ranges[from..to].iter().filter(|range| is_text(range)).count() < all {
            ids.extend([BORDER, u32::try_from(from).ok()?, u32::try_from(to).ok()?]);
        }
        Some(Encoded { ids, truncated: is_cut })
    }
}

/// Returns the text that passages were cut from, as far as they have it, and where in it each stands.
fn joined(passages: &[Passage<'_>]) -> (String, Vec<Range<usize>>) {
    let mut text = String::new();
    let mut places = Vec::with_capacity(passages.len());
    // Where in the document the text so far ends, if that is known.
    let mut end: Option<u64> = None;
    for passage in passages {
        let length = passage.text.len() as u64;
        let bytes = match passage.span {
            Span::Text { bytes, .. } if bytes.start.checked_add(length) == Some(bytes.end) => {
                Some(bytes)
            }
            Span::Text { .. } | Span::Whole | Span::Media { .. } => None,
        };
        let distance = bytes.zip(end).map(|(bytes, end)| (bytes.start, end));
        let repeated = distance.and_then(|(start, end)| repeated(&text, passage.text, start, end));
        let (start, more) = match repeated {
            Some(repeated) => repeated,
            None => {
                match distance {
                    Some((start, end)) if start == end => {}
                    Some((start, end)) if start == end + 1 => text.push(' '),
                    Some(_) | None if text.is_empty() => {}
                    Some(_) | None => text.push('\n'),
                }
                (text.len(), passage.text)
            }
        };
        text.push_str(more);
        places.push(start..start + passage.text.len());
        end = bytes.map(|bytes| end.map_or(bytes.end, |end| end.max(bytes.end)));
    }
    (text, places)
}

/// Returns where in the text a passage begins that begins before its end, and what of it is new; none if
/// it does not, or says other things there.
fn repeated<'a>(text: &str, passage: &'a str, start: u64, end: u64) -> Option<(usize, &'a str)> {
    let back = usize::try_from(end.checked_sub(start)?).ok().filter(|&back| back > 0)?;
    let from = text.len().checked_sub(back)?;
    let common = back.min(passage.len());
    let is_same = text.as_bytes()[from..from + common] == passage.as_bytes()[..common];
    is_same.then_some(()).and_then(|()| Some((from, passage.get(common..)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(bytes: Range<u64>) -> Span {
        Span::Text { bytes, page: None, heading: None }
    }

    /// Returns the text that passages are joined to, after a look at where each stands.
    fn text_of(passages: &[(&str, Span)]) -> String {
        let passages: Vec<Passage<'_>> =
            passages.iter().map(|(text, span)| Passage { text, span }).collect();
        let (text, places) = joined(&passages);
        assert_eq!(places.len(), passages.len());
        for (passage, place) in passages.iter().zip(places) {
            assert_eq!(passage.text, &text[place]);
        }
        text
    }

    #[test]
    fn passages_are_joined_to_the_document_that_they_were_cut_from() {
        let whole = "One two. Three é four.\n\nFive.";
        let cut =
            |bytes: Range<usize>| (&whole[bytes.clone()], at(bytes.start as u64..bytes.end as u64));
        // What is repeated is there once, and what one has of another is found in it.
        assert_eq!(text_of(&[cut(0..8), cut(4..23), cut(9..14), cut(15..30)]), whole);
        assert_eq!(text_of(&[cut(0..8), cut(9..23)]), &whole[..23]);
        assert_eq!(text_of(&[cut(0..3), cut(3..8)]), "One two.");
        assert_eq!(text_of(&[cut(0..8), cut(25..30)]), "One two.\nFive.");
        // Spans that tell nothing, or what is not so.
        assert_eq!(text_of(&[("a", Span::Whole), ("b", Span::Whole)]), "a\nb");
        assert_eq!(text_of(&[("abc", at(0..3)), ("xd", at(2..4))]), "abc\nxd");
        assert_eq!(text_of(&[("abc", at(0..3)), ("é", at(9..10)), ("d", at(3..4))]), "abc\né\nd");
        assert_eq!(text_of(&[("abc", at(7..10)), ("ab", at(2..4))]), "abc\nab");
        assert_eq!(text_of(&[]), "");
    }

    #[test]
    fn windows_cover_a_document_and_a_passage_has_most_of_it_around() {
        assert_eq!(windows(10, 10), vec![0..10; 1]);
        assert_eq!(windows(7, 10), vec![0..7; 1]);
        assert_eq!(windows(23, 10), [0..10, 5..15, 10..20, 13..23]);
        assert_eq!(windows(0, 10), vec![0..0; 1]);
        let all = windows(23, 10);
        let of = |run: Range<usize>| window_of(&run, &all, 10);
        // The ends of the document are as good as what would stand behind them.
        assert_eq!(of(0..3), 0..10);
        assert_eq!(of(20..23), 13..23);
        assert_eq!(of(8..12), 5..15);
        assert_eq!(of(9..11), 5..15);
        // In no window that is shared, so one is made around it; and one that is longer is cut.
        assert_eq!(of(4..13), 4..14);
        assert_eq!(of(2..14), 2..12);
        for start in 0..23 {
            for end in start + 1..=(start + 5).min(23) {
                let window = of(start..end);
                assert!(window.start <= start && end <= window.end, "{start}..{end} {window:?}");
                assert!(all.contains(&window), "half of a window is always in a shared one");
            }
        }
    }

    #[test]
    fn a_passage_is_marked_in_its_window_unless_it_is_all_of_it() {
        let placed = |truncated| Placed {
            ids: vec![101, 7, 8, 9, 102],
            ranges: vec![0..0, 0..3, 3..7, 8..9, 0..0],
            truncated,
        };
        let all = placed(false).passage(0..9).unwrap();
        assert_eq!((all.ids, all.truncated), (vec![101, 7, 8, 9, 102], false));
        // The blank before the second word is taken with it.
        let second = placed(true).passage(4..7).unwrap();
        assert_eq!((&second.ids[5..], second.truncated), (&[BORDER, 2, 3][..], false));
        assert_eq!(parted(&second), (&[101, 7, 8, 9, 102][..], 2..3));
        assert_eq!(own_tokens(&second), 1);
        assert!(placed(true).passage(4..9).unwrap().truncated);
        assert_eq!(placed(false).passage(7..8), None);
        assert_eq!(own_tokens(&Encoded { ids: vec![1, 2], truncated: false }), 2);
    }
}
