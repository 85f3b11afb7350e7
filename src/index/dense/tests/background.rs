use std::cell::Cell;

use super::super::DenseError;
use super::*;
use crate::cancel::Interrupted;

const DIMENSION: usize = 12;
const METRIC: Metric = Metric::Euclidean;

fn open(folder: &std::path::Path) -> DenseIndex {
    DenseIndex::open(folder, options(DIMENSION, METRIC, Quantisation::Int8)).unwrap()
}

fn assert_finds(index: &DenseIndex, vectors: &[Vec<f32>], slots: impl Iterator<Item = u32>) {
    for slot in slots {
        let vector = &vectors[slot as usize];
        let found = search(index, vector, &index.slots(), 1);
        assert_eq!(found, [(Slot(slot), METRIC.score(vector, vector))]);
    }
}

fn files(folder: &std::path::Path) -> Vec<String> {
    let mut names: Vec<String> = fs_err::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn insertions_and_searches_go_on_while_a_head_is_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    let vectors = clustered(1, 3_000, DIMENSION, METRIC);
    insert(&index, 0, &vectors[..1_500]);
    let next = Cell::new(1_500usize);
    let cancel = Cancellation::new();
    let live = all(1_500);
    // Whatever the seal is at when it tells its progress, the index answers.
    let progress = |_, _| {
        let first = next.get();
        if let Some(new) = vectors.get(first..first + 20) {
            insert(&index, u32::try_from(first).unwrap(), new);
            next.set(first + 20);
        }
        let newest = u32::try_from(next.get()).unwrap();
        assert_finds(&index, &vectors, [0, 700, 1_499, newest - 1].into_iter());
    };
    let job = BuildJob { live: &live, seed: 1, threads: 2, progress: &progress, cancel: &cancel };
    assert!(index.seal(&job).unwrap());
    let count = next.get();
    assert!(count > 1_520, "the seal told its progress more than once");
    let statistics = index.statistics();
    assert_eq!((statistics.sealed, statistics.head), (1_500, count as u64 - 1_500));
    assert_finds(&index, &vectors, (0..u32::try_from(count).unwrap()).step_by(11));
}

#[test]
fn threads_search_and_insert_beside_seals_and_merges() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    let vectors = clustered(2, 2_400, DIMENSION, METRIC);
    insert(&index, 0, &vectors[..400]);
    std::thread::scope(|scope| {
        let sealing = scope.spawn(|| {
            for _ in 0..4 {
                let live = index.slots();
                with_job(&live, |job| index.seal(job)).unwrap();
                with_job(&live, |job| index.merge_all(job)).unwrap();
            }
        });
        scope.spawn(|| {
            for (first, batch) in (400..).step_by(50).zip(vectors[400..].chunks(50)) {
                insert(&index, first, batch);
                assert_finds(&index, &vectors, [first, first + 49].into_iter());
            }
        });
        while !sealing.is_finished() {
            assert_finds(&index, &vectors, (0..400).step_by(37));
        }
    });
    assert_eq!(index.slots(), all(vectors.len()));
    assert_finds(&index, &vectors, (0..2_400).step_by(13));
    drop(index);
    let index = open(folder.path());
    assert!(index.discarded().is_empty());
    assert_finds(&index, &vectors, index.sealed().iter().step_by(13));
}

#[test]
fn deleted_slots_are_gone_after_a_seal_and_after_a_merge() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    let vectors = clustered(3, 900, DIMENSION, METRIC);
    let mut live = all(900);
    live.remove_range(100..200);
    insert(&index, 0, &vectors[..500]);
    assert!(with_job(&live, |job| index.seal(job)).unwrap());
    assert_eq!(index.sealed(), (0..100).chain(200..500).collect());
    insert(&index, 500, &vectors[500..]);
    assert!(with_job(&live, |job| index.seal(job)).unwrap());
    live.remove_range(450..600);
    assert!(with_job(&live, |job| index.merge_all(job)).unwrap());
    assert!(!with_job(&live, |job| index.merge_all(job)).unwrap(), "one whole segment stays");
    assert_eq!((index.slots(), index.statistics().segments), (live.clone(), 1));
    assert_eq!(files(folder.path()), ["00000003.segment", "manifest"]);
    assert_eq!(recall(&index, &vectors, &vectors[..50], &live, 5), 1.0);
    assert_eq!(index.vector(Slot(150)).unwrap(), None);
    assert_eq!(index.vector(Slot(300)).unwrap().as_deref(), Some(&*vectors[300]));
    assert!(with_job(&SlotSet::new(), |job| index.merge_all(job)).unwrap());
    assert_eq!((index.slots().len(), files(folder.path()).len()), (0, 1));
}

#[test]
fn cancelled_work_leaves_everything_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    let vectors = clustered(4, 1_200, DIMENSION, METRIC);
    insert(&index, 0, &vectors);
    let live = all(1_200);
    let steps = Cell::new(0);
    let count = |_, _| steps.set(steps.get() + 1);
    let never = Cancellation::new();
    let whole = BuildJob { live: &live, seed: 1, threads: 1, progress: &count, cancel: &never };
    let trial = tempfile::tempdir().unwrap();
    let other = open(trial.path());
    insert(&other, 0, &vectors);
    other.seal(&whole).unwrap();
    assert!(steps.get() >= 4, "every stage tells its progress, got {}", steps.get());
    for stop_at in 0..=steps.get() {
        let cancel = Cancellation::new();
        let done = Cell::new(0);
        let progress = |_, _| {
            done.set(done.get() + 1);
            if done.get() == stop_at {
                cancel.cancel();
            }
        };
        if stop_at == 0 {
            cancel.cancel();
        }
        let job = BuildJob { progress: &progress, cancel: &cancel, ..whole };
        let error = index.seal(&job).unwrap_err();
        assert!(matches!(error, DenseError::Interrupted(Interrupted::Cancelled)), "{error}");
        assert_eq!((index.statistics().head, index.sealed().len()), (1_200, 0));
        assert!(files(folder.path()).is_empty(), "{:?}", files(folder.path()));
    }
    assert_finds(&index, &vectors, (0..1_200).step_by(100));
    assert!(index.seal(&whole).unwrap());
    assert_finds(&index, &vectors, (0..1_200).step_by(100));
}

#[test]
fn progress_ascends_to_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    let vectors = clustered(5, 1_000, DIMENSION, METRIC);
    insert(&index, 0, &vectors);
    let told = std::cell::RefCell::new(Vec::new());
    let progress = |done, all| told.borrow_mut().push((done, all));
    let (live, cancel) = (all(1_000), Cancellation::new());
    let job = BuildJob { live: &live, seed: 1, threads: 2, progress: &progress, cancel: &cancel };
    index.seal(&job).unwrap();
    let told = told.into_inner();
    assert!(told.is_sorted(), "{told:?}");
    assert!(told.iter().all(|&(done, all)| done <= all && all == told[0].1));
    assert!(told.last().is_some_and(|&(done, all)| done == all), "{told:?}");
}

#[test]
fn an_expired_search_stops() {
    let vectors = clustered(6, 500, DIMENSION, METRIC);
    let (_folder, index) = sealed(&vectors, METRIC, Quantisation::Int8);
    let cancel = Cancellation::new();
    cancel.expire();
    let error =
        index.search(&vectors[0], &all(500), &SearchOptions::default(), &cancel).unwrap_err();
    assert!(matches!(error, DenseError::Interrupted(Interrupted::Expired)), "{error}");
}
