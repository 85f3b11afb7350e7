//! Indexes that do not agree with the tables are found item by item, and made anew.

use std::path::Path;

use super::crash::{copy, held, open_quiet};
use super::*;
use crate::collection::checkpoint::Checkpoint;
use crate::collection::records::{PARTS, PartRecord, StoredSpan, VECTORS, VectorRecord};
use crate::collection::{CollectionState, Repair};
use crate::document::Sequence;

/// Stores so many documents, whose places begin at `from`; most of them in a sealed segment.
fn grow(collection: &Collection, count: u64, from: f32) {
    for number in 0..count {
        let place = from + f32::from(u8::try_from(number).unwrap());
        let sources = vec![source(number, &[place, place + 0.5], 0)];
        collection.store(sources, &Cancellation::new()).unwrap();
        if number == count - 2 {
            collection.maintain().unwrap();
        }
    }
}

fn problems(collection: &Collection) -> Vec<String> {
    collection.verify(&|_, _| {}, &Cancellation::new()).unwrap().problems
}

fn repair(collection: &Collection) -> Repair {
    collection.repair(&|_, _| {}, &Cancellation::new()).unwrap()
}

/// Repairs, and expects that all is well then, also after opening again.
fn expect_mended(folder: &Path, collections: Collections, collection: Arc<Collection>, what: &str) {
    let model = held(&collection);
    let done = repair(&collection);
    assert!(done.repaired.iter().any(|line| line.contains(what)), "{done:?}");
    assert_eq!(done.left.problems, Vec::<String>::new());
    check(&collection, &model, 3.0, "repaired");
    assert_eq!(repair(&collection).repaired, Vec::<String>::new());
    drop((collection, collections));
    let collections = open_quiet(folder);
    check(&collections.get("c").unwrap(), &model, 3.0, "opened again");
}

/// Two collections of the same kind and size with other content, closed.
fn twins(folder: &Path) {
    let collections = open_quiet(folder);
    for (name, from) in [("c", 0.0), ("other", 50.0)] {
        grow(&collections.create(name, &given(2)).unwrap(), 8, from);
    }
}

#[test]
fn a_dense_index_with_the_vectors_of_others_is_found_and_made_anew() {
    let folder = scratch();
    twins(folder.path());
    let places = folder.path().join("collections");
    fs_err::remove_dir_all(places.join("c/dense")).unwrap();
    copy(&places.join("other/dense"), &places.join("c/dense"));
    let collections = open_quiet(folder.path());
    let collection = collections.get("c").unwrap();
    let found = problems(&collection);
    assert!(found.iter().any(|problem| problem.contains("differs in the index")), "{found:?}");
    expect_mended(folder.path(), collections, collection, "vector `v`");
}

#[test]
fn a_lexical_index_with_the_words_of_others_is_found_and_made_anew() {
    let folder = scratch();
    twins(folder.path());
    let places = folder.path().join("collections");
    fs_err::remove_dir_all(places.join("c/lexical")).unwrap();
    copy(&places.join("other/lexical"), &places.join("c/lexical"));
    let collections = open_quiet(folder.path());
    let collection = collections.get("c").unwrap();
    let found = problems(&collection);
    assert!(found.iter().any(|problem| problem.contains("holds other words")), "{found:?}");
    expect_mended(folder.path(), collections, collection, "the lexical index");
}

#[test]
fn parts_that_are_missing_in_an_index_or_only_there_are_found_and_mended() {
    let folder = scratch();
    let collections = open_quiet(folder.path());
    let collection = collections.create("c", &given(2)).unwrap();
    grow(&collection, 8, 0.0);
    collection.delete([id(1)]).unwrap();
    collection.maintain().unwrap();
    let engine = &collection.engine;
    let view = engine.views.current();
    // Slot 2 is of the deleted document, slot 0 of one that is there.
    engine.lexical.remove(view.sequence, &[0].into_iter().collect()).unwrap();
    let (other, payload) = (id(1), Payload::new());
    let span = crate::document::Span::Whole;
    let part = engine.lexical_part(crate::document::Slot(2), &other, &payload, &span, "ghost");
    engine.lexical.add(view.sequence, &[part]).unwrap();
    let found = problems(&collection);
    assert_eq!(
        found,
        ["slot 0 is not in the lexical index", "slot 2 is only in the lexical index"]
    );
    drop(view);
    expect_mended(folder.path(), collections, collection, "1 parts were added again and 1 removed");
}

#[test]
fn rows_of_no_document_are_found_and_cleared() {
    let folder = scratch();
    let collections = open_quiet(folder.path());
    let collection = collections.create("c", &given(2)).unwrap();
    grow(&collection, 4, 0.0);
    collection.delete([id(1)]).unwrap();
    collection.maintain().unwrap();
    let mut batch = simile_storage::Batch::new();
    let part = PartRecord { first: 2, span: StoredSpan::Whole, text: "nobody's".into() };
    batch.put(&PARTS, &2, &part).unwrap();
    batch.put(&VECTORS, &(0, 3), &VectorRecord::of(&[1.0, 1.0])).unwrap();
    collection.engine.database.commit(batch).unwrap();
    let found = problems(&collection);
    let of = |slot| format!("the rows of slot {slot} belong to no document");
    assert_eq!(found, [of(2), of(3)]);
    expect_mended(folder.path(), collections, collection, "2 rows of no document");
}

#[test]
fn a_checkpoint_that_is_wrong_or_damaged_is_found_and_written_anew() {
    let folder = scratch();
    let collections = open_quiet(folder.path());
    let collection = collections.create("c", &given(2)).unwrap();
    grow(&collection, 4, 0.0);
    let path = folder.path().join("collections/c");
    collection.maintain().unwrap();
    fs_err::write(path.join("checkpoint"), "garbage").unwrap();
    assert!(problems(&collection)[0].ends_with("checkpoint is damaged"));
    assert_eq!(repair(&collection).repaired, ["the checkpoint was written anew"]);
    drop((collection, collections));

    // One that holds its checksum, and says that a document is not there, and another is.
    let live = (2..10).collect();
    let wrong = Checkpoint { sequence: Sequence(4), live, starts: [2, 4, 6, 8].into() };
    wrong.write(&path).unwrap();
    let collections = open_quiet(folder.path());
    let collection = collections.get("c").unwrap();
    let found = problems(&collection);
    assert!(found.iter().any(|problem| problem.starts_with("slot 0 begins")), "{found:?}");
    assert!(found.iter().any(|problem| problem.starts_with("slot 8 is live")), "{found:?}");
    let done = repair(&collection);
    assert_eq!(done.left.problems, Vec::<String>::new(), "{done:?}");
    let model = held(&collection);
    assert_eq!(model.len(), 4);
    drop((collection, collections));
    let collections = open_quiet(folder.path());
    check(&collections.get("c").unwrap(), &model, 1.0, "opened again");
}

#[test]
fn damage_that_a_search_meets_is_mended_by_upkeep() {
    let folder = scratch();
    let collections = open_quiet(folder.path());
    let collection = collections.create("c", &given(2)).unwrap();
    grow(&collection, 8, 0.0);
    let model = held(&collection);
    drop((collection, collections));
    let dense = folder.path().join("collections/c/dense/v");
    let segment = fs_err::read_dir(&dense)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|ending| ending == "segment"))
        .unwrap();
    let collections = open_quiet(folder.path());
    let collection = collections.get("c").unwrap();
    // The file changes under the map: a place that is 6.0 as a component becomes another.
    let mut bytes = fs_err::read(&segment).unwrap();
    let wanted = 6.0_f32.to_le_bytes();
    let at = bytes.windows(4).rposition(|window| window == wanted).unwrap();
    bytes[at + 2] ^= 0x40;
    use std::io::Write as _;
    let mut file = fs_err::OpenOptions::new().write(true).open(&segment).unwrap();
    file.write_all(&bytes).unwrap();
    drop(file);
    let request = SearchRequest {
        vectors: BTreeMap::from([("v".into(), DenseVector::new(vec![6.1, 1.0]).unwrap().into())]),
        exact: true,
        ..SearchRequest::default()
    };
    let error = collection.search(&request, &Cancellation::new()).unwrap_err();
    assert!(error.to_string().contains("checksum"), "{error}");
    collection.maintain().unwrap();
    check(&collection, &model, 6.1, "after upkeep");
}

#[test]
fn files_of_words_that_are_gone_are_made_anew_while_the_collection_is_open() {
    let folder = scratch();
    let collections = open_quiet(folder.path());
    let collection = collections.create("c", &given(2)).unwrap();
    grow(&collection, 8, 0.0);
    collection.maintain().unwrap();
    let lexical = folder.path().join("collections/c/lexical");
    for entry in fs_err::read_dir(&lexical).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "term" || ending == "fast") {
            fs_err::remove_file(path).unwrap();
        }
    }
    let found = problems(&collection);
    assert!(found.iter().any(|problem| problem.contains("lexical index is damaged")), "{found:?}");
    // What comes before the repair is not lost by it.
    collection.store(vec![source(20, &[9.5], 1)], &Cancellation::new()).unwrap();
    expect_mended(folder.path(), collections, collection, "the lexical index was built anew");
}

#[test]
fn indexes_that_know_more_than_the_tables_are_made_anew() {
    let folder = scratch();
    let (older, newer) = (folder.path().join("older"), folder.path().join("newer"));
    let collections = open_quiet(&newer);
    let collection = collections.create("c", &given(2)).unwrap();
    grow(&collection, 5, 0.0);
    copy(&newer, &older);
    for number in 5..12 {
        let place = f32::from(u8::try_from(number).unwrap());
        let sources = vec![source(number, &[place], 0)];
        collection.store(sources, &Cancellation::new()).unwrap();
    }
    collection.maintain().unwrap();
    drop((collection, collections));
    // Tables of a backup, beside indexes that went on.
    let (from, to) = (newer.join("collections/c"), older.join("collections/c"));
    for derived in ["dense", "lexical"] {
        drop(fs_err::remove_dir_all(to.join(derived)));
        copy(&from.join(derived), &to.join(derived));
    }
    fs_err::copy(from.join("checkpoint"), to.join("checkpoint")).unwrap();
    let collections = open_quiet(&older);
    let collection = collections.get("c").unwrap();
    let model = held(&collection);
    assert_eq!(model.len(), 5);
    check(&collection, &model, 2.0, "after going back");
    // Slots are given again, to others.
    for number in 30..40 {
        let place = f32::from(u8::try_from(number).unwrap());
        let sources = vec![source(number, &[place], 1)];
        collection.store(sources, &Cancellation::new()).unwrap();
    }
    check(&collection, &held(&collection), 35.2, "going on");
}

#[test]
fn a_quarantined_collection_is_opened_again_when_its_cause_is_mended() {
    let folder = scratch();
    let collections = open_quiet(folder.path());
    grow(&collections.create("c", &given(2)).unwrap(), 5, 0.0);
    drop(collections);
    let settings = folder.path().join("collections/c/collection.json");
    let text = fs_err::read_to_string(&settings).unwrap();
    fs_err::write(&settings, "{").unwrap();
    let collections = open_quiet(folder.path());
    assert!(collections.reopen("c").is_err());
    assert!(matches!(collections.get("c").unwrap_err(), Error::Quarantined { .. }));
    fs_err::write(&settings, text).unwrap();
    assert!(collections.reopen("c").unwrap());
    let collection = collections.get("c").unwrap();
    assert_eq!(collection.info().unwrap().state, CollectionState::Ready);
    let model = held(&collection);
    assert_eq!(model.len(), 5);
    check(&collection, &model, 2.0, "opened again");
    assert!(!collections.reopen("c").unwrap());
}

#[test]
fn a_document_that_cannot_be_stored_is_refused_alone() {
    let folder = scratch();
    let collections = open_quiet(folder.path());
    let collection = collections.create("c", &given(2)).unwrap();
    let mut long = source(1, &[1.0], 0);
    let SourceContent::Parts(parts) = &mut long.content else { unreachable!() };
    parts[0].text = "x".repeat(100_000);
    let sources = vec![source(0, &[0.0], 0), long, source(2, &[2.0], 0)];
    let results = collection.store(sources, &Cancellation::new()).unwrap();
    assert!(matches!(results[0].outcome, Outcome::Stored(_)), "{results:?}");
    let Outcome::Failed(error) = &results[1].outcome else { panic!("{results:?}") };
    assert!(error.message.contains("at most 49152 bytes, got 100000"), "{error:?}");
    assert!(matches!(results[2].outcome, Outcome::Stored(_)), "{results:?}");
    assert_eq!(collection.info().unwrap().state, CollectionState::Ready);
    check(&collection, &held(&collection), 1.0, "beside the refused one");
}

#[test]
fn a_group_of_large_documents_is_stored_in_as_many_batches_as_it_takes() {
    let folder = scratch();
    let collections = open_quiet(folder.path());
    let without_words = NewCollection { has_words: false, ..given(2) };
    let collection = collections.create("c", &without_words).unwrap();
    // 30 documents of 2.4 MB: more than a batch holds.
    let large = |number| {
        let mut large = source(number, &[0.0; 50], 0);
        let SourceContent::Parts(parts) = &mut large.content else { unreachable!() };
        for part in parts {
            part.text = "word ".repeat(9_600);
        }
        large
    };
    let sources: Vec<Source> = (0..30).map(large).collect();
    let results = collection.store(sources, &Cancellation::new()).unwrap();
    let is_stored =
        |result: &crate::ingest::ItemResult| matches!(result.outcome, Outcome::Stored(_));
    assert!(results.iter().all(is_stored));
    assert_eq!(collection.count(None).unwrap().parts, 1_500);
}

#[test]
fn writes_beyond_the_memory_budget_are_refused_and_deletes_are_not() {
    let folder = scratch();
    let options = CollectionsOptions {
        memory_bytes_max: Some(100_000_000),
        upkeep_interval: std::time::Duration::MAX,
        ..CollectionsOptions::default()
    };
    let collections = Collections::open(folder.path(), options, Arc::new(NoEmbedders)).unwrap();
    let collection = collections.create("c", &given(2)).unwrap();
    collection.store(vec![source(1, &[1.0], 0)], &Cancellation::new()).unwrap();
    let (used, most) = collections.memory();
    assert!(used > 0 && most == Some(100_000_000));
    collection.engine.budget.set("elsewhere", 99_999_000);
    let sources = vec![source(2, &[1.0], 0)];
    let error = collection.store(sources, &Cancellation::new()).unwrap_err();
    assert!(error.to_string().contains("memory budget is 100000000 bytes"), "{error}");
    assert_eq!(collection.delete([id(1)]).unwrap().0, 1);
    let error = collection.optimize(&|_, _, _, _| {}, &Cancellation::new());
    assert!(matches!(error, Err(Error::OverBudget { .. })));
    collection.engine.budget.remove("elsewhere");
    collection.store(vec![source(2, &[1.0], 0)], &Cancellation::new()).unwrap();
    let memory = collection.info().unwrap().memory;
    assert!(memory.iter().any(|used| used.component == "dense heads" && used.bytes > 0));
}
