//! `simile serve`.

use std::sync::atomic::{AtomicBool, Ordering};

use super::program::Program;

#[test]
fn a_server_says_where_it_is_and_stops_cleanly_when_it_is_told_to() {
    let program = Program::without_models();
    for by in ["TERM", "INT"] {
        let serving = program.serve(&[]);
        let note = program.data().join("server.address");
        let written = fs_err::read_to_string(&note).unwrap();
        assert_eq!(written, format!("http://{}\n", serving.address));
        let name = format!("by-{by}");
        program.run(&["collection", "create", &name, "--vector", "v=3"]).done();
        let (code, log) = serving.stop(by);
        assert_eq!(code, 0, "{log}");
        assert!(log.contains("\"stopped\""), "{log}");
        assert!(!note.exists(), "a note that stays would send commands to nobody");
    }
    let list = program.run(&["collection", "list", "--json"]).done().json();
    let names: Vec<&str> = list["collections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["by-INT", "by-TERM"], "what was created is there without the server");
}

#[test]
fn one_data_directory_has_one_server_and_a_stale_note_does_no_harm() {
    let program = Program::without_models();
    let serving = program.serve(&[]);
    let second = program.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.code, 5);
    assert!(second.stderr.contains("is in use by another process"), "{}", second.stderr);
    let taken = program.run(&["serve", "--data", "other", "--listen", &serving.address]);
    assert_eq!(taken.code, 5);
    let message = format!("cannot listen on {}", serving.address);
    assert!(taken.stderr.contains(&message), "{}", taken.stderr);
    let url = format!("http://{}", serving.address);
    let by_name = ["collection", "list", "--json", "--data", "nowhere", "--server", &url];
    program.run(&by_name).done();
    assert!(!program.folder().join("nowhere").exists());
    // A kill leaves the note; the next command is not misled.
    let note = fs_err::read(program.data().join("server.address")).unwrap();
    let (code, _) = serving.stop("KILL");
    assert_eq!(code, 137);
    assert_eq!(fs_err::read(program.data().join("server.address")).unwrap(), note);
    program.run(&["collection", "list"]).done();
}

#[test]
fn settings_are_printed_with_their_origin_and_read_back() {
    let program = Program::without_models();
    let printed = program.run(&["serve", "--print-config", "--workers", "9"]).done().stdout;
    let line = |name: &str| printed.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(line("workers = 9").ends_with("# command line"), "{printed}");
    assert!(line("offline = true").ends_with("# environment"), "{printed}");
    assert!(line("listen = \"127.0.0.1:7465\"").ends_with("# default"), "{printed}");
    program.write("simile.toml", &printed);
    let again = ["--config", "simile.toml", "serve", "--print-config", "--streams-max=7"];
    let again = program.run(&again).done().stdout;
    assert!(again.contains("workers = 9"), "{again}");
    let line = again.lines().find(|line| line.starts_with("workers = 9")).unwrap();
    assert!(line.ends_with("# configuration file"), "{again}");
}

#[test]
fn what_is_slow_is_logged_with_its_stages_and_without_what_was_asked() {
    let program = Program::without_models();
    let slow = |milliseconds: &str| {
        let serving = program.serve(&["--slow-ms", milliseconds]);
        program.run(&["search", "lighthouse", "-c", "notes", "--mode", "lexical"]).done();
        let (code, log) = serving.stop("TERM");
        assert_eq!(code, 0, "{log}");
        log.lines().filter(|line| line.contains("slow ")).map(str::to_owned).collect::<Vec<_>>()
    };
    program.run(&["collection", "create", "notes", "--words-only"]).done();
    let log = slow("0");
    let line = |words: &[&str]| {
        let has_all = |line: &&String| words.iter().all(|word| line.contains(word));
        assert!(log.iter().any(|line| has_all(&line)), "{words:?}: {log:?}");
    };
    line(&["slow request", "simile.v1.Search/Search", "took_ms"]);
    line(&["slow search", "notes", "stages_ms", "filter 0.", "search ", "read "]);
    assert!(!log.iter().any(|line| line.contains("lighthouse")), "{log:?}");
    assert_eq!(slow("60000"), [""; 0]);
}

#[test]
fn a_model_is_fitted_where_the_server_is() {
    let program = Program::without_models();
    let serving = program.serve(&[]);
    let url = format!("http://{}", serving.address);
    program.run(&["collection", "create", "notes", "--vector", "words=hashed-words"]).done();
    program.write("notes.txt", "The ferry leaves the harbour at noon.");
    program.write("bread.txt", "Bread dough rests for an hour.");
    program.run(&["ingest", "notes.txt", "bread.txt", "-c", "notes"]).done();
    let train = |method: &str| {
        let there = ["--server", &url, "--data", "nowhere", "--json"];
        let what = ["model", "train", method, "--collection", "notes", "--out", "mine"];
        program.run(&[&what[..], &there[..]].concat())
    };
    let made = train("tf-idf").done().json();
    assert_eq!((&made["name"], &made["form"]), (&"mine".into(), &"sparse".into()), "{made}");
    assert!(!program.folder().join("nowhere").join("models").exists(), "it is the server's");
    assert!(program.data().join("models").join("mine").is_dir());
    let words = ["embed", "the ferry and the dough", "--model", "mine", "--server", &url, "--json"];
    let found = program.run(&words).done().json();
    assert_eq!(found["embeddings"][0]["sparse"]["indices"].as_array().map(Vec::len), Some(3));
    let taken = train("one-hot");
    assert_eq!(taken.code, 4, "{}", taken.stderr);
    assert!(taken.stderr.contains("`mine` is there already"), "{}", taken.stderr);
}

#[test]
fn what_a_server_does_is_watched_while_it_does_it() {
    let program = Program::without_models();
    let serving = program.serve(&[]);
    program.run(&["collection", "create", "given", "--vector", "v=3"]).done();
    let is_watched = AtomicBool::new(true);
    let watched = std::thread::scope(|scope| {
        scope.spawn(|| {
            while is_watched.load(Ordering::Relaxed) {
                program.run(&["count", "-c", "given"]).done();
                program.run(&["count", "-c", "nowhere"]);
            }
        });
        let watched = program.run(&["top", "--interval", "1", "--count", "8", "--json"]);
        is_watched.store(false, Ordering::Relaxed);
        watched.done().stdout
    });
    let looks: Vec<serde_json::Value> =
        watched.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(looks.len(), 8);
    let methods = looks.iter().flat_map(|look| look["methods"].as_array().unwrap());
    let counts: Vec<_> =
        methods.filter(|method| method["method"] == "simile.v1.Documents/Count").collect();
    let sum = |what: &str| counts.iter().map(|one| one[what].as_f64().unwrap()).sum::<f64>();
    assert!(sum("answers_per_second") > 0.0 && sum("errors_per_second") > 0.0, "{watched}");
    let collection = &looks[7]["collections"][0];
    assert_eq!((&collection["name"], &collection["documents"]), (&"given".into(), &0.0.into()));
    let (code, log) = serving.stop("TERM");
    assert_eq!(code, 0, "{log}");
}
