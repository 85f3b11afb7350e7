//! Every recipe from texts to a loaded model.

use std::path::Path;

use super::*;
use crate::cancel::Cancellation;
use crate::embed::obtain::Hub;
use crate::embed::onnx::RuntimeSearch;
use crate::embed::text::{Power, Random, Weighting};
use crate::embed::{
    Catalogue, CatalogueOptions, EmbedderHandle, Lane, Recipe, Role, WorkerOptions,
};
use crate::vector::kernel;

const SUBJECTS: usize = 3;

/// Returns texts about subjects, one after another; each subject has words of its own.
fn texts(count: usize, seed: u64) -> Vec<String> {
    let mut random = Random::new(seed, 0);
    let word = |subject: usize, random: &mut Random| match random.below(4) {
        0 => format!("common{}", random.below(12)),
        _ => format!("subject{subject}word{}", random.below(10)),
    };
    (0..count)
        .map(|number| {
            let words: Vec<_> = (0..12).map(|_| word(number % SUBJECTS, &mut random)).collect();
            words.join(" ")
        })
        .collect()
}

fn catalogue(folder: &Path) -> Catalogue {
    Catalogue::open(CatalogueOptions {
        models: folder.join("models"),
        own: Some(folder.join("own")),
        runtime: RuntimeSearch::default(),
        hub: Hub::default(),
        is_offline: true,
        threads: 1,
        worker: WorkerOptions::default(),
    })
    .unwrap()
}

fn train(catalogue: &Catalogue, name: &str, recipe: &Recipe) -> EmbedderHandle {
    let corpus = texts(600, 1);
    let (seed, threads, cancel) = (7, 1, Cancellation::new());
    let progress = &|_: &str, _, _| {};
    let training = Training { seed, threads, ..Training::new(&corpus, progress, &cancel) };
    catalogue.train(name, "CC0-1.0", recipe, &training).unwrap();
    catalogue.load(name, &|_, _, _| {}).unwrap()
}

fn embed(model: &EmbedderHandle, texts: &[&str]) -> Vec<Option<Vec<f32>>> {
    let embedded = model.embed(texts, Role::Passage, Lane::Bulk, &Cancellation::new()).unwrap();
    let vectors = embedded.embeddings.into_iter().map(|embedding| embedding.vector);
    vectors
        .map(|vector| vector.map(|vector| vector.as_dense().unwrap().as_slice().to_vec()))
        .collect()
}

fn recipes(folder: &Path) -> Vec<(&'static str, Recipe)> {
    let average = AverageSettings::default();
    let training = WordOptions { dimension: 16, epochs: 8, sample: 0.0, ..WordOptions::default() };
    let word2vec = Word2VecRecipe { training, average: average.clone(), ..Default::default() };
    let powers = vec![Power::Least, Power::Mean, Power::Greatest];
    let plain = AverageSettings { weighting: Weighting::Idf, powers, without_common: false };
    let cbow = WordOptions { architecture: Architecture::Cbow, rate_first: 0.05, ..training };
    let fasttext = FastTextRecipe {
        training: WordOptions { rate_first: 0.05, ..training },
        buckets: 2_000,
        average: average.clone(),
        ..Default::default()
    };
    let glove = GloveOptions { dimension: 16, window: 5, epochs: 100, ..GloveOptions::default() };
    let topics = TopicOptions { topics: 6, sweeps: 100, ..TopicOptions::default() };
    let paragraphs = ParagraphOptions {
        dimension: 16,
        sample: 0.0,
        epochs: 40,
        rate_first: 0.05,
        ..Default::default()
    };
    let vectors = folder.join("own/word2vec").join(WORDS_FILE);
    vec![
        ("word2vec", Recipe::Word2Vec(word2vec)),
        (
            "means",
            Recipe::Word2Vec(Word2VecRecipe {
                training: cbow,
                average: plain,
                ..Default::default()
            }),
        ),
        ("fasttext", Recipe::FastText(fasttext)),
        ("glove", Recipe::Glove(GloveRecipe { training: glove, average, ..Default::default() })),
        ("average", Recipe::Average(AverageRecipe { vectors, ..Default::default() })),
        ("lda", Recipe::Lda(LdaRecipe { training: topics, ..Default::default() })),
        ("doc2vec", Recipe::Doc2Vec(Doc2VecRecipe { training: paragraphs, ..Default::default() })),
    ]
}

/// Returns how often, of two texts of a subject and one of another, the two are the nearest.
fn agreement(vectors: &[Vec<f32>]) -> f64 {
    let mut right = 0;
    let triples = vectors.len() - SUBJECTS - 1;
    for at in 0..triples {
        let near = kernel::dot(&vectors[at], &vectors[at + SUBJECTS]);
        let far = kernel::dot(&vectors[at], &vectors[at + 1]);
        right += usize::from(near > far);
    }
    right as f64 / triples as f64
}

#[test]
fn every_recipe_gives_a_model_that_loads_and_tells_subjects_apart() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = catalogue(folder.path());
    let new = texts(60, 2);
    let new: Vec<&str> = new.iter().map(String::as_str).collect();
    for (name, recipe) in recipes(folder.path()) {
        let model = train(&catalogue, name, &recipe);
        let dimension = model.specification().dimension;
        let expected = [("means", 48), ("lda", 6)];
        let expected = expected.iter().find(|(other, _)| *other == name).map_or(16, |(_, d)| *d);
        assert_eq!(dimension, expected, "{name}");
        let vectors: Vec<Vec<f32>> = embed(&model, &new).into_iter().map(Option::unwrap).collect();
        for vector in &vectors {
            assert!((kernel::dot(vector, vector) - 1.0).abs() < 1e-4, "{name}: not of length one");
        }
        let right = agreement(&vectors);
        assert!(right > 0.8, "{name}: {right}");
        let alone = embed(&model, &new[..1]);
        assert_eq!(alone[0].as_ref(), Some(&vectors[0]), "{name}: alone as in a batch");
        let folded = new[0].to_uppercase();
        assert_eq!(embed(&model, &[&folded])[0].as_ref(), Some(&vectors[0]), "{name}");
        // Only n-grams say something of words that were never seen.
        let unknown = embed(&model, &["neverseenbefore", "", "?!"]);
        assert_eq!(unknown[0].is_some(), name == "fasttext", "{name}");
        assert_eq!(&unknown[1..], [None, None], "{name}");
        let written = serde_json::to_string(&recipe).unwrap();
        assert_eq!(serde_json::from_str::<Recipe>(&written).unwrap(), recipe, "{written}");
    }
    let average = catalogue.manifest("average").unwrap();
    let word2vec = catalogue.manifest("word2vec").unwrap();
    assert_eq!(average.files.len(), word2vec.files.len());
    assert!(word2vec.description.starts_with("Word2Vec, skip-gram: 42 words, 7200 occurrences"));
}

#[test]
fn equal_vectors_and_vectors_of_other_texts_fail_the_test_of_subjects() {
    assert_eq!(agreement(&vec![vec![1.0, 0.0]; 60]), 0.0);
    let mut random = Random::new(3, 0);
    let scattered: Vec<Vec<f32>> =
        (0..60).map(|_| (0..16).map(|_| random.unit() - 0.5).collect()).collect();
    assert!(agreement(&scattered) < 0.7, "{}", agreement(&scattered));
}

#[test]
fn the_vector_of_an_unknown_word_is_that_of_its_n_grams_through_the_worker_too() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = catalogue(folder.path());
    let (_, recipe) = recipes(folder.path()).swap_remove(2);
    let Recipe::FastText(recipe) = recipe else { unreachable!() };
    let average = AverageSettings { without_common: false, ..Default::default() };
    let recipe = Recipe::FastText(FastTextRecipe { average, ..recipe });
    let model = train(&catalogue, "fasttext", &recipe);
    let vectors = FastText::read(&folder.path().join("own/fasttext").join(FASTTEXT_FILE)).unwrap();
    for word in ["subject1wrod3", "subject2word1"] {
        let mut expected = vectors.vector(word).unwrap();
        let length = kernel::dot(&expected, &expected).sqrt();
        expected.iter_mut().for_each(|value| *value /= length);
        let embedded = embed(&model, &[word]).remove(0).unwrap();
        assert!((kernel::dot(&expected, &embedded) - 1.0).abs() < 1e-5, "{word}");
    }
    let [wrong, right, other] = ["subject1wrod3", "subject1word3", "subject2word1"]
        .map(|word| embed(&model, &[word]).remove(0));
    let cosine = |a: &Option<Vec<f32>>, b: &Option<Vec<f32>>| {
        kernel::dot(a.as_ref().unwrap(), b.as_ref().unwrap())
    };
    assert!(
        cosine(&wrong, &right) > cosine(&wrong, &other),
        "the misspelt word is near the right one"
    );
}

#[test]
fn a_model_whose_files_disagree_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = catalogue(folder.path());
    let (_, recipe) = recipes(folder.path()).swap_remove(6);
    train(&catalogue, "doc2vec", &recipe);
    let path = folder.path().join("own/doc2vec").join(WORDS_FILE);
    let mut bytes = fs_err::read(&path).unwrap();
    let last = bytes.len() - 70;
    bytes[last] ^= 1;
    fs_err::write(&path, bytes).unwrap();
    let catalogue = self::catalogue(folder.path());
    let error = catalogue.load("doc2vec", &|_, _, _| {}).unwrap_err();
    assert!(error.to_string().contains("SHA-256"), "{error}");
}

#[test]
fn a_corpus_of_too_few_words_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = catalogue(folder.path());
    let cancel = Cancellation::new();
    let corpus = vec!["a few words that stand here once each".to_owned()];
    let (_, recipe) = recipes(folder.path()).swap_remove(0);
    let progress = &|_: &str, _, _| {};
    let training = Training::new(&corpus, progress, &cancel);
    let error = catalogue.train("small", "CC0-1.0", &recipe, &training).unwrap_err();
    assert!(error.to_string().contains("no Word2Vec model can be fitted"), "{error}");
    cancel.cancel();
    let error = catalogue.train("small", "CC0-1.0", &recipe, &training).unwrap_err();
    assert!(matches!(error, EmbedError::Interrupted(_)), "{error}");
    assert!(catalogue.manifest("small").is_err(), "nothing is left behind");
}
