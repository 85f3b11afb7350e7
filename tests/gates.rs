//! Every way to turn a text into a vector passes a gate that a constant embedder and one with permuted
//! weights do not pass: what `simile eval sts` computes, over pairs of sentences, and where they count, what
//! `simile eval retrieval` computes.
//!
//! What counts words or letters and what comes with the program is judged by the pairs that were written for
//! it. What learns from texts learns a language that is made up, in which each subject has words of its own,
//! and is judged by pairs that share no word: alike is only what is about the same subject.

use std::collections::{BTreeMap, HashMap};

use simile::cancel::Cancellation;
use simile::embed::{Catalogue, EmbedderHandle, Lane, Recipe, Role, Training};
use simile::evaluate::{Pair, Quality, Scored, read_pairs, spearman};
use simile::vector::{Metric, Vector};

use crate::support;

const SUBJECTS: u64 = 4;
const WORDS: u64 = 12;
/// How many texts are learnt from, and how many pairs are judged.
const TEXTS: u64 = 600;
const PAIRS: usize = 120;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_041);
        (self.0 >> 33) % bound
    }
}

/// A word of a subject; fastText is to find no n-gram that the words of one subject share.
fn word(subject: u64, number: u64) -> String {
    let mut random = Random(subject * 1_000 + number + 1);
    (0..9).map(|_| char::from(b'a' + u8::try_from(random.below(26)).unwrap())).collect()
}

fn texts() -> Vec<String> {
    let mut random = Random(5);
    let text = |number: u64| {
        let words = (0..14).map(|_| match random.below(4) {
            0 => word(SUBJECTS, random.below(WORDS)),
            _ => word(number % SUBJECTS, random.below(WORDS)),
        });
        words.collect::<Vec<_>>().join(" ")
    };
    (0..TEXTS).map(text).collect()
}

/// Pairs about the same subject and about two; the first sentence has other words than the second.
fn made_pairs() -> Vec<Pair> {
    let mut random = Random(9);
    let mut sentence = |subject: u64, half: u64| {
        let words = (0..6).map(|_| word(subject, 2 * random.below(WORDS / 2) + half));
        words.collect::<Vec<_>>().join(" ")
    };
    let pair = |number: usize| {
        let (one, apart) = (number as u64 % SUBJECTS, number as u64 / SUBJECTS % 2);
        let other = (one + apart * (1 + number as u64 % (SUBJECTS - 1))) % SUBJECTS;
        let (first, second) = (sentence(one, 0), sentence(other, 1));
        Pair { score: if one == other { 1.0 } else { 0.0 }, first, second }
    };
    (0..PAIRS).map(pair).collect()
}

fn written_pairs() -> Vec<Pair> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sts");
    read_pairs(&folder.join("written.tsv")).unwrap()
}

/// How alike two vectors are, of whatever form.
fn alike(a: &Vector, b: &Vector) -> f64 {
    let entries = |vector: &Vector| -> BTreeMap<u32, f64> {
        match vector {
            Vector::Dense(dense) => {
                (0..).zip(dense.as_slice().iter().map(|v| f64::from(*v))).collect()
            }
            Vector::Sparse(sparse) => {
                let values = sparse.values().iter().map(|value| f64::from(*value));
                sparse.indices().iter().copied().zip(values).collect()
            }
            Vector::Multi(_) => panic!("none of these gives several vectors"),
        }
    };
    let (a, b) = (entries(a), entries(b));
    let dot = |a: &BTreeMap<u32, f64>, b: &BTreeMap<u32, f64>| -> f64 {
        a.iter().filter_map(|(place, value)| Some(value * b.get(place)?)).sum()
    };
    dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt().max(1e-12)
}

fn quality(pairs: &[Pair], mut vector: impl FnMut(&str) -> Option<Vector>) -> f64 {
    let likeness = pairs.iter().map(|pair| match (vector(&pair.first), vector(&pair.second)) {
        (Some(first), Some(second)) => alike(&first, &second),
        _ => 0.0,
    });
    let likeness: Vec<f64> = likeness.collect();
    let scores: Vec<f64> = pairs.iter().map(|pair| pair.score).collect();
    // Where all are equally alike nothing is told apart.
    spearman(&scores, &likeness).unwrap_or(0.0)
}

fn embed(model: &EmbedderHandle, text: &str) -> Option<Vector> {
    let embedded = model.embed(&[text], Role::Passage, Lane::Query, &Cancellation::new()).unwrap();
    embedded.embeddings.into_iter().next().unwrap().vector
}

/// Every word for another one, always the same: what a table whose rows are permuted makes of a text.
fn permuted(text: &str) -> String {
    let all: Vec<String> = (0..=SUBJECTS)
        .flat_map(|subject| (0..WORDS).map(move |number| word(subject, number)))
        .collect();
    let place = |word: &str| all.iter().position(|known| known == word).unwrap();
    let other = |word: &str| all[(place(word) * 37 + 11) % all.len()].as_str();
    text.split(' ').map(other).collect::<Vec<_>>().join(" ")
}

fn fit(catalogue: &Catalogue, name: &str, recipe: &str, corpus: &[String]) -> EmbedderHandle {
    let recipe: Recipe = serde_json::from_str(recipe).unwrap();
    let cancel = Cancellation::new();
    let corpus = corpus.to_vec();
    let training = Training::new(&corpus, &|_, _, _| {}, &cancel);
    catalogue.train(name, "CC0-1.0", &recipe, &training).unwrap();
    catalogue.load(name, &|_, _, _| {}).unwrap()
}

/// Another one of the sentences for each, always the same.
fn other<'a>(sentences: &'a [String], text: &str) -> &'a str {
    let place = sentences.iter().position(|sentence| sentence == text).unwrap();
    &sentences[(place * 53 + 17) % sentences.len()]
}

/// nDCG@10 of first sentences that ask for all second ones, of which the judged one answers.
fn found(pairs: &[Pair], mut vector: impl FnMut(&str) -> Option<Vector>) -> f64 {
    let stored: Vec<Option<Vector>> = pairs.iter().map(|pair| vector(&pair.second)).collect();
    let asked = pairs.iter().enumerate().filter(|(_, pair)| pair.score >= 3.0);
    let each: Vec<Quality> = asked
        .map(|(own, pair)| {
            let question = vector(&pair.first);
            let scored = stored.iter().enumerate().map(|(place, stored)| {
                let score = match (&question, stored) {
                    (Some(question), Some(stored)) => alike(question, stored),
                    _ => 0.0,
                };
                #[expect(clippy::cast_possible_truncation, reason = "between -1 and 1")]
                Scored { id: place.to_string(), score: score as f32 }
            });
            let scored: Vec<Scored> = scored.collect();
            Quality::of(&scored, &HashMap::from([(own.to_string(), 1)]))
        })
        .collect();
    assert!(each.len() > 15);
    Quality::mean(&each).ndcg_10
}

#[test]
fn what_counts_words_or_letters_passes_a_gate_that_its_controls_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    let pairs = written_pairs();
    let sentences: Vec<String> =
        pairs.iter().flat_map(|pair| [pair.first.clone(), pair.second.clone()]).collect();
    let letters = r#"{"terms": {"analyzer": "char-wb", "run_min": 3, "run_max": 5}}"#;
    let rows = [
        ("one-hot", r#"{"method": "one-hot", "options": {}}"#.to_owned()),
        ("tf-idf", r#"{"method": "tf-idf", "options": {}}"#.to_owned()),
        ("n-gram", format!(r#"{{"method": "n-gram", "options": {letters}}}"#)),
    ];
    let fitted = rows.map(|(name, recipe)| (name, fit(&catalogue, name, &recipe, &sentences)));
    let known = ["hashed-words", "hashed-letters", "small-static"];
    let known = known.map(|name| (name, catalogue.load(name, &|_, _, _| {}).unwrap()));
    for (name, model) in fitted.into_iter().chain(known) {
        let floor = 0.4;
        let reached = quality(&pairs, |text| embed(&model, text));
        // To put the indices of such a model into another order changes no likeness, so that its control is
        // that each text has the vector of another one.
        let mixed = quality(&pairs, |text| embed(&model, other(&sentences, text)));
        let constant = embed(&model, &sentences[0]);
        let constant = quality(&pairs, |_| constant.clone());
        assert!(reached > floor, "{name} reaches {reached:.3}");
        assert!(mixed < floor, "{name} with the vectors of other texts reaches {mixed:.3}");
        assert!(constant < floor, "{name} with one vector for all reaches {constant:.3}");
        let floor = 0.4;
        let reached = found(&pairs, |text| embed(&model, text));
        let mixed = found(&pairs, |text| embed(&model, other(&sentences, text)));
        let constant = embed(&model, &sentences[0]);
        let constant = found(&pairs, |_| constant.clone());
        assert!(reached > floor, "{name} finds with {reached:.3}");
        assert!(mixed < floor, "{name} with the vectors of other texts finds with {mixed:.3}");
        assert!(constant < floor, "{name} with one vector for all finds with {constant:.3}");
    }
}

#[test]
fn what_learns_from_texts_passes_a_gate_that_its_controls_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    let (corpus, pairs) = (texts(), made_pairs());
    let plain = r#""average": {"weighting": "uniform", "without_common": false}"#;
    let words = |kind: &str, loss: &str| {
        let options = format!(
            r#""architecture": "{kind}", "loss": {loss}, "dimension": 16, "epochs": 20, "sample": 0"#
        );
        format!(r#"{{"method": "word2vec", "options": {{"training": {{{options}}}, {plain}}}}}"#)
    };
    let negative = r#"{"negative-sampling": 5}"#;
    let rows = [
        ("skip-gram", words("skip-gram", negative)),
        ("skip-gram-tree", words("skip-gram", r#""hierarchical-softmax""#)),
        ("cbow", words("cbow", negative)),
        ("sif", r#"{"method": "word2vec", "options": {"training": {"dimension": 16, "epochs": 20, "sample": 0}}}"#
            .to_owned()),
        ("fasttext", format!(
            r#"{{"method": "fasttext", "options": {{"training": {{"dimension": 16, "epochs": 20,
               "sample": 0}}, "buckets": 2000, {plain}}}}}"#
        )),
        ("glove", format!(
            r#"{{"method": "glove", "options": {{"training": {{"dimension": 16}}, {plain}}}}}"#
        )),
        ("lda", r#"{"method": "lda", "options": {"training": {"topics": 5, "sweeps": 100}, "share_max": 1.0}}"#
            .to_owned()),
        ("doc2vec", r#"{"method": "doc2vec", "options": {"training": {"dimension": 16, "epochs": 30, "sample": 0}}}"#
            .to_owned()),
    ];
    for (name, recipe) in rows {
        let model = fit(&catalogue, name, &recipe, &corpus);
        assert_eq!(model.specification().metric, Metric::Cosine);
        let floor = 0.5;
        let reached = quality(&pairs, |text| embed(&model, text));
        let mixed = quality(&pairs, |text| embed(&model, &permuted(text)));
        let constant = embed(&model, &pairs[0].first);
        let constant = quality(&pairs, |_| constant.clone());
        assert!(reached > floor, "{name} reaches {reached:.3}");
        assert!(mixed < floor, "{name} with permuted weights reaches {mixed:.3}");
        assert!(constant < floor, "{name} with one vector for all reaches {constant:.3}");
    }
    // What knows no meaning sees none: there is no word that a pair shares.
    let counted = fit(&catalogue, "counted", r#"{"method": "tf-idf", "options": {}}"#, &corpus);
    let counted = quality(&pairs, |text| embed(&counted, text));
    assert!(counted < 0.2, "words alone reach {counted:.3}");
}
