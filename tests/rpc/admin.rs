use std::collections::BTreeSet;

use simile::embed::STAND_IN_TEXT_MODEL;
use simile_proto::v1::{self as wire};
use tokio_stream::StreamExt as _;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use super::exchange::methods;
use super::messages::{collection, part, parts};
use super::server::TestServer;
use crate::support::catalogue_options;

fn services() -> BTreeSet<String> {
    methods().into_iter().map(|method| method.split_once('/').unwrap().0.to_owned()).collect()
}

fn health(server: &TestServer, service: &str) -> Result<ServingStatus, tonic::Status> {
    let request = HealthCheckRequest { service: service.to_owned() };
    server.ask(HealthClient::new(server.channel()).check(request)).map(|answer| answer.status())
}

#[test]
fn every_service_is_healthy_but_embedding_as_long_as_no_model_is_in_memory() {
    let server = TestServer::without_model(|_| {});
    assert_eq!(health(&server, "").unwrap(), ServingStatus::Serving);
    for service in services() {
        let expected = match service.as_str() {
            "simile.v1.Embedding" => ServingStatus::NotServing,
            _ => ServingStatus::Serving,
        };
        assert_eq!(health(&server, &service).unwrap(), expected, "{service}");
    }
    assert_eq!(health(&server, "simile.v1.Nothing").unwrap_err().code(), Code::NotFound);
}

#[test]
fn a_server_that_loads_its_model_at_the_start_says_when_it_can_embed() {
    let server = TestServer::start(catalogue_options(), |options| options.loads_at_start = true);
    // A watch tells every change, so nothing is asked twice.
    let healthy = server.wait(async {
        let request = HealthCheckRequest { service: "simile.v1.Embedding".to_owned() };
        let mut health = HealthClient::new(server.channel());
        let mut states = health.watch(request).await.unwrap().into_inner();
        loop {
            match states.message().await.unwrap().as_ref().map(HealthCheckResponse::status) {
                Some(ServingStatus::Serving) => break true,
                Some(_) => {}
                None => break false,
            }
        }
    });
    assert!(healthy);
    let info = server.ask(server.admin().info(wire::InfoRequest {})).unwrap();
    assert_eq!(info.embedder_state(), wire::EmbedderState::Ready);
    assert_eq!(
        (info.embedder.as_str(), info.version.as_str()),
        ("all-minilm-l6-v2", env!("CARGO_PKG_VERSION"))
    );
    assert!(info.runtime.contains("ONNX Runtime 1."), "{}", info.runtime);
    assert_eq!(info.started_unix_ms, 1_700_000_000_000);
}

#[test]
fn a_model_that_cannot_be_loaded_is_said_in_the_info() {
    let server = TestServer::without_model(|options| options.loads_at_start = true);
    // Whoever needs the model waits until loading it has failed.
    let request = wire::EmbedRequest { texts: vec!["cat".to_owned()], ..Default::default() };
    let status = server.ask(server.embedding().embed(request)).unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let info = server.ask(server.admin().info(wire::InfoRequest {})).unwrap();
    assert_eq!(info.embedder_state(), wire::EmbedderState::Failed);
    assert!(info.embedder_message.contains("is not installed"), "{}", info.embedder_message);
    assert!(info.runtime.is_empty() || info.runtime.starts_with("ONNX Runtime"));
}

#[test]
fn where_the_default_model_is_not_to_be_had_what_comes_with_the_program_stands_in() {
    let server = TestServer::without_model(|options| {
        options.stand_in = Some(STAND_IN_TEXT_MODEL.to_owned());
    });
    let embed = |model: &str| {
        let (model, texts) = (model.to_owned(), vec!["cat".to_owned()]);
        let request = wire::EmbedRequest { model, texts, ..Default::default() };
        server.ask(server.embedding().embed(request))
    };
    let answer = embed("").unwrap();
    let dimension = answer.embeddings[0].vector.as_ref().unwrap().components.len();
    assert_eq!(dimension, 128);
    let info = server.ask(server.admin().info(wire::InfoRequest {})).unwrap();
    assert_eq!(info.embedder_state(), wire::EmbedderState::Ready);
    assert_eq!(info.embedder, STAND_IN_TEXT_MODEL);
    // Who names a model gets that one or nothing.
    assert_eq!(embed("all-minilm-l6-v2").unwrap_err().code(), Code::Unavailable);
    assert_eq!(embed(STAND_IN_TEXT_MODEL).unwrap().fingerprint, answer.fingerprint);
    // A collection is bound to what stood in, by its name.
    let request = wire::CreateCollectionRequest { name: "new".to_owned(), ..Default::default() };
    let created = server.create(request);
    let vector = &created.vectors["text"];
    assert_eq!((vector.embedder.as_str(), vector.dimension), (STAND_IN_TEXT_MODEL, 128));
    assert_eq!(vector.fingerprint, answer.fingerprint);
}

#[test]
fn reflection_describes_every_service_and_each_of_their_methods() {
    let server = TestServer::without_model(|_| {});
    let ask = |question: MessageRequest| {
        let request =
            ServerReflectionRequest { host: String::new(), message_request: Some(question) };
        let mut client = ServerReflectionClient::new(server.channel());
        server.wait(async {
            let stream = tokio_stream::once(request);
            let mut answers = client.server_reflection_info(stream).await.unwrap().into_inner();
            answers.next().await.unwrap().unwrap().message_response.unwrap()
        })
    };
    let MessageResponse::ListServicesResponse(listed) =
        ask(MessageRequest::ListServices(String::new()))
    else {
        panic!("expected a list of services")
    };
    let listed: BTreeSet<String> = listed.service.into_iter().map(|service| service.name).collect();
    let missing: Vec<_> = services().difference(&listed).cloned().collect();
    assert!(missing.is_empty() && listed.contains("grpc.health.v1.Health"), "{listed:?}");
    for method in methods() {
        let symbol = method.replace('/', ".");
        let answer = ask(MessageRequest::FileContainingSymbol(symbol.clone()));
        let is_described = matches!(&answer, MessageResponse::FileDescriptorResponse(file)
            if !file.file_descriptor_proto.is_empty());
        assert!(is_described, "{symbol}: {answer:?}");
    }
}

#[test]
fn optimizing_seals_the_head_and_changes_no_answer_and_nothing_needs_repair() {
    let server = TestServer::without_model(|_| {});
    server.create(collection("c", 2));
    let documents = (0..300).map(|n| {
        let angle = f64::from(n) / 50.0;
        parts(&format!("d{n}"), vec![part("text", &[angle.cos() as f32, angle.sin() as f32])])
    });
    server.store("c", documents.collect());
    let question = super::messages::ask_vector("c", &[0.3, 0.9]);
    let before = server.search(question.clone()).hits;
    let name = || "c".to_owned();
    let optimize = wire::OptimizeRequest { collection: name() };
    assert_eq!(server.ask(server.admin().optimize(optimize)).unwrap().segments, 1);
    let get = wire::GetCollectionRequest { name: name() };
    let vector = server.ask(server.collections().get(get)).unwrap().vectors["v"].clone();
    assert_eq!((vector.indexed, vector.head, vector.segments), (300, 0, 1));
    assert_eq!(server.search(question).hits, before);
    let verify = wire::VerifyRequest { collection: name() };
    let verified = server.ask(server.admin().verify(verify)).unwrap();
    assert_eq!((verified.documents, verified.parts, verified.problems_total), (300, 300, 0));
    let repair = wire::RepairRequest { collection: name() };
    assert!(server.ask(server.admin().repair(repair)).unwrap().repaired.is_empty());
}
