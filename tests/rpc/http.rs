//! HTTP beside gRPC: probes, metrics, and what a browser sends.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use prost::Message as _;
use simile_proto::v1::{self as wire};

use super::messages::{collection, part, parts};
use super::server::TestServer;

/// Sends a request and returns the status line with the headers, and the body.
pub(super) fn exchange(address: SocketAddr, head: &str, body: &[u8]) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let head = format!(
        "{head}\r\nhost: {address}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    (String::from_utf8(answer[..end].to_vec()).unwrap(), answer[end + 4..].to_vec())
}

pub(super) fn get(address: SocketAddr, path: &str) -> (String, String) {
    let (head, body) = exchange(address, &format!("GET {path} HTTP/1.1"), b"");
    (head, String::from_utf8(body).unwrap())
}

#[test]
fn probes_and_metrics_are_answered_over_http() {
    let mut server = TestServer::without_model(|_| {});
    let address = server.serve_http();
    server.create(collection("c", 2));
    server.store("c", vec![parts("a", vec![part("a cat", &[1.0, 0.0])])]);
    let missing = wire::GetCollectionRequest { name: "none".to_owned() };
    assert!(server.ask(server.collections().get(missing)).is_err());
    let cat = wire::SearchRequest {
        collection: "c".to_owned(),
        text: Some("cat".to_owned()),
        mode: wire::Mode::Lexical.into(),
        ..Default::default()
    };
    assert_eq!(server.ask(server.searches().search(cat)).unwrap().hits.len(), 1);
    let (head, body) = get(address, "/");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(body.contains("\"version\":\"1.") && body.contains("simile"), "{body}");
    assert_eq!(get(address, "/healthz").1, "ok\n");
    let (head, body) = get(address, "/readyz");
    assert!(head.starts_with("HTTP/1.1 200") && body.contains("\"ready\":true"), "{head} {body}");
    let (head, body) = get(address, "/metrics");
    assert!(head.contains("application/openmetrics-text"), "{head}");
    for line in [
        "simile_requests_total{method=\"simile.v1.Collections/Create\",code=\"OK\"} 1",
        "simile_requests_total{method=\"simile.v1.Collections/Get\",code=\"NOT_FOUND\"} 1",
        "simile_request_seconds_count{method=\"simile.v1.Documents/Upsert\"} 1",
        "simile_documents{collection=\"c\"} 1",
        "simile_stage_seconds_count{work=\"store\",collection=\"c\",stage=\"commit\"} 1",
        "simile_stage_seconds_count{work=\"search\",collection=\"c\",stage=\"search\"} 1",
        "# EOF",
    ] {
        assert!(body.contains(line), "{line}\n{body}");
    }
    let (head, body) = get(address, "/nothing");
    assert!(head.starts_with("HTTP/1.1 404") && body.contains("\"error\""), "{head} {body}");
}

#[test]
fn a_browser_reaches_the_services_by_grpc_web() {
    let server = TestServer::without_model(|_| {});
    server.create(collection("c", 2));
    let request = wire::GetCollectionRequest { name: "c".to_owned() }.encode_to_vec();
    let length = u32::try_from(request.len()).unwrap().to_be_bytes();
    let framed = [&[0], length.as_slice(), &request].concat();
    let head = "POST /simile.v1.Collections/Get HTTP/1.1\r\n\
        content-type: application/grpc-web+proto\r\naccept: application/grpc-web+proto";
    let (head, body) = exchange(server.address(), head, &framed);
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("application/grpc-web+proto"), "{head}");
    let holds = |words: &[u8]| body.windows(words.len()).any(|bytes| bytes == words);
    // The message holds the name of the collection, and the trailers stand in the body.
    assert!(holds(b"\x0a\x01c") && holds(b"grpc-status:0"), "{}", String::from_utf8_lossy(&body));
}
