//! To which server does a command talk? To the one that was named, to the one that runs over the data
//! directory, or to one of its own for as long as it runs.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use simile_proto::v1::admin_client::AdminClient;
use simile_proto::v1::cluster_client::ClusterClient;
use simile_proto::v1::collections_client::CollectionsClient;
use simile_proto::v1::documents_client::DocumentsClient;
use simile_proto::v1::embedding_client::EmbeddingClient;
use simile_proto::v1::jobs_client::JobsClient;
use simile_proto::v1::search_client::SearchClient;
use simile_proto::v1::snapshots_client::SnapshotsClient;
use simile_proto::v1::{GetCollectionRequest, InfoRequest, InfoResponse};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

use super::arguments::Connection;
use super::exit::{CliError, Outcome};
use super::serve::{self, ModelStart, Setting, random_bytes};
use crate::error::ErrorKind;
use crate::server::{Access, Server};

/// The file in the data directory that says where its server listens.
pub(super) const ADDRESS_FILE: &str = "server.address";

/// What is logged of a server that a command runs for itself: why a model could not be loaded is the
/// answer to the request that needed it, and who waits sees how long it takes.
pub(super) const OWN_SERVER_LOG: &str =
    "warn,simile::server::models=off,simile::server::guard=error";

/// The largest answer that is read: a thousand documents with their vectors are large.
const ANSWER_BYTES_MAX: usize = 1 << 30;
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// A server on this machine answers sooner, or is not there.
const PROBE_TIME_MAX: Duration = Duration::from_millis(1_500);

/// A connection to a server, and the server itself where the command runs its own.
#[derive(Debug)]
pub(super) struct Session {
    channel: Connected,
    timeout: Option<Duration>,
    own: Option<Server>,
}

/// A connection on which each request brings the key.
pub(super) type Connected = InterceptedService<Channel, AddKey>;

/// The header that opens a server.
type Bearer = MetadataValue<Ascii>;

/// Adds the key to requests, if there is one.
#[derive(Debug, Clone)]
pub(super) struct AddKey(Option<Bearer>);

impl Interceptor for AddKey {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(key) = &self.0 {
            request.metadata_mut().insert("authorization", key.clone());
        }
        Ok(request)
    }
}

/// What it takes to be let in.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    key: Option<Bearer>,
    /// The certificate that a server is to show, or of who signed it.
    ca: Option<Vec<u8>>,
}

impl Credentials {
    /// Reads what the arguments name; a server on this machine is known by its own certificate.
    pub(super) fn of(setting: &Setting, connection: &Connection) -> Result<Self, CliError> {
        let key = connection.key.as_ref().filter(|key| !key.is_empty());
        let key = key.map(|key| bearer(key)).transpose()?;
        let ca = connection.ca.as_ref().or(setting.config.tls_cert.as_ref());
        Ok(Self { key, ca: ca.map(|file| serve::read_file(file)).transpose()? })
    }
}

fn bearer(key: &str) -> Result<Bearer, CliError> {
    let wrong = |_| CliError::usage("the key has characters that no key has");
    let mut header: Bearer = format!("Bearer {key}").parse().map_err(wrong)?;
    header.set_sensitive(true);
    Ok(header)
}

/// Runs a command against a server; Ctrl-C ends it.
pub(super) fn with_session(
    setting: &Setting,
    connection: &Connection,
    work: impl AsyncFnOnce(&Session) -> Result<Outcome, CliError>,
) -> Result<Outcome, CliError> {
    serve::block_on(async {
        let session = Session::open(setting, connection).await?;
        let outcome = tokio::select! {
            outcome = work(&session) => outcome,
            () = serve::stop_signal() => Ok(Outcome::Interrupted),
        };
        session.close().await;
        outcome
    })
}

impl Session {
    /// Connects to the server that the arguments mean.
    pub(super) async fn open(setting: &Setting, connection: &Connection) -> Result<Self, CliError> {
        setting.start_telemetry(OWN_SERVER_LOG)?;
        let timeout = connection.timeout.map(Duration::from_secs);
        let credentials = Credentials::of(setting, connection)?;
        if let Some(url) = &connection.server {
            let channel = connect(url, &credentials, CONNECT_TIME_MAX).await?;
            let channel = Connected::new(channel, AddKey(credentials.key));
            return Ok(Self { channel, timeout, own: None });
        }
        if let Some((_, channel)) = find(setting, &credentials).await? {
            return Ok(Self { channel, timeout, own: None });
        }
        Self::start_own(setting, timeout).await
    }

    /// Starts a server of the command's own, on a free port.
    pub(super) async fn start_own(
        setting: &Setting,
        timeout: Option<Duration>,
    ) -> Result<Self, CliError> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let report = setting.output.model_report();
        let start = ModelStart { loads_at_start: false, report, traces: None };
        // Others on this machine could reach the port, too.
        let own = blake3::hash(&random_bytes()).to_hex().to_string();
        let key = Some(bearer(&own)?);
        let server = serve::start(setting, listener, start, Access::Own(own), None).await?;
        let url = format!("http://{}", server.address());
        let channel = connect(&url, &Credentials::default(), CONNECT_TIME_MAX).await?;
        Ok(Self { channel: Connected::new(channel, AddKey(key)), timeout, own: Some(server) })
    }

    /// Returns a request that carries the deadline, if one was given.
    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(timeout) = self.timeout {
            request.set_timeout(timeout);
        }
        request
    }

    /// Returns the address of the command's own server, if it runs one.
    pub(super) fn own_address(&self) -> Option<std::net::SocketAddr> {
        self.own.as_ref().map(Server::address)
    }

    /// Ends the connection, and the server if it is the command's own.
    pub(super) async fn close(self) {
        drop(self.channel);
        if let Some(server) = self.own {
            server.stop().await;
        }
    }

    pub(super) fn collections(&self) -> CollectionsClient<Connected> {
        CollectionsClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(super) fn cluster(&self) -> ClusterClient<Connected> {
        ClusterClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// Returns whether there is a collection of this name.
    pub(super) async fn has_collection(&self, name: &str) -> Result<bool, CliError> {
        let request = self.request(GetCollectionRequest { name: name.to_owned() });
        match self.collections().get(request).await {
            Ok(_) => Ok(true),
            Err(status) if status.code() == Code::NotFound => Ok(false),
            Err(status) => Err(status.into()),
        }
    }

    pub(super) fn snapshots(&self) -> SnapshotsClient<Connected> {
        SnapshotsClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(super) fn documents(&self) -> DocumentsClient<Connected> {
        DocumentsClient::new(self.channel.clone())
            .max_decoding_message_size(ANSWER_BYTES_MAX)
            .max_encoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(super) fn search(&self) -> SearchClient<Connected> {
        SearchClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(super) fn embedding(&self) -> EmbeddingClient<Connected> {
        EmbeddingClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(super) fn jobs(&self) -> JobsClient<Connected> {
        JobsClient::new(self.channel.clone())
    }

    pub(super) fn admin(&self) -> AdminClient<Connected> {
        AdminClient::new(self.channel.clone())
    }

    /// Returns what the server says of itself.
    pub(super) async fn info(&self) -> Result<InfoResponse, CliError> {
        Ok(self.admin().info(self.request(InfoRequest {})).await?.into_inner())
    }
}

/// Returns the address of the server that runs over the data directory, or, where none was chosen,
/// on the default port; and a connection to it.
///
/// # Errors
/// What the server over the data directory says to a key that is missing or wrong.
pub(super) async fn find(
    setting: &Setting,
    credentials: &Credentials,
) -> Result<Option<(String, Connected)>, CliError> {
    let config = &setting.config;
    if let Some(url) = written_address(&config.data)
        && let Some((channel, info)) = probe(&url, credentials).await?
        // A note that a crash left behind may name a port that another server has by now.
        && is_same_folder(Path::new(&info.data), &config.data)
    {
        return Ok(Some((url, channel)));
    }
    if setting.is_data_chosen() {
        return Ok(None);
    }
    let usual = format!("http://{}", config.listen);
    // A server that is not open to this command may be anybody's.
    let found = probe(&usual, credentials).await.unwrap_or_default();
    Ok(found.map(|(channel, _)| (usual, channel)))
}

/// A connection counts only if a simile answers on it: another program may have taken the port.
async fn probe(
    url: &str,
    credentials: &Credentials,
) -> Result<Option<(Connected, InfoResponse)>, CliError> {
    let Ok(channel) = connect(url, credentials, PROBE_TIME_MAX).await else { return Ok(None) };
    let mut request = Request::new(InfoRequest {});
    request.set_timeout(PROBE_TIME_MAX);
    let channel = Connected::new(channel, AddKey(credentials.key.clone()));
    match AdminClient::new(channel.clone()).info(request).await {
        Ok(info) => Ok(Some((channel, info.into_inner()))),
        Err(status) if status.code() == Code::Unauthenticated => Err(status.into()),
        Err(_) => Ok(None),
    }
}

fn is_same_folder(a: &Path, b: &Path) -> bool {
    match (fs_err::canonicalize(a), fs_err::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        (Err(_), _) | (_, Err(_)) => false,
    }
}

async fn connect(
    url: &str,
    credentials: &Credentials,
    time_max: Duration,
) -> Result<Channel, CliError> {
    let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let mut endpoint = Endpoint::from_shared(url.clone())
        .map_err(|_| CliError::usage(format!("`{url}` is no address, as http://127.0.0.1:7465")))?
        .connect_timeout(time_max)
        .tcp_nodelay(true)
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(8 << 20);
    if url.starts_with("https://") {
        let tls = ClientTlsConfig::new();
        let tls = match &credentials.ca {
            Some(ca) => tls.ca_certificate(Certificate::from_pem(ca)),
            None => tls.with_native_roots(),
        };
        endpoint = endpoint.tls_config(tls).map_err(|error| CliError::usage(error.to_string()))?;
    }
    endpoint.connect().await.map_err(|_| {
        CliError::local(
            ErrorKind::Unavailable,
            format!("no server answers at {url}; `simile serve` starts one"),
        )
    })
}

/// Notes where the server over this data directory listens; the note goes when it is dropped.
#[derive(Debug)]
pub(super) struct AddressNote(PathBuf);

impl AddressNote {
    /// Writes the note.
    pub(super) fn write(
        data: &Path,
        scheme: &str,
        address: std::net::SocketAddr,
    ) -> std::io::Result<Self> {
        let file = data.join(ADDRESS_FILE);
        fs_err::write(&file, format!("{scheme}://{address}\n"))?;
        Ok(Self(file))
    }
}

impl Drop for AddressNote {
    fn drop(&mut self) {
        // A note that stays behind is harmless: who reads it checks that a server answers.
        drop(fs_err::remove_file(&self.0));
    }
}

fn written_address(data: &Path) -> Option<String> {
    let text = fs_err::read_to_string(data.join(ADDRESS_FILE)).ok()?;
    let address = text.trim();
    (!address.is_empty()).then(|| address.to_owned())
}
