//! Opening, closing, sharing, limits, and what the engine leaves in the folder.

use std::thread;

use simile_storage::{
    Batch, Database, Options, StorageError, StorageErrorKind, Table, VALUE_BYTES_MAX,
};

use crate::fixture::{NUMBERS, Numbered, TEXTS, Text, open};

#[test]
fn a_folder_in_use_is_refused_by_name_and_free_again_after_a_drop() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path());
    let error = Database::open(folder.path(), &Options::default()).unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::InUse);
    assert_eq!(
        error.to_string(),
        format!("the database in {} is in use by another process", folder.path().display())
    );
    drop(database);
    for _ in 0..5 {
        drop(open(folder.path()));
    }
}

#[test]
fn missing_folders_are_created() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("collections/demo/tables");
    let mut batch = Batch::new();
    batch.put(&TEXTS, &(1, "a".into()), &Text("cat".into())).unwrap();
    open(&deep).commit(batch).unwrap();
    assert_eq!(open(&deep).get(&TEXTS, &(1, "a".into())).unwrap(), Some(Text("cat".into())));
}

#[test]
fn tables_do_not_see_each_others_records() {
    const LAST: Table<u64, Numbered> = Table::new(255, "last");
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path());
    let mut batch = Batch::new();
    for key in [0, u64::MAX] {
        batch.put(&NUMBERS, &key, &Numbered::new(1, 3)).unwrap();
        batch.put(&LAST, &key, &Numbered::new(2, 3)).unwrap();
    }
    database.commit(batch).unwrap();
    for (table, number) in [(NUMBERS, 1), (LAST, 2)] {
        let numbers: Vec<u64> =
            database.scan(&table).map(|entry| entry.unwrap().1.number).collect();
        assert_eq!(numbers, [number, number]);
        assert_eq!(database.last(&table).unwrap().unwrap().0, u64::MAX);
    }
    assert_eq!(database.first(&TEXTS).unwrap(), None);
}

#[test]
fn pages_of_the_largest_values_never_leave_the_log() {
    // With segments of 512 KiB, or of 2 MiB, the engine puts these pages into files that are not
    // synced: every page of sixteen such records.
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path());
    let largest = VALUE_BYTES_MAX - 64;
    for round in 0..4 {
        let mut batch = Batch::new();
        for key in 0..80 {
            batch.put(&NUMBERS, &(key * 7 % 80), &Numbered::new(key + round, largest)).unwrap();
        }
        database.commit(batch).unwrap();
        // Deleting every third makes pages merge.
        let mut batch = Batch::new();
        for key in (0..80).step_by(3) {
            batch.remove(&NUMBERS, &key).unwrap();
        }
        database.commit(batch).unwrap();
    }
    let blobs = fs_err::read_dir(folder.path().join("blobs")).unwrap().count();
    assert_eq!(blobs, 0);
    assert!(database.size_on_disk().unwrap() > 50 * VALUE_BYTES_MAX as u64);
}

#[test]
fn a_snapshot_that_a_crash_left_unfinished_does_not_stop_the_next_opening() {
    let folder = tempfile::tempdir().unwrap();
    let mut batch = Batch::new();
    batch.put(&NUMBERS, &1, &Numbered::new(1, 3)).unwrap();
    open(folder.path()).commit(batch).unwrap();
    fs_err::write(folder.path().join("snap.FFFFFFFFFFFFFFFF.generating"), b"half").unwrap();
    assert!(open(folder.path()).contains(&NUMBERS, &1).unwrap());
}

#[test]
fn readers_see_a_batch_whole_or_not_at_all_at_one_key() {
    // One key at a time: a scan is no snapshot, and does not say it is one.
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path());
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 0..200 {
                let mut batch = Batch::new();
                for key in 0..20 {
                    batch.put(&NUMBERS, &key, &Numbered::new(number, 300)).unwrap();
                }
                database.commit(batch).unwrap();
            }
        });
        let mut last = 0;
        while !writer.is_finished() {
            let Some(first) = database.get(&NUMBERS, &0).unwrap() else { continue };
            assert!(first.is_intact() && first.number >= last);
            last = first.number;
        }
    });
    assert_eq!(
        database.scan(&NUMBERS).filter(|entry| entry.as_ref().unwrap().1.number == 199).count(),
        20
    );
}

#[test]
fn callers_at_once_are_all_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path());
    thread::scope(|scope| {
        for writer in 0..8_u64 {
            let database = &database;
            scope.spawn(move || {
                for count in 0..25 {
                    let mut batch = Batch::new();
                    let key = writer * 100 + count;
                    batch.put(&NUMBERS, &key, &Numbered::new(key, 100)).unwrap();
                    database.commit(batch).unwrap();
                    assert!(database.contains(&NUMBERS, &key).unwrap());
                }
            });
        }
    });
    drop(database);
    assert_eq!(open(folder.path()).scan(&NUMBERS).count(), 200);
}

#[test]
fn a_database_older_than_its_promise_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (older, newer) = (folder.path().join("older"), folder.path().join("newer"));
    for (path, commits) in [(&older, 3), (&newer, 5)] {
        let database = open(path);
        for key in 0..commits {
            let mut batch = Batch::new();
            batch.put(&NUMBERS, &key, &Numbered::new(key, 3)).unwrap();
            database.commit(batch).unwrap();
        }
    }
    fs_err::copy(newer.join("promised"), older.join("promised")).unwrap();
    let error = Database::open(&older, &Options::default()).unwrap_err();
    assert!(matches!(error, StorageError::CorruptDatabase { .. }));
    assert!(error.to_string().ends_with("it has 3 commits, and 5 were acknowledged"), "{error}");
    // The way out, for who accepts the loss.
    fs_err::remove_file(older.join("promised")).unwrap();
    assert_eq!(open(&older).scan(&NUMBERS).count(), 3);
}
