//! Damaged files: what is read is right, or an error says what is wrong.

use std::{collections::BTreeMap, path::Path};

use simile_storage::{Batch, Database, Options, StorageError, StorageErrorKind};

use crate::fixture::{NUMBERS, Numbered, Random, open};

const MUTANTS: usize = 60;

/// The name and content of each file that counts.
type Files = Vec<(String, Vec<u8>)>;

#[test]
fn a_flipped_bit_is_an_error_or_harms_nothing() {
    let (files, expected) = database_of_several_lives();
    let mut random = Random(3);
    let (mut refused, mut harmless) = (0, 0);
    for mutant in 0..MUTANTS {
        let mut damaged = files.clone();
        let (name, bytes) = pick(&mut damaged, &mut random);
        // The engine fills the rest of its log with zeros; the damage should hit what is used.
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
        let (at, bit) = (random.index(used), random.below(8));
        bytes[at] ^= 1 << bit;
        let story = format!("mutant {mutant}: bit {bit} of byte {at} of {name}");
        if outcome(&damaged, &expected, &story) { harmless += 1 } else { refused += 1 }
    }
    println!("{refused} refused, {harmless} harmless");
    assert!(refused > MUTANTS / 4, "the damage hit nothing: {refused} of {MUTANTS} refused");
}

#[test]
fn damage_far_behind_the_end_of_the_log_is_an_error_or_harms_nothing() {
    // The engine takes damage there for the end of a segment, and goes on behind it: all records
    // check out then, but some are missing or old. Only the sum over them tells.
    let (files, expected) = database_of_many_segments();
    let log = files.iter().position(|(name, _)| name == "db").unwrap();
    let mut random = Random(5);
    let mut refused = 0;
    for mutant in 0..12 {
        let mut damaged = files.clone();
        let bytes = &mut damaged[log].1;
        // The end of the third segment of eight mebibytes, with two more behind it.
        let (at, bit) = ((22 << 20) + random.index(2 << 20), random.below(8));
        bytes[at] ^= 1 << bit;
        let story = format!("mutant {mutant}: bit {bit} of byte {at} of db");
        refused += u32::from(!outcome(&damaged, &expected, &story));
    }
    assert!(refused > 2, "the damage hit nothing: {refused} refused");
}

#[test]
fn a_file_cut_short_is_an_error_or_harms_nothing() {
    let (files, expected) = database_of_several_lives();
    let mut random = Random(4);
    for mutant in 0..MUTANTS / 4 {
        let mut damaged = files.clone();
        let (name, bytes) = pick(&mut damaged, &mut random);
        let length = random.index(bytes.len());
        bytes.truncate(length);
        let story = format!("mutant {mutant}: {name} cut to {length}");
        outcome(&damaged, &expected, &story);
    }
}

#[test]
fn a_record_that_does_not_decode_names_its_table_and_key() {
    use crate::fixture::{TEXTS, Text};
    const SAME_PREFIX: simile_storage::Table<u64, Text> =
        simile_storage::Table::new(2, "wrong type");

    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path());
    let mut batch = Batch::new();
    batch.put(&NUMBERS, &7, &Numbered::new(1, 3)).unwrap();
    batch.put(&TEXTS, &(1, "a".into()), &Text("cat".into())).unwrap();
    database.commit(batch).unwrap();
    let error = database.get(&SAME_PREFIX, &7).unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Corrupt);
    assert!(
        error
            .to_string()
            .starts_with("table wrong type has a corrupt record at key 020000000000000007: "),
        "{error}"
    );
}

/// Returns whether the database reads right in spite of the damage; false if it says that not.
fn outcome(files: &Files, expected: &BTreeMap<u64, Numbered>, story: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), files);
    let read = Database::open(folder.path(), &Options::default())
        .and_then(|database| database.scan(&NUMBERS).collect::<Result<BTreeMap<_, _>, _>>());
    match read {
        Ok(read) => {
            assert!(read == *expected, "{story}: wrong data, and no error");
            true
        }
        Err(error) => {
            assert_damage(&error, story);
            false
        }
    }
}

fn assert_damage(error: &StorageError, story: &str) {
    // Another version of the engine is what a damaged `conf` looks like.
    let kinds = [StorageErrorKind::Corrupt, StorageErrorKind::Unsupported];
    assert!(kinds.contains(&error.kind()), "{story}: {error:?}");
}

/// Half of the damage goes to the log, where nearly all data is.
fn pick<'a>(files: &'a mut Files, random: &mut Random) -> (&'a str, &'a mut Vec<u8>) {
    let log = files.iter().position(|(name, _)| name == "db").unwrap();
    let index = if random.below(2) == 0 { log } else { random.index(files.len()) };
    let (name, bytes) = &mut files[index];
    (name, bytes)
}

/// A database with records overwritten and removed, and opened often enough to have a snapshot.
fn database_of_several_lives() -> (Files, BTreeMap<u64, Numbered>) {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(2);
    let mut expected = BTreeMap::new();
    for _life in 0..3 {
        let database = open(folder.path());
        for _ in 0..30 {
            let mut batch = Batch::new();
            for _ in 0..20 {
                let key = random.below(500);
                if random.below(4) == 0 {
                    batch.remove(&NUMBERS, &key).unwrap();
                    expected.remove(&key);
                } else {
                    let record = Numbered::new(random.next(), random.index(2000));
                    batch.put(&NUMBERS, &key, &record).unwrap();
                    expected.insert(key, record);
                }
            }
            database.commit(batch).unwrap();
        }
    }
    (read(folder.path()), expected)
}

/// A database that has written some segments of its log since its last snapshot, and in them newer
/// records in the place of most of those in the snapshot.
fn database_of_many_segments() -> (Files, BTreeMap<u64, Numbered>) {
    const RECORDS: u64 = 2000;
    let folder = tempfile::tempdir().unwrap();
    let mut expected = BTreeMap::new();
    let mut random = Random(6);
    for keys_in_order in [true, false] {
        let database = open(folder.path());
        for first in (0..RECORDS).step_by(50) {
            let mut batch = Batch::new();
            for key in first..first + 50 {
                let key = if keys_in_order { key } else { random.below(RECORDS) };
                let record = Numbered::new(random.next(), 4000);
                batch.put(&NUMBERS, &key, &record).unwrap();
                expected.insert(key, record);
            }
            database.commit(batch).unwrap();
        }
    }
    (read(folder.path()), expected)
}

fn read(folder: &Path) -> Files {
    let mut files: Files = fs_err::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_file() && entry.file_name() != "lock")
        .map(|entry| {
            (entry.file_name().into_string().unwrap(), fs_err::read(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn write(folder: &Path, files: &Files) {
    for (name, bytes) in files {
        fs_err::write(folder.join(name), bytes).unwrap();
    }
}
