use super::forest::Forest;
use super::points::row_id;
use super::{ClusterError, NeighbourGraph, Points};

/// What counts as a near duplicate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DuplicateOptions {
    /// How far a duplicate is from its keeper at most (Euclidean; for vectors of length one, the
    /// root of 2 - 2 x cosine).
    pub radius: f32,
}

/// Points that are nearly the same.
#[derive(Debug, Clone, PartialEq)]
pub struct DuplicateGroup {
    /// The one to keep: the best by preference.
    pub keeper: u32,
    /// The others, nearest to the keeper first, with their distances from it.
    pub others: Vec<(u32, f32)>,
}

/// Returns the groups of near duplicates, the largest first: points that are mutual neighbours within
/// the radius, taken together only where each is within the radius of the group's keeper, so that a
/// chain of small steps does not join strangers.
///
/// `preference` says which of a group to keep, a lower number first (by size, sharpness or age, as
/// the caller knows); the point with most duplicates is kept without one, or among equals.
///
/// # Errors
/// [`ClusterError`]: invalid input for a radius out of range, or other than one preference a point.
pub fn duplicates(
    points: &Points,
    graph: &NeighbourGraph,
    preference: Option<&[u64]>,
    options: &DuplicateOptions,
) -> Result<Vec<DuplicateGroup>, ClusterError> {
    let count = points.count();
    ClusterError::require("radius", f64::from(options.radius), 0.0, f64::from(f32::MAX))?;
    for (what, actual) in [
        ("points in the graph", graph.count()),
        ("preferences", preference.map_or(count, <[u64]>::len)),
    ] {
        if actual != count {
            return Err(ClusterError::Uneven { what, expected: count, actual });
        }
    }
    let mut links = vec![0u32; count];
    let mut forest = Forest::new(count);
    for row in 0..count {
        let near = graph.of(row).take_while(|near| near.1 <= options.radius);
        for (other, _) in near {
            // A list that is full of nearer ones says nothing against a neighbour.
            let is_full = graph.distance_at(other as usize, graph.width()) <= options.radius;
            if graph.has(other as usize, row_id(row)) || is_full {
                links[row] += 1;
                forest.join(row_id(row), other);
            }
        }
    }
    let mut rows: Vec<u32> = (0..row_id(count)).filter(|&row| links[row as usize] > 0).collect();
    let roots: Vec<u32> = (0..row_id(count)).map(|row| forest.root(row)).collect();
    rows.sort_by_key(|&row| {
        let preferred = preference.map_or(0, |preference| preference[row as usize]);
        (roots[row as usize], preferred, std::cmp::Reverse(links[row as usize]), row)
    });
    let mut groups = Vec::new();
    for chain in rows.chunk_by(|&a, &b| roots[a as usize] == roots[b as usize]) {
        split(points, chain, options.radius, &mut groups);
    }
    groups.sort_by_key(|group| (std::cmp::Reverse(group.others.len()), group.keeper));
    Ok(groups)
}

/// Takes from a chain, best first, a keeper with all that is within the radius of it, until nothing
/// is left.
fn split(points: &Points, chain: &[u32], radius: f32, groups: &mut Vec<DuplicateGroup>) {
    let mut left = chain.to_vec();
    let mut distances = vec![0.0f32; left.len()];
    while let Some((&keeper, rest)) = left.split_first() {
        let distances = &mut distances[..rest.len()];
        points.squared_distances(points.row(keeper as usize), rest, distances);
        let mut others = Vec::new();
        let mut strangers = Vec::new();
        for (&row, squared) in rest.iter().zip(distances.iter()) {
            let distance = squared.sqrt();
            if distance <= radius {
                others.push((row, distance));
            } else {
                strangers.push(row);
            }
        }
        if !others.is_empty() {
            others.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
            groups.push(DuplicateGroup { keeper, others });
        }
        left = strangers;
    }
}

#[cfg(test)]
mod tests {
    use super::super::work::unwatched;
    use super::*;
    use crate::cancel::Cancellation;

    fn found(values: &[f32], preference: Option<&[u64]>) -> Vec<(u32, Vec<u32>)> {
        let points = Points::new(values.to_vec(), 1).unwrap();
        let cancel = Cancellation::new();
        let graph = NeighbourGraph::exact(&points, 4, &unwatched(&cancel)).unwrap();
        let groups = duplicates(&points, &graph, preference, &DuplicateOptions { radius: 1.0 });
        let rows = |group: DuplicateGroup| {
            (group.keeper, group.others.into_iter().map(|other| other.0).collect())
        };
        groups.unwrap().into_iter().map(rows).collect()
    }

    #[test]
    fn a_chain_of_small_steps_does_not_join_strangers() {
        // Each is 0.9 from the next: the ends of the chain are 3.6 apart.
        let groups = found(&[0.0, 0.9, 1.8, 2.7, 3.6, 50.0], None);
        assert_eq!(groups, [(1, vec![0, 2]), (3, vec![4])]);
    }

    #[test]
    fn the_preferred_one_is_kept_with_what_is_near_it() {
        let values = [0.0, 0.1, 0.2, 9.0, 9.5, 30.0];
        assert_eq!(found(&values, None), [(0, vec![1, 2]), (3, vec![4])]);
        let by_size = [3, 2, 1, 1, 0, 0];
        assert_eq!(found(&values, Some(&by_size)), [(2, vec![1, 0]), (4, vec![3])]);
    }

    #[test]
    fn more_copies_than_a_point_has_neighbours_are_one_group() {
        let mut values = vec![5.0f32; 40];
        values.push(8.0);
        let groups = found(&values, None);
        assert_eq!((groups.len(), groups[0].1.len()), (1, 39));
    }

    #[test]
    fn a_preference_for_each_point_is_asked_for() {
        let points = Points::new(vec![0.0, 1.0], 1).unwrap();
        let cancel = Cancellation::new();
        let graph = NeighbourGraph::exact(&points, 1, &unwatched(&cancel)).unwrap();
        let options = DuplicateOptions { radius: 1.0 };
        let error = duplicates(&points, &graph, Some(&[1]), &options).unwrap_err();
        assert_eq!(error.to_string(), "expected 2 preferences, got 1");
    }
}
