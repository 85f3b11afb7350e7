use rayon::prelude::*;

use super::points::row_id;
use super::{ClusterError, Points, Work};

/// Returns the mean silhouette of at most `sample_max` points that belong to a cluster, spread evenly
/// over all: -1 to 1, how much nearer a point is to its own cluster than to the next (Rousseeuw
/// 1987). Distances are to every point of the sample; noise is left out. Nothing if there are fewer
/// than two clusters.
///
/// # Errors
/// [`ClusterError`]: invalid input for other than one label a point; cancelled.
pub fn silhouette(
    points: &Points,
    labels: &[Option<u32>],
    sample_max: usize,
    work: &Work<'_>,
) -> Result<Option<f64>, ClusterError> {
    if labels.len() != points.count() {
        let (expected, actual) = (points.count(), labels.len());
        return Err(ClusterError::Uneven { what: "labels", expected, actual });
    }
    let clustered: Vec<(u32, u32)> = (0..row_id(labels.len()))
        .zip(labels)
        .filter_map(|(row, label)| label.map(|label| (row, label)))
        .collect();
    let taken = clustered.len().min(sample_max.max(2));
    let sampled = |place: usize| clustered[place * clustered.len() / taken];
    let (rows, raw): (Vec<u32>, Vec<u32>) = (0..taken).map(sampled).unzip();
    let mut names = raw.clone();
    names.sort_unstable();
    names.dedup();
    if names.len() < 2 {
        return Ok(None);
    }
    let place_of = |label: &u32| names.partition_point(|name| name < label);
    let labels: Vec<usize> = raw.iter().map(place_of).collect();
    let mut sizes = vec![0usize; names.len()];
    labels.iter().for_each(|&label| sizes[label] += 1);
    let each: Vec<f64> = rows
        .par_iter()
        .zip(&labels)
        .map(|(&row, &own)| {
            work.cancel.check()?;
            let mut squared = vec![0.0f32; rows.len()];
            points.squared_distances(points.row(row as usize), &rows, &mut squared);
            let mut sums = vec![0.0f64; sizes.len()];
            for (&label, &squared) in labels.iter().zip(&squared) {
                sums[label] += f64::from(squared.sqrt());
            }
            if sizes[own] == 1 {
                return Ok(0.0);
            }
            let inside = sums[own] / (sizes[own] - 1) as f64;
            let others = (0..sizes.len()).filter(|&label| label != own);
            let outside =
                others.map(|label| sums[label] / sizes[label] as f64).fold(f64::INFINITY, f64::min);
            let most = inside.max(outside);
            Ok(if most > 0.0 { (outside - inside) / most } else { 0.0 })
        })
        .collect::<Result<_, ClusterError>>()?;
    Ok(Some(each.iter().sum::<f64>() / each.len() as f64))
}
