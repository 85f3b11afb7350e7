use std::collections::BTreeSet;

use simile_proto::v1::upsert_result::Outcome;
use simile_proto::v1::{self as wire};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use super::messages::{
    Random, ask, ask_vector, collection, equals, fields, integer, part, parts, text_document,
    texts, upserts,
};
use super::server::TestServer;

fn stored(id: &str, random: &mut Random) -> wire::Document {
    let words = ["cat", "dog", "roof", "mouse", "harbour", "wind"];
    let passage = |random: &mut Random| {
        let text: Vec<&str> = (0..6).map(|_| *random.pick(&words)).collect();
        part(&text.join(" "), &random.vector(4))
    };
    let mut document = parts(id, vec![passage(random), passage(random)]);
    document.payload = fields([("group", integer(random.below(3) as i64))]);
    document
}

/// What the collection `c` answers to all there is to ask of it, timings aside.
#[derive(Debug, Default, PartialEq)]
struct Answers {
    hits: Vec<wire::Hit>,
    counts: Vec<wire::CountResponse>,
    documents: Vec<wire::StoredDocument>,
    sequence: u64,
}

fn answers(server: &TestServer) -> Answers {
    let mut all = Answers::default();
    let mut random = Random(7);
    for filter in [None, Some(equals("group", integer(1)))] {
        for mode in [wire::Mode::Semantic, wire::Mode::Lexical, wire::Mode::Hybrid] {
            let request = wire::SearchRequest {
                text: Some("the cat on the roof".to_owned()),
                mode: mode.into(),
                filter: filter.clone(),
                with_vectors: true,
                limit: Some(50),
                ..ask_vector("c", &random.vector(4))
            };
            let answer = server.search(request);
            assert!(!answer.hits.is_empty());
            all.hits.extend(answer.hits);
        }
        let count = wire::CountRequest { collection: "c".to_owned(), filter: filter.clone() };
        all.counts.push(server.ask(server.documents().count(count)).unwrap());
        let scroll = wire::ScrollRequest {
            collection: "c".to_owned(),
            filter,
            limit: Some(1_000),
            with_parts: true,
            with_vectors: true,
            ..wire::ScrollRequest::default()
        };
        all.documents.extend(server.ask(server.documents().scroll(scroll)).unwrap().documents);
    }
    let get = wire::GetCollectionRequest { name: "c".to_owned() };
    all.sequence = server.ask(server.collections().get(get)).unwrap().last_sequence;
    all
}

/// Scores too, to the last bit.
fn assert_same(now: &Answers, before: &Answers, when: &str) {
    assert_eq!(now.hits.len(), before.hits.len(), "{when}");
    for (hit, was) in now.hits.iter().zip(&before.hits) {
        assert_eq!(hit, was, "{when}");
    }
    assert_eq!((&now.counts, now.sequence), (&before.counts, before.sequence), "{when}");
    assert_eq!(now.documents, before.documents, "{when}");
}

#[test]
fn after_a_restart_every_answer_is_what_it_was() {
    let mut server = TestServer::without_model(|_| {});
    server.create(collection("c", 4));
    let mut random = Random(1);
    server.store("c", (0..60).map(|n| stored(&format!("d{n:02}"), &mut random)).collect());
    // Replaced, deleted and sealed ones are among them.
    server
        .store("c", (0..60).step_by(7).map(|n| stored(&format!("d{n:02}"), &mut random)).collect());
    let delete = wire::DeleteDocumentsRequest {
        collection: "c".to_owned(),
        selection: Some(wire::delete_documents_request::Selection::Ids(super::messages::ids([
            "d03", "d41",
        ]))),
        ..Default::default()
    };
    server.ask(server.documents().delete(delete)).unwrap();
    // Words of deleted documents count as frequent until a merge drops them, which may be at any time.
    let optimize = wire::OptimizeRequest { collection: "c".to_owned() };
    server.ask(server.admin().optimize(optimize)).unwrap();
    server.store("c", (60..80).map(|n| stored(&format!("d{n:02}"), &mut random)).collect());
    let before = answers(&server);
    server.restart();
    assert_same(&answers(&server), &before, "after the first restart");
    server.restart();
    assert_same(&answers(&server), &before, "after the second restart");
    let verify = wire::VerifyRequest { collection: "c".to_owned() };
    let verified = server.ask(server.admin().verify(verify)).unwrap();
    assert_eq!((verified.problems, verified.documents), (Vec::<String>::new(), 78));
    // And it goes on where it was.
    let results = server.upsert("c", vec![stored("d03", &mut random)]);
    assert!(matches!(&results[0].outcome, Some(Outcome::Stored(stored)) if !stored.replaced));
}

#[test]
fn stopping_in_the_middle_of_a_stream_loses_nothing_that_was_answered() {
    let mut server = TestServer::without_model(|_| {});
    server.create(collection("c", 4));
    let (send, receive) = mpsc::channel(8);
    let mut documents = server.documents();
    let (first_answer, mut answered) = mpsc::channel(1);
    // A client that sends without a pause until it is told to stop.
    let sending = server.spawn(async move {
        let mut random = Random(3);
        for n in 0u64.. {
            let document = Some(stored(&format!("d{n}"), &mut random));
            let collection = "c".to_owned();
            let message = wire::UpsertRequest { collection, document, ..Default::default() };
            if send.send(message).await.is_err() {
                break;
            }
        }
    });
    let reading = server.spawn(async move {
        let stream = documents.upsert(ReceiverStream::new(receive)).await;
        let mut results = stream.unwrap().into_inner();
        let mut acknowledged = Vec::new();
        loop {
            match results.message().await {
                Ok(Some(result)) => {
                    assert!(matches!(result.outcome, Some(Outcome::Stored(_))), "{result:?}");
                    acknowledged.push(result.id);
                    let _told = first_answer.try_send(());
                }
                Ok(None) => return (acknowledged, None),
                Err(status) => return (acknowledged, Some(status)),
            }
        }
    });
    server.wait(answered.recv()).unwrap();
    let stopping = server.begin_to_stop();
    let (acknowledged, end) = server.wait(reading).unwrap();
    let status = end.expect("the server ends the stream, for the client does not");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(status.message().contains("what was answered is stored"), "{status}");
    server.wait(stopping).unwrap();
    server.wait(sending).unwrap();

    server.restart();
    let request = wire::ScrollRequest {
        collection: "c".to_owned(),
        limit: Some(1_000),
        ..wire::ScrollRequest::default()
    };
    let mut found = BTreeSet::new();
    let mut after = String::new();
    loop {
        let request = wire::ScrollRequest { after, ..request.clone() };
        let page = server.ask(server.documents().scroll(request)).unwrap();
        found.extend(page.documents.into_iter().map(|document| document.id));
        if page.next_after.is_empty() {
            break;
        }
        after = page.next_after;
    }
    let lost: Vec<&String> = acknowledged.iter().filter(|id| !found.contains(*id)).collect();
    assert!(
        lost.is_empty() && !acknowledged.is_empty(),
        "lost of {}: {lost:?}",
        acknowledged.len()
    );
    // Every batch that was stored was answered, too: nothing is stored in secret.
    assert_eq!(found.len(), acknowledged.len());
}

#[test]
fn a_stream_that_nobody_writes_to_does_not_keep_the_server_from_stopping() {
    let mut server = TestServer::without_model(|_| {});
    let (_silent, receive) = mpsc::channel::<wire::UpsertRequest>(1);
    let mut documents = server.documents();
    let waiting =
        server.spawn(async move { documents.upsert(ReceiverStream::new(receive)).await.map(drop) });
    // The server has taken the stream once it answers what came after it on the same connection.
    server.ask(server.admin().info(wire::InfoRequest {})).unwrap();
    let stopping = server.begin_to_stop();
    let status = server.wait(waiting).unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    server.wait(stopping).unwrap();
}

#[test]
fn texts_that_were_embedded_answer_the_same_after_a_restart_from_the_first_request() {
    let mut server = TestServer::with_model();
    server.create(texts("c"));
    let sentences =
        ["The cat chases the mouse", "The kitten hunts rodents", "I like ham sandwiches"];
    let documents = sentences.iter().map(|text| text_document(text, text)).collect();
    server.store("c", documents);
    let before = semantic_hits(&server);
    assert_eq!(before[0].0, sentences[1]);
    server.restart();
    // The model is loaded while the first request waits.
    assert_eq!(semantic_hits(&server), before);
    let results = server.wait(async {
        let mut documents = server.documents();
        let again = upserts("c", vec![text_document(sentences[0], sentences[0])]);
        documents.upsert(again).await.unwrap().into_inner().message().await.unwrap().unwrap()
    });
    assert!(matches!(results.outcome, Some(Outcome::Unchanged(_))), "{results:?}");
}

fn semantic_hits(server: &TestServer) -> Vec<(String, f32)> {
    let request = wire::SearchRequest {
        mode: wire::Mode::Semantic.into(),
        ..ask("c", "a kitten is after a rat")
    };
    server.search(request).hits.into_iter().map(|hit| (hit.id, hit.score)).collect()
}
