use rayon::prelude::*;

use super::{ClusterError, Partition, Points, Work};
use crate::vector::kernel;

/// Up to this many members, the medoid is the one with the least distance to all; beyond, to the mean.
const MEDOID_EXACT_MAX: usize = 512;

/// What is said of one cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The members, nearest to the medoid first: the first is the medoid itself.
    pub members: Vec<u32>,
    /// The mean of the members.
    pub centroid: Vec<f32>,
    /// How alike the members are: the mean cosine of two of them where points have length one, in
    /// general one minus the mean squared distance of two members by twice that of two points of the
    /// whole set. 1 for a cluster of one.
    pub cohesion: f64,
    /// The largest distance of a member from the centroid.
    pub radius: f32,
}

/// Returns what is said of each cluster, in their order. `is_unit` says that points have length one.
///
/// # Errors
/// [`ClusterError`]: invalid input for other than one label a point; cancelled.
pub fn summarize(
    points: &Points,
    partition: &Partition,
    is_unit: bool,
    work: &Work<'_>,
) -> Result<Vec<Summary>, ClusterError> {
    let (expected, actual) = (points.count(), partition.labels().len());
    if expected != actual {
        return Err(ClusterError::Uneven { what: "labels", expected, actual });
    }
    let all: Vec<u32> = points.spread(points.count());
    // Two random points are at twice the variance, squared.
    let apart = 2.0 * spread_about(points, &all, &mean(points, &all));
    let members = partition.members();
    members
        .into_par_iter()
        .map(|members| {
            work.cancel.check()?;
            Ok(summary(points, members, is_unit, apart))
        })
        .collect()
}

fn summary(points: &Points, mut members: Vec<u32>, is_unit: bool, apart: f64) -> Summary {
    let centroid = mean(points, &members);
    let mut squared = vec![0.0f32; members.len()];
    points.squared_distances(&centroid, &members, &mut squared);
    let radius = squared.iter().copied().fold(0.0f32, f32::max).sqrt();
    let count = members.len() as f64;
    let within = squared.iter().map(|&squared| f64::from(squared)).sum::<f64>() / count;
    let cohesion = if members.len() < 2 {
        1.0
    } else if is_unit {
        // The mean over pairs of different members, from the length of the mean of all.
        let length = f64::from(kernel::dot(&centroid, &centroid));
        (length * count * count - count) / (count * (count - 1.0))
    } else {
        let of_pair = 2.0 * within * count / (count - 1.0);
        if apart > 0.0 { 1.0 - of_pair / apart } else { 1.0 }
    };
    let medoid = if members.len() <= MEDOID_EXACT_MAX {
        let cost = |&row: &u32| {
            let mut squared = vec![0.0f32; members.len()];
            points.squared_distances(points.row(row as usize), &members, &mut squared);
            squared.iter().map(|squared| f64::from(squared.sqrt())).sum::<f64>()
        };
        let costs = members.iter().map(|row| (cost(row), *row));
        costs.min_by(|a, b| a.0.total_cmp(&b.0)).map(|least| least.1)
    } else {
        let costs = squared.iter().zip(&members);
        costs.min_by(|a, b| a.0.total_cmp(b.0)).map(|least| *least.1)
    };
    if let Some(medoid) = medoid {
        points.squared_distances(points.row(medoid as usize), &members, &mut squared);
        let mut ordered: Vec<(bool, f32, u32)> = members
            .iter()
            .zip(&squared)
            .map(|(&row, &squared)| (row != medoid, squared, row))
            .collect();
        ordered
            .sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
        members = ordered.into_iter().map(|member| member.2).collect();
    }
    Summary { members, centroid, cohesion, radius }
}

fn mean(points: &Points, rows: &[u32]) -> Vec<f32> {
    let mut sums = vec![0.0f64; points.dimension()];
    for &row in rows {
        for (sum, &value) in sums.iter_mut().zip(points.row(row as usize)) {
            *sum += f64::from(value);
        }
    }
    let count = rows.len().max(1) as f64;
    #[expect(clippy::cast_possible_truncation, reason = "a mean of such values is one")]
    let means = sums.into_iter().map(|sum| (sum / count) as f32).collect();
    means
}

fn spread_about(points: &Points, rows: &[u32], centre: &[f32]) -> f64 {
    let squared =
        |&row: &u32| f64::from(kernel::squared_euclidean(points.row(row as usize), centre));
    rows.iter().map(squared).sum::<f64>() / rows.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::super::work::unwatched;
    use super::*;
    use crate::cancel::Cancellation;

    #[test]
    fn the_medoid_stands_first_and_cohesion_is_the_mean_cosine_of_pairs() {
        let angles = [0.0f32, 0.2, 0.5, 2.0, 2.2];
        let values = angles.iter().flat_map(|angle| [angle.cos(), angle.sin()]).collect();
        let points = Points::new(values, 2).unwrap();
        let partition = Partition::new(&[Some(4), Some(4), Some(4), Some(1), Some(1)]);
        let cancel = Cancellation::new();
        let found = summarize(&points, &partition, true, &unwatched(&cancel)).unwrap();
        assert_eq!(found[0].members, [1, 0, 2]);
        let pairs = (0.2f64.cos() + 0.3f64.cos() + 0.5f64.cos()) / 3.0;
        assert!((found[0].cohesion - pairs).abs() < 1e-6, "{}", found[0].cohesion);
        assert!((found[1].cohesion - 0.2f64.cos()).abs() < 1e-6);
        let plain = summarize(&points, &partition, false, &unwatched(&cancel)).unwrap();
        assert!(plain[1].cohesion > plain[0].cohesion && plain[0].cohesion > 0.8);
    }
}
