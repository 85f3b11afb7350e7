//! How do connections come in? Each port has a listener that keeps to the bound on all connections
//! together, and encrypts where that is asked for, so that whoever serves gets them ready to be read.

use std::io::{self, IoSlice};
use std::net::{self, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;
use tonic::Status;
use tonic::transport::server::Connected;

use super::status;
use super::tls::{Certificates, Spoken};
use crate::error::ErrorKind;

/// How long it may take to agree on how a connection is encrypted.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// How many connections over the bound are let in to be told so, and how long they may stay.
const TOLD_MAX: usize = 64;
const TOLD_TIME_MAX: Duration = Duration::from_secs(5);
/// How long nothing may pass over a connection of HTTP: longer than any answer takes. gRPC asks
/// whether somebody is there.
const QUIET_TIME_MAX: Duration = Duration::from_secs(900);
/// How long nobody is let in after the system refused: it has no more descriptors, and gets some back
/// when others leave.
const REST: Duration = Duration::from_millis(100);
/// Connections that are ready and wait to be taken.
const READY_MAX: usize = 64;

/// How many connections there are, and may be, over all ports. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Connections(Arc<Places>);

#[derive(Debug)]
struct Places {
    most: usize,
    free: Arc<Semaphore>,
    told: Arc<Semaphore>,
    refused: AtomicU64,
    is_full: AtomicBool,
}

/// How a request came here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    /// The bound on connections, of one that is over it.
    over: Option<usize>,
}

impl Connections {
    /// Returns as many places.
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Places {
            most,
            free: Arc::new(Semaphore::new(most)),
            told: Arc::new(Semaphore::new(TOLD_MAX)),
            refused: AtomicU64::new(0),
            is_full: AtomicBool::new(false),
        }))
    }

    /// Returns how many there are.
    pub(super) fn open(&self) -> usize {
        self.0.most - self.0.free.available_permits()
    }

    /// Returns how many came while there was no place.
    pub(super) fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// Returns a place for a connection, and whether it is one of those that are only told that there
    /// is none; nothing if there are too many of these, too.
    fn take(&self) -> Option<(OwnedSemaphorePermit, Arrival)> {
        if let Ok(place) = Arc::clone(&self.0.free).try_acquire_owned() {
            self.0.is_full.store(false, Ordering::Relaxed);
            return Some((place, Arrival { over: None }));
        }
        self.0.refused.fetch_add(1, Ordering::Relaxed);
        // Once until there is a place again: a log must not grow by what strangers do.
        if !self.0.is_full.swap(true, Ordering::Relaxed) {
            tracing::warn!(connections_max = self.0.most, "more connections than may be");
        }
        let place = Arc::clone(&self.0.told).try_acquire_owned().ok()?;
        Some((place, Arrival { over: Some(self.0.most) }))
    }
}

impl Arrival {
    /// Refuses what comes over a connection that is one too many.
    pub(super) fn check(self) -> Result<(), Status> {
        let Some(most) = self.over else { return Ok(()) };
        let message = format!(
            "the server has its {most} connections (connections_max) already, try again later"
        );
        Err(status::from_kind(ErrorKind::Overloaded, message))
    }
}

/// A connection that is ready to be read; encrypted or not.
#[derive(Debug)]
pub(super) struct Connection {
    io: Io,
    arrival: Arrival,
    /// When it is over, if it is to be.
    end: Option<Pin<Box<Sleep>>>,
    /// By how much what passes puts that off.
    quiet_max: Option<Duration>,
    _place: OwnedSemaphorePermit,
}

#[derive(Debug)]
enum Io {
    Plain(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>),
}

/// Connections as they get ready.
#[derive(Debug)]
pub(super) struct Incoming {
    ready: mpsc::Receiver<Connection>,
    address: SocketAddr,
}

/// Listens until `stopped`; returns the connections.
pub(super) fn listen(
    listener: net::TcpListener,
    connections: Connections,
    certificates: Option<Certificates>,
    spoken: Spoken,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> io::Result<Incoming> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let address = listener.local_addr()?;
    let (send, ready) = mpsc::channel(READY_MAX);
    let accept = accept(listener, connections, certificates, spoken, send);
    // The listener goes at once: who comes later is told by the system.
    tokio::spawn(async move {
        tokio::select! {
            () = accept => {}
            () = stopped => {}
        }
    });
    Ok(Incoming { ready, address })
}

async fn accept(
    listener: TcpListener,
    connections: Connections,
    certificates: Option<Certificates>,
    spoken: Spoken,
    send: mpsc::Sender<Connection>,
) {
    while !send.is_closed() {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) if is_of_one(&error) => continue,
            Err(error) => {
                tracing::warn!(%error, "no connection can be taken");
                sleep(REST).await;
                continue;
            }
        };
        // Who is not even told sees the connection closed.
        let Some((place, arrival)) = connections.take() else { continue };
        let tls = certificates.as_ref().map(|certificates| certificates.current(spoken));
        let send = send.clone();
        tokio::spawn(async move {
            // It makes answers come sooner, and that is all.
            drop(stream.set_nodelay(true));
            let io = match tls {
                None => Io::Plain(stream),
                Some(tls) => {
                    let encrypt = TlsAcceptor::from(tls).accept(stream);
                    match timeout(HANDSHAKE_TIME_MAX, encrypt).await {
                        Ok(Ok(stream)) => Io::Encrypted(Box::new(stream)),
                        Ok(Err(error)) => {
                            tracing::debug!(%error, "a connection was not encrypted");
                            return;
                        }
                        Err(_) => return,
                    }
                }
            };
            // Nobody takes it any more when the server stops.
            drop(send.send(Connection::new(io, arrival, spoken, place)).await);
        });
    }
}

/// Whether an error says something of a connection that went away, and nothing of the next.
fn is_of_one(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

impl Connection {
    fn new(io: Io, arrival: Arrival, spoken: Spoken, place: OwnedSemaphorePermit) -> Self {
        let quiet_max =
            (spoken == Spoken::Http && arrival.over.is_none()).then_some(QUIET_TIME_MAX);
        let time_max = quiet_max.or(arrival.over.map(|_| TOLD_TIME_MAX));
        let end = time_max.map(|time| Box::pin(sleep(time)));
        Self { io, arrival, end, quiet_max, _place: place }
    }

    /// Puts off the end of a connection over which something passed.
    fn note(&mut self) {
        if let (Some(end), Some(quiet_max)) = (&mut self.end, self.quiet_max) {
            end.as_mut().reset(Instant::now() + quiet_max);
        }
    }

    fn write_with(
        &mut self,
        write: impl FnOnce(Pin<&mut dyn AsyncWrite>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let written = ready!(write(self.io.writer()));
        self.note();
        Poll::Ready(written)
    }
}

impl Io {
    fn writer(&mut self) -> Pin<&mut dyn AsyncWrite> {
        match self {
            Self::Plain(stream) => Pin::<&mut TcpStream>::new(stream),
            Self::Encrypted(stream) => Pin::<&mut TlsStream<TcpStream>>::new(stream.as_mut()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Io::Encrypted(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
        };
        if read.is_ready() {
            self.note();
            return read;
        }
        // As if the other side had closed it.
        match &mut self.end {
            Some(end) => end.as_mut().poll(context).map(Ok),
            None => Poll::Pending,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write_with(|stream| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write_with(|stream| stream.poll_write_vectored(context, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(stream) => stream.is_write_vectored(),
            Io::Encrypted(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.writer().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.writer().poll_shutdown(context)
    }
}

impl Incoming {
    /// Returns where it is listened.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// As gRPC takes connections.
impl Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Connection>>> {
        self.ready.poll_recv(context).map(|connection| connection.map(Ok))
    }
}

impl Connected for Connection {
    type ConnectInfo = Arrival;

    fn connect_info(&self) -> Arrival {
        self.arrival
    }
}

/// As HTTP takes them.
impl Listener for Incoming {
    type Io = Connection;
    type Addr = Arrival;

    async fn accept(&mut self) -> (Connection, Arrival) {
        match self.ready.recv().await {
            Some(connection) => {
                let arrival = connection.arrival;
                (connection, arrival)
            }
            // The server stops, and whoever waits here stops with it.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Arrival> {
        Ok(Arrival { over: None })
    }
}

impl connect_info::Connected<IncomingStream<'_, Incoming>> for Arrival {
    fn connect_info(stream: IncomingStream<'_, Incoming>) -> Self {
        *stream.remote_addr()
    }
}
