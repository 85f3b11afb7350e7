//! Addresses that lead to this machine or its network, in every disguise: nothing is connected to.

use rayon::prelude::*;
use simile::cancel::Cancellation;
use simile::reach::{ReachError, Web};

use super::web::{Answers, Listener};

/// Hosts that systems take for this machine or its network.
const HOSTS: [&str; 71] = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "0177.1",
    "0177.0.1",
    "00000177.0.0.1",
    "0x7f000001",
    "0x7F000001",
    "0x7f.0.0.1",
    "0x7f.1",
    "0x7F.0x0.0x0.0x1",
    "127.0.0.0x1",
    "127.0.0.01",
    "127.000.000.001",
    "127.0.0.1.",
    "0",
    "0.0",
    "0.0.0.0",
    "0x0",
    "00",
    "0.0.0.1",
    "127.0.0.2",
    "127.127.127.127",
    "127.255.255.254",
    "localhost",
    "LOCALHOST",
    "LocalHost",
    "localhost.",
    "ip6-localhost",
    "ip6-loopback",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0::1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::FFFF:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:0:127.0.0.1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "[fe80::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fec0::1]",
    "[ff02::1]",
    "[2001:db8::1]",
    "10.0.0.1",
    "192.168.0.1",
    "172.16.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "100.64.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "168.63.129.16",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "240.0.0.1",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
];

/// Whole addresses, where `PORT` stands for that of the listener.
const DISGUISES: [&str; 50] = [
    "https://127.0.0.1:PORT/",
    "HTTP://127.0.0.1:PORT/",
    "http://127.0.0.1:PORT",
    "http://localhost:PORT",
    "http://user@127.0.0.1:PORT/",
    "http://user:word@127.0.0.1:PORT/",
    "http://@127.0.0.1:PORT/",
    "http://example.org@127.0.0.1:PORT/",
    "http://example.org:80@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT@example.org/",
    "http://127.0.0.1:PORT\\@example.org/",
    "http://example.org\\@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT#@example.org/",
    "http://127.0.0.1:PORT?@example.org/",
    "http://127.0.0.1:PORT/@example.org/",
    "http://a@b@127.0.0.1:PORT/",
    "http://example.org%40127.0.0.1:PORT/",
    "http://127.0.0.1%00:PORT/",
    "http://127.0.0.1%2f:PORT/",
    "http://127%2e0%2e0%2e1:PORT/",
    "http://%31%32%37.0.0.1:PORT/",
    "http:///127.0.0.1:PORT/",
    "http:////127.0.0.1:PORT/",
    "http://:PORT/",
    "http://",
    "http://[::1",
    "http://::1:PORT/",
    "http://[::1]PORT/",
    "http://[::1%25lo]:PORT/",
    "http://[::1%lo]:PORT/",
    "http://127.0.0.1:PORT:80/",
    "http://127.0.0.1:0/",
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:+PORT/",
    "http://127.0.0.1: PORT/",
    "http:// 127.0.0.1:PORT/",
    "http://127.0.0.1\t:PORT/",
    "http://127.0.0.1:PORT/\r\nHost: example.org",
    "http://①②⑦.0.0.1:PORT/",
    "http://127。0。0。1:PORT/",
    "http://ⓛⓞⓒⓐⓛhost:PORT/",
    "file:///etc/passwd",
    "file://127.0.0.1:PORT/",
    "ftp://127.0.0.1:PORT/",
    "gopher://127.0.0.1:PORT/",
    "socks5://127.0.0.1:PORT/",
    "ws://127.0.0.1:PORT/",
    "unix:///run/socket",
    "//127.0.0.1:PORT/",
    "127.0.0.1:PORT",
];

#[test]
fn no_address_of_this_machine_or_its_network_is_connected_to() {
    let listener = Listener::new("[::]:0", |_| Answers::new());
    let listener = listener.or_else(|| Listener::new("0.0.0.0:0", |_| Answers::new())).unwrap();
    let port = listener.address.port();
    let hosts = HOSTS.iter().map(|host| format!("http://{host}:{port}/"));
    let disguises = DISGUISES.iter().map(|url| url.replace("PORT", &port.to_string()));
    let long = format!("http://127.0.0.1:{port}/{}", "x".repeat(5_000));
    let urls: Vec<String> = hosts.chain(disguises).chain([long]).collect();
    assert!(urls.len() >= 80);
    // The listener is there for whoever connects.
    drop(std::net::TcpStream::connect(("127.0.0.1", port)).unwrap());
    while listener.came() == 0 {
        std::thread::yield_now();
    }
    let web = Web::public();
    let wrong: Vec<String> = urls
        .par_iter()
        .filter_map(|url| match web.read(url, 1 << 20, &Cancellation::new()) {
            Ok(page) => Some(format!("{url:?}: {:?}", String::from_utf8_lossy(&page.bytes))),
            // Some hosts have no address on this system; nobody is asked either way.
            Err(ReachError::Address(_) | ReachError::NotPublic(_) | ReachError::NoHost(_)) => None,
            Err(ReachError::Answer(reason)) if reason.contains("lookup") => None,
            Err(other) => Some(format!("{url:?}: {other:?}")),
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), urls.len(), wrong.join("\n"));
    assert_eq!(listener.came(), 1, "somebody was connected to");
    println!("{} addresses, 0 connections", urls.len());
}

#[test]
fn what_is_wrong_with_an_address_is_said() {
    let web = Web::public();
    for (url, words) in [
        ("file:///etc/passwd", "got none"),
        ("ftp://example.org/", "got one of `ftp`"),
        ("example.org/a", "got "),
        ("http://user:word@example.org/", "got one with a name and a password"),
        ("http://example.org:0/", "whose port is none"),
        ("http://127.0.0.1/", "`127.0.0.1` is not only reached at public addresses"),
        ("http://[::1]/", "`[::1]` is not only reached at public addresses"),
    ] {
        let error = web.read(url, 1, &Cancellation::new()).unwrap_err().to_string();
        assert!(error.contains(words) && !error.contains("word@"), "{url}: {error}");
    }
    let ended = Cancellation::new();
    ended.cancel();
    let error = web.read("http://example.org/", 1, &ended).unwrap_err();
    assert!(matches!(error, ReachError::Interrupted(_)));
}
