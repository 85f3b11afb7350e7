//! Aliases beside a plain map, with crashes at every point of a change.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::crash::{copy, open_quiet};
use super::*;
use crate::collection::AliasChange;
use crate::error::{Classified as _, ErrorKind};
use crate::fail;

fn set(alias: &str, collection: &str) -> AliasChange {
    AliasChange::Set { alias: alias.into(), collection: collection.into() }
}

fn rename(alias: &str, to: &str) -> AliasChange {
    AliasChange::Rename { alias: alias.into(), to: to.into() }
}

fn delete(alias: &str) -> AliasChange {
    AliasChange::Delete { alias: alias.into() }
}

fn map(collections: &Collections) -> BTreeMap<String, String> {
    BTreeMap::clone(&collections.aliases())
}

fn expected(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|&(alias, name)| (alias.to_owned(), name.to_owned())).collect()
}

#[test]
fn an_alias_stands_for_its_collection_until_it_is_moved() {
    let folder = scratch();
    let mut collections = open_quiet(folder.path());
    for (number, name) in (1..).zip(["a", "b"]) {
        let collection = collections.create(name, &given(2)).unwrap();
        collection.store(vec![source(number, &[1.0], 0)], &Cancellation::new()).unwrap();
    }
    let shown = |collections: &Collections, name: &str| {
        let (page, _) = collections.get(name).unwrap().scroll(None, None, 9, false, false).unwrap();
        page.into_iter().map(|document| document.id).collect::<Vec<_>>()
    };
    collections.change_aliases(&[set("now", "a"), set("old", "a")]).unwrap();
    assert_eq!(shown(&collections, "now"), [id(1)]);
    assert_eq!(collections.info("now").unwrap().name, "a");
    // Both at once.
    collections.change_aliases(&[set("now", "b"), rename("old", "older")]).unwrap();
    assert_eq!(
        (shown(&collections, "now"), shown(&collections, "older")),
        (vec![id(2)], vec![id(1)])
    );
    drop(collections);
    collections = open_quiet(folder.path());
    assert_eq!(map(&collections), expected(&[("now", "b"), ("older", "a")]));

    for (changes, kind, words) in [
        (vec![set("a", "b")], ErrorKind::AlreadyExists, "there is a collection `a` already"),
        (vec![set("x", "none")], ErrorKind::NotFound, "there is no collection `none`"),
        (vec![set("x", "now")], ErrorKind::NotFound, "there is no collection `now`"),
        (vec![set("x/y", "a")], ErrorKind::InvalidInput, "the name of a collection alias"),
        (vec![delete("x")], ErrorKind::NotFound, "there is no alias `x`"),
        (vec![delete("a")], ErrorKind::NotFound, "there is no alias `a`"),
        (vec![rename("x", "y")], ErrorKind::NotFound, "there is no alias `x`"),
        (vec![rename("now", "b")], ErrorKind::AlreadyExists, "there is a collection `b` already"),
        (vec![rename("now", "older")], ErrorKind::AlreadyExists, "`older` is an alias of"),
        // One that fails keeps the others from being done.
        (vec![set("x", "a"), delete("y")], ErrorKind::NotFound, "there is no alias `y`"),
    ] {
        let error = collections.change_aliases(&changes).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let taken = collections.create("now", &given(2)).unwrap_err();
    assert!(taken.to_string().contains("`now` is an alias of collection `b`"), "{taken}");
    let by_alias = collections.delete("now").unwrap_err();
    assert!(by_alias.to_string().contains("`now` is an alias of collection `b`"), "{by_alias}");
    // Nothing of all that has changed anything.
    assert_eq!(map(&collections), expected(&[("now", "b"), ("older", "a")]));

    collections.delete("b").unwrap();
    assert_eq!(map(&collections), expected(&[("older", "a")]));
    assert!(matches!(collections.get("now"), Err(Error::UnknownCollection(name)) if name == "now"));
    collections.create("now", &given(2)).unwrap();
    collections.change_aliases(&[delete("older")]).unwrap();
    drop(collections);
    assert_eq!(map(&open_quiet(folder.path())), expected(&[]));
}

#[test]
fn a_cut_leaves_the_aliases_as_they_were_or_as_they_are() {
    let folder = scratch();
    let (root, copies) = (folder.path().join("data"), folder.path().join("cuts"));
    fs_err::create_dir_all(&root).unwrap();
    let collections = open_quiet(&root);
    for name in ["a", "b"] {
        collections.create(name, &given(2)).unwrap();
    }
    let changes: [&[AliasChange]; 4] = [
        &[set("x", "a")],
        &[set("x", "b"), set("y", "a")],
        &[rename("x", "z")],
        &[delete("z"), delete("y"), set("x", "b")],
    ];
    // Before each change and after the last; then `b` goes, and its alias with it.
    let states = [
        expected(&[]),
        expected(&[("x", "a")]),
        expected(&[("x", "b"), ("y", "a")]),
        expected(&[("y", "a"), ("z", "b")]),
        expected(&[("x", "b")]),
        expected(&[]),
    ];
    let cuts = Arc::new(Mutex::new(Vec::<(&'static str, PathBuf, usize)>::new()));
    let step = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let watch = {
        let (from, cuts, step) = (root.clone(), Arc::clone(&cuts), Arc::clone(&step));
        fail::watch(&root, move |point| {
            let mut cuts = cuts.lock().unwrap();
            let target = copies.join(cuts.len().to_string());
            copy(&from, &target);
            cuts.push((point, target, step.load(std::sync::atomic::Ordering::SeqCst)));
        })
    };
    for change in changes {
        collections.change_aliases(change).unwrap();
        step.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(map(&collections), states[step.load(std::sync::atomic::Ordering::SeqCst)]);
    }
    collections.delete("b").unwrap();
    drop((watch, collections));
    let cuts = std::mem::take(&mut *cuts.lock().unwrap());
    assert!(cuts.len() >= 10, "{} cuts", cuts.len());
    for (point, folder, step) in cuts {
        let reopened = open_quiet(&folder);
        let found = map(&reopened);
        let may_be = [&states[step], &states[step + 1]];
        assert!(may_be.contains(&&found), "{point} after {step} changes: {found:?}");
        // What stands for something can be asked.
        assert!(found.keys().all(|alias| reopened.get(alias).is_ok()), "{point}: {found:?}");
    }
}

#[test]
fn damaged_aliases_are_put_aside_and_the_collections_are_served() {
    let folder = scratch();
    let collections = open_quiet(folder.path());
    collections.create("a", &given(2)).unwrap();
    collections.change_aliases(&[set("x", "a")]).unwrap();
    drop(collections);
    let path = folder.path().join("aliases.json");
    let text = fs_err::read_to_string(&path).unwrap();
    fs_err::write(&path, text.replace("\"x\"", "\"y\"")).unwrap();
    let collections = open_quiet(folder.path());
    assert_eq!(map(&collections), expected(&[]));
    collections.get("a").unwrap();
    collections.change_aliases(&[set("x", "a")]).unwrap();
    assert!(folder.path().join("aliases.json.damaged").exists());
}
