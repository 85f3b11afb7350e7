//! Planted structure is found, and what is not there is not.

use super::*;
use crate::cancel::Cancellation;
use crate::embed::text::{
    Neighbours, Random, Segmentation, Subwords, WordTable, WordVectors, Words,
};

/// How many kinds of things the planted corpus is about.
const KINDS: usize = 12;

/// Returns texts in which `thing7` and `item7` keep the same company, and no other two words do.
pub(super) fn planted(seed: u64) -> TokenCorpus {
    let mut random = Random::new(seed, 99);
    let mut builder = TokenCorpusBuilder::new(Words::new(Segmentation::Blanks, false));
    for _ in 0..4_000 {
        let kind = random.below(KINDS);
        let name = ["thing", "item"][random.below(2)];
        let mut company = || format!("c{kind}x{}", random.below(6));
        let text = [company(), company(), format!("{name}{kind}"), company(), company()].join(" ");
        builder.add(&text).unwrap();
    }
    builder.finish(1, usize::MAX).unwrap()
}

/// Returns in how many of the kinds each of the two names is nearest to the other among all names.
pub(super) fn found_synonyms(table: &WordTable) -> usize {
    let neighbours = Neighbours::new(table);
    let nearest = |word: &str| {
        let all = neighbours.of_word(word, usize::MAX).unwrap();
        let is_name = |word: &str| word.starts_with("thing") || word.starts_with("item");
        all.into_iter().find(|near| is_name(&near.word)).map(|near| near.word)
    };
    let pairs = (0..KINDS).map(|kind| [format!("thing{kind}"), format!("item{kind}")]);
    pairs.filter(|[a, b]| nearest(a).as_ref() == Some(b) && nearest(b).as_ref() == Some(a)).count()
}

pub(super) fn run(cancel: &Cancellation, seed: u64, threads: usize) -> Run<'_> {
    Run { seed, threads, table_bytes_max: u64::MAX, progress: &|_, _, _| (), cancel }
}

fn options(architecture: Architecture, loss: Loss) -> WordOptions {
    WordOptions { dimension: 24, loss, sample: 0.0, ..WordOptions::of(architecture) }
}

#[test]
fn words_that_keep_the_same_company_come_to_lie_together() {
    let cancel = Cancellation::new();
    let corpus = planted(1);
    for architecture in [Architecture::SkipGram, Architecture::Cbow] {
        for loss in [Loss::NegativeSampling(5), Loss::HierarchicalSoftmax] {
            let options = options(architecture, loss);
            let table = train_words(&corpus, &options, run(&cancel, 5, 1)).unwrap();
            let found = found_synonyms(&table);
            assert!(found >= KINDS - 1, "{architecture:?}, {loss:?}: {found} of {KINDS}");
        }
    }
}

#[test]
fn equal_vectors_and_vectors_of_other_words_fail_the_test_of_synonyms() {
    let cancel = Cancellation::new();
    let options = options(Architecture::SkipGram, Loss::NegativeSampling(5));
    let table = train_words(&planted(1), &options, run(&cancel, 5, 1)).unwrap();
    let vocabulary = table.vocabulary();
    let width = table.dimension();
    let constant = vec![1.0; table.values().len()];
    let constant = WordTable::new(vocabulary.clone(), width, constant).unwrap();
    assert!(found_synonyms(&constant) <= 1);
    let mut rows: Vec<&[f32]> = table.values().chunks(width).collect();
    let mut random = Random::new(3, 0);
    for at in (1..rows.len()).rev() {
        rows.swap(at, random.below(at + 1));
    }
    let permuted = WordTable::new(vocabulary.clone(), width, rows.concat()).unwrap();
    assert!(found_synonyms(&permuted) <= 2, "{}", found_synonyms(&permuted));
}

#[test]
fn one_thread_and_a_seed_give_one_model_and_two_threads_as_good_a_one() {
    let cancel = Cancellation::new();
    let corpus = planted(2);
    let options = options(Architecture::SkipGram, Loss::NegativeSampling(5));
    let train =
        |seed, threads| train_words(&corpus, &options, run(&cancel, seed, threads)).unwrap();
    let first = train(5, 1);
    assert_eq!(first, train(5, 1));
    assert_ne!(first, train(6, 1));
    assert!(found_synonyms(&train(5, 2)) >= KINDS - 1);
}

#[test]
fn subwords_place_a_word_that_was_never_seen() {
    let cancel = Cancellation::new();
    let corpus = planted(3);
    let subwords = Subwords { shortest: 3, longest: 5, buckets: 5_000 };
    for architecture in [Architecture::SkipGram, Architecture::Cbow] {
        let options =
            WordOptions { rate_first: 0.05, ..options(architecture, Loss::NegativeSampling(5)) };
        let model = train_subwords(&corpus, &options, subwords, run(&cancel, 5, 1)).unwrap();
        let table = model.to_table().unwrap();
        let neighbours = Neighbours::new(&table);
        // The word is unknown; its n-grams are those of the company that kind 7 keeps.
        let vector = model.vector("c7x1c7x2").unwrap();
        let near = neighbours.of_vector(&vector, 6);
        let fitting = near.iter().filter(|near| near.word.starts_with("c7x")).count();
        assert!(fitting >= 4, "{architecture:?}: {near:?}");
    }
}

#[test]
fn a_training_tells_how_far_it_is_and_ends_when_it_is_cancelled() {
    let corpus = planted(4);
    let options = options(Architecture::Cbow, Loss::NegativeSampling(5));
    let cancel = Cancellation::new();
    let told = std::cell::RefCell::new(Vec::new());
    let progress = |name: &str, done: u64, total: Option<u64>| {
        told.borrow_mut().push((name.to_owned(), done, total));
        if told.borrow().len() == 3 {
            cancel.cancel();
        }
    };
    let run = Run { progress: &progress, ..run(&cancel, 1, 1) };
    let error = train_words(&corpus, &options, run).unwrap_err();
    assert!(matches!(error, TrainError::Interrupted(_)), "{error}");
    let told = told.into_inner();
    let total = 5 * corpus.tokens() as u64;
    assert!(told.iter().all(|(_, done, all)| *all == Some(total) && *done <= total), "{told:?}");
    assert!(told[0].0.starts_with("epoch 1 of 5, loss "), "{told:?}");
    assert!(told.last().unwrap().1 < total, "it went on after it was cancelled");
}

#[test]
fn options_out_of_bounds_are_refused_by_name() {
    let cancel = Cancellation::new();
    let corpus = planted(4);
    let refuse = |change: fn(&mut WordOptions)| {
        let mut options = WordOptions::default();
        change(&mut options);
        train_words(&corpus, &options, run(&cancel, 1, 1)).unwrap_err().to_string()
    };
    assert_eq!(refuse(|o| o.dimension = 0), "dimension is 0, expected 1 to 8192");
    assert_eq!(refuse(|o| o.window = 0), "window is 0, expected 1 to 1000");
    assert!(refuse(|o| o.rate_first = f32::NAN).contains("first learning rate is NaN"));
    assert!(refuse(|o| o.sample = -1.0).contains("sample is -1"));
    assert!(refuse(|o| o.loss = Loss::NegativeSampling(0)).contains("negatives is 0"));
    let error = train_words(&corpus, &WordOptions::default(), run(&cancel, 1, 0)).unwrap_err();
    assert!(error.to_string().contains("threads is 0"), "{error}");
}
