use std::collections::HashMap;

use simile_proto::v1::vector_config::Source;
use simile_proto::v1::{self as wire};
use tonic::Code;

use super::messages::{
    array, collection, fields, float, given, integer, part, parts, text, text_document, texts,
    value,
};
use super::server::TestServer;

fn get(server: &TestServer, name: &str) -> Result<wire::Collection, tonic::Status> {
    let request = wire::GetCollectionRequest { name: name.to_owned() };
    server.ask(server.collections().get(request))
}

fn list(server: &TestServer) -> Vec<wire::Collection> {
    server.ask(server.collections().list(wire::ListCollectionsRequest {})).unwrap().collections
}

fn delete(server: &TestServer, name: &str) {
    let request = wire::DeleteCollectionRequest { name: name.to_owned() };
    server.ask(server.collections().delete(request)).unwrap();
}

#[test]
fn a_collection_is_created_as_asked_listed_by_name_and_deleted_with_all_that_is_in_it() {
    let server = TestServer::without_model(|_| {});
    let asked = wire::CreateCollectionRequest {
        name: "pictures".to_owned(),
        vectors: HashMap::from([
            ("colour".to_owned(), given(3, wire::Metric::Euclidean)),
            (
                "shape".to_owned(),
                wire::VectorConfig {
                    hnsw_m: Some(8),
                    hnsw_ef_construction: Some(40),
                    quantisation: wire::Quantisation::None.into(),
                    ..given(8_192, wire::Metric::Dot)
                },
            ),
        ]),
        lexical: Some(wire::LexicalConfig { disabled: true }),
        chunk: Some(wire::ChunkConfig { tokens_max: Some(50), tokens_overlap: Some(0) }),
        ..Default::default()
    };
    let created = server.create(asked.clone());
    assert_eq!(created.state(), wire::CollectionState::Ready);
    assert_eq!((created.lexical, created.chunk), (asked.lexical, asked.chunk));
    let colour = &created.vectors["colour"];
    assert_eq!((colour.dimension, colour.metric()), (3, wire::Metric::Euclidean));
    assert_eq!((colour.embedder.as_str(), colour.fingerprint.as_str()), ("", ""));
    let shape = &created.vectors["shape"];
    assert_eq!((shape.dimension, shape.metric()), (8_192, wire::Metric::Dot));
    assert_eq!((shape.hnsw_m, shape.hnsw_ef_construction), (8, 40));
    assert_eq!(shape.quantisation(), wire::Quantisation::None);
    assert_eq!((colour.hnsw_m, colour.hnsw_ef_construction), (16, 200));
    assert_eq!(colour.quantisation(), wire::Quantisation::Int8);
    server.create(collection("a", 2));
    let names: Vec<String> = list(&server).into_iter().map(|found| found.name).collect();
    assert_eq!(names, ["a", "pictures"]);
    assert_eq!(get(&server, "pictures").unwrap().vectors, created.vectors);

    server.store("a", vec![parts("x", vec![part("cat", &[1.0, 0.0])])]);
    delete(&server, "a");
    assert_eq!(get(&server, "a").unwrap_err().code(), Code::NotFound);
    // The name is free again, and nothing is left of the one before.
    let again = server.create(collection("a", 3));
    assert_eq!((again.documents, again.last_sequence, again.fields.len()), (0, 0, 0));
    assert_eq!(again.vectors["v"].dimension, 3);
}

#[test]
fn a_collection_counts_what_is_in_it_and_knows_the_types_of_its_fields() {
    let server = TestServer::without_model(|_| {});
    server.create(collection("c", 2));
    let mut one = parts("one", vec![part("cat", &[1.0, 0.0]), part("dog", &[0.0, 1.0])]);
    one.payload = fields([
        ("mixed", array([integer(1), float(0.5), text("word"), text("2024-01-31")])),
        ("is_new", value(wire::value::Kind::Boolean(true))),
        ("nothing", value(wire::value::Kind::Null(true))),
        (
            "outer",
            value(wire::value::Kind::Object(wire::Object {
                fields: fields([("inner", integer(1))]),
            })),
        ),
    ]);
    server.store("c", vec![one, parts("two", vec![part("cat", &[1.0, 1.0])])]);
    let info = get(&server, "c").unwrap();
    assert_eq!((info.documents, info.parts, info.last_sequence), (2, 3, 2));
    assert_eq!((info.vectors["v"].head, info.vectors["v"].indexed), (3, 0));
    assert!(info.disk_bytes > 0);
    let mut held: Vec<(&str, Vec<&str>)> = info
        .fields
        .iter()
        .map(|(path, field)| (path.as_str(), field.types.iter().map(String::as_str).collect()))
        .collect();
    held.sort();
    let mixed = vec!["integer", "float", "datetime", "keyword", "list"];
    let expected = [
        ("is_new", vec!["boolean"]),
        ("mixed", mixed),
        ("nothing", vec!["null"]),
        ("outer.inner", vec!["integer"]),
    ];
    assert_eq!(held, expected);
}

#[test]
fn a_collection_without_named_vectors_embeds_texts_with_the_default_model_and_remembers_it() {
    let server = TestServer::shared();
    let created = server.create(texts("collections-default"));
    let bound = &created.vectors["text"];
    assert_eq!((bound.embedder.as_str(), bound.dimension), ("all-minilm-l6-v2", 384));
    assert_eq!(bound.metric(), wire::Metric::Cosine);
    let models = server.ask(server.embedding().list_models(wire::ListModelsRequest {})).unwrap();
    let model = models.models.iter().find(|model| model.name == bound.embedder).unwrap();
    assert_eq!(model.fingerprint, bound.fingerprint);
    assert!(!bound.fingerprint.is_empty() && model.is_loaded && model.is_installed);
    delete(&server, "collections-default");
}

#[test]
fn texts_and_given_vectors_stand_side_by_side_under_their_names() {
    let server = TestServer::shared();
    let name = "collections-both";
    let embedder = wire::VectorConfig {
        // Empty: the default one.
        source: Some(Source::Embedder(String::new())),
        ..wire::VectorConfig::default()
    };
    server.create(wire::CreateCollectionRequest {
        vectors: HashMap::from([
            ("meaning".to_owned(), embedder),
            ("v".to_owned(), given(2, wire::Metric::Dot)),
        ]),
        ..texts(name)
    });
    // A text alone cannot fill the given vector.
    let refused = server.upsert(name, vec![text_document("t", "a cat")]);
    assert!(super::messages::outcome(&refused[0]).contains("`v` has no embedder"), "{refused:?}");
    server.store(
        name,
        vec![
            parts("cat", vec![part("The cat chases the mouse", &[0.0, 1.0])]),
            parts("ham", vec![part("I like ham sandwiches", &[1.0, 0.0])]),
        ],
    );
    let by_text = server.search(super::messages::ask(name, "a kitten hunts rodents"));
    assert_eq!(by_text.hits[0].id, "cat");
    let legs: Vec<&str> = by_text.hits[0].legs.iter().map(|leg| leg.leg.as_str()).collect();
    assert!(legs.contains(&"dense:meaning"), "{legs:?}");
    let by_vector = server.search(super::messages::ask_vector(name, &[1.0, 0.0]));
    assert_eq!(super::messages::hit_ids(&by_vector), ["ham", "cat"]);
    delete(&server, name);
}
