use rand::Rng;
use rand::rngs::StdRng;

use super::{ClusterError, Points, Work};

/// Seeds are looked for among this many points for each centre, which is as good as among all.
const SAMPLE_OF_CENTRE: usize = 64;
const SAMPLE_MIN: usize = 4_096;

/// Returns `k` of the points as centres, row-major: each next one is drawn with a chance in
/// proportion to its squared distance from the nearest so far, and of a few draws the one that
/// leaves least is kept (k-means++, Arthur and Vassilvitskii 2007, section 2.2 and its greedy form).
///
/// # Errors
/// [`ClusterError::Interrupted`].
pub(super) fn centres(
    points: &Points,
    k: usize,
    chance: &mut StdRng,
    work: &Work<'_>,
) -> Result<Vec<f32>, ClusterError> {
    let sample = points.spread((k * SAMPLE_OF_CENTRE).max(SAMPLE_MIN));
    let draws = 2 + k.ilog2() as usize;
    let first = sample[chance.random_range(0..sample.len())] as usize;
    let mut centres = points.row(first).to_vec();
    let mut nearest = vec![0.0f32; sample.len()];
    points.squared_distances(points.row(first), &sample, &mut nearest);
    let mut distances = vec![0.0f32; sample.len()];
    let mut best = vec![0.0f32; sample.len()];
    for done in 1..k {
        work.step("seeding", done, k)?;
        let mut least = (f64::INFINITY, first);
        for _ in 0..draws {
            let row = sample[drawn(&nearest, chance)] as usize;
            points.squared_distances(points.row(row), &sample, &mut distances);
            let mut left = 0.0f64;
            for (distance, nearest) in distances.iter_mut().zip(&nearest) {
                *distance = distance.min(*nearest);
                left += f64::from(*distance);
            }
            if left < least.0 {
                least = (left, row);
                std::mem::swap(&mut best, &mut distances);
            }
        }
        std::mem::swap(&mut nearest, &mut best);
        centres.extend_from_slice(points.row(least.1));
    }
    Ok(centres)
}

/// Returns a place drawn with these weights; evenly if all are zero.
fn drawn(weights: &[f32], chance: &mut StdRng) -> usize {
    let sum: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
    if sum <= 0.0 {
        return chance.random_range(0..weights.len());
    }
    let mut left = chance.random::<f64>() * sum;
    weights
        .iter()
        .position(|&weight| {
            left -= f64::from(weight);
            left < 0.0
        })
        .unwrap_or(weights.len() - 1)
}
