//! Pictures over gRPC: stored, found by a picture, shown small, told apart, and refused by name where
//! nothing reads them. The model is a fixture that knows mean colours.

use std::collections::HashMap;
use std::path::Path;

use simile::embed::{CatalogueOptions, DEFAULT_TEXT_MODEL};
use simile_proto::v1::cluster_request::Method;
use simile_proto::v1::cluster_response::Kind;
use simile_proto::v1::document::Content;
use simile_proto::v1::upsert_result::Outcome;
use simile_proto::v1::vector_config::Source;
use simile_proto::v1::{self as wire, example};
use tonic::Code;

use super::messages::{text as text_value, text_document};
use super::server::TestServer;
use crate::pictures::{bytes, references};
use crate::support::catalogue_options;

pub(super) fn server() -> TestServer {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pictures");
    TestServer::start(CatalogueOptions { own: Some(own), ..catalogue_options() }, |_| {})
}

/// Creates a collection with these vectors, each bound to a model.
pub(super) fn create(server: &TestServer, name: &str, vectors: &[(&str, &str)], has_words: bool) {
    let vector = |&(name, model): &(&str, &str)| {
        let source = Some(Source::Embedder(model.to_owned()));
        (name.to_owned(), wire::VectorConfig { source, ..Default::default() })
    };
    server.create(wire::CreateCollectionRequest {
        name: name.to_owned(),
        vectors: vectors.iter().map(vector).collect(),
        lexical: Some(wire::LexicalConfig { disabled: !has_words }),
        ..wire::CreateCollectionRequest::default()
    });
}

pub(super) fn file_of(name: &str) -> Vec<u8> {
    bytes(&references().into_iter().find(|reference| reference.name == name).unwrap().file)
}

fn file(id: &str, name: &str, bytes: Vec<u8>) -> wire::Document {
    let file = wire::File { name: name.to_owned(), bytes, media_type: None };
    wire::Document { id: id.to_owned(), content: Some(Content::File(file)), ..Default::default() }
}

fn shapes(number: usize) -> wire::Document {
    file(&format!("shapes-{number}"), "a.png", file_of(&format!("png-shapes-{number}")))
}

fn see(image: Vec<u8>) -> wire::SearchRequest {
    wire::SearchRequest { collection: "photos".into(), image: Some(image), ..Default::default() }
}

fn ids(answer: &wire::SearchResponse) -> Vec<&str> {
    answer.hits.iter().map(|hit| hit.id.as_str()).collect()
}

fn thumbnails(server: &TestServer, ids: &[&str]) -> Vec<wire::Thumbnail> {
    let part = |id: &&str| wire::PartName { id: (*id).to_owned(), part: 0 };
    let parts = ids.iter().map(part).collect();
    let request = wire::ThumbnailsRequest { collection: "photos".into(), parts };
    server.ask(server.documents().thumbnails(request)).unwrap().thumbnails
}

#[test]
fn pictures_are_stored_found_by_a_picture_and_shown_until_they_are_deleted() {
    let mut server = server();
    create(&server, "photos", &[("image", "colours")], true);
    server.store("photos", (1..=6).map(shapes).collect());
    let turned = file("turned", "b.jpg", file_of("jpeg-orientation-6"));
    server.store("photos", vec![turned]);

    let answer = server.search(see(file_of("png-shapes-4")));
    assert_eq!(ids(&answer)[0], "shapes-4");
    assert!(answer.hits[0].score > 0.9999, "{}", answer.hits[0].score);
    assert_eq!(answer.hits[0].legs[0].leg, "dense:image");
    let stored = server.search(see(file_of("jpeg")));
    let hit = stored.hits.iter().find(|hit| hit.id == "turned").unwrap();
    let field = |name: &str| hit.payload[name].kind.clone().unwrap();
    assert_eq!(field("width"), wire::value::Kind::Integer(16));
    assert_eq!(field("camera"), wire::value::Kind::Text("Okular K-7".into()));
    assert_eq!(field("taken"), wire::value::Kind::Text("2024-05-01T06:30:00Z".into()));
    let by_words = wire::SearchRequest { text: Some("harbour noon".into()), ..see(Vec::new()) };
    let by_words = server.search(wire::SearchRequest { image: None, ..by_words });
    assert_eq!(ids(&by_words), ["turned"], "its description is indexed by words");
    assert!(by_words.warnings[0].contains("made of pictures"), "{:?}", by_words.warnings);

    // What is shown survives a change of fields and a restart, and goes with its document.
    let shown = thumbnails(&server, &["shapes-1", "missing", "turned"]);
    assert_eq!(shown.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["shapes-1", "turned"]);
    let small = simile::decode::decode_picture(&shown[1].jpeg, &simile::decode::Limits::default());
    assert_eq!((small.as_ref().unwrap().width(), small.unwrap().height()), (16, 24));
    let fields = HashMap::from([("album".to_owned(), text_value("sea"))]);
    server
        .ask(server.documents().update(wire::UpdateDocumentsRequest {
            collection: "photos".into(),
            selection: Some(wire::update_documents_request::Selection::Ids(wire::DocumentIds {
                ids: vec!["shapes-1".into()],
            })),
            change: Some(wire::update_documents_request::Change::Set(wire::SetFields {
                fields,
                at: None,
            })),
            ..Default::default()
        }))
        .unwrap();
    server.restart();
    assert_eq!(thumbnails(&server, &["shapes-1", "turned"]), shown);
    let delete = wire::DeleteDocumentsRequest {
        collection: "photos".into(),
        selection: Some(wire::delete_documents_request::Selection::Ids(wire::DocumentIds {
            ids: vec!["turned".into()],
        })),
        ..Default::default()
    };
    server.ask(server.documents().delete(delete)).unwrap();
    assert_eq!(thumbnails(&server, &["turned"]), []);
    let verify = wire::VerifyRequest { collection: "photos".into() };
    let verified = server.ask(server.admin().verify(verify)).unwrap();
    assert_eq!((verified.documents, verified.problems), (6, vec![]));
}

#[test]
fn each_part_gets_the_vectors_whose_model_reads_it() {
    let server = server();
    let both = [("image", "colours"), ("text", DEFAULT_TEXT_MODEL)];
    create(&server, "photos", &both, true);
    let note = text_document("note", "A red boat lies in the harbour.");
    server.store("photos", vec![shapes(1), note]);
    let request = wire::GetDocumentsRequest {
        collection: "photos".into(),
        ids: vec!["shapes-1".into(), "note".into()],
        with_vectors: true,
    };
    let stored = server.ask(server.documents().get(request)).unwrap().documents;
    let vectors = |at: usize| stored[at].parts[0].vectors.keys().cloned().collect::<Vec<_>>();
    assert_eq!((vectors(0), vectors(1)), (vec!["image".to_owned()], vec!["text".to_owned()]));
    // Text and picture are each asked of their own vector, and joined.
    let asked = wire::SearchRequest { text: Some("a ship".into()), ..see(file_of("png-shapes-1")) };
    let answer = server.search(asked);
    let mut found = ids(&answer);
    found.sort_unstable();
    assert_eq!(found, ["note", "shapes-1"]);
}

#[test]
fn pictures_can_be_wanted_and_not_wanted_with_weights() {
    let server = server();
    create(&server, "photos", &[("image", "colours")], false);
    server.store("photos", (1..=6).map(shapes).collect());
    let image = |number: usize, weight| wire::Example {
        kind: Some(example::Kind::Image(file_of(&format!("png-shapes-{number}")))),
        weight: Some(weight),
    };
    let mixed = |positive, negative| wire::SearchRequest {
        image: None,
        recommend: Some(wire::Recommend { positive, negative, ..Default::default() }),
        ..see(Vec::new())
    };
    let answer = server.search(mixed(vec![image(1, 9.0), image(2, 1.0)], vec![]));
    assert_eq!(ids(&answer)[..1], ["shapes-1"]);
    let answer = server.search(mixed(vec![image(1, 1.0), image(2, 9.0)], vec![]));
    assert_eq!(ids(&answer)[..1], ["shapes-2"]);
    let away = server.search(mixed(vec![image(1, 1.0)], vec![image(2, 1.0)]));
    assert_eq!(ids(&away)[..1], ["shapes-1"]);
    let toward = server.search(mixed(vec![image(1, 1.0)], vec![]));
    let score = |answer: &wire::SearchResponse| {
        answer.hits.iter().find(|hit| hit.id == "shapes-2").unwrap().score
    };
    assert!(score(&away) < score(&toward), "{away:?}");
    let weightless = mixed(vec![image(1, 0.0)], vec![]);
    let error = server.ask(server.searches().search(weightless)).unwrap_err();
    assert_eq!(error.message(), "the weight of an example is 0, expected a number above 0");
}

#[test]
fn copies_of_one_picture_are_never_mixed_with_similar_ones() {
    let server = server();
    create(&server, "photos", &[("image", "colours")], false);
    let copy = file("copy-of-2", "c.png", file_of("png-shapes-2"));
    let mut documents: Vec<wire::Document> = (1..=6).map(shapes).collect();
    documents.push(copy);
    server.store("photos", documents);
    let keep = wire::Keep::Largest.into();
    let method = Method::Duplicates(wire::DuplicatesMethod { radius: Some(2.0), keep });
    let request = wire::ClusterRequest {
        collection: "photos".into(),
        method: Some(method),
        ..Default::default()
    };
    let (mut clusters, mut items) = (Vec::new(), Vec::new());
    server.wait(async {
        let mut messages = server.clusters().cluster(request).await.unwrap().into_inner();
        while let Some(message) = messages.message().await.unwrap() {
            match message.kind.unwrap() {
                Kind::Summary(summary) => clusters = summary.clusters,
                Kind::Items(batch) => items.extend(batch.items),
            }
        }
    });
    let same = clusters.iter().position(|cluster| cluster.is_one_picture).unwrap();
    let mut members: Vec<&str> = items
        .iter()
        .filter(|item| item.cluster == u32::try_from(same).ok())
        .map(|item| item.id.as_str())
        .collect();
    members.sort_unstable();
    assert_eq!(members, ["copy-of-2", "shapes-2"]);
    // Within so wide a radius all others are similar.
    let similar = clusters.iter().find(|cluster| !cluster.is_one_picture).unwrap();
    assert!(similar.size >= 2, "{clusters:?}");
}

#[test]
fn what_cannot_be_seen_is_refused_by_name() {
    let server = server();
    create(&server, "photos", &[("image", "colours")], false);
    create(&server, "notes", &[("text", DEFAULT_TEXT_MODEL)], true);
    let refused = |collection: &str, document: wire::Document| match server
        .upsert(collection, vec![document])
        .remove(0)
        .outcome
        .unwrap()
    {
        Outcome::Error(error) => (error.code, error.message),
        other => panic!("{other:?}"),
    };
    let (code, message) = refused("notes", shapes(1));
    assert_eq!(code, "UNIMPLEMENTED");
    let expected = "the collection reads no pictures: vector `text` is made by all-minilm-l6-v2, which \
                    reads texts";
    assert_eq!(message, expected);
    let (code, message) = refused("photos", file("a", "a.txt", b"hello".to_vec()));
    assert_eq!(code, "UNIMPLEMENTED");
    assert!(message.starts_with("the collection reads no texts: vector `image`"), "{message}");
    let cut = file_of("jpeg")[..300].to_vec();
    let (code, message) = refused("photos", file("a", "a.jpg", cut));
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("INVALID_ARGUMENT", "the JPEG is damaged: it is cut off")
    );
    let (code, message) =
        refused("photos", file("a", "a.avif", b"\0\0\0\x20ftypavif\0\0".to_vec()));
    assert_eq!(code, "UNIMPLEMENTED", "{message}");

    let ask = |request| server.ask(server.searches().search(request)).unwrap_err();
    let notes = |request| wire::SearchRequest { collection: "notes".into(), ..request };
    let text = |text: &str| wire::SearchRequest {
        text: Some(text.into()),
        image: None,
        ..see(Vec::new())
    };
    for (request, code, words) in [
        (
            notes(see(file_of("jpeg"))),
            Code::InvalidArgument,
            "no vector of the collection is made of pictures; it has text",
        ),
        (text("red"), Code::InvalidArgument, "vector `image` is made of pictures"),
        (see(Vec::new()), Code::InvalidArgument, "the picture in bytes is 0"),
        (
            see(b"hello".to_vec()),
            Code::InvalidArgument,
            "the picture of the question: the file is no picture",
        ),
        (see(file_of("jpeg")[..300].to_vec()), Code::InvalidArgument, "it is cut off"),
    ] {
        let error = ask(request);
        assert_eq!(error.code(), code, "{error}");
        assert!(error.message().contains(words), "{} lacks {words}", error.message());
    }
    let embed = |model: &str, images| {
        let model = model.to_owned();
        server.ask(server.embedding().embed(wire::EmbedRequest {
            model,
            images,
            ..Default::default()
        }))
    };
    let seen = embed("colours", vec![file_of("jpeg"), file_of("png")]).unwrap();
    assert_eq!(seen.embeddings.len(), 2);
    let error = embed(DEFAULT_TEXT_MODEL, vec![file_of("jpeg")]).unwrap_err();
    assert!(error.message().contains("reads text, got image"), "{error}");
    let error = embed("colours", vec![file_of("jpeg"), b"x".to_vec()]).unwrap_err();
    assert_eq!(error.message(), "image 1: the file is no picture");
    let parts = vec![wire::PartName::default(); 257];
    let request = wire::ThumbnailsRequest { collection: "photos".into(), parts };
    let error = server.ask(server.documents().thumbnails(request)).unwrap_err();
    assert_eq!(error.message(), "thumbnails: at most 256 in one request, got 257");
}
