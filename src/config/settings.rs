//! What may be set: each setting once, as a flag, a variable and a name of the file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Command, ValueEnum};
use serde::Deserialize;

use super::{Bytes, ConfigError};

/// Where things are, and how much is said about them: settings of every command.
#[derive(Debug, Clone, Default, Args, Deserialize)]
pub struct PlaceSettings {
    /// The directory that holds the collections [default: simile-data]
    #[arg(long, value_name = "DIR", env = "SIMILE_DATA", global = true)]
    pub data: Option<PathBuf>,
    /// The directory that keeps models and ONNX Runtime [default: in the user's cache directory]
    #[arg(long, value_name = "DIR", env = "SIMILE_CACHE", global = true)]
    pub cache: Option<PathBuf>,
    /// The ONNX Runtime library to load, instead of one that is found or obtained
    #[arg(long, value_name = "FILE", env = "SIMILE_ONNXRUNTIME", global = true)]
    pub onnxruntime: Option<PathBuf>,
    /// The ffmpeg program that reads videos [default: the one on the path]
    #[arg(long, value_name = "FILE", env = "SIMILE_FFMPEG", global = true)]
    pub ffmpeg: Option<PathBuf>,
    /// The Python whose pip obtains packages [default: python3]
    #[arg(long, value_name = "PROGRAM", env = "SIMILE_PYTHON", global = true)]
    pub python: Option<String>,
    /// Where the model hub answers [default: `https://huggingface.co`]
    #[arg(long, value_name = "URL", env = "SIMILE_HUB", global = true)]
    pub hub: Option<String>,
    /// Obtain nothing from the network
    #[arg(long, value_name = "BOOL", env = "SIMILE_OFFLINE", global = true,
          num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub offline: Option<bool>,
    /// What is logged: a level (error, warn, info, debug, trace) or `target=level,...`
    #[arg(long, value_name = "FILTER", env = "SIMILE_LOG", global = true)]
    pub log: Option<String>,
    /// How log lines look [default: text]
    #[arg(long, value_name = "FORMAT", env = "SIMILE_LOG_FORMAT", global = true)]
    pub log_format: Option<LogFormat>,
}

/// How the server behaves: settings of `serve`, and of a server that a command starts for itself.
#[derive(Debug, Clone, Default, Args, Deserialize)]
pub struct ServerSettings {
    /// The address to listen on; port 0 takes a free one [default: 127.0.0.1:7465]
    #[arg(long, value_name = "ADDRESS", env = "SIMILE_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// Allow an address that other machines reach, without encryption and without keys
    #[arg(long, value_name = "BOOL", env = "SIMILE_INSECURE",
          num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub insecure: Option<bool>,
    /// The address for HTTP beside gRPC, with TLS if gRPC has it: probes, metrics, embeddings as of OpenAI [default: none]
    #[arg(long, value_name = "ADDRESS", env = "SIMILE_HTTP")]
    pub http: Option<SocketAddr>,
    /// A PEM file with the certificates that the server shows, its own first
    #[arg(long, value_name = "FILE", env = "SIMILE_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,
    /// A PEM file with the key of the server's certificate
    #[arg(long, value_name = "FILE", env = "SIMILE_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// A PEM file with who signs the certificates of clients, which then have to show one
    #[arg(long, value_name = "FILE", env = "SIMILE_TLS_CLIENT_CA")]
    pub tls_client_ca: Option<PathBuf>,
    /// A folder whose files clients may name for the server to read; it holds nothing else, and links in it
    /// are not followed [default: none]
    #[arg(long, value_name = "DIR", env = "SIMILE_INGEST_ROOT")]
    pub ingest_root: Option<PathBuf>,
    /// Let clients name addresses for the server to read, public ones only [default: false]
    #[arg(long, value_name = "BOOL", env = "SIMILE_INGEST_URLS",
          num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub ingest_urls: Option<bool>,
    /// The text embedder that is used where none is named [default: all-minilm-l6-v2]
    #[arg(long, value_name = "MODEL", env = "SIMILE_EMBEDDER")]
    pub embedder: Option<String>,
    /// The largest message that is read, and so the largest file [default: 64MiB]
    #[arg(long, value_name = "BYTES", env = "SIMILE_MESSAGE_BYTES_MAX")]
    pub message_bytes_max: Option<Bytes>,
    /// An origin whose pages may ask by gRPC-web and HTTP, as `https://example.com`; several, by commas;
    /// `*` is every one [default: none]
    #[arg(long, value_name = "ORIGIN", env = "SIMILE_CORS_ORIGINS", value_delimiter = ',')]
    pub cors_origins: Option<Vec<String>>,
    /// Connections that all ports together have at once; those that are too many are told so
    /// [default: 4096]
    #[arg(long, value_name = "N", env = "SIMILE_CONNECTIONS_MAX")]
    pub connections_max: Option<usize>,
    /// Messages that are on their way and not answered, together, before more are refused [default: 1GiB]
    #[arg(long, value_name = "BYTES", env = "SIMILE_BYTES_IN_FLIGHT_MAX")]
    pub bytes_in_flight_max: Option<Bytes>,
    /// Requests that one connection may have open at once [default: 256]
    #[arg(long, value_name = "N", env = "SIMILE_STREAMS_MAX")]
    pub streams_max: Option<u32>,
    /// Threads that answer requests [default: four for each CPU, 8 to 64]
    #[arg(long, value_name = "N", env = "SIMILE_WORKERS")]
    pub workers: Option<usize>,
    /// Requests that wait for a worker before more are refused [default: 1024]
    #[arg(long, value_name = "N", env = "SIMILE_WAITING_MAX")]
    pub waiting_max: Option<usize>,
    /// The time a request without a deadline of its own may take [default: 60]
    #[arg(long, value_name = "SECONDS", env = "SIMILE_REQUEST_SECONDS_MAX")]
    pub request_seconds_max: Option<u64>,
    /// Requests a second that each key may make; more are refused [default: as many as it likes]
    #[arg(long, value_name = "N", env = "SIMILE_REQUESTS_PER_SECOND_MAX")]
    pub requests_per_second_max: Option<u32>,
    /// Bytes that the messages of each key may bring in a second; more are refused
    /// [default: as many as it likes]
    #[arg(long, value_name = "BYTES", env = "SIMILE_BYTES_PER_SECOND_MAX")]
    pub bytes_per_second_max: Option<Bytes>,
    /// The collector that traces are sent to by OTLP over gRPC, as `http://127.0.0.1:4317` [default: none]
    #[arg(long, value_name = "URL", env = "SIMILE_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
    /// The share of requests that are traced, of those that do not come with a trace [default: 1]
    #[arg(long, value_name = "SHARE", env = "SIMILE_OTLP_RATIO")]
    pub otlp_ratio: Option<f64>,
    /// Requests that take at least so long to be answered are logged [default: 1000]
    #[arg(long, value_name = "MILLISECONDS", env = "SIMILE_SLOW_MS")]
    pub slow_ms: Option<u64>,
    /// The time that running requests get to end when the server stops [default: 30]
    #[arg(long, value_name = "SECONDS", env = "SIMILE_SHUTDOWN_SECONDS_MAX")]
    pub shutdown_seconds_max: Option<u64>,
    /// Threads that one embedder computes with [default: one for each CPU]
    #[arg(long, value_name = "N", env = "SIMILE_EMBED_THREADS")]
    pub embed_threads: Option<usize>,
    /// Disk space for vectors of texts that were embedded before [default: 256MiB; 0: none are kept]
    #[arg(long, value_name = "BYTES", env = "SIMILE_EMBED_CACHE_BYTES_MAX")]
    pub embed_cache_bytes_max: Option<Bytes>,
    /// Memory for cached table pages, of each collection, and half as much again for the rows of its
    /// last answers [default: 64MiB]
    #[arg(long, value_name = "BYTES", env = "SIMILE_CACHE_BYTES_MAX")]
    pub cache_bytes_max: Option<Bytes>,
    /// Memory of all collections together beside mapped files; more writes are refused
    /// [default: as much as there is]
    #[arg(long, value_name = "BYTES", env = "SIMILE_MEMORY_BYTES_MAX")]
    pub memory_bytes_max: Option<Bytes>,
    /// Threads that a collection builds graphs on [default: one for every two CPUs]
    #[arg(long, value_name = "N", env = "SIMILE_BUILD_THREADS")]
    pub build_threads: Option<usize>,
    /// Processes that read files, so that a hostile one ends no server; 0 reads them in the server itself
    /// [default: one for each CPU, 2 to 8]
    #[arg(long, value_name = "N", env = "SIMILE_DECODE_PROCESSES")]
    pub decode_processes: Option<usize>,
    /// Memory that each of them may take [default: 2GiB]
    #[arg(long, value_name = "BYTES", env = "SIMILE_DECODE_BYTES_MAX")]
    pub decode_bytes_max: Option<Bytes>,
    /// The time that one of them may take for a file, or a frame of a video [default: 150]
    #[arg(long, value_name = "SECONDS", env = "SIMILE_DECODE_SECONDS_MAX")]
    pub decode_seconds_max: Option<u64>,
}

/// Settings from one source; what it does not name is `None`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Settings {
    /// Where things are.
    #[serde(flatten)]
    pub places: PlaceSettings,
    /// How the server behaves.
    #[serde(flatten)]
    pub server: ServerSettings,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line for a person.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Settings {
    /// Returns the settings of a TOML file.
    ///
    /// # Errors
    /// [`ConfigError`] (invalid input) if the file cannot be read, is no TOML, or names a setting
    /// that does not exist.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text = fs_err::read_to_string(file).map_err(ConfigError::Read)?;
        let parse = |error: toml::de::Error| ConfigError::Parse {
            file: file.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        };
        let table: toml::Table = toml::from_str(&text).map_err(parse)?;
        let known = setting_names();
        let unknown: Vec<String> = table
            .keys()
            .filter(|key| !known.contains(*key))
            .map(|key| {
                format!("{}: no setting `{key}`; there are {}", file.display(), known.join(", "))
            })
            .collect();
        if !unknown.is_empty() {
            return Err(ConfigError::Invalid(unknown));
        }
        toml::from_str(&text).map_err(parse)
    }
}

/// Returns the names of all settings; the argument definitions are the one list of them.
pub(super) fn setting_names() -> Vec<String> {
    let command = ServerSettings::augment_args(PlaceSettings::augment_args(Command::new("simile")));
    command.get_arguments().map(|argument| argument.get_id().to_string()).collect()
}
