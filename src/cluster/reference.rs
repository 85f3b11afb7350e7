//! What the reference implementations said, as `tests/reference/cluster.py` recorded it.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::Points;

#[derive(Debug, Deserialize)]
pub(super) struct Reference {
    sets: Vec<Set>,
    pub(super) hdbscan: Vec<Hdbscan>,
    pub(super) dbscan: Vec<Dbscan>,
    pub(super) kmeans: Vec<KMeans>,
    pub(super) hierarchy: Vec<Hierarchy>,
    pub(super) trustworthiness: Vec<Trustworthiness>,
    pub(super) communities: Vec<Communities>,
}

#[derive(Debug, Deserialize)]
struct Set {
    name: String,
    dimension: usize,
    values: Vec<f32>,
    classes: Vec<u32>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Hdbscan {
    pub(super) set: String,
    pub(super) min_size: usize,
    pub(super) min_samples: usize,
    pub(super) selection: String,
    /// Whether the result does not depend on the order of the points.
    pub(super) is_settled: bool,
    pub(super) labels: Vec<i64>,
    pub(super) probabilities: Vec<f64>,
    pub(super) outlier_scores: Vec<f64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Dbscan {
    pub(super) set: String,
    pub(super) radius: f32,
    pub(super) min_samples: usize,
    pub(super) labels: Vec<i64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct KMeans {
    pub(super) set: String,
    pub(super) start: Vec<usize>,
    pub(super) inertia: f64,
    pub(super) labels: Vec<i64>,
    pub(super) silhouette: f64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Hierarchy {
    pub(super) set: String,
    pub(super) linkage: String,
    pub(super) heights: Vec<f64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Trustworthiness {
    pub(super) set: String,
    pub(super) layout: Vec<f32>,
    pub(super) k: usize,
    pub(super) value: f64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Communities {
    pub(super) set: Option<String>,
    pub(super) k: Option<usize>,
    pub(super) edges: Option<Vec<(u32, u32)>>,
    pub(super) modularity: f64,
}

static REFERENCE: LazyLock<Reference> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../tests/reference/cluster.json")).unwrap()
});

pub(super) fn reference() -> &'static Reference {
    &REFERENCE
}

/// Returns a recorded set and the classes of its points.
pub(super) fn set(name: &str) -> (Points, &'static [u32]) {
    let set = REFERENCE.sets.iter().find(|set| set.name == name).unwrap();
    (Points::new(set.values.clone(), set.dimension).unwrap(), &set.classes)
}

/// Returns labels as the references write them, as ours.
pub(super) fn labels(recorded: &[i64]) -> Vec<Option<u32>> {
    recorded.iter().map(|&label| u32::try_from(label).ok()).collect()
}

/// Checks that two labellings are one, up to the numbers; noise is noise in both.
#[track_caller]
pub(super) fn assert_same(what: &str, found: &[Option<u32>], recorded: &[Option<u32>]) {
    assert_eq!(found.len(), recorded.len());
    let (mut there, mut back) = (HashMap::new(), HashMap::new());
    for (row, (&ours, &theirs)) in found.iter().zip(recorded).enumerate() {
        let is_same = ours.is_some() == theirs.is_some()
            && *there.entry(ours).or_insert(theirs) == theirs
            && *back.entry(theirs).or_insert(ours) == ours;
        assert!(is_same, "{what}: row {row} is in {ours:?} and was in {theirs:?}");
    }
}

/// Returns the Rand index adjusted for chance, from its definition over pairs.
pub(super) fn adjusted_rand(found: &[Option<u32>], classes: &[u32]) -> f64 {
    let (mut both, mut ours, mut theirs, mut all) = (0.0, 0.0, 0.0, 0.0);
    for a in 0..found.len() {
        for b in 0..a {
            let (one, other) = (found[a] == found[b], classes[a] == classes[b]);
            both += f64::from(u8::from(one && other));
            ours += f64::from(u8::from(one));
            theirs += f64::from(u8::from(other));
            all += 1.0;
        }
    }
    let expected = ours * theirs / all;
    (both - expected) / (f64::midpoint(ours, theirs) - expected)
}
