use super::super::reference::{adjusted_rand, assert_same, labels, reference, set};
use super::super::work::unwatched;
use super::*;
use crate::cancel::Cancellation;

fn options(min_size: usize, min_samples: usize) -> DensityOptions {
    DensityOptions { min_size, min_samples, selection: Selection::ExcessOfMass, allows_one: false }
}

#[track_caller]
fn assert_all_near(what: &str, found: &[f64], recorded: &[f64]) {
    for (row, (found, recorded)) in found.iter().zip(recorded).enumerate() {
        assert!((found - recorded).abs() < 1e-4, "{what}, row {row}: {found}, was {recorded}");
    }
}

#[test]
fn clusters_are_those_of_scikit_learn_and_outlier_scores_those_of_hdbscan() {
    let cancel = Cancellation::new();
    let work = unwatched(&cancel);
    let settled = reference().hdbscan.iter().filter(|case| case.is_settled).count();
    assert!(settled >= 12 && reference().hdbscan.len() > settled);
    for case in &reference().hdbscan {
        let (points, _) = set(&case.set);
        let graph = NeighbourGraph::exact(&points, 16, &work).unwrap();
        let selection = match case.selection.as_str() {
            "leaf" => Selection::Leaf,
            _ => Selection::ExcessOfMass,
        };
        let options = DensityOptions { selection, ..options(case.min_size, case.min_samples) };
        let found = hdbscan(&points, &graph, &options, &work).unwrap();
        let what = format!("{} {options:?}", case.set);
        if case.is_settled {
            assert_same(&what, found.partition.labels(), &labels(&case.labels));
            assert_all_near(&what, &found.probabilities, &case.probabilities);
            assert_all_near(&what, &found.outlier_scores, &case.outlier_scores);
        } else {
            let one = |label: &i64| u32::try_from(*label).unwrap_or(999);
            let recorded: Vec<u32> = case.labels.iter().map(one).collect();
            let agreement = adjusted_rand(found.partition.labels(), &recorded);
            assert!(agreement > 0.97, "{what}: {agreement}");
        }
    }
}

/// Returns groups of unlike density in a plane that is otherwise thin, and the group of each point.
fn groups(of: usize) -> (Points, Vec<u32>) {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};
    let mut chance = StdRng::seed_from_u64(21);
    let (mut values, mut classes) = (Vec::new(), Vec::new());
    for group in 0..8u32 {
        let centre: Vec<f32> = (0..8).map(|_| chance.random_range(-6.0..6.0)).collect();
        let width = 0.3 + 0.1 * group as f32;
        for _ in 0..of {
            let near = |at: &f32| {
                let sum: f32 = (0..6).map(|_| chance.random_range(-1.0..1.0f32)).sum();
                at + width * sum
            };
            values.extend(centre.iter().map(near));
            classes.push(group);
        }
    }
    (Points::new(values, 8).unwrap(), classes)
}

#[test]
fn over_the_graph_alone_the_clusters_are_nearly_the_exact_ones() {
    let (points, classes) = groups(150);
    let cancel = Cancellation::new();
    let work = unwatched(&cancel);
    let graph = NeighbourGraph::exact(&points, 15, &work).unwrap();
    let options = options(25, 5);
    let exact = hdbscan(&points, &graph, &options, &work).unwrap();
    let core: Vec<f32> = (0..points.count()).map(|row| graph.distance_at(row, 4)).collect();
    let space = Reachability { points: &points, core: &core };
    let edges = spanning::over_graph(space, &graph, &work).unwrap();
    let tree = CondensedTree::new(points.count(), &edges, options.min_size);
    let taken = longest_lasting(&tree, false);
    let found = Density::new(tree, &taken);
    let as_classes: Vec<u32> =
        exact.partition.labels().iter().map(|label| label.unwrap_or(99)).collect();
    let agreement = adjusted_rand(found.partition.labels(), &as_classes);
    assert!(agreement > 0.98, "{agreement}");
    let truth = adjusted_rand(exact.partition.labels(), &classes);
    assert!(truth > 0.85, "{truth}");
}

#[test]
fn a_point_belongs_most_to_its_own_cluster_and_a_little_to_the_next() {
    let (points, _) = set("moons");
    let cancel = Cancellation::new();
    let work = unwatched(&cancel);
    let graph = NeighbourGraph::exact(&points, 16, &work).unwrap();
    let found = hdbscan(&points, &graph, &options(10, 3), &work).unwrap();
    let rows: Vec<u32> = (0..row_id(points.count())).collect();
    let largest = found.largest_memberships(1, &work).unwrap();
    for (row, shares) in found.memberships(&rows).into_iter().enumerate() {
        let most = shares.iter().copied().fold(0.0, f64::max);
        assert_eq!(largest[row].first().map_or(0.0, |first| first.1), most, "row {row}");
        let sum: f64 = shares.iter().sum();
        assert!((0.0..=1.0 + 1e-9).contains(&sum), "{shares:?}");
        if let Some(label) = found.partition.labels()[row] {
            let own = shares[label as usize];
            assert!(shares.iter().all(|&share| share <= own), "row {row}: {shares:?}");
        }
    }
}

#[test]
fn points_on_one_place_are_one_cluster_and_too_few_are_noise() {
    let mut values = vec![1.0f32; 60];
    values.extend([8.0f32; 50]);
    let points = Points::new(values, 1).unwrap();
    let cancel = Cancellation::new();
    let work = unwatched(&cancel);
    let graph = NeighbourGraph::exact(&points, 10, &work).unwrap();
    for selection in [Selection::ExcessOfMass, Selection::Leaf] {
        let options = DensityOptions { selection, ..options(5, 5) };
        let found = hdbscan(&points, &graph, &options, &work).unwrap();
        assert_eq!(found.partition.sizes(), [60, 50]);
        assert!(found.outlier_scores.iter().all(|score| score.is_finite()));
    }
    let few = hdbscan(&points, &graph, &options(80, 5), &work).unwrap();
    assert_eq!(few.partition.noise(), 110);
    let one = DensityOptions { allows_one: true, ..options(80, 5) };
    assert_eq!(hdbscan(&points, &graph, &one, &work).unwrap().partition.sizes(), [110]);
    let narrow = NeighbourGraph::exact(&points, 2, &work).unwrap();
    assert!(hdbscan(&points, &narrow, &options(5, 5), &work).is_err());
}
