use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::error::{Classified as _, ErrorKind};

#[test]
fn what_was_committed_is_there_after_opening_and_the_rest_is_not() {
    let mut fixture = Fixture::of(&["alpha", "beta"]);
    assert_eq!(fixture.index.applied(), Sequence(0));
    assert_eq!(fixture.index.commit().unwrap(), Sequence(2));
    assert_eq!(fixture.index.applied(), Sequence(2));
    fixture.add(2, "gamma");
    fixture.reopen();
    assert_eq!(fixture.index.applied(), Sequence(2));
    assert_eq!(fixture.search("alpha beta gamma"), [0, 1]);
    // Added again, as its caller does with what was not applied; and once too often.
    fixture.add(2, "gamma");
    fixture.add(1, "beta");
    assert_eq!(fixture.query("alpha beta gamma"), [0, 1, 2]);
    fixture.index.commit().unwrap();
    assert_eq!(fixture.query("alpha beta gamma"), [0, 1, 2]);
    assert_eq!(fixture.search("beta"), [1]);
}

#[test]
fn a_commit_without_parts_still_advances() {
    let mut fixture = Fixture::of(&["alpha"]);
    fixture.index.commit().unwrap();
    fixture.index.add(Sequence(9), &[]).unwrap();
    assert_eq!(fixture.index.commit().unwrap(), Sequence(9));
    fixture.reopen();
    assert_eq!(fixture.index.applied(), Sequence(9));
    assert_eq!(fixture.search("alpha"), [0]);
}

#[test]
fn removed_slots_are_gone_from_memory_and_folder() {
    let mut fixture = Fixture::of(&["same", "same", "same"]);
    fixture.remove(1);
    assert_eq!(fixture.search("same"), [0, 2]);
    fixture.index.commit().unwrap();
    fixture.remove(2);
    assert_eq!(fixture.search("same"), [0]);
    fixture.index.commit().unwrap();
    fixture.index.settle().unwrap();
    assert_eq!(fixture.search("same"), [0]);
    fixture.reopen();
    assert_eq!(fixture.search("same"), [0]);
    // A removed slot that comes again is there again.
    fixture.add(2, "same");
    fixture.index.commit().unwrap();
    assert_eq!(fixture.search("same"), [0, 2]);
}

#[test]
fn folder_and_memory_rank_as_one() {
    let texts: Vec<String> = (0..60)
        .map(|n| {
            format!("word{} word{} word{} shared {}", n % 3, n % 7, n % 11, "filler ".repeat(n % 5))
        })
        .collect();
    let in_memory = Fixture::of(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    let in_folder = Fixture::of(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    in_folder.index.commit().unwrap();
    let mut in_both = Fixture::new();
    for (slot, text) in (0..).zip(&texts) {
        in_both.add(slot, text);
        if slot == 25 {
            in_both.index.commit().unwrap();
        }
        if slot % 10 == 0 {
            in_both.index.refresh().unwrap();
        }
    }
    for query in ["word1", "word1 word5 word10", "shared word2 filler", "wrod1 shared"] {
        let hits =
            |fixture: &Fixture| fixture.hits(query, WordSyntax::Plain, &everything()).unwrap();
        let (memory, folder, both) = (hits(&in_memory), hits(&in_folder), hits(&in_both));
        assert!(!memory.is_empty());
        for other in [folder, both] {
            assert_eq!(memory.len(), other.len(), "{query}");
            for (a, b) in memory.iter().zip(&other) {
                assert!((a.1.0 - b.1.0).abs() < 1e-4, "{query}: {a:?} {b:?}");
            }
        }
    }
}

#[test]
fn a_search_sees_everything_added_before_it_while_commits_go_on() {
    const PARTS: u32 = 240;
    let fixture = Fixture::new();
    let index = &fixture.index;
    let added = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for slot in 0..PARTS {
                let (document, payload) = (id(slot), Payload::new());
                let (text, heading) = ("same words", None);
                let part = LexicalPart {
                    slot: Slot(slot),
                    document: &document,
                    text,
                    heading,
                    payload: &payload,
                };
                index.add(Sequence(u64::from(slot) + 1), &[part]).unwrap();
                added.store(slot + 1, Ordering::Release);
            }
        });
        scope.spawn(|| {
            while added.load(Ordering::Acquire) < PARTS {
                index.commit().unwrap();
            }
        });
        loop {
            let before = added.load(Ordering::Acquire);
            let hits = fixture.hits("words", WordSyntax::Plain, &everything()).unwrap();
            let found: SlotSet = hits.iter().map(|(slot, _)| slot.0).collect();
            assert_eq!(found.len(), hits.len() as u64, "a slot was found twice");
            assert!(SlotSet::from_iter(0..before).is_subset(&found), "{before} {found:?}");
            if before == PARTS {
                break;
            }
        }
    });
    index.commit().unwrap();
    assert_eq!(fixture.search("words").len(), PARTS as usize);
}

/// A copy of a small committed index, to be damaged.
fn copy_of(source: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs_err::read_dir(source).unwrap() {
        let entry = entry.unwrap();
        fs_err::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<PathBuf> = entries.map(PathBuf::from).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_damaged_index_is_refused_as_corrupt_and_can_be_built_again() {
    let mut fixture = Fixture::of(&["alpha beta", "beta gamma"]);
    fixture.index.commit().unwrap();
    fixture.index.settle().unwrap();
    fixture.reopen();
    let source = fixture.folder.path();
    for name in files_of(source) {
        let is_lock = name.extension().is_some_and(|extension| extension == "lock");
        let is_list = name.as_os_str() == ".managed.json";
        let damages: [(&str, fn(&Path)); 3] = [
            ("cut", |path| {
                let bytes = fs_err::read(path).unwrap();
                fs_err::write(path, &bytes[..bytes.len() / 2]).unwrap();
            }),
            ("changed", |path| {
                let mut bytes = fs_err::read(path).unwrap();
                let middle = bytes.len() / 2;
                if let Some(byte) = bytes.get_mut(middle) {
                    *byte ^= 0x55;
                }
                fs_err::write(path, bytes).unwrap();
            }),
            ("lost", |path| fs_err::remove_file(path).unwrap()),
        ];
        for (damage, apply) in damages {
            let copy = copy_of(source);
            apply(&copy.path().join(&name));
            let opened = LexicalIndex::open(copy.path(), &LexicalOptions::default());
            let is_harmless =
                is_lock || is_list || (name.as_os_str() == "meta.json" && damage == "lost");
            match opened {
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{name:?} {damage}: {error:?}")
                }
                Ok(_) => assert!(is_harmless, "{name:?} {damage} was not noticed"),
            }
            fs_err::remove_dir_all(copy.path()).unwrap();
            let index = LexicalIndex::open(copy.path(), &LexicalOptions::default()).unwrap();
            assert_eq!(index.applied(), Sequence(0));
        }
    }
}

#[test]
fn an_index_of_another_format_is_refused_as_corrupt() {
    let mut fixture = Fixture::of(&["alpha"]);
    fixture.index.commit().unwrap();
    fixture.index.settle().unwrap();
    let meta = fixture.folder.path().join("meta.json");
    let text = fs_err::read_to_string(&meta).unwrap();
    assert!(text.contains("\\\"format\\\":3"), "{text}");
    fs_err::write(&meta, text.replace("\\\"format\\\":3", "\\\"format\\\":4")).unwrap();
    let error = LexicalIndex::open(fixture.folder.path(), &LexicalOptions::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the lexical index is damaged: expected format 3, got 4: built by another version"
    );
    fixture.sequence += 1;
}

#[test]
fn a_folder_that_cannot_be_made_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs_err::write(&file, "x").unwrap();
    let error = LexicalIndex::open(&file.join("below"), &LexicalOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[test]
fn statistics_tell_what_is_where() {
    let mut fixture = Fixture::of(&["alpha", "beta"]);
    let statistics = fixture.index.statistics();
    assert_eq!((statistics.parts_committed, statistics.parts_pending), (0, 2));
    assert!(statistics.pending_bytes > 0);
    fixture.index.commit().unwrap();
    fixture.add(2, "gamma");
    let statistics = fixture.index.statistics();
    assert_eq!((statistics.parts_committed, statistics.parts_pending), (2, 1));
    assert_eq!(statistics.segments, 1);
}
