//! Listeners of loopback that count who comes, and answer.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A listener that counts connections and answers requests from a table of paths; from an empty one it
/// answers all of them.
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    came: Arc<AtomicUsize>,
}

/// Whole answers, head and body, by path.
pub(crate) type Answers = BTreeMap<String, Vec<u8>>;

impl Listener {
    /// Listens at an address; the thread ends with the tests.
    pub(crate) fn new(at: &str, answers: impl FnOnce(SocketAddr) -> Answers) -> Option<Self> {
        let listener = TcpListener::bind(at).ok()?;
        let address = listener.local_addr().unwrap();
        let came = Arc::new(AtomicUsize::new(0));
        let (count, answers) = (Arc::clone(&came), answers(address));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, Ordering::SeqCst);
                // Who goes before the end of the answer has read enough.
                drop(answer(stream, &answers));
            }
        });
        Some(Self { address, came })
    }

    /// Returns how many came.
    pub(crate) fn came(&self) -> usize {
        self.came.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: TcpStream, answers: &Answers) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    let none = match answers.is_empty() {
        true => ok("text/plain", b"secret"),
        false => b"HTTP/1.1 404 None\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec(),
    };
    stream.write_all(answers.get(path).unwrap_or(&none))
}

/// An answer with this body.
pub(crate) fn ok(media_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// An answer that leads on.
pub(crate) fn redirect(status: u16, to: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} Elsewhere\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    .into_bytes()
}
