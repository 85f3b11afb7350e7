//! Passages that are read in their document: stored, and filled in later, which comes to the same.

use std::collections::HashMap;

use simile::embed::{AddOptions, CatalogueOptions, Pooling};
use simile_proto::v1::vector_config::Source;
use simile_proto::v1::{self as wire};

use super::messages::{ask, text_document};
use super::server::TestServer;
use crate::support;

const TEXT: &str = "The cat chases the mouse. It likes ham. The kitten hunts rodents. Low tide \
    leaves the harbour wall wet. It is covered in weed. The ferry waits outside. Is the dough \
    ready? Replace the gasket if the tap still drips after tightening. It drips. It is late.";

fn made_by(model: &str) -> wire::VectorConfig {
    wire::VectorConfig { source: Some(Source::Embedder(model.to_owned())), ..Default::default() }
}

/// The parts of a document, with the components of their vectors by name.
fn stored(server: &TestServer, id: &str) -> Vec<(String, HashMap<String, Vec<f32>>)> {
    let get = wire::GetDocumentsRequest {
        collection: "notes".to_owned(),
        ids: vec![id.to_owned()],
        with_vectors: true,
    };
    let document = server.ask(server.documents().get(get)).unwrap().documents.remove(0);
    let parts = document.parts.into_iter();
    parts
        .map(|part| {
            let vectors = part.vectors.into_iter();
            (part.text, vectors.map(|(name, vector)| (name, vector.components)).collect())
        })
        .collect()
}

#[test]
fn vectors_are_the_same_whether_they_are_made_with_the_document_or_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let own = support::catalogue_with(folder.path());
    let fixture =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/families/bert-max");
    let options =
        AddOptions { pooling: Some(Pooling::Mean), tokens_max: Some(64), ..AddOptions::default() };
    own.add("plain", &fixture, &options, &|_, _, _| {}).unwrap();
    own.add_late("around", "plain", &|_, _, _| {}).unwrap();
    let options =
        CatalogueOptions { own: Some(folder.path().join("own")), ..support::catalogue_options() };
    let server = TestServer::start(options, |_| {});
    server.create(wire::CreateCollectionRequest {
        name: "notes".to_owned(),
        vectors: [("first".to_owned(), made_by("around"))].into(),
        ..Default::default()
    });
    server.store("notes", vec![text_document("long", TEXT), text_document("short", "It is late.")]);
    for (name, model) in [("again", "around"), ("alone", "plain")] {
        let request = wire::AddVectorRequest {
            collection: "notes".to_owned(),
            name: name.to_owned(),
            config: Some(made_by(model)),
        };
        server.ask(server.collections().add_vector(request)).unwrap();
    }
    let far =
        |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0_f32, f32::max);
    let long = stored(&server, "long");
    // Passages of a quarter of what the model reads, so that there is something around them.
    assert!(long.len() >= 5, "{} parts", long.len());
    for (text, vectors) in &long {
        assert!(far(&vectors["first"], &vectors["again"]) < 1e-5, "{text:?}");
        assert!(far(&vectors["first"], &vectors["alone"]) > 1e-3, "{text:?}");
    }
    let (_, short) = &stored(&server, "short")[0];
    assert!(far(&short["first"], &short["alone"]) < 1e-5);
    let question = wire::SearchRequest {
        mode: wire::Mode::Semantic.into(),
        using: Some("first".to_owned()),
        ..ask("notes", "It is late.")
    };
    assert_eq!(server.search(question).hits[0].id, "short");
}
