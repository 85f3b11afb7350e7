//! How does a payload become terms, such that every condition is a lookup of terms?
//!
//! A term is the path of a field, a separator, a tag and a value. Numbers and times are written so
//! that the order of the terms is their order, at several precisions: a range is then a few dozen
//! terms, however many values lie in it (the trie of Schindler and Diepenbroek 2008).

use std::ops::RangeInclusive;

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

use crate::document::words::terms;
use crate::document::{
    Bound, FILTER_PREFIX_BYTES_MAX, Payload, Range, Scalar, Value, for_each_leaf, for_each_list,
    parse_datetime,
};

/// Between path and value; no character of a field name.
const SEPARATOR: char = '\u{1}';
/// Longer texts are kept as their beginning and their hash.
const WHOLE_TEXT_BYTES_MAX: usize = 512;
/// Enough of the beginning for the longest prefix that can be asked for.
const BEGINNING_BYTES: usize = FILTER_PREFIX_BYTES_MAX + 4;
/// The words of the elements of a list stand this far apart, so that no phrase and no set of words
/// is found across two of them. No payload has as many words.
pub(super) const ELEMENT_POSITIONS: usize = 65_536;
/// The hexadecimal digits by which precisions differ.
const STEP_DIGITS: usize = 3;
/// The digits of the key of a number: 64 bits of the float, 16 of what rounding to it lost.
const NUMBER_DIGITS: usize = 20;
const TIME_DIGITS: usize = 16;

/// Returns the term of documents whose field holds a value.
pub(super) fn exists_key(path: &str) -> String {
    format!("{path}{SEPARATOR}e")
}

/// Returns the term of documents whose field holds null.
pub(super) fn null_key(path: &str) -> String {
    format!("{path}{SEPARATOR}z")
}

/// Returns ranges of terms that together are those of documents whose field holds a list with so many
/// elements.
pub(super) fn length_keys(path: &str, range: &Range) -> Vec<RangeInclusive<String>> {
    keys_within(LENGTHS, path, range)
}

/// Returns the beginnings of the terms of all values of a field, each value having one of them.
pub(super) fn all_values_keys(path: &str) -> [String; 4] {
    let finest = NUMBERS.mark(NUMBERS.digits);
    ["b".to_owned(), "t".to_owned(), "u".to_owned(), format!("{}{finest}", NUMBERS.tag)]
        .map(|beginning| format!("{path}{SEPARATOR}{beginning}"))
}

/// Returns the term of documents whose field holds this value, or nothing if none can.
pub(super) fn value_key(path: &str, value: &Scalar) -> Option<String> {
    match value {
        Scalar::Boolean(value) => Some(format!("{path}{SEPARATOR}b{}", u8::from(*value))),
        Scalar::Text(text) => Some(text_key(path, text)),
        Scalar::Integer(_) | Scalar::Float(_) | Scalar::Datetime(_) => {
            let (scale, key) = Scale::of(value)?;
            Some(scale.term(path, key, scale.digits))
        }
    }
}

/// Returns the beginnings of the terms of documents whose field holds a text with this beginning:
/// those of short texts and those of long ones.
pub(super) fn prefix_keys(path: &str, prefix: &str) -> [String; 2] {
    ['t', 'u'].map(|tag| format!("{path}{SEPARATOR}{tag}{prefix}"))
}

/// Returns ranges of terms that together are the terms of documents whose field holds a value within
/// the bounds; none if there can be none.
pub(super) fn range_keys(path: &str, range: &Range) -> Vec<RangeInclusive<String>> {
    let Some(bound) = range.lower.as_ref().or(range.upper.as_ref()) else { return Vec::new() };
    let Some((scale, _)) = Scale::of(&bound.value) else { return Vec::new() };
    keys_within(scale, path, range)
}

fn keys_within(scale: Scale, path: &str, range: &Range) -> Vec<RangeInclusive<String>> {
    let (Some(lower), Some(upper)) =
        (least_key(range.lower.as_ref()), scale.greatest_key(range.upper.as_ref()))
    else {
        return Vec::new();
    };
    scale.cover(path, lower, upper)
}

/// Returns the term of documents with this word in a text of the field.
pub(super) fn word_key(path: &str, word: &str) -> String {
    format!("{path}{SEPARATOR}{word}")
}

fn text_key(path: &str, text: &str) -> String {
    if text.len() <= WHOLE_TEXT_BYTES_MAX {
        return format!("{path}{SEPARATOR}t{text}");
    }
    let beginning = &text[..text.floor_char_boundary(BEGINNING_BYTES)];
    let hash = blake3::hash(text.as_bytes()).to_hex();
    format!("{path}{SEPARATOR}u{beginning}{SEPARATOR}{hash}")
}

/// A line on which values have an order: numbers of either type, or points in time.
#[derive(Debug, Clone, Copy)]
struct Scale {
    tag: char,
    digits: usize,
}

const NUMBERS: Scale = Scale { tag: 'n', digits: NUMBER_DIGITS };
/// The lengths of lists are numbers under a tag of their own.
const LENGTHS: Scale = Scale { tag: 'l', digits: NUMBER_DIGITS };
const TIMES: Scale = Scale { tag: 'd', digits: TIME_DIGITS };

impl Scale {
    fn of(value: &Scalar) -> Option<(Self, u128)> {
        match value {
            Scalar::Integer(integer) => Some((NUMBERS, integer_key(*integer))),
            Scalar::Float(float) => Some((NUMBERS, float_key(*float))),
            Scalar::Datetime(time) => Some((TIMES, u128::from(sortable(*time)))),
            Scalar::Boolean(_) | Scalar::Text(_) => None,
        }
    }

    /// The greatest key within the bound, if there is one.
    fn greatest_key(self, bound: Option<&Bound>) -> Option<u128> {
        let Some(bound) = bound else { return Some((1 << (4 * self.digits)) - 1) };
        let (_, key) = Self::of(&bound.value)?;
        if bound.is_inclusive { Some(key) } else { key.checked_sub(1) }
    }

    /// The precisions at which a value is written, in digits, the finest first.
    fn precisions(self) -> impl Iterator<Item = usize> {
        let coarser = (1..).map(|step| step * STEP_DIGITS).take_while(move |&d| d < self.digits);
        let mut coarser: Vec<usize> = coarser.collect();
        coarser.reverse();
        std::iter::once(self.digits).chain(coarser)
    }

    /// The letter that tells precisions apart.
    fn mark(self, precision: usize) -> char {
        char::from(b'a' + u8::try_from(precision).unwrap_or(u8::MAX - b'a'))
    }

    fn term(self, path: &str, key: u128, precision: usize) -> String {
        let shown = key >> (4 * (self.digits - precision));
        let mark = self.mark(precision);
        format!("{path}{SEPARATOR}{}{mark}{shown:0precision$x}", self.tag)
    }

    /// Covers lower..=upper with ranges of terms, each at the coarsest precision that fits.
    fn cover(self, path: &str, mut lower: u128, mut upper: u128) -> Vec<RangeInclusive<String>> {
        let mut ranges = Vec::new();
        let precisions: Vec<usize> = self.precisions().collect();
        for (index, &precision) in precisions.iter().enumerate() {
            if lower > upper {
                return ranges;
            }
            let coarser = precisions.get(index + 1).copied();
            let range =
                |from, to| self.term(path, from, precision)..=self.term(path, to, precision);
            let Some(coarser) = coarser else {
                ranges.push(range(lower, upper));
                return ranges;
            };
            // A cell of the next precision that is only partly wanted is covered at this one.
            let cell = (1u128 << (4 * (self.digits - coarser))) - 1;
            let (lower_end, upper_start) = (lower | cell, upper & !cell);
            if lower_end >= upper || upper_start <= lower {
                ranges.push(range(lower, upper));
                return ranges;
            }
            if lower & cell != 0 {
                ranges.push(range(lower, lower_end));
                lower = lower_end + 1;
            }
            if upper & cell != cell {
                ranges.push(range(upper_start, upper));
                upper = upper_start - 1;
            }
        }
        ranges
    }
}

/// The least key within the bound, if there is one.
fn least_key(bound: Option<&Bound>) -> Option<u128> {
    let Some(bound) = bound else { return Some(0) };
    let (_, key) = Scale::of(&bound.value)?;
    if bound.is_inclusive { Some(key) } else { key.checked_add(1) }
}

/// The bits of an integer in the order of the integers.
fn sortable(integer: i64) -> u64 {
    integer.cast_unsigned() ^ (1 << 63)
}

/// The bits of a float in the order of the floats; the two zeros are one.
fn sortable_float(float: f64) -> u64 {
    let bits = (float + 0.0).to_bits();
    if bits >> 63 == 0 { bits | (1 << 63) } else { !bits }
}

/// What rounding lost is kept behind the float, so that integers beyond 2^53 stay apart and in
/// order among themselves and among floats.
fn number_key(float: f64, lost: i128) -> u128 {
    let lost = u16::try_from(lost + 0x8000).unwrap_or(0x8000);
    (u128::from(sortable_float(float)) << 16) | u128::from(lost)
}

fn float_key(float: f64) -> u128 {
    number_key(float, 0)
}

fn integer_key(integer: i64) -> u128 {
    let float = integer as f64;
    #[expect(clippy::cast_possible_truncation, reason = "the nearest float of an i64 is in range")]
    let rounded = float as i128;
    number_key(float, i128::from(integer) - rounded)
}

/// Gives the engine the terms of all conditions but those on words, of a payload as JSON.
#[derive(Debug, Clone, Default)]
pub(super) struct KeyTokenizer;

impl Tokenizer for KeyTokenizer {
    type TokenStream<'a> = ListedTokens;

    fn token_stream<'a>(&'a mut self, payload: &'a str) -> ListedTokens {
        let mut tokens = Vec::new();
        let payload = parse(payload);
        for_each_leaf(&payload, &mut |path, value| push_keys(path, value, &mut tokens));
        for_each_list(&payload, &mut |path, length| push_length(path, length, &mut tokens));
        tokens.sort_unstable();
        tokens.dedup();
        ListedTokens::new(tokens.into_iter().map(|token| (0, token)).collect())
    }
}

/// Gives the engine the words of the texts of a payload as JSON.
#[derive(Debug, Clone, Default)]
pub(super) struct PayloadWordTokenizer;

impl Tokenizer for PayloadWordTokenizer {
    type TokenStream<'a> = ListedTokens;

    fn token_stream<'a>(&'a mut self, payload: &'a str) -> ListedTokens {
        let (mut tokens, mut element) = (Vec::new(), 0);
        for_each_leaf(&parse(payload), &mut |path, value| {
            let Value::Text(text) = value else { return };
            for (index, word) in terms(text).iter().enumerate() {
                tokens.push((element * ELEMENT_POSITIONS + index, word_key(path, word)));
            }
            element += 1;
        });
        ListedTokens::new(tokens)
    }
}

/// A payload was checked where it entered; what cannot be read has no terms.
fn parse(payload: &str) -> Payload {
    serde_json::from_str(payload).unwrap_or_default()
}

fn push_keys(path: &str, value: &Value, keys: &mut Vec<String>) {
    let scalar = match value {
        Value::Null => return keys.push(null_key(path)),
        Value::Array(_) | Value::Object(_) => return,
        Value::Boolean(value) => Scalar::Boolean(*value),
        Value::Integer(integer) => Scalar::Integer(*integer),
        Value::Float(float) => Scalar::Float(*float),
        Value::Text(text) => {
            if let Some(time) = parse_datetime(text) {
                push_scalar(path, &Scalar::Datetime(time), keys);
            }
            Scalar::Text(text.clone())
        }
    };
    push_scalar(path, &scalar, keys);
    keys.push(exists_key(path));
    for (end, _) in path.match_indices('.') {
        keys.push(exists_key(&path[..end]));
    }
}

fn push_length(path: &str, length: usize, keys: &mut Vec<String>) {
    let key = integer_key(i64::try_from(length).unwrap_or(i64::MAX));
    keys.extend(LENGTHS.precisions().map(|precision| LENGTHS.term(path, key, precision)));
}

fn push_scalar(path: &str, scalar: &Scalar, keys: &mut Vec<String>) {
    match Scale::of(scalar) {
        Some((scale, key)) => {
            keys.extend(scale.precisions().map(|precision| scale.term(path, key, precision)));
        }
        None => keys.extend(value_key(path, scalar)),
    }
}

/// Tokens that were made in advance.
#[derive(Debug)]
pub(super) struct ListedTokens {
    tokens: std::vec::IntoIter<(usize, String)>,
    token: Token,
}

impl ListedTokens {
    fn new(tokens: Vec<(usize, String)>) -> Self {
        Self { tokens: tokens.into_iter(), token: Token::default() }
    }
}

impl TokenStream for ListedTokens {
    fn advance(&mut self) -> bool {
        let Some((position, text)) = self.tokens.next() else { return false };
        self.token.position = position;
        self.token.text = text;
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
    use rand::rngs::StdRng;
    use rand::{Rng as _, SeedableRng as _};

    fn keys_of(value: Value) -> Vec<String> {
        let mut keys = Vec::new();
        push_keys("f", &value, &mut keys);
        keys
    }

    fn is_covered(range: &Range, value: Value) -> bool {
        let ranges = range_keys("f", range);
        keys_of(value).iter().any(|key| ranges.iter().any(|range| range.contains(key)))
    }

    fn bound(value: Scalar, is_inclusive: bool) -> Option<Bound> {
        Some(Bound { value, is_inclusive })
    }

    #[test]
    fn the_order_of_keys_is_the_order_of_numbers() {
        let large = 9_007_199_254_740_993i64;
        let in_order = [
            float_key(f64::MIN),
            integer_key(i64::MIN),
            integer_key(i64::MIN + 1),
            integer_key(-3),
            float_key(-2.5),
            integer_key(0),
            float_key(f64::MIN_POSITIVE),
            float_key(0.5),
            integer_key(1),
            integer_key(large - 1),
            integer_key(large),
            integer_key(large + 1),
            integer_key(i64::MAX - 1),
            integer_key(i64::MAX),
            float_key(9_223_372_036_854_775_808.0),
            float_key(f64::MAX),
        ];
        assert!(in_order.windows(2).all(|pair| pair[0] < pair[1]), "{in_order:x?}");
        assert_eq!(integer_key(3), float_key(3.0));
        assert_eq!(float_key(-0.0), integer_key(0));
    }

    #[test]
    fn a_range_covers_exactly_the_values_within_it() {
        let mut random = StdRng::seed_from_u64(7);
        let mut number = || match random.random_range(0..3) {
            0 => Scalar::Integer(random.random_range(-50..50)),
            1 => Scalar::Float(f64::from(random.random_range(-100..100)) / 4.0),
            _ => Scalar::Integer(i64::MAX - random.random_range(0..5)),
        };
        for _ in 0..2_000 {
            let (lower, upper, value) = (number(), number(), number());
            let range = Range { lower: bound(lower, true), upper: bound(upper, false) };
            let held = match value {
                Scalar::Integer(integer) => Value::Integer(integer),
                Scalar::Float(float) => Value::Float(float),
                _ => Value::Null,
            };
            assert_eq!(is_covered(&range, held.clone()), range.holds(&value), "{range:?} {held:?}");
        }
    }

    #[test]
    fn a_wide_range_is_a_few_terms() {
        let range = Range {
            lower: bound(Scalar::Datetime(1), true),
            upper: bound(Scalar::Datetime(1_800_000_000_000_000_000), true),
        };
        assert!(range_keys("f", &range).len() <= 2 * 6);
        assert_eq!(range_keys("f", &Range { lower: None, upper: None }).len(), 0);
    }

    #[test]
    fn long_texts_are_told_apart_and_found_by_their_beginning() {
        let (a, b) = ("x".repeat(600), "x".repeat(601));
        let key = value_key("f", &Scalar::Text(a.clone())).unwrap();
        assert_ne!(Some(&key), value_key("f", &Scalar::Text(b)).as_ref());
        assert!(key.len() < 400);
        let beginnings = prefix_keys("f", &"x".repeat(FILTER_PREFIX_BYTES_MAX));
        assert!(beginnings.iter().any(|beginning| key.starts_with(beginning)));
    }

    #[test]
    fn objects_exist_where_a_value_lies_in_them() {
        let mut tokenizer = KeyTokenizer;
        let mut keys = Vec::new();
        let json = r#"{"a": {"b": [{"c": 1}], "d": null}}"#;
        tokenizer.token_stream(json).process(&mut |token| keys.push(token.text.clone()));
        for path in ["a", "a.b", "a.b.c"] {
            assert!(keys.contains(&exists_key(path)), "{path} in {keys:?}");
        }
        assert!(!keys.contains(&exists_key("a.d")));
    }
}
