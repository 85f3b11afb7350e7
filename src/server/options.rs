use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::guard::Access;
use super::models::Report;
use super::trace::TraceOptions;
use crate::collection::Clock;
use crate::decode::ApartOptions;
use crate::decode::video::FfmpegSearch;
use crate::embed::{CatalogueOptions, Keys};
use crate::reach::Web;

/// How a server behaves; checked by whoever made it.
#[derive(Clone)]
pub struct ServerOptions {
    /// The directory that holds the collections.
    pub data: PathBuf,
    /// The models.
    pub catalogue: CatalogueOptions,
    /// Where the program is looked for that reads videos.
    pub ffmpeg: FfmpegSearch,
    /// The processes that read files; none: the server itself reads them.
    pub apart: Option<ApartOptions>,
    /// The default text embedder.
    pub embedder: String,
    /// The text embedder that is the default where that one is not to be had; none: there is none then.
    pub stand_in: Option<String>,
    /// The keys of models that other servers run.
    pub keys: Keys,
    /// Whether the default embedder is loaded at once, instead of when it is first needed.
    pub loads_at_start: bool,
    /// Told what is done to get a model ready.
    pub report: Report,
    /// The largest message that is read.
    pub message_bytes_max: usize,
    /// Connections of all ports together.
    pub connections_max: usize,
    /// Bytes of messages that are on their way and not answered.
    pub bytes_in_flight_max: u64,
    /// Origins of pages that browsers let ask; `*` is every one.
    pub cors_origins: Vec<String>,
    /// Requests that one connection may have open.
    pub streams_max: u32,
    /// Threads that answer requests.
    pub workers: usize,
    /// Requests that wait for a worker.
    pub waiting_max: usize,
    /// The time of a request without a deadline.
    pub request_time_max: Duration,
    /// The time that running requests get when the server stops.
    pub shutdown_time_max: Duration,
    /// Disk space for vectors of texts that were embedded before; 0: none are kept.
    pub embed_cache_bytes_max: u64,
    /// Memory for cached table pages, of each collection.
    pub cache_bytes_max: u64,
    /// Memory of all collections together beside mapped files; none: as much as there is.
    pub memory_bytes_max: Option<u64>,
    /// Threads that a collection builds graphs on.
    pub build_threads: usize,
    /// The time.
    pub clock: Clock,
    /// From when on the time of a request is worth a line in the log.
    pub slow_time: Duration,
    /// How many requests a second each key may make; none: as many as it likes.
    pub requests_per_second_max: Option<u32>,
    /// How many bytes the messages of each key may bring in a second; none: as many as it likes.
    pub bytes_per_second_max: Option<u64>,
    /// Where traces go; none: there are none.
    pub traces: Option<TraceOptions>,
    /// Who may come in.
    pub access: Access,
    /// How connections are encrypted, if they are.
    pub tls: Option<Tls>,
    /// The folder whose files clients may name for the server to read; none: it reads none.
    pub ingest_root: Option<PathBuf>,
    /// What opens the addresses that clients name for the server to read; none: it opens none.
    pub web: Option<Web>,
}

/// How connections are encrypted: all of these are PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificates that the server shows, its own first.
    pub certificates: Vec<u8>,
    /// The key of the first of them.
    pub key: Vec<u8>,
    /// Who signs the certificates that clients have to show; none: they need not show any.
    pub client_ca: Option<Vec<u8>>,
}

// The key is nobody's to see.
impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ServerOptions")
            .field("data", &self.data)
            .field("embedder", &self.embedder)
            .finish_non_exhaustive()
    }
}
