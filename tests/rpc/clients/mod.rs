//! The clients that people have, as they are published, in a Python environment of their own: each does
//! what its users do, and checks what it gets. The packages are fetched once, into the cache.

mod python;
mod rust;

use std::path::{Path, PathBuf};
use std::process::Command;

use simile::server::ServerOptions;

use super::server::TestServer;
use crate::cli::program::Program;
use crate::support::{cache_folder, catalogue_options};

/// The packages, at fixed versions, so that a new one of theirs does not fail a test of ours.
const PACKAGES: [&str; 7] = [
    "qdrant-client==1.20.0",
    "langchain-qdrant==1.1.0",
    "llama-index-vector-stores-qdrant==0.10.4",
    "qdrant-haystack==13.1.0",
    "openai==3.57.0",
    "pyarrow==26.0.1",
    "pandas==3.1.1",
];
/// Versions of the client that go before the one in the environment, oldest first: the protocol is
/// answered as one minor version from each of them.
const OTHER_VERSIONS: [&str; 2] = ["1.18.0", "1.19.1"];

/// Returns the folder of the Python environment.
fn environment() -> PathBuf {
    environment_of(&format!("{PACKAGES:?} {OTHER_VERSIONS:?}"), |folder| {
        run(pip(folder).args(PACKAGES));
        for version in OTHER_VERSIONS {
            let package = format!("qdrant-client=={version}");
            let target = folder.join(version);
            run(pip(folder).arg("--no-deps").arg("--target").arg(target).arg(package));
        }
    })
}

/// Returns the folder of the Python environment that is to hold what was wanted; the first time, it is
/// made, and `fill` installs that.
fn environment_of(wanted: &str, fill: impl FnOnce(&Path)) -> PathBuf {
    let name = &blake3::hash(wanted.as_bytes()).to_hex()[..16];
    let clients = cache_folder().join("test-clients");
    fs_err::create_dir_all(&clients).unwrap();
    // Another run of the tests may be at it.
    let lock = fs_err::File::create(clients.join("lock")).unwrap();
    lock.file().lock().unwrap();
    let folder = clients.join(name);
    let complete = folder.join("complete");
    if !complete.exists() {
        drop(fs_err::remove_dir_all(&folder));
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        fill(&folder);
        fs_err::write(&complete, "").unwrap();
    }
    folder
}

/// The pip of an environment, about to install.
fn pip(environment: &Path) -> Command {
    let mut pip = Command::new(python(environment));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    pip.args(["--no-input", "--no-compile"]);
    pip
}

fn python(environment: &Path) -> PathBuf {
    environment.join("bin/python")
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{said}");
}

/// Runs a script of this folder, with another version of the client before the usual one if named.
fn use_by(script: &str, version: Option<&str>, arguments: &[&str]) {
    let environment = environment();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rpc/clients");
    let mut command = Command::new(python(&environment));
    command.arg(folder.join(script)).args(arguments).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env_remove("PYTHONPATH");
    // What reports its use, or looks for models, has nothing to reach here.
    command.env("HAYSTACK_TELEMETRY_ENABLED", "False").env("ANONYMIZED_TELEMETRY", "False");
    if let Some(version) = version {
        command.env("PYTHONPATH", environment.join(version));
    }
    let output = command.output().unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let is_done = output.status.success() && out.trim_end().ends_with("done");
    assert!(is_done, "{script} {version:?}\n{out}\n{err}");
}

/// Returns a server whose model is in memory: these clients wait five seconds and no longer.
fn with_loaded_model() -> TestServer {
    loaded(|_| {})
}

fn loaded(change: impl FnOnce(&mut ServerOptions)) -> TestServer {
    let server = TestServer::start(catalogue_options(), change);
    let request =
        simile_proto::v1::EmbedRequest { texts: vec!["cat".to_owned()], ..Default::default() };
    server.ask(server.embedding().embed(request)).unwrap();
    server
}

fn place(server: &TestServer) -> [String; 2] {
    [server.address().ip().to_string(), server.address().port().to_string()]
}

#[test]
fn three_versions_of_the_client_of_qdrant_do_all_that_it_does() {
    let server = with_loaded_model();
    let [host, port] = place(&server);
    for version in OTHER_VERSIONS {
        use_by("qdrant_use.py", Some(version), &[&host, &port, version]);
    }
    use_by("qdrant_use.py", None, &[&host, &port, "1.20.0"]);
}

#[test]
fn langchain_llama_index_and_haystack_store_and_search() {
    let server = TestServer::without_model(|_| {});
    let [host, port] = place(&server);
    for script in ["langchain_use.py", "llama_index_use.py", "haystack_use.py"] {
        use_by(script, None, &[&host, &port]);
    }
}

#[test]
fn pyarrow_and_pandas_read_an_export_and_write_an_import() {
    let notes = r#"{"id": "a", "payload": {"topic": "harbour", "year": 2020}, "text": "the ferry leaves the harbour", "vectors": {"v": [0, 1], "tokens": [[1, 0], [0, 1]]}}
{"id": "b", "payload": {"topic": "harbour", "year": 2021}, "text": "barnacles on the hull", "vectors": {"v": [1, 1], "tokens": [[0, 1]]}}
{"id": "c", "payload": {"topic": "kitchen"}, "text": "soup in a small galley", "vectors": {"v": [2, 1]}}
{"id": "d", "text": "a comet", "vectors": {"v": [3, 1], "s": {"indices": [3, 4294967290], "values": [0.5, 1]}}}
"#;
    let program = Program::without_models();
    program.write("notes.jsonl", notes);
    let use_by = |step| use_by("parquet_use.py", None, &[program.folder().to_str().unwrap(), step]);
    let serving = program.serve(&[]);
    let vectors =
        ["--vector", "v=2:euclidean", "--vector", "tokens=multi:2", "--vector", "s=sparse"];
    program.run(&[&["collection", "create", "notes"], &vectors[..]].concat()).done();
    program.run(&["import", "notes.jsonl", "-c", "notes"]).done();
    let exported = program.run(&["export", "notes", "notes.parquet"]).done().stdout;
    assert!(exported.contains("notes.parquet: 4 documents of `notes`"), "{exported}");
    let lines = |collection: &str| program.run(&["export", collection, "-"]).done().stdout;
    program.run(&["import", "notes.parquet", "-c", "copy"]).done();
    assert_eq!(lines("copy"), lines("notes"));
    let again = program.run(&["import", "notes.parquet", "-c", "copy", "--json"]).done().json();
    assert_eq!((&again["stored"], &again["unchanged"]), (&0.into(), &4.into()));
    use_by("read");
    program.run(&[&["collection", "create", "fewer"], &vectors[..]].concat()).done();
    program.run(&["import", "fewer.parquet", "-c", "fewer"]).done();
    let without = |lines: String| {
        let lines = lines.lines().filter(|line| !line.contains(r#""id":"b""#));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(without(lines("fewer")), without(lines("notes")));
    use_by("write");
    for codec in ["snappy", "zstd", "gzip", "lz4", "none"] {
        program.run(&["collection", "create", codec, "--vector", "place=2:euclidean"]).done();
        let file = format!("{codec}.parquet");
        let mapped = ["--vector-column", "place=embedding"];
        let import = [&["import", &file, "-c", codec, "--json"], &mapped[..]].concat();
        assert_eq!(program.run(&import).done().json()["stored"], 300, "{codec}");
        let got = program.run(&["get", "7", "-c", codec, "--vectors", "--json"]).done().json();
        let document = &got["documents"][0];
        let expected = serde_json::json!({
            "year": 2007, "score": 0.5, "when": "2024-02-29T12:30:00Z", "day": "2024-02-29",
            "tags": ["a"], "place": {"lat": 54.0, "lon": 7.0}, "is_new": false, "kind": "y",
        });
        assert_eq!(document["payload"], expected, "{codec}");
        assert_eq!(document["parts"][0]["vectors"]["place"], serde_json::json!([7.0, 1.0]));
        let got = program.run(&["get", "10", "-c", codec, "--json"]).done().json();
        let payload = &got["documents"][0]["payload"];
        assert!(payload.get("year").is_none() && payload.get("score").is_none(), "{payload}");
    }
    let count = ["count", "-c", "zstd", "--filter", "when>2024-01-01T00:00:00Z", "--filter"];
    let near = r#"{"field": "place", "geo_radius": {"lat": 54, "lon": 7, "meters": 1000}}"#;
    let found = program.run(&[&count[..], &[near, "--json"]].concat()).done().json();
    assert_eq!(found["documents"], 4);
    program.run(&["collection", "create", "frame", "--vector", "v=2"]).done();
    let frame = ["import", "frame.parquet", "-c", "frame"];
    let missing = program.run(&frame);
    assert_eq!(missing.code, 2);
    let says = "the table has no column `id`, but v, words, key; --id-column says which one";
    assert!(missing.stderr.contains(says), "{}", missing.stderr);
    let named = ["--id-column", "key", "--text-column", "words", "--json"];
    let stored = program.run(&[&frame[..], &named[..]].concat()).done().json();
    assert_eq!(stored["stored"], 50);
    let found = program.run(&["search", "tide", "-c", "frame", "-n", "3", "--json"]).done();
    assert!(found.stdout.contains("\"k0\""), "{}", found.stdout);
    drop(serving);
}

#[test]
fn the_package_of_openai_embeds_texts() {
    let mut server = with_loaded_model();
    let url = format!("http://{}/v1", server.serve_http());
    use_by("openai_use.py", None, &[&url]);
}
