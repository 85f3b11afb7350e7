use simile_proto::v1::delete_documents_request::Selection;
use simile_proto::v1::document::Content;
use simile_proto::v1::value::Kind;
use simile_proto::v1::{self as wire};
use tonic::Code;

use super::super::messages::{
    array, document, fields, file, float, integer, named, part, parts, text, text_document, value,
};
use super::{Row, raw, row};

const WRONG: Code = Code::InvalidArgument;
/// Nothing is wrong with such a file, but this program does not read it.
const UNKNOWN: Code = Code::Unimplemented;

pub(super) fn rows() -> Vec<Row> {
    let mut rows = streams();
    rows.extend(sources());
    rows.extend(ids_and_payloads());
    rows.extend(contents());
    rows.extend(compares());
    rows.extend(gets());
    rows.extend(thumbnails());
    rows.extend(deletes());
    rows.extend(pages());
    rows
}

fn upsert(document: wire::Document, code: Code, says: &str) -> Row {
    row("Documents/Upsert", &message("c", Some(document)), code, says)
}

fn message(collection: &str, document: Option<wire::Document>) -> wire::UpsertRequest {
    let collection = collection.to_owned();
    wire::UpsertRequest { collection, document, ..wire::UpsertRequest::default() }
}

fn streams() -> Vec<Row> {
    let method = "Documents/Upsert";
    let good = || Some(parts("b", vec![part("text", &[1.0, 0.0, 0.0, 0.0])]));
    let two = [message("c", None), message("other", good())];
    let two = two.iter().map(prost::Message::encode_to_vec).collect();
    vec![
        raw(method, Vec::new(), WRONG, "the stream has no message"),
        row(method, &message("", good()), WRONG, "the name of the collection is missing"),
        row(method, &message("none", good()), Code::NotFound, "there is no collection `none`"),
        row(method, &message("a b", good()), WRONG, "1 to 64 of the letters .. got `a b`"),
        raw(method, two, WRONG, "began with `c` .. names `other`"),
    ]
}

/// Of a server that reads nothing itself.
fn sources() -> Vec<Row> {
    let method = "Documents/UpsertSources";
    let off = Code::FailedPrecondition;
    let message = |sources: &[&str]| wire::UpsertSourcesRequest {
        collection: "c".to_owned(),
        sources: sources.iter().map(ToString::to_string).collect(),
        ..Default::default()
    };
    let nowhere = wire::UpsertSourcesRequest { collection: "none".to_owned(), ..message(&["a"]) };
    vec![
        row(method, &message(&[]), WRONG, "what is to be read (`sources`)"),
        row(method, &message(&["a"; 1_001]), WRONG, "sources: at most 1000 .. 1001"),
        row(method, &message(&["a.txt"]), off, "`a.txt` .. ingest_root names no folder"),
        row(
            method,
            &message(&["http://127.0.0.1/"]),
            off,
            "`http://127.0.0.1/` .. ingest_urls is off",
        ),
        row(method, &message(&["file:///etc/passwd"]), off, "ingest_urls is off"),
        row(method, &nowhere, off, "ingest_root names no folder"),
    ]
}

fn ids_and_payloads() -> Vec<Row> {
    let good = || parts("b", vec![part("text", &[1.0, 0.0, 0.0, 0.0])]);
    let with_id = |id: &str| wire::Document { id: id.to_owned(), ..good() };
    let with = |name: &str, value| wire::Document { payload: fields([(name, value)]), ..good() };
    let deep = (0..16).fold(integer(1), |inner, _| array([inner]));
    let large = "x".repeat(48 * 1024);
    // Each name and the depth are allowed, and no row has room for all of them together.
    let name = "n".repeat(128);
    let long_path = (0..15).fold(integer(1), |inner, _| {
        value(Kind::Object(wire::Object { fields: fields([(&name, inner)]) }))
    });
    vec![
        upsert(with_id(""), WRONG, "a document id must not be empty"),
        upsert(with_id(&"x".repeat(513)), WRONG, "at most 512 bytes, got 513"),
        upsert(with_id("a\nb"), WRONG, "no control characters, got '\\n'"),
        upsert(with("a.b", integer(1)), WRONG, "no dot .. got `a.b`"),
        upsert(with("", integer(1)), WRONG, "a field name is not empty .. got ``"),
        upsert(with(&"n".repeat(129), integer(1)), WRONG, "at most 128 bytes"),
        upsert(with("x", float(f64::NAN)), WRONG, "field `x` holds NaN, expected .. finite float"),
        upsert(with("deep", deep), WRONG, "field `deep` is nested deeper than 16 levels"),
        upsert(with("x", text(&large)), WRONG, "at most 49152 bytes, got 49160"),
        upsert(with(&name, long_path), WRONG, "a key of table field has at most 2048 bytes, got 2"),
    ]
}

fn contents() -> Vec<Row> {
    let v = |components: &[f32]| parts("b", vec![part("text", components)]);
    let of_part = |part| parts("b", vec![part]);
    let vectors = |name: &str, components: &[f32]| {
        let by_name = named(name, components);
        document("b", Content::Vectors(wire::Vectors { by_name, ..Default::default() }))
    };
    let span = wire::Span { byte_start: 9, byte_end: 3, ..Default::default() };
    let backward = wire::Part { span: Some(span), ..part("text", &[1.0; 4]) };
    let heading = Some("h".repeat(4_097));
    let span = wire::Span { byte_end: 4, heading, ..Default::default() };
    let under = wire::Part { span: Some(span), ..part("text", &[1.0; 4]) };
    let moment = |start_ms, end_ms| {
        let span = wire::Span { start_ms, end_ms, ..Default::default() };
        wire::Part { span: Some(span), ..part("text", &[1.0; 4]) }
    };
    let span = wire::Span { byte_end: 4, start_ms: Some(1), end_ms: Some(2), ..Default::default() };
    let both = wire::Part { span: Some(span), ..part("text", &[1.0; 4]) };
    let area = Some(wire::Area { left: 1, top: 1, width: 0, height: 5 });
    let span = wire::Span { area, ..Default::default() };
    let flat = wire::Part { span: Some(span), ..part("text", &[1.0; 4]) };
    let empty = wire::Part { text: " ".to_owned(), ..wire::Part::default() };
    let nothing = wire::Document { id: "b".to_owned(), ..wire::Document::default() };
    let many = vec![wire::Part { text: "x".to_owned(), ..wire::Part::default() }; 10_001];
    vec![
        upsert(nothing, WRONG, "the document's content is missing"),
        upsert(v(&[1.0, 2.0, 3.0]), WRONG, "vector `v`: expected dimension 4, got 3"),
        upsert(v(&[]), WRONG, "vector `v`: a vector has 1 to 8192 components, got 0"),
        upsert(v(&[0.0; 8_193]), WRONG, "1 to 8192 components, got 8193"),
        upsert(v(&[1.0, f32::NAN, 0.0, 0.0]), WRONG, "vector `v`: component 1 is NaN, expected"),
        upsert(v(&[f32::INFINITY; 4]), WRONG, "component 0 is inf, expected a finite number"),
        upsert(v(&[0.0; 4]), WRONG, "vector `v`: a vector of length zero has no direction"),
        upsert(vectors("w", &[1.0; 4]), WRONG, "the collection has no vector `w`; it has v"),
        upsert(parts("b", Vec::new()), WRONG, "a document has at least one part"),
        upsert(parts("b", many), WRONG, "at most 10000 in one request, got 10001"),
        upsert(of_part(empty), WRONG, "a part has a text or a vector"),
        upsert(
            of_part(part(&"x".repeat(49_153), &[1.0; 4])),
            WRONG,
            "the text of a part has at most 49152 bytes, got 49153",
        ),
        upsert(of_part(under), WRONG, "the heading of a part has at most 4096 bytes, got 4097"),
        upsert(of_part(moment(Some(9), Some(3))), WRONG, "from 9 ms to 3 ms, expected both ends"),
        upsert(of_part(moment(Some(9), None)), WRONG, "from 9 ms to 0 ms, expected both ends"),
        upsert(of_part(both), WRONG, "a range of text and one of time or picture, expected one"),
        upsert(of_part(flat), WRONG, "a span's area is 0 by 5 pixels, expected at least 1 by 1"),
        upsert(of_part(backward), WRONG, "from byte 9 to 3, expected it to end after it starts"),
        upsert(
            text_document("b", "text"),
            WRONG,
            "vector `v` has no embedder .. parts with vectors",
        ),
        upsert(file("b", "empty.txt", b""), WRONG, "the file is empty"),
        upsert(
            file("b", "x.bin", &[0, 1, 2, 3, 0xfe, 0xff, 0]),
            UNKNOWN,
            "neither text nor a known",
        ),
        upsert(file("b", "x.pdf", b"%PDF-1.7 nothing"), WRONG, "PDF"),
        upsert(file("b", "x.zip", b"PK\x03\x04 nothing"), UNKNOWN, "zip archive is not supported"),
    ]
}

fn compares() -> Vec<Row> {
    let compare = |collection: &str, id: &str, hash: &[u8], count: usize| {
        let content = wire::ContentHash { id: id.to_owned(), blake3: hash.to_vec() };
        let collection = collection.to_owned();
        wire::CompareRequest { collection, contents: vec![content; count] }
    };
    let row =
        |request: wire::CompareRequest, code, says| row("Documents/Compare", &request, code, says);
    vec![
        row(compare("none", "a", &[0; 32], 1), Code::NotFound, "there is no collection `none`"),
        row(compare("", "a", &[0; 32], 1), WRONG, "the name of the collection is missing"),
        row(compare("c", "a", &[0; 5], 1), WRONG, "the hash of `a` has 5 bytes, expected 32"),
        row(compare("c", "", &[0; 32], 1), WRONG, "a document id must not be empty"),
        row(compare("c", "a", &[0; 32], 10_001), WRONG, "contents: at most 10000 .. got 10001"),
    ]
}

fn gets() -> Vec<Row> {
    let get = |collection: &str, id: &str, count: usize| wire::GetDocumentsRequest {
        collection: collection.to_owned(),
        ids: vec![id.to_owned(); count],
        with_vectors: false,
    };
    let row =
        |request: wire::GetDocumentsRequest, code, says| row("Documents/Get", &request, code, says);
    vec![
        row(get("none", "a", 1), Code::NotFound, "there is no collection `none`"),
        row(get("", "a", 1), WRONG, "the name of the collection is missing"),
        row(get("c", "", 1), WRONG, "a document id must not be empty"),
        row(get("c", "a", 1_001), WRONG, "ids: at most 1000 in one request, got 1001"),
    ]
}

fn thumbnails() -> Vec<Row> {
    let ask = |collection: &str, id: &str, count: usize| wire::ThumbnailsRequest {
        collection: collection.to_owned(),
        parts: vec![wire::PartName { id: id.to_owned(), part: 0 }; count],
    };
    let row = |request: wire::ThumbnailsRequest, code, says| {
        row("Documents/Thumbnails", &request, code, says)
    };
    vec![
        row(ask("none", "a", 1), Code::NotFound, "there is no collection `none`"),
        row(ask("", "a", 1), WRONG, "the name of the collection is missing"),
        row(ask("c", "", 1), WRONG, "a document id must not be empty"),
        row(ask("c", "a", 257), WRONG, "thumbnails: at most 256 in one request, got 257"),
    ]
}

fn deletes() -> Vec<Row> {
    let delete = |collection: &str, selection| wire::DeleteDocumentsRequest {
        collection: collection.to_owned(),
        selection,
        ..Default::default()
    };
    let ids = |id: &str, count| {
        Some(Selection::Ids(wire::DocumentIds { ids: vec![id.to_owned(); count] }))
    };
    let row = |request: wire::DeleteDocumentsRequest, code, says| {
        row("Documents/Delete", &request, code, says)
    };
    vec![
        row(delete("none", ids("a", 1)), Code::NotFound, "there is no collection `none`"),
        row(delete("c", None), WRONG, "the selection: ids or a filter is missing"),
        row(delete("c", ids("a\tb", 1)), WRONG, "no control characters, got '\\t'"),
        row(delete("c", ids("a", 10_001)), WRONG, "ids: at most 10000 in one request, got 10001"),
        row(
            delete("c", Some(Selection::Filter(wire::Filter { kind: None }))),
            WRONG,
            "one of all, any, not, field, ids, at_least and nested is missing",
        ),
    ]
}

fn pages() -> Vec<Row> {
    let scroll = |collection: &str, after: &str, limit| wire::ScrollRequest {
        collection: collection.to_owned(),
        after: after.to_owned(),
        limit: Some(limit),
        ..wire::ScrollRequest::default()
    };
    let row_ =
        |request: wire::ScrollRequest, code, says| row("Documents/Scroll", &request, code, says);
    let count = wire::CountRequest { collection: "none".to_owned(), filter: None };
    vec![
        row_(scroll("none", "", 1), Code::NotFound, "there is no collection `none`"),
        row_(scroll("c", "", 0), WRONG, "limit is 0, expected 1 to 1000"),
        row_(scroll("c", "", 1_001), WRONG, "limit is 1001, expected 1 to 1000"),
        row_(scroll("c", "a\0", 1), WRONG, "no control characters, got '\\0'"),
        row("Documents/Count", &count, Code::NotFound, "there is no collection `none`"),
        row("Documents/Count", &wire::CountRequest::default(), WRONG, "name .. is missing"),
        upsert(
            wire::Document {
                payload: fields([(
                    "o",
                    value(Kind::Object(wire::Object { fields: fields([("in.ner", integer(1))]) })),
                )]),
                ..parts("b", vec![part("text", &[1.0; 4])])
            },
            WRONG,
            "no dot .. got `in.ner`",
        ),
    ]
}
