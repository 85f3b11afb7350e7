//! Traces, as a collector gets them.

use std::sync::mpsc;
use std::time::{Duration, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use simile::server::TraceOptions;
use tokio::runtime::Runtime;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use super::messages::{ask_vector, collection, part, parts};
use super::server::TestServer;

/// A collector on loopback, and what it got.
struct Collector {
    endpoint: String,
    got: mpsc::Receiver<ExportTraceServiceRequest>,
    _runtime: Runtime,
}

struct Service(mpsc::Sender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.send(request.into_inner()).map_err(|_| Status::unavailable("it is over"))?;
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let (send, got) = mpsc::channel();
        let incoming =
            runtime.block_on(async { TcpIncoming::bind("127.0.0.1:0".parse().unwrap()) });
        let incoming = incoming.unwrap();
        let endpoint = format!("http://{}", incoming.local_addr().unwrap());
        let router = tonic::transport::Server::builder();
        let service = TraceServiceServer::new(Service(send));
        runtime.spawn(async move {
            router.clone().add_service(service).serve_with_incoming(incoming).await
        });
        Self { endpoint, got, _runtime: runtime }
    }

    /// Returns the spans that came until now.
    fn spans(&self) -> Vec<Span> {
        let resources = self.got.try_iter().flat_map(|request| request.resource_spans);
        let spans = resources.flat_map(|of_resource| {
            let attributes = &of_resource.resource.as_ref().unwrap().attributes;
            let is_named = attributes.iter().any(|attribute| {
                attribute.key == "service.name" && format!("{attribute:?}").contains("simile")
            });
            assert!(is_named, "{attributes:?}");
            of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans)
        });
        spans.collect()
    }
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn status_code(span: &Span) -> i64 {
    let code = span.attributes.iter().find(|one| one.key == "rpc.grpc.status_code").unwrap();
    match code.value.as_ref().unwrap().value {
        Some(Value::IntValue(code)) => code,
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn a_collector_gets_requests_with_their_stages_in_the_trace_that_they_came_with() {
    let collector = Collector::start();
    for ratio in [1.0, 0.0] {
        let endpoint = collector.endpoint.clone();
        let traces =
            TraceOptions { endpoint, ratio, now: UNIX_EPOCH + Duration::from_secs(1_700_000_000) };
        let mut server = TestServer::without_model(|options| options.traces = Some(traces));
        server.create(collection("c", 2));
        server.store("c", vec![parts("a", vec![part("a cat", &[1.0, 0.0])])]);
        let ask = |name: &str, flags: &str| {
            let message = ask_vector(name, &[1.0, 0.0]).encode_to_vec();
            let header = ("traceparent", format!("00-{TRACE}-{PARENT}-{flags}"));
            server.exchange_as("simile.v1.Search/Search", vec![message], Some(header))
        };
        ask("c", "01").unwrap();
        // Whoever began a trace decides that nothing is kept of it.
        ask("c", "00").unwrap();
        ask("none", "01").unwrap_err();
        let mut searches = server.searches();
        server.ask(searches.search(ask_vector("c", &[0.0, 1.0]))).unwrap();
        // What was not sent yet is sent then.
        server.stop();
        let spans = collector.spans();
        let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
        let searches = named("simile.v1.Search/Search");
        let ours: Vec<&&Span> =
            searches.iter().filter(|span| hex(&span.trace_id) == TRACE).collect();
        assert_eq!(ours.len(), 2, "{searches:?}");
        assert!(ours.iter().all(|span| hex(&span.parent_span_id) == PARENT));
        let mut codes: Vec<i64> = ours.iter().map(|span| status_code(span)).collect();
        codes.sort_unstable();
        assert_eq!(codes, [0, 5]);
        let asked = ours.iter().find(|span| status_code(span) == 0).unwrap();
        let stages: Vec<&Span> =
            spans.iter().filter(|span| span.parent_span_id == asked.span_id).collect();
        for name in ["queue", "compute", "embed", "filter", "search", "read"] {
            let stage = stages.iter().find(|stage| stage.name == name);
            let stage = stage.unwrap_or_else(|| panic!("no {name} in {stages:?}"));
            assert_eq!(stage.trace_id, asked.trace_id);
            assert!(stage.start_time_unix_nano >= asked.start_time_unix_nano, "{name}");
            assert!(stage.end_time_unix_nano <= asked.end_time_unix_nano, "{name}");
        }
        // Those that came without a trace, by the share of them.
        let others = searches.len() - ours.len();
        let created = named("simile.v1.Collections/Create").len();
        assert_eq!((others, created), if ratio > 0.0 { (1, 1) } else { (0, 0) });
    }
}
