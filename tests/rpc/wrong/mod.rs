//! One table of wrong requests for every method of the contract, each with the status and the words
//! that answer it: what was wrong, and what is expected.

mod collections;
mod documents;
mod filters;
mod keeping;
mod model;
mod multi;
mod others;
mod qdrant;
mod search;

use std::collections::{BTreeSet, HashMap};

use prost::Message;
use simile_proto::v1::upsert_result::Outcome;
use simile_proto::v1::{self as wire};
use tonic::{Code, Status};

use super::exchange::methods;
use super::messages::{collection, fields, given, integer, multi_collection, part, parts, text};
use super::server::TestServer;

/// A wrong request and its answer.
struct Row {
    /// As `simile.v1.Documents/Get`.
    method: String,
    /// The messages of the request.
    request: Vec<Vec<u8>>,
    code: Code,
    /// What the message of the status contains.
    says: Vec<String>,
}

/// Returns the row of a request of one message; `says` is split at ` .. `.
fn row(method: &str, request: &impl Message, code: Code, says: &str) -> Row {
    raw(method, vec![request.encode_to_vec()], code, says)
}

fn raw(method: &str, request: Vec<Vec<u8>>, code: Code, says: &str) -> Row {
    let method = match method.starts_with("qdrant.") {
        true => method.to_owned(),
        false => format!("simile.v1.{method}"),
    };
    Row { method, request, code, says: says.split(" .. ").map(str::to_owned).collect() }
}

fn rows() -> Vec<Row> {
    let mut rows = collections::rows();
    rows.extend(documents::rows());
    rows.extend(filters::rows());
    rows.extend(model::rows());
    rows.extend(keeping::rows());
    rows.extend(multi::rows());
    rows.extend(search::rows());
    rows.extend(others::rows());
    rows.extend(qdrant::rows());
    rows
}

/// What the rows speak of: `c` with a vector `v` of dimension 4 and one document, `other` with two
/// vectors and no words, `multi` with a multivector `m` of dimension 2.
fn prepare(server: &TestServer) {
    server.create(collection("c", 4));
    let mut document = parts("a", vec![part("a cat on the roof", &[1.0, 0.0, 0.0, 0.0])]);
    document.payload = fields([("year", integer(2024)), ("name", text("cat"))]);
    server.store("c", vec![document]);
    server.create(wire::CreateCollectionRequest {
        name: "other".to_owned(),
        vectors: HashMap::from(
            ["v", "w"].map(|name| (name.to_owned(), given(2, wire::Metric::Euclidean))),
        ),
        lexical: Some(wire::LexicalConfig { disabled: true }),
        ..Default::default()
    });
    server.create(multi_collection("multi", 2, wire::Metric::Cosine));
}

/// Returns what refuses the request: the status, or the error of the one item of an upsert.
fn refusal(server: &TestServer, row: &Row) -> Result<(String, String), String> {
    match server.exchange(&row.method, row.request.clone()) {
        Err(status) => Ok((name_of(status.code()), status.message().to_owned())),
        Ok(answers) if row.method.ends_with("Documents/Upsert") => {
            let last = answers.last().ok_or("no result")?;
            let result = wire::UpsertResult::decode(last.as_slice()).map_err(|e| e.to_string())?;
            match result.outcome {
                Some(Outcome::Error(error)) => Ok((error.code, error.message)),
                other => Err(format!("{other:?}")),
            }
        }
        Ok(answers) => Err(format!("{} messages", answers.len())),
    }
}

/// The name of a code as item errors spell it.
fn name_of(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[test]
fn every_wrong_request_is_refused_with_its_code_and_both_sides_named() {
    let server = TestServer::without_model(|_| {});
    prepare(&server);
    let mut failures = Vec::new();
    for row in rows() {
        let expected = format!("{} {}", name_of(row.code), row.says.join(" .. "));
        match refusal(&server, &row) {
            Ok((code, message)) => {
                let says_all = row.says.iter().all(|words| message.contains(words.as_str()));
                if code != name_of(row.code) || !says_all {
                    failures.push(format!(
                        "{}\n   want {expected}\n   got  {code} {message}",
                        row.method
                    ));
                }
            }
            Err(answer) => {
                failures.push(format!(
                    "{}\n   want {expected}\n   got an answer: {answer}",
                    row.method
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{} rows:\n{}", failures.len(), failures.join("\n"));
    // Nothing of all that has changed what is stored, or that more can be.
    let count = wire::CountRequest { collection: "c".to_owned(), filter: None };
    assert_eq!(server.ask(server.documents().count(count)).unwrap().documents, 1);
    server.store("c", vec![parts("b", vec![part("a dog", &[0.0, 1.0, 0.0, 0.0])])]);
}

#[test]
fn every_method_of_the_contract_has_a_row() {
    let rows: BTreeSet<String> = rows().into_iter().map(|row| row.method).collect();
    assert_eq!(rows, methods());
}

#[test]
fn bytes_that_are_no_message_and_messages_that_are_too_large_are_refused_by_every_method() {
    let server = TestServer::without_model(|options| options.message_bytes_max = 1 << 16);
    let is = |result: Result<Vec<Vec<u8>>, Status>, code, words: &str| match result {
        Err(status) => status.code() == code && status.message().contains(words),
        Ok(_) => false,
    };
    for method in methods() {
        let garbage = server.exchange(&method, vec![others::GARBAGE.to_vec()]);
        let shown = format!("{method}: {garbage:?}");
        assert!(is(garbage, Code::Internal, "failed to decode Protobuf message"), "{shown}");
        let large = server.exchange(&method, vec![vec![0; (1 << 16) + 1]]);
        let shown = format!("{method}: {large:?}");
        let words = "found 65537 bytes, the limit is: 65536 bytes";
        assert!(is(large, Code::OutOfRange, words), "{shown}");
    }
}

#[test]
fn a_method_that_is_not_there_is_unimplemented() {
    let server = TestServer::without_model(|_| {});
    for method in ["simile.v1.Documents/Rename", "simile.v2.Documents/Get"] {
        let status = server.exchange(method, vec![Vec::new()]).unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{status}");
    }
}
