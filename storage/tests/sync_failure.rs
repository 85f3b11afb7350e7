//! What follows a sync that fails: no more writes, no second try, and nothing lost that was
//! acknowledged.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use fs_err::File;
use simile_storage::{
    Batch, Database, Options, ReadOnlyReason, StorageError, StorageErrorKind, SyncFile,
};

use crate::fixture::{NUMBERS, Numbered, open};

/// Fails from a call on: a disk that goes bad.
#[derive(Debug)]
struct FailsFrom {
    first_failure: usize,
    calls: AtomicUsize,
}

impl SyncFile for FailsFrom {
    fn sync(&self, file: &File) -> io::Result<()> {
        if self.calls.fetch_add(1, Ordering::SeqCst) >= self.first_failure {
            return Err(io::Error::other("the disk is gone"));
        }
        file.sync_data()
    }
}

fn open_failing(folder: &Path, first_failure: usize) -> (Database, Arc<FailsFrom>) {
    let sync = Arc::new(FailsFrom { first_failure, calls: AtomicUsize::new(0) });
    let options = Options { sync: Arc::clone(&sync) as Arc<dyn SyncFile>, ..Options::default() };
    (Database::open(folder, &options).unwrap(), sync)
}

fn batch(number: u64) -> Batch {
    let mut batch = Batch::new();
    batch.put(&NUMBERS, &number, &Numbered::new(number, 100)).unwrap();
    batch
}

#[test]
fn after_a_failed_sync_nothing_is_written_or_synced_again() {
    let folder = tempfile::tempdir().unwrap();
    // Opening syncs once, and each commit once.
    let (database, sync) = open_failing(folder.path(), 3);
    database.commit(batch(1)).unwrap();
    database.commit(batch(2)).unwrap();
    assert_eq!(database.is_read_only(), None);

    let error = database.commit(batch(3)).unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Io);
    let StorageError::Io { operation, source, .. } = &error else { panic!("{error:?}") };
    assert_eq!((*operation, source.to_string().as_str()), ("sync", "the disk is gone"));
    assert!(matches!(database.is_read_only(), Some(ReadOnlyReason::SyncFailed(_))));

    let calls = sync.calls.load(Ordering::SeqCst);
    for result in [database.commit(batch(4)), database.apply(&batch(5)), database.barrier()] {
        assert_eq!(result.unwrap_err().kind(), StorageErrorKind::ReadOnly);
    }
    assert_eq!(sync.calls.load(Ordering::SeqCst), calls, "a failed sync was tried again");
    assert!(database.contains(&NUMBERS, &2).unwrap(), "reading goes on");
    assert!(!database.contains(&NUMBERS, &5).unwrap());

    drop(database);
    let database = open(folder.path());
    assert!(database.contains(&NUMBERS, &1).unwrap() && database.contains(&NUMBERS, &2).unwrap());
    assert!(!database.contains(&NUMBERS, &4).unwrap() && !database.contains(&NUMBERS, &5).unwrap());
    database.commit(batch(6)).unwrap();
}

#[test]
fn a_second_batch_is_applied_only_when_the_first_is_durable() {
    let folder = tempfile::tempdir().unwrap();
    let (database, sync) = open_failing(folder.path(), usize::MAX);
    let calls = || sync.calls.load(Ordering::SeqCst);
    let before = calls();
    database.apply(&batch(1)).unwrap();
    assert_eq!(calls(), before);
    database.apply(&batch(2)).unwrap();
    assert_eq!(calls(), before + 1);
    database.barrier().unwrap();
    assert_eq!(calls(), before + 2);
    database.barrier().unwrap();
    database.commit(Batch::new()).unwrap();
    assert_eq!(calls(), before + 2, "there was nothing to sync");

    // A large batch trusts nothing: reading too makes the engine write.
    let mut large = Batch::new();
    for key in 0..10 {
        large.put(&NUMBERS, &key, &Numbered::new(key, 60_000)).unwrap();
    }
    database.apply(&large).unwrap();
    assert_eq!(calls(), before + 3);
}
