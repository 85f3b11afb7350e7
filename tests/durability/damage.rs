//! Damaged files: the collection answers right, or says what is wrong; the others are served.
//!
//! `SIMILE_MUTANTS=5000 SIMILE_MUTANTS_SEED=7 cargo test --test behaviour damaged_file` tries more.

use std::path::{Path, PathBuf};

use simile::cancel::Cancellation;
use simile::collection::{CollectionState, Collections, Error};
use simile::error::{Classified as _, ErrorKind};

use super::plain::{Model, Random, check, check_all, copy, id, open, scratch, store};

const MUTANTS: u64 = 160;
const SEED: u64 = 11;

/// Two collections over some lives, with sealed segments, deletions and committed words.
fn grown(folder: &Path) -> (Model, Model) {
    let mut random = Random(21);
    let mut models = ["bad", "good"].map(|name| (name, Model::random(&mut random)));
    for (_, model) in &mut models {
        model.dimension = 4;
    }
    for life in 0..3 {
        let collections = open(folder);
        for (name, model) in &mut models {
            let collection = match collections.get(name) {
                Ok(collection) => collection,
                Err(_) => collections.create(name, &model.settings()).unwrap(),
            };
            let mut documents = Vec::new();
            for number in 0..12 {
                let document = (id(life * 8 + number), model.document(&mut random));
                model.documents.insert(document.0.clone(), document.1.clone());
                documents.push(document);
            }
            store(&collection, documents, "growing");
            let gone = id(life * 8 + 1);
            collection.delete([gone.clone()]).unwrap();
            model.documents.remove(&gone);
            collection.maintain().unwrap();
            // Some is in the head and in no commit of words.
            let last = (id(100 + life), model.document(&mut random));
            model.documents.insert(last.0.clone(), last.1.clone());
            store(&collection, vec![last], "growing");
        }
    }
    let [(_, bad), (_, good)] = models;
    (bad, good)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter();
    let entries = entries.map(|entry| entry.unwrap()).filter(|entry| entry.file_type().is_file());
    entries.map(|entry| entry.path().strip_prefix(folder).unwrap().to_owned()).collect()
}

/// Damages a file and returns how.
fn damage(path: &Path, random: &mut Random) -> String {
    let mut bytes = fs_err::read(path).unwrap();
    // The end of the log is zeros, which is no place to hit.
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1) as u64;
    let place = |random: &mut Random| usize::try_from(random.below(used.max(1))).unwrap();
    let how = match random.below(8) {
        0 => {
            fs_err::remove_file(path).unwrap();
            return "removed".to_owned();
        }
        1 => {
            bytes.truncate(place(random));
            format!("cut to {}", bytes.len())
        }
        2 => {
            bytes.extend((0..=random.below(64)).map(|_| 0xa5));
            "extended".to_owned()
        }
        3 => {
            bytes.clear();
            "emptied".to_owned()
        }
        4 => {
            let (start, filling) = (place(random), random.below(256).to_le_bytes()[0]);
            let end = (start + 64).min(bytes.len());
            bytes[start..end].fill(filling);
            format!("bytes {start}..{end} are {filling}")
        }
        _ if bytes.is_empty() => "empty as before".to_owned(),
        _ => {
            let (at, bit) = (place(random), random.below(8));
            bytes[at] ^= 1 << bit;
            format!("bit {bit} of byte {at} flipped")
        }
    };
    fs_err::write(path, bytes).unwrap();
    how
}

#[test]
fn a_damaged_file_is_mended_or_told_of_and_the_others_are_served() {
    let number = |name: &str, usual| match std::env::var(name) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => usual,
    };
    let (mutants, seed) = (number("SIMILE_MUTANTS", MUTANTS), number("SIMILE_MUTANTS_SEED", SEED));
    println!("{mutants} mutants from seed {seed}");
    let source = scratch();
    let (bad, good) = grown(source.path());
    let names = files(&source.path().join("collections/bad"));
    let of_tables = |name: &PathBuf| name.starts_with("tables");
    let (tables, derived): (Vec<_>, Vec<_>) = names.into_iter().partition(of_tables);
    let (mut mended, mut told) = (0, 0);
    for mutant in 0..mutants {
        let mut random = Random(seed + mutant);
        let names = if random.below(3) == 0 { &tables } else { &derived };
        let name = &names[usize::try_from(random.below(names.len() as u64)).unwrap()];
        let folder = scratch();
        copy(source.path(), folder.path());
        let path = folder.path().join("collections/bad").join(name);
        let how = damage(&path, &mut random);
        let story = format!("seed {}: {} {how}", seed + mutant, name.display());
        let collections = open(folder.path());
        let collection = collections.get("good").unwrap();
        check(&collection, &good, &mut random, &story);
        match answers(&collections, &bad, &mut random, &story) {
            Ok(()) => mended += 1,
            Err(error) => {
                let kinds = [ErrorKind::Corrupt, ErrorKind::Unsupported, ErrorKind::Unavailable];
                assert!(kinds.contains(&error.kind()), "{story}: {error:?}");
                // What is derived is made anew, and no reason to serve nothing.
                let is_true = tables.contains(name) || name.ends_with("collection.json");
                assert!(is_true, "{story}: {error}");
                told += 1;
            }
        }
    }
    println!("{mended} mended or harmless, {told} told of");
    assert!(mended > 0 && told > 0);
}

/// Returns quietly if the collection answers as the model, or the error that says that it does not.
fn answers(
    collections: &Collections,
    model: &Model,
    random: &mut Random,
    story: &str,
) -> Result<(), Error> {
    let collection = match collections.get("bad") {
        Err(error) => {
            let state = collections.info("bad").unwrap().state;
            assert!(matches!(state, CollectionState::Quarantined(_)), "{story}: {state:?}");
            return Err(error);
        }
        Ok(collection) => collection,
    };
    // Damage that shows only when a row is read is told of then.
    collection.scroll(None, None, 1_000, true, true)?;
    check(&collection, model, random, story);
    // What no question has come across is found by looking for it, and mended.
    let found = collection.verify(&|_, _| {}, &Cancellation::new())?;
    if found.problems_total > 0 {
        let repair = collection.repair(&|_, _| {}, &Cancellation::new())?;
        assert_eq!(repair.left.problems, Vec::<String>::new(), "{story}: {:?}", found.problems);
        check(&collection, model, random, story);
    }
    check_all(&collection, model, story);
    Ok(())
}

#[test]
fn files_of_the_data_directory_that_are_damaged_are_no_obstacle() {
    let folder = scratch();
    let (bad, _) = grown(folder.path());
    let root = folder.path();
    fs_err::write(root.join("lock"), "not a lock").unwrap();
    fs_err::write(root.join("server.address"), [0xff, 0xfe, 0, 7]).unwrap();
    fs_err::write(root.join("collections/a file"), "nothing").unwrap();
    fs_err::write(root.join("collections/half.new"), "a file, not a folder").unwrap();
    fs_err::create_dir_all(root.join("collections/gone.removed/tables")).unwrap();
    fs_err::create_dir_all(root.join("collections/empty")).unwrap();
    let collections = open(root);
    check_all(&collections.get("bad").unwrap(), &bad, "beside other files");
    // A folder without settings is told of, and can be deleted.
    assert_eq!(collections.names(), ["bad", "empty", "good"]);
    let error = collections.get("empty").unwrap_err();
    assert!(matches!(error, Error::Quarantined { .. }), "{error:?}");
    collections.delete("empty").unwrap();
    assert!(!root.join("collections/gone.removed").exists());
    assert!(!root.join("collections/empty").exists());
    assert_eq!(collections.names(), ["bad", "good"]);
}
