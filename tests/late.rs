//! Passages that are read with what stands around them in their document (late chunking), beside what
//! `tests/reference/late.py` computed step by step.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use simile::cancel::Cancellation;
use simile::document::Span;
use simile::embed::{
    AddOptions, Cache, Catalogue, EmbedderHandle, Kind, Lane, Passage, Pooling, Role,
};

use crate::support::{self, dot, embed};

const EXPECTED: &str = include_str!("fixtures/late.json");
const TOKENS_MAX: usize = 48;

#[derive(Deserialize)]
struct Expected {
    text: String,
    bytes: Bytes,
    vector: Vec<f32>,
}

#[derive(Deserialize)]
struct Bytes(u64, u64);

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/families").join(name)
}

fn at(bytes: Range<u64>) -> Span {
    Span::Text { bytes, page: None, heading: None }
}

/// Adds a fixture as a model that takes the mean, and one of late chunking over it.
fn add(catalogue: &Catalogue, name: &str) -> (EmbedderHandle, EmbedderHandle) {
    let options = AddOptions {
        pooling: Some(Pooling::Mean),
        tokens_max: Some(TOKENS_MAX),
        ..AddOptions::default()
    };
    catalogue.add(name, &fixture(name), &options, &|_, _, _| {}).unwrap();
    let late = format!("{name}-late");
    let manifest = catalogue.add_late(&late, name, &|_, _, _| {}).unwrap();
    assert_eq!(manifest.method.kind(), Kind::Late);
    [name, &late].map(|name| catalogue.load(name, &|_, _, _| {}).unwrap()).into()
}

/// Returns the vectors of the passages of documents, document by document.
fn vectors(model: &EmbedderHandle, documents: &[Vec<(&str, Span)>]) -> Vec<Vec<Vec<f32>>> {
    let documents: Vec<Vec<Passage<'_>>> = documents
        .iter()
        .map(|passages| passages.iter().map(|(text, span)| Passage { text, span }).collect())
        .collect();
    let embedded = model.embed_passages(&documents, Lane::Bulk, &Cancellation::new()).unwrap();
    let mut vectors = embedded.embeddings.into_iter().map(|embedding| {
        assert!(!embedding.truncated);
        embedding.vector.unwrap().as_dense().unwrap().as_slice().to_vec()
    });
    documents.iter().map(|passages| vectors.by_ref().take(passages.len()).collect()).collect()
}

fn farthest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn passages_have_the_vectors_of_the_reference_and_those_that_stand_alone_the_plain_ones() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    let expected: Vec<Vec<Expected>> = serde_json::from_str(EXPECTED).unwrap();
    let documents: Vec<Vec<(&str, Span)>> = expected
        .iter()
        .map(|passages| {
            let span = |passage: &Expected| at(passage.bytes.0..passage.bytes.1);
            passages.iter().map(|passage| (passage.text.as_str(), span(passage))).collect()
        })
        .collect();
    assert_eq!(documents.iter().map(Vec::len).collect::<Vec<_>>(), [3, 1, 9]);
    // The same weights, as a graph that is made of them, and as one that comes with the model.
    for name in ["bert-max", "onnx-bert-max"] {
        let (plain, late) = add(&catalogue, name);
        assert_eq!(late.specification().tokens_max, TOKENS_MAX);
        assert_ne!(late.specification().fingerprint, plain.specification().fingerprint);
        let together = vectors(&late, &documents);
        for (number, passages) in expected.iter().enumerate() {
            let alone = &vectors(&late, &documents[number..=number])[0];
            for (place, passage) in passages.iter().enumerate() {
                for ours in [&together[number][place], &alone[place]] {
                    let far = farthest(ours, &passage.vector);
                    assert!(far < 1e-5, "{name}, {:?}: {far} from the reference", passage.text);
                }
                let plain = &embed(&plain, &[&passage.text], Role::Passage)[0];
                let far = farthest(&alone[place], plain);
                let is_alone = passages.len() == 1;
                assert!(if is_alone { far < 1e-6 } else { far > 1e-3 }, "{}: {far}", passage.text);
            }
        }
        // Signs that are no tokens, at the edges of windows and alone.
        let signs = "\u{1}\u{2}";
        let odd = [signs, "\u{1}The cat", signs, "I like ham\u{2}", "", signs];
        let odd = vectors(&late, &[odd.map(|text| (text, Span::Whole)).to_vec()]).remove(0);
        let nothing = &embed(&plain, &[signs], Role::Passage)[0];
        assert!([0, 2, 4, 5].iter().all(|&place| farthest(&odd[place], nothing) < 1e-6));
        assert!(farthest(&odd[1], &odd[3]) > 1e-3 && farthest(&odd[1], nothing) > 1e-3);
        // A question, and a text that nobody says the document of.
        for role in [Role::Query, Role::Passage] {
            let text = ["The ferry waits outside; the mouse is gone."];
            let [plain, late] = [&plain, &late].map(|model| embed(model, &text, role).remove(0));
            assert!(farthest(&plain, &late) < 1e-6);
        }
        // A model that reads no document gives passages their own vectors.
        let by_itself = vectors(&plain, &documents);
        let text = documents[0][1].0;
        assert!(farthest(&by_itself[0][1], &embed(&plain, &[text], Role::Passage)[0]) < 1e-6);
    }
}

#[test]
fn what_was_read_in_one_document_is_not_taken_for_the_same_words_in_another() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(&folder.path().join("cache"), 1 << 20).unwrap().unwrap();
    let catalogue = support::catalogue_with(folder.path()).with_cache(cache);
    let (_, late) = add(&catalogue, "bert-max");
    let document = |first| vec![(first, Span::Whole), ("It likes ham.", Span::Whole)];
    let (cat, ferry) = (document("The cat chases the mouse."), document("The ferry waits."));
    let [a, b] = [&cat, &ferry].map(|it| vectors(&late, std::slice::from_ref(it)).remove(0));
    assert!(farthest(&a[1], &b[1]) > 1e-3, "what stands before it makes no difference");
    let misses = || catalogue.cache().unwrap().statistics().misses;
    let before = misses();
    assert_eq!(before, 4);
    assert_eq!(vectors(&late, &[ferry, cat]), [b, a]);
    assert_eq!(misses(), before, "everything was there");
    // The beginning of a long document is as it was when its end is another.
    let long = |last| -> Vec<(&str, Span)> {
        let texts = ["The kitten hunts rodents where the weed is high and the wall is low."; 6];
        texts.into_iter().chain([last]).map(|text| (text, Span::Whole)).collect()
    };
    let first = vectors(&late, &[long("I like ham sandwiches.")]).remove(0);
    let before = misses();
    let second = vectors(&late, &[long("Is the dough ready?")]).remove(0);
    let anew = misses() - before;
    assert!((1..=4).contains(&anew), "{anew} of 7 passages were read again");
    assert_eq!(first[..3], second[..3]);
}

#[test]
fn a_passage_that_says_it_is_found_by_the_name_that_stands_before() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    let plain = support::model();
    catalogue.add_late("around", "all-minilm-l6-v2", &|_, _, _| {}).unwrap();
    let late = catalogue.load("around", &|_, _, _| {}).unwrap();
    let documents = [
        [
            "Falkenau lighthouse stands where the river meets the sea.",
            "It was built of red brick in 1871.",
            "On clear nights its lamp is seen from thirty miles away.",
        ],
        [
            "The Ostrava cooperative bakes bread for half of the town.",
            "It was founded by eleven women in 1923.",
            "Every morning its ovens are lit at two o'clock.",
        ],
        [
            "Ada Lindqvist measured the tides of the northern fjords.",
            "She was born on an island without a school.",
            "Her notebooks filled forty shelves when she died.",
        ],
        [
            "The grey heron lives along slow rivers and ponds.",
            "It lays four or five eggs in early spring.",
            "Its nest of sticks is used again year after year.",
        ],
    ];
    let questions = [
        (0, 1, "When was the Falkenau lighthouse built?"),
        (0, 2, "How far can one see the light of the Falkenau lighthouse?"),
        (1, 1, "Who founded the Ostrava cooperative?"),
        (1, 2, "When does the Ostrava bakery light its ovens?"),
        (2, 1, "Where was Ada Lindqvist born?"),
        (2, 2, "What did Ada Lindqvist leave behind at her death?"),
        (3, 1, "How many eggs does a grey heron lay?"),
        (3, 2, "Does a grey heron build a new nest each year?"),
    ];
    let documents = documents.map(|texts| texts.map(|text| (text, Span::Whole)).to_vec());
    // The mean of one over the rank of the passage that answers, and of its cosine to the question.
    let measure = |model: &EmbedderHandle| {
        let vectors = vectors(model, &documents);
        let (mut ranks, mut cosines) = (0.0, 0.0);
        for (document, passage, question) in questions {
            let asked = embed(model, &[question], Role::Query).remove(0);
            let own = dot(&asked, &vectors[document][passage]);
            let better =
                vectors.iter().flatten().filter(|vector| dot(&asked, vector) > own).count();
            ranks += 1.0 / (better + 1) as f32 / questions.len() as f32;
            cosines += own / questions.len() as f32;
        }
        (ranks, cosines)
    };
    let (alone, around) = (measure(&plain), measure(&late));
    println!("reciprocal rank and cosine: alone {alone:?}, in their documents {around:?}");
    assert!(around.0 > alone.0 + 0.1, "{around:?}, alone {alone:?}");
    assert!(around.1 > alone.1 + 0.1, "{around:?}, alone {alone:?}");
}

#[test]
fn a_model_that_joins_tokens_in_another_way_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    catalogue.add("max", &fixture("bert-max"), &AddOptions::default(), &|_, _, _| {}).unwrap();
    let refused = |of: &str| catalogue.add_late("late", of, &|_, _, _| {}).unwrap_err().to_string();
    assert!(refused("max").contains("joins tokens by Max, expected their mean"));
    assert!(refused("small-gru").contains("a vector of the whole text, expected one of each"));
    assert!(refused("hashed-words").contains("of the kind hashed-n-gram, expected bert-text"));
    let left = fs_err::read_dir(folder.path().join("own")).unwrap().count();
    assert_eq!(left, 1, "nothing is left of what failed");
    add(&catalogue, "onnx-bert-max");
    // Its model is taken away and another comes in its place.
    let own = folder.path().join("own");
    fs_err::remove_dir_all(own.join("onnx-bert-max")).unwrap();
    let again = support::catalogue_with(folder.path());
    let error = again.load("onnx-bert-max-late", &|_, _, _| {}).unwrap_err().to_string();
    assert!(error.contains("no model is called `onnx-bert-max`"), "{error}");
    let other =
        AddOptions { pooling: Some(Pooling::Mean), tokens_max: Some(40), ..AddOptions::default() };
    again.add("onnx-bert-max", &fixture("onnx-bert-max"), &other, &|_, _, _| {}).unwrap();
    let error = again.load("onnx-bert-max-late", &|_, _, _| {}).unwrap_err().to_string();
    assert!(error.contains("expected its model onnx-bert-max with the fingerprint"), "{error}");
}
