//! `simile ingest --there`.

use std::net::TcpListener;

use super::program::Program;

#[test]
fn a_server_reads_what_its_operator_laid_out_and_nothing_else() {
    let program = Program::without_models();
    program.write("files/tides.md", "# Tides\n\nThe sea rises and falls.");
    program.write("files/sub/cats.txt", "The cat sleeps.");
    program.write("files/sub/archive.rar", b"Rar!\x1a\x07\x01\x00\x00\x00");
    program.write("secret.txt", "Nobody reads this.");
    std::os::unix::fs::symlink("../secret.txt", program.folder().join("files/link.txt")).unwrap();
    // Whoever came would be seen.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let page = format!("http://{}/page.html", listener.local_addr().unwrap());
    // Where a proxy stands, it would be asked to connect.
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let names =
        ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    let variables = names.map(|name| (name, proxy.as_str()));
    let serving = program.serve_in(&["--ingest-root", "files", "--ingest-urls"], &variables);
    program.run(&["collection", "create", "notes", "--words-only"]).done();
    let sources =
        [".", "link.txt", "../secret.txt", &page, "http://10.0.0.1/", "https://10.0.0.1/"];
    let there = |more: &[&str]| {
        let command = [&["ingest", "--there", "-c", "notes"], &sources[..], more].concat();
        program.run(&command)
    };
    let read = there(&["--json", "--set", "sort=note"]);
    assert_eq!(read.code, 8, "{}", read.stderr);
    let report = read.json();
    assert_eq!((&report["stored"], &report["files"]), (&2.into(), &8.into()), "{report}");
    let failed: Vec<String> =
        report["failed"].as_array().unwrap().iter().map(ToString::to_string).collect();
    let says = |id: &str, words: &str| {
        assert!(failed.iter().any(|one| one.contains(id) && one.contains(words)), "{failed:?}");
    };
    says("link.txt", "a link is on the path");
    says("../secret.txt", "leads up");
    for url in [&page, "http://10.0.0.1/", "https://10.0.0.1/"] {
        says(url, "is not only reached at public addresses");
    }
    assert_eq!(report["unsupported"][0]["id"], "sub/archive.rar");
    assert!(listener.accept().is_err(), "somebody came");
    let again = there(&[]);
    assert!(
        again.stdout.contains("0 stored") && again.stdout.contains("2 unchanged"),
        "{}",
        again.stdout
    );
    let asked = ["search", "sea", "-c", "notes", "--mode", "lexical", "--json"];
    let found = program.run(&asked).done().json();
    assert_eq!(found["hits"][0]["id"], "tides.md");
    assert_eq!(found["hits"][0]["payload"]["sort"], "note", "{found}");
    let jobs = program.run(&["job", "list", "--json"]).done().json();
    let job = &jobs["jobs"][0];
    assert_eq!((&job["kind"], &job["state"]), (&"fetch".into(), &"done".into()), "{jobs}");
    // A collection that is not there is made, as by `ingest` without `--there`.
    let made = program.run(&["ingest", "--there", "tides.md", "-c", "other"]);
    assert!(made.stderr.contains("created collection `other`"), "{}", made.stderr);
    let (code, log) = serving.stop("TERM");
    assert_eq!(code, 0, "{log}");
}
