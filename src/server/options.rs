use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::models::Report;
use crate::collection::Clock;
use crate::decode::video::FfmpegSearch;
use crate::embed::CatalogueOptions;

/// How a server behaves; checked by whoever made it.
#[derive(Clone)]
pub struct ServerOptions {
    /// The directory that holds the collections.
    pub data: PathBuf,
    /// The models.
    pub catalogue: CatalogueOptions,
    /// Where the program is looked for that reads videos.
    pub ffmpeg: FfmpegSearch,
    /// The default text embedder.
    pub embedder: String,
    /// The text embedder that is the default where that one is not to be had; none: there is none then.
    pub stand_in: Option<String>,
    /// Whether the default embedder is loaded at once, instead of when it is first needed.
    pub loads_at_start: bool,
    /// Told what is done to get a model ready.
    pub report: Report,
    /// The largest message that is read.
    pub message_bytes_max: usize,
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
    /// Memory for cached table pages, of each collection.
    pub cache_bytes_max: u64,
    /// Memory of all collections together beside mapped files; none: as much as there is.
    pub memory_bytes_max: Option<u64>,
    /// Threads that a collection builds graphs on.
    pub build_threads: usize,
    /// The time.
    pub clock: Clock,
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
