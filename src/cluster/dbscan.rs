use super::points::row_id;
use super::{Adjacency, ClusterError, EXACT_MAX, NeighbourGraph, Partition, Points, Work};

/// What counts as a cluster of [`dbscan`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DbscanOptions {
    /// How far apart neighbours are at most (Euclidean).
    pub radius: f32,
    /// How many points, itself included, a core point has within the radius. At least 1.
    pub min_samples: usize,
}

/// Returns the clusters of points that are reached from core points by steps within a radius (Ester
/// et al. 1996); a point within reach of two clusters goes to the one whose first row is lower.
///
/// Up to [`EXACT_MAX`] points are compared pair by pair; beyond, only those in the graph count.
///
/// # Errors
/// [`ClusterError`]: invalid input for options out of range, or a graph of other points or with fewer
/// neighbours than `min_samples` asks for; cancelled.
pub fn dbscan(
    points: &Points,
    graph: Option<&NeighbourGraph>,
    options: &DbscanOptions,
    work: &Work<'_>,
) -> Result<Partition, ClusterError> {
    let count = points.count();
    ClusterError::require("radius", f64::from(options.radius), 0.0, f64::from(f32::MAX))?;
    ClusterError::require("min_samples", options.min_samples as f64, 1.0, f64::from(u32::MAX))?;
    match graph.filter(|_| count > EXACT_MAX) {
        Some(graph) => {
            if graph.count() != count || graph.width() + 1 < options.min_samples {
                let what = "points with that many neighbours in the graph";
                return Err(ClusterError::Uneven { what, expected: count, actual: graph.count() });
            }
            // The graph has an edge from one end only where the other has nearer neighbours.
            let within = graph.pairs().filter(|pair| pair.2 <= options.radius);
            let links = Adjacency::new(count, within);
            grow(count, options.min_samples, work, |row, found| {
                found.extend(links.of(row as usize).map(|link| link.0).chain([row]));
            })
        }
        None => {
            let rows: Vec<u32> = (0..row_id(count)).collect();
            let mut distances = vec![0.0f32; count];
            let radius_squared = options.radius * options.radius;
            grow(count, options.min_samples, work, |row, found| {
                points.squared_distances(points.row(row as usize), &rows, &mut distances);
                let near = rows.iter().zip(&distances).filter(|near| *near.1 <= radius_squared);
                found.extend(near.map(|near| near.0));
            })
        }
    }
}

/// Grows a cluster from each core point that is in none yet. `neighbours` is asked once for each
/// point, and gives the point itself too.
fn grow(
    count: usize,
    min_samples: usize,
    work: &Work<'_>,
    mut neighbours: impl FnMut(u32, &mut Vec<u32>),
) -> Result<Partition, ClusterError> {
    let mut labels: Vec<Option<u32>> = vec![None; count];
    let mut is_known = vec![false; count];
    let mut found = Vec::new();
    let mut looked_at = 0;
    let mut look = |row: u32, is_known: &mut [bool], waiting: &mut Vec<u32>| {
        if std::mem::replace(&mut is_known[row as usize], true) {
            return Ok(false);
        }
        work.step("growing clusters", looked_at, count)?;
        looked_at += 1;
        found.clear();
        neighbours(row, &mut found);
        let is_core = found.len() >= min_samples;
        if is_core {
            waiting.extend_from_slice(&found);
        }
        Ok::<bool, ClusterError>(is_core)
    };
    let mut next = 0;
    let mut waiting = Vec::new();
    for start in 0..row_id(count) {
        if labels[start as usize].is_some() || !look(start, &mut is_known, &mut waiting)? {
            continue;
        }
        labels[start as usize] = Some(next);
        while let Some(row) = waiting.pop() {
            if labels[row as usize].is_none() {
                labels[row as usize] = Some(next);
                look(row, &mut is_known, &mut waiting)?;
            }
        }
        next += 1;
    }
    Ok(Partition::new(&labels))
}

#[cfg(test)]
mod tests {
    use super::super::reference::{assert_same, labels, reference, set};
    use super::super::work::unwatched;
    use super::*;
    use crate::cancel::Cancellation;

    #[test]
    fn clusters_are_those_of_scikit_learn() {
        let cancel = Cancellation::new();
        assert_eq!(reference().dbscan.len(), 9);
        for case in &reference().dbscan {
            let (points, _) = set(&case.set);
            let options = DbscanOptions { radius: case.radius, min_samples: case.min_samples };
            let found = dbscan(&points, None, &options, &unwatched(&cancel)).unwrap();
            let what = format!("{} {options:?}", case.set);
            assert_same(&what, found.labels(), &labels(&case.labels));
        }
    }

    #[test]
    fn over_a_graph_of_all_neighbours_the_clusters_are_the_same() {
        let mut values: Vec<f32> = (0..6_000).map(|row| row as f32 * 0.01).collect();
        values.extend((0..6_000).map(|row| 100.0 + row as f32 * 0.01));
        values.push(80.0);
        let (points, cancel) = (Points::new(values, 1).unwrap(), Cancellation::new());
        let work = unwatched(&cancel);
        assert!(points.count() > EXACT_MAX);
        let graph = NeighbourGraph::nearest(&points, 8, &work).unwrap();
        let options = DbscanOptions { radius: 0.015, min_samples: 3 };
        let found = dbscan(&points, Some(&graph), &options, &work).unwrap();
        assert_eq!((found.sizes(), found.noise()), (&[6_000, 6_000][..], 1));
    }

    #[test]
    fn a_radius_that_is_no_number_is_refused() {
        let (points, cancel) = (Points::new(vec![0.0, 1.0], 1).unwrap(), Cancellation::new());
        let options = DbscanOptions { radius: f32::NAN, min_samples: 1 };
        assert!(dbscan(&points, None, &options, &unwatched(&cancel)).is_err());
    }
}
