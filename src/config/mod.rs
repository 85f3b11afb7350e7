//! Which settings hold? Defaults, then a TOML file, then the environment, then flags; checked as a
//! whole, so that one run names every mistake.
//!
//! A setting has one name everywhere: `message_bytes_max` in the file is `SIMILE_MESSAGE_BYTES_MAX`
//! in the environment and `--message-bytes-max` on the command line.

mod apart;
mod settings;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

pub use settings::{LogFormat, PlaceSettings, ServerSettings, Settings};

use crate::embed::DEFAULT_TEXT_MODEL;
use crate::embed::obtain::HUB_ENDPOINT;
use crate::error::{Classified, ErrorKind};

/// The port that is listened on by default: S-I-M-L on a telephone keypad. Below the ports that
/// systems hand out by themselves, and not the default of another database.
pub const PORT: u16 = 7465;

/// A number of bytes, written plainly or with a unit: `65536`, `64KiB`, `64MiB`, `1GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// Where the value of a setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The configuration file.
    File,
    /// A variable `SIMILE_*`.
    Environment,
    /// The command line.
    Flag,
}

/// The settings that hold, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The directory that holds the collections.
    pub data: PathBuf,
    /// The directory that keeps models and the runtime.
    pub cache: PathBuf,
    /// The runtime library, if it was named.
    pub onnxruntime: Option<PathBuf>,
    /// The ffmpeg program, if it was named.
    pub ffmpeg: Option<PathBuf>,
    /// The Python whose pip obtains packages.
    pub python: String,
    /// Where the model hub answers, without a slash at the end.
    pub hub: String,
    /// Whether the network is left alone.
    pub is_offline: bool,
    /// What is logged; `None` leaves it to the command.
    pub log: Option<String>,
    /// How log lines look.
    pub log_format: LogFormat,
    /// The address to listen on.
    pub listen: SocketAddr,
    /// Whether an address that other machines reach is allowed.
    pub is_insecure: bool,
    /// The address for HTTP, if there is one.
    pub http: Option<SocketAddr>,
    /// The server's certificates, if connections are encrypted.
    pub tls_cert: Option<PathBuf>,
    /// The key of the first of them.
    pub tls_key: Option<PathBuf>,
    /// Who signs the certificates of clients.
    pub tls_client_ca: Option<PathBuf>,
    /// The folder that the server reads files from, if it does.
    pub ingest_root: Option<PathBuf>,
    /// Whether the server reads pages of public addresses.
    pub ingest_urls: bool,
    /// The default text embedder.
    pub embedder: String,
    /// The largest message that is read.
    pub message_bytes_max: usize,
    /// Connections of all ports together.
    pub connections_max: usize,
    /// Requests that one connection may have open.
    pub streams_max: u32,
    /// Bytes of messages that are on their way and not answered.
    pub bytes_in_flight_max: u64,
    /// Origins of pages that browsers let ask.
    pub cors_origins: Vec<String>,
    /// Threads that answer requests.
    pub workers: usize,
    /// Requests that wait for a worker.
    pub waiting_max: usize,
    /// The time of a request without a deadline.
    pub request_time_max: Duration,
    /// Requests a second that each key may make; none: as many as it likes.
    pub requests_per_second_max: Option<u32>,
    /// Bytes that the messages of each key may bring in a second; none: as many as it likes.
    pub bytes_per_second_max: Option<u64>,
    /// The collector that traces are sent to.
    pub otlp_endpoint: Option<String>,
    /// The share of requests that are traced.
    pub otlp_ratio: f64,
    /// From when on the time of a request is logged.
    pub slow_time: Duration,
    /// The time that running requests get when the server stops.
    pub shutdown_time_max: Duration,
    /// Threads of one embedder.
    pub embed_threads: usize,
    /// Disk space for vectors of texts that were embedded before.
    pub embed_cache_bytes_max: u64,
    /// Memory for cached table pages, of each collection.
    pub cache_bytes_max: u64,
    /// Memory of all collections together beside mapped files; none: as much as there is.
    pub memory_bytes_max: Option<u64>,
    /// Threads that a collection builds graphs on.
    pub build_threads: usize,
    /// Processes that read files; 0: the server itself.
    pub decode_processes: usize,
    /// Memory of each of them.
    pub decode_bytes_max: u64,
    /// The time that one of them may take for a file.
    pub decode_time_max: Duration,
    origins: BTreeMap<&'static str, Origin>,
}

/// What the machine is like, as far as defaults depend on it.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// How many threads run at once.
    pub cpus: usize,
    /// The user's directory for what can be obtained again, if there is one.
    pub user_cache: Option<PathBuf>,
}

/// Why settings do not hold.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the configuration file")]
    Read(#[source] std::io::Error),
    /// The file is no TOML, or a value has another type.
    #[error("{}: {message}", file.display())]
    Parse {
        /// The file.
        file: PathBuf,
        /// What the parser says, with the place.
        message: String,
    },
    /// Values that cannot hold; each one is named.
    #[error("{}", .0.join("\n"))]
    Invalid(Vec<String>),
}

impl Classified for ConfigError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Read(_) | Self::Parse { .. } | Self::Invalid(_) => ErrorKind::InvalidInput,
        }
    }
}

impl Config {
    /// Returns the settings that hold: what was given (by flag or environment), else what the file
    /// says, else the default. `origin` tells flag from environment for a setting that was given.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] (invalid input) naming every value that cannot hold.
    pub fn assemble(
        file: &Settings,
        given: &Settings,
        origin: &dyn Fn(&str) -> Origin,
        surroundings: &Surroundings,
    ) -> Result<Self, ConfigError> {
        let mut choose = Choice { file, given, origin, origins: BTreeMap::new() };
        let config = Self {
            data: choose.pick("data", |s| s.places.data.clone()).unwrap_or("simile-data".into()),
            cache: choose
                .pick("cache", |s| s.places.cache.clone())
                .or_else(|| surroundings.user_cache.clone())
                .unwrap_or_else(|| "simile-cache".into()),
            onnxruntime: choose.pick("onnxruntime", |s| s.places.onnxruntime.clone()),
            ffmpeg: choose.pick("ffmpeg", |s| s.places.ffmpeg.clone()),
            python: choose
                .pick("python", |s| s.places.python.clone())
                .unwrap_or_else(|| "python3".to_owned()),
            hub: choose.pick("hub", |s| s.places.hub.clone()).map_or_else(
                || HUB_ENDPOINT.to_owned(),
                |hub| hub.trim_end_matches('/').to_owned(),
            ),
            is_offline: choose.pick("offline", |s| s.places.offline).unwrap_or(false),
            log: choose.pick("log", |s| s.places.log.clone()),
            log_format: choose.pick("log_format", |s| s.places.log_format).unwrap_or_default(),
            listen: choose
                .pick("listen", |s| s.server.listen)
                .unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT)),
            is_insecure: choose.pick("insecure", |s| s.server.insecure).unwrap_or(false),
            http: choose.pick("http", |s| s.server.http),
            tls_cert: choose.pick("tls_cert", |s| s.server.tls_cert.clone()),
            tls_key: choose.pick("tls_key", |s| s.server.tls_key.clone()),
            tls_client_ca: choose.pick("tls_client_ca", |s| s.server.tls_client_ca.clone()),
            ingest_root: choose.pick("ingest_root", |s| s.server.ingest_root.clone()),
            ingest_urls: choose.pick("ingest_urls", |s| s.server.ingest_urls).unwrap_or(false),
            embedder: choose
                .pick("embedder", |s| s.server.embedder.clone())
                .unwrap_or_else(|| DEFAULT_TEXT_MODEL.to_owned()),
            message_bytes_max: choose
                .pick("message_bytes_max", |s| s.server.message_bytes_max)
                .map_or(64 << 20, |bytes| usize::try_from(bytes.0).unwrap_or(usize::MAX)),
            connections_max: choose
                .pick("connections_max", |s| s.server.connections_max)
                .unwrap_or(4_096),
            streams_max: choose.pick("streams_max", |s| s.server.streams_max).unwrap_or(256),
            bytes_in_flight_max: choose
                .pick("bytes_in_flight_max", |s| s.server.bytes_in_flight_max)
                .map_or(1 << 30, |bytes| bytes.0),
            cors_origins: choose
                .pick("cors_origins", |s| s.server.cors_origins.clone())
                .unwrap_or_default(),
            workers: choose
                .pick("workers", |s| s.server.workers)
                .unwrap_or((surroundings.cpus * 4).clamp(8, 64)),
            waiting_max: choose.pick("waiting_max", |s| s.server.waiting_max).unwrap_or(1024),
            request_time_max: Duration::from_secs(
                choose.pick("request_seconds_max", |s| s.server.request_seconds_max).unwrap_or(60),
            ),
            requests_per_second_max: choose
                .pick("requests_per_second_max", |s| s.server.requests_per_second_max),
            bytes_per_second_max: choose
                .pick("bytes_per_second_max", |s| s.server.bytes_per_second_max)
                .map(|bytes| bytes.0),
            otlp_endpoint: choose.pick("otlp_endpoint", |s| s.server.otlp_endpoint.clone()),
            otlp_ratio: choose.pick("otlp_ratio", |s| s.server.otlp_ratio).unwrap_or(1.0),
            slow_time: Duration::from_millis(
                choose.pick("slow_ms", |s| s.server.slow_ms).unwrap_or(1_000),
            ),
            shutdown_time_max: Duration::from_secs(
                choose
                    .pick("shutdown_seconds_max", |s| s.server.shutdown_seconds_max)
                    .unwrap_or(30),
            ),
            embed_threads: choose
                .pick("embed_threads", |s| s.server.embed_threads)
                .unwrap_or(surroundings.cpus),
            embed_cache_bytes_max: choose
                .pick("embed_cache_bytes_max", |s| s.server.embed_cache_bytes_max)
                .map_or(256 << 20, |bytes| bytes.0),
            cache_bytes_max: choose
                .pick("cache_bytes_max", |s| s.server.cache_bytes_max)
                .map_or(64 << 20, |bytes| bytes.0),
            memory_bytes_max: choose
                .pick("memory_bytes_max", |s| s.server.memory_bytes_max)
                .map(|bytes| bytes.0),
            build_threads: choose
                .pick("build_threads", |s| s.server.build_threads)
                .unwrap_or(surroundings.cpus.div_ceil(2)),
            decode_processes: choose
                .pick("decode_processes", |s| s.server.decode_processes)
                .unwrap_or(surroundings.cpus.clamp(2, 8)),
            decode_bytes_max: choose
                .pick("decode_bytes_max", |s| s.server.decode_bytes_max)
                .map_or(2 << 30, |bytes| bytes.0),
            decode_time_max: Duration::from_secs(
                choose.pick("decode_seconds_max", |s| s.server.decode_seconds_max).unwrap_or(150),
            ),
            origins: choose.origins,
        };
        let problems = config.problems();
        if problems.is_empty() { Ok(config) } else { Err(ConfigError::Invalid(problems)) }
    }

    /// Returns the same settings over another data directory.
    pub fn over(&self, data: PathBuf) -> Self {
        Self { data, ..self.clone() }
    }

    /// Returns where the value of a setting comes from.
    pub fn origin(&self, name: &str) -> Origin {
        self.origins.get(name).copied().unwrap_or(Origin::Default)
    }

    /// Returns the settings as a file that [`Settings::load`] reads, each line with its origin.
    pub fn to_toml(&self) -> String {
        let optional_path = |path: &Option<PathBuf>| path.as_deref().map(quoted);
        let lines: [(&str, Option<String>); 40] = [
            ("data", Some(quoted(&self.data))),
            ("cache", Some(quoted(&self.cache))),
            ("onnxruntime", optional_path(&self.onnxruntime)),
            ("ffmpeg", optional_path(&self.ffmpeg)),
            ("python", Some(toml::Value::from(self.python.as_str()).to_string())),
            ("hub", Some(toml::Value::from(self.hub.as_str()).to_string())),
            ("offline", Some(self.is_offline.to_string())),
            ("log", self.log.as_ref().map(|log| toml::Value::from(log.as_str()).to_string())),
            ("log_format", Some(format!("\"{}\"", self.log_format))),
            ("listen", Some(format!("\"{}\"", self.listen))),
            ("insecure", Some(self.is_insecure.to_string())),
            ("http", self.http.map(|address| format!("\"{address}\""))),
            ("tls_cert", optional_path(&self.tls_cert)),
            ("tls_key", optional_path(&self.tls_key)),
            ("tls_client_ca", optional_path(&self.tls_client_ca)),
            ("ingest_root", optional_path(&self.ingest_root)),
            ("ingest_urls", Some(self.ingest_urls.to_string())),
            ("embedder", Some(toml::Value::from(self.embedder.as_str()).to_string())),
            ("message_bytes_max", Some(format!("\"{}\"", Bytes(self.message_bytes_max as u64)))),
            ("connections_max", Some(self.connections_max.to_string())),
            ("streams_max", Some(self.streams_max.to_string())),
            ("bytes_in_flight_max", Some(format!("\"{}\"", Bytes(self.bytes_in_flight_max)))),
            ("cors_origins", Some(toml::Value::from(self.cors_origins.clone()).to_string())),
            ("workers", Some(self.workers.to_string())),
            ("waiting_max", Some(self.waiting_max.to_string())),
            ("request_seconds_max", Some(self.request_time_max.as_secs().to_string())),
            ("requests_per_second_max", self.requests_per_second_max.map(|most| most.to_string())),
            (
                "bytes_per_second_max",
                self.bytes_per_second_max.map(|bytes| format!("\"{}\"", Bytes(bytes))),
            ),
            (
                "otlp_endpoint",
                self.otlp_endpoint.as_ref().map(|url| toml::Value::from(url.as_str()).to_string()),
            ),
            ("otlp_ratio", Some(toml::Value::from(self.otlp_ratio).to_string())),
            ("slow_ms", Some(self.slow_time.as_millis().to_string())),
            ("shutdown_seconds_max", Some(self.shutdown_time_max.as_secs().to_string())),
            ("embed_threads", Some(self.embed_threads.to_string())),
            ("embed_cache_bytes_max", Some(format!("\"{}\"", Bytes(self.embed_cache_bytes_max)))),
            ("cache_bytes_max", Some(format!("\"{}\"", Bytes(self.cache_bytes_max)))),
            (
                "memory_bytes_max",
                self.memory_bytes_max.map(|bytes| format!("\"{}\"", Bytes(bytes))),
            ),
            ("build_threads", Some(self.build_threads.to_string())),
            ("decode_processes", Some(self.decode_processes.to_string())),
            ("decode_bytes_max", Some(format!("\"{}\"", Bytes(self.decode_bytes_max)))),
            ("decode_seconds_max", Some(self.decode_time_max.as_secs().to_string())),
        ];
        let mut text = String::new();
        for (name, value) in lines {
            let origin = self.origin(name);
            let line = match value {
                Some(value) => format!("{name} = {value}"),
                None => format!("# {name} is not set"),
            };
            // Writing to a String cannot fail.
            drop(writeln!(text, "{line:<48}  # {origin}"));
        }
        text
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut require = |holds: bool, problem: String| {
            if !holds {
                problems.push(problem);
            }
        };
        require(
            self.listen.ip().is_loopback() || self.is_insecure || self.tls_cert.is_some(),
            format!(
                "listen = {}: other machines would reach this address without encryption; give a \
                 certificate with --tls-cert and --tls-key, listen on 127.0.0.1, or say --insecure \
                 if the network itself is trusted",
                self.listen
            ),
        );
        require(
            self.http.is_none_or(|http| http.ip().is_loopback())
                || self.is_insecure
                || self.tls_cert.is_some(),
            "http: other machines would reach this address without encryption; give a certificate \
             with --tls-cert and --tls-key, use one of 127.0.0.1, with a proxy before it, or say \
             --insecure if the network itself is trusted"
                .to_owned(),
        );
        for origin in &self.cors_origins {
            require(
                is_origin(origin),
                format!(
                    "cors_origins: `{origin}` is no origin, as `https://example.com:8443`, and not `*`"
                ),
            );
        }
        let is_collector = |url: &String| {
            let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
            host.is_some_and(|host| !host.is_empty() && !host.contains(char::is_whitespace))
        };
        require(
            self.otlp_endpoint.as_ref().is_none_or(is_collector),
            format!(
                "otlp_endpoint = {}: expected the address of a collector, as http://127.0.0.1:4317",
                self.otlp_endpoint.as_deref().unwrap_or_default()
            ),
        );
        require(
            (0.0..=1.0).contains(&self.otlp_ratio),
            format!("otlp_ratio = {}: expected 0 to 1", self.otlp_ratio),
        );
        require(
            self.bytes_in_flight_max >= self.message_bytes_max as u64,
            format!(
                "bytes_in_flight_max = {}: expected at least one message, message_bytes_max = {}",
                Bytes(self.bytes_in_flight_max),
                Bytes(self.message_bytes_max as u64)
            ),
        );
        require(
            self.tls_cert.is_some() == self.tls_key.is_some(),
            "tls_cert and tls_key: expected both or neither".to_owned(),
        );
        require(
            self.tls_client_ca.is_none() || self.tls_cert.is_some(),
            "tls_client_ca: expected tls_cert and tls_key, too".to_owned(),
        );
        let mut bound = |name: &str, value: u64, min: u64, max: u64| {
            require(
                (min..=max).contains(&value),
                format!("{name} = {value}: expected {min} to {max}"),
            );
        };
        bound("message_bytes_max", self.message_bytes_max as u64, 1 << 16, 1 << 30);
        bound("connections_max", self.connections_max as u64, 1, 1_000_000);
        bound("bytes_in_flight_max", self.bytes_in_flight_max, 1 << 16, 1 << 50);
        bound("bytes_per_second_max", self.bytes_per_second_max.unwrap_or(1), 1, 1 << 50);
        bound("streams_max", self.streams_max.into(), 1, 65_536);
        bound("workers", self.workers as u64, 1, 1_024);
        bound("waiting_max", self.waiting_max as u64, 1, 1_000_000);
        bound("request_seconds_max", self.request_time_max.as_secs(), 1, 86_400);
        bound("shutdown_seconds_max", self.shutdown_time_max.as_secs(), 0, 3_600);
        bound("embed_threads", self.embed_threads as u64, 1, 1_024);
        bound("embed_cache_bytes_max", self.embed_cache_bytes_max, 0, 1 << 40);
        bound("cache_bytes_max", self.cache_bytes_max, 1 << 20, 1 << 40);
        bound("memory_bytes_max", self.memory_bytes_max.unwrap_or(1 << 30), 1 << 24, 1 << 50);
        let most = self.requests_per_second_max.unwrap_or(1);
        bound("requests_per_second_max", most.into(), 1, 1_000_000);
        bound("build_threads", self.build_threads as u64, 1, 1_024);
        bound("decode_processes", self.decode_processes as u64, 0, 1_024);
        bound("decode_bytes_max", self.decode_bytes_max, 256 << 20, 1 << 40);
        bound("decode_seconds_max", self.decode_time_max.as_secs(), 1, 86_400);
        require(!self.embedder.is_empty(), "embedder: expected the name of a model".to_owned());
        require(
            !self.data.as_os_str().is_empty(),
            "data: expected the path of a directory".to_owned(),
        );
        let kept = [("data", Some(&self.data)), ("tls_key", self.tls_key.as_ref())];
        problems.extend(self.ingest_root.as_ref().and_then(|root| apart::problem(root, &kept)));
        problems
    }
}

struct Choice<'a> {
    file: &'a Settings,
    given: &'a Settings,
    origin: &'a dyn Fn(&str) -> Origin,
    origins: BTreeMap<&'static str, Origin>,
}

impl Choice<'_> {
    fn pick<T>(&mut self, name: &'static str, of: impl Fn(&Settings) -> Option<T>) -> Option<T> {
        if let Some(value) = of(self.given) {
            self.origins.insert(name, (self.origin)(name));
            return Some(value);
        }
        let value = of(self.file)?;
        self.origins.insert(name, Origin::File);
        Some(value)
    }
}

/// Whether this is an origin as browsers write it: a scheme, a host and perhaps a port.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return text == "*" };
    let is_of = |text: &str, others: &[u8]| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || others.contains(&b))
    };
    is_of(scheme, b"+-.") && is_of(host, b"-._:[]")
}

fn quoted(path: &Path) -> String {
    toml::Value::from(path.to_string_lossy().into_owned()).to_string()
}

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("expected bytes as 65536, 64KiB, 64MiB or 1GiB, got `{text}`");
        let digits = text.trim_end_matches(|character: char| !character.is_ascii_digit());
        let shift = match text[digits.len()..].trim() {
            "" | "B" => 0,
            "KiB" | "K" => 10,
            "MiB" | "M" => 20,
            "GiB" | "G" => 30,
            _ => return Err(expected()),
        };
        let number: u64 = digits.parse().map_err(|_| expected())?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(expected)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
            if self.0 >= 1 << shift && self.0.is_multiple_of(1 << shift) {
                return write!(formatter, "{}{unit}", self.0 >> shift);
            }
        }
        write!(formatter, "{}", self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(number) => Ok(Self(number)),
            Written::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Default => "default",
            Self::File => "configuration file",
            Self::Environment => "environment",
            Self::Flag => "command line",
        })
    }
}

#[cfg(test)]
mod tests;
