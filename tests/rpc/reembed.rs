//! A vector takes the name of another: from one model to the next while the collection is in use.

use simile_proto::v1::vector_config::Source;
use simile_proto::v1::{self as wire};
use tonic::Code;

use super::messages::{ask, given, hit_ids, text_document};
use super::server::TestServer;

const TEXTS: [&str; 6] = [
    "the ferry leaves the harbour at noon",
    "a cat sleeps on the roof of the boat",
    "bread and ham make a sandwich",
    "the harbour freezes over in January",
    "kittens hunt mice in the barn",
    "knead the dough and let it rest",
];

fn made_by(model: &str) -> wire::VectorConfig {
    wire::VectorConfig {
        source: Some(Source::Embedder(model.to_owned())),
        ..wire::VectorConfig::default()
    }
}

fn add(server: &TestServer, name: &str, model: &str) {
    let request = wire::AddVectorRequest {
        collection: "notes".to_owned(),
        name: name.to_owned(),
        config: Some(made_by(model)),
    };
    server.ask(server.collections().add_vector(request)).unwrap();
}

fn replace(server: &TestServer, name: &str, by: &str) -> Result<wire::Collection, tonic::Status> {
    let request = wire::ReplaceVectorRequest {
        collection: "notes".to_owned(),
        name: name.to_owned(),
        by: by.to_owned(),
    };
    server.ask(server.collections().replace_vector(request))
}

/// Asks by meaning and checks which leg answers; returns what is found.
fn found(server: &TestServer, text: &str, leg: &str) -> Vec<String> {
    let question = wire::SearchRequest { mode: wire::Mode::Semantic.into(), ..ask("notes", text) };
    let answer = server.search(question);
    assert_eq!(answer.hits[0].legs[0].leg, leg);
    hit_ids(&answer).into_iter().map(str::to_owned).collect()
}

fn sound(server: &TestServer) {
    let verify = wire::VerifyRequest { collection: "notes".to_owned() };
    let verified = server.ask(server.admin().verify(verify)).unwrap();
    assert_eq!(verified.problems, Vec::<String>::new());
}

#[test]
fn a_collection_goes_over_to_another_model_and_back_and_keeps_what_is_stored_meanwhile() {
    let mut server = TestServer::without_model(|_| {});
    server.create(wire::CreateCollectionRequest {
        name: "notes".to_owned(),
        vectors: [("text".to_owned(), made_by("small-static"))].into(),
        ..Default::default()
    });
    let stored = (0..).zip(TEXTS).map(|(number, text)| text_document(&format!("d{number}"), text));
    server.store("notes", stored.collect());
    let first = found(&server, "boats in the port", "dense:text");
    assert_eq!(first.len(), 6);
    // Dense to sparse, sparse to dense, and dense to dense, whose index has a folder.
    let models = [
        ("hashed-letters", "sparse:text"),
        ("small-static", "dense:text"),
        ("small-static", "dense:text"),
        ("hashed-words", "sparse:text"),
        ("small-static", "dense:text"),
    ];
    for (round, (model, leg)) in models.into_iter().enumerate() {
        add(&server, "text-next", model);
        // What is stored between has both.
        let id = format!("between{round}");
        server.store("notes", vec![text_document(&id, "the harbour and the ferry")]);
        let after = replace(&server, "text", "text-next").unwrap();
        assert_eq!(after.vectors.keys().collect::<Vec<_>>(), ["text"], "round {round}");
        assert_eq!(after.vectors["text"].embedder, model);
        let id = format!("after{round}");
        server.store("notes", vec![text_document(&id, "the ferry in the harbour")]);
        for _ in 0..2 {
            let ids = found(&server, "the ferry in the harbour", leg);
            assert!(ids.contains(&format!("between{round}")), "round {round}: {ids:?}");
            assert!(ids.contains(&id), "round {round}: {ids:?}");
            sound(&server);
            server.restart();
        }
    }
    let last = found(&server, "boats in the port", "dense:text");
    let last: Vec<String> = last.into_iter().filter(|id| id.starts_with('d')).collect();
    let known: Vec<String> = first.into_iter().filter(|id| last.contains(id)).collect();
    assert_eq!(last, known, "the same model says the same again");
}

#[test]
fn a_vector_is_replaced_only_by_one_that_is_made() {
    let server = TestServer::without_model(|_| {});
    server.create(wire::CreateCollectionRequest {
        name: "notes".to_owned(),
        vectors: [
            ("text".to_owned(), made_by("small-static")),
            ("v".to_owned(), given(2, wire::Metric::Cosine)),
        ]
        .into(),
        ..Default::default()
    });
    for (name, by, says) in [
        ("text", "other", "has no vector `other`"),
        ("other", "text", "has no vector `other`"),
        ("text", "v", "vector `v` has no embedder"),
        ("v", "text", "vector `v` has no embedder"),
        ("text", "text", "cannot replace itself"),
    ] {
        let error = replace(&server, name, by).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        assert!(error.message().contains(says), "{error}");
    }
}
