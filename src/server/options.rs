use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A clock: milliseconds since 1970-01-01 UTC.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// How a server behaves; checked by whoever made it.
#[derive(Clone)]
pub struct ServerOptions {
    /// The directory that holds the collections.
    pub data: PathBuf,
    /// The directory that holds models and the runtime.
    pub models: PathBuf,
    /// The runtime library, if it was named.
    pub runtime: Option<PathBuf>,
    /// Whether the network is left alone.
    pub is_offline: bool,
    /// The default text embedder.
    pub embedder: String,
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
    /// Threads of one embedder.
    pub embed_threads: usize,
    /// Memory for cached table pages, of each collection.
    pub cache_bytes_max: u64,
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
