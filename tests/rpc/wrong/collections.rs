use std::collections::HashMap;

use simile_proto::v1::vector_config::Source;
use simile_proto::v1::{self as wire};
use tonic::Code;

use super::super::messages::{collection, given};
use super::{Row, row};

pub(super) fn rows() -> Vec<Row> {
    let mut rows = names();
    rows.extend(vectors());
    rows.extend(chunks());
    rows.extend(about());
    for method in ["Collections/Get", "Collections/Delete"] {
        // Both requests are a name.
        let named = |name: &str| wire::GetCollectionRequest { name: name.to_owned() };
        rows.extend([
            row(method, &named("none"), Code::NotFound, "there is no collection `none`"),
            row(method, &named(""), Code::InvalidArgument, "1 to 64 of the letters .. got ``"),
            row(method, &named("../c"), Code::InvalidArgument, "1 to 64 .. got `../c`"),
        ]);
    }
    rows
}

fn create(request: &wire::CreateCollectionRequest, code: Code, says: &str) -> Row {
    row("Collections/Create", request, code, says)
}

fn names() -> Vec<Row> {
    let wrong = Code::InvalidArgument;
    let long = "x".repeat(65);
    let many: HashMap<_, _> =
        (0..17).map(|n| (format!("v{n}"), given(2, wire::Metric::Cosine))).collect();
    let vectors = |name: &str| HashMap::from([(name.to_owned(), given(2, wire::Metric::Cosine))]);
    vec![
        create(&collection("c", 4), Code::AlreadyExists, "there is a collection `c` already"),
        create(&collection("", 4), wrong, "the name of a collection has 1 to 64 .. got ``"),
        create(&collection("a/b", 4), wrong, "the name of a collection has 1 to 64 .. got `a/b`"),
        create(&collection("猫", 4), wrong, "letters A-Z a-z 0-9 _ - .. got `猫`"),
        create(&collection(&long, 4), wrong, &format!("1 to 64 .. got `{long}`")),
        create(
            &wire::CreateCollectionRequest { vectors: vectors("a b"), ..collection("n", 4) },
            wrong,
            "the name of a vector has 1 to 64 .. got `a b`",
        ),
        create(
            &wire::CreateCollectionRequest { vectors: many, ..collection("n", 4) },
            wrong,
            "a collection has at most 16 vectors, got 17",
        ),
    ]
}

fn vectors() -> Vec<Row> {
    let wrong = Code::InvalidArgument;
    let usual = given(4, wire::Metric::Cosine);
    let with = |config: wire::VectorConfig| wire::CreateCollectionRequest {
        vectors: HashMap::from([("v".to_owned(), config)]),
        ..collection("n", 4)
    };
    let dimension = |dimension| with(given(dimension, wire::Metric::Cosine));
    let embedder = |name: &str| {
        with(wire::VectorConfig {
            source: Some(Source::Embedder(name.to_owned())),
            ..wire::VectorConfig::default()
        })
    };
    let links = |m| with(wire::VectorConfig { hnsw_m: Some(m), ..usual.clone() });
    let breadth = |ef| with(wire::VectorConfig { hnsw_ef_construction: Some(ef), ..usual.clone() });
    vec![
        create(&with(wire::VectorConfig::default()), wrong, "embedder or the dimension .. missing"),
        create(&dimension(0), wrong, "vector `v` has dimension 0, expected 1 to 8192"),
        create(&dimension(8_193), wrong, "vector `v` has dimension 8193, expected 1 to 8192"),
        create(&links(1), wrong, "vector `v` .. links_max .. 1 .. 2 .. 128"),
        create(&links(129), wrong, "vector `v` .. links_max .. 129 .. 2 .. 128"),
        create(&breadth(7), wrong, "vector `v` .. ef_construction .. 7 .. 8 .. 4096"),
        create(&breadth(4_097), wrong, "vector `v` .. ef_construction .. 4097 .. 4096"),
        create(
            &with(wire::VectorConfig { metric: 9, ..usual.clone() }),
            wrong,
            "metric 9 is not known",
        ),
        create(
            &with(wire::VectorConfig { quantisation: 9, ..usual }),
            wrong,
            "quantisation 9 is not known",
        ),
        create(
            &embedder("none"),
            Code::NotFound,
            "no model is called `none`; known are .. all-minilm-l6-v2",
        ),
        create(
            &embedder("all-minilm-l6-v2"),
            Code::Unavailable,
            "model all-minilm-l6-v2 is not loaded",
        ),
        create(
            &wire::CreateCollectionRequest { name: "n".to_owned(), ..Default::default() },
            Code::Unavailable,
            "model all-minilm-l6-v2 is not loaded",
        ),
    ]
}

/// What is said of a collection, and what is changed of one in use.
fn about() -> Vec<Row> {
    let wrong = Code::InvalidArgument;
    let tenant = |path: &str| wire::CreateCollectionRequest {
        tenant: path.to_owned(),
        ..collection("n", 4)
    };
    let long =
        wire::CreateCollectionRequest { description: "x".repeat(4_097), ..collection("n", 4) };
    let nameless = wire::CreateCollectionRequest {
        metadata: HashMap::from([(String::new(), "x".to_owned())]),
        ..collection("n", 4)
    };
    let change = |vector: &str, change: wire::VectorChange, says: &str| {
        let request = wire::ChangeCollectionRequest {
            name: "c".to_owned(),
            vectors: HashMap::from([(vector.to_owned(), change)]),
            ..Default::default()
        };
        row("Collections/Change", &request, wrong, says)
    };
    let usual = wire::VectorChange::default;
    vec![
        create(&tenant("a..b"), wrong, "`a..b` is no field that names tenants"),
        create(
            &tenant(&"x".repeat(257)),
            wrong,
            "the field of tenants: at most 256 bytes, got 257",
        ),
        create(&long, wrong, "the description: at most 4096 bytes, got 4097"),
        create(&nameless, wrong, "an entry of metadata has no name"),
        change("x", usual(), "the collection has no vector `x`; it has v"),
        change(
            "v",
            wire::VectorChange { hnsw_m: Some(1), ..usual() },
            "links_max .. 1 .. 2 .. 128",
        ),
        change("v", wire::VectorChange { quantisation: 9, ..usual() }, "quantisation 9 is not"),
        change("v", wire::VectorChange { ef: Some(5_000), ..usual() }, "at most 4096, got 5000"),
    ]
}

fn chunks() -> Vec<Row> {
    let chunk = |tokens_max, tokens_overlap| wire::CreateCollectionRequest {
        chunk: Some(wire::ChunkConfig { tokens_max, tokens_overlap }),
        ..collection("n", 4)
    };
    let wrong = Code::InvalidArgument;
    vec![
        create(&chunk(Some(0), None), wrong, "tokens_max is 0, expected 1 to 8192"),
        create(&chunk(Some(8_193), None), wrong, "tokens_max is 8193, expected 1 to 8192"),
        create(
            &chunk(Some(100), Some(100)),
            wrong,
            "tokens_overlap is 100, expected less than tokens_max, which is 100",
        ),
    ]
}
