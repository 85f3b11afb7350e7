//! What does durability cost? Durable upserts a second beside the cost of the bare sync.
//!
//! `cargo bench -p simile-storage [-- FOLDER]`: the folder decides which disk is measured.
//! The bare line appends the same bytes to a plain file and syncs it, in the same run.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for one person at a terminal: it prints its figures, and a failure ends it"
)]

use std::{
    io::Write as _,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use simile_storage::{Batch, Database, Options, Record, Table};

/// A passage with a vector of 384 dimensions and some text.
const RECORD_BYTES: usize = 2100;
const TIME_PER_LINE: Duration = Duration::from_secs(4);
const RECORDS: Table<u64, Bytes> = Table::new(1, "records");

#[derive(bincode::Encode, bincode::Decode)]
struct Bytes(Vec<u8>);

impl Record for Bytes {
    const FORMAT: u16 = 1;
}

fn main() {
    // Cargo passes `--bench`.
    let root = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).map_or_else(
        || tempfile::tempdir().unwrap(),
        |folder| tempfile::tempdir_in(folder).unwrap(),
    );
    println!("records of {RECORD_BYTES} bytes, random keys among 100,000");
    println!("{:<34}{:>14}{:>14}{:>12}", "", "upserts/s", "ms/commit", "of bare");
    for size in [1, 64, 1024] {
        let bare = bare(root.path(), size);
        let database = open(&root.path().join(format!("batch-{size}")));
        let durable = measure(size, |random| database.commit(batch(size, random)).unwrap());
        print(&format!("bare sync, {size} at once"), &bare, &bare);
        print(&format!("commit, {size} in a batch"), &durable, &bare);
        println!("{:<34}{:>14.2}", "  bytes on disk / bytes of records", amplification(&database));
    }
    let bare = bare(root.path(), 1);
    let database = open(&root.path().join("threads"));
    for threads in [4, 16, 64] {
        print(
            &format!("commit, 1 in a batch, {threads} threads"),
            &shared(&database, threads),
            &bare,
        );
    }
    let reopened = root.path().join("batch-1024");
    let started = Instant::now();
    let database = open(&reopened);
    println!(
        "opening and verifying {} MiB: {:.0} ms",
        database.size_on_disk().unwrap() >> 20,
        started.elapsed().as_secs_f64() * 1e3
    );
}

struct Line {
    upserts: usize,
    commits: usize,
    elapsed: Duration,
}

impl Line {
    fn rate(&self) -> f64 {
        self.upserts as f64 / self.elapsed.as_secs_f64()
    }
}

fn print(name: &str, line: &Line, bare: &Line) {
    println!(
        "{name:<34}{:>14.0}{:>14.2}{:>12.2}",
        line.rate(),
        line.elapsed.as_secs_f64() * 1e3 / line.commits as f64,
        line.rate() / bare.rate()
    );
}

fn open(folder: &Path) -> Database {
    Database::open(folder, &Options::default()).unwrap()
}

fn measure(size: usize, mut commit: impl FnMut(&mut u64)) -> Line {
    let mut random = 7;
    let started = Instant::now();
    let mut commits = 0;
    while started.elapsed() < TIME_PER_LINE {
        commit(&mut random);
        commits += 1;
    }
    Line { upserts: commits * size, commits, elapsed: started.elapsed() }
}

fn bare(root: &Path, size: usize) -> Line {
    let mut file = fs_err::File::create(root.join(format!("bare-{size}"))).unwrap();
    let bytes = vec![1; RECORD_BYTES * size];
    measure(size, |_random| {
        file.write_all(&bytes).unwrap();
        file.sync_data().unwrap();
    })
}

fn shared(database: &Database, threads: usize) -> Line {
    thread::scope(|scope| {
        let started = Instant::now();
        let workers: Vec<_> = (0..threads as u64)
            .map(|seed| {
                scope.spawn(move || {
                    let mut random = seed;
                    measure(1, |_| database.commit(batch(1, &mut random)).unwrap()).commits
                })
            })
            .collect();
        let commits = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
        Line { upserts: commits, commits, elapsed: started.elapsed() }
    })
}

fn batch(size: usize, random: &mut u64) -> Batch {
    let mut batch = Batch::new();
    for _ in 0..size {
        let mut bytes = vec![0; RECORD_BYTES];
        for chunk in bytes.chunks_mut(8) {
            let next = splitmix(random).to_le_bytes();
            chunk.copy_from_slice(&next[..chunk.len()]);
        }
        batch.put(&RECORDS, &(splitmix(random) % 100_000), &Bytes(bytes)).unwrap();
    }
    batch
}

fn amplification(database: &Database) -> f64 {
    let records = database.scan(&RECORDS).count() * RECORD_BYTES;
    database.size_on_disk().unwrap() as f64 / records as f64
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
