//! Documents of what the server itself reads.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use simile::reach::Web;
use simile::server::ServerOptions;
use simile_proto::v1::{self as wire};
use tonic::{Code, Status, Streaming};

use super::messages::{fields, outcome, text};
use super::server::TestServer;
use crate::reach::web::{Answers, Listener, ok};

/// What became of each file and page, and the job.
type Answer = Result<(Vec<(String, String)>, wire::Job), Status>;

fn request(sources: &[&str]) -> wire::UpsertSourcesRequest {
    wire::UpsertSourcesRequest {
        collection: "c".to_owned(),
        sources: sources.iter().map(ToString::to_string).collect(),
        ..Default::default()
    }
}

fn start(change: impl FnOnce(&mut ServerOptions)) -> TestServer {
    let server = TestServer::without_model(change);
    server.create(wire::CreateCollectionRequest {
        name: "c".to_owned(),
        words_only: true,
        ..Default::default()
    });
    server
}

fn begin(
    server: &TestServer,
    request: wire::UpsertSourcesRequest,
) -> Result<(String, Streaming<wire::UpsertResult>), Status> {
    let answer = server.wait(server.documents().upsert_sources(request))?;
    let job = answer.metadata().get("simile-job").unwrap().to_str().unwrap().to_owned();
    Ok((job, answer.into_inner()))
}

fn ask(server: &TestServer, request: wire::UpsertSourcesRequest) -> Answer {
    let (job, mut results) = begin(server, request)?;
    let mut all = Vec::new();
    while let Some(result) = server.wait(results.message())? {
        all.push((result.id.clone(), outcome(&result)));
    }
    Ok((all, ended(server, &job)))
}

fn ended(server: &TestServer, id: &str) -> wire::Job {
    let request = wire::WatchJobRequest { id: id.to_owned() };
    let mut watched = server.ask(server.jobs().watch(request)).unwrap();
    let mut last = None;
    while let Some(job) = server.wait(watched.message()).unwrap() {
        last = Some(job);
    }
    last.unwrap()
}

fn payload(server: &TestServer, id: &str) -> Vec<String> {
    let ids = vec![id.to_owned()];
    let request =
        wire::GetDocumentsRequest { collection: "c".to_owned(), ids, with_vectors: false };
    let documents = server.ask(server.documents().get(request)).unwrap().documents;
    let mut names: Vec<String> = documents[0].payload.keys().cloned().collect();
    names.sort();
    names
}

fn write(root: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = root.join(name);
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, content).unwrap();
}

#[cfg(unix)]
#[test]
fn files_beneath_the_folder_are_stored_and_what_cannot_be_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    write(folder.path(), "secret.txt", "Nobody reads this.");
    write(&root, "a.md", "# Tides\n\nThe sea rises.");
    write(&root, "deep/b.txt", "The cat sleeps.");
    write(&root, "deep/records.jsonl", "{\"id\": \"1\", \"text\": \"one\"}\n{\"text\": \"two\"}\n");
    write(&root, "deep/.hidden.txt", "Not for everybody.");
    write(&root, "deep/archive.rar", b"Rar!\x1a\x07\x01\x00\x00\x00");
    write(&root, "deep/empty.txt", "");
    write(&root, "large.txt", vec![b'x'; super::server::MESSAGE_BYTES_MAX + 1]);
    std::os::unix::fs::symlink("../secret.txt", root.join("link.txt")).unwrap();
    let server = start(|options| options.ingest_root = Some(root.clone()));
    let sources =
        ["a.md", "deep", "./deep//b.txt", "../secret.txt", "link.txt", "none", "large.txt"];
    let mut message = request(&sources);
    message.payload = fields([("sort", text("note")), ("extension", text("given"))]);
    message.job = Some("the folder".to_owned());
    let (mut results, job) = ask(&server, message.clone()).unwrap();
    results.sort();
    let is = |id: &str| {
        let found = results.iter().find(|(found, _)| found == id);
        found.unwrap_or_else(|| panic!("{id} in {results:?}")).1.as_str()
    };
    assert_eq!(results.len(), 9, "{results:?}");
    for id in ["a.md", "deep/b.txt", "deep/records.jsonl"] {
        assert_eq!(is(id), "stored", "{id}");
    }
    assert!(is("deep/archive.rar").starts_with("UNIMPLEMENTED: "), "{results:?}");
    assert!(is("deep/empty.txt").starts_with("INVALID_ARGUMENT: "), "{results:?}");
    assert!(
        is("../secret.txt").starts_with("INVALID_ARGUMENT: expected a path beneath"),
        "{results:?}"
    );
    assert!(is("link.txt").contains("a link is on the path"), "{results:?}");
    assert!(is("none").starts_with("NOT_FOUND: there is nothing of this name"), "{results:?}");
    assert!(is("large.txt").contains("message_bytes_max"), "{results:?}");
    assert_eq!((job.kind.as_str(), job.label.as_str()), ("fetch", "the folder"));
    assert_eq!((job.state(), job.items_done, job.items_failed), (wire::JobState::Done, 9, 6));
    assert_eq!(job.items_total, Some(9));
    let names = payload(&server, "deep/b.txt");
    assert_eq!(names, ["extension", "file", "modified", "path", "sort"]);
    // What is there in these very bytes is left as it is; what changed is stored.
    write(&root, "a.md", "# Tides\n\nThe sea falls.");
    let (results, _) = ask(&server, message.clone()).unwrap();
    let of = |id: &str| results.iter().find(|(found, _)| found == id).unwrap().1.as_str();
    assert_eq!((of("a.md"), of("deep/b.txt")), ("replaced", "unchanged"));
    assert_eq!(of("deep/records.jsonl"), "unchanged");
    // All of it, with other fields, and what is hidden.
    message.payload = fields([("sort", text("other"))]);
    (message.all, message.hidden, message.sources) = (true, true, vec![".".to_owned()]);
    let (results, _) = ask(&server, message).unwrap();
    let of = |id: &str| results.iter().find(|(found, _)| found == id).unwrap().1.as_str();
    assert_eq!((of("deep/b.txt"), of("deep/.hidden.txt")), ("replaced", "stored"));
    assert!(!results.iter().any(|(id, _)| id.contains("link")), "{results:?}");
    let status = ask(&server, request(&["http://example.org/"])).unwrap_err();
    assert!(status.message().contains("ingest_urls is off"), "{status}");
    fs_err::remove_dir_all(&root).unwrap();
    let status = ask(&server, request(&["a.md"])).unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(status.message().contains("cannot be opened"), "{status}");
}

#[test]
fn pages_are_stored_under_their_addresses_and_those_of_this_machine_are_refused() {
    let listener = Listener::new("127.0.0.1:0", |_| {
        Answers::from([
            ("/page".to_owned(), ok("text/html; charset=utf-8", b"<title>Tides</title><p>Low</p>")),
            ("/none".to_owned(), b"HTTP/1.1 404 None\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ])
    });
    let listener = listener.unwrap();
    let port = listener.address.port();
    let at = |host: &str, path: &str| format!("http://{host}:{port}{path}");
    let (page, none, private) =
        (at("web.test", "/page"), at("web.test", "/none"), at("10.0.0.1", "/"));
    let sources = [page.as_str(), none.as_str(), private.as_str(), page.as_str(), "ftp://a/b"];
    let here = listener.address;
    let server = start(|options| {
        let look_up = move |host: &str, port: u16| {
            let address = if host == "web.test" { here.ip() } else { host.parse().unwrap() };
            Ok(vec![(address, port).into()])
        };
        options.web = Some(Web::with(Arc::new(look_up), |address: IpAddr| address.is_loopback()));
    });
    let (results, job) = ask(&server, request(&sources)).unwrap();
    assert_eq!(results.len(), 4, "{results:?}");
    assert_eq!(results[0], (page.clone(), "stored".to_owned()));
    assert!(results[1].1.starts_with("NOT_FOUND: expected status 200, got 404"), "{results:?}");
    assert!(results[2].1.contains("`10.0.0.1` is not only reached at public"), "{results:?}");
    assert!(results[3].1.contains("got one of `ftp`"), "{results:?}");
    assert_eq!((job.items_done, job.items_failed), (4, 3));
    assert_eq!(payload(&server, &page), ["file", "path", "title"]);
    let (results, _) = ask(&server, request(&[&page])).unwrap();
    assert_eq!(results, [(page, "unchanged".to_owned())]);
    let came = listener.came();
    // As a server that is configured does it.
    let server = start(|options| options.web = Some(Web::public()));
    let sources = [at("127.0.0.1", "/page"), at("localhost", "/page"), at("0x7f.1", "/page")];
    let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
    let (results, _) = ask(&server, request(&sources)).unwrap();
    for (id, said) in &results {
        assert!(said.contains("is not only reached at public addresses"), "{id}: {said}");
    }
    assert_eq!((results.len(), listener.came()), (3, came));
    let status = ask(&server, request(&["a.txt"])).unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
}

#[cfg(unix)]
#[test]
fn a_job_that_reads_is_ended_by_whoever_asks_and_by_who_does_not_listen() {
    let root = tempfile::tempdir().unwrap();
    for number in 0..2_000 {
        write(root.path(), &format!("{number:04}.txt"), format!("Document of number {number}."));
    }
    let server = start(|options| options.ingest_root = Some(root.path().to_owned()));
    let (job, mut results) = begin(&server, request(&["."])).unwrap();
    server.wait(results.message()).unwrap().unwrap();
    server.ask(server.jobs().cancel(wire::CancelJobRequest { id: job.clone() })).unwrap();
    let last = server.wait(async {
        loop {
            match results.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(status) => return Some(status),
            }
        }
    });
    assert_eq!(last.map(|status| status.code()), Some(Code::Cancelled));
    let job = ended(&server, &job);
    assert_eq!(job.state(), wire::JobState::Cancelled, "{job:?}");
    assert!(job.items_done < 2_000 && job.items_total == Some(2_000), "{job:?}");
    let (job, results) = begin(&server, request(&["."])).unwrap();
    drop(results);
    let job = ended(&server, &job);
    assert_eq!(job.state(), wire::JobState::Cancelled, "{job:?}");
    // The places are free again, and what was stored is passed over.
    for _ in 0..5 {
        let (results, job) = ask(&server, request(&["."])).unwrap();
        assert_eq!((results.len(), job.items_failed), (2_000, 0));
    }
}

#[test]
fn so_many_jobs_read_at_once_and_one_more_is_told_to_come_back() {
    // Whoever comes is let in and never answered.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let here = silent.local_addr().unwrap();
    let server = start(|options| {
        let look_up = move |_: &str, _: u16| Ok(vec![here]);
        options.web = Some(Web::with(Arc::new(look_up), |address: IpAddr| address.is_loopback()));
    });
    let page = format!("http://web.test:{}/", here.port());
    let waiting: Vec<_> = (0..4).map(|_| begin(&server, request(&[&page])).unwrap()).collect();
    let status = begin(&server, request(&[&page])).map(drop).unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.metadata().contains_key("retry-after"), "{status:?}");
    drop(silent);
    for (job, mut results) in waiting {
        let said = outcome(&server.wait(results.message()).unwrap().unwrap());
        assert!(said.starts_with("UNAVAILABLE: no answer"), "{said}");
        assert_eq!(ended(&server, &job).items_failed, 1);
    }
}
