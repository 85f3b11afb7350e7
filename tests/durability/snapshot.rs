//! Snapshots: taken while writing goes on, restored elsewhere item by item, and refused when a byte of
//! them is not what was written.
//!
//! `SIMILE_MUTANTS=2000 cargo test --test behaviour archive` tries more of them.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use simile::cancel::Cancellation;
use simile::collection::{
    Collection, Collections, Error, PayloadChange, SnapshotError, StoredDocument, Terms,
};
use simile::error::{Classified as _, ErrorKind};
use tempfile::TempDir;

use super::plain::{Model, Random, check, check_all, id, open, scratch, store};

const MUTANTS: u64 = 300;
const SEED: u64 = 17;

fn go() -> Cancellation {
    Cancellation::new()
}

fn quiet(_: u64, _: u64) {}

/// Takes a snapshot and returns its bytes.
fn taken(collections: &Collections, name: &str) -> Vec<u8> {
    collections.create_snapshot("c", Some(name), &quiet, &go()).unwrap();
    let mut bytes = Vec::new();
    collections.open_snapshot("c", name).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

/// Everything there is to read of each document, by id.
fn all(collection: &Collection) -> BTreeMap<String, StoredDocument> {
    let (page, more) = collection.scroll(None, None, 1_000, true, true).unwrap();
    assert!(!more);
    page.into_iter().map(|document| (document.id.to_string(), document)).collect()
}

/// A collection over some lives: replaced, changed, deleted, expiring.
fn grown(seed: u64) -> (TempDir, Collections, Model) {
    let mut random = Random(seed);
    let mut model = Model::random(&mut random);
    let folder = scratch();
    let collections = open(folder.path());
    let collection = collections.create("c", &model.settings()).unwrap();
    collection.change_note("face", |_| Some(b"a hint that is kept".to_vec())).unwrap();
    for round in 0..4 {
        let mut documents = Vec::new();
        for number in 0..9 {
            let document = (id(round * 6 + number), model.document(&mut random));
            model.documents.insert(document.0.clone(), document.1.clone());
            documents.push(document);
        }
        store(&collection, documents, "growing");
        let gone = id(round * 6 + 2);
        collection.delete([gone.clone()]).unwrap();
        model.documents.remove(&gone);
        let terms = Terms {
            expires_unix_ms: Some(1 << 50),
            key: Some(format!("k{round}")),
            expected: None,
        };
        let kept = model.documents.keys().next().unwrap().clone();
        collection.update([kept], PayloadChange::Keep, &terms).unwrap();
        collection.maintain().unwrap();
    }
    drop(collection);
    (folder, collections, model)
}

#[test]
fn what_is_restored_elsewhere_is_what_there_was_item_by_item() {
    for seed in 1..=5 {
        let (folder, collections, model) = grown(seed);
        let before = collections.get("c").unwrap();
        let (documents, info) = (all(&before), before.info().unwrap());
        let bytes = taken(&collections, "monday");
        let listed = collections.snapshots(Some("c")).unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!((listed[0].name.as_str(), listed[0].bytes), ("monday", bytes.len() as u64));
        let header = &listed[0].header;
        assert_eq!((header.documents, header.parts), (info.documents, info.parts));
        // Not even the data directory is needed any more.
        drop((before, collections, folder));

        let elsewhere = scratch();
        let mut collections = open(elsewhere.path());
        let restored = collections.restore("d", bytes.as_slice(), &quiet, &go()).unwrap();
        assert_eq!(&restored, header);
        for life in ["at once", "after a restart"] {
            let story = format!("seed {seed}, {life}");
            let collection = collections.get("d").unwrap();
            assert_eq!(all(&collection), documents, "{story}");
            let now = collection.info().unwrap();
            assert_eq!(now.last_sequence, info.last_sequence, "{story}");
            assert_eq!((now.fields, now.settings), (info.fields.clone(), info.settings.clone()));
            let mut random = Random(seed);
            check(&collection, &model, &mut random, &story);
            check_all(&collection, &model, &story);
            collections = {
                drop((collection, collections));
                open(elsewhere.path())
            };
        }
        // It goes on as the other would have: what is stored is known to be, keys are remembered.
        let collection = collections.get("d").unwrap();
        let (same, plain) = model.documents.iter().next_back().unwrap();
        let again = collection.store(vec![plain.source(same.clone())], &go()).unwrap();
        assert!(format!("{again:?}").contains("Unchanged"), "{again:?}");
        let terms = Terms { key: Some("k0".into()), ..Terms::default() };
        let kept = model.documents.keys().next().unwrap().clone();
        let repeated = collection.update([kept], PayloadChange::Clear, &terms).unwrap();
        assert_eq!((repeated.unchanged, repeated.updated), (1, 0));
        let (deleted, sequence) = collection.delete([same.clone()]).unwrap();
        assert_eq!((deleted, sequence.0), (1, info.last_sequence.0 + 1));
    }
}

#[test]
fn a_snapshot_under_load_shows_one_moment() {
    let mut random = Random(3);
    let model = Model::random(&mut random);
    let folder = scratch();
    let collections = open(folder.path());
    let collection = collections.create("c", &model.settings()).unwrap();
    collection.change_note("face", |_| Some(b"a hint that is kept".to_vec())).unwrap();
    // What there is after each mutation.
    let mut states = BTreeMap::from([(0, BTreeMap::new())]);
    let archives = std::thread::scope(|scope| {
        let (written, mutations) = std::sync::mpsc::channel();
        // Each is begun after a mutation that the one before need not have seen, however slow either is.
        let collections = &collections;
        let taking = scope.spawn(move || {
            let mut archives = Vec::new();
            while archives.len() < 12 && mutations.recv().is_ok() {
                mutations.try_iter().count();
                archives.push(taken(collections, &format!("s{}", archives.len())));
            }
            archives
        });
        let mut now = model.clone();
        loop {
            let changed = id(random.below(15));
            if random.below(4) == 0 {
                collection.delete([changed.clone()]).unwrap();
                now.documents.remove(&changed);
            } else {
                let plain = now.document(&mut random);
                now.documents.insert(changed.clone(), plain.clone());
                store(&collection, vec![(changed, plain)], "under load");
            }
            let sequence = collection.info().unwrap().last_sequence.0;
            states.insert(sequence, now.documents.clone());
            if written.send(()).is_err() {
                break;
            }
        }
        taking.join().unwrap()
    });
    assert_eq!(archives.len(), 12);
    let elsewhere = scratch();
    let others = open(elsewhere.path());
    let mut moments = std::collections::BTreeSet::new();
    for (number, bytes) in archives.iter().enumerate() {
        let name = format!("c{number}");
        let header = others.restore(&name, bytes.as_slice(), &quiet, &go()).unwrap();
        let documents = states[&header.sequence].clone();
        let model = Model { documents, ..model.clone() };
        let restored = others.get(&name).unwrap();
        check_all(&restored, &model, &format!("at {}", header.sequence));
        assert_eq!(restored.note("face").unwrap(), b"a hint that is kept");
        moments.insert(header.sequence);
        others.delete(&name).unwrap();
    }
    assert!(moments.len() >= archives.len() / 3, "all at {moments:?}");
}

/// Changes an archive and returns how.
fn mutated(bytes: &mut Vec<u8>, random: &mut Random) -> String {
    let place = |random: &mut Random, length: usize| {
        usize::try_from(random.below(length.max(1) as u64)).unwrap()
    };
    match random.below(10) {
        0 => {
            bytes.truncate(place(random, bytes.len()));
            format!("cut to {}", bytes.len())
        }
        1 => {
            bytes.extend((0..=random.below(64)).map(|_| 0));
            "extended".to_owned()
        }
        2 => {
            // A piece stands twice, or is missing.
            let (start, length) = (place(random, bytes.len()) / 512 * 512, 512);
            let end = (start + length).min(bytes.len());
            let piece: Vec<u8> = bytes[start..end].to_vec();
            if random.below(2) == 0 {
                bytes.splice(start..start, piece);
                format!("{length} bytes from {start} stand twice")
            } else {
                bytes.drain(start..end);
                format!("{length} bytes from {start} are missing")
            }
        }
        3 => {
            let (start, filling) = (place(random, bytes.len()), random.below(256).to_le_bytes()[0]);
            let end = (start + 64).min(bytes.len());
            bytes[start..end].iter_mut().for_each(|byte| *byte ^= filling | 1);
            format!("bytes {start}..{end} are others")
        }
        _ => {
            let (at, bit) = (place(random, bytes.len()), random.below(8));
            bytes[at] ^= 1 << bit;
            format!("bit {bit} of byte {at} flipped")
        }
    }
}

fn files(folder: &Path) -> Vec<String> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter();
    entries.map(|entry| entry.unwrap().path().display().to_string()).collect()
}

#[test]
fn a_changed_archive_is_refused_as_a_whole() {
    let number = |name: &str, usual| match std::env::var(name) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => usual,
    };
    let (mutants, seed) = (number("SIMILE_MUTANTS", MUTANTS), number("SIMILE_MUTANTS_SEED", SEED));
    println!("{mutants} mutants from seed {seed}");
    let (_folder, collections, _) = grown(9);
    let whole = taken(&collections, "whole");
    let around = scratch();
    let elsewhere = around.path().join("data");
    fs_err::create_dir_all(&elsewhere).unwrap();
    let others = open(&elsewhere);
    let before = files(around.path());
    for mutant in 0..mutants {
        let mut random = Random(seed + mutant);
        let mut bytes = whole.clone();
        let how = mutated(&mut bytes, &mut random);
        if bytes == whole {
            continue;
        }
        let story = format!("seed {}: {how}", seed + mutant);
        let error = others.restore("d", bytes.as_slice(), &quiet, &go()).unwrap_err();
        let kinds = [ErrorKind::Corrupt, ErrorKind::Unsupported, ErrorKind::InvalidInput];
        assert!(kinds.contains(&error.kind()), "{story}: {error:?}");
        assert_eq!(files(around.path()), before, "{story}");
        assert!(others.names().is_empty(), "{story}");
    }
    others.restore("d", whole.as_slice(), &quiet, &go()).unwrap();
}

#[test]
fn names_that_are_taken_or_not_there_are_told_of() {
    let (folder, collections, _) = grown(2);
    let bytes = taken(&collections, "s");
    let refused = |error: Error, kind, words: &str| {
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    };
    let create = |name: &str| collections.create_snapshot("c", Some(name), &quiet, &go());
    refused(create("s").unwrap_err(), ErrorKind::AlreadyExists, "a snapshot `s` of collection `c`");
    refused(create("../s").unwrap_err(), ErrorKind::InvalidInput, "the name of a snapshot");
    let opened = collections.open_snapshot("c", "t").unwrap_err();
    refused(opened, ErrorKind::NotFound, "there is no snapshot `t` of collection `c`");
    let opened = collections.open_snapshot("..", "t").unwrap_err();
    refused(opened, ErrorKind::InvalidInput, "the name of a collection");
    let taken_name = collections.restore("c", bytes.as_slice(), &quiet, &go()).unwrap_err();
    refused(taken_name, ErrorKind::AlreadyExists, "there is a collection `c` already");
    let cancelled = go();
    cancelled.cancel();
    let stopped = collections.restore("d", bytes.as_slice(), &quiet, &cancelled).unwrap_err();
    refused(stopped, ErrorKind::Cancelled, "cancelled");
    let stopped = collections.create_snapshot("c", Some("t"), &quiet, &cancelled).unwrap_err();
    refused(stopped, ErrorKind::Cancelled, "cancelled");
    // Nothing is left of what was stopped, and what a crash leaves is removed.
    let kept = folder.path().join("snapshots/c");
    assert_eq!(fs_err::read_dir(&kept).unwrap().count(), 1);
    fs_err::write(kept.join("half.tar.new"), "half").unwrap();
    fs_err::write(kept.join("wrong.tar"), "no archive").unwrap();
    drop(collections);
    let collections = open(folder.path());
    assert!(!kept.join("half.tar.new").exists());
    let names = |collections: &Collections| {
        let listed = collections.snapshots(None).unwrap();
        listed.into_iter().map(|one| one.name).collect::<Vec<_>>()
    };
    assert_eq!(names(&collections), ["s"]);
    // Snapshots outlive their collection.
    collections.delete("c").unwrap();
    assert_eq!(names(&collections), ["s"]);
    let archive = collections.open_snapshot("c", "s").unwrap();
    collections.restore("c", archive, &quiet, &go()).unwrap();
    collections.delete_snapshot("c", "s").unwrap();
    let gone = collections.delete_snapshot("c", "s").unwrap_err();
    refused(gone, ErrorKind::NotFound, "there is no snapshot `s`");
    let no_archive = collections.restore("e", &b"nothing"[..], &quiet, &go()).unwrap_err();
    assert!(matches!(no_archive, Error::Snapshot(SnapshotError::Short)), "{no_archive:?}");
    assert!(names(&collections).is_empty());
}
