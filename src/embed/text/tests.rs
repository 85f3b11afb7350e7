//! Files of word vectors, against what gensim reads from them (`tests/reference/word_vectors.py`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::*;
use crate::error::{Classified, ErrorKind};

type Vectors = BTreeMap<String, Vec<f32>>;

#[derive(serde::Deserialize)]
struct Record {
    fixtures: Fixtures,
    real: BTreeMap<String, Vectors>,
}

#[derive(serde::Deserialize)]
struct Fixtures {
    word2vec: Vectors,
    fasttext: Vectors,
}

fn record() -> Record {
    let path = "tests/reference/word_vectors.json";
    serde_json::from_str(&fs_err::read_to_string(root().join(path)).unwrap()).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn fixture(name: &str) -> PathBuf {
    root().join("tests/fixtures/word_vectors").join(name)
}

fn require_vectors(model: &dyn WordVectors, expected: &Vectors, tolerance: f32) {
    for (word, expected) in expected {
        let vector = model.vector(word).unwrap_or_else(|| panic!("{word:?} has no vector"));
        assert_eq!(vector.len(), expected.len(), "{word}");
        for (actual, expected) in vector.iter().zip(expected) {
            assert!((actual - expected).abs() <= tolerance, "{word}: {actual}, not {expected}");
        }
    }
}

#[test]
fn every_format_of_word_vectors_reads_as_in_gensim() {
    let expected = record().fixtures.word2vec;
    for name in ["word2vec.bin", "word2vec.vec", "glove.txt"] {
        let table = WordTable::read(&fixture(name)).unwrap();
        assert_eq!((table.vocabulary().len(), table.dimension()), (14, 5), "{name}");
        require_vectors(&table, &expected, 0.0);
    }
}

#[test]
fn written_word_vectors_read_back_to_the_last_bit() {
    let folder = tempfile::tempdir().unwrap();
    let table = WordTable::read(&fixture("word2vec.bin")).unwrap();
    let path = folder.path().join("copy");
    table.write_text(&path).unwrap();
    assert_eq!(WordTable::read(&path).unwrap(), table);
    table.write_binary(&path).unwrap();
    assert_eq!(WordTable::read(&path).unwrap(), table);
    let mut blank = Vocabulary::default();
    blank.add("two words", 1);
    let table = WordTable::new(blank, 1, vec![1.0]).unwrap();
    let error = table.write_binary(&path).unwrap_err();
    assert!(error.to_string().contains("\"two words\""), "{error}");
}

#[test]
fn known_and_unknown_words_of_fasttext_have_the_vectors_of_gensim() {
    let expected = record().fixtures.fasttext;
    let model = FastText::read(&fixture("fasttext.bin")).unwrap();
    require_vectors(&model, &expected, 1e-6);
    let table = WordTable::read(&fixture("fasttext.bin")).unwrap();
    let known = expected.into_iter().filter(|(word, _)| table.vocabulary().id(word).is_some());
    require_vectors(&table, &known.collect(), 1e-6);
    let trigrams = FastText::new(
        FastTextSettings {
            subwords: Subwords { shortest: 3, ..model.settings().subwords },
            ..*model.settings()
        },
        Vocabulary::default(),
        vec![0.5; 97 * 5],
        Vec::new(),
    );
    let trigrams = trigrams.unwrap();
    assert_eq!(trigrams.vector(""), None, "a word without n-grams has no vector");
    assert_eq!(trigrams.vector("a"), Some(vec![0.5; 5]));
}

#[test]
fn a_written_fasttext_model_is_the_same_file_again() {
    let folder = tempfile::tempdir().unwrap();
    let model = FastText::read(&fixture("fasttext.bin")).unwrap();
    let path = folder.path().join("copy.bin");
    model.write(&path).unwrap();
    assert_eq!(FastText::read(&path).unwrap(), model);
    assert_eq!(
        fs_err::read(&path).unwrap().len(),
        fs_err::read(fixture("fasttext.bin")).unwrap().len()
    );
}

#[test]
fn a_sentence_of_fasttext_is_the_mean_of_its_words_as_directions() {
    let model = FastText::read(&fixture("fasttext.bin")).unwrap();
    let sentence = model.sentence(["tide", "harbours"]).unwrap();
    let directions = ["tide", "harbours"].map(|word| {
        let vector = model.vector(word).unwrap();
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        vector.into_iter().map(|value| value / length).collect::<Vec<_>>()
    });
    for (at, value) in sentence.into_iter().enumerate() {
        assert!((value - f32::midpoint(directions[0][at], directions[1][at])).abs() < 1e-6);
    }
    assert_eq!(model.sentence([]), None);
}

/// The n-grams of a word are those that fastText's documentation lists; the hash is the one its
/// models were made with, where bytes beyond ASCII count as negative.
#[test]
fn n_grams_stand_between_marks_and_a_mark_alone_is_none() {
    let grams = |word: &str, shortest, longest| {
        Subwords { shortest, longest, buckets: 1 << 26 }.buckets_of(word.as_bytes()).len()
    };
    assert_eq!(grams("where", 3, 3), 5);
    assert_eq!(grams("where", 3, 6), 5 + 4 + 3 + 2);
    assert_eq!(grams("a", 1, 3), 1 + 2 + 1, "a, <a, a>, <a>");
    assert_eq!(grams("猫", 1, 2), 1 + 2, "characters, not bytes, are counted");
    assert_eq!(grams("", 3, 6), 0);
}

#[test]
fn files_that_are_no_word_vectors_are_refused_by_place() {
    let folder = tempfile::tempdir().unwrap();
    let refuse = |bytes: &[u8]| {
        let path = folder.path().join("odd");
        fs_err::write(&path, bytes).unwrap();
        let error = WordTable::read(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        error.to_string()
    };
    let mut truncated = fs_err::read(fixture("word2vec.bin")).unwrap();
    truncated.truncate(300);
    let cases: [(&[u8], &str); 9] = [
        (b"", "the file is empty"),
        (b"\n\n", "the whole file: no words"),
        (b"3 2\na 1 2\nb 3 4\n", "promises 3 words, the file has 2"),
        (b"2 2\na 1 2\nb 3\n", "line 3: expected a word and 2 numbers, got 2 fields"),
        (b"a 1 2\nb 3 x\n", "line 2: expected 2 numbers, got \"x\""),
        (b"a 1 NaN\n", "line 1: a component of \"a\" is NaN"),
        (b"1 0\n", "dimension is 0"),
        (b"1000000000 300\nabc \0\0\0\0", "at least 1201000000000 bytes, the file has"),
        (&truncated, "the file ends within its vector"),
    ];
    for (bytes, expected) in cases {
        let error = refuse(bytes);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn words_with_blanks_and_repeated_words_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("glove.txt");
    fs_err::write(&path, b"a 1 2\r\n. . . 3 4\na 5 6\nbroken\xff 7 8\n").unwrap();
    let table = WordTable::read(&path).unwrap();
    assert_eq!(table.vocabulary().words().collect::<Vec<_>>(), ["a", ". . .", "broken\u{fffd}"]);
    assert_eq!(table.vector(". . ."), Some(vec![3.0, 4.0]));
    assert_eq!(table.vector("a"), Some(vec![1.0, 2.0]), "the first vector counts");
}

#[test]
fn damaged_fasttext_models_are_refused_and_never_believed() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs_err::read(fixture("fasttext.bin")).unwrap();
    let path = folder.path().join("damaged.bin");
    for length in [9, 40, 70, 100, 200, 1000, whole.len() - 1] {
        fs_err::write(&path, &whole[..length]).unwrap();
        assert!(FastText::read(&path).is_err(), "cut to {length}");
    }
    // Every byte of the head in turn, set to what is least expected: nothing may panic or allocate
    // what the file cannot hold.
    for at in 0..120 {
        let mut bytes = whole.clone();
        bytes[at] = 0xff;
        fs_err::write(&path, &bytes).unwrap();
        drop(FastText::read(&path));
    }
    let mut quantised = whole.clone();
    let first_matrix = whole.len() - 2 * 17 - 4 * 5 * (14 + 97 + 14);
    assert_eq!(quantised[first_matrix], 0);
    quantised[first_matrix] = 1;
    fs_err::write(&path, &quantised).unwrap();
    let error = FastText::read(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("quantised"), "{error}");
}

#[test]
fn analogies_and_neighbours_follow_the_directions() {
    let mut vocabulary = Vocabulary::default();
    for word in ["man", "king", "woman", "queen", "apple", "nothing"] {
        vocabulary.add(word, 1);
    }
    let rows =
        [[1.0, 0.0, 0.1], [1.0, 1.0, 0.1], [-1.0, 0.0, 0.1], [-1.0, 1.0, 0.1], [0.0, 0.1, 5.0]];
    let values = rows.into_iter().flatten().chain([0.0; 3]).collect();
    let table = WordTable::new(vocabulary, 3, values).unwrap();
    let neighbours = Neighbours::new(&table);
    let found = neighbours.analogy("man", "king", "woman", 2).unwrap();
    assert_eq!(found[0].word, "queen");
    assert_eq!(neighbours.of_word("queen", 1).unwrap()[0].word, "woman");
    let all = neighbours.of_vector(&[0.0, 0.0, 1.0], 100);
    assert_eq!((all.len(), all[0].word.as_str()), (6, "apple"));
    assert_eq!(neighbours.cosine("king", "nothing"), Some(0.0));
    assert!(neighbours.analogy("man", "king", "nobody", 1).is_none());
}

/// Needs the real files: the folder above `wordvec` in `SIMILE_SHARED_DATA` when this is built.
#[test]
fn real_fasttext_models_have_their_gold_vectors() {
    let Some(shared) = option_env!("SIMILE_SHARED_DATA") else {
        println!("SIMILE_SHARED_DATA is not set: the real files were not read");
        return;
    };
    let shared = Path::new(shared).join("wordvec");
    for (name, expected) in record().real {
        let model = FastText::read(&shared.join("gensim").join(&name)).unwrap();
        println!("{name}: {} words", model.vocabulary().len());
        require_vectors(&model, &expected, 1e-4);
    }
    for name in ["cp852_fasttext.bin", "pang_lee_polarity_fasttext.bin"] {
        let model = FastText::read(&shared.join("gensim").join(name)).unwrap();
        assert!(model.to_table().is_ok(), "{name}");
    }
    let model = FastText::read(&shared.join("fasttext-rs/cooking.model.bin")).unwrap();
    let table = model.to_table().unwrap();
    let near = Neighbours::new(&table).of_word("bread", 3).unwrap();
    for (near, (word, cosine)) in
        near.iter().zip([("oysters", 0.9612), ("proofed", 0.9538), ("pide", 0.9487)])
    {
        assert_eq!(near.word, word);
        assert!((near.cosine - cosine).abs() < 1e-4, "{near:?}");
    }
    assert!(FastText::read(&shared.join("fasttext-rs/invalid.model.bin")).is_err());
    for name in ["similarity.bin", "similarity.txt", "similarity.nodims", "analogy.bin"] {
        assert!(WordTable::read(&shared.join("finalfusion").join(name)).is_ok(), "{name}");
    }
    for name in ["utf8-incomplete.bin", "utf8-incomplete.dims", "utf8-incomplete.txt"] {
        let table = WordTable::read(&shared.join("finalfusion").join(name)).unwrap();
        assert_eq!(table.vocabulary().word(1), "zee\u{fffd}n", "{name}");
    }
    for name in [
        "crime-and-punishment.vec",
        "euclidean_vectors.bin",
        "high_precision.kv.bin",
        "high_precision.kv.txt",
        "lee_fasttext.vec",
        "test_glove.txt",
        "toy-model.bin",
        "toy-model-pretrained.bin",
        "toy-model.vec",
        "word2vec_pre_kv_c",
    ] {
        let read = WordTable::read(&shared.join("gensim").join(name));
        println!("{name}: {:?}", read.map(|table| (table.vocabulary().len(), table.dimension())));
    }
}
