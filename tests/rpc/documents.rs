use simile_proto::v1::delete_documents_request::Selection;
use simile_proto::v1::upsert_result::Outcome;
use simile_proto::v1::value::Kind;
use simile_proto::v1::{self as wire};

use super::messages::{
    array, collection, equals, fields, file, float, ids, integer, outcome, part, parts, text,
    text_document, texts, value,
};
use super::server::TestServer;

fn server() -> TestServer {
    let server = TestServer::without_model(|_| {});
    server.create(collection("c", 2));
    server
}

fn simple(id: &str, group: i64) -> wire::Document {
    let mut document = parts(id, vec![part(&format!("text of {id}"), &[1.0, group as f32])]);
    document.payload = fields([("group", integer(group))]);
    document
}

fn get(server: &TestServer, wanted: &[&str], with_vectors: bool) -> Vec<wire::StoredDocument> {
    let request = wire::GetDocumentsRequest {
        collection: "c".to_owned(),
        ids: wanted.iter().map(ToString::to_string).collect(),
        with_vectors,
    };
    server.ask(server.documents().get(request)).unwrap().documents
}

fn delete(server: &TestServer, selection: Selection) -> wire::DeleteDocumentsResponse {
    let collection = "c".to_owned();
    let request = wire::DeleteDocumentsRequest {
        collection,
        selection: Some(selection),
        ..Default::default()
    };
    server.ask(server.documents().delete(request)).unwrap()
}

fn count(server: &TestServer, filter: Option<wire::Filter>) -> (u64, u64) {
    let request = wire::CountRequest { collection: "c".to_owned(), filter };
    let counts = server.ask(server.documents().count(request)).unwrap();
    (counts.documents, counts.parts)
}

fn stored(result: &wire::UpsertResult) -> &wire::Stored {
    match &result.outcome {
        Some(Outcome::Stored(stored)) => stored,
        other => panic!("{}: {other:?}", result.id),
    }
}

#[test]
fn each_item_of_a_stream_has_its_own_result_in_order_and_a_refused_one_ends_nothing() {
    let server = server();
    let mut changed = simple("b", 2);
    changed.payload = fields([("group", integer(3))]);
    let results = server.upsert(
        "c",
        vec![
            simple("a", 1),
            simple("b", 2),
            parts("wrong", vec![part("text", &[1.0])]),
            simple("a", 1),
            parts("", Vec::new()),
            changed,
        ],
    );
    let seen: Vec<(&str, String)> =
        results.iter().map(|result| (result.id.as_str(), outcome(result))).collect();
    let names: Vec<&str> = seen.iter().map(|(id, _)| *id).collect();
    assert_eq!(names, ["a", "b", "wrong", "a", "", "b"]);
    assert_eq!((seen[0].1.as_str(), seen[1].1.as_str()), ("stored", "stored"));
    assert_eq!(seen[2].1, "INVALID_ARGUMENT: vector `v`: expected dimension 2, got 1");
    assert_eq!(seen[3].1, "unchanged");
    assert!(seen[4].1.starts_with("INVALID_ARGUMENT: "), "{}", seen[4].1);
    assert_eq!(seen[5].1, "replaced");
    let sequences = [0, 1, 5].map(|place| stored(&results[place]).sequence);
    assert_eq!(sequences, [1, 2, 3]);
    let timings: Vec<&str> =
        stored(&results[0]).timings.iter().map(|timing| timing.stage.as_str()).collect();
    assert_eq!(timings, ["decode", "embed", "commit"]);
    assert_eq!(count(&server, None), (2, 2));
}

#[test]
fn a_thousand_versions_of_few_ids_in_one_stream_end_with_the_last_of_each() {
    let server = server();
    let documents: Vec<wire::Document> =
        (0..1_000).map(|n| simple(&format!("d{}", n % 7), n)).collect();
    let results = server.upsert("c", documents);
    let mut last = 0;
    for (place, result) in results.iter().enumerate() {
        assert_eq!(result.id, format!("d{}", place % 7));
        assert_eq!(stored(result).replaced, place >= 7, "{place}");
        assert!(stored(result).sequence > last, "{place}");
        last = stored(result).sequence;
    }
    assert_eq!((results.len(), last), (1_000, 1_000));
    for document in get(&server, &["d0", "d1", "d2", "d3", "d4", "d5", "d6"], false) {
        let Some(Kind::Integer(group)) = document.payload["group"].kind else { panic!() };
        assert!(group >= 993, "{}: {group}", document.id);
    }
}

#[test]
fn documents_come_back_as_they_were_stored_in_the_order_they_are_asked_for() {
    let server = server();
    let object =
        wire::Object { fields: fields([("inner", array([integer(i64::MIN), text("猫")]))]) };
    let span = wire::Span {
        byte_start: 3,
        byte_end: 9,
        page: Some(2),
        heading: Some("Cats > Wild".to_owned()),
        ..Default::default()
    };
    let moment = wire::Span {
        start_ms: Some(1_500),
        end_ms: Some(2_000),
        area: Some(wire::Area { left: 8, top: 0, width: 32, height: 16 }),
        ..Default::default()
    };
    let mut document = parts(
        "猫/1",
        vec![
            wire::Part { span: Some(span.clone()), ..part("first", &[3.0, 4.0]) },
            wire::Part {
                span: Some(moment.clone()),
                text: "no vector".to_owned(),
                ..Default::default()
            },
        ],
    );
    document.payload = fields([
        ("null", value(Kind::Null(true))),
        ("boolean", value(Kind::Boolean(false))),
        ("float", float(-0.5)),
        ("when", text("2024-01-31T10:00:00+08:00")),
        ("outer", value(Kind::Object(object))),
    ]);
    server.store("c", vec![simple("a", 1), document.clone(), simple("b", 2)]);
    let found = get(&server, &["b", "missing", "猫/1", "b"], true);
    let names: Vec<&str> = found.iter().map(|document| document.id.as_str()).collect();
    assert_eq!(names, ["b", "猫/1", "b"]);
    assert_eq!((found[1].sequence, &found[1].payload), (2, &document.payload));
    let parts = &found[1].parts;
    assert_eq!((parts[0].text.as_str(), parts[0].span.as_ref()), ("first", Some(&span)));
    // Cosine compares directions, so that is what is kept.
    assert_eq!(parts[0].vectors["v"].components, [0.6, 0.8]);
    assert_eq!((parts[1].text.as_str(), parts[1].span.as_ref()), ("no vector", Some(&moment)));
    assert!(parts[1].vectors.is_empty());
    assert!(get(&server, &["b"], false)[0].parts[0].vectors.is_empty());
}

#[test]
fn deleting_by_id_and_by_filter_counts_what_was_there() {
    let server = server();
    server.store("c", (0..9).map(|n| simple(&format!("d{n}"), n % 3)).collect());
    let by_id = delete(&server, Selection::Ids(ids(["d0", "missing", "d1"])));
    assert_eq!((by_id.deleted, by_id.sequence), (2, 11));
    assert_eq!(count(&server, Some(equals("group", integer(0)))), (2, 2));
    let by_filter = delete(&server, Selection::Filter(equals("group", integer(0))));
    assert_eq!((by_filter.deleted, by_filter.sequence), (2, 13));
    let nothing = delete(&server, Selection::Filter(equals("group", integer(0))));
    assert_eq!((nothing.deleted, nothing.sequence), (0, 13));
    assert_eq!(count(&server, None), (5, 5));
    let found = server.search(super::messages::ask_vector("c", &[1.0, 0.0]));
    assert_eq!(found.hits.len(), 5);
    assert!(get(&server, &["d0", "d3"], false).is_empty());
    // What was deleted may come back.
    assert_eq!(outcome(&server.upsert("c", vec![simple("d0", 0)])[0]), "stored");
}

#[test]
fn compare_names_what_is_stored_already() {
    let server = TestServer::shared();
    let name = "documents-compare";
    server.create(texts(name));
    let records = b"{\"text\": \"a cat\", \"id\": \"x\"}\n{\"text\": \"a dog\", \"id\": \"y\"}\n";
    let results = server.upsert(
        name,
        vec![text_document("text", "the harbour"), file("animals.jsonl", "animals.jsonl", records)],
    );
    let names = ["animals.jsonl#x", "animals.jsonl#y"];
    assert_eq!(stored(&results[1]).record_ids, names);
    let hash = |content: &[u8]| blake3::hash(content).as_bytes().to_vec();
    let content =
        |id: &str, bytes: &[u8]| wire::ContentHash { id: id.to_owned(), blake3: hash(bytes) };
    let compare = |contents: Vec<wire::ContentHash>| {
        let request = wire::CompareRequest { collection: name.to_owned(), contents };
        server.ask(server.documents().compare(request)).unwrap().unchanged
    };
    let unchanged = compare(vec![
        content("text", b"the harbour"),
        content("text", b"the harbor"),
        content("other", b"the harbour"),
        content("animals.jsonl", records),
        content("animals.jsonl#y", b"a dog"),
    ]);
    assert_eq!(unchanged, ["text", "animals.jsonl", "animals.jsonl#y"]);

    // A later version of the file without one of its records takes that record away.
    let fewer = file("animals.jsonl", "animals.jsonl", b"{\"text\": \"a dog\", \"id\": \"y\"}\n");
    let results = server.upsert(name, vec![fewer]);
    assert_eq!(stored(&results[0]).records_removed, 1);
    let request = wire::CountRequest { collection: name.to_owned(), filter: None };
    assert_eq!(server.ask(server.documents().count(request)).unwrap().documents, 2);
}

#[test]
fn scrolling_meets_every_document_once_in_the_order_of_ids_while_others_are_written() {
    let server = server();
    server.store("c", (0..25).map(|n| simple(&format!("d{n:02}"), n % 2)).collect());
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let request = wire::ScrollRequest {
            collection: "c".to_owned(),
            filter: Some(equals("group", integer(1))),
            after: after.clone(),
            limit: Some(5),
            with_parts: true,
            with_vectors: false,
            ..Default::default()
        };
        let page = server.ask(server.documents().scroll(request)).unwrap();
        assert!(page.documents.len() <= 5);
        assert!(page.documents.iter().all(|document| document.parts.len() == 1));
        seen.extend(page.documents.into_iter().map(|document| document.id));
        // One before where we are, one behind the end.
        let n = seen.len();
        server.store("c", vec![simple(&format!("a{n}"), 1), simple(&format!("x{n:02}"), 0)]);
        if page.next_after.is_empty() {
            break;
        }
        after = page.next_after;
    }
    let expected: Vec<String> =
        (0..25).filter(|n| n % 2 == 1).map(|n| format!("d{n:02}")).collect();
    assert_eq!(seen, expected);
}
