//! A process that writes is killed; what it had acknowledged must be there, and no batch half.
//!
//! This shows that batches are whole and that opening recovers. It does not show durability: the
//! kernel keeps what a killed process wrote. The power-cut harness in `examples/` does.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use simile_storage::{Batch, Database};

use crate::fixture::{NUMBERS, Numbered, Random, open};

const FOLDER_VARIABLE: &str = "SIMILE_STORAGE_KILLED_WRITER";
const WRITERS: u64 = 4;
const ROUNDS: u64 = 12;
/// Keys of one batch: those of batch `b` of writer `w` in round `r` share all bits above these.
const BATCH_KEYS: u64 = 32;

#[test]
fn what_was_acknowledged_before_a_kill_is_there_and_no_batch_is_half_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(11);
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let kill_after = 1 + random.index(150);
        let batches = kill_a_writer(folder.path(), round, kill_after);
        assert!(batches.len() >= kill_after, "the writer was killed too early to show anything");
        acknowledged.extend(batches);
        check(&open(folder.path()), &acknowledged, round);
    }
}

/// Runs the writer below until it has acknowledged `kill_after` batches; returns all that it did.
fn kill_a_writer(folder: &Path, round: u64, kill_after: usize) -> Vec<u64> {
    let mut writer = Command::new(env::current_exe().unwrap())
        .args(["--exact", "kill::writer_that_is_killed", "--nocapture"])
        .env(FOLDER_VARIABLE, format!("{round}:{}", folder.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = Vec::new();
    for line in BufReader::new(writer.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(batch) = line.strip_prefix("acknowledged ") {
            acknowledged.push(batch.parse().unwrap());
        }
        if acknowledged.len() == kill_after {
            writer.kill().unwrap();
        }
    }
    let status = writer.wait().unwrap();
    #[cfg(unix)]
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    assert!(!status.success());
    acknowledged
}

fn check(database: &Database, acknowledged: &[u64], round: u64) {
    database.verify().unwrap();
    let mut records: Vec<(u64, Numbered)> =
        database.scan(&NUMBERS).collect::<Result<_, _>>().unwrap();
    records.sort_by_key(|(key, _)| *key);
    for batch in records.chunk_by(|(a, _), (b, _)| a / BATCH_KEYS == b / BATCH_KEYS) {
        let number = batch[0].0 / BATCH_KEYS;
        assert_eq!(batch.len() as u64, length(number), "round {round}: batch {number} is torn");
        for (_, record) in batch {
            assert!(record.number == number && record.is_intact(), "round {round}: batch {number}");
        }
    }
    for number in acknowledged {
        assert!(
            database.contains(&NUMBERS, &(number * BATCH_KEYS)).unwrap(),
            "round {round}: acknowledged batch {number} is lost"
        );
    }
}

fn length(batch: u64) -> u64 {
    1 + batch % BATCH_KEYS
}

/// Does nothing unless the test above runs it.
#[test]
fn writer_that_is_killed() {
    let Ok(argument) = env::var(FOLDER_VARIABLE) else { return };
    let (round, folder) = argument.split_once(':').unwrap();
    let round: u64 = round.parse().unwrap();
    let database = open(&PathBuf::from(folder));
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let database = &database;
            scope.spawn(move || {
                for count in 0.. {
                    write(database, (round * WRITERS + writer) * 1_000_000 + count);
                }
            });
        }
    });
}

fn write(database: &Database, number: u64) {
    let mut batch = Batch::new();
    for key in 0..length(number) {
        let size = usize::try_from(number % 700).unwrap();
        batch.put(&NUMBERS, &(number * BATCH_KEYS + key), &Numbered::new(number, size)).unwrap();
    }
    database.commit(batch).unwrap();
    // Not `println`: the line must have left the process when the next write begins.
    let mut out = std::io::stdout().lock();
    writeln!(out, "acknowledged {number}").unwrap();
    out.flush().unwrap();
}
