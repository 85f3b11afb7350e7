use std::sync::Mutex;

use super::super::{ClusterRequest, Keep, Looking};
use super::*;
use crate::cancel::Interrupted;
use crate::cluster::Method;

fn request(method: Method) -> ClusterRequest {
    let looking = Looking::New(method);
    let (vector, filter, write_to) = (None, None, None);
    ClusterRequest {
        vector,
        filter,
        looking,
        keep: Keep::Central,
        names: Vec::new(),
        write_to,
        with_map: true,
        with_text: false,
    }
}

#[test]
fn clustering_stops_at_whatever_step_it_is_cancelled() {
    let folder = scratch();
    let collections = open(folder.path());
    let collection = collections.create("c", &given(2)).unwrap();
    let sources = (0..200).map(|number| source(number, &[(number % 2 * 50 + number) as f32], 0));
    collection.store(sources.collect(), &Cancellation::new()).unwrap();
    let (min_size, min_samples, takes_leaves) = (5, None, false);
    let method = Method::Hdbscan { min_size, min_samples, takes_leaves, memberships: 2 };
    let steps = Mutex::new(Vec::new());
    let note = |what: &'static str, _, _| {
        let mut steps = steps.lock().unwrap();
        if !steps.contains(&what) {
            steps.push(what);
        }
    };
    let found = collection.cluster(&request(method), &note, &Cancellation::new()).unwrap();
    assert_eq!(found.items.len(), 200);
    let steps = steps.into_inner().unwrap();
    assert!(steps.len() >= 5, "{steps:?}");
    for stop_at in steps {
        let cancel = Cancellation::new();
        let stop = |what: &'static str, _, _| {
            if what == stop_at {
                cancel.cancel();
            }
        };
        let error = collection.cluster(&request(method), &stop, &cancel).unwrap_err();
        let text = error.to_string();
        assert_eq!(text, Interrupted::Cancelled.to_string(), "at {stop_at}");
    }
}

#[test]
fn more_than_are_compared_pair_by_pair_are_clustered_too() {
    let folder = scratch();
    let collections = open(folder.path());
    let collection = collections.create("c", &given(2)).unwrap();
    let count = crate::cluster::EXACT_MAX as u64 + 500;
    for first in (0..count).step_by(500) {
        let numbers = first..(first + 500).min(count);
        let sources = numbers.map(|number| {
            source(number, &[(number % 3) as f32 * 1_000.0 + (number / 3) as f32 * 0.01], 0)
        });
        collection.store(sources.collect(), &Cancellation::new()).unwrap();
    }
    let method = Method::Dbscan { radius: 0.05, min_samples: 4 };
    let quiet = |_: &'static str, _, _| {};
    let request = ClusterRequest { with_map: false, ..request(method) };
    let found = collection.cluster(&request, &quiet, &Cancellation::new()).unwrap();
    let sizes: Vec<u64> = found.clusters.iter().map(|cluster| cluster.size).collect();
    assert_eq!(sizes, [3_500; 3]);
    assert_eq!((found.noise, found.left_out), (0, 0));
}
