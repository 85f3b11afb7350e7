//! Settings, and the server as a program of its own.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::parser::ValueSource;
use clap::{ArgMatches, Args as _, FromArgMatches as _};
use directories::ProjectDirs;

use super::arguments::{Cli, Command, READ_FILES, ReadFilesArguments, ServeArguments};
use super::certificates::{LOOK_EVERY, follow, read};
use super::connection::AddressNote;
use super::exit::{CliError, Outcome};
use super::output::Output;
use crate::access::{KeyStore, SECRET_BYTES};
use crate::collection::Clock;
use crate::config::{Config, Origin, ServerSettings, Settings, Surroundings};
use crate::decode::video::FfmpegSearch;
use crate::decode::{ApartOptions, answer};
use crate::embed::obtain::Hub;
use crate::embed::onnx::RuntimeSearch;
use crate::embed::{CatalogueOptions, Keys, STAND_IN_TEXT_MODEL, WorkerOptions};
use crate::error::ErrorKind;
use crate::reach::Web;
use crate::server::{Access, Report, Server, ServerOptions, Tls, TraceOptions};
use crate::telemetry;

/// The settings of this run.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) config: Config,
    /// Where models of the user's own are, whichever data directory the run is over.
    own_models: PathBuf,
    pub(super) output: Output,
}

impl Setting {
    /// Returns the settings that flags, environment and file make together.
    pub(super) fn gather(cli: &Cli, matches: &ArgMatches) -> Result<Self, CliError> {
        let file = match &cli.common.config {
            Some(file) => Settings::load(file)?,
            None => Settings::default(),
        };
        let server = match &cli.command {
            Command::Serve(arguments) => arguments.settings.clone(),
            _ => from_environment()?,
        };
        let given = Settings { places: cli.places.clone(), server };
        let origin = |name: &str| match source(matches, name) {
            Some(ValueSource::CommandLine) => Origin::Flag,
            _ => Origin::Environment,
        };
        let config = Config::assemble(&file, &given, &origin, &surroundings())?;
        let own_models = config.data.join("models");
        Ok(Self { config, own_models, output: Output::new(cli.common.json, cli.common.quiet) })
    }

    /// Returns the same settings over another data directory.
    pub(super) fn over(&self, data: PathBuf) -> Self {
        let own_models = self.own_models.clone();
        Self { config: self.config.over(data), own_models, output: self.output }
    }

    /// Returns whether somebody chose the data directory.
    pub(super) fn is_data_chosen(&self) -> bool {
        self.config.origin("data") != Origin::Default
    }

    /// Returns where models and the runtime are, and how they run.
    pub(super) fn catalogue_options(&self) -> CatalogueOptions {
        let config = &self.config;
        let beside = std::env::current_exe().ok();
        CatalogueOptions {
            models: config.cache.join("models"),
            own: Some(self.own_models.clone()),
            runtime: RuntimeSearch {
                explicit: config.onnxruntime.clone(),
                beside: beside.and_then(|program| program.parent().map(PathBuf::from)),
                cache: config.cache.clone(),
                is_offline: config.is_offline,
                python: config.python.clone(),
            },
            hub: Hub { endpoint: config.hub.clone(), ..Hub::default() },
            is_offline: config.is_offline,
            threads: config.embed_threads,
            worker: WorkerOptions::default(),
        }
    }

    /// Returns where the program is looked for that reads videos.
    pub(super) fn ffmpeg(&self) -> FfmpegSearch {
        let path = std::env::var_os("PATH").unwrap_or_default();
        FfmpegSearch {
            explicit: self.config.ffmpeg.clone(),
            folders: std::env::split_paths(&path).collect(),
            scratch: std::env::temp_dir(),
        }
    }

    /// Returns the processes that read files: this program, under another command.
    fn apart(&self) -> Option<ApartOptions> {
        let config = &self.config;
        (config.decode_processes > 0).then(|| ApartOptions {
            program: own_program(),
            arguments: vec![READ_FILES.to_owned()],
            processes_max: config.decode_processes,
            memory_bytes_max: config.decode_bytes_max,
            time_max: config.decode_time_max,
        })
    }

    /// Starts logging, by `usual` where no filter was given.
    pub(super) fn start_telemetry(&self, usual: &str) -> Result<(), CliError> {
        let filter = self.config.log.as_deref().unwrap_or(usual);
        telemetry::start(filter, self.config.log_format).map_err(CliError::usage)
    }
}

/// The server's settings without a command line: a server that another command starts has them too.
fn from_environment() -> Result<ServerSettings, CliError> {
    let command = ServerSettings::augment_args(clap::Command::new("simile"));
    command
        .try_get_matches_from(["simile"])
        .and_then(|matches| ServerSettings::from_arg_matches(&matches))
        .map_err(|error| CliError::usage(error.to_string().trim_end().to_owned()))
}

fn source(matches: &ArgMatches, name: &str) -> Option<ValueSource> {
    let here = matches.try_contains_id(name).ok().and_then(|_| matches.value_source(name));
    let below = matches.subcommand().and_then(|(_, matches)| source(matches, name));
    // A flag may stand before or after the command's name; whichever says more is meant.
    match (here, below) {
        (Some(ValueSource::CommandLine), _) | (_, Some(ValueSource::CommandLine)) => {
            Some(ValueSource::CommandLine)
        }
        (here, below) => here.or(below),
    }
}

fn surroundings() -> Surroundings {
    Surroundings {
        cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        user_cache: ProjectDirs::from("", "", "simile")
            .map(|folders| folders.cache_dir().to_owned()),
    }
}

/// Runs the server until it is told to stop.
pub(super) fn serve(
    setting: &Setting,
    arguments: &ServeArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    if arguments.print_config {
        output.text(&setting.config.to_toml())?;
        return Ok(Outcome::Done);
    }
    setting.start_telemetry("info")?;
    let descriptors = allow_descriptors();
    block_on(async {
        let listener = bind(setting.config.listen)?;
        let report: Report = Arc::new(|what, done, total| {
            if done == 0 || Some(done) == total {
                tracing::info!("{what}");
            }
        });
        let traces = traces(&setting.config);
        let start_of = ModelStart { loads_at_start: true, report, traces };
        let access = Access::Keys(Arc::new(key_store(setting)?));
        let tls = read(&setting.config)?;
        let mut server = start(setting, listener, start_of, access, tls.clone()).await?;
        let certificates = server.certificates().cloned();
        tokio::spawn(follow(setting.config.clone(), certificates, tls, LOOK_EVERY));
        if let Some(most) = descriptors
            && (setting.config.connections_max as u64).saturating_add(FILES) > most
        {
            let connections_max = setting.config.connections_max;
            tracing::warn!(connections_max, descriptors = most, "the system allows fewer");
        }
        if let Some(address) = setting.config.http {
            let address =
                server.serve_http(bind(address)?).map_err(|error| CliError::of(&error))?;
            tracing::info!(%address, "serving http");
        }
        let scheme = if setting.config.tls_cert.is_some() { "https" } else { "http" };
        let _note = AddressNote::write(&setting.config.data, scheme, server.address())?;
        tracing::info!(
            address = %server.address(),
            data = %setting.config.data.display(),
            "serving"
        );
        stop_signal().await;
        tracing::info!("stopping");
        tokio::select! {
            () = server.stop() => tracing::info!("stopped"),
            () = stop_signal() => tracing::warn!("stopped without waiting for running requests"),
        }
        Ok(Outcome::Done)
    })
}

/// Reads the files that a server sends to standard input, until it sends no more.
pub(super) fn read_files(arguments: &ReadFilesArguments) -> Result<Outcome, CliError> {
    let time_max = Duration::from_secs(arguments.seconds_max);
    let (from, to) = (std::io::stdin().lock(), std::io::stdout().lock());
    answer(from, to, arguments.memory_bytes_max, time_max)?;
    Ok(Outcome::Done)
}

fn bind(address: SocketAddr) -> Result<TcpListener, CliError> {
    TcpListener::bind(address).map_err(|error| {
        let message = format!("cannot listen on {address}: {error}");
        CliError::local(ErrorKind::Unavailable, message)
    })
}

/// Returns the keys of the data directory: where other machines come in there has to be one.
fn key_store(setting: &Setting) -> Result<KeyStore, CliError> {
    let config = &setting.config;
    let keys = KeyStore::open(&config.data).map_err(|error| CliError::of(&error))?;
    let is_needed = keys.is_needed().map_err(|error| CliError::of(&error))?;
    let is_near = |address: &SocketAddr| address.ip().is_loopback();
    let is_near = is_near(&config.listen) && config.http.as_ref().is_none_or(is_near);
    if is_needed || config.is_insecure || is_near {
        return Ok(keys);
    }
    let message = format!(
        "listen = {}: other machines would reach this address{}, and there is no key; `simile key \
         create NAME --scope admin` makes one, or say --insecure if the network itself is trusted",
        config.listen,
        config.http.map(|http| format!(", or http = {http}")).unwrap_or_default()
    );
    Err(CliError::usage(message))
}

#[expect(clippy::disallowed_methods, reason = "this is the layer that passes the clock in")]
fn traces(config: &Config) -> Option<TraceOptions> {
    let endpoint = config.otlp_endpoint.clone()?;
    Some(TraceOptions { endpoint, ratio: config.otlp_ratio, now: SystemTime::now() })
}

/// How many files a server is taken to have open beside connections.
const FILES: u64 = 1_024;

/// Asks for as many descriptors as the system gives, and returns how many that is, if it says.
#[cfg(unix)]
fn allow_descriptors() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Who may not raise it has as many as before.
    drop(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }));
    getrlimit(Resource::Nofile).current
}

#[cfg(not(unix))]
fn allow_descriptors() -> Option<u64> {
    None
}

/// Reads a file that an argument names.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, CliError> {
    fs_err::read(path).map_err(|error| CliError::local(ErrorKind::Unavailable, error.to_string()))
}

/// What a server does about its default embedder.
pub(super) struct ModelStart {
    /// Whether it is loaded at once, instead of when it is first needed.
    pub(super) loads_at_start: bool,
    /// Told what is done to get it ready.
    pub(super) report: Report,
    /// Where traces go, if they do.
    pub(super) traces: Option<TraceOptions>,
}

/// Starts a server with these settings.
pub(super) async fn start(
    setting: &Setting,
    listener: TcpListener,
    start: ModelStart,
    access: Access,
    tls: Option<Tls>,
) -> Result<Server, CliError> {
    let config = &setting.config;
    let clock: Clock = Arc::new(unix_ms);
    let options = ServerOptions {
        data: config.data.clone(),
        catalogue: setting.catalogue_options(),
        ffmpeg: setting.ffmpeg(),
        apart: setting.apart(),
        embedder: config.embedder.clone(),
        keys: keys(),
        // Whoever names a model gets that one or is told why not.
        stand_in: (config.origin("embedder") == Origin::Default)
            .then(|| STAND_IN_TEXT_MODEL.to_owned()),
        loads_at_start: start.loads_at_start,
        report: start.report,
        message_bytes_max: config.message_bytes_max,
        streams_max: config.streams_max,
        connections_max: config.connections_max,
        bytes_in_flight_max: config.bytes_in_flight_max,
        bytes_per_second_max: config.bytes_per_second_max,
        cors_origins: config.cors_origins.clone(),
        workers: config.workers,
        waiting_max: config.waiting_max,
        request_time_max: config.request_time_max,
        shutdown_time_max: config.shutdown_time_max,
        embed_cache_bytes_max: config.embed_cache_bytes_max,
        cache_bytes_max: config.cache_bytes_max,
        memory_bytes_max: config.memory_bytes_max,
        build_threads: config.build_threads,
        clock,
        slow_time: config.slow_time,
        requests_per_second_max: config.requests_per_second_max,
        access,
        tls,
        traces: start.traces,
        ingest_root: config.ingest_root.clone(),
        web: config.ingest_urls.then(Web::public),
    };
    Server::start(options, listener).await.map_err(|error| CliError::of(&error))
}

/// Returns where this program is, in words that hold though its file is replaced by a newer one.
fn own_program() -> PathBuf {
    if cfg!(target_os = "linux") {
        return "/proc/self/exe".into();
    }
    std::env::current_exe().unwrap_or_else(|_| "simile".into())
}

/// Returns the keys that manifests name by environment variables.
pub(super) fn keys() -> Keys {
    Keys::new(|variable| std::env::var(variable).ok())
}

/// Returns random bytes that nobody can guess.
#[expect(clippy::disallowed_methods, reason = "what is drawn here is to be unlike every other run")]
pub(super) fn random_bytes() -> [u8; SECRET_BYTES] {
    rand::random()
}

/// Returns the time, in milliseconds since 1970-01-01 UTC.
#[expect(clippy::disallowed_methods, reason = "this is the layer that passes the clock in")]
pub(super) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Runs a future to its end.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(work);
    // A thread that still reads standard input or a pipe would be waited for without end.
    runtime.shutdown_background();
    result
}

/// Returns what ends when the process is asked to end: by Ctrl-C, or SIGTERM. It listens from the call
/// on, so that nothing is missed before it is first awaited.
#[cfg(unix)]
pub(super) fn stop_signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{Signal, SignalKind, signal};

    async fn received(signal: std::io::Result<Signal>) {
        match signal {
            Ok(mut signal) => drop(signal.recv().await),
            // Without a handler the signal ends the process, which is what is wanted then.
            Err(_) => std::future::pending().await,
        }
    }
    let interrupt = signal(SignalKind::interrupt());
    let terminate = signal(SignalKind::terminate());
    async {
        tokio::select! {
            () = received(interrupt) => {}
            () = received(terminate) => {}
        }
    }
}

/// Returns what ends when the process is asked to end, by Ctrl-C.
#[cfg(not(unix))]
pub(super) async fn stop_signal() {
    // Without a handler Ctrl-C ends the process, which is what is wanted then.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
