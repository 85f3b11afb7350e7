//! Models that another server runs, beside a server on loopback that speaks OpenAI's embeddings protocol and
//! does what servers do: answers in base64 or in numbers, refuses, breaks down, and sends what is wrong.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::{Value, json};
use simile::cancel::Cancellation;
use simile::embed::{
    Catalogue, CatalogueOptions, EmbedError, EmbedderHandle, Keys, Lane, RemoteSettings, Role,
};
use simile::error::{Classified as _, ErrorKind};

use crate::support;

const DIMENSION: usize = 3;

/// What was asked.
#[derive(Debug, Clone)]
struct Seen {
    path: String,
    authorization: Option<String>,
    body: Value,
}

/// What is answered: status, headers, body.
type Reply = (u16, &'static str, String);
type Script = dyn FnMut(usize, &Seen) -> Reply + Send;

/// A server that does as its script says, until it is dropped.
struct Endpoint {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    thread: Option<JoinHandle<()>>,
}

impl Endpoint {
    fn start(mut script: impl FnMut(usize, &Seen) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&seen);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if !answer(&stream.unwrap(), &told, &mut script) {
                    break;
                }
            }
        });
        Self { address, seen, thread: Some(thread) }
    }

    fn settings(&self) -> RemoteSettings {
        let url = format!("http://{}/v1/", self.address);
        RemoteSettings { retry_ms: 1, ..RemoteSettings::of(url, "their-model") }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // A connection that asks nothing ends the thread.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Answers one request; returns false if there was none.
fn answer(mut stream: &TcpStream, told: &Mutex<Vec<Seen>>, script: &mut Script) -> bool {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length, mut authorization) = (String::new(), 0, None);
    if reader.read_line(&mut first).unwrap_or(0) == 0 {
        return false;
    }
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "authorization" => authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let path = first.split(' ').nth(1).unwrap().to_owned();
    let seen = Seen { path, authorization, body: serde_json::from_slice(&body).unwrap() };
    let mut all = told.lock().unwrap();
    let (status, headers, text) = script(all.len(), &seen);
    all.push(seen);
    drop(all);
    let length = text.len();
    let reply = format!(
        "HTTP/1.1 {status} Said\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{text}"
    );
    stream.write_all(reply.as_bytes()).unwrap();
    true
}

/// The texts of a request.
fn inputs(seen: &Seen) -> Vec<String> {
    serde_json::from_value(seen.body["input"].clone()).unwrap()
}

/// What the endpoint makes of a text: not of length one.
fn vector(text: &str) -> [f32; DIMENSION] {
    let sum: u32 = text.chars().map(u32::from).sum();
    [text.chars().count() as f32, (sum % 97) as f32, 3.0]
}

/// The right answer, last vector first, in base64 or in numbers.
fn right(seen: &Seen, in_base64: bool) -> Reply {
    use base64::Engine as _;
    let data = inputs(seen).into_iter().enumerate().rev().map(|(index, text)| {
        let numbers = vector(&text);
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let encoded = base64::prelude::BASE64_STANDARD.encode(bytes);
        let embedding = if in_base64 { json!(encoded) } else { json!(numbers) };
        json!({ "object": "embedding", "index": index, "embedding": embedding })
    });
    let body = json!({ "data": data.collect::<Vec<_>>(), "usage": { "total_tokens": 1 } });
    (200, "content-type: application/json\r\n", body.to_string())
}

fn open(folder: &std::path::Path, keys: Keys) -> Catalogue {
    support::catalogue_with(folder).with_keys(keys)
}

fn added(folder: &std::path::Path, settings: RemoteSettings) -> Result<EmbedderHandle, EmbedError> {
    let key = |variable: &str| (variable == "SOME_KEY").then(|| "secret".to_owned());
    let catalogue = open(folder, Keys::new(key));
    catalogue.add_remote("theirs", settings, DIMENSION, "NOASSERTION", &|_, _, _| {})?;
    catalogue.load("theirs", &|_, _, _| {})
}

fn embed(model: &EmbedderHandle, texts: &[&str], role: Role) -> Result<Vec<Vec<f32>>, EmbedError> {
    let embedded = model.embed(texts, role, Lane::Bulk, &Cancellation::new())?;
    let vectors = embedded.embeddings.into_iter().map(|embedding| embedding.vector.unwrap());
    Ok(vectors.map(|vector| vector.as_dense().unwrap().as_slice().to_vec()).collect())
}

#[test]
fn base64_and_numbers_give_the_same_vectors_in_batches_of_many_texts() {
    let texts: Vec<String> = (0..300).map(|number| format!("text number {number} 猫")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for in_base64 in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let endpoint = Endpoint::start(move |_, seen| right(seen, in_base64));
        let settings = RemoteSettings {
            key_variable: Some("SOME_KEY".to_owned()),
            sends_dimension: true,
            batch_texts: 50,
            query_prefix: "query: ".to_owned(),
            ..endpoint.settings()
        };
        let model = added(folder.path(), settings).unwrap();
        let before = endpoint.seen().len();
        let vectors = embed(&model, &texts, Role::Passage).unwrap();
        for (ours, text) in vectors.iter().zip(&texts) {
            let theirs = vector(text);
            let length = theirs.iter().map(|x| x * x).sum::<f32>().sqrt();
            for (ours, theirs) in ours.iter().zip(theirs) {
                assert!((ours - theirs / length).abs() < 1e-6, "{text}");
            }
        }
        let asked = endpoint.seen().split_off(before);
        assert!(asked.iter().all(|seen| inputs(seen).len() <= 50));
        assert!(asked.len() <= 12, "{} requests for 300 texts", asked.len());
        for seen in &asked {
            assert_eq!(seen.path, "/v1/embeddings");
            assert_eq!(seen.authorization.as_deref(), Some("Bearer secret"));
            assert_eq!(seen.body["model"], "their-model");
            assert_eq!(seen.body["dimensions"], DIMENSION);
        }
        embed(&model, &["a question"], Role::Query).unwrap();
        assert_eq!(inputs(endpoint.seen().last().unwrap()), ["query: a question"]);
        assert!(!format!("{model:?}").contains("secret"));
    }
}

#[test]
fn what_passes_is_tried_again_and_what_lasts_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    // The model is added and loaded with right answers, then trouble begins.
    let trouble: Arc<Mutex<Vec<Reply>>> = Arc::default();
    let told = Arc::clone(&trouble);
    let endpoint = Endpoint::start(move |_, seen| {
        told.lock().unwrap().pop().unwrap_or_else(|| right(seen, true))
    });
    let model = added(folder.path(), endpoint.settings()).unwrap();
    let said = |status, headers| (status, headers, "Slow down, or else.".to_owned());
    // Taken from the end.
    let case = |replies: Vec<Reply>| {
        *trouble.lock().unwrap() = replies;
        let before = endpoint.seen().len();
        let result = embed(&model, &["a cat"], Role::Passage);
        trouble.lock().unwrap().clear();
        let said = |error: EmbedError| (error.kind(), error.to_string());
        (result.map_err(said), endpoint.seen().len() - before)
    };
    let (vectors, tries) =
        case(vec![said(500, ""), said(503, ""), said(429, "retry-after: 0\r\n")]);
    assert_eq!((vectors.unwrap().len(), tries), (1, 4));
    let (error, tries) = case(vec![said(503, ""); 9]);
    let (kind, error) = error.unwrap_err();
    assert_eq!(kind, ErrorKind::Unavailable, "{error}");
    assert!(error.contains("503") && error.contains("the last of 5 tries"), "{error}");
    assert_eq!(tries, 5);
    let lasting = [
        (said(401, ""), "401 Unauthorized: Slow down, or else."),
        (said(302, "location: http://127.0.0.1:1/\r\n"), "302"),
        ((200, "", "no json".to_owned()), "is not understood"),
        ((200, "", json!({ "data": [] }).to_string()), "expected 1 vectors, number 0 is missing"),
        (
            (200, "", json!({ "data": [{ "index": 0, "embedding": [1, 2] }] }).to_string()),
            "expected vectors of dimension 3, got 2",
        ),
        (
            (200, "", json!({ "data": [{ "index": 0, "embedding": [0, 0, 0] }] }).to_string()),
            "vector",
        ),
    ];
    for (reply, words) in lasting {
        let (error, tries) = case(vec![reply]);
        let (kind, error) = error.unwrap_err();
        assert!(error.contains(words), "expected {words:?} in {error:?}");
        assert_eq!((kind, tries), (ErrorKind::Conflict, 1), "{error}");
    }
    let (vectors, _) = case(Vec::new());
    assert_eq!(vectors.unwrap().len(), 1, "afterwards all is well again");
}

#[test]
fn a_model_that_has_become_another_one_or_lacks_its_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let has_changed = Arc::new(Mutex::new(false));
    let told = Arc::clone(&has_changed);
    let endpoint = Endpoint::start(move |_, seen| {
        let (status, headers, body) = right(seen, false);
        let turned = body.replace("\"embedding\":[", "\"embedding\":[-");
        (status, headers, if *told.lock().unwrap() { turned } else { body })
    });
    let settings =
        RemoteSettings { key_variable: Some("OTHER_KEY".to_owned()), ..endpoint.settings() };
    let error = added(folder.path(), settings).unwrap_err().to_string();
    assert!(error.contains("variable OTHER_KEY") && error.contains("model theirs"), "{error}");
    assert!(endpoint.seen().is_empty(), "without its key nothing is asked");
    added(folder.path(), endpoint.settings()).unwrap();
    *has_changed.lock().unwrap() = true;
    let load = |catalogue: Catalogue| catalogue.load("theirs", &|_, _, _| {}).unwrap_err();
    let error = load(open(folder.path(), Keys::default()));
    assert!(matches!(error, EmbedError::Canary { .. }), "{error}");
    let own = Some(folder.path().join("own"));
    let offline = CatalogueOptions { own, is_offline: true, ..support::catalogue_options() };
    let error = load(Catalogue::open(offline).unwrap()).to_string();
    assert!(error.contains("which another server runs"), "{error}");
}

#[test]
fn settings_that_cannot_be_meant_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let base = RemoteSettings::of("http://127.0.0.1:1", "m");
    let cases = [
        (RemoteSettings { url: "ftp://x".to_owned(), ..base.clone() }, "`ftp://x`"),
        (RemoteSettings { model: String::new(), ..base.clone() }, "model is empty"),
        (RemoteSettings { tokens_max: 0, ..base.clone() }, "tokens_max is 0"),
        (RemoteSettings { batch_texts: 9_999, ..base.clone() }, "expected 1 to 2048"),
        (RemoteSettings { requests_per_minute: Some(0), ..base.clone() }, "per_minute is 0"),
        (RemoteSettings { retry_ms: 0, ..base }, "retry_ms is 0"),
    ];
    for (settings, words) in cases {
        let error = added(folder.path(), settings).unwrap_err().to_string();
        assert!(error.contains(words), "expected {words:?} in {error:?}");
    }
}
