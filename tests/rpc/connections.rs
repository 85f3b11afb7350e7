//! How the server is reached: encrypted, from pages of other origins, and by no more at once than it is
//! told to bear.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::Message as _;
use simile::server::{Access, Tls};
use simile_proto::v1::admin_client::AdminClient;
use simile_proto::v1::{self as wire};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Status};

use super::http::{exchange, get};
use super::messages::{collection, part, parts};
use super::server::TestServer;

fn made() -> Tls {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificates, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    Tls { certificates: certificates.into(), key: key.into(), client_ca: None }
}

/// Asks over a new connection that trusts these certificates.
fn ask_anew(server: &TestServer, trusted: &Tls, identity: Option<&Tls>) -> Result<(), String> {
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&trusted.certificates));
    let tls = match identity {
        Some(own) => tls.identity(Identity::from_pem(&own.certificates, &own.key)),
        None => tls,
    };
    let endpoint = Endpoint::from_shared(format!("https://{}", server.address())).unwrap();
    let endpoint = endpoint.tls_config(tls).unwrap();
    server.wait(async {
        let channel = endpoint.connect().await.map_err(|error| format!("{error:?}"))?;
        let asked = AdminClient::new(channel).info(wire::InfoRequest {}).await;
        asked.map(drop).map_err(|status| status.to_string())
    })
}

/// Returns what HTTP answers over a new connection that trusts these certificates.
fn https(server: &TestServer, address: SocketAddr, trusted: &Tls) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&trusted.certificates).unwrap()).unwrap();
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    server.wait(async {
        let stream = tokio::net::TcpStream::connect(address).await?;
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    })
}

#[test]
fn new_connections_see_a_new_certificate_on_both_ports_and_old_ones_go_on() {
    let (first, second) = (made(), made());
    let tls = first.clone();
    let mut server = TestServer::without_model(|options| options.tls = Some(tls));
    let http = server.serve_http();
    let certificates = server.certificates();
    let is_answered = |trusted: &Tls| {
        let over_grpc = ask_anew(&server, trusted, None).is_ok();
        let over_http = https(&server, http, trusted);
        let over_http = over_http.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"));
        assert_eq!(over_grpc, over_http);
        over_grpc
    };
    assert!(is_answered(&first) && !is_answered(&second));
    certificates.replace(&second).unwrap();
    assert!(!is_answered(&first) && is_answered(&second));
    // One that trusts the first only, and so is no new one.
    server.ask(server.admin().info(wire::InfoRequest {})).unwrap();
    let mismatched = Tls { key: first.key.clone(), ..second.clone() };
    let error = certificates.replace(&mismatched).unwrap_err().to_string();
    assert!(error.contains("do not go together"), "{error}");
    assert!(!is_answered(&first) && is_answered(&second));
    // Plain words get no answer on an encrypted port.
    let mut plain = TcpStream::connect(http).unwrap();
    std::io::Write::write_all(&mut plain, b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // It may be reset instead of closed.
    drop(std::io::Read::read_to_end(&mut plain, &mut answer));
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

#[test]
fn whose_certificates_are_asked_for_may_be_replaced_too() {
    let server_tls = made();
    let tls = server_tls.clone();
    let server = TestServer::without_model(|options| options.tls = Some(tls));
    let (known, other) = (authority(), authority());
    ask_anew(&server, &server_tls, None).unwrap();
    let asking = Tls { client_ca: Some(known.0.clone()), ..server_tls.clone() };
    server.certificates().replace(&asking).unwrap();
    assert!(ask_anew(&server, &server_tls, None).is_err());
    assert!(ask_anew(&server, &server_tls, Some(&other.1)).is_err());
    ask_anew(&server, &server_tls, Some(&known.1)).unwrap();
}

/// Returns the certificate of who signs, and one that it signed with its key.
fn authority() -> (Vec<u8>, Tls) {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

    let mut signs = CertificateParams::new(Vec::<String>::new()).unwrap();
    signs.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let signs = CertifiedIssuer::self_signed(signs, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let client = CertificateParams::new(["client".to_owned()]).unwrap();
    let client = client.signed_by(&key, &signs).unwrap();
    let (certificates, key) = (client.pem(), key.serialize_pem());
    let client = Tls { certificates: certificates.into(), key: key.into(), client_ca: None };
    (signs.pem().into(), client)
}

#[test]
fn pages_of_the_origins_that_are_named_may_ask_and_no_others() {
    const NAMED: &str = "https://pets.example";
    let preflight = |address: SocketAddr, path: &str, origin: &str| {
        let head = format!(
            "OPTIONS {path} HTTP/1.1\r\norigin: {origin}\r\naccess-control-request-method: POST\r\n\
             access-control-request-headers: authorization,content-type,x-grpc-web"
        );
        exchange(address, &head, b"").0.to_lowercase()
    };
    let paths = ["/simile.v1.Collections/Get", "/v1/embeddings"];
    let start = |origins: &[&str]| {
        let origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
        let mut server = TestServer::without_model(|options| {
            options.cors_origins = origins;
            // Who only looks whether it may ask has no key to show.
            options.access = Access::Own("key".to_owned());
        });
        let addresses = [server.address(), server.serve_http()];
        (server, addresses)
    };
    let (_server, addresses) = start(&[NAMED, "https://other.example"]);
    for (address, path) in addresses.into_iter().zip(paths) {
        let told = preflight(address, path, NAMED);
        let allows = format!("access-control-allow-origin: {NAMED}");
        assert!(told.starts_with("http/1.1 200") && told.contains(&allows), "{told}");
        for header in ["authorization", "content-type", "x-grpc-web", "grpc-timeout"] {
            assert!(told.contains(header), "{header}: {told}");
        }
        let told = preflight(address, path, "https://pets.example.evil");
        assert!(!told.contains("access-control-allow-origin"), "{told}");
        // The answer itself may be read, though it is a refusal.
        let head = format!(
            "POST {path} HTTP/1.1\r\norigin: {NAMED}\r\n\
            content-type: application/grpc-web+proto"
        );
        let told = exchange(address, &head, b"\0\0\0\0\0").0.to_lowercase();
        assert!(told.contains(&allows) && told.contains("grpc-message"), "{told}");
    }
    let (_server, addresses) = start(&["*"]);
    for (address, path) in addresses.into_iter().zip(paths) {
        let told = preflight(address, path, "https://anybody.example");
        assert!(told.contains("access-control-allow-origin: *"), "{told}");
    }
    let (_server, addresses) = start(&[]);
    for (address, path) in addresses.into_iter().zip(paths) {
        let told = preflight(address, path, NAMED);
        assert!(!told.contains("access-control"), "{told}");
    }
}

/// Asks over a new connection.
fn info_anew(server: &TestServer) -> Result<(), Status> {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address())).unwrap();
    server.wait(async {
        let channel: Channel = endpoint.connect_lazy();
        AdminClient::new(channel).info(wire::InfoRequest {}).await.map(drop)
    })
}

#[test]
fn connections_over_the_bound_are_told_so_and_those_within_it_go_on() {
    let mut server = TestServer::without_model(|options| options.connections_max = 3);
    let http = server.serve_http();
    // The test's own channel is the first.
    let idle: Vec<TcpStream> = (0..2).map(|_| TcpStream::connect(http).unwrap()).collect();
    let metric = |name: &str| {
        let metrics =
            server.ask(server.admin().metrics(wire::MetricsRequest {})).unwrap().open_metrics;
        let line = metrics.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap().rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    // They are taken one after the other, so the second stands where this one does.
    while metric("simile_connections") < 3 {
        std::thread::yield_now();
    }
    let status = info_anew(&server).unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains("its 3 connections (connections_max) already"), "{status}");
    assert!(status.metadata().contains_key("retry-after"));
    let (head, body) = get(http, "/healthz");
    assert!(head.starts_with("HTTP/1.1 429") && head.contains("retry-after"), "{head}");
    assert!(body.contains("connections_max"), "{body}");
    // More than are told: the rest is closed, and those within the bound do not notice.
    let flood: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(http).unwrap()).collect();
    for _ in 0..20 {
        server.ask(server.admin().info(wire::InfoRequest {})).unwrap();
    }
    while metric("simile_connections_refused_total") < 200 {
        std::thread::yield_now();
    }
    drop((idle, flood));
    let begin = Instant::now();
    while let Err(status) = info_anew(&server) {
        assert!(begin.elapsed() < Duration::from_secs(30), "{status}");
    }
}

#[test]
fn messages_beyond_the_bytes_in_flight_are_refused_and_none_count_for_longer_than_they_last() {
    let server = TestServer::without_model(|options| options.bytes_in_flight_max = 1 << 20);
    // A field that nobody knows, as large as is to be.
    let padded = |bytes: usize| {
        let unknown = wire::GetCollectionRequest { name: "x".repeat(bytes) };
        let mut message = unknown.encode_to_vec();
        // The number 15 in place of 1.
        message[0] = 15 << 3 | 2;
        message
    };
    let ask = |bytes| server.exchange("simile.v1.Admin/Info", vec![padded(bytes)]);
    let status = ask(2 << 20).unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains("1048576 bytes (bytes_in_flight_max)"), "{status}");
    assert!(status.metadata().contains_key("retry-after"));
    // Ten times what may be there at once, one after the other.
    for _ in 0..20 {
        ask(500 << 10).unwrap();
    }
    server.create(collection("c", 2));
    let documents = |from: usize| {
        let one = |number: usize| {
            let text = "low tide ".repeat(4_000);
            parts(&format!("{number}"), vec![part(&text, &[1.0, 0.0])])
        };
        (from..from + 80).map(one).collect::<Vec<_>>()
    };
    server.store("c", documents(0));
    let in_flight = || {
        let asked = server.ask(server.admin().metrics(wire::MetricsRequest {})).unwrap();
        let mut lines = asked.open_metrics.lines();
        let value = lines.find_map(|line| line.strip_prefix("simile_in_flight_bytes "));
        value.unwrap().parse::<u64>().unwrap()
    };
    // The last message of a stream counts while the stream is open.
    let (send, receive) = tokio::sync::mpsc::channel(1);
    let document = documents(80).pop();
    let first = wire::UpsertRequest { collection: "c".to_owned(), document, ..Default::default() };
    let bytes = first.encoded_len() as u64;
    server.wait(send.send(first)).unwrap();
    let mut client = server.documents();
    let stream = tokio_stream::wrappers::ReceiverStream::new(receive);
    let mut results = server.wait(client.upsert(stream)).unwrap().into_inner();
    server.wait(results.message()).unwrap().unwrap();
    assert!((bytes..bytes + 100).contains(&in_flight()), "{bytes}, {}", in_flight());
    drop(send);
    assert!(server.wait(results.message()).unwrap().is_none());
    drop(results);
    let until = Instant::now() + Duration::from_secs(10);
    while in_flight() >= 100 {
        assert!(Instant::now() < until, "{} bytes are still counted", in_flight());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_key_sends_so_many_bytes_a_second_and_is_told_when_to_come_back() {
    let mut server = TestServer::without_model(|options| {
        options.bytes_per_second_max = Some(1_000);
        options.message_bytes_max = 1 << 16;
    });
    let http = server.serve_http();
    server.create(collection("c", 2));
    let ask = || {
        let question = wire::SearchRequest {
            text: Some("x".repeat(20_000)),
            mode: wire::Mode::Lexical.into(),
            ..super::messages::ask_vector("c", &[1.0, 0.0])
        };
        server.ask(server.searches().search(question))
    };
    ask().unwrap();
    let status = ask().unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    let words = "its 1000 bytes of this second (bytes_per_second_max)";
    assert!(status.message().contains(words), "{status}");
    assert!(status.metadata().contains_key("retry-after"));
    let head = "POST /v1/embeddings HTTP/1.1\r\ncontent-type: application/json";
    let (head, body) = exchange(http, head, b"{\"model\": \"all-minilm-l6-v2\", \"input\": \"a\"}");
    let body = String::from_utf8(body).unwrap();
    assert!(head.starts_with("HTTP/1.1 429") && body.contains("bytes_per_second_max"), "{body}");
}

#[test]
fn a_connection_has_so_many_requests_open_and_the_next_one_waits() {
    let server = TestServer::without_model(|options| options.streams_max = 1);
    server.ask(server.admin().info(wire::InfoRequest {})).unwrap();
    let mut documents = server.documents();
    let silent = tokio_stream::pending::<wire::UpsertRequest>();
    let open = server.spawn(async move { documents.upsert(silent).await.map(drop) });
    let ask = |time: Duration| {
        let mut admin = server.admin();
        server.wait(async move {
            let asked = admin.info(wire::InfoRequest {});
            tokio::time::timeout(time, asked).await.is_ok_and(|answer| answer.is_ok())
        })
    };
    // Until the stream is open it may be answered before it.
    let begin = Instant::now();
    while ask(Duration::from_millis(300)) {
        assert!(begin.elapsed() < Duration::from_secs(30));
    }
    open.abort();
    assert!(ask(Duration::from_secs(30)));
}
