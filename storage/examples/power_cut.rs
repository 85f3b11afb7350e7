//! The two halves of the power-cut harness that know the database: one writes until it is cut off,
//! the other says afterwards what is there. `power_cut.py` beside this file cuts the power.
//!
//! `power_cut write FOLDER [--without-sync]` prints `acknowledged N` when batch N is durable;
//! `power_cut check FOLDER` prints `holds N` if the database is exactly what the batches up to N
//! make, or what is wrong with it.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for one script to run: it talks on its output, and a failure ends it"
)]

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use fs_err::File;
use simile_storage::{Batch, Database, Fdatasync, Options, Record, StorageError, SyncFile, Table};

const PROGRESS: Table<(), Bytes> = Table::new(1, "progress");
const RECORDS: Table<u64, Bytes> = Table::new(2, "records");
const KEYS: u64 = 2000;

#[derive(Debug, PartialEq, bincode::Encode, bincode::Decode)]
struct Bytes(Vec<u8>);

impl Record for Bytes {
    const FORMAT: u16 = 1;
}

/// The planted defect: without a sync the harness must find losses, or it finds none ever.
#[derive(Debug)]
struct NoSync;

impl SyncFile for NoSync {
    fn sync(&self, _file: &File) -> io::Result<()> {
        Ok(())
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["write", folder] => write(Path::new(folder), Arc::new(Fdatasync)),
        ["write", folder, "--without-sync"] => write(Path::new(folder), Arc::new(NoSync)),
        ["check", folder] => check(Path::new(folder)),
        _ => {
            println!("usage: power_cut (write FOLDER [--without-sync] | check FOLDER)");
            return ExitCode::FAILURE;
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("failed {error}");
            ExitCode::FAILURE
        }
    }
}

/// Goes on after the last batch that is there, for ever.
fn write(folder: &Path, sync: Arc<dyn SyncFile>) -> Result<(), StorageError> {
    let database = Database::open(folder, &Options { sync, ..Options::default() })?;
    let mut out = io::stdout().lock();
    for number in progress(&database)? + 1.. {
        let mut batch = Batch::new();
        batch.put(&PROGRESS, &(), &Bytes(number.to_le_bytes().to_vec()))?;
        for (key, value) in changes(number) {
            match value {
                Some(size) => batch.put(&RECORDS, &key, &value_of(number, key, size))?,
                None => batch.remove(&RECORDS, &key)?,
            }
        }
        database.commit(batch)?;
        writeln!(out, "acknowledged {number}").and_then(|()| out.flush()).unwrap();
    }
    Ok(())
}

fn check(folder: &Path) -> Result<(), StorageError> {
    let database = Database::open(folder, &Options::default())?;
    let holds = progress(&database)?;
    let mut expected = BTreeMap::new();
    for number in 1..=holds {
        for (key, value) in changes(number) {
            match value {
                Some(size) => expected.insert(key, (number, size)),
                None => expected.remove(&key),
            };
        }
    }
    let mut met = 0;
    for entry in database.scan(&RECORDS) {
        let (key, value) = entry?;
        let as_written =
            expected.get(&key).is_some_and(|&(number, size)| value == value_of(number, key, size));
        if !as_written {
            println!("wrong record {key} after batch {holds}");
            return Ok(());
        }
        met += 1;
    }
    if met == expected.len() {
        println!("holds {holds}");
    } else {
        println!("wrong number of records after batch {holds}: {met} of {}", expected.len());
    }
    Ok(())
}

fn progress(database: &Database) -> Result<u64, StorageError> {
    let number = database.get(&PROGRESS, &())?;
    Ok(number.map_or(0, |Bytes(bytes)| u64::from_le_bytes(bytes.try_into().unwrap())))
}

/// Returns which keys a batch changes, and the size of each new value; `None` removes. Most batches
/// are small, some of a megabyte, some of values near the limit.
fn changes(number: u64) -> BTreeMap<u64, Option<usize>> {
    let mut random = number;
    let (count, size_max) = match splitmix(&mut random) % 20 {
        0 => (1000, 2000),
        1 => (40, 65_000),
        _ => (20, 3000),
    };
    (0..=splitmix(&mut random) % count)
        .map(|_| {
            let key = splitmix(&mut random) % KEYS;
            let size = usize::try_from(splitmix(&mut random) % size_max).unwrap();
            (key, (!splitmix(&mut random).is_multiple_of(4)).then_some(size))
        })
        .collect()
}

fn value_of(number: u64, key: u64, size: usize) -> Bytes {
    let mut random = number.wrapping_mul(KEYS) + key;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        bytes.extend_from_slice(&splitmix(&mut random).to_le_bytes());
    }
    bytes.truncate(size);
    Bytes(bytes)
}

/// The generator of Steele et al. 2014.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
