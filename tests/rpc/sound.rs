//! A sound over the wire: stored as stretches, and an excerpt of it found.

use std::collections::HashMap;

use simile::embed::sound::DEFAULT_SOUND_MODEL;
use simile_proto::v1::document::Content;
use simile_proto::v1::upsert_result::Outcome;
use simile_proto::v1::vector_config::Source;
use simile_proto::v1::{self as wire, value::Kind};
use tonic::Code;

use super::messages::moments;
use super::server::TestServer;
use crate::sound::render::{PLAIN, RATE, Written, piece, wav};
use crate::support::catalogue_options;

const SECOND: usize = RATE as usize;

fn file(id: &str, bytes: Vec<u8>) -> wire::Document {
    let file = wire::File { name: id.to_owned(), bytes, media_type: None };
    wire::Document { id: id.to_owned(), content: Some(Content::File(file)), ..Default::default() }
}

fn create(server: &TestServer, name: &str, model: &str) {
    let source = Some(Source::Embedder(model.to_owned()));
    let vector = wire::VectorConfig { source, ..Default::default() };
    server.create(wire::CreateCollectionRequest {
        name: name.to_owned(),
        vectors: HashMap::from([("clip".to_owned(), vector)]),
        ..Default::default()
    });
}

/// A server with a collection `sounds` in which two pieces of twenty seconds are stored.
fn serving() -> (TestServer, Vec<f64>) {
    let server = TestServer::start(catalogue_options(), |_| {});
    create(&server, "sounds", DEFAULT_SOUND_MODEL);
    let (one, other) = (piece(20, 11), piece(20, 12));
    let documents = vec![file("one.wav", wav(&one, PLAIN)), file("other.wav", wav(&other, PLAIN))];
    server.store("sounds", documents);
    (server, one)
}

#[test]
fn a_sound_is_stored_as_stretches_and_an_excerpt_of_it_is_found() {
    let (server, one) = serving();
    let get = wire::GetDocumentsRequest {
        collection: "sounds".to_owned(),
        ids: vec!["one.wav".to_owned()],
        ..Default::default()
    };
    let stored = server.ask(server.documents().get(get)).unwrap().documents.remove(0);
    let spans = moments(&stored);
    let expected: Vec<(u64, u64)> =
        (0..19).map(|second| (second * 1_000, second * 1_000 + 2_000)).collect();
    assert_eq!(spans, expected);
    let kind = |name: &str| stored.payload[name].kind.clone().unwrap();
    assert_eq!(kind("media"), Kind::Text("sound".to_owned()));
    assert_eq!(kind("sample_rate"), Kind::Integer(16_000));

    // Four seconds from 7.4 on, at another rate and in eight bits.
    let cut: Vec<f64> =
        one[SECOND * 74 / 10..][..4 * SECOND].iter().map(|sample| sample * 0.5).collect();
    let excerpt = wav(&cut, Written { rate: 22_050, bits: 8 });
    let locate = wire::LocateRequest {
        collection: "sounds".to_owned(),
        excerpt: excerpt.clone(),
        ..Default::default()
    };
    let found = server.ask(server.searches().locate(locate.clone())).unwrap();
    let best = &found.moments[0];
    assert_eq!(best.id, "one.wav", "{found:?}");
    assert!(best.start_ms.abs_diff(7_400) <= 1_000, "{best:?}");
    assert!((best.end_ms - best.start_ms).abs_diff(4_000) <= 1, "{best:?}");

    let example =
        wire::Example { kind: Some(wire::example::Kind::Clip(excerpt)), ..Default::default() };
    let request = wire::SearchRequest {
        collection: "sounds".to_owned(),
        recommend: Some(wire::Recommend { positive: vec![example], ..Default::default() }),
        limit: Some(3),
        grouping: wire::Grouping::Passage.into(),
        ..Default::default()
    };
    let found = server.ask(server.searches().search(request)).unwrap().hits;
    assert_eq!(found[0].id, "one.wav", "{found:?}");
    let start_ms = found[0].span.as_ref().unwrap().start_ms.unwrap();
    assert!((6_000..=11_000).contains(&start_ms), "{start_ms}");

    // What is no sound, and what is a broken one.
    let text = wire::LocateRequest { excerpt: b"no sound".to_vec(), ..locate.clone() };
    let error = server.ask(server.searches().locate(text)).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("the collection sees no videos"), "{error:?}");
    let broken = wire::LocateRequest { excerpt: b"fLaC\0\0\0\x22".to_vec(), ..locate };
    let error = server.ask(server.searches().locate(broken)).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("the FLAC sound is damaged"), "{error:?}");
}

#[test]
fn a_question_in_words_to_sounds_and_a_sound_among_texts_are_refused_by_name() {
    let (server, one) = serving();
    let request = wire::SearchRequest {
        collection: "sounds".to_owned(),
        text: Some("a bell".to_owned()),
        mode: wire::Mode::Semantic.into(),
        ..Default::default()
    };
    let error = server.ask(server.searches().search(request)).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("vector `clip` is made of sounds"), "{error:?}");

    create(&server, "texts", "hashed-words");
    let results = server.upsert("texts", vec![file("a.wav", wav(&one[..SECOND], PLAIN))]);
    match &results[0].outcome {
        Some(Outcome::Error(error)) => {
            assert_eq!(error.code, "UNIMPLEMENTED");
            let expected = "the collection reads no sounds: vector `clip` is made by hashed-words, \
                            which reads texts";
            assert!(error.message.contains(expected), "{error:?}");
        }
        other => panic!("expected an error, got {other:?}"),
    }
}
