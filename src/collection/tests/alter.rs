//! Vectors that come and go, cut at every point: documents stay as they were, tables and indexes agree.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::crash::{self, copy, open_quiet};
use super::*;
use crate::collection::records::{MULTI, VECTORS};
use crate::collection::{Terms, VectorsChange};
use crate::fail;
use crate::vector::{MultiVector, Vector};

fn names(collection: &Collection) -> Vec<String> {
    collection.settings().names().cloned().collect()
}

fn set(name: &str, vector: impl Into<Vector>) -> VectorsChange {
    let set = BTreeMap::from([(name.to_owned(), vector.into())]);
    VectorsChange { part: Some(0), set, ..VectorsChange::default() }
}

fn dense(components: &[f32]) -> DenseVector {
    DenseVector::new(components.to_vec()).unwrap()
}

fn nearest_by(collection: &Collection, name: &str, vector: Vector) -> Vec<DocumentId> {
    let request = SearchRequest {
        vectors: BTreeMap::from([(name.to_owned(), vector)]),
        ..SearchRequest::default()
    };
    let answer = collection.search(&request, &Cancellation::new()).unwrap();
    answer.hits.into_iter().map(|hit| hit.id).collect()
}

#[test]
fn vectors_come_and_go_and_a_cut_leaves_a_whole_collection() {
    let folder = scratch();
    let (root, copies) = (folder.path().join("data"), folder.path().join("cuts"));
    fs_err::create_dir_all(&root).unwrap();
    let collections = open_quiet(&root);
    let collection = collections.create("c", &given(2)).unwrap();
    let sources = (0..9_u8).map(|n| source(n.into(), &[f32::from(n), 50.0], i64::from(n % 2)));
    collection.store(sources.collect(), &Cancellation::new()).unwrap();
    collection.maintain().unwrap();
    let cuts = Arc::new(Mutex::new(Vec::<(&'static str, PathBuf)>::new()));
    let watch = {
        let (from, cuts) = (root.clone(), Arc::clone(&cuts));
        fail::watch(&root, move |point| {
            let mut cuts = cuts.lock().unwrap();
            let target = copies.join(cuts.len().to_string());
            copy(&from, &target);
            cuts.push((point, target));
        })
    };
    let new = |source| NewVector::from_source(source);
    let euclidean = |dimension| NewVector {
        metric: Some(Metric::Euclidean),
        ..new(NewVectorSource::Given(dimension))
    };
    collection.add_vector("w", &euclidean(3)).unwrap();
    collection.add_vector("m", &new(NewVectorSource::GivenMulti(2))).unwrap();
    let changes = (0..6_u8).map(|n| {
        let at = f32::from(n);
        (id(n.into()), set("w", dense(&[at, at, 0.0])), Terms::default())
    });
    assert_eq!(collection.update_vectors(changes.collect()).unwrap().updated, 6);
    let rows = MultiVector::new(2, vec![1.0, 0.0, 0.0, 1.0]).unwrap();
    let change = (id(7), set("m", rows.clone()), Terms::default());
    assert_eq!(collection.update_vectors(vec![change]).unwrap().updated, 1);
    collection.maintain().unwrap();
    let near = nearest_by(&collection, "w", dense(&[2.2, 2.2, 0.0]).into());
    assert_eq!((near.len(), &near[..2]), (6, &[id(2), id(3)][..]));
    assert_eq!(nearest_by(&collection, "m", rows.into()), [id(7)]);
    // Dropped, and there again with the same name and another dimension.
    collection.drop_vector("w").unwrap();
    collection.drop_vector("m").unwrap();
    collection.add_vector("w", &euclidean(1)).unwrap();
    let change = (id(8), set("w", dense(&[4.0])), Terms::default());
    collection.update_vectors(vec![change]).unwrap();
    collection.maintain().unwrap();
    drop(watch);
    assert_eq!(nearest_by(&collection, "w", dense(&[4.0]).into()), [id(8)]);
    let database = &collection.engine.database;
    let numbers: BTreeSet<u16> = database.scan(&VECTORS).map(|row| row.unwrap().0.0).collect();
    assert_eq!((numbers.len(), database.scan(&MULTI).count()), (2, 0), "what was dropped is gone");
    let folders = fs_err::read_dir(root.join("collections/c/dense")).unwrap().count();
    assert_eq!(folders, 2);
    assert!(collection.drop_vector("x").is_err());
    let expected = crash::held(&collection);
    drop((collection, collections));

    let cuts = std::mem::take(&mut *cuts.lock().unwrap());
    let points: BTreeSet<&str> = cuts.iter().map(|(point, _)| *point).collect();
    assert!(points.contains("alter: the settings are written"), "{points:?}");
    for (number, (point, folder)) in cuts.into_iter().enumerate() {
        let story = format!("cut {number}, {point}");
        let reopened = open_quiet(&folder);
        let collection = reopened.get("c").unwrap();
        assert_eq!(crash::held(&collection), expected, "{story}");
        let known = names(&collection);
        assert!(known.contains(&"v".to_owned()), "{story}: {known:?}");
        let verified = collection.verify(&|_, _| {}, &Cancellation::new()).unwrap();
        assert_eq!(verified.problems, Vec::<String>::new(), "{story}: {known:?}");
        collection.maintain().unwrap();
        assert!(collection.settings().dropped.is_empty(), "{story}");
        // It goes on from there.
        if !known.contains(&"w".to_owned()) {
            collection.add_vector("w", &euclidean(3)).unwrap();
        }
        collection.store(vec![source(99, &[7.0], 1)], &Cancellation::new()).unwrap();
        let verified = collection.verify(&|_, _| {}, &Cancellation::new()).unwrap();
        assert_eq!(verified.problems, Vec::<String>::new(), "{story}");
        drop((collection, reopened));
        drop(fs_err::remove_dir_all(&folder));
    }
}

#[test]
fn a_vector_of_an_embedder_cannot_be_given_and_the_last_one_stays() {
    let folder = scratch();
    let collections = open_quiet(folder.path());
    let wordless = NewCollection { has_words: false, ..given(2) };
    let collection = collections.create("c", &wordless).unwrap();
    let error = collection.drop_vector("v").unwrap_err().to_string();
    assert!(error.contains("all that the collection is searched by"), "{error}");
    let error = collection.fill_vector("v", &|_, _| {}, &Cancellation::new()).unwrap_err();
    assert!(error.to_string().contains("`v` has no embedder"), "{error}");
    let many = (0..15).map(|n| {
        collection
            .add_vector(&format!("v{n}"), &NewVector::from_source(NewVectorSource::GivenSparse))
    });
    assert!(many.into_iter().all(|added| added.is_ok()));
    let one_more = NewVector::from_source(NewVectorSource::Given(2));
    let error = collection.add_vector("more", &one_more).unwrap_err().to_string();
    assert!(error.contains("at most 16 vectors"), "{error}");
}
