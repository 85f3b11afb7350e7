//! A server of its own for a test, on a free port of loopback, and the clients to ask it.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use simile::decode::video::FfmpegSearch;
use simile::embed::obtain::Hub;
use simile::embed::onnx::RuntimeSearch;
use simile::embed::{CatalogueOptions, DEFAULT_TEXT_MODEL, Keys, WorkerOptions};
use simile::server::{Access, Certificates, Server, ServerOptions};
use simile_proto::v1::admin_client::AdminClient;
use simile_proto::v1::cluster_client::ClusterClient;
use simile_proto::v1::collections_client::CollectionsClient;
use simile_proto::v1::documents_client::DocumentsClient;
use simile_proto::v1::embedding_client::EmbeddingClient;
use simile_proto::v1::jobs_client::JobsClient;
use simile_proto::v1::search_client::SearchClient;
use simile_proto::v1::snapshots_client::SnapshotsClient;
use simile_proto::v1::{self as wire};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Response, Status};

use crate::support::catalogue_options;

/// What answers may measure: more than any test asks for.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// The largest message that the servers of tests read.
pub(super) const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// A running server over a folder of its own, which goes with it.
pub(crate) struct TestServer {
    runtime: Runtime,
    server: Option<Server>,
    options: ServerOptions,
    channel: Channel,
    _folder: TempDir,
}

impl TestServer {
    /// Starts a server with the default model, which is loaded when it is first needed.
    pub(super) fn with_model() -> Self {
        Self::start(catalogue_options(), |_| {})
    }

    /// Returns a server with the default model that tests share while one of them runs: loading the
    /// model takes longer than most tests.
    pub(super) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<TestServer>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::with_model());
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// Starts a server that can load no model and may not use the network.
    pub(crate) fn without_model(change: impl FnOnce(&mut ServerOptions)) -> Self {
        Self::start(no_models(), change)
    }

    /// Starts a server over a new folder.
    pub(super) fn start(
        catalogue: CatalogueOptions,
        change: impl FnOnce(&mut ServerOptions),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let own = catalogue.own.clone().or_else(|| Some(folder.path().join("models")));
        let catalogue = CatalogueOptions { own, ..catalogue };
        let mut options = ServerOptions {
            data: folder.path().to_owned(),
            catalogue,
            ffmpeg: FfmpegSearch::default(),
            apart: Some(crate::apart::options()),
            embedder: DEFAULT_TEXT_MODEL.to_owned(),
            stand_in: None,
            keys: Keys::default(),
            loads_at_start: false,
            report: Arc::new(|_, _, _| {}),
            message_bytes_max: MESSAGE_BYTES_MAX,
            streams_max: 256,
            connections_max: 4_096,
            bytes_in_flight_max: 1 << 30,
            bytes_per_second_max: None,
            cors_origins: Vec::new(),
            workers: 8,
            waiting_max: 256,
            request_time_max: Duration::from_secs(120),
            shutdown_time_max: Duration::from_secs(60),
            cache_bytes_max: 16 << 20,
            memory_bytes_max: None,
            embed_cache_bytes_max: 1 << 20,
            build_threads: 1,
            clock: Arc::new(|| 1_700_000_000_000),
            slow_time: Duration::from_secs(60),
            requests_per_second_max: None,
            access: Access::Open,
            tls: None,
            traces: None,
            ingest_root: None,
            web: None,
        };
        change(&mut options);
        let runtime = Runtime::new().unwrap();
        let (server, channel) = runtime.block_on(serve(&options));
        Self { runtime, server: Some(server), options, channel, _folder: folder }
    }

    /// Ends the server as a signal does, and starts another one over the same folder.
    pub(super) fn restart(&mut self) {
        self.restart_with(|_| {});
    }

    /// As [`Self::restart`], with other options.
    pub(super) fn restart_with(&mut self, change: impl FnOnce(&mut ServerOptions)) {
        self.stop();
        change(&mut self.options);
        let (server, channel) = self.runtime.block_on(serve(&self.options));
        (self.server, self.channel) = (Some(server), channel);
    }

    /// Ends the server as a signal does.
    pub(super) fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop());
        }
    }

    /// Begins to end the server as a signal does; the handle ends with it.
    pub(super) fn begin_to_stop(&mut self) -> tokio::task::JoinHandle<()> {
        let server = self.server.take().unwrap();
        self.runtime.spawn(server.stop())
    }

    /// Waits for a future.
    pub(super) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Runs a future beside the test.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.runtime.spawn(future)
    }

    /// Waits for an answer, and returns what is in it.
    pub(super) fn ask<T>(
        &self,
        future: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Status> {
        self.wait(future).map(Response::into_inner)
    }

    /// Returns where the server listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.server.as_ref().unwrap().address()
    }

    /// Returns the certificates that new connections see.
    pub(super) fn certificates(&self) -> Certificates {
        self.server.as_ref().unwrap().certificates().unwrap().clone()
    }

    /// Starts to serve HTTP, too, and returns where.
    pub(super) fn serve_http(&mut self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _inside = self.runtime.enter();
        self.server.as_mut().unwrap().serve_http(listener).unwrap()
    }

    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    pub(super) fn admin(&self) -> AdminClient<Channel> {
        AdminClient::new(self.channel())
    }

    pub(super) fn clusters(&self) -> ClusterClient<Channel> {
        ClusterClient::new(self.channel()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(super) fn collections(&self) -> CollectionsClient<Channel> {
        CollectionsClient::new(self.channel())
    }

    pub(super) fn documents(&self) -> DocumentsClient<Channel> {
        DocumentsClient::new(self.channel()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(super) fn embedding(&self) -> EmbeddingClient<Channel> {
        EmbeddingClient::new(self.channel()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(super) fn jobs(&self) -> JobsClient<Channel> {
        JobsClient::new(self.channel())
    }

    pub(super) fn snapshots(&self) -> SnapshotsClient<Channel> {
        SnapshotsClient::new(self.channel()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(super) fn searches(&self) -> SearchClient<Channel> {
        SearchClient::new(self.channel()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// Creates a collection.
    pub(super) fn create(&self, request: wire::CreateCollectionRequest) -> wire::Collection {
        self.ask(self.collections().create(request)).unwrap()
    }

    /// Stores documents, and returns what became of each.
    pub(super) fn upsert(
        &self,
        collection: &str,
        documents: Vec<wire::Document>,
    ) -> Vec<wire::UpsertResult> {
        let messages = super::messages::upserts(collection, documents);
        self.wait(async {
            let mut documents = self.documents();
            let mut results = documents.upsert(messages).await.unwrap().into_inner();
            let mut all = Vec::new();
            while let Some(result) = results.message().await.unwrap() {
                all.push(result);
            }
            all
        })
    }

    /// Stores documents, none of which may fail.
    pub(super) fn store(&self, collection: &str, documents: Vec<wire::Document>) {
        let count = documents.len();
        let results = self.upsert(collection, documents);
        let stored = results.iter().filter(|result| {
            matches!(result.outcome, Some(wire::upsert_result::Outcome::Stored(_)))
        });
        assert_eq!(stored.count(), count, "{results:?}");
    }

    /// Returns the answer to a question.
    pub(super) fn search(&self, request: wire::SearchRequest) -> wire::SearchResponse {
        self.ask(self.searches().search(request)).unwrap()
    }
}

/// A catalogue without a model, which may not use the network either.
pub(super) fn no_models() -> CatalogueOptions {
    let nowhere = PathBuf::from("no-such-folder");
    CatalogueOptions {
        models: nowhere.clone(),
        own: None,
        runtime: RuntimeSearch { cache: nowhere, is_offline: true, ..RuntimeSearch::default() },
        hub: Hub::default(),
        is_offline: true,
        threads: 1,
        worker: WorkerOptions::default(),
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn serve(options: &ServerOptions) -> (Server, Channel) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server::start(options.clone(), listener).await.unwrap();
    let scheme = if options.tls.is_some() { "https" } else { "http" };
    let address = format!("{scheme}://{}", server.address());
    let mut endpoint = Endpoint::from_shared(address).unwrap();
    if let Some(tls) = &options.tls {
        let trusted = Certificate::from_pem(&tls.certificates);
        let tls = ClientTlsConfig::new().ca_certificate(trusted);
        endpoint = endpoint.tls_config(tls).unwrap();
    }
    (server, endpoint.connect().await.unwrap())
}
