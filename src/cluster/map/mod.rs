use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rayon::prelude::*;

use super::points::row_id;
use super::{ClusterError, NeighbourGraph, Points, Work};
use crate::vector::kernel;

/// How wide the first layout is.
const EXTENT: f64 = 10.0;
/// Rounds of looking for the directions of most variance, and points they are looked for in.
const POWER_ROUNDS: usize = 30;
const POWER_SAMPLE: usize = 5_000;
/// Rounds of looking for the scale of a point's distances.
const SCALE_ROUNDS: usize = 64;
/// Points that are pushed away for each pair that is drawn together.
const NEGATIVE_SAMPLES: usize = 5;
/// No move in one step is longer.
const STEP_MAX: f32 = 4.0;
/// Sets of at most this many points are walked longer.
const SMALL_SETS: usize = 10_000;

/// Where points lie on a plane: x and y of each.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout(pub Vec<[f32; 2]>);

/// How a map is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MapOptions {
    /// How near points come to each other, 0 to 1: lower packs tighter.
    pub distance_min: f64,
    /// How often each edge is walked, decided by the number of points if not said. At most 10,000.
    pub epochs: Option<usize>,
}

impl Default for MapOptions {
    fn default() -> Self {
        Self { distance_min: 0.1, epochs: None }
    }
}

/// Returns a layout on a plane in which neighbours stay neighbours (UMAP; McInnes, Healy, Melville
/// 2018): the graph's edges get a strength that falls with distance in the scale of each point, then
/// joined points are drawn together and others pushed apart, from a start along the two directions of
/// most variance. One thread, so that a seed decides everything.
///
/// # Errors
/// [`ClusterError`]: invalid input for options out of range or a graph of other points; cancelled.
pub fn map(
    points: &Points,
    graph: &NeighbourGraph,
    options: &MapOptions,
    work: &Work<'_>,
) -> Result<Layout, ClusterError> {
    ClusterError::require("distance_min", options.distance_min, 0.0, 1.0)?;
    let count = points.count();
    if graph.count() != count {
        let (what, actual) = ("points in the graph", graph.count());
        return Err(ClusterError::Uneven { what, expected: count, actual });
    }
    let epochs = options.epochs.unwrap_or(if count <= SMALL_SETS { 500 } else { 200 });
    ClusterError::require("epochs", epochs as f64, 1.0, 10_000.0)?;
    let mut chance = StdRng::seed_from_u64(work.seed);
    let mut places = start(points, &mut chance, work)?;
    let edges = strengths(graph);
    let curve = Curve::fit(options.distance_min);
    walk(&mut places, &edges, curve, epochs, &mut chance, work)?;
    Ok(Layout(places))
}

/// Returns the edges of the fuzzy union of what each point holds of its neighbours, each once.
fn strengths(graph: &NeighbourGraph) -> Vec<(u32, u32, f32)> {
    let scales: Vec<(f32, f32)> = (0..graph.count()).map(|row| scale(graph, row)).collect();
    let held = |from: u32, distance: f32| {
        let (nearest, width) = scales[from as usize];
        let beyond = distance - nearest;
        if beyond <= 0.0 || width <= 0.0 { 1.0 } else { (-beyond / width).exp() }
    };
    graph
        .pairs()
        .map(|(a, b, distance)| {
            let one = held(a, distance);
            let other = if graph.has(b as usize, a) { held(b, distance) } else { 0.0 };
            (a, b, one + other - one * other)
        })
        .collect()
}

/// Returns the distance of the nearest other place, and the width over which what a point holds of
/// its neighbours falls so that it sums to the binary logarithm of their number.
fn scale(graph: &NeighbourGraph, row: usize) -> (f32, f32) {
    let distances: Vec<f64> = graph.of(row).map(|near| f64::from(near.1)).collect();
    let nearest = distances.iter().copied().find(|&distance| distance > 0.0).unwrap_or(0.0);
    let target = (distances.len() as f64).log2();
    let (mut low, mut high, mut width) = (0.0f64, f64::INFINITY, 1.0f64);
    for _ in 0..SCALE_ROUNDS {
        let beyond = |distance: &f64| (-(distance - nearest).max(0.0) / width).exp();
        let sum: f64 = distances.iter().map(beyond).sum();
        if (sum - target).abs() < 1e-5 {
            break;
        }
        if sum > target {
            high = width;
            width = f64::midpoint(low, high);
        } else {
            low = width;
            width = if high.is_finite() { f64::midpoint(low, high) } else { width * 2.0 };
        }
    }
    let mean = distances.iter().sum::<f64>() / distances.len().max(1) as f64;
    #[expect(clippy::cast_possible_truncation, reason = "made of distances in single precision")]
    let scale = (nearest as f32, width.max(1e-3 * mean) as f32);
    scale
}

/// Returns the points along the two directions of most variance, scaled to [`EXTENT`], a little
/// shaken so that no two lie on each other.
fn start(
    points: &Points,
    chance: &mut StdRng,
    work: &Work<'_>,
) -> Result<Vec<[f32; 2]>, ClusterError> {
    let dimension = points.dimension();
    let sample = points.of(&points.spread(POWER_SAMPLE));
    let mut mean = vec![0.0f32; dimension];
    for row in 0..sample.count() {
        add(&mut mean, sample.row(row), 1.0 / sample.count() as f32);
    }
    let mut directions: Vec<Vec<f32>> = Vec::new();
    for _ in 0..2 {
        let mut direction: Vec<f32> =
            (0..dimension).map(|_| chance.random::<f32>() - 0.5).collect();
        for _ in 0..POWER_ROUNDS {
            work.cancel.check()?;
            let mut next = vec![0.0f32; dimension];
            let offset = kernel::dot(&mean, &direction);
            for row in 0..sample.count() {
                let along = kernel::dot(sample.row(row), &direction) - offset;
                add(&mut next, sample.row(row), along);
                add(&mut next, &mean, -along);
            }
            for other in &directions {
                let along = kernel::dot(&next, other);
                add(&mut next, other, -along);
            }
            let length = kernel::dot(&next, &next).sqrt();
            if length <= f32::MIN_POSITIVE {
                break;
            }
            next.iter_mut().for_each(|value| *value /= length);
            direction = next;
        }
        directions.push(direction);
    }
    let along = |row: usize, direction: &[f32]| {
        kernel::dot(points.row(row), direction) - kernel::dot(&mean, direction)
    };
    let mut places: Vec<[f32; 2]> = (0..points.count())
        .map(|row| [along(row, &directions[0]), along(row, &directions[1])])
        .collect();
    let most = places.iter().flatten().fold(0.0f32, |most, value| most.max(value.abs()));
    #[expect(clippy::cast_possible_truncation, reason = "a small constant")]
    let stretch = if most > 0.0 { EXTENT as f32 / most } else { 0.0 };
    for value in places.iter_mut().flatten() {
        *value = *value * stretch + (chance.random::<f32>() - 0.5) * 1e-3;
    }
    Ok(places)
}

fn add(to: &mut [f32], values: &[f32], factor: f32) {
    to.iter_mut().zip(values).for_each(|(sum, value)| *sum += factor * value);
}

/// How near two points of the plane count as: 1 / (1 + a d^(2b)).
#[derive(Debug, Clone, Copy)]
struct Curve {
    a: f32,
    b: f32,
}

impl Curve {
    /// Returns the curve that is nearest, in squares, to one that stays at 1 up to `distance_min` and
    /// then falls as an exponential does (Gauss-Newton in the logarithm of a, and b).
    fn fit(distance_min: f64) -> Self {
        let samples: Vec<(f64, f64)> = (1..300)
            .map(|step| {
                let distance = f64::from(step) * 0.01;
                let beyond = (distance - distance_min).max(0.0);
                (distance, (-beyond).exp())
            })
            .collect();
        let value = |log_a: f64, b: f64, distance: f64| {
            1.0 / (1.0 + (log_a + 2.0 * b * distance.ln()).exp())
        };
        let error = |log_a: f64, b: f64| -> f64 {
            samples.iter().map(|&(x, y)| (value(log_a, b, x) - y).powi(2)).sum()
        };
        let (mut log_a, mut b, mut damping) = (0.0f64, 1.0f64, 1e-3);
        for _ in 0..200 {
            // Normal equations of two unknowns, damped (Levenberg-Marquardt).
            let (mut aa, mut ab, mut bb, mut ga, mut gb) = (0.0, 0.0, 0.0, 0.0, 0.0);
            for &(x, y) in &samples {
                let value = value(log_a, b, x);
                let slope = -value * (1.0 - value);
                let (da, db) = (slope, slope * 2.0 * x.ln());
                let left = y - value;
                aa += da * da;
                ab += da * db;
                bb += db * db;
                ga += da * left;
                gb += db * left;
            }
            let (aa, bb) = (aa * (1.0 + damping), bb * (1.0 + damping));
            let determinant = aa * bb - ab * ab;
            if determinant.abs() < 1e-300 {
                break;
            }
            let (step_a, step_b) =
                ((bb * ga - ab * gb) / determinant, (aa * gb - ab * ga) / determinant);
            if error(log_a + step_a, b + step_b) < error(log_a, b) {
                (log_a, b, damping) = (log_a + step_a, b + step_b, damping / 3.0);
            } else {
                damping *= 4.0;
            }
        }
        #[expect(clippy::cast_possible_truncation, reason = "two numbers near one")]
        let curve = Self { a: log_a.exp() as f32, b: b as f32 };
        curve
    }
}

/// Walks the edges, each as often as its strength says: draws its ends together, and pushes one of
/// them away from points drawn at random.
fn walk(
    places: &mut [[f32; 2]],
    edges: &[(u32, u32, f32)],
    curve: Curve,
    epochs: usize,
    chance: &mut StdRng,
    work: &Work<'_>,
) -> Result<(), ClusterError> {
    let strongest = edges.iter().map(|edge| edge.2).fold(0.0f32, f32::max);
    let mut due = vec![0.0f32; edges.len()];
    let count = places.len();
    for epoch in 0..epochs {
        work.step("drawing the map", epoch, epochs)?;
        let rate = 1.0 - epoch as f32 / epochs as f32;
        for (&(a, b, strength), due) in edges.iter().zip(&mut due) {
            *due += strength / strongest;
            if *due < 1.0 {
                continue;
            }
            *due -= 1.0;
            let (a, b) = (a as usize, b as usize);
            pull(places, a, b, curve, rate);
            // Both ends take their turn, as if the edge stood with each.
            let from = if epoch % 2 == 0 { a } else { b };
            for _ in 0..2 * NEGATIVE_SAMPLES {
                let other = chance.random_range(0..count);
                if other != from {
                    push(places, from, other, curve, rate);
                }
            }
            pull(places, b, a, curve, rate);
        }
    }
    Ok(())
}

fn pull(places: &mut [[f32; 2]], a: usize, b: usize, curve: Curve, rate: f32) {
    let ([ax, ay], [bx, by]) = (places[a], places[b]);
    let (dx, dy) = (ax - bx, ay - by);
    let squared = dx * dx + dy * dy;
    if squared <= 0.0 {
        return;
    }
    let power = squared.powf(curve.b);
    let force = -2.0 * curve.a * curve.b * power / squared / (curve.a * power + 1.0);
    for (axis, difference) in [dx, dy].into_iter().enumerate() {
        let step = (force * difference).clamp(-STEP_MAX, STEP_MAX) * rate;
        places[a][axis] += step;
        places[b][axis] -= step;
    }
}

fn push(places: &mut [[f32; 2]], from: usize, other: usize, curve: Curve, rate: f32) {
    let ([ax, ay], [bx, by]) = (places[from], places[other]);
    let (dx, dy) = (ax - bx, ay - by);
    let squared = dx * dx + dy * dy;
    let power = squared.powf(curve.b);
    let force = 2.0 * curve.b / ((0.001 + squared) * (curve.a * power + 1.0));
    for (axis, difference) in [dx, dy].into_iter().enumerate() {
        let step =
            if squared > 0.0 { (force * difference).clamp(-STEP_MAX, STEP_MAX) } else { 0.0 };
        places[from][axis] += step * rate;
    }
}

/// Returns how far the `k` nearest of a point on the plane are among its nearest in truth, 0 to 1: one
/// minus a penalty for each by how much farther it is than the `k`-th (Venna and Kaski 2001). Of at
/// most `sample_max` points, spread evenly; all others are looked at for each.
///
/// # Errors
/// [`ClusterError`]: invalid input for a layout of other points, or a `k` that is not less than half
/// of them; cancelled.
pub fn trustworthiness(
    points: &Points,
    layout: &Layout,
    k: usize,
    sample_max: usize,
    work: &Work<'_>,
) -> Result<f64, ClusterError> {
    let count = points.count();
    if layout.0.len() != count {
        let (what, actual) = ("places", layout.0.len());
        return Err(ClusterError::Uneven { what, expected: count, actual });
    }
    ClusterError::require("k", k as f64, 1.0, (count as f64 / 2.0 - 0.5).max(0.0))?;
    let rows: Vec<u32> = (0..row_id(count)).collect();
    let taken = points.spread(sample_max);
    let penalties = taken
        .par_iter()
        .map(|&row| {
            work.cancel.check()?;
            let mut squared = vec![0.0f32; count];
            points.squared_distances(points.row(row as usize), &rows, &mut squared);
            let [x, y] = layout.0[row as usize];
            let on_plane = |other: u32| {
                let [ox, oy] = layout.0[other as usize];
                let (dx, dy) = (f64::from(x) - f64::from(ox), f64::from(y) - f64::from(oy));
                dx * dx + dy * dy
            };
            let mut near: Vec<(f64, u32)> = rows
                .iter()
                .filter(|&&other| other != row)
                .map(|&other| (on_plane(other), other))
                .collect();
            near.select_nth_unstable_by(k - 1, |a, b| a.0.total_cmp(&b.0));
            let rank = |other: u32| {
                let own = squared[other as usize];
                let before = |&(at, &squared): &(usize, &f32)| {
                    at != row as usize && (squared < own || (squared == own && at < other as usize))
                };
                squared.iter().enumerate().filter(before).count() + 1
            };
            let beyond = near[..k].iter().map(|near| rank(near.1).saturating_sub(k) as f64);
            Ok(beyond.sum::<f64>())
        })
        .collect::<Result<Vec<f64>, ClusterError>>()?;
    let (n, neighbours) = (count as f64, k as f64);
    let mean = penalties.iter().sum::<f64>() / penalties.len() as f64;
    Ok(1.0 - mean * 2.0 / (neighbours * (2.0 * n - 3.0 * neighbours - 1.0)))
}

#[cfg(test)]
mod tests;
