use std::ops::Range;

use super::RemoteSettings;
use crate::embed::{EmbedError, Encoded, Role, TEXT_BYTES_MAX, Tokenize};

/// The letters of a longer word that are one piece.
const PIECE_LETTERS: usize = 4;

/// Cuts texts where the tokens of the endpoint cannot be known: a piece is a word of up to four letters,
/// four letters of a longer one, or a sign. The ids of an encoded text are its letters.
#[derive(Debug)]
pub(super) struct Pieces {
    tokens_max: usize,
    query_prefix: String,
    passage_prefix: String,
}

impl Pieces {
    pub(super) fn new(settings: &RemoteSettings) -> Self {
        let RemoteSettings { tokens_max, query_prefix, passage_prefix, .. } = settings.clone();
        Self { tokens_max, query_prefix, passage_prefix }
    }
}

/// Returns the text that was encoded.
pub(super) fn text(encoded: &Encoded) -> String {
    encoded.ids.iter().filter_map(|id| char::from_u32(*id)).collect()
}

impl Tokenize for Pieces {
    fn encode(&self, text: &str, role: Role) -> Result<Encoded, EmbedError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(EmbedError::TextTooLong { actual: text.len(), most: TEXT_BYTES_MAX });
        }
        let prefix = match role {
            Role::Query => &self.query_prefix,
            Role::Passage => &self.passage_prefix,
        };
        let cut = pieces(text).nth(self.tokens_max).map(|piece| piece.start);
        let read = text[..cut.unwrap_or(text.len())].trim_end();
        let ids = prefix.chars().chain(read.chars()).map(u32::from).collect();
        Ok(Encoded { ids, truncated: cut.is_some() })
    }

    fn token_ranges(&self, text: &str) -> Vec<Range<usize>> {
        pieces(text).collect()
    }

    fn special_tokens(&self) -> usize {
        0
    }
}

fn pieces(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut letters = text.char_indices().peekable();
    std::iter::from_fn(move || {
        let (start, first) = letters.by_ref().find(|(_, letter)| !letter.is_whitespace())?;
        let mut end = start + first.len_utf8();
        let is_in_word = |letter: char| letter.is_alphanumeric() && letter.is_ascii();
        for _ in 1..PIECE_LETTERS {
            match letters.peek() {
                Some(&(at, letter)) if is_in_word(first) && is_in_word(letter) => {
                    end = at + letter.len_utf8();
                    letters.next();
                }
                Some(_) | None => break,
            }
        }
        Some(start..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_short_words_parts_of_long_ones_and_signs() {
        let text = "A telescope, 望远镜!";
        let found: Vec<&str> = pieces(text).map(|range| &text[range]).collect();
        assert_eq!(found, ["A", "tele", "scop", "e", ",", "望", "远", "镜", "!"]);
        assert_eq!(pieces("  \n").count(), 0);
    }

    #[test]
    fn a_text_is_cut_at_a_piece_and_comes_back_as_it_was() {
        let settings = RemoteSettings {
            tokens_max: 3,
            query_prefix: "query: ".to_owned(),
            ..RemoteSettings::of("http://localhost", "m")
        };
        let pieces = Pieces::new(&settings);
        let whole = pieces.encode("猫 and 🐈", Role::Passage).unwrap();
        assert_eq!((text(&whole).as_str(), whole.truncated), ("猫 and 🐈", false));
        let cut = pieces.encode("one two six ten", Role::Query).unwrap();
        assert_eq!((text(&cut).as_str(), cut.truncated), ("query: one two six", true));
    }
}
