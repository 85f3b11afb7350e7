//! How is a query answered? From its text to a query of the engine, and what its answers are
//! ranked by.

use std::collections::HashMap;

use tantivy::query::{BooleanQuery, BoostQuery, Occur, PhraseQuery, Query, TermQuery};
use tantivy::schema::{IndexRecordOption, Term};

use super::LexicalError;
use super::analysis::{fold_word, grams, pairs};
use super::error::QueryError;
use super::language::{Language, stem_in, variants};
use super::syntax::{Node, parse};
use super::understanding::{Meaning, WeighedTerm, understand, understand_fuzzy};
use super::view::{Statistics, View};
use super::{LexicalQuery, WordSyntax};
use crate::document::words::{Word, Writing, words};

/// The most bytes of a query.
pub(super) const QUERY_BYTES_MAX: usize = 64 * 1024;
/// Of the words of a plain query, so many are searched for: the rarest.
const WORDS_MAX: usize = 128;
/// So many words of a query are looked up among misspellings.
const CORRECTIONS_MAX: usize = 16;
/// A word in one of so many documents finds too much to find anything; it only tells apart what
/// rarer words have found, if there are any.
const COMMON_RATIO: u64 = 3;
const COMMON_MIN: u64 = 1_000;
/// Of the grams of an unknown word, a document has to have this share.
const FRAGMENT_SHARE: f32 = 0.7;
/// What a gram is worth against a word. From 0.1 to 0.5 the mean nDCG@10 over fourteen test
/// collections differs by 0.003; without grams it is 0.011 lower.
pub(super) const GRAM_WEIGHT: f32 = 0.25;

/// A query, ready to be run.
pub(super) struct Plan<'v> {
    pub(super) query: BooleanQuery,
    pub(super) statistics: Statistics<'v>,
    /// By what the best answers are told apart: too common to find anything by it.
    pub(super) refinements: Vec<Refinement>,
}

/// A term that makes an answer better that was found by others.
#[derive(Debug)]
pub(super) struct Refinement {
    pub(super) term: Term,
    /// What it is worth against a word.
    pub(super) weight: f32,
    /// In how many documents its word is; for a gram, that is still to be looked up.
    pub(super) frequency: Option<u64>,
}

/// What of a query can be seen in a text.
#[derive(Debug, Default)]
pub(super) struct Visible {
    /// Terms of the field of words, with what seeing one is worth.
    pub(super) terms: HashMap<String, f32>,
    /// Words that the index does not know, to be seen within others.
    pub(super) fragments: Vec<String>,
}

/// Returns how the query is answered, or nothing if there is no word in it.
pub(super) fn plan<'v>(
    view: &'v View,
    query: &LexicalQuery<'_>,
) -> Result<Option<Plan<'v>>, LexicalError> {
    check_length(query)?;
    match query.syntax {
        WordSyntax::Plain => plan_plain(view, query.text),
        WordSyntax::Query => plan_nodes(view, &parse(query.text)?).map(Some),
    }
}

/// Returns what of the query can be seen in the texts that it finds.
pub(super) fn visible(view: &View, query: &LexicalQuery<'_>) -> Result<Visible, LexicalError> {
    check_length(query)?;
    let mut visible = Visible::default();
    match query.syntax {
        WordSyntax::Plain => {
            for (meaning, _) in meanings(view, query.text)? {
                visible.add(view, meaning);
            }
        }
        WordSyntax::Query => see_nodes(view, &parse(query.text)?, &mut visible)?,
    }
    Ok(visible)
}

fn check_length(query: &LexicalQuery<'_>) -> Result<(), QueryError> {
    if query.text.len() > QUERY_BYTES_MAX {
        return Err(QueryError::TooLong { limit: QUERY_BYTES_MAX, actual: query.text.len() });
    }
    Ok(())
}

fn plan_plain<'v>(view: &'v View, text: &str) -> Result<Option<Plan<'v>>, LexicalError> {
    let mut statistics = Statistics::new(view);
    let mut clauses: Vec<(Occur, Box<dyn Query>)> = Vec::new();
    let mut refinements = Vec::new();
    let meanings = meanings(view, text)?;
    let common_from = (view.documents() / COMMON_RATIO).max(COMMON_MIN);
    let is_common = |meaning: &Meaning| matches!(meaning, Meaning::Terms(terms) if terms[0].frequency >= common_from);
    let has_rare =
        meanings.iter().any(|(meaning, _)| *meaning != Meaning::Nothing && !is_common(meaning));
    for (meaning, count) in meanings {
        if has_rare && is_common(&meaning) {
            refinements.extend(common_terms(meaning, count));
            continue;
        }
        match meaning {
            Meaning::Terms(terms) => {
                for weighed in terms {
                    let query = term_query(&mut statistics, &weighed, count);
                    clauses.push((Occur::Should, query));
                }
            }
            Meaning::Fragment { grams, .. } => {
                clauses.push((Occur::Should, fragment_query(view, &grams, count)));
            }
            Meaning::Nothing => {}
        }
    }
    if clauses.is_empty() {
        return Ok(None);
    }
    refinements.extend(weighed_grams(view, text));
    Ok(Some(Plan { query: BooleanQuery::new(clauses), statistics, refinements }))
}

fn common_terms(meaning: Meaning, count: f32) -> impl Iterator<Item = Refinement> {
    let terms = match meaning {
        Meaning::Terms(terms) => terms,
        Meaning::Fragment { .. } | Meaning::Nothing => Vec::new(),
    };
    terms.into_iter().map(move |weighed| Refinement {
        term: weighed.term,
        weight: weighed.weight * count,
        frequency: Some(weighed.frequency),
    })
}

/// What the words of a plain query stand for, and how often each is asked for.
fn meanings(view: &View, text: &str) -> Result<Vec<(Meaning, f32)>, LexicalError> {
    let mut corrections_left = CORRECTIONS_MAX;
    let mut meanings: Vec<(Meaning, f32)> = Vec::new();
    let mut seen: HashMap<String, std::ops::Range<usize>> = HashMap::new();
    for word in words(text) {
        let folded = fold_word(word.text);
        if let Some(known) = seen.get(&folded) {
            for (_, count) in &mut meanings[known.clone()] {
                *count += 1.0;
            }
            continue;
        }
        let start = meanings.len();
        let understood = understand(view, &word, &mut corrections_left)?;
        meanings.extend(understood.into_iter().map(|meaning| (meaning, 1.0)));
        seen.insert(folded, start..meanings.len());
    }
    if meanings.len() > WORDS_MAX {
        meanings.sort_by_key(|(meaning, _)| match meaning {
            Meaning::Terms(terms) => terms[0].frequency,
            Meaning::Fragment { .. } => 0,
            Meaning::Nothing => u64::MAX,
        });
        meanings.truncate(WORDS_MAX);
    }
    Ok(meanings)
}

fn weighed_grams(view: &View, text: &str) -> Vec<Refinement> {
    let mut counts: HashMap<String, f32> = HashMap::new();
    for gram in words(text).flat_map(|word| grams(&word)) {
        *counts.entry(gram).or_default() += GRAM_WEIGHT;
    }
    let mut grams: Vec<(String, f32)> = counts.into_iter().collect();
    // The order of a sum of floats shows in its last digit.
    grams.sort_by(|a, b| a.0.cmp(&b.0));
    let refinement = |(gram, weight): (String, f32)| Refinement {
        term: Term::from_field_text(view.fields.grams, &gram),
        weight,
        frequency: None,
    };
    grams.into_iter().map(refinement).collect()
}

fn term_query(
    statistics: &mut Statistics<'_>,
    weighed: &WeighedTerm,
    count: f32,
) -> Box<dyn Query> {
    statistics.set(&weighed.term, weighed.frequency);
    let query = TermQuery::new(weighed.term.clone(), IndexRecordOption::WithFreqs);
    boosted(Box::new(query), weighed.weight * count)
}

fn fragment_query(view: &View, grams: &[String], count: f32) -> Box<dyn Query> {
    let queries: Vec<Box<dyn Query>> = grams
        .iter()
        .map(|gram| -> Box<dyn Query> {
            let term = Term::from_field_text(view.fields.grams, gram);
            Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs))
        })
        .collect();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a small count"
    )]
    let required = (queries.len() as f32 * FRAGMENT_SHARE).ceil() as usize;
    let query = BooleanQuery::union_with_minimum_required_clauses(queries, required);
    boosted(Box::new(query), GRAM_WEIGHT * count)
}

fn boosted(query: Box<dyn Query>, weight: f32) -> Box<dyn Query> {
    if (weight - 1.0).abs() < f32::EPSILON {
        return query;
    }
    Box::new(BoostQuery::new(query, weight))
}

fn plan_nodes<'v>(view: &'v View, node: &Node) -> Result<Plan<'v>, LexicalError> {
    let mut statistics = Statistics::new(view);
    let query = node_query(view, node, &mut statistics)?;
    let query = BooleanQuery::new(vec![(Occur::Must, query)]);
    Ok(Plan { query, statistics, refinements: Vec::new() })
}

fn node_query(
    view: &View,
    node: &Node,
    statistics: &mut Statistics<'_>,
) -> Result<Box<dyn Query>, LexicalError> {
    match node {
        Node::Phrase { text, slop } => phrase_query(view, text, *slop, statistics),
        Node::Fuzzy { word, distance } => {
            let terms = understand_fuzzy(view, &fold_word(word), *distance)?;
            let queries =
                terms.iter().map(|weighed| term_query(statistics, weighed, 1.0)).collect();
            Ok(Box::new(BooleanQuery::union(queries)))
        }
        Node::Group { must, should, must_not } => {
            let mut clauses = Vec::new();
            for (occur, nodes) in
                [(Occur::Must, must), (Occur::Should, should), (Occur::MustNot, must_not)]
            {
                for node in nodes {
                    clauses.push((occur, node_query(view, node, statistics)?));
                }
            }
            Ok(Box::new(BooleanQuery::new(clauses)))
        }
    }
}

/// The words one after another, in every language in which the index may hold them.
fn phrase_query(
    view: &View,
    text: &str,
    slop: u32,
    statistics: &mut Statistics<'_>,
) -> Result<Box<dyn Query>, LexicalError> {
    let words: Vec<Word<'_>> = words(text).collect();
    if let [word] = &words[..] {
        // Of a single word there may be variants, and a single letter is a gram.
        let mut no_corrections = 0;
        let meanings = understand(view, word, &mut no_corrections)?;
        if let [meaning] = &meanings[..] {
            let Meaning::Terms(terms) = meaning else {
                return Ok(Box::new(BooleanQuery::union(Vec::new())));
            };
            let queries =
                terms.iter().map(|weighed| term_query(statistics, weighed, 1.0)).collect();
            return Ok(Box::new(BooleanQuery::union(queries)));
        }
    }
    let mut sequences: Vec<Vec<Term>> = Vec::new();
    for reading in readings(view.languages()?) {
        let terms = words.iter().flat_map(|word| match word.writing {
            Writing::Spaced => vec![stem_in(reading, &fold_word(word.text))],
            Writing::Unspaced => pairs(word.text),
        });
        let terms = terms.map(|term| Term::from_field_text(view.fields.words, &term));
        let sequence: Vec<Term> = terms.collect();
        if !sequences.contains(&sequence) {
            sequences.push(sequence);
        }
    }
    let queries = sequences.into_iter().map(|terms| -> Box<dyn Query> {
        let mut phrase = PhraseQuery::new(terms);
        phrase.set_slop(slop);
        Box::new(phrase)
    });
    Ok(Box::new(BooleanQuery::union(queries.collect())))
}

/// How a phrase may have been stemmed as a whole.
fn readings(languages: &[Language]) -> impl Iterator<Item = Option<Language>> {
    std::iter::once(None).chain(languages.iter().copied().map(Some))
}

fn see_nodes(view: &View, node: &Node, visible: &mut Visible) -> Result<(), LexicalError> {
    match node {
        Node::Phrase { text, .. } => {
            let mut no_corrections = 0;
            for word in words(text) {
                for meaning in understand(view, &word, &mut no_corrections)? {
                    visible.add(view, meaning);
                }
            }
        }
        Node::Fuzzy { word, distance } => {
            let terms = understand_fuzzy(view, &fold_word(word), *distance)?;
            visible.add(view, Meaning::Terms(terms));
        }
        Node::Group { must, should, .. } => {
            for node in must.iter().chain(should) {
                see_nodes(view, node, visible)?;
            }
        }
    }
    Ok(())
}

impl Visible {
    fn add(&mut self, view: &View, meaning: Meaning) {
        match meaning {
            Meaning::Terms(terms) => {
                for weighed in terms {
                    let documents = view.documents() as f32;
                    let rarity = (documents / weighed.frequency.max(1) as f32 + 1.0).ln();
                    let worth = self.terms.entry(weighed.text).or_default();
                    *worth = worth.max(weighed.weight * rarity);
                }
            }
            Meaning::Fragment { word, .. } => self.fragments.push(word),
            Meaning::Nothing => {}
        }
    }

    /// Returns whether nothing of the query can be seen anywhere.
    pub(super) fn is_empty(&self) -> bool {
        self.terms.is_empty() && self.fragments.is_empty()
    }

    /// Returns what seeing this folded word is worth, if it is one of the query.
    pub(super) fn worth(&self, word: &str, languages: &[Language]) -> Option<f32> {
        let worth = variants(word, languages)
            .iter()
            .filter_map(|variant| self.terms.get(variant).copied())
            .max_by(f32::total_cmp);
        worth.or_else(|| self.fragments.iter().any(|part| word.contains(part)).then_some(1.0))
    }
}
