use super::super::request::{PREFETCH_DEPTH_MAX, PREFETCH_MAX, QUESTION_BYTES_MAX};
use super::*;
use crate::query::Fusion;

fn shape(vectors: &[(&str, bool)], has_words: bool) -> Shape {
    let vector = |&(name, has_embedder): &(&str, bool)| {
        let metric = Metric::Cosine;
        let reads = Reads { texts: has_embedder, ..Reads::default() };
        (name.to_owned(), VectorShape { dimension: 2, metric, reads })
    };
    let (sparse, multi) = (BTreeMap::new(), BTreeMap::new());
    Shape { vectors: vectors.iter().map(vector).collect(), sparse, multi, has_words }
}

fn ask(text: &str, mode: Mode) -> SearchRequest {
    SearchRequest { text: Some(text.to_owned()), mode, ..SearchRequest::default() }
}

fn legs(request: &SearchRequest, shape: &Shape) -> Vec<String> {
    plan(request, shape).unwrap().legs().iter().map(ToString::to_string).collect()
}

fn vector(components: &[f32]) -> Vector {
    DenseVector::new(components.to_vec()).unwrap().into()
}

#[test]
fn each_mode_runs_its_legs_where_the_collection_has_them() {
    let both = shape(&[("text", true)], true);
    let given = shape(&[("image", false)], true);
    let wordless = shape(&[("text", true)], false);
    for (mode, shape, expected) in [
        (Mode::Automatic, &both, &["lexical", "dense:text"][..]),
        (Mode::Hybrid, &both, &["lexical", "dense:text"]),
        (Mode::Semantic, &both, &["dense:text"]),
        (Mode::Lexical, &both, &["lexical"]),
        (Mode::Automatic, &given, &["lexical"]),
        (Mode::Automatic, &wordless, &["dense:text"]),
    ] {
        assert_eq!(legs(&ask("cat", mode), shape), expected, "{mode:?}");
    }
}

#[test]
fn what_cannot_be_answered_says_what_is_missing() {
    let both = shape(&[("text", true)], true);
    let given = shape(&[("image", false)], true);
    let wordless = shape(&[("text", true)], false);
    let several = shape(&[("a", true), ("b", true)], true);
    for (request, shape, expected) in [
        (SearchRequest::default(), &both, PlanError::Empty),
        (ask("  ", Mode::Lexical), &both, PlanError::NoText { mode: "lexical" }),
        (ask("cat", Mode::Hybrid), &given, PlanError::NoneEmbeds),
        (ask("cat", Mode::Semantic), &given, PlanError::NoneEmbeds),
        (ask("cat", Mode::Hybrid), &wordless, PlanError::NoWords),
        (ask("cat", Mode::Automatic), &shape_without_legs(), PlanError::NoLeg),
        (ask("cat", Mode::Automatic), &several, PlanError::Ambiguous("a, b".into())),
        (
            SearchRequest { using: Some("image".into()), ..ask("cat", Mode::Automatic) },
            &given,
            PlanError::NoEmbedder { name: "image".into() },
        ),
        (
            SearchRequest { using: Some("x".into()), ..ask("cat", Mode::Automatic) },
            &several,
            PlanError::UnknownVector { name: "x".into(), known: "a, b".into() },
        ),
    ] {
        assert_eq!(plan(&request, shape).unwrap_err(), expected);
    }
}

fn shape_without_legs() -> Shape {
    shape(&[("image", false)], false)
}

#[test]
fn a_given_vector_is_checked_and_stands_for_the_text() {
    let both = shape(&[("text", true), ("image", false)], true);
    let mut request = ask("cat", Mode::Automatic);
    request.vectors.insert("image".into(), vector(&[3.0, 4.0]));
    let planned = plan(&request, &both).unwrap();
    assert_eq!(legs(&request, &both), ["lexical", "dense:image"]);
    assert_eq!(planned.vectors[0].question, Question::Given(vector(&[0.6, 0.8])));
    request.using = Some("text".into());
    assert_eq!(legs(&request, &both), ["lexical", "dense:image", "dense:text"]);

    request.vectors.insert("image".into(), vector(&[1.0]));
    let error = plan(&request, &both).unwrap_err().to_string();
    assert_eq!(error, "vector `image`: expected dimension 2, got 1");
    request.vectors.insert("image".into(), vector(&[0.0, 0.0]));
    assert!(plan(&request, &both).unwrap_err().to_string().contains("length zero"));
}

#[test]
fn numbers_out_of_range_are_refused_with_both_sides() {
    let both = shape(&[("text", true)], true);
    let cat = ask("cat", Mode::Automatic);
    for (request, expected) in [
        (SearchRequest { limit: 0, ..cat.clone() }, "limit is 0, expected 1 to 1000"),
        (
            SearchRequest { offset: 9_991, ..cat.clone() },
            "limit + offset is 10001, expected 1 to 10000",
        ),
        (SearchRequest { ef: Some(0), ..cat.clone() }, "ef is 0, expected 1 to 4096"),
        (
            ask(&"x".repeat(QUESTION_BYTES_MAX + 1), Mode::Automatic),
            "the length of the text in bytes is 32769, expected 0 to 32768",
        ),
        (
            SearchRequest { target_recall: Some(1.5), ..cat.clone() },
            "target_recall is 1.5, expected 0 to 1",
        ),
        (
            SearchRequest { target_recall: Some(0.0), ..cat.clone() },
            "target_recall is 0, expected 0 to 1",
        ),
        (
            SearchRequest { target_recall: Some(0.9), ef: Some(50), ..cat.clone() },
            "the breadth of a search is given by ef or by target_recall, not both",
        ),
        (
            SearchRequest { score_threshold: Some(f32::NAN), ..cat },
            "score_threshold is NaN, expected a finite number",
        ),
    ] {
        assert_eq!(plan(&request, &both).unwrap_err().to_string(), expected);
    }
}

#[test]
fn a_text_is_embedded_once_for_each_form() {
    let mut both = shape(&[("text", true)], true);
    for (name, has_embedder) in [("terms", true), ("given", false)] {
        both.sparse.insert(name.into(), SparseShape { has_embedder });
    }
    let cat = ask("cat", Mode::Automatic);
    assert_eq!(legs(&cat, &both), ["lexical", "dense:text", "sparse:terms"]);
    let terms = SearchRequest { using: Some("terms".into()), ..cat.clone() };
    assert_eq!(legs(&terms, &both), ["lexical", "sparse:terms"]);
    let mut given = ask("cat", Mode::Semantic);
    let sparse = crate::vector::SparseVector::new(vec![3], vec![1.0]).unwrap();
    given.vectors.insert("given".into(), sparse.clone().into());
    assert_eq!(legs(&given, &both), ["sparse:given"]);
    given.vectors.insert("text".into(), sparse.into());
    let error = plan(&given, &both).unwrap_err().to_string();
    assert_eq!(error, "vector `text`: expected a dense vector, got a sparse one");
    both.sparse.insert("more".into(), SparseShape { has_embedder: true });
    assert_eq!(plan(&cat, &both).unwrap_err(), PlanError::Ambiguous("more, terms".into()));
}

#[test]
fn searches_within_searches_are_bounded() {
    let both = shape(&[("text", true)], true);
    let mut nested = ask("cat", Mode::Automatic);
    for _ in 0..PREFETCH_DEPTH_MAX {
        nested = SearchRequest { prefetch: vec![nested], ..SearchRequest::default() };
    }
    assert_eq!(plan(&nested, &both), Err(PlanError::TooDeep));
    let inner = nested.prefetch.remove(0);
    assert_eq!(plan(&inner, &both).unwrap().legs(), []);
    let many = SearchRequest {
        prefetch: vec![ask("cat", Mode::Automatic); PREFETCH_MAX + 1],
        ..SearchRequest::default()
    };
    let error = plan(&many, &both).unwrap_err().to_string();
    assert_eq!(error, "the number of prefetches is 17, expected 0 to 16");
}

#[test]
fn only_what_was_left_open_may_be_answered_by_fewer_legs() {
    let both = shape(&[("text", true)], true);
    assert!(!plan(&ask("cat", Mode::Automatic), &both).unwrap().is_strict);
    assert!(plan(&ask("cat", Mode::Hybrid), &both).unwrap().is_strict);
    let weights = BTreeMap::from([("lexical".to_owned(), 2.0)]);
    let weighted =
        SearchRequest { fusion: Fusion::WeightedScore { weights }, ..ask("cat", Mode::Automatic) };
    assert!(plan(&weighted, &both).unwrap().is_strict);
}

/// A vector of texts, one of pictures, and one of both.
fn joint(names: &[(&str, Reads)], has_words: bool) -> Shape {
    let mut shape = shape(&[], has_words);
    for (name, reads) in names {
        let (dimension, metric) = (2, Metric::Cosine);
        shape.vectors.insert((*name).into(), VectorShape { dimension, metric, reads: *reads });
    }
    shape
}

const TEXTS: Reads = Reads { texts: true, pictures: false, sounds: false };
const PICTURES: Reads = Reads { texts: false, pictures: true, sounds: false };
const SOUNDS: Reads = Reads { texts: false, pictures: false, sounds: true };
const BOTH: Reads = Reads { texts: true, pictures: true, sounds: false };

fn see(image: &[u8]) -> SearchRequest {
    SearchRequest { image: Some(image.into()), ..SearchRequest::default() }
}

#[test]
fn text_and_picture_each_go_to_the_vector_that_is_made_of_them() {
    let apart = joint(&[("image", PICTURES), ("text", TEXTS)], true);
    assert_eq!(legs(&see(b"jpeg"), &apart), ["dense:image"]);
    assert_eq!(legs(&ask("cat", Mode::Automatic), &apart), ["lexical", "dense:text"]);
    let both = SearchRequest { text: Some("cat".into()), ..see(b"jpeg") };
    assert_eq!(legs(&both, &apart), ["lexical", "dense:image", "dense:text"]);
    let one = joint(&[("joint", BOTH)], false);
    let planned = plan(&both, &one).unwrap();
    let seen = Seen { bytes: b"jpeg"[..].into(), area: None };
    assert_eq!(planned.vectors[0].question, Question::Both("cat".into(), seen));
    // A part of a picture is asked about with the picture.
    let area = Some(Area { left: 0, top: 0, width: 1, height: 1 });
    let part = SearchRequest { image_area: area, ..see(b"jpeg") };
    let seen = Seen { bytes: b"jpeg"[..].into(), area };
    assert_eq!(plan(&part, &one).unwrap().vectors[0].question, Question::See(seen));
    let alone = SearchRequest { image: None, ..part };
    let error = plan(&alone, &one).unwrap_err().to_string();
    assert!(error.contains("with that picture"), "{error}");
    // Named, the vector of pictures takes the picture, and the text is left to the words.
    let named = SearchRequest { using: Some("image".into()), ..both };
    assert_eq!(legs(&named, &apart), ["lexical", "dense:image"]);
}

#[test]
fn a_question_that_no_vector_is_made_of_is_refused_by_name() {
    let pictures = joint(&[("image", PICTURES)], true);
    let texts = joint(&[("text", TEXTS)], true);
    let wordless = joint(&[("image", PICTURES)], false);
    let sounds = joint(&[("clip", SOUNDS)], false);
    let unheard = PlanError::ReadsSounds { name: "clip".into() };
    let unread = PlanError::ReadsNoText { name: "image".into() };
    let using = |name: &str, request| SearchRequest { using: Some(name.into()), ..request };
    for (request, shape, expected) in [
        (ask("cat", Mode::Semantic), &pictures, unread.clone()),
        (ask("cat", Mode::Hybrid), &pictures, unread.clone()),
        (ask("cat", Mode::Automatic), &wordless, unread.clone()),
        (using("image", ask("cat", Mode::Automatic)), &pictures, unread),
        (ask("cat", Mode::Semantic), &sounds, unheard.clone()),
        (ask("cat", Mode::Automatic), &sounds, unheard.clone()),
        (using("clip", ask("cat", Mode::Automatic)), &sounds, unheard),
        (see(b"jpeg"), &texts, PlanError::NoneSees { known: "text".into() }),
        (using("text", see(b"jpeg")), &texts, PlanError::ReadsNoPicture { name: "text".into() }),
    ] {
        assert_eq!(plan(&request, shape).unwrap_err(), expected);
    }
    let words = plan(&ask("cat", Mode::Automatic), &pictures).unwrap();
    assert_eq!(words.legs(), [Leg::Lexical]);
    assert!(words.warnings[0].contains("vector `image` is made of pictures"));
    let error = plan(&SearchRequest { mode: Mode::Lexical, ..see(b"jpeg") }, &pictures);
    assert!(error.unwrap_err().to_string().contains("needs a text"));
    let empty = plan(&see(b""), &pictures).unwrap_err().to_string();
    assert_eq!(empty, "the size of the picture in bytes is 0, expected 1 to 33554432");
}
