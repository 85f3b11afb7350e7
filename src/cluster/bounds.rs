use rayon::prelude::*;

use super::points::row_id;
use super::{ClusterError, Points, Work};
use crate::vector::kernel::{self, Rows};

/// Centres that share a bound; more bounds save more comparisons and take more memory.
const CENTRES_OF_GROUP: usize = 8;
/// The most memory that bounds take.
const BOUNDS_BYTES_MAX: usize = 512 << 20;
/// Rows that one thread takes at a time.
const ROWS_AT_ONCE: usize = 512;
/// Rounds of putting centres that are near each other into one group.
const GROUPING_ROUNDS: usize = 3;

/// Which centre each point is nearest to, with what is known of the others: a point that cannot have
/// come nearer to another centre is not compared (Ding et al. 2015, "Yinyang k-means"). What is
/// returned is what comparing everything returns, up to rounding of distances that are equal.
#[derive(Debug)]
pub(super) struct Assignment {
    dimension: usize,
    is_spherical: bool,
    centres: Vec<f32>,
    /// The first centre of each group, and their number at the end.
    groups: Vec<usize>,
    labels: Vec<u32>,
    /// At most this far is a point from its centre.
    upper: Vec<f32>,
    /// At least this far is it from all other centres of a group; points x groups.
    lower: Vec<f32>,
    /// Sums of the points of each centre, and how many those are.
    sums: Vec<f64>,
    counts: Vec<u64>,
    /// How far each centre moved last.
    drifts: Vec<f32>,
    is_first: bool,
}

impl Assignment {
    /// Returns the state before anything is assigned. Centres are kept in another order.
    pub(super) fn new(points: &Points, mut centres: Vec<f32>, is_spherical: bool) -> Self {
        let (count, dimension) = (points.count(), points.dimension());
        let k = centres.len() / dimension;
        if is_spherical {
            centres.chunks_exact_mut(dimension).for_each(normalize);
        }
        let most = (BOUNDS_BYTES_MAX / (count * size_of::<f32>())).max(1);
        let (centres, groups) = grouped(centres, dimension, k.div_ceil(CENTRES_OF_GROUP).min(most));
        let lower = vec![0.0; count * (groups.len() - 1)];
        Self {
            dimension,
            is_spherical,
            centres,
            groups,
            labels: vec![0; count],
            upper: vec![f32::INFINITY; count],
            lower,
            sums: vec![0.0; k * dimension],
            counts: vec![0; k],
            drifts: vec![0.0; k],
            is_first: true,
        }
    }

    /// Returns the centre of each point.
    pub(super) fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Returns a centre.
    pub(super) fn centre(&self, place: usize) -> &[f32] {
        &self.centres[place * self.dimension..(place + 1) * self.dimension]
    }

    /// Returns the sum of squared distances of points from their centres.
    pub(super) fn inertia(&self, points: &Points) -> f64 {
        let squared = |(row, &label): (usize, &u32)| {
            f64::from(kernel::squared_euclidean(points.row(row), self.centre(label as usize)))
        };
        self.labels.iter().enumerate().map(squared).sum()
    }

    /// Gives each point to its nearest centre; returns whether one changed.
    pub(super) fn assign(
        &mut self,
        points: &Points,
        work: &Work<'_>,
    ) -> Result<bool, ClusterError> {
        let before = self.labels.clone();
        let width = self.groups.len() - 1;
        let drifts = Drifts::new(&self.drifts, &self.groups);
        let (centres, groups) = (Rows::new(&self.centres, self.dimension), &self.groups);
        let ids: Vec<u32> = (0..row_id(self.drifts.len())).collect();
        self.labels
            .par_chunks_mut(ROWS_AT_ONCE)
            .zip(self.upper.par_chunks_mut(ROWS_AT_ONCE))
            .zip(self.lower.par_chunks_mut(ROWS_AT_ONCE * width))
            .enumerate()
            .try_for_each(|(chunk, ((labels, upper), lower))| {
                work.cancel.check()?;
                let mut distances = vec![0.0f32; ids.len()];
                for (place, lower) in lower.chunks_exact_mut(width).enumerate() {
                    let point = points.row(chunk * ROWS_AT_ONCE + place);
                    let bounds = Bounds { upper: &mut upper[place], lower };
                    let found = Nearest { point, centres, groups, ids: &ids };
                    labels[place] = found.label(labels[place], bounds, &drifts, &mut distances);
                }
                Ok::<(), ClusterError>(())
            })?;
        self.drifts.fill(0.0);
        let mut has_moved = self.is_first;
        for (row, (&old, &new)) in before.iter().zip(&self.labels).enumerate() {
            if old != new || self.is_first {
                has_moved = true;
                let point = points.row(row);
                if !self.is_first {
                    self.counts[old as usize] -= 1;
                    add(&mut self.sums, old as usize, point, -1.0);
                }
                self.counts[new as usize] += 1;
                add(&mut self.sums, new as usize, point, 1.0);
            }
        }
        self.is_first = false;
        Ok(has_moved)
    }

    /// Moves each centre to the mean of its points, and one that has none to the point that is
    /// farthest from its own; returns the sum of the squared moves.
    pub(super) fn move_centres(&mut self, points: &Points) -> f64 {
        self.fill_empty(points);
        let mut moves = 0.0;
        let mut next = vec![0.0f32; self.dimension];
        for place in 0..self.counts.len() {
            let range = place * self.dimension..(place + 1) * self.dimension;
            let count = self.counts[place] as f64;
            if count == 0.0 {
                continue;
            }
            for (value, sum) in next.iter_mut().zip(&self.sums[range.clone()]) {
                #[expect(clippy::cast_possible_truncation, reason = "a mean of such values is one")]
                let mean = (sum / count) as f32;
                *value = mean;
            }
            if self.is_spherical {
                normalize(&mut next);
            }
            let centre = &mut self.centres[range];
            let moved = kernel::squared_euclidean(centre, &next);
            centre.copy_from_slice(&next);
            moves += f64::from(moved);
            self.drifts[place] = moved.sqrt();
        }
        moves
    }

    fn fill_empty(&mut self, points: &Points) {
        let empty: Vec<usize> = (0..self.counts.len()).filter(|&at| self.counts[at] == 0).collect();
        if empty.is_empty() {
            return;
        }
        let distance = |(row, &label): (usize, &u32)| {
            let centre = self.centre(label as usize);
            (kernel::squared_euclidean(points.row(row), centre), row)
        };
        let mut far: Vec<(f32, usize)> = self.labels.iter().enumerate().map(distance).collect();
        far.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for (place, (_, row)) in empty.into_iter().zip(far) {
            let old = self.labels[row] as usize;
            if self.counts[old] > 1 {
                self.counts[old] -= 1;
                self.counts[place] += 1;
                add(&mut self.sums, old, points.row(row), -1.0);
                add(&mut self.sums, place, points.row(row), 1.0);
                self.labels[row] = row_id(place);
            }
        }
        // What was known of distances does not hold for points that changed their centre by force.
        self.upper.fill(f32::INFINITY);
        self.lower.fill(0.0);
    }
}

/// What is known of a point's distances.
struct Bounds<'a> {
    upper: &'a mut f32,
    lower: &'a mut [f32],
}

/// How far centres moved.
struct Drifts<'a> {
    of: &'a [f32],
    most_of_group: Vec<f32>,
}

impl<'a> Drifts<'a> {
    fn new(of: &'a [f32], groups: &[usize]) -> Self {
        let most = |range: &[usize]| of[range[0]..range[1]].iter().copied().fold(0.0, f32::max);
        Self { of, most_of_group: groups.windows(2).map(most).collect() }
    }
}

/// The search for the nearest centre of a point.
struct Nearest<'a> {
    point: &'a [f32],
    centres: Rows<'a, f32>,
    groups: &'a [usize],
    ids: &'a [u32],
}

impl Nearest<'_> {
    /// Returns the nearest centre, and notes what was learned.
    fn label(&self, label: u32, bounds: Bounds<'_>, drifts: &Drifts<'_>, out: &mut [f32]) -> u32 {
        let Bounds { upper, lower } = bounds;
        *upper += drifts.of[label as usize];
        let mut least = f32::INFINITY;
        for (bound, drift) in lower.iter_mut().zip(&drifts.most_of_group) {
            *bound = (*bound - drift).max(0.0);
            least = least.min(*bound);
        }
        if *upper < least {
            return label;
        }
        let own = kernel::squared_euclidean(self.point, self.centres.row(label as usize)).sqrt();
        *upper = own;
        if own < least {
            return label;
        }
        let mut best = (own, label);
        for group in 0..lower.len() {
            if lower[group] > best.0 {
                continue;
            }
            let range = self.groups[group]..self.groups[group + 1];
            let distances = &mut out[range.clone()];
            let ids = &self.ids[range.clone()];
            kernel::squared_euclidean_rows(self.point, self.centres, ids, distances);
            // The two nearest of the group: all but the nearest are no nearer than the second.
            let (mut first, mut second) = ((f32::INFINITY, 0), f32::INFINITY);
            for (&id, &squared) in ids.iter().zip(distances.iter()) {
                if squared < first.0 {
                    second = first.0;
                    first = (squared, id);
                } else if squared < second {
                    second = squared;
                }
            }
            let (first, second) = ((first.0.sqrt(), first.1), second.sqrt());
            if first.0 < best.0 || first.1 == best.1 {
                // The one that was best so far is now one of the others of its group.
                let lost = (best.1 != first.1).then_some(best);
                best = first;
                lower[group] = second;
                if let Some((distance, id)) = lost {
                    self.note(lower, id, distance);
                }
            } else {
                lower[group] = first.0;
            }
        }
        *upper = best.0;
        best.1
    }

    /// Notes that a centre which is no longer a point's own is at this distance.
    fn note(&self, lower: &mut [f32], centre: u32, distance: f32) {
        let group = self.groups.partition_point(|&first| first <= centre as usize) - 1;
        lower[group] = lower[group].min(distance);
    }
}

fn add(sums: &mut [f64], place: usize, point: &[f32], sign: f64) {
    let sums = &mut sums[place * point.len()..(place + 1) * point.len()];
    for (sum, &value) in sums.iter_mut().zip(point) {
        *sum += sign * f64::from(value);
    }
}

fn normalize(values: &mut [f32]) {
    let length = kernel::dot(values, values).sqrt();
    if length > 0.0 {
        values.iter_mut().for_each(|value| *value /= length);
    }
}

/// Returns the centres ordered by groups of centres that are near each other, and where each group
/// starts.
fn grouped(centres: Vec<f32>, dimension: usize, groups: usize) -> (Vec<f32>, Vec<usize>) {
    let k = centres.len() / dimension;
    if groups <= 1 {
        return (centres, vec![0, k]);
    }
    let rows = Rows::new(&centres, dimension);
    let mut means: Vec<f32> =
        (0..groups).flat_map(|group| rows.row(group * k / groups)).copied().collect();
    let mut group_of = vec![0usize; k];
    for _ in 0..GROUPING_ROUNDS {
        let distance = |row: usize, group: usize| {
            kernel::squared_euclidean(rows.row(row), &means[group * dimension..][..dimension])
        };
        for (row, group) in group_of.iter_mut().enumerate() {
            let nearer = |a: &usize, b: &usize| distance(row, *a).total_cmp(&distance(row, *b));
            *group = (0..groups).min_by(nearer).unwrap_or(0);
        }
        for group in 0..groups {
            let members: Vec<usize> = (0..k).filter(|&row| group_of[row] == group).collect();
            let mean = &mut means[group * dimension..][..dimension];
            if !members.is_empty() {
                mean.fill(0.0);
                for &row in &members {
                    mean.iter_mut().zip(rows.row(row)).for_each(|(sum, value)| *sum += value);
                }
                mean.iter_mut().for_each(|sum| *sum /= members.len() as f32);
            }
        }
    }
    let mut order: Vec<usize> = (0..k).collect();
    order.sort_by_key(|&row| group_of[row]);
    let ordered = order.iter().flat_map(|&row| rows.row(row)).copied().collect();
    let mut starts = vec![0];
    for place in 1..k {
        if group_of[order[place]] != group_of[order[place - 1]] {
            starts.push(place);
        }
    }
    starts.push(k);
    (ordered, starts)
}
