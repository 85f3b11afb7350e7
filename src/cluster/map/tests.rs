use super::super::reference::{reference, set};
use super::super::work::unwatched;
use super::*;
use crate::cancel::Cancellation;

#[test]
fn trustworthiness_is_that_of_scikit_learn() {
    let cancel = Cancellation::new();
    assert_eq!(reference().trustworthiness.len(), 6);
    for case in &reference().trustworthiness {
        let (points, _) = set(&case.set);
        let layout =
            Layout(case.layout.chunks_exact(2).map(|place| [place[0], place[1]]).collect());
        let all = points.count();
        let found = trustworthiness(&points, &layout, case.k, all, &unwatched(&cancel)).unwrap();
        assert!((found - case.value).abs() < 1e-6, "{}: {found} was {}", case.set, case.value);
    }
}

#[test]
fn the_curve_is_that_of_the_paper() {
    // umap-learn, min_dist 0.1 and spread 1.
    let curve = Curve::fit(0.1);
    assert!((curve.a - 1.5769).abs() < 0.01 && (curve.b - 0.8951).abs() < 0.005, "{curve:?}");
}

#[test]
fn neighbours_stay_neighbours_on_the_map_and_not_on_one_of_permuted_vectors() {
    let cancel = Cancellation::new();
    let work = unwatched(&cancel);
    let (points, classes) = set("classes");
    let graph = NeighbourGraph::exact(&points, 15, &work).unwrap();
    let layout = map(&points, &graph, &MapOptions::default(), &work).unwrap();
    let kept = trustworthiness(&points, &layout, 15, 400, &work).unwrap();
    assert!(kept > 0.95, "{kept}");
    let mates = |layout: &Layout| {
        let places = Points::new(layout.0.concat(), 2).unwrap();
        let near = NeighbourGraph::exact(&places, 1, &work).unwrap();
        let of_class =
            |row: &usize| near.of(*row).all(|near| classes[near.0 as usize] == classes[*row]);
        (0..points.count()).filter(of_class).count() as f64 / points.count() as f64
    };
    assert!(mates(&layout) > 0.88, "{}", mates(&layout));
    assert_eq!(layout, map(&points, &graph, &MapOptions::default(), &work).unwrap());

    let shifted: Vec<u32> = (0..row_id(points.count())).map(|row| (row * 137) % 400).collect();
    let permuted = points.of(&shifted);
    let graph = NeighbourGraph::exact(&permuted, 15, &work).unwrap();
    let wrong = map(&permuted, &graph, &MapOptions::default(), &work).unwrap();
    let lost = trustworthiness(&points, &wrong, 15, 400, &work).unwrap();
    assert!(lost < 0.6 && mates(&wrong) < 0.3, "{lost} {}", mates(&wrong));
}

#[test]
fn two_points_and_copies_have_a_map_too() {
    let cancel = Cancellation::new();
    let work = unwatched(&cancel);
    for values in [vec![0.0, 1.0], vec![3.0; 40], vec![7.0]] {
        let points = Points::new(values, 1).unwrap();
        let graph = NeighbourGraph::exact(&points, 15, &work).unwrap();
        let layout = map(&points, &graph, &MapOptions::default(), &work).unwrap();
        assert!(layout.0.iter().flatten().all(|value| value.is_finite()));
    }
}
