//! One address of loopback stands for the public ones, and another for the private ones: hosts that
//! change their mind and pages that lead elsewhere get nobody from the one to the other.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use simile::cancel::Cancellation;
use simile::reach::{Page, ReachError, Web};

use super::web::{Answers, Listener, ok, redirect};

const PUBLIC: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
const PRIVATE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const BYTES_MAX: u64 = 1 << 20;

/// Two listeners, a web in which one of them is allowed, and how often hosts were looked up.
struct Net {
    public: Listener,
    private: Listener,
    web: Web,
    looked: Arc<AtomicUsize>,
}

impl Net {
    /// `answers` are those of the allowed listener, given where both are.
    fn new(answers: impl FnOnce(SocketAddr, SocketAddr) -> Answers) -> Self {
        let private = Listener::new("127.0.0.2:0", |_| Answers::new()).unwrap();
        let there = private.address;
        let public = Listener::new("127.0.0.1:0", |here| answers(here, there)).unwrap();
        let looked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&looked);
        let look_up = move |host: &str, port: u16| {
            let before = count.fetch_add(1, Ordering::SeqCst);
            let addresses = match host {
                "public.test" => vec![PUBLIC],
                "private.test" => vec![PRIVATE],
                "both.test" => vec![PUBLIC, PRIVATE],
                "both-turned.test" => vec![PRIVATE, PUBLIC],
                // Public for whoever looks at it, private for whoever connects afterwards.
                "turning.test" if before.is_multiple_of(2) => vec![PUBLIC],
                "turning.test" => vec![PRIVATE],
                "none.test" => vec![],
                "many.test" => vec![PUBLIC; 40],
                other => vec![other.trim_matches(['[', ']']).parse().unwrap()],
            };
            Ok(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect())
        };
        let web = Web::with(Arc::new(look_up), |address| address == PUBLIC);
        Self { public, private, web, looked }
    }

    fn read(&self, host: &str, path: &str) -> Result<Page, ReachError> {
        let url = format!("http://{host}:{}{path}", self.public.address.port());
        self.web.read(&url, BYTES_MAX, &Cancellation::new())
    }
}

#[test]
fn a_host_is_looked_up_once_and_every_one_of_its_addresses_has_to_be_allowed() {
    let net = Net::new(|_, _| Answers::from([("/a.html".to_owned(), ok("text/html", b"<p>Tide"))]));
    let page = net.read("public.test", "/a.html").unwrap();
    assert_eq!((page.bytes.as_slice(), page.name.as_str()), (&b"<p>Tide"[..], "a.html"));
    assert_eq!(page.media_type.as_deref(), Some("text/html"));
    assert_eq!((net.looked.load(Ordering::SeqCst), net.public.came()), (1, 1));
    assert_eq!(net.read("many.test", "/a.html").unwrap().bytes, b"<p>Tide");
    // Asked a second time it would lead elsewhere: it is not asked a second time.
    let before = net.looked.load(Ordering::SeqCst);
    assert_eq!(before % 2, 0);
    assert_eq!(net.read("turning.test", "/a.html").unwrap().bytes, b"<p>Tide");
    assert_eq!(net.looked.load(Ordering::SeqCst), before + 1);
    for host in
        ["turning.test", "private.test", "both.test", "both-turned.test", "127.0.0.2", "[::1]"]
    {
        let error = net.read(host, "/a.html").unwrap_err();
        assert!(matches!(error, ReachError::NotPublic(_)), "{host}: {error}");
    }
    assert!(matches!(net.read("none.test", "/"), Err(ReachError::NoHost(_))));
    assert_eq!((net.public.came(), net.private.came()), (3, 0));
}

#[test]
fn a_page_leads_to_no_other_place_than_it_could_be_asked_for_at() {
    let net = Net::new(|here, there| {
        let (here, there) = (here.port(), there.port());
        let elsewhere = [
            format!("http://127.0.0.2:{there}/"),
            format!("HTTP://127.0.0.2:{there}/"),
            format!("http://private.test:{there}/"),
            format!("//127.0.0.2:{there}/"),
            format!("//private.test:{there}/a"),
            format!("https://127.0.0.2:{there}/"),
            format!("http://both.test:{there}/"),
            format!("http://both-turned.test:{there}/"),
            format!("http://[::1]:{there}/"),
            format!("http://[::ffff:127.0.0.2]:{there}/"),
            format!("http://10.0.0.1:{there}/"),
            "http://169.254.169.254/latest/meta-data/".to_owned(),
            format!("http://public.test@127.0.0.2:{there}/"),
            format!("http://user:word@public.test:{here}/fine"),
            format!("http://127.0.0.2:{there}#@public.test/"),
            format!("http://public.test:{here}\\@127.0.0.2:{there}/"),
            "file:///etc/passwd".to_owned(),
            format!("ftp://127.0.0.2:{there}/"),
            format!("gopher://127.0.0.2:{there}/"),
            "/again".to_owned(),
            "http://".to_owned(),
            String::new(),
        ];
        let mut answers = Answers::new();
        for (number, to) in elsewhere.iter().enumerate() {
            answers.insert(format!("/elsewhere/{number}"), redirect(302, to));
        }
        for (number, status) in [301, 303, 307, 308].into_iter().enumerate() {
            let to = format!("http://127.0.0.2:{there}/");
            answers
                .insert(format!("/elsewhere/{}", elsewhere.len() + number), redirect(status, &to));
        }
        answers.insert("/again".to_owned(), redirect(302, "/again"));
        answers.insert("/fine".to_owned(), ok("text/plain; charset=utf-8", b"fine"));
        for step in 0..6 {
            let to = if step == 0 { "/fine".to_owned() } else { format!("/step/{}", step - 1) };
            answers.insert(format!("/step/{step}"), redirect(302, &to));
        }
        let indirect = format!("http://public.test:{here}/elsewhere/0");
        answers.insert("/indirect".to_owned(), redirect(302, &indirect));
        answers
    });
    for number in 0..26 {
        let read = net.read("public.test", &format!("/elsewhere/{number}"));
        assert!(read.is_err(), "{number}: {read:?}");
    }
    assert!(matches!(net.read("public.test", "/indirect"), Err(ReachError::NotPublic(_))));
    // The second look at the host finds another address: the first one does not count any more.
    let before = net.looked.load(Ordering::SeqCst);
    if before % 2 == 1 {
        net.read("public.test", "/fine").unwrap();
    }
    assert!(matches!(net.read("turning.test", "/step/0"), Err(ReachError::NotPublic(_))));
    assert_eq!(net.private.came(), 0, "somebody was led there");
    let page = net.read("public.test", "/step/4").unwrap();
    assert_eq!((page.bytes.as_slice(), page.name.as_str()), (&b"fine"[..], "fine"));
    assert!(matches!(net.read("public.test", "/step/5"), Err(ReachError::Redirects(5))));
}

#[test]
fn an_answer_is_read_as_far_as_it_may_be_long() {
    let net = Net::new(|_, _| {
        let head = |more: &str| format!("HTTP/1.1 200 OK\r\n{more}\r\n\r\n").into_bytes();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packed.write_all(&vec![0; 64 << 20]).unwrap();
        let packed = packed.finish().unwrap();
        assert!(packed.len() < 1 << 17);
        let bomb = head(&format!("Content-Encoding: gzip\r\nContent-Length: {}", packed.len()));
        let pieces = b"10000\r\n".iter().chain(&[b'x'; 1 << 16]).chain(b"\r\n").copied();
        let pieces: Vec<u8> = pieces.cycle().take((7 + (1 << 16) + 2) * 40).collect();
        Answers::from([
            ("/said".to_owned(), head("Content-Length: 99999999999")),
            ("/bomb".to_owned(), [bomb, packed].concat()),
            ("/pieces".to_owned(), [head("Transfer-Encoding: chunked"), pieces].concat()),
            ("/open".to_owned(), [head("Connection: close"), vec![b'x'; 2 << 20]].concat()),
            ("/cut".to_owned(), [head("Content-Length: 10"), b"abc".to_vec()].concat()),
            ("/head".to_owned(), head(&format!("X: {}", "x".repeat(1 << 20)))),
            ("/none".to_owned(), b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec()),
            ("/broken".to_owned(), b"\x16\x03\x01 what is this".to_vec()),
            ("/".to_owned(), ok("application/pdf", &[b'x'; 1 << 20])),
        ])
    });
    for path in ["/said", "/bomb", "/pieces", "/open"] {
        let read = net.read("public.test", path).map(|page| page.bytes.len());
        assert!(matches!(read, Err(ReachError::TooLarge { most: BYTES_MAX })), "{path}: {read:?}");
    }
    for path in ["/cut", "/head", "/broken"] {
        let read = net.read("public.test", path).map(|page| page.bytes.len());
        assert!(matches!(read, Err(ReachError::Answer(_))), "{path}: {read:?}");
    }
    assert!(matches!(net.read("public.test", "/none"), Err(ReachError::Status(404))));
    let whole = net.read("public.test", "/").unwrap();
    assert_eq!((whole.bytes.len() as u64, whole.name.as_str()), (BYTES_MAX, "page"));
}
