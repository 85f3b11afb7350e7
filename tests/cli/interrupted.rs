//! Ctrl-C in the middle of an ingest.

use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use super::program::{Program, end_of, signal};

/// More files than are read at a time, so that some are stored while others wait.
const FILES: usize = 70;
/// How often is asked whether something was stored before the test gives up.
const LOOKS_MAX: usize = 3_000;
/// How long a test waits until its pipe is read before it gives up.
const READING_WAITED_FOR: Duration = Duration::from_secs(300);

#[test]
fn after_ctrl_c_the_same_command_goes_on_where_it_stopped() {
    let program = Program::new();
    let serving = program.serve(&[]);
    for number in 0..FILES {
        program
            .write(&format!("notes/{number:03}.txt"), format!("Note {number} is about the sea."));
    }
    // A pipe that nobody writes to: the ingest cannot end by itself.
    let pipe = program.folder().join("pipe.txt");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let ingest = ["ingest", "notes", "pipe.txt", "-c", "notes", "--json"];
    let child = program.command(&ingest).spawn().unwrap();
    let stored = || program.run(&["count", "-c", "notes", "--json"]);
    let is_begun = |_: &usize| {
        let count = stored();
        count.code == 0 && count.json()["documents"].as_u64().unwrap() > 0
    };
    assert!((0..LOOKS_MAX).any(|look| is_begun(&look)), "nothing was stored");
    signal(&child, "INT");
    let left = end_of(child);
    assert_eq!(left.code, 130, "{}", left.stderr);
    assert!(left.stderr.contains("stopping; what was sent is still stored"), "{}", left.stderr);
    let report = left.json();
    assert_eq!((&report["interrupted"], &report["failed"]), (&true.into(), &serde_json::json!([])));
    let kept = report["stored"].as_u64().unwrap();
    assert!(kept > 0 && kept <= 64, "{report}");
    assert_eq!(stored().json()["documents"], kept, "what is said to be stored is");

    fs_err::remove_file(&pipe).unwrap();
    fs_err::write(&pipe, "The pipe is a file now.").unwrap();
    let report = program.run(&ingest).done().json();
    assert_eq!(report["unchanged"], kept);
    assert_eq!(report["stored"], FILES as u64 + 1 - kept);
    assert_eq!(stored().json()["documents"], FILES as u64 + 1);
    let verified = program.run(&["verify", "notes", "--json"]).done().json();
    assert_eq!(verified["problems_total"], 0);
    let (code, log) = serving.stop("TERM");
    assert_eq!(code, 0, "{log}");
}

#[test]
fn ctrl_c_ends_a_command_that_starts_its_own_server_and_waits_for_a_pipe() {
    let program = Program::without_models();
    program.run(&["collection", "create", "notes", "--vector", "v=3"]).done();
    let pipe = program.folder().join("pipe.txt");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let child = program.command(&["ingest", "pipe.txt", "-c", "notes", "--json"]).spawn().unwrap();
    // Opening a pipe to write waits for who reads it.
    let (tell, opened) = mpsc::channel();
    std::thread::spawn(move || {
        let writer = fs_err::OpenOptions::new().write(true).open(pipe);
        // The test may have given up.
        drop(tell.send(writer.unwrap()));
    });
    let writer = opened.recv_timeout(READING_WAITED_FOR).expect("the pipe is read");
    signal(&child, "INT");
    let left = end_of(child);
    assert_eq!(left.code, 130, "{}", left.stderr);
    assert_eq!(left.json()["interrupted"], true);
    drop(writer);
    program.run(&["collection", "list"]).done();
}
