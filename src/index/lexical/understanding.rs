//! What does a word of a query stand for in this index?

use tantivy::query::FuzzyTermQuery;
use tantivy::schema::Term;

use super::LexicalError;
use super::analysis::{fold_word, grams, pairs};
use super::folder::failed;
use super::language::variants;
use super::view::View;
use crate::document::words::{Word, Writing};

/// Words this short are not taken for misspelt ones.
const MISSPELT_LETTERS_MIN: usize = 4;
/// From this length on, a misspelt word may differ in two letters.
const TWO_ERRORS_LETTERS_MIN: usize = 6;
/// A word in so few documents may itself be the misspelling of a common one.
const RARE_DOCUMENTS_MAX: u64 = 2;
/// How much more common that one has to be.
const COMMON_RATIO_MIN: u64 = 10;
/// The most neighbours that stand in for an unknown word, and for a rare one.
const NEIGHBOURS_OF_UNKNOWN: usize = 5;
const NEIGHBOURS_OF_RARE: usize = 2;
/// What a neighbour weighs against the word itself.
const WEIGHT_OF_NEIGHBOUR: f32 = 0.7;
const WEIGHT_OF_RARE_NEIGHBOUR: f32 = 0.3;
/// The most terms that are looked at for neighbours, and that an asked-for fuzzy word stands for.
const NEIGHBOURS_SEEN_MAX: usize = 256;
const FUZZY_TERMS_MAX: usize = 50;
/// An unknown word with fewer letters is not looked for within longer ones.
const FRAGMENT_LETTERS_MIN: usize = 5;

/// What one word of a query stands for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Meaning {
    /// Any of these terms.
    Terms(Vec<WeighedTerm>),
    /// Most of these grams: a word that the index does not know, as a part of another one.
    Fragment {
        /// The word, folded.
        word: String,
        /// Its grams.
        grams: Vec<String>,
    },
    /// Nothing in this index.
    Nothing,
}

/// A term that stands for a word of a query.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WeighedTerm {
    pub(super) term: Term,
    pub(super) text: String,
    /// What a match is worth against one of the word itself.
    pub(super) weight: f32,
    /// In how many documents the word is taken to be.
    pub(super) frequency: u64,
}

/// A term near a word.
#[derive(Debug)]
struct Neighbour {
    text: String,
    frequency: u64,
}

/// Returns what a word of a plain query stands for; a run without spaces stands for several pairs.
/// Misspelt words are looked for only while `corrections_left` is not used up.
pub(super) fn understand(
    view: &View,
    word: &Word<'_>,
    corrections_left: &mut usize,
) -> Result<Vec<Meaning>, LexicalError> {
    match word.writing {
        Writing::Spaced => Ok(vec![understand_spaced(view, word, corrections_left)?]),
        Writing::Unspaced => {
            let pairs = pairs(word.text);
            let is_letter = pairs.len() == 1 && pairs[0].chars().nth(1).is_none();
            // The letter alone is a gram; a pair is a word.
            let field = if is_letter { view.fields.grams } else { view.fields.words };
            let terms = pairs.into_iter().map(|pair| (Term::from_field_text(field, &pair), pair));
            terms.map(|(term, text)| of_known(view, vec![(term, text)])).collect()
        }
    }
}

/// Returns the terms of a word within so many edits, the word itself among them.
pub(super) fn understand_fuzzy(
    view: &View,
    word: &str,
    distance: u8,
) -> Result<Vec<WeighedTerm>, LexicalError> {
    let mut found: Vec<WeighedTerm> = Vec::new();
    for variant in variants(word, view.languages()?) {
        for neighbour in neighbours(view, &variant, distance, false)? {
            let weight = if neighbour.text == variant { 1.0 } else { WEIGHT_OF_NEIGHBOUR };
            match found.iter_mut().find(|known| known.text == neighbour.text) {
                Some(known) => known.weight = known.weight.max(weight),
                None => found.push(weighed(view, neighbour, weight)),
            }
        }
    }
    found.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(b.frequency.cmp(&a.frequency)));
    found.truncate(FUZZY_TERMS_MAX);
    Ok(found)
}

fn understand_spaced(
    view: &View,
    word: &Word<'_>,
    corrections_left: &mut usize,
) -> Result<Meaning, LexicalError> {
    let folded = fold_word(word.text);
    let variants = variants(&folded, view.languages()?);
    let terms = variants
        .iter()
        .map(|variant| (Term::from_field_text(view.fields.words, variant), variant.clone()));
    let meaning = of_known(view, terms.collect())?;
    let letters = folded.chars().count();
    if letters < MISSPELT_LETTERS_MIN || *corrections_left == 0 {
        return Ok(meaning);
    }
    let (frequency, mut terms) = match meaning {
        Meaning::Terms(terms) => (terms[0].frequency, terms),
        Meaning::Fragment { .. } | Meaning::Nothing => (0, Vec::new()),
    };
    if frequency > RARE_DOCUMENTS_MAX {
        return Ok(Meaning::Terms(terms));
    }
    *corrections_left -= 1;
    terms.extend(corrections(view, &variants, letters, frequency)?);
    if !terms.is_empty() {
        return Ok(Meaning::Terms(terms));
    }
    if letters < FRAGMENT_LETTERS_MIN {
        return Ok(Meaning::Nothing);
    }
    Ok(Meaning::Fragment { word: folded, grams: grams(word) })
}

/// The terms that a misspelt word was probably meant to be.
fn corrections(
    view: &View,
    variants: &[String],
    letters: usize,
    frequency: u64,
) -> Result<Vec<WeighedTerm>, LexicalError> {
    let is_unknown = frequency == 0;
    let distances: &[u8] =
        if is_unknown && letters >= TWO_ERRORS_LETTERS_MIN { &[1, 2] } else { &[1] };
    for &distance in distances {
        let mut found: Vec<Neighbour> = Vec::new();
        for variant in variants {
            for neighbour in neighbours(view, variant, distance, true)? {
                let is_common = neighbour.frequency >= frequency * COMMON_RATIO_MIN;
                let is_new = !found.iter().any(|known| known.text == neighbour.text)
                    && !variants.contains(&neighbour.text);
                if is_common && is_new {
                    found.push(neighbour);
                }
            }
        }
        if found.is_empty() {
            continue;
        }
        let (limit, weight) = if is_unknown {
            (NEIGHBOURS_OF_UNKNOWN, WEIGHT_OF_NEIGHBOUR)
        } else {
            (NEIGHBOURS_OF_RARE, WEIGHT_OF_RARE_NEIGHBOUR)
        };
        found.sort_by(|a, b| b.frequency.cmp(&a.frequency).then_with(|| a.text.cmp(&b.text)));
        found.truncate(limit);
        return Ok(found.into_iter().map(|found| weighed(view, found, weight)).collect());
    }
    Ok(Vec::new())
}

/// The terms that the index has, all taken to be as frequent as they are together.
fn of_known(view: &View, terms: Vec<(Term, String)>) -> Result<Meaning, LexicalError> {
    let mut known = Vec::new();
    for (term, text) in terms {
        let frequency = view.frequency(&term)?;
        if frequency > 0 {
            known.push(WeighedTerm { term, text, weight: 1.0, frequency });
        }
    }
    if known.is_empty() {
        return Ok(Meaning::Nothing);
    }
    let frequency = known.iter().map(|term| term.frequency).sum();
    for term in &mut known {
        term.frequency = frequency;
    }
    Ok(Meaning::Terms(known))
}

fn weighed(view: &View, neighbour: Neighbour, weight: f32) -> WeighedTerm {
    let term = Term::from_field_text(view.fields.words, &neighbour.text);
    WeighedTerm { term, text: neighbour.text, weight, frequency: neighbour.frequency }
}

/// Returns the terms of the index within so many edits of a word (a swap of neighbours is one). In
/// what is not asked for, the first letter is taken to be right: it mostly is, and it makes the
/// search short.
fn neighbours(
    view: &View,
    word: &str,
    distance: u8,
    keeps_first_letter: bool,
) -> Result<Vec<Neighbour>, LexicalError> {
    const SWAP_IS_ONE_EDIT: bool = true;
    let Some(first) = word.chars().next() else { return Ok(Vec::new()) };
    let term = Term::from_field_text(view.fields.words, word);
    let automaton = FuzzyTermQuery::new(term, distance, SWAP_IS_ONE_EDIT)
        .automaton()
        .map_err(|error| failed("look for a misspelt word", error))?;
    let mut found: Vec<Neighbour> = Vec::new();
    for leaf in &view.leaves {
        let terms = leaf.field(view.fields.words)?;
        let mut search = terms.terms().search(&automaton);
        if keeps_first_letter {
            search = search.ge(first.to_string());
        }
        let mut stream = search.into_stream().map_err(|error| failed("read terms", error))?;
        while stream.advance() {
            let Ok(text) = std::str::from_utf8(stream.key()) else { continue };
            if keeps_first_letter && !text.starts_with(first) {
                break;
            }
            let frequency = u64::from(stream.value().doc_freq);
            if let Some(known) = found.iter_mut().find(|known| known.text == text) {
                known.frequency += frequency;
            } else if found.len() < NEIGHBOURS_SEEN_MAX {
                found.push(Neighbour { text: text.to_owned(), frequency });
            }
        }
    }
    Ok(found)
}
