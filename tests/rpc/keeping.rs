//! Aliases, snapshots, and vectors that come and go, over gRPC.

use std::collections::HashMap;

use simile_proto::v1::alias_change::Kind;
use simile_proto::v1::update_documents_request::{Change, Selection};
use simile_proto::v1::vector_config::Source;
use simile_proto::v1::{self as wire};
use tonic::Code;

use super::messages::{
    ask, ask_vector, collection, dense, document, fields, given, hit_ids, ids, integer, multi,
    named, part, parts, text_document,
};
use super::server::TestServer;

fn info(server: &TestServer, name: &str) -> wire::Collection {
    let request = wire::GetCollectionRequest { name: name.to_owned() };
    server.ask(server.collections().get(request)).unwrap()
}

fn change(server: &TestServer, kinds: Vec<Kind>) {
    let changes = kinds.into_iter().map(|kind| wire::AliasChange { kind: Some(kind) }).collect();
    let request = wire::ChangeAliasesRequest { changes };
    server.ask(server.collections().change_aliases(request)).unwrap();
}

fn set(alias: &str, collection: &str) -> Kind {
    Kind::Set(wire::SetAlias { alias: alias.to_owned(), collection: collection.to_owned() })
}

fn aliases(server: &TestServer) -> HashMap<String, String> {
    let request = wire::ListAliasesRequest {};
    server.ask(server.collections().list_aliases(request)).unwrap().collections
}

#[test]
fn an_alias_stands_wherever_a_collection_does() {
    let mut server = TestServer::without_model(|_| {});
    for (name, at) in [("one", [1.0, 0.0]), ("two", [0.0, 1.0])] {
        server.create(collection(name, 2));
        server.store(name, vec![parts(name, vec![part("a text", &at)])]);
    }
    change(&server, vec![set("live", "one")]);
    assert_eq!(hit_ids(&server.search(ask_vector("live", &[1.0, 1.0]))), ["one"]);
    server.store("live", vec![parts("more", vec![part("a text", &[1.0, 1.0])])]);
    assert_eq!(info(&server, "live").documents, 2);
    assert_eq!(info(&server, "live").aliases, ["live"]);
    let rename = Kind::Rename(wire::RenameAlias { alias: "live".into(), to: "old".into() });
    change(&server, vec![rename, set("live", "two")]);
    server.restart();
    assert_eq!(hit_ids(&server.search(ask_vector("live", &[1.0, 1.0]))), ["two"]);
    let both = HashMap::from([("live", "two"), ("old", "one")].map(|(a, c)| (a.into(), c.into())));
    assert_eq!(aliases(&server), both);
    let delete = wire::DeleteCollectionRequest { name: "live".to_owned() };
    let refused = server.ask(server.collections().delete(delete)).unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    let delete = wire::DeleteCollectionRequest { name: "two".to_owned() };
    server.ask(server.collections().delete(delete)).unwrap();
    change(&server, vec![Kind::Delete("old".to_owned())]);
    assert!(aliases(&server).is_empty());
}

/// Takes a snapshot of `notes` and returns its bytes.
fn downloaded(server: &TestServer, name: &str) -> Vec<u8> {
    let request =
        wire::CreateSnapshotRequest { collection: "notes".to_owned(), name: Some(name.to_owned()) };
    let taken = server.ask(server.snapshots().create(request)).unwrap();
    let request =
        wire::DownloadSnapshotRequest { collection: "notes".to_owned(), name: name.to_owned() };
    let bytes = server.wait(async {
        let mut pieces = server.snapshots().download(request).await.unwrap().into_inner();
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.message().await.unwrap() {
            bytes.extend(piece.bytes);
        }
        bytes
    });
    assert_eq!(bytes.len() as u64, taken.bytes);
    bytes
}

fn restore(server: &TestServer, name: &str, bytes: &[u8]) -> Result<wire::Snapshot, tonic::Status> {
    let mut messages = vec![wire::RestoreSnapshotRequest {
        collection: name.to_owned(),
        ..wire::RestoreSnapshotRequest::default()
    }];
    messages.extend(bytes.chunks(1_000).map(|piece| wire::RestoreSnapshotRequest {
        bytes: piece.to_vec(),
        ..wire::RestoreSnapshotRequest::default()
    }));
    server.ask(server.snapshots().restore(tokio_stream::iter(messages)))
}

#[test]
fn a_snapshot_goes_to_another_server() {
    let server = TestServer::without_model(|_| {});
    server.create(collection("notes", 3));
    let document = |number: u8| wire::Document {
        payload: fields([("number", integer(i64::from(number)))]),
        ..parts(&format!("d{number}"), vec![part("a cat", &[f32::from(number), 1.0, 0.5])])
    };
    server.store("notes", (0..40).map(document).collect());
    let bytes = downloaded(&server, "monday");
    let listed = server.ask(server.snapshots().list(wire::ListSnapshotsRequest::default()));
    let listed = listed.unwrap().snapshots;
    assert_eq!((listed.len(), listed[0].documents, listed[0].sequence), (1, 40, 40));

    let other = TestServer::without_model(|_| {});
    let mut changed = bytes.clone();
    changed[bytes.len() / 2] ^= 1;
    let refused = restore(&other, "copy", &changed).unwrap_err();
    assert_eq!(refused.code(), Code::DataLoss, "{refused}");
    assert!(refused.message().contains("the snapshot is damaged"), "{refused}");
    let refused = restore(&other, "copy", &bytes[..bytes.len() / 2]).unwrap_err();
    assert!(refused.message().contains("it ends early"), "{refused}");
    let restored = restore(&other, "copy", &bytes).unwrap();
    assert_eq!((restored.collection.as_str(), restored.documents), ("copy", 40));
    let question = ask_vector("copy", &[7.0, 1.0, 0.5]);
    let here =
        server.search(wire::SearchRequest { collection: "notes".into(), ..question.clone() });
    let there = other.search(question);
    assert_eq!(there.hits, here.hits);
    // One that the server keeps.
    let kept = wire::RestoreSnapshotRequest {
        collection: "again".to_owned(),
        snapshot: Some(wire::SnapshotName { collection: "notes".into(), name: "monday".into() }),
        ..wire::RestoreSnapshotRequest::default()
    };
    server.ask(server.snapshots().restore(tokio_stream::iter(vec![kept]))).unwrap();
    assert_eq!(info(&server, "again").documents, 40);
    let delete = wire::DeleteSnapshotRequest { collection: "notes".into(), name: "monday".into() };
    server.ask(server.snapshots().delete(delete.clone())).unwrap();
    let gone = server.ask(server.snapshots().delete(delete)).unwrap_err();
    assert_eq!(gone.code(), Code::NotFound, "{gone}");
    let jobs = server.ask(server.jobs().list(wire::ListJobsRequest {})).unwrap().jobs;
    let kinds: Vec<&str> = jobs.iter().map(|job| job.kind.as_str()).collect();
    assert!(kinds.contains(&"snapshot") && kinds.contains(&"restore"), "{kinds:?}");
}

fn add(server: &TestServer, name: &str, config: wire::VectorConfig) -> wire::Collection {
    let request = wire::AddVectorRequest {
        collection: "notes".to_owned(),
        name: name.to_owned(),
        config: Some(config),
    };
    server.ask(server.collections().add_vector(request)).unwrap()
}

fn update(server: &TestServer, updates: Vec<wire::VectorsUpdate>) -> wire::UpdateDocumentsResponse {
    let request = wire::UpdateVectorsRequest {
        collection: "notes".to_owned(),
        updates,
        ..wire::UpdateVectorsRequest::default()
    };
    server.ask(server.documents().update_vectors(request)).unwrap()
}

fn with(id: &str, set: wire::Vectors) -> wire::VectorsUpdate {
    wire::VectorsUpdate { id: id.to_owned(), set: Some(set), ..wire::VectorsUpdate::default() }
}

fn vectors_of(server: &TestServer, id: &str) -> wire::Part {
    let request = wire::GetDocumentsRequest {
        collection: "notes".to_owned(),
        ids: vec![id.to_owned()],
        with_vectors: true,
    };
    let mut found = server.ask(server.documents().get(request)).unwrap().documents;
    found.remove(0).parts.remove(0)
}

#[test]
fn given_vectors_are_added_set_deleted_and_dropped_while_the_collection_is_in_use() {
    let mut server = TestServer::without_model(|_| {});
    server.create(collection("notes", 2));
    let stored = |id: &str, at: f32| wire::Document {
        payload: fields([("year", integer(2020))]),
        ..parts(id, vec![part("a cat", &[at, 1.0])])
    };
    server.store("notes", vec![stored("a", 0.0), stored("b", 1.0), stored("c", 2.0)]);
    let added = add(&server, "w", given(3, wire::Metric::Dot));
    assert_eq!((added.vectors["w"].dimension, added.vectors["w"].filling), (3, false));
    add(
        &server,
        "m",
        wire::VectorConfig {
            source: Some(Source::Multi(wire::MultiConfig { dimension: 2 })),
            ..wire::VectorConfig::default()
        },
    );
    let w = |at: f32| wire::Vectors { by_name: named("w", &[at, 0.0, 1.0]), ..Default::default() };
    let m = wire::Vectors {
        multi_by_name: HashMap::from([("m".to_owned(), multi(&[&[1.0, 0.0], &[0.0, 1.0]]))]),
        ..Default::default()
    };
    let done = update(
        &server,
        vec![with("a", w(1.0)), with("b", w(5.0)), with("none", w(1.0)), with("c", m)],
    );
    assert_eq!((done.updated, done.missing), (3, vec!["none".to_owned()]));
    let ask_w = |at: f32| wire::SearchRequest {
        vectors: named("w", &[at, 0.0, 0.0]),
        ..ask_vector("notes", &[])
    };
    for life in 0..2 {
        let answer = server.search(ask_w(1.0));
        assert_eq!(hit_ids(&answer), ["b", "a"], "life {life}");
        assert_eq!(answer.hits[0].score, 5.0);
        // What was there is as it was, and so is the payload.
        assert_eq!(vectors_of(&server, "b").vectors["w"], dense(&[5.0, 0.0, 1.0]));
        assert_eq!(vectors_of(&server, "b").text, "a cat");
        assert_eq!(answer.hits[0].payload, fields([("year", integer(2020))]));
        assert_eq!(hit_ids(&server.search(ask_vector("notes", &[0.0, 1.0])))[0], "a");
        server.restart();
    }
    // The same again is nothing to do; what is deleted is not found.
    assert_eq!(update(&server, vec![with("a", w(1.0))]).unchanged, 1);
    let delete = wire::VectorsUpdate {
        id: "b".to_owned(),
        delete: vec!["w".to_owned()],
        ..wire::VectorsUpdate::default()
    };
    assert_eq!(update(&server, vec![delete]).updated, 1);
    assert_eq!(hit_ids(&server.search(ask_w(1.0))), ["a"]);
    let all = wire::UpdateDocumentsRequest {
        collection: "notes".to_owned(),
        selection: Some(Selection::Ids(ids(["a", "c"]))),
        change: Some(Change::DeleteVectors(wire::VectorNames { names: vec!["w".to_owned()] })),
        ..Default::default()
    };
    let done = server.ask(server.documents().update(all)).unwrap();
    assert_eq!((done.updated, done.unchanged), (1, 1));
    assert!(server.search(ask_w(1.0)).hits.is_empty());
    // Dropped, and added again under the same name with another dimension.
    let drop_w = wire::DropVectorRequest { collection: "notes".into(), name: "w".into() };
    let left = server.ask(server.collections().drop_vector(drop_w)).unwrap();
    assert!(!left.vectors.contains_key("w"));
    let refused = server.ask(server.searches().search(ask_w(1.0))).unwrap_err();
    assert!(refused.message().contains("no vector `w`"), "{refused}");
    add(&server, "w", given(2, wire::Metric::Cosine));
    let short = wire::Vectors { by_name: named("w", &[0.0, 3.0]), ..Default::default() };
    update(&server, vec![with("c", short)]);
    server.restart();
    let question =
        wire::SearchRequest { vectors: named("w", &[1.0, 1.0]), ..ask_vector("notes", &[]) };
    assert_eq!(hit_ids(&server.search(question)), ["c"]);
    let verify = wire::VerifyRequest { collection: "notes".to_owned() };
    let verified = server.ask(server.admin().verify(verify)).unwrap();
    assert_eq!(verified.problems, Vec::<String>::new());
}

#[test]
fn a_vector_that_is_added_is_made_of_the_texts_that_are_stored() {
    let mut server = TestServer::without_model(|_| {});
    server.create(wire::CreateCollectionRequest {
        name: "notes".to_owned(),
        words_only: true,
        ..Default::default()
    });
    let texts = ["the ferry leaves the harbour", "a cat sleeps on the roof", "harbour and ferry"];
    let stored = (0..).zip(texts).map(|(number, text)| text_document(&format!("d{number}"), text));
    server.store("notes", stored.collect());
    let hashed = wire::VectorConfig {
        source: Some(Source::Embedder("hashed-words".to_owned())),
        ..wire::VectorConfig::default()
    };
    let filled = add(&server, "terms", hashed);
    assert!(filled.vectors["terms"].sparse && !filled.vectors["terms"].filling);
    assert_eq!(filled.vectors["terms"].head, 3);
    server.store("notes", vec![text_document("d3", "the harbour at night")]);
    for _ in 0..2 {
        let question = wire::SearchRequest {
            mode: wire::Mode::Semantic.into(),
            ..ask("notes", "ferry harbour")
        };
        let answer = server.search(question);
        assert_eq!(answer.hits[0].legs[0].leg, "sparse:terms");
        assert_eq!(hit_ids(&answer).len(), 3, "{:?}", hit_ids(&answer));
        server.restart();
    }
    let jobs = server.ask(server.jobs().list(wire::ListJobsRequest {})).unwrap().jobs;
    assert!(jobs.is_empty(), "a restart forgets them: {jobs:?}");
    let verify = wire::VerifyRequest { collection: "notes".to_owned() };
    let verified = server.ask(server.admin().verify(verify)).unwrap();
    assert_eq!(verified.problems, Vec::<String>::new());
    // Texts are cut in another way from now on.
    let words = "one two three four five six seven eight nine ten. ".repeat(4);
    let cut = |id: &str| {
        server.store("notes", vec![document(id, wire::document::Content::Text(words.clone()))]);
        let get = wire::GetDocumentsRequest {
            collection: "notes".to_owned(),
            ids: vec![id.to_owned()],
            with_vectors: false,
        };
        server.ask(server.documents().get(get)).unwrap().documents[0].parts.len()
    };
    let before = cut("before");
    let change = wire::ChangeCollectionRequest {
        name: "notes".to_owned(),
        chunk: Some(wire::ChunkConfig { tokens_max: Some(10), tokens_overlap: Some(0) }),
        ..Default::default()
    };
    let changed = server.ask(server.collections().change(change)).unwrap();
    assert_eq!(changed.chunk.unwrap().tokens_max, Some(10));
    assert!(before == 1 && cut("after") >= 4);
}
