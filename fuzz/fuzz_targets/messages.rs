#![no_main]

#[path = "../targets.rs"]
mod targets;

use std::ffi::OsString;
use std::net::TcpListener;
use std::time::Duration;

use targets::messages::{WIRE, Wire};
use tonic::transport::Endpoint;

libfuzzer_sys::fuzz_target!(init: begin(), |data: &[u8]| targets::run("messages", data));

fn begin() {
    serve();
    targets::plant("messages", std::env::args());
}

/// Starts the program's own server in this process, so that its coverage is seen.
fn serve() {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr());
    let address = port.expect("a free port").to_string();
    let words = ["simile", "serve", "--offline", "--listen", &address];
    let mut words: Vec<OsString> = words.map(Into::into).to_vec();
    // Without the models of whoever fuzzes: a network of ONNX Runtime takes more memory than an input may.
    for option in ["data", "cache"] {
        words.extend([format!("--{option}").into(), targets::scratch().join(option).into()]);
    }
    std::thread::spawn(move || simile::cli::run(words));
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let channel = runtime.block_on(async {
        loop {
            match endpoint.connect().await {
                Ok(channel) => return channel,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    });
    WIRE.set(Wire { runtime, channel }).expect("it is started once");
}
