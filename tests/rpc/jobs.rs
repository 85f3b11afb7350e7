use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use simile_proto::v1::upsert_result::Outcome;
use simile_proto::v1::{self as wire};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::messages::{collection, part, parts};
use super::server::TestServer;

/// An upsert stream that the test writes step by step.
struct Stream {
    send: mpsc::Sender<wire::UpsertRequest>,
    results: Streaming<wire::UpsertResult>,
    job: String,
}

impl Stream {
    fn open(server: &TestServer, label: &str, items_total: u64) -> Self {
        let (send, receive) = mpsc::channel(16);
        let first = wire::UpsertRequest {
            collection: "c".to_owned(),
            job: Some(label.to_owned()),
            items_total: Some(items_total),
            document: None,
            ..wire::UpsertRequest::default()
        };
        server.wait(send.send(first)).unwrap();
        let mut documents = server.documents();
        let answer = server.wait(documents.upsert(ReceiverStream::new(receive))).unwrap();
        let job = answer.metadata().get("simile-job").unwrap().to_str().unwrap().to_owned();
        Self { send, results: answer.into_inner(), job }
    }

    fn send(&self, server: &TestServer, id: &str, v: &[f32]) {
        let document = Some(parts(id, vec![part("text", v)]));
        let message = wire::UpsertRequest { document, ..wire::UpsertRequest::default() };
        server.wait(self.send.send(message)).unwrap();
    }

    fn result(&mut self, server: &TestServer) -> Result<Option<wire::UpsertResult>, Status> {
        server.wait(self.results.message())
    }
}

fn get(server: &TestServer, id: &str) -> wire::Job {
    server.ask(server.jobs().get(wire::GetJobRequest { id: id.to_owned() })).unwrap()
}

fn watch(server: &TestServer, id: &str) -> Streaming<wire::Job> {
    server.ask(server.jobs().watch(wire::WatchJobRequest { id: id.to_owned() })).unwrap()
}

/// Reads what is watched until the job has ended.
fn until_ended(server: &TestServer, mut watched: Streaming<wire::Job>) -> Vec<wire::Job> {
    server.wait(async {
        let mut seen = Vec::new();
        while let Some(job) = watched.message().await.unwrap() {
            seen.push(job);
        }
        seen
    })
}

#[test]
fn a_stream_is_a_job_that_is_listed_watched_and_counted() {
    let server = TestServer::without_model(|_| {});
    server.create(collection("c", 2));
    let mut stream = Stream::open(&server, "notes", 3);
    let mut watched = watch(&server, &stream.job);
    let first = server.wait(watched.message()).unwrap().unwrap();
    assert_eq!((first.kind.as_str(), first.label.as_str()), ("ingest", "notes"));
    assert_eq!((first.collection.as_str(), first.items_total), ("c", Some(3)));
    assert_eq!((first.state(), first.items_done), (wire::JobState::Running, 0));

    stream.send(&server, "a", &[1.0, 0.0]);
    stream.send(&server, "wrong", &[1.0]);
    for _ in 0..2 {
        stream.result(&server).unwrap().unwrap();
    }
    let info = server.ask(server.admin().info(wire::InfoRequest {})).unwrap();
    assert_eq!((info.jobs_running, info.collections), (1, 1));
    let running = get(&server, &stream.job);
    assert_eq!((running.items_done, running.items_failed), (2, 1));
    assert_eq!((running.state(), running.ended_unix_ms), (wire::JobState::Running, 0));
    let Stream { send, mut results, job } = stream;
    drop(send);
    assert!(server.wait(results.message()).unwrap().is_none());

    let seen = until_ended(&server, watched);
    let last = seen.last().unwrap();
    assert_eq!((last.state(), last.items_done), (wire::JobState::Done, 2));
    assert!(last.bytes_done > 0 && last.ended_unix_ms > 0, "{last:?}");
    let listed = server.ask(server.jobs().list(wire::ListJobsRequest {})).unwrap().jobs;
    assert_eq!((listed.len(), &listed[0]), (1, last));
    assert_eq!(listed[0].id, job);
    // Who comes late is told how it ended.
    assert_eq!(until_ended(&server, watch(&server, &job)), std::slice::from_ref(last));
}

#[test]
fn a_cancelled_stream_ends_though_its_client_goes_on_and_keeps_what_was_answered() {
    let server = TestServer::without_model(|_| {});
    server.create(collection("c", 2));
    let mut stream = Stream::open(&server, "", 0);
    stream.send(&server, "a", &[1.0, 0.0]);
    let result = stream.result(&server).unwrap().unwrap();
    assert!(matches!(result.outcome, Some(Outcome::Stored(_))), "{result:?}");
    let watched = watch(&server, &stream.job);
    let request = wire::CancelJobRequest { id: stream.job.clone() };
    server.ask(server.jobs().cancel(request)).unwrap();
    // A client that never pauses: the stream has to end all the same.
    let send = stream.send.clone();
    let sending = server.spawn(async move {
        let mut sent = 0u64;
        loop {
            let document = Some(parts(&format!("late-{sent}"), vec![part("text", &[1.0, 1.0])]));
            let message = wire::UpsertRequest { document, ..wire::UpsertRequest::default() };
            if send.send(message).await.is_err() {
                return sent;
            }
            sent += 1;
        }
    });
    let mut stored_late = 0;
    let status = loop {
        match stream.result(&server) {
            Ok(Some(result)) => {
                stored_late += u64::from(matches!(result.outcome, Some(Outcome::Stored(_))));
            }
            Ok(None) => panic!("the stream ended as if all were well"),
            Err(status) => break status,
        }
    };
    assert_eq!((status.code(), status.message()), (Code::Cancelled, "cancelled by the caller"));
    drop(stream);
    server.wait(sending).unwrap();
    let last = until_ended(&server, watched).pop().unwrap();
    assert_eq!(last.state(), wire::JobState::Cancelled);
    let request = wire::CountRequest { collection: "c".to_owned(), filter: None };
    let counted = server.ask(server.documents().count(request)).unwrap().documents;
    assert_eq!(counted, 1 + stored_late);
}

#[test]
fn a_stream_that_a_restart_cut_off_is_told_of_and_goes_on_when_it_is_sent_again() {
    let later = Arc::new(AtomicU64::new(0));
    let mut server = TestServer::without_model(|options| {
        let (clock, later) = (Arc::clone(&options.clock), Arc::clone(&later));
        options.clock = Arc::new(move || clock() + later.load(Ordering::Relaxed));
    });
    server.create(collection("c", 2));
    let mut stream = Stream::open(&server, "notes", 3);
    stream.send(&server, "a", &[1.0, 0.0]);
    stream.result(&server).unwrap().unwrap();
    later.store(5_000, Ordering::Relaxed);
    stream.send(&server, "b", &[0.0, 1.0]);
    stream.result(&server).unwrap().unwrap();
    let stopping = server.begin_to_stop();
    assert_eq!(stream.result(&server).unwrap_err().code(), Code::Unavailable);
    let job = stream.job.clone();
    drop(stream);
    server.wait(stopping).unwrap();
    server.restart();

    let told = get(&server, &job);
    assert_eq!(told.state(), wire::JobState::Interrupted);
    assert_eq!((told.kind.as_str(), told.label.as_str()), ("ingest", "notes"));
    assert_eq!((told.items_done, told.items_total), (2, Some(3)));
    assert!(told.message.contains("send the same again"), "{}", told.message);
    assert_eq!(until_ended(&server, watch(&server, &job)), [told]);
    let mut again = Stream::open(&server, "notes", 3);
    assert_ne!(again.job, job);
    for (id, v) in [("a", [1.0, 0.0]), ("b", [0.0, 1.0]), ("c", [1.0, 1.0])] {
        again.send(&server, id, &v);
        let result = again.result(&server).unwrap().unwrap();
        assert_eq!(matches!(result.outcome, Some(Outcome::Stored(_))), id == "c", "{result:?}");
    }
}

#[test]
fn maintenance_is_a_job_too() {
    let server = TestServer::without_model(|_| {});
    server.create(collection("c", 2));
    let request = wire::VerifyRequest { collection: "c".to_owned() };
    server.ask(server.admin().verify(request)).unwrap();
    let request = wire::OptimizeRequest { collection: "c".to_owned() };
    server.ask(server.admin().optimize(request)).unwrap();
    let listed = server.ask(server.jobs().list(wire::ListJobsRequest {})).unwrap().jobs;
    let kinds: Vec<(&str, wire::JobState)> =
        listed.iter().map(|job| (job.kind.as_str(), job.state())).collect();
    assert_eq!(kinds, [("merge", wire::JobState::Done), ("verify", wire::JobState::Done)]);
}
