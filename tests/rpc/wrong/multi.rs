use std::collections::HashMap;

use simile_proto::v1::{self as wire};
use tonic::Code;

use super::super::messages::{
    ask_multi, ask_vector, multi, multi_collection, multi_part, named, parts,
};
use super::{Row, row};

const WRONG: Code = Code::InvalidArgument;

pub(super) fn rows() -> Vec<Row> {
    let mut rows = creates();
    rows.extend(stores());
    rows.extend(searches());
    rows
}

fn creates() -> Vec<Row> {
    let create = |request: wire::CreateCollectionRequest, says| {
        row("Collections/Create", &request, WRONG, says)
    };
    let usual = |dimension| multi_collection("n", dimension, wire::Metric::Cosine);
    let mut graph = usual(2);
    graph.vectors.get_mut("m").unwrap().hnsw_m = Some(16);
    let words = wire::CreateCollectionRequest {
        lexical: Some(wire::LexicalConfig { disabled: true }),
        vectors: HashMap::new(),
        words_only: true,
        ..usual(2)
    };
    vec![
        create(usual(0), "vector `m` has dimension 0, expected 1 to 8192"),
        create(usual(8_193), "vector `m` has dimension 8193, expected 1 to 8192"),
        create(
            multi_collection("n", 2, wire::Metric::Euclidean),
            "vector `m` is a multivector .. cosine or dot, got euclidean",
        ),
        create(graph, "vector `m` is a multivector: its index is exact"),
        create(words, "a collection needs a vector or the index of words"),
        create(
            wire::CreateCollectionRequest { words_only: true, ..usual(2) },
            "a collection of words only has no vectors, got 1",
        ),
    ]
}

fn stores() -> Vec<Row> {
    let upsert = |part: wire::Part, says| {
        let request = wire::UpsertRequest {
            collection: "multi".to_owned(),
            document: Some(parts("b", vec![part])),
            ..wire::UpsertRequest::default()
        };
        row("Documents/Upsert", &request, WRONG, says)
    };
    let of = |rows: &[&[f32]]| multi_part("text", rows);
    let many = vec![&[1.0, 0.0][..]; 2_049];
    let dense = wire::Part { vectors: named("m", &[1.0, 0.0]), ..Default::default() };
    let both = wire::Part { vectors: named("m", &[1.0, 0.0]), ..of(&[&[1.0, 0.0]]) };
    vec![
        upsert(of(&[]), "vector `m`: a multivector has 1 to 2048 vectors, got 0"),
        upsert(of(&many), "vector `m`: a multivector has 1 to 2048 vectors, got 2049"),
        upsert(of(&[&[1.0]]), "vector `m`: expected dimension 2, got 1"),
        upsert(
            of(&[&[1.0, 0.0], &[1.0]]),
            "vector `m`: vector 1 of a multivector: expected dimension 2, got 1",
        ),
        upsert(of(&[&[1.0, f32::NAN]]), "vector 0 of a multivector: component 1 is NaN"),
        upsert(of(&[&[1.0, 0.0], &[0.0; 2]]), "vector 1 of a multivector: a vector of length zero"),
        upsert(dense, "vector `m`: expected a multi vector, got a dense one"),
        upsert(both, "vector `m` is given in two forms"),
    ]
}

fn searches() -> Vec<Row> {
    let search = |request: wire::SearchRequest, says| row("Search/Search", &request, WRONG, says);
    let ask = |rows: &[&[f32]]| ask_multi("multi", rows);
    let dense = wire::SearchRequest { vectors: named("m", &[1.0, 0.0]), ..ask_multi("multi", &[]) };
    let on_dense = wire::SearchRequest {
        multi_vectors: HashMap::from([("v".to_owned(), multi(&[&[1.0; 4]]))]),
        ..ask_vector("c", &[1.0; 4])
    };
    let example = wire::Example {
        kind: Some(wire::example::Kind::Id("a".to_owned())),
        ..wire::Example::default()
    };
    let recommend = wire::SearchRequest {
        multi_vectors: HashMap::new(),
        recommend: Some(wire::Recommend { positive: vec![example], ..Default::default() }),
        ..ask(&[])
    };
    let diverse = wire::SearchRequest {
        diversity: Some(wire::Diversity {
            vector: Some("m".to_owned()),
            ..wire::Diversity::default()
        }),
        ..ask(&[&[1.0, 0.0]])
    };
    vec![
        search(ask(&[]), "vector `m`: a multivector has 1 to 2048 vectors, got 0"),
        search(ask(&[&[1.0; 3]]), "vector `m`: expected dimension 2, got 3"),
        search(
            wire::SearchRequest { multi_vectors: HashMap::new(), ..dense.clone() },
            "vector `m`: expected a multi vector, got a dense one",
        ),
        search(dense, "1 to 2048 vectors, got 0"),
        search(on_dense, "vector `v` is given in two forms"),
        search(recommend, "examples are compared by a dense or a sparse vector"),
        search(diverse, "hits are diversified by a dense vector"),
    ]
}
