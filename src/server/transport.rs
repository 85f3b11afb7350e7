//! The listener, the services on it, and how all of it ends.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;

use super::ServerOptions;
use crate::error::{Classified, ErrorKind};

/// How often an idle connection is asked whether somebody is there, and how long that may take.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(20));
/// What a client may have on its way before it waits: of one stream, of one connection.
const WINDOWS: (u32, u32) = (4 << 20, 16 << 20);
/// The most bytes of the headers of a request.
const HEADER_BYTES_MAX: u32 = 16 << 10;

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shutdown_time_max: Duration,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The system refused.
    #[error("cannot start the server")]
    Io(#[from] io::Error),
}

impl Classified for ServerError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Io(_) => ErrorKind::Unavailable,
        }
    }
}

impl Server {
    /// Starts to serve on the listener.
    ///
    /// # Errors
    /// [`ServerError`] if the data directory cannot be opened, or the system refuses.
    pub async fn start(options: ServerOptions, listener: TcpListener) -> Result<Self, ServerError> {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let (stop, stopped) = oneshot::channel::<()>();
        let (_, health) = tonic_health::server::health_reporter();
        let router = tonic::transport::Server::builder()
            .max_concurrent_streams(options.streams_max)
            .initial_stream_window_size(WINDOWS.0)
            .initial_connection_window_size(WINDOWS.1)
            .http2_keepalive_interval(Some(KEEPALIVE.0))
            .http2_keepalive_timeout(Some(KEEPALIVE.1))
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .add_service(health);
        let serving = tokio::spawn(router.serve_with_incoming_shutdown(incoming, async {
            // A sender that is gone stops the server as well.
            drop(stopped.await);
        }));
        Ok(Self {
            address,
            shutdown_time_max: options.shutdown_time_max,
            stop: Some(stop),
            serving,
        })
    }

    /// Returns the address that is listened on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more requests, lets the running ones end within their time, and closes everything.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        if tokio::time::timeout(self.shutdown_time_max, &mut self.serving).await.is_err() {
            self.serving.abort();
        }
    }
}
