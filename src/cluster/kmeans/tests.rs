use rand::Rng;

use super::super::reference::{adjusted_rand, assert_same, labels, reference, set};
use super::super::work::unwatched;
use super::*;
use crate::cancel::Cancellation;

fn until_nothing_moves(k: usize) -> KMeansOptions {
    KMeansOptions { tolerance: 0.0, iterations_max: 300, ..KMeansOptions::new(k) }
}

#[test]
fn from_the_same_start_the_end_is_that_of_scikit_learn() {
    let cancel = Cancellation::new();
    let work = unwatched(&cancel);
    assert_eq!(reference().kmeans.len(), 12);
    for case in &reference().kmeans {
        let (points, _) = set(&case.set);
        let k = case.start.len();
        let start = case.start.iter().flat_map(|&row| points.row(row)).copied().collect();
        let found = kmeans_from(&points, start, &until_nothing_moves(k), &work).unwrap();
        let what = format!("{} k {k}", case.set);
        assert_same(&what, found.partition.labels(), &labels(&case.labels));
        let off = (found.inertia / case.inertia - 1.0).abs();
        assert!(off < 1e-6, "{what}: {} was {}", found.inertia, case.inertia);
        let score = silhouette(&points, found.partition.labels(), 10_000, &work).unwrap().unwrap();
        assert!((score - case.silhouette).abs() < 1e-6, "{what}: {score} was {}", case.silhouette);
    }
}

#[test]
fn bounds_change_nothing_but_the_work() {
    let cancel = Cancellation::new();
    let work = unwatched(&cancel);
    let mut chance = StdRng::seed_from_u64(17);
    let values = (0..4_000 * 6).map(|_| chance.random::<f32>()).collect();
    let points = Points::new(values, 6).unwrap();
    let k = 90;
    let mut centres: Vec<f32> = points.values()[..k * 6].to_vec();
    for iterations in 1..=12 {
        // Plain Lloyd, one step at a time, beside ours from the start.
        let options = KMeansOptions { iterations_max: iterations, ..until_nothing_moves(k) };
        let start = points.values()[..k * 6].to_vec();
        let found = kmeans_from(&points, start, &options, &work).unwrap();
        let mut sums = vec![(vec![0.0f64; 6], 0.0f64); k];
        for row in 0..points.count() {
            let own = nearest(&points, row, &centres);
            let sum = &mut sums[own];
            sum.0.iter_mut().zip(points.row(row)).for_each(|(sum, &v)| *sum += f64::from(v));
            sum.1 += 1.0;
        }
        #[expect(clippy::cast_possible_truncation, reason = "as ours does it")]
        let means =
            sums.iter().flat_map(|(sum, count)| sum.iter().map(move |sum| (sum / count) as f32));
        centres = means.collect();
        let plain: Vec<Option<u32>> =
            (0..points.count()).map(|row| Some(row_id(nearest(&points, row, &centres)))).collect();
        assert_same(&format!("{iterations} iterations"), found.partition.labels(), &plain);
    }
}

fn nearest(points: &Points, row: usize, centres: &[f32]) -> usize {
    let distance = |centre: &[f32]| -> f32 {
        points.row(row).iter().zip(centre).map(|(a, b)| (a - b).powi(2)).sum()
    };
    let each = centres.chunks_exact(points.dimension()).map(distance).enumerate();
    each.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0
}

#[test]
fn good_seeds_find_the_classes_and_permuted_vectors_do_not() {
    let cancel = Cancellation::new();
    let work = unwatched(&cancel);
    let (points, classes) = set("classes");
    let options = KMeansOptions { starts: 8, ..KMeansOptions::new(10) };
    let found = kmeans(&points, &options, &work).unwrap();
    let score = adjusted_rand(found.partition.labels(), classes);
    assert!(score > 0.55, "{score}");
    // The same vectors with each component shuffled over the rows: nothing is left to find.
    let mut chance = StdRng::seed_from_u64(5);
    let mut values = points.values().to_vec();
    for component in 0..points.dimension() {
        for row in (1..points.count()).rev() {
            let other = chance.random_range(0..=row);
            values
                .swap(row * points.dimension() + component, other * points.dimension() + component);
        }
    }
    let permuted = Points::new(values, points.dimension()).unwrap();
    let lost = kmeans(&permuted, &options, &work).unwrap();
    let score = adjusted_rand(lost.partition.labels(), classes);
    assert!(score < 0.05, "{score}");
}

#[test]
fn batches_come_near_to_what_all_points_give_and_a_seed_decides_all() {
    let cancel = Cancellation::new();
    let work = unwatched(&cancel);
    let (points, _) = set("classes");
    let whole =
        kmeans(&points, &KMeansOptions { starts: 4, ..KMeansOptions::new(10) }, &work).unwrap();
    let options = KMeansOptions { has_batches: Some(true), ..KMeansOptions::new(10) };
    let batched = kmeans(&points, &options, &work).unwrap();
    assert!(batched.inertia < whole.inertia * 1.08, "{} {}", batched.inertia, whole.inertia);
    assert_eq!(batched.centres, kmeans(&points, &options, &work).unwrap().centres);
}

#[test]
fn the_number_of_centres_is_found_by_silhouette_and_by_elbow() {
    let cancel = Cancellation::new();
    let work = unwatched(&cancel);
    let mut chance = StdRng::seed_from_u64(2);
    let values = (0..600).flat_map(|row| {
        let (x, y) = [(0.0, 0.0), (9.0, 0.0), (0.0, 9.0), (9.0, 9.0), (20.0, 5.0)][row % 5];
        [x + chance.random::<f32>(), y + chance.random::<f32>()]
    });
    let points = Points::new(values.collect(), 2).unwrap();
    let candidates = [2, 3, 4, 5, 6, 8, 12];
    let options = KMeansOptions { starts: 3, ..KMeansOptions::new(1) };
    let by_silhouette = choose_silhouette(&points, &candidates, &options, &work).unwrap();
    assert_eq!(by_silhouette.partition.sizes(), [120; 5]);
    let by_elbow = choose_elbow(&points, &candidates, &options, &work).unwrap();
    assert!((4..=5).contains(&by_elbow.partition.count()), "{}", by_elbow.partition.count());
}

#[test]
fn spherical_centres_have_length_one_and_more_centres_than_places_are_no_accident() {
    let cancel = Cancellation::new();
    let work = unwatched(&cancel);
    let (points, _) = set("classes");
    let points = points.normalized().unwrap();
    let options = KMeansOptions { is_spherical: true, ..KMeansOptions::new(6) };
    let found = kmeans(&points, &options, &work).unwrap();
    for centre in found.centres.chunks_exact(points.dimension()) {
        let length: f32 = centre.iter().map(|value| value * value).sum();
        assert!((length - 1.0).abs() < 1e-4, "{length}");
    }
    let same = Points::new(vec![2.0; 12], 2).unwrap();
    let found = kmeans(&same, &KMeansOptions::new(4), &work).unwrap();
    assert!(found.inertia.abs() < 1e-9);
    let error = kmeans(&same, &KMeansOptions::new(7), &work).unwrap_err();
    assert_eq!(error.to_string(), "k is 7, expected 1 to 6");
}
