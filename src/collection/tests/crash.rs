//! The power goes at every point that the code names: what is found on opening is the state before
//! the operation or the one after it, whole, and tables and indexes agree.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::fail;

/// Every point, so that one that is no longer reached is noticed.
const POINTS: [&str; 16] = [
    "commit: after publishing",
    "commit: after the batch",
    "commit: before the batch",
    "create: before its name is durable",
    "create: before the folder has its name",
    "delete: before the folder is removed",
    "dense: a segment is written",
    "dense: before a segment is written",
    "dense: the manifest is written",
    "file: before it has its name",
    "file: before its name is durable",
    "lexical: after a commit",
    "lexical: before a commit",
    "lexical: between removing and renaming",
    "lexical: between the steps of a commit",
    "upkeep: the log is trimmed",
];

/// Few vectors make a segment, and nothing is done in the background.
pub(super) fn open_quiet(folder: &Path) -> Collections {
    let options = CollectionsOptions {
        seal_at: Some(4),
        upkeep_interval: Duration::MAX,
        ..CollectionsOptions::default()
    };
    Collections::open(folder, options, Arc::new(NoEmbedders)).unwrap()
}

pub(super) fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.unwrap();
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            fs_err::create_dir_all(&target).unwrap();
        } else {
            fs_err::copy(entry.path(), &target).unwrap();
        }
    }
}

/// Returns what a collection holds.
pub(super) fn held(collection: &Collection) -> Model {
    let (page, _) = collection.scroll(None, None, 1_000, true, true).unwrap();
    page.into_iter()
        .map(|document| {
            let places = document
                .parts
                .iter()
                .map(|part| part.vectors["v"].as_dense().unwrap().as_slice()[0]);
            let Some(Value::Integer(group)) = document.payload.get("group") else { panic!() };
            (document.id, (places.collect(), *group))
        })
        .collect()
}

/// The files as they were when a point was reached, and how many operations had begun.
struct Cut {
    point: &'static str,
    folder: PathBuf,
    operation: usize,
}

#[test]
fn a_cut_at_any_point_leaves_the_state_before_an_operation_or_after_it() {
    let folder = scratch();
    let (root, copies) = (folder.path().join("data"), folder.path().join("cuts"));
    fs_err::create_dir_all(&root).unwrap();
    let cuts = Arc::new(Mutex::new(Vec::<Cut>::new()));
    let operation = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let watch = {
        let (root, cuts, operation) = (root.clone(), Arc::clone(&cuts), Arc::clone(&operation));
        fail::watch(&folder.path().join("data"), move |point| {
            let mut cuts = cuts.lock().unwrap();
            let target = copies.join(cuts.len().to_string());
            copy(&root, &target);
            let operation = operation.load(std::sync::atomic::Ordering::SeqCst);
            cuts.push(Cut { point, folder: target, operation });
        })
    };
    let collections = open_quiet(&root);
    let collection = collections.create("c", &given(2)).unwrap();
    let mut random = Random(5);
    // What is there before each operation, and after the last.
    let mut states = vec![Model::new()];
    for step in 0..34 {
        operation.store(states.len(), std::sync::atomic::Ordering::SeqCst);
        let mut model = states.last().unwrap().clone();
        match step % 17 {
            0..=8 => {
                let number = random.below(9);
                let parts: Vec<f32> = (0..=random.below(3)).map(|_| random.place()).collect();
                let group = i64::try_from(random.below(2)).unwrap();
                collection
                    .store(vec![source(number, &parts, group)], &Cancellation::new())
                    .unwrap();
                model.insert(id(number), (parts, group));
            }
            9 | 12 => {
                let gone = model.keys().next().unwrap().clone();
                collection.delete([gone.clone()]).unwrap();
                model.remove(&gone);
            }
            10 | 13 => collection.maintain().unwrap(),
            11 => drop(collection.optimize(&|_, _, _, _| {}, &Cancellation::new()).unwrap()),
            14 => collection.engine.rebuild_lexical().unwrap(),
            _ => {
                collections.create("other", &given(2)).unwrap();
                collections.delete("other").unwrap();
            }
        }
        states.push(model);
    }
    drop(watch);
    let cuts = std::mem::take(&mut *cuts.lock().unwrap());
    let reached: BTreeSet<&str> = cuts.iter().map(|cut| cut.point).collect();
    assert_eq!(reached.into_iter().collect::<Vec<_>>(), POINTS);
    for cut in cuts {
        let story = format!("operation {}, {}", cut.operation, cut.point);
        let reopened = open_quiet(&cut.folder);
        let Ok(collection) = reopened.get("c") else {
            assert!(cut.point.starts_with("create:") || cut.point.starts_with("file:"), "{story}");
            assert_eq!(cut.operation, 0, "{story}");
            continue;
        };
        let found = held(&collection);
        let may_be = match cut.operation {
            0 => vec![&states[0]],
            operation => vec![&states[operation - 1], &states[operation]],
        };
        assert!(may_be.contains(&&found), "{story}: {found:?}");
        check(&collection, &found, 100.0, &story);
        if cut.point == "commit: after the batch" {
            // It is durable, though nobody was told.
            assert_eq!(&found, may_be[may_be.len() - 1], "{story}");
        }
        // It goes on from there.
        collection.store(vec![source(99, &[7.0], 1)], &Cancellation::new()).unwrap();
        let mut after = found;
        after.insert(id(99), (vec![7.0], 1));
        check(&collection, &after, 7.0, &story);
        drop((collection, reopened));
        // A merge of the lexical index may still write there; the whole goes at the end.
        drop(fs_err::remove_dir_all(&cut.folder));
    }
}

#[test]
fn what_was_deleted_before_a_crash_is_cleared_after_it() {
    let folder = scratch();
    let collections = open_quiet(folder.path());
    let collection = collections.create("c", &given(2)).unwrap();
    for number in 0..6 {
        let places = [f32::from(u8::try_from(number).unwrap())];
        collection.store(vec![source(number, &places, 0)], &Cancellation::new()).unwrap();
    }
    collection.maintain().unwrap();
    collection.delete((0..4).map(id)).unwrap();
    let after = scratch();
    copy(folder.path(), after.path());
    let collections = open_quiet(after.path());
    let collection = collections.get("c").unwrap();
    let rows = || {
        let database = &collection.engine.database;
        let parts = database.scan(&crate::collection::records::PARTS).count();
        let vectors = database.scan(&crate::collection::records::VECTORS).count();
        (parts, vectors, database.scan(&crate::collection::records::BODIES).count())
    };
    // A later group of deletions clears the rows of an earlier one; those of the last are left.
    assert!(rows() > (2, 2, 2) && rows() <= (6, 6, 6), "{:?}", rows());
    assert!(collection.engine.lexical.slots().len() <= 6);
    collection.maintain().unwrap();
    assert_eq!(rows(), (2, 2, 2));
    assert_eq!(collection.engine.lexical.slots().len(), 2);
    // The next maintenance may trim the log, since all it tells of is done.
    collection.maintain().unwrap();
    assert_eq!(collection.engine.database.scan(&crate::collection::records::LOG).count(), 0);
    // A merge gives the space of deleted vectors back.
    collection.optimize(&|_, _, _, _| {}, &Cancellation::new()).unwrap();
    assert_eq!(collection.engine.kept().dense["v"].slots().len(), 2);
    assert_eq!(collection.info().unwrap().deleted["v"], 0);
}

#[test]
fn a_document_that_is_being_replaced_is_never_missing() {
    let folder = scratch();
    let collections = open_quiet(folder.path());
    let collection = collections.create("c", &given(2)).unwrap();
    collection.store(vec![source(1, &[0.0], 0)], &Cancellation::new()).unwrap();
    let looked = Arc::new(Mutex::new(Vec::new()));
    let watch = {
        // Held weakly, or the collection would keep itself.
        let (looked, reader) = (Arc::clone(&looked), Arc::downgrade(&collection));
        fail::watch(folder.path(), move |point| {
            let Some(collection) = reader.upgrade() else { return };
            let got = collection.get(&[id(1)], true).unwrap();
            let (page, _) = collection.scroll(None, None, 10, true, true).unwrap();
            assert_eq!(got, page, "{point}");
            let place = got
                .first()
                .map(|found| found.parts[0].vectors["v"].as_dense().unwrap().as_slice()[0]);
            looked.lock().unwrap().push((point, place));
        })
    };
    collection.store(vec![source(1, &[1.0], 0)], &Cancellation::new()).unwrap();
    collection.delete([id(1)]).unwrap();
    drop(watch);
    let expected = [
        ("commit: before the batch", Some(0.0)),
        ("commit: after the batch", Some(0.0)),
        ("commit: after publishing", Some(1.0)),
        ("commit: before the batch", Some(1.0)),
        ("commit: after the batch", Some(1.0)),
        ("commit: after publishing", None),
    ];
    assert_eq!(*looked.lock().unwrap(), expected);
}
