use std::collections::HashMap;

use simile_proto::v1::fusion::Kind;
use simile_proto::v1::{self as wire};
use tonic::Code;

use super::super::messages::{ask, ask_vector};
use super::{Row, row};

const WRONG: Code = Code::InvalidArgument;

pub(super) fn rows() -> Vec<Row> {
    let mut rows = numbers();
    rows.extend(questions());
    rows.extend(fusions());
    rows.extend(excerpts());
    rows
}

fn search(request: &wire::SearchRequest, code: Code, says: &str) -> Row {
    row("Search/Search", request, code, says)
}

fn cat() -> wire::SearchRequest {
    wire::SearchRequest { mode: wire::Mode::Lexical.into(), ..ask("c", "cat") }
}

fn excerpts() -> Vec<Row> {
    let locate = |request: &wire::LocateRequest, code: Code, says: &str| {
        row("Search/Locate", request, code, says)
    };
    let of = |collection: &str, excerpt: &[u8]| wire::LocateRequest {
        collection: collection.to_owned(),
        excerpt: excerpt.to_vec(),
        ..wire::LocateRequest::default()
    };
    let video = b"YUV4MPEG2 W2 H2 F1:1 Cmono\nFRAME\n____";
    let limit = |limit| wire::LocateRequest { limit: Some(limit), ..of("c", video) };
    let using = |name: &str| wire::LocateRequest { using: Some(name.to_owned()), ..of("c", video) };
    vec![
        locate(&of("none", video), Code::NotFound, "there is no collection `none`"),
        locate(&of("", video), WRONG, "the name of the collection is missing"),
        locate(&of("c", b""), WRONG, "the excerpt is missing"),
        locate(&limit(0), WRONG, "limit is 0, expected 1 to 1000"),
        locate(&limit(1_001), WRONG, "limit is 1001, expected 1 to 1000"),
        locate(&of("c", video), WRONG, "the collection sees no videos"),
        locate(&using("v"), WRONG, "vector `v` sees no videos"),
    ]
}

fn numbers() -> Vec<Row> {
    let limit = |limit, offset| wire::SearchRequest { limit: Some(limit), offset, ..cat() };
    let ef = |ef| wire::SearchRequest { ef: Some(ef), ..cat() };
    let target = |share| wire::SearchRequest { target_recall: Some(share), ..cat() };
    let threshold = |least| wire::SearchRequest { score_threshold: Some(least), ..cat() };
    let area = Some(wire::Area { left: 0, top: 0, width: 1, height: 1 });
    let part = wire::SearchRequest { image_area: area, ..cat() };
    vec![
        search(&part, WRONG, "a part of a picture is asked about with that picture"),
        search(&limit(0, 0), WRONG, "limit is 0, expected 1 to 1000"),
        search(&limit(1_001, 0), WRONG, "limit is 1001, expected 1 to 1000"),
        search(&limit(10, 9_991), WRONG, "limit + offset is 10001, expected 1 to 10000"),
        search(&limit(1_000, u32::MAX), WRONG, "limit + offset is .. expected 1 to 10000"),
        search(&ef(0), WRONG, "ef is 0, expected 1 to 4096"),
        search(&ef(4_097), WRONG, "ef is 4097, expected 1 to 4096"),
        search(&target(0.0), WRONG, "target_recall is 0, expected 0 to 1"),
        search(&target(f32::NAN), WRONG, "target_recall is NaN, expected 0 to 1"),
        search(
            &wire::SearchRequest { ef: Some(9), ..target(0.9) },
            WRONG,
            "given by ef or by target_recall, not both",
        ),
        search(&threshold(f32::NAN), WRONG, "score_threshold is NaN, expected a finite number"),
        search(&wire::SearchRequest { mode: 99, ..cat() }, WRONG, "mode 99 is not known"),
        search(&wire::SearchRequest { syntax: 99, ..cat() }, WRONG, "syntax 99 is not known"),
        search(&wire::SearchRequest { grouping: 99, ..cat() }, WRONG, "grouping 99 is not known"),
    ]
}

fn questions() -> Vec<Row> {
    let in_mode = |mode: wire::Mode, request| wire::SearchRequest { mode: mode.into(), ..request };
    let empty = |collection: &str| wire::SearchRequest {
        collection: collection.to_owned(),
        ..wire::SearchRequest::default()
    };
    let in_syntax = |text: &str| wire::SearchRequest {
        syntax: wire::WordSyntax::Query.into(),
        ..in_mode(wire::Mode::Lexical, ask("c", text))
    };
    let using = |name: &str| wire::SearchRequest {
        using: Some(name.to_owned()),
        ..in_mode(wire::Mode::Semantic, ask("c", "cat"))
    };
    let unit = [1.0, 0.0, 0.0, 0.0];
    let of_w =
        wire::SearchRequest { vectors: super::super::messages::named("w", &unit), ..empty("c") };
    vec![
        search(&ask("none", "cat"), Code::NotFound, "there is no collection `none`"),
        search(&ask("", "cat"), WRONG, "the name of the collection is missing"),
        search(&empty("c"), WRONG, "a search needs a text or a vector; to list documents, scroll"),
        search(&ask("c", " \n"), WRONG, "a search needs a text or a vector"),
        search(
            &ask("c", &"x".repeat(32_769)),
            WRONG,
            "the length of the text in bytes is 32769, expected 0 to 32768",
        ),
        search(&in_mode(wire::Mode::Lexical, empty("c")), WRONG, "a lexical search needs a text"),
        search(
            &in_mode(wire::Mode::Hybrid, ask_vector("c", &unit)),
            WRONG,
            "a hybrid search needs a text",
        ),
        search(
            &in_mode(wire::Mode::Semantic, ask("c", "cat")),
            WRONG,
            "no vector of the collection has an embedder .. has to be a vector",
        ),
        search(
            &in_mode(wire::Mode::Lexical, ask("other", "cat")),
            WRONG,
            "the lexical index of the collection is disabled",
        ),
        search(&ask("other", "cat"), WRONG, "neither by words nor by an embedder: give a vector"),
        search(&using("w"), WRONG, "the collection has no vector `w`; it has v"),
        search(&using("v"), WRONG, "vector `v` has no embedder .. has to be a vector"),
        search(&of_w, WRONG, "the collection has no vector `w`; it has v"),
        search(&ask_vector("c", &[1.0]), WRONG, "vector `v`: expected dimension 4, got 1"),
        search(&ask_vector("c", &[]), WRONG, "vector `v`: .. 1 to 8192 components, got 0"),
        search(&ask_vector("c", &[f32::NAN; 4]), WRONG, "vector `v`: component 0 is NaN"),
        search(&ask_vector("c", &[0.0; 4]), WRONG, "vector `v`: a vector of length zero"),
        search(&in_syntax("\"cat"), WRONG, "query, byte"),
        search(&in_syntax("(cat"), WRONG, "query, byte"),
    ]
}

fn fusions() -> Vec<Row> {
    let weighted = |leg: &str, weight: f32| wire::SearchRequest {
        text: Some("cat".to_owned()),
        mode: wire::Mode::Hybrid.into(),
        fusion: Some(wire::Fusion {
            kind: Some(Kind::WeightedScore(wire::WeightedScore {
                weights: HashMap::from([(leg.to_owned(), weight)]),
            })),
        }),
        ..ask_vector("c", &[1.0, 0.0, 0.0, 0.0])
    };
    let zeros = wire::ReciprocalRank {
        k: None,
        weights: ["lexical", "dense:v"].map(|leg| (leg.to_owned(), 0.0)).into(),
    };
    let zeros = wire::SearchRequest {
        fusion: Some(wire::Fusion { kind: Some(Kind::ReciprocalRank(zeros)) }),
        ..weighted("lexical", 1.0)
    };
    vec![
        search(
            &weighted("dense", 1.0),
            WRONG,
            "a weight is given for leg `dense`, and the legs are lexical, dense:v",
        ),
        search(&weighted("lexical", -1.0), WRONG, "`lexical` is -1, expected .. at least 0"),
        search(&weighted("dense:v", f32::INFINITY), WRONG, "`dense:v` is inf, expected a finite"),
        search(&zeros, WRONG, "the weights of the legs are all 0"),
    ]
}
