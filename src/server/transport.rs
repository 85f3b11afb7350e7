//! The listener, the services on it, and how all of it ends.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use simile_proto::qdrant::collections_server::CollectionsServer as QdrantCollectionsServer;
use simile_proto::qdrant::points_server::PointsServer;
use simile_proto::qdrant::qdrant_server::QdrantServer;
use simile_proto::qdrant::snapshots_server::SnapshotsServer as QdrantSnapshotsServer;
use simile_proto::v1::admin_server::AdminServer;
use simile_proto::v1::cluster_server::ClusterServer;
use simile_proto::v1::collections_server::CollectionsServer;
use simile_proto::v1::documents_server::DocumentsServer;
use simile_proto::v1::embedding_server::EmbeddingServer;
use simile_proto::v1::jobs_server::JobsServer;
use simile_proto::v1::search_server::SearchServer;
use simile_proto::v1::snapshots_server::SnapshotsServer;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tonic::transport::server::Router;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tonic_web::GrpcWebLayer;
use tower::layer::util::{Identity, Stack};
use tower_http::cors::CorsLayer;

use super::ServerOptions;
use super::core::{Core, Shared};
use super::guard::{Flight, Guard, Rules};
use super::listen::{Connections, listen};
use super::meter::Meter;
use super::models::{Models, Readiness};
use super::origins;
use super::pool::{Pool, PoolOptions};
use super::qdrant;
use super::services::{
    AdminService, ClusterService, CollectionsService, DocumentsService, EmbeddingService,
    JobsService, SearchService, SnapshotsService, resume,
};
use super::tls::{Certificates, Spoken, TlsError};
use super::trace::Traces;
use crate::collection::{Collections, CollectionsOptions, Jobs, SharedEmbedders};
use crate::decode::video::VideoOptions;
use crate::decode::{Apart, Limits};
use crate::embed::{Cache, Catalogue, EmbedError, ManifestError};
use crate::error::{Classified, ErrorKind};

/// How often an idle connection is asked whether somebody is there, and how long that may take.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(20));
/// What a client may have on its way before it waits: of one stream, of one connection.
const WINDOWS: (u32, u32) = (4 << 20, 16 << 20);
/// The most bytes of the headers of a request.
const HEADER_BYTES_MAX: u32 = 16 << 10;

/// How many streams may store documents at once.
const UPSERTS_MAX: usize = 256;
/// How many jobs may read sources at once: each holds some files of the largest size.
const FETCHES_MAX: usize = 4;
/// Threads that store batches and maintain, and how much of it waits.
const BULK_WORKERS_MIN: usize = 4;
const BULK_WAITING_MAX: usize = 64;
/// How long maintenance may take if its caller does not say.
const BULK_TIME_MAX: Duration = Duration::from_secs(86_400);

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    core: Core,
    guard: Guard,
    certificates: Option<Certificates>,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
    http: Option<JoinHandle<io::Result<()>>>,
}

/// Browsers are told who may ask, their requests are turned into gRPC, and then the guard looks at them.
type Layers = Stack<Guard, Stack<GrpcWebLayer, Stack<CorsLayer, Identity>>>;

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The system refused.
    #[error("cannot start the server")]
    Io(#[from] io::Error),
    /// The data directory cannot be opened.
    #[error(transparent)]
    Data(#[from] crate::collection::Error),
    /// A manifest is none.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The default embedder is not known, or another model error.
    #[error(transparent)]
    Embedder(#[from] EmbedError),
    /// The reflection service has no descriptors.
    #[error("cannot offer reflection")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The certificates or the key are none.
    #[error("the certificates or the key for TLS cannot be used")]
    Tls(#[from] TlsError),
    /// The address of the collector of traces is none.
    #[error("traces cannot be sent")]
    Traces(#[from] opentelemetry_otlp::ExporterBuildError),
}

impl Classified for ServerError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Io(_) => ErrorKind::Unavailable,
            Self::Data(error) => error.kind(),
            Self::Manifest(error) => error.kind(),
            Self::Embedder(error) => error.kind(),
            Self::Reflection(_) => ErrorKind::Internal,
            Self::Tls(_) | Self::Traces(_) => ErrorKind::InvalidInput,
        }
    }
}

impl Server {
    /// Starts to serve on the listener.
    ///
    /// # Errors
    /// [`ServerError`]: the data directory cannot be opened, the default embedder is not known, or the
    /// system refuses.
    pub async fn start(options: ServerOptions, listener: TcpListener) -> Result<Self, ServerError> {
        let certificates = options.tls.as_ref().map(Certificates::new).transpose()?;
        let traces = options.traces.as_ref().map(Traces::start).transpose()?;
        // Opening reads every collection: not for the threads that only wait.
        let opened = tokio::task::spawn_blocking(move || open(options, traces)).await;
        let core = opened.map_err(io::Error::other)??;
        let guard = Guard::new(Rules {
            access: core.options.access.clone(),
            clock: Arc::clone(&core.options.clock),
            message_bytes_max: core.options.message_bytes_max,
            first_message_time_max: core.options.request_time_max,
            meter: core.meter.clone(),
            slow_time: core.options.slow_time,
            requests_per_second_max: core.options.requests_per_second_max,
            bytes_per_second_max: core.options.bytes_per_second_max,
            flight: core.flight.clone(),
            traces: core.traces.clone(),
        });
        let router = services(&core, &guard).await?;
        let (stopping, connections) = (core.clone(), core.connections.clone());
        let until = async move { stopping.stopped().await };
        let incoming = listen(listener, connections, certificates.clone(), Spoken::Grpc, until)?;
        let (address, stopped) = (incoming.address(), core.clone());
        let serving = tokio::spawn(async move {
            router.serve_with_incoming_shutdown(incoming, stopped.stopped()).await
        });
        if core.options.loads_at_start {
            core.models.begin(core.models.default_name());
        }
        Ok(Self { address, core, guard, certificates, serving, http: None })
    }

    /// Starts to serve probes, metrics and embeddings over HTTP, too; returns where.
    ///
    /// # Errors
    /// [`ServerError::Io`]: the system refuses.
    pub fn serve_http(&mut self, listener: TcpListener) -> Result<SocketAddr, ServerError> {
        let (stopping, connections) = (self.core.clone(), self.core.connections.clone());
        let (certificates, until) =
            (self.certificates.clone(), async move { stopping.stopped().await });
        let incoming = listen(listener, connections, certificates, Spoken::Http, until)?;
        let (address, serving) = super::http::serve(&self.core, &self.guard, incoming);
        self.http = Some(serving);
        Ok(address)
    }

    /// Returns the address that is listened on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the certificates that new connections see, if they are encrypted.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// Takes no more requests, lets the running ones end within their time, and closes everything.
    pub async fn stop(mut self) {
        self.core.jobs.begin_to_end();
        self.core.stopping.send_replace(true);
        let patience = self.core.options.shutdown_time_max;
        let mut http = self.http.take();
        let both = async {
            // Why one of them ended early does not matter any more.
            drop((&mut self.serving).await);
            if let Some(http) = &mut http {
                drop(http.await);
            }
        };
        if tokio::time::timeout(patience, both).await.is_err() {
            tracing::warn!("requests still running are given up");
            self.serving.abort();
            if let Some(http) = http {
                http.abort();
            }
        }
        let core = self.core;
        // What is being fitted was told to end, and clears up what it began.
        if tokio::time::timeout(patience, core.training.acquire()).await.is_err() {
            tracing::warn!("a model that is still being fitted is given up");
        }
        let closing = tokio::task::spawn_blocking(move || {
            core.collections.close();
            if let Some(traces) = &core.traces {
                traces.stop();
            }
        });
        if closing.await.is_err() {
            tracing::error!("closing the collections failed");
        }
    }
}

/// The bounds of decoding, and what reads videos.
fn limits(options: &ServerOptions) -> Limits {
    let video = VideoOptions { program: options.ffmpeg.clone(), ..VideoOptions::default() };
    let apart = options.apart.clone().map(Apart::new);
    Limits { video, apart, ..Limits::default() }
}

fn open(options: ServerOptions, traces: Option<Traces>) -> Result<Core, ServerError> {
    let mut catalogue = Catalogue::open(options.catalogue.clone())?.with_keys(options.keys.clone());
    if options.embed_cache_bytes_max > 0 {
        let folder = options.data.join("cache").join("embeddings");
        match Cache::open(&folder, options.embed_cache_bytes_max) {
            Ok(Some(cache)) => catalogue = catalogue.with_cache(cache),
            Ok(None) => tracing::warn!("another process has the cache of vectors, none is used"),
            // It can be done without.
            Err(error) => tracing::warn!(reason = %error, "there is no cache of vectors"),
        }
    }
    catalogue.manifest(&options.embedder)?;
    let obtains = !options.catalogue.is_offline;
    let report = Arc::clone(&options.report);
    let (default, stand_in) = (options.embedder.clone(), options.stand_in.clone());
    let models = Models::new(catalogue, default, obtains, stand_in, report);
    let limits = limits(&options);
    let collections = Collections::open(
        &options.data,
        CollectionsOptions {
            cache_bytes_max: options.cache_bytes_max,
            clock: Arc::clone(&options.clock),
            memory_bytes_max: options.memory_bytes_max,
            build_threads: options.build_threads,
            closes_idle: true,
            limits: limits.clone(),
            ..CollectionsOptions::default()
        },
        Arc::clone(&models) as SharedEmbedders,
    )?;
    let pool = PoolOptions {
        workers: options.workers,
        waiting_max: options.waiting_max,
        request_time_max: options.request_time_max,
    };
    let bulk = PoolOptions {
        workers: (options.workers / 2).max(BULK_WORKERS_MIN),
        waiting_max: BULK_WAITING_MAX,
        request_time_max: BULK_TIME_MAX,
    };
    Ok(Core::new(Shared {
        collections,
        models,
        limits,
        jobs: Jobs::open(Arc::clone(&options.clock), &options.data),
        meter: Meter::new(),
        traces,
        connections: Connections::new(options.connections_max),
        flight: Flight::new(options.bytes_in_flight_max),
        started_unix_ms: (options.clock)(),
        pool: Pool::start("answer", pool)?,
        bulk: Pool::start("bulk", bulk)?,
        upserts: Arc::new(Semaphore::new(UPSERTS_MAX)),
        fetches: Arc::new(Semaphore::new(FETCHES_MAX)),
        training: Arc::new(Semaphore::new(1)),
        stopping: watch::Sender::new(false),
        options,
    }))
}

async fn services(core: &Core, guard: &Guard) -> Result<Router<Layers>, ServerError> {
    let options = &core.options;
    let most = options.message_bytes_max;
    let (reporter, health) = tonic_health::server::health_reporter();
    for name in SERVICES {
        reporter.set_service_status(name, ServingStatus::Serving).await;
    }
    // Before anybody can ask, so that it is never unknown.
    reporter.set_service_status(EMBEDDING, embedding_status(core)).await;
    tokio::spawn(report_embedding(core.clone(), reporter));
    tokio::spawn(resume(core.clone()));
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(simile_proto::v1::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // Answers may be as large as the messages they are about.
    macro_rules! limited {
        ($service:expr) => {
            $service.max_decoding_message_size(most).max_encoding_message_size(usize::MAX)
        };
    }
    let collections = qdrant::CollectionsService(core.clone());
    let snapshots = qdrant::SnapshotsService(core.clone());
    Ok(tonic::transport::Server::builder()
        .accept_http1(true)
        .max_concurrent_streams(options.streams_max)
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .http2_keepalive_interval(Some(KEEPALIVE.0))
        .http2_keepalive_timeout(Some(KEEPALIVE.1))
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .layer(origins::layer(&options.cors_origins))
        .layer(GrpcWebLayer::new())
        .layer(guard.clone())
        .add_service(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .add_service(limited!(SearchServer::new(SearchService(core.clone()))))
        .add_service(limited!(DocumentsServer::new(DocumentsService(core.clone()))))
        .add_service(limited!(CollectionsServer::new(CollectionsService(core.clone()))))
        .add_service(limited!(ClusterServer::new(ClusterService(core.clone()))))
        .add_service(limited!(SnapshotsServer::new(SnapshotsService(core.clone()))))
        .add_service(limited!(EmbeddingServer::new(EmbeddingService(core.clone()))))
        .add_service(limited!(JobsServer::new(JobsService(core.clone()))))
        .add_service(limited!(AdminServer::new(AdminService(core.clone()))))
        .add_service(limited!(PointsServer::new(qdrant::PointsService(core.clone()))))
        .add_service(limited!(QdrantCollectionsServer::new(collections)))
        .add_service(limited!(QdrantSnapshotsServer::new(snapshots)))
        .add_service(limited!(QdrantServer::new(qdrant::HealthService))))
}

/// The services whose health can be asked for beside that of the whole (the empty name).
const SERVICES: [&str; 11] = [
    "simile.v1.Collections",
    "simile.v1.Documents",
    "simile.v1.Search",
    "simile.v1.Jobs",
    "simile.v1.Cluster",
    "simile.v1.Snapshots",
    "simile.v1.Admin",
    "qdrant.Collections",
    "qdrant.Points",
    "qdrant.Qdrant",
    "qdrant.Snapshots",
];

/// The service whose health is that of the default embedder.
const EMBEDDING: &str = "simile.v1.Embedding";

/// Embedding is healthy once the default embedder is in memory; all else is served without it.
fn embedding_status(core: &Core) -> ServingStatus {
    match core.models.readiness(core.models.default_name()) {
        Readiness::Ready => ServingStatus::Serving,
        Readiness::Idle | Readiness::Loading | Readiness::Failed(_) => ServingStatus::NotServing,
    }
}

async fn report_embedding(core: Core, reporter: HealthReporter) {
    let mut ended = core.models.ended();
    loop {
        reporter.set_service_status(EMBEDDING, embedding_status(&core)).await;
        tokio::select! {
            changed = ended.changed() => if changed.is_err() { return },
            () = core.stopped() => break,
        }
    }
    for name in SERVICES.into_iter().chain(["", EMBEDDING]) {
        reporter.set_service_status(name, ServingStatus::NotServing).await;
    }
}
