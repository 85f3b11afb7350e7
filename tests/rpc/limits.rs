use std::collections::HashMap;
use std::time::Duration;

use simile_proto::v1::upsert_result::Outcome;
use simile_proto::v1::{self as wire};
use tokio_stream::StreamExt as _;
use tonic::{Code, Request};

use super::messages::{ask_vector, collection, part, parts, text_document, texts, upserts};
use super::server::{MESSAGE_BYTES_MAX, TestServer};
use crate::support::catalogue_options;

/// A text as long as the model reads: about a thirtieth of a second of work.
fn long_text(number: usize) -> String {
    format!("{number} {}", "harbour wall ".repeat(200))
}

#[test]
fn what_is_at_a_limit_is_answered() {
    let server = TestServer::without_model(|_| {});
    let name = "x".repeat(64);
    server.create(collection(&name, 8_192));
    let mut one = parts(&"i".repeat(512), vec![part("cat", &[0.5; 8_192])]);
    // As JSON: two braces, a quoted name, a colon, and the text with its quotes.
    let text = "x".repeat(48 * 1024 - r#"{"a":""}"#.len());
    one.payload = HashMap::from([("a".to_owned(), super::messages::text(&text))]);
    server.store(&name, vec![one]);
    let deepest = wire::SearchRequest {
        limit: Some(1_000),
        offset: 9_000,
        ef: Some(4_096),
        ..ask_vector(&name, &[1.0; 8_192])
    };
    assert!(server.search(deepest).hits.is_empty());
    let question = wire::SearchRequest {
        text: Some("x".repeat(32_768)),
        mode: wire::Mode::Lexical.into(),
        ..ask_vector(&name, &[1.0; 8_192])
    };
    assert!(server.search(question).hits.is_empty());
    let contents = vec![wire::ContentHash { id: "a".to_owned(), blake3: vec![0; 32] }; 10_000];
    let compare = wire::CompareRequest { collection: name.clone(), contents };
    assert!(server.ask(server.documents().compare(compare)).unwrap().unchanged.is_empty());
}

#[test]
fn a_message_as_large_as_allowed_is_read_and_a_larger_one_ends_the_stream_with_both_sizes() {
    let server = TestServer::without_model(|_| {});
    server.create(collection("c", 2));
    let info = server.ask(server.admin().info(wire::InfoRequest {})).unwrap();
    assert_eq!(info.message_bytes_max, MESSAGE_BYTES_MAX as u64);
    let sized =
        |text_bytes: usize| parts("large", vec![part(&"x ".repeat(text_bytes / 2), &[1.0, 0.0])]);
    let overhead = {
        use prost::Message as _;
        let message = wire::UpsertRequest {
            collection: "c".to_owned(),
            document: Some(sized(MESSAGE_BYTES_MAX / 2)),
            ..wire::UpsertRequest::default()
        };
        message.encoded_len() - MESSAGE_BYTES_MAX / 2
    };
    let too_large = upserts(
        "c",
        vec![
            parts("before", vec![part("cat", &[1.0, 0.0])]),
            sized(MESSAGE_BYTES_MAX - overhead + 2),
        ],
    );
    let (results, status) = server.wait(async {
        let mut documents = server.documents();
        let mut stream = documents.upsert(too_large).await.unwrap().into_inner();
        let mut results = Vec::new();
        loop {
            match stream.message().await {
                Ok(Some(result)) => results.push(result),
                Ok(None) => panic!("the stream ended as if all were well"),
                Err(status) => break (results, status),
            }
        }
    });
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    let words = format!("the limit is: {MESSAGE_BYTES_MAX} bytes");
    assert!(status.message().contains(&words), "{status}");
    assert!(status.message().contains("in pieces, or smaller"), "{status}");
    assert!(status.message().contains("message_bytes_max"), "{status}");
    // What came before it is stored and answered.
    assert!(matches!(results[0].outcome, Some(Outcome::Stored(_))), "{results:?}");
    let results = server.upsert("c", vec![sized(MESSAGE_BYTES_MAX - overhead)]);
    // The message is read; that its only part is longer than a passage is said of the item.
    let said = super::messages::outcome(&results[0]);
    assert!(said.starts_with("INVALID_ARGUMENT: the text of a part has at most"), "{said}");
}

#[test]
fn a_document_too_large_for_one_batch_is_refused_before_it_is_embedded() {
    let server = TestServer::shared();
    let name = "limits-document";
    server.create(wire::CreateCollectionRequest {
        chunk: Some(wire::ChunkConfig { tokens_max: Some(8), tokens_overlap: Some(0) }),
        ..texts(name)
    });
    // About 45,000 passages, and half an hour of work.
    let results =
        server.upsert(name, vec![text_document("large", &"a b c d e f g h. ".repeat(90_000))]);
    let said = super::messages::outcome(&results[0]);
    let expected = "INVALID_ARGUMENT: a document with its vectors has at most 58720256 bytes, got ";
    assert!(said.starts_with(expected), "{said}");
}

#[test]
fn a_passed_deadline_is_said_and_ends_the_work() {
    let server = TestServer::start(catalogue_options(), |options| options.workers = 1);
    let warm = wire::EmbedRequest { texts: vec!["cat".to_owned()], ..Default::default() };
    server.ask(server.embedding().embed(warm)).unwrap();
    // More than half a minute of work for the only thread that answers.
    let texts = (0..1_024).map(long_text).collect();
    let mut request = Request::new(wire::EmbedRequest { texts, ..Default::default() });
    request.set_timeout(Duration::from_secs(1));
    let status = server.ask(server.embedding().embed(request)).unwrap_err();
    // So much takes a while to arrive, and this client's own clock may be the first to say it.
    let is_client = (status.code(), status.message()) == (Code::Cancelled, "Timeout expired");
    assert!(is_client || status.code() == Code::DeadlineExceeded, "{status}");
    // Thread and model are free again long before they could have done all of it; so many texts
    // wait in the same lane.
    let texts = vec!["cat".to_owned(); 32];
    let mut request = Request::new(wire::EmbedRequest { texts, ..Default::default() });
    request.set_timeout(Duration::from_secs(30));
    server.ask(server.embedding().embed(request)).unwrap();
}

#[test]
fn a_stream_whose_deadline_passes_is_told_and_stores_no_more() {
    let server = TestServer::shared();
    let name = "limits-deadline";
    server.create(texts(name));
    let documents = (0..600).map(|n| text_document(&format!("d{n}"), &long_text(n))).collect();
    let mut request = Request::new(upserts(name, documents));
    request.set_timeout(Duration::from_secs(1));
    let (job, stored, status) = server.wait(async {
        let mut documents = server.documents();
        let answer = documents.upsert(request).await.unwrap();
        let job = answer.metadata().get("simile-job").unwrap().to_str().unwrap().to_owned();
        let mut results = answer.into_inner();
        let mut stored = 0;
        loop {
            match results.message().await {
                Ok(Some(result)) => {
                    stored += u64::from(matches!(result.outcome, Some(Outcome::Stored(_))));
                }
                Ok(None) => panic!("the stream ended as if all were well"),
                Err(status) => break (job, stored, status),
            }
        }
    });
    assert_eq!((status.code(), status.message()), (Code::DeadlineExceeded, "deadline exceeded"));
    let ended = server.wait(async {
        let watched = server.jobs().watch(wire::WatchJobRequest { id: job }).await.unwrap();
        watched.into_inner().map(Result::unwrap).collect::<Vec<_>>().await.pop().unwrap()
    });
    assert_eq!(ended.state(), wire::JobState::Cancelled);
    assert_eq!(ended.message, "deadline exceeded");
    // Once the server has no more work of it, a verification finds only whole documents.
    let verify = wire::VerifyRequest { collection: name.to_owned() };
    let verified = server.ask(server.admin().verify(verify)).unwrap();
    assert_eq!(verified.problems, Vec::<String>::new());
    assert!(verified.documents >= stored && verified.documents < 600, "{verified:?}");
}

#[test]
fn a_stream_that_sends_nothing_until_its_deadline_is_told_so() {
    let server = TestServer::without_model(|_| {});
    let mut request = Request::new(tokio_stream::pending::<wire::UpsertRequest>());
    request.set_timeout(Duration::from_secs(1));
    let status = server.ask(server.documents().upsert(request)).map(drop).unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::DeadlineExceeded, "deadline exceeded"));
}

#[test]
fn more_than_can_wait_is_refused_at_once_with_a_hint_when_to_come_back() {
    let server = TestServer::start(catalogue_options(), |options| {
        options.workers = 1;
        options.waiting_max = 2;
    });
    let texts = vec![long_text(0); 16];
    let request = wire::EmbedRequest { texts, ..wire::EmbedRequest::default() };
    server.ask(server.embedding().embed(request.clone())).unwrap();
    let calls: Vec<_> = (0..40)
        .map(|_| {
            let (mut client, request) = (server.embedding(), request.clone());
            server.spawn(async move { client.embed(request).await.map(drop) })
        })
        .collect();
    let mut answered = 0;
    let mut refused = Vec::new();
    for call in calls {
        match server.wait(call).unwrap() {
            Ok(()) => answered += 1,
            Err(status) => refused.push(status),
        }
    }
    assert!(answered >= 1 && !refused.is_empty(), "{answered} answered");
    for status in refused {
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        assert_eq!(status.message(), "2 requests are waiting already, try again later");
        assert_eq!(status.metadata().get("grpc-retry-pushback-ms").unwrap(), "500");
        assert_eq!(status.metadata().get("retry-after").unwrap(), "1");
    }
    // It is over when it is over.
    server.ask(server.embedding().embed(request)).unwrap();
}

#[test]
fn more_streams_than_may_store_at_once_are_refused_with_a_hint() {
    let server = TestServer::without_model(|options| options.streams_max = 1_024);
    let status = server.wait(async {
        let mut streams = tokio::task::JoinSet::new();
        for _ in 0..257 {
            let mut client = server.documents();
            let silent = tokio_stream::pending::<wire::UpsertRequest>();
            streams.spawn(async move { client.upsert(silent).await.map(drop) });
        }
        // Those that are let in wait for their first message, so the first answer is a refusal.
        streams.join_next().await.unwrap().unwrap().unwrap_err()
    });
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains("too many streams"), "{status}");
    assert!(status.metadata().contains_key("retry-after"));
}
