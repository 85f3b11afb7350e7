use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::index::sample;
use rayon::prelude::*;

use super::bounds::Assignment;
use super::points::row_id;
use super::seeding;
use super::{ClusterError, Partition, Points, Work, silhouette};

/// The most centres.
const K_MAX: usize = 65_536;
const ITERATIONS_MAX: usize = 10_000;
/// Sets of this many points and more are walked through in batches.
const BATCHES_FROM: usize = 500_000;
/// A batch has this many points for each centre, at least and at most this many in all.
const BATCH_OF_CENTRE: usize = 16;
const BATCH: (usize, usize) = (4_096, 65_536);
/// How many batches there are at most, and how many without progress end the work.
const BATCHES_MAX: usize = 400;
const BATCHES_WITHOUT_PROGRESS: usize = 20;
/// How many points tell how well a number of centres fits.
const SILHOUETTE_SAMPLE: usize = 2_000;

/// How [`kmeans`] works.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KMeansOptions {
    /// How many clusters. 1 to 65,536, and at most as many as points.
    pub k: usize,
    /// Whether centres have length one, as the points then should: clusters are by angle.
    pub is_spherical: bool,
    /// After how many iterations it ends if points still move.
    pub iterations_max: usize,
    /// It ends when the squared moves of all centres sum to less than this share of the variance of
    /// a component.
    pub tolerance: f64,
    /// From how many starts the best result is taken.
    pub starts: usize,
    /// Whether points are taken in batches; decided by their number if not said.
    pub has_batches: Option<bool>,
}

/// Clusters around centres.
#[derive(Debug, Clone)]
pub struct KMeans {
    /// Which points belong together; none is noise.
    pub partition: Partition,
    /// The centres, `k` x dimension, in the order of the clusters. Of a centre without points there
    /// is none.
    pub centres: Vec<f32>,
    /// The sum of squared distances of points from their centres.
    pub inertia: f64,
    /// How many iterations or batches it took.
    pub iterations: usize,
}

impl KMeansOptions {
    /// Returns the options that suit most sets.
    pub fn new(k: usize) -> Self {
        Self {
            k,
            is_spherical: false,
            iterations_max: 100,
            tolerance: 1e-4,
            starts: 1,
            has_batches: None,
        }
    }

    fn check(&self, points: &Points) -> Result<(), ClusterError> {
        let most = K_MAX.min(points.count());
        ClusterError::require("k", self.k as f64, 1.0, most as f64)?;
        ClusterError::require("starts", self.starts as f64, 1.0, 100.0)?;
        let iterations = self.iterations_max as f64;
        ClusterError::require("iterations_max", iterations, 1.0, ITERATIONS_MAX as f64)?;
        ClusterError::require("tolerance", self.tolerance, 0.0, 1.0)
    }
}

/// Returns clusters around `k` centres that are good seeds first (k-means++), then the means of what
/// is nearest to them (Lloyd 1982), until nothing moves.
///
/// # Errors
/// [`ClusterError`]: invalid input for options out of range; cancelled.
pub fn kmeans(
    points: &Points,
    options: &KMeansOptions,
    work: &Work<'_>,
) -> Result<KMeans, ClusterError> {
    options.check(points)?;
    let mut chance = StdRng::seed_from_u64(work.seed);
    let mut best: Option<KMeans> = None;
    for _ in 0..options.starts {
        let mut seeds = seeding::centres(points, options.k, &mut chance, work)?;
        let has_batches = options.has_batches.unwrap_or(points.count() >= BATCHES_FROM);
        if has_batches {
            walk_batches(points, &mut seeds, options, &mut chance, work)?;
        }
        let iterations = if has_batches { 1 } else { options.iterations_max };
        let found =
            lloyd(points, seeds, &KMeansOptions { iterations_max: iterations, ..*options }, work)?;
        if best.as_ref().is_none_or(|best| found.inertia < best.inertia) {
            best = Some(found);
        }
    }
    best.ok_or(ClusterError::Empty)
}

/// Returns what [`kmeans`] does from given centres, `k` x dimension, without batches.
///
/// # Errors
/// As [`kmeans`]; invalid input for centres of another number.
pub fn kmeans_from(
    points: &Points,
    centres: Vec<f32>,
    options: &KMeansOptions,
    work: &Work<'_>,
) -> Result<KMeans, ClusterError> {
    options.check(points)?;
    let expected = options.k * points.dimension();
    if centres.len() != expected {
        let what = "components of centres";
        return Err(ClusterError::Uneven { what, expected, actual: centres.len() });
    }
    Points::new(centres.clone(), points.dimension())?;
    lloyd(points, centres, options, work)
}

fn lloyd(
    points: &Points,
    centres: Vec<f32>,
    options: &KMeansOptions,
    work: &Work<'_>,
) -> Result<KMeans, ClusterError> {
    let enough = options.tolerance * variance(points);
    let mut state = Assignment::new(points, centres, options.is_spherical);
    let mut iterations = 0;
    while iterations < options.iterations_max {
        work.step("moving centres", iterations, options.iterations_max)?;
        iterations += 1;
        let moved = state.assign(points, work)?;
        let shift = if moved { state.move_centres(points) } else { 0.0 };
        if shift <= enough {
            break;
        }
    }
    state.assign(points, work)?;
    Ok(KMeans::new(points, &state, iterations))
}

impl KMeans {
    fn new(points: &Points, state: &Assignment, iterations: usize) -> Self {
        let raw: Vec<Option<u32>> = state.labels().iter().map(|&label| Some(label)).collect();
        let partition = Partition::new(&raw);
        let dimension = points.dimension();
        let mut centres = vec![0.0; partition.count() * dimension];
        for (label, &place) in partition.labels().iter().zip(state.labels()) {
            let Some(label) = label.map(|label| label as usize) else { continue };
            let centre = state.centre(place as usize);
            centres[label * dimension..(label + 1) * dimension].copy_from_slice(centre);
        }
        let inertia = state.inertia(points);
        Self { partition, centres, inertia, iterations }
    }
}

/// Moves centres towards points of random batches, each the less the more points it has seen (Sculley
/// 2010), until what batches cost no longer falls.
fn walk_batches(
    points: &Points,
    centres: &mut [f32],
    options: &KMeansOptions,
    chance: &mut StdRng,
    work: &Work<'_>,
) -> Result<(), ClusterError> {
    let (count, dimension) = (points.count(), points.dimension());
    let size = (options.k * BATCH_OF_CENTRE).clamp(BATCH.0, BATCH.1).min(count);
    let mut seen = vec![0u64; options.k];
    let mut smoothed: Option<f64> = None;
    let (mut least, mut without_progress) = (f64::INFINITY, 0);
    for batch in 0..BATCHES_MAX {
        work.step("walking batches", batch, BATCHES_MAX)?;
        let mut rows: Vec<u32> = sample(chance, count, size).into_iter().map(row_id).collect();
        rows.sort_unstable();
        let all = Points::new(centres.to_vec(), dimension)?;
        let ids: Vec<u32> = (0..row_id(options.k)).collect();
        let nearest: Vec<(usize, f32)> = rows
            .par_iter()
            .map_init(
                || vec![0.0f32; ids.len()],
                |distances, &row| {
                    all.squared_distances(points.row(row as usize), &ids, distances);
                    least_of(distances)
                },
            )
            .collect();
        let mut cost = 0.0;
        for (&row, &(centre, distance)) in rows.iter().zip(&nearest) {
            cost += f64::from(distance);
            seen[centre] += 1;
            let rate = 1.0 / seen[centre] as f32;
            let centre = &mut centres[centre * dimension..(centre + 1) * dimension];
            for (value, target) in centre.iter_mut().zip(points.row(row as usize)) {
                *value += rate * (target - *value);
            }
        }
        let alpha = (2.0 * size as f64 / (count as f64 + 1.0)).clamp(0.05, 1.0);
        let now = smoothed.map_or(cost, |before| before + alpha * (cost - before));
        smoothed = Some(now);
        without_progress = if now < least { 0 } else { without_progress + 1 };
        least = least.min(now);
        if without_progress >= BATCHES_WITHOUT_PROGRESS {
            break;
        }
    }
    Ok(())
}

fn least_of(distances: &[f32]) -> (usize, f32) {
    distances.iter().copied().enumerate().fold((0, f32::INFINITY), |least, (place, distance)| {
        if distance < least.1 { (place, distance) } else { least }
    })
}

/// Returns the mean variance of a component.
fn variance(points: &Points) -> f64 {
    let (dimension, count) = (points.dimension(), points.count() as f64);
    let mut sums = vec![(0.0f64, 0.0f64); dimension];
    for row in points.values().chunks_exact(dimension) {
        for (sum, &value) in sums.iter_mut().zip(row) {
            sum.0 += f64::from(value);
            sum.1 += f64::from(value).powi(2);
        }
    }
    let of = |sum: &(f64, f64)| (sum.1 / count - (sum.0 / count).powi(2)).max(0.0);
    sums.iter().map(of).sum::<f64>() / dimension as f64
}

/// Returns the clusters of that number of `candidates` that separates best: with the highest mean
/// silhouette of a sample (Rousseeuw 1987).
///
/// # Errors
/// As [`kmeans`]; [`ClusterError::Empty`] without candidates.
pub fn choose_silhouette(
    points: &Points,
    candidates: &[usize],
    options: &KMeansOptions,
    work: &Work<'_>,
) -> Result<KMeans, ClusterError> {
    let mut best: Option<(f64, KMeans)> = None;
    for &k in candidates {
        let found = kmeans(points, &KMeansOptions { k, ..*options }, work)?;
        let labels = found.partition.labels();
        let score = silhouette(points, labels, SILHOUETTE_SAMPLE, work)?.unwrap_or(-1.0);
        if best.as_ref().is_none_or(|best| score > best.0) {
            best = Some((score, found));
        }
    }
    best.map(|best| best.1).ok_or(ClusterError::Empty)
}

/// Returns the clusters of that number of `candidates`, in ascending order, after which more centres
/// help least: where the curve of inertia is farthest below the line between its ends.
///
/// # Errors
/// As [`kmeans`]; [`ClusterError::Empty`] without candidates.
pub fn choose_elbow(
    points: &Points,
    candidates: &[usize],
    options: &KMeansOptions,
    work: &Work<'_>,
) -> Result<KMeans, ClusterError> {
    let mut found = Vec::with_capacity(candidates.len());
    for &k in candidates {
        found.push((k as f64, kmeans(points, &KMeansOptions { k, ..*options }, work)?));
    }
    let (Some(first), Some(last)) = (found.first(), found.last()) else {
        return Err(ClusterError::Empty);
    };
    let (start, end) = ((first.0, first.1.inertia), (last.0, last.1.inertia));
    let below = |k: f64, inertia: f64| {
        let along = if end.0 > start.0 { (k - start.0) / (end.0 - start.0) } else { 0.0 };
        start.1 + along * (end.1 - start.1) - inertia
    };
    let depth = |one: &(f64, KMeans)| below(one.0, one.1.inertia);
    let mut at = 0;
    for place in 1..found.len() {
        if depth(&found[place]) > depth(&found[at]) {
            at = place;
        }
    }
    Ok(found.swap_remove(at).1)
}

#[cfg(test)]
mod tests;
