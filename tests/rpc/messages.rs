//! Short ways to write the messages of the contract.

use std::collections::HashMap;

use simile_proto::v1::document::Content;
use simile_proto::v1::field_condition::Condition;
use simile_proto::v1::filter::Kind as FilterKind;
use simile_proto::v1::upsert_result::Outcome;
use simile_proto::v1::value::Kind;
use simile_proto::v1::vector_config::Source;
use simile_proto::v1::{self as wire};

pub(super) fn value(kind: Kind) -> wire::Value {
    wire::Value { kind: Some(kind) }
}

pub(super) fn integer(integer: i64) -> wire::Value {
    value(Kind::Integer(integer))
}

pub(super) fn float(float: f64) -> wire::Value {
    value(Kind::Float(float))
}

pub(super) fn text(text: &str) -> wire::Value {
    value(Kind::Text(text.to_owned()))
}

pub(super) fn array(values: impl IntoIterator<Item = wire::Value>) -> wire::Value {
    value(Kind::Array(wire::Array { values: values.into_iter().collect() }))
}

pub(super) fn fields<const N: usize>(
    fields: [(&str, wire::Value); N],
) -> HashMap<String, wire::Value> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

pub(super) fn dense(components: &[f32]) -> wire::DenseVector {
    wire::DenseVector { components: components.to_vec() }
}

pub(super) fn named(name: &str, components: &[f32]) -> HashMap<String, wire::DenseVector> {
    HashMap::from([(name.to_owned(), dense(components))])
}

/// A vector that clients give.
pub(super) fn given(dimension: u32, metric: wire::Metric) -> wire::VectorConfig {
    wire::VectorConfig {
        source: Some(Source::Dimension(dimension)),
        metric: metric.into(),
        ..wire::VectorConfig::default()
    }
}

/// A collection with one given vector `v`, compared by cosine, and words.
pub(super) fn collection(name: &str, dimension: u32) -> wire::CreateCollectionRequest {
    wire::CreateCollectionRequest {
        name: name.to_owned(),
        vectors: HashMap::from([("v".to_owned(), given(dimension, wire::Metric::Cosine))]),
        ..wire::CreateCollectionRequest::default()
    }
}

/// A collection whose texts are embedded by the default model.
pub(super) fn texts(name: &str) -> wire::CreateCollectionRequest {
    wire::CreateCollectionRequest { name: name.to_owned(), ..Default::default() }
}

pub(super) fn document(id: &str, content: Content) -> wire::Document {
    wire::Document { id: id.to_owned(), content: Some(content), ..wire::Document::default() }
}

pub(super) fn text_document(id: &str, text: &str) -> wire::Document {
    document(id, Content::Text(text.to_owned()))
}

pub(super) fn file(id: &str, name: &str, bytes: &[u8]) -> wire::Document {
    let file = wire::File { name: name.to_owned(), bytes: bytes.to_vec(), media_type: None };
    document(id, Content::File(file))
}

pub(super) fn part(text: &str, v: &[f32]) -> wire::Part {
    wire::Part { text: text.to_owned(), vectors: named("v", v), ..wire::Part::default() }
}

pub(super) fn parts(id: &str, parts: Vec<wire::Part>) -> wire::Document {
    document(id, Content::Parts(wire::PartList { parts }))
}

/// The messages that store documents.
pub(super) fn upserts(
    collection: &str,
    documents: Vec<wire::Document>,
) -> tokio_stream::Iter<std::vec::IntoIter<wire::UpsertRequest>> {
    let message = |document| wire::UpsertRequest {
        collection: collection.to_owned(),
        document: Some(document),
        ..wire::UpsertRequest::default()
    };
    tokio_stream::iter(documents.into_iter().map(message).collect::<Vec<_>>())
}

/// What became of a document, in a word; of an error, its code and message.
pub(super) fn outcome(result: &wire::UpsertResult) -> String {
    match result.outcome.as_ref().unwrap() {
        Outcome::Stored(stored) if stored.replaced => "replaced".to_owned(),
        Outcome::Stored(_) => "stored".to_owned(),
        Outcome::Unchanged(_) => "unchanged".to_owned(),
        Outcome::Error(error) => format!("{}: {}", error.code, error.message),
    }
}

pub(super) fn filter(kind: FilterKind) -> wire::Filter {
    wire::Filter { kind: Some(kind) }
}

pub(super) fn field(path: &str, condition: Condition) -> wire::Filter {
    let condition = wire::FieldCondition { path: path.to_owned(), condition: Some(condition) };
    filter(FilterKind::Field(condition))
}

pub(super) fn equals(path: &str, value: wire::Value) -> wire::Filter {
    field(path, Condition::Equals(value))
}

pub(super) fn not(inner: wire::Filter) -> wire::Filter {
    filter(FilterKind::Not(Box::new(inner)))
}

pub(super) fn ids<const N: usize>(ids: [&str; N]) -> wire::DocumentIds {
    wire::DocumentIds { ids: ids.map(str::to_owned).to_vec() }
}

/// A question in words or in meaning.
pub(super) fn ask(collection: &str, text: &str) -> wire::SearchRequest {
    wire::SearchRequest {
        collection: collection.to_owned(),
        text: Some(text.to_owned()),
        ..wire::SearchRequest::default()
    }
}

/// A question as a vector `v`.
pub(super) fn ask_vector(collection: &str, v: &[f32]) -> wire::SearchRequest {
    wire::SearchRequest {
        collection: collection.to_owned(),
        vectors: named("v", v),
        ..wire::SearchRequest::default()
    }
}

/// Several vectors.
pub(super) fn multi(rows: &[&[f32]]) -> wire::MultiVector {
    wire::MultiVector { vectors: rows.iter().map(|row| dense(row)).collect() }
}

/// A collection with one given multivector `m`, and words.
pub(super) fn multi_collection(
    name: &str,
    dimension: u32,
    metric: wire::Metric,
) -> wire::CreateCollectionRequest {
    let config = wire::VectorConfig {
        source: Some(Source::Multi(wire::MultiConfig { dimension })),
        metric: metric.into(),
        ..wire::VectorConfig::default()
    };
    wire::CreateCollectionRequest {
        vectors: HashMap::from([("m".to_owned(), config)]),
        ..texts(name)
    }
}

/// A part with a multivector `m`.
pub(super) fn multi_part(text: &str, m: &[&[f32]]) -> wire::Part {
    let multi_vectors = HashMap::from([("m".to_owned(), multi(m))]);
    wire::Part { text: text.to_owned(), multi_vectors, ..wire::Part::default() }
}

/// A question as a multivector `m`.
pub(super) fn ask_multi(collection: &str, m: &[&[f32]]) -> wire::SearchRequest {
    wire::SearchRequest {
        collection: collection.to_owned(),
        multi_vectors: HashMap::from([("m".to_owned(), multi(m))]),
        ..wire::SearchRequest::default()
    }
}

pub(super) fn hit_ids(answer: &wire::SearchResponse) -> Vec<&str> {
    answer.hits.iter().map(|hit| hit.id.as_str()).collect()
}

/// A small generator, so that a seed gives the same data everywhere.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_041);
        (self.0 >> 33) % bound
    }

    /// A component of a vector, -1 to 1.
    pub(super) fn component(&mut self) -> f32 {
        self.below(1 << 20) as f32 / 524_288.0 - 1.0
    }

    pub(super) fn vector(&mut self, dimension: usize) -> Vec<f32> {
        (0..dimension).map(|_| self.component()).collect()
    }

    pub(super) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }
}

/// Returns from when to when each part of a document is, in milliseconds.
pub(super) fn moments(document: &wire::StoredDocument) -> Vec<(u64, u64)> {
    let spans = document.parts.iter().map(|part| part.span.as_ref().unwrap());
    spans.map(|span| (span.start_ms.unwrap(), span.end_ms.unwrap())).collect()
}
