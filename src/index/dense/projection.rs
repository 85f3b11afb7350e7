use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::vector::{Metric, kernel};

/// How many rows the directions are computed from, and how many passes over them are made; a
/// direction of little weight that is missed costs little.
const SAMPLE_ROWS: usize = 8_192;
const PASSES: usize = 12;

/// A vector in fewer components: those along which the rows differ most, after the mean was taken
/// away. Products of what remains estimate the products of the whole (Tepper et al. 2023,
/// "LeanVec", without its training on queries).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Projection {
    /// What is taken away first.
    pub(super) mean: Vec<f32>,
    /// Orthonormal rows of the dimension, as many as components remain; empty keeps the components
    /// as they are.
    pub(super) basis: Vec<f32>,
}

impl Projection {
    /// Returns the projection that only takes the mean away.
    pub(super) fn centred(rows: &[&[f32]], dimension: usize) -> Self {
        let mut sums = vec![0.0f64; dimension];
        for row in rows {
            for (sum, &value) in sums.iter_mut().zip(*row) {
                *sum += f64::from(value);
            }
        }
        let count = rows.len().max(1) as f64;
        #[expect(clippy::cast_possible_truncation, reason = "a component is single precision")]
        let mean = sums.iter().map(|sum| (sum / count) as f32).collect();
        Self { mean, basis: Vec::new() }
    }

    /// Returns this projection followed by the directions along which the rows of that covariance
    /// differ most, turned among themselves so that every component has a like share.
    pub(super) fn reduced(&self, covariance: &[f32], components: usize, seed: u64) -> Self {
        let dimension = self.mean.len();
        let mut random = StdRng::seed_from_u64(seed);
        let mut basis = gaussian(components * dimension, &mut random);
        orthonormalise(&mut basis, dimension);
        let mut image = vec![0.0; basis.len()];
        for _ in 0..PASSES {
            for (direction, out) in
                basis.chunks_exact(dimension).zip(image.chunks_exact_mut(dimension))
            {
                for (value, row) in out.iter_mut().zip(covariance.chunks_exact(dimension)) {
                    *value = kernel::dot(direction, row);
                }
            }
            std::mem::swap(&mut basis, &mut image);
            orthonormalise(&mut basis, dimension);
        }
        let mut turn = gaussian(components * components, &mut random);
        orthonormalise(&mut turn, components);
        let mut turned = vec![0.0; basis.len()];
        for (weights, out) in turn.chunks_exact(components).zip(turned.chunks_exact_mut(dimension))
        {
            for (&weight, direction) in weights.iter().zip(basis.chunks_exact(dimension)) {
                add_scaled(out, weight, direction);
            }
        }
        Self { mean: self.mean.clone(), basis: turned }
    }

    /// Returns the covariance of a sample of the rows, `dimension` x `dimension`, up to a factor.
    pub(super) fn covariance(&self, rows: &[&[f32]], seed: u64) -> Vec<f32> {
        let dimension = self.mean.len();
        let mut random = StdRng::seed_from_u64(seed);
        let count = rows.len().min(SAMPLE_ROWS);
        // Columns are kept together, so that an entry is the inner product of two of them.
        let mut columns = vec![0.0f32; dimension * count];
        for sample in 0..count {
            let index =
                if count == rows.len() { sample } else { random.random_range(0..rows.len()) };
            for (component, (&value, &mean)) in rows[index].iter().zip(&self.mean).enumerate() {
                columns[component * count + sample] = value - mean;
            }
        }
        let column = |index: usize| &columns[index * count..(index + 1) * count];
        let mut covariance = vec![0.0; dimension * dimension];
        for a in 0..dimension {
            for b in 0..=a {
                let entry = kernel::dot(column(a), column(b));
                covariance[a * dimension + b] = entry;
                covariance[b * dimension + a] = entry;
            }
        }
        covariance
    }

    /// Returns how many components remain.
    pub(super) fn components(&self) -> usize {
        if self.basis.is_empty() { self.mean.len() } else { self.basis.len() / self.mean.len() }
    }

    /// Writes the components that remain of a row.
    pub(super) fn apply(&self, vector: &[f32], centred: &mut Vec<f32>, out: &mut Vec<f32>) {
        centred.clear();
        centred.extend(vector.iter().zip(&self.mean).map(|(value, mean)| value - mean));
        self.turn(centred, out);
    }

    /// Writes what of a query is compared with projected rows. For inner products the mean is not
    /// taken away: products with rows are then less by a number that is the same for all rows.
    pub(super) fn apply_to_query(
        &self,
        metric: Metric,
        vector: &[f32],
        centred: &mut Vec<f32>,
        out: &mut Vec<f32>,
    ) {
        match metric {
            Metric::Cosine | Metric::Dot => self.turn(vector, out),
            Metric::Euclidean => self.apply(vector, centred, out),
        }
    }

    fn turn(&self, vector: &[f32], out: &mut Vec<f32>) {
        out.clear();
        if self.basis.is_empty() {
            out.extend_from_slice(vector);
        } else {
            out.extend(
                self.basis
                    .chunks_exact(vector.len())
                    .map(|direction| kernel::dot(direction, vector)),
            );
        }
    }
}

fn gaussian(count: usize, random: &mut StdRng) -> Vec<f32> {
    // Sums of uniform numbers are near enough to normal ones for a random direction.
    (0..count).map(|_| (0..6).map(|_| random.random_range(-1.0f32..1.0)).sum()).collect()
}

/// Makes rows orthogonal and of length one. Rows that depend on others become zero.
fn orthonormalise(rows: &mut [f32], width: usize) {
    for index in 0..rows.len() / width {
        let (before, rest) = rows.split_at_mut(index * width);
        let row = &mut rest[..width];
        let length_before = kernel::dot(row, row).sqrt();
        // The second round takes away what rounding left of the first.
        for _ in 0..2 {
            for other in before.chunks_exact(width) {
                add_scaled(row, -kernel::dot(row, other), other);
            }
        }
        let length = kernel::dot(row, row).sqrt();
        let scale = if length > length_before * 1e-5 { 1.0 / length } else { 0.0 };
        for value in row {
            *value *= scale;
        }
    }
}

fn add_scaled(row: &mut [f32], weight: f32, other: &[f32]) {
    for (value, &added) in row.iter_mut().zip(other) {
        *value += weight * added;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of 24 components that differ in four directions, and hardly in others.
    fn flat(count: usize) -> Vec<Vec<f32>> {
        let mut random = StdRng::seed_from_u64(1);
        let directions = gaussian(4 * 24, &mut random);
        (0..count)
            .map(|_| {
                let mut vector: Vec<f32> =
                    (0..24).map(|_| 3.0 + random.random_range(-0.01..0.01)).collect();
                for direction in directions.chunks_exact(24) {
                    add_scaled(&mut vector, random.random_range(-1.0..1.0), direction);
                }
                vector
            })
            .collect()
    }

    #[test]
    fn distances_survive_where_the_rows_differ_in_few_directions() {
        let vectors = flat(200);
        let rows: Vec<&[f32]> = vectors.iter().map(Vec::as_slice).collect();
        let centred = Projection::centred(&rows, 24);
        let reduced = centred.reduced(&centred.covariance(&rows, 1), 6, 2);
        assert_eq!((centred.components(), reduced.components()), (24, 6));
        let (mut centre, mut a, mut b) = (Vec::new(), Vec::new(), Vec::new());
        for pair in rows.windows(2) {
            reduced.apply(pair[0], &mut centre, &mut a);
            reduced.apply(pair[1], &mut centre, &mut b);
            let expected = kernel::squared_euclidean(pair[0], pair[1]);
            assert!((kernel::squared_euclidean(&a, &b) - expected).abs() < 0.05);
        }
    }

    #[test]
    fn rows_that_depend_on_others_become_zero() {
        let mut rows = [1.0, 2.0, 2.0, 2.0, 4.0, 4.0, 0.0, 0.0, 5.0];
        orthonormalise(&mut rows, 3);
        assert_eq!(rows[3..6], [0.0; 3]);
        assert!(kernel::dot(&rows[..3], &rows[6..]).abs() < 1e-6);
        assert!((kernel::dot(&rows[6..], &rows[6..]) - 1.0).abs() < 1e-6);
    }
}
