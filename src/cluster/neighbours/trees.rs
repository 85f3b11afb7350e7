use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rayon::prelude::*;

use super::Near;
use super::lists::Lists;
use crate::cluster::{ClusterError, Points, Work};
use crate::vector::kernel::{self, Rows};

/// Points of a leaf, at least, and how many of them there are for each neighbour that is looked for.
const LEAF_MIN: usize = 128;
const LEAF_OF_WIDTH: usize = 3;
/// Points that a split is found from, and how often their two centres are moved.
const SAMPLE: usize = 64;
const MOVES: usize = 2;
/// The smaller side of a split has at least this share of the points; else they are split in halves.
const SIDE_MIN: f64 = 0.1;
/// From this many points on, the two sides are split by threads of their own.
const PARALLEL_MIN: usize = 8_192;

/// Puts together what lies together: splits the points in two by the nearer of two centres, over and
/// over, until few are left (a tree of random partitions, as Dasgupta and Freund 2008 have it, by
/// 2-means), and compares those pair by pair. Returns the rows in the order of the leaves.
///
/// # Errors
/// [`ClusterError::Interrupted`].
pub(super) fn grow(
    points: &Points,
    lists: &Lists,
    seed: u64,
    work: &Work<'_>,
) -> Result<Vec<u32>, ClusterError> {
    let mut rows: Vec<u32> = (0u32..).take(points.count()).collect();
    let leaf = (lists.width() * LEAF_OF_WIDTH).max(LEAF_MIN);
    split(points, lists, &mut rows, leaf, seed, work)?;
    Ok(rows)
}

fn split(
    points: &Points,
    lists: &Lists,
    rows: &mut [u32],
    leaf: usize,
    seed: u64,
    work: &Work<'_>,
) -> Result<(), ClusterError> {
    if rows.len() <= leaf {
        work.cancel.check()?;
        compare(points, lists, rows);
        return Ok(());
    }
    let mut chance = StdRng::seed_from_u64(seed);
    let (direction, offset) = border(points, rows, &mut chance);
    let place = |&row: &u32| (kernel::dot(points.row(row as usize), &direction) - offset, row);
    let mut placed: Vec<(f32, u32)> = if rows.len() < PARALLEL_MIN {
        rows.iter().map(place).collect()
    } else {
        rows.par_iter().map(place).collect()
    };
    let mut left = placed.iter().filter(|placed| placed.0 < 0.0).count();
    if (left.min(rows.len() - left) as f64) < rows.len() as f64 * SIDE_MIN {
        left = rows.len() / 2;
    }
    let order = |a: &(f32, u32), b: &(f32, u32)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
    placed.select_nth_unstable_by(left, order);
    rows.iter_mut().zip(&placed).for_each(|(row, placed)| *row = placed.1);
    drop(placed);
    let (left, right) = rows.split_at_mut(left);
    let (left_seed, right_seed) = (chance.random(), chance.random());
    if left.len() + right.len() < PARALLEL_MIN {
        split(points, lists, left, leaf, left_seed, work)?;
        return split(points, lists, right, leaf, right_seed, work);
    }
    let (left, right) = rayon::join(
        || split(points, lists, left, leaf, left_seed, work),
        || split(points, lists, right, leaf, right_seed, work),
    );
    left.and(right)
}

/// Returns a direction and how far along it two centres are equally near.
fn border(points: &Points, rows: &[u32], chance: &mut StdRng) -> (Vec<f32>, f32) {
    let mut draw = || points.row(rows[chance.random_range(0..rows.len())] as usize);
    let sample: Vec<&[f32]> = (0..SAMPLE).map(|_| draw()).collect();
    let far = |one: &[f32]| {
        let farther = |a: &&&[f32], b: &&&[f32]| {
            kernel::squared_euclidean(one, a).total_cmp(&kernel::squared_euclidean(one, b))
        };
        sample[SAMPLE / 2..].iter().max_by(farther).map_or(one, |far| far).to_vec()
    };
    let mut centres = [sample[0].to_vec(), far(sample[0])];
    for _ in 0..MOVES {
        let mut sums = [vec![0.0f32; points.dimension()], vec![0.0f32; points.dimension()]];
        let mut counts = [0usize; 2];
        for &row in &sample {
            let [one, two] = &centres;
            let is_second =
                kernel::squared_euclidean(row, two) < kernel::squared_euclidean(row, one);
            kernel::add_scaled(&mut sums[usize::from(is_second)], row, 1.0);
            counts[usize::from(is_second)] += 1;
        }
        for ((centre, sum), count) in centres.iter_mut().zip(sums).zip(counts) {
            if count > 0 {
                *centre = sum.into_iter().map(|sum| sum / count as f32).collect();
            }
        }
    }
    let [one, two] = centres;
    let direction: Vec<f32> = two.iter().zip(&one).map(|(two, one)| two - one).collect();
    let offset = (kernel::dot(&two, &two) - kernel::dot(&one, &one)) / 2.0;
    (direction, offset)
}

/// Compares all pairs of these rows.
fn compare(points: &Points, lists: &Lists, rows: &[u32]) {
    let dimension = points.dimension();
    let count = rows.len();
    let mut values = Vec::with_capacity(count * dimension);
    rows.iter().for_each(|&row| values.extend_from_slice(points.row(row as usize)));
    let gathered = Rows::new(&values, dimension);
    let places: Vec<u32> = (0u32..).take(count).collect();
    let mut distances = vec![0.0f32; count * count];
    for place in 1..count {
        let found = &mut distances[place * count..place * count + place];
        kernel::squared_euclidean_rows(gathered.row(place), gathered, &places[..place], found);
    }
    for place in 1..count {
        for other in 0..place {
            distances[other * count + place] = distances[place * count + other];
        }
    }
    for (place, (&row, distances)) in rows.iter().zip(distances.chunks_exact(count)).enumerate() {
        let near = rows.iter().zip(distances).enumerate();
        let near =
            near.filter(|&(other, (_, &squared))| other != place && lists.takes(row, squared));
        lists.offer(row, near.map(|(_, (&row, &distance))| Near { distance, row }));
    }
}
