//! A server on loopback that speaks as much of the hub's protocol as fetching files needs, and does
//! on purpose what goes wrong elsewhere.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The path, with a slash at its start.
    pub(crate) path: String,
    /// The first byte that was asked for, if only a range was.
    pub(crate) from: Option<usize>,
}

/// What is answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// The length that is announced, if it is not that of the body.
    announced: Option<Option<usize>>,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// The whole content.
    pub(crate) fn whole(content: &[u8]) -> Self {
        Self { status: 200, body: content.to_vec(), ..Self::default() }
    }

    /// What was asked of the content, as the hub does it.
    pub(crate) fn of(content: &[u8], asked: &Asked) -> Self {
        match asked.from {
            None => Self::whole(content),
            Some(from) if from >= content.len() => Self::status(416),
            Some(from) => Self::range(content, from),
        }
    }

    /// The content from a byte on, whatever was asked.
    pub(crate) fn range(content: &[u8], from: usize) -> Self {
        let range = format!("bytes {from}-{}/{}", content.len() - 1, content.len());
        Self { status: 206, body: content[from..].to_vec(), ..Self::default() }
            .header("Content-Range", &range)
    }

    pub(crate) fn redirect(to: &str) -> Self {
        Self::status(302).header("Location", to)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Announces the whole and breaks off after so many bytes.
    pub(crate) fn broken_after(mut self, bytes: usize) -> Self {
        self.announced = Some(Some(self.body.len()));
        self.body.truncate(bytes);
        self
    }

    /// Announces no length: the content ends where the connection does.
    pub(crate) fn without_length(mut self) -> Self {
        self.announced = Some(None);
        self
    }

    fn write(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} Status\r\nConnection: close\r\n", self.status);
        if let Some(length) = self.announced.unwrap_or(Some(self.body.len())) {
            head.push_str(&format!("Content-Length: {length}\r\n"));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        stream.write_all(&self.body)?;
        stream.flush()
    }
}

/// The server; gone when dropped.
#[derive(Debug)]
pub(crate) struct HubServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl HubServer {
    /// Answers each request with what `answer` returns for it and its number, from 0.
    pub(crate) fn start(answer: impl Fn(&Asked, usize) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, ends) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, stop) = (Arc::clone(&asked), Arc::clone(&ends));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                let Some(request) = read(&stream) else { continue };
                let number = {
                    let mut log = log.lock().unwrap();
                    log.push(request.clone());
                    log.len() - 1
                };
                // A client that has heard enough may be gone.
                drop(answer(&request, number).write(&stream));
            }
        });
        Self { address, asked, ends, thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns what was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for HubServer {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        // Wakes the thread, which waits for a connection.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    let mut from = None;
    for line in lines {
        let line = line.ok()?.to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse().ok();
        }
    }
    Some(Asked { path, from })
}
