use std::cmp::Reverse;

/// Which cluster each point belongs to. Clusters are numbered from 0, the largest first and the one
/// with the lower first row first among equals; a point without one is noise.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Partition {
    labels: Vec<Option<u32>>,
    sizes: Vec<usize>,
}

impl Partition {
    /// Returns the partition of points into what has equal numbers, whatever those are.
    pub fn new(raw: &[Option<u32>]) -> Self {
        let highest = raw.iter().flatten().max().map_or(0, |&highest| highest as usize + 1);
        // One entry for each number that could occur, which is the count of points at most.
        let mut found: Vec<(usize, usize)> = Vec::new();
        let mut dense: Vec<usize> = Vec::new();
        let mut sparse = std::collections::HashMap::new();
        let is_dense = highest <= raw.len().saturating_mul(2);
        if is_dense {
            dense.resize(highest, usize::MAX);
        }
        let mut places = Vec::with_capacity(raw.len());
        for (row, label) in raw.iter().enumerate() {
            places.push(label.map(|label| {
                let next = found.len();
                let place = if is_dense {
                    let place = &mut dense[label as usize];
                    *place = if *place == usize::MAX { next } else { *place };
                    *place
                } else {
                    *sparse.entry(label).or_insert(next)
                };
                if place == next {
                    found.push((0, row));
                }
                found[place].0 += 1;
                place
            }));
        }
        let mut order: Vec<usize> = (0..found.len()).collect();
        order.sort_by_key(|&place| (Reverse(found[place].0), found[place].1));
        let mut number = vec![0u32; found.len()];
        for (new, &place) in (0..).zip(&order) {
            number[place] = new;
        }
        Self {
            labels: places.into_iter().map(|place| place.map(|place| number[place])).collect(),
            sizes: order.into_iter().map(|place| found[place].0).collect(),
        }
    }

    /// Returns the cluster of each point.
    pub fn labels(&self) -> &[Option<u32>] {
        &self.labels
    }

    /// Returns how many clusters there are.
    pub fn count(&self) -> usize {
        self.sizes.len()
    }

    /// Returns how many points each cluster has, by its number.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// Returns how many points belong to no cluster.
    pub fn noise(&self) -> usize {
        self.labels.len() - self.sizes.iter().sum::<usize>()
    }

    /// Returns the rows of each cluster, in order.
    pub fn members(&self) -> Vec<Vec<u32>> {
        let mut members: Vec<Vec<u32>> =
            self.sizes.iter().map(|&size| Vec::with_capacity(size)).collect();
        for (row, label) in (0..).zip(&self.labels) {
            if let Some(label) = label {
                members[*label as usize].push(row);
            }
        }
        members
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_are_numbered_by_size_and_then_by_their_first_row() {
        for names in [[9, 4, 5], [1_000_000, 7, 3]] {
            let [a, b, c] = names.map(Some);
            let partition = Partition::new(&[a, None, b, c, c, b, c]);
            let expected = [Some(2), None, Some(1), Some(0), Some(0), Some(1), Some(0)];
            assert_eq!(partition.labels(), expected);
            assert_eq!((partition.sizes(), partition.noise()), (&[3, 2, 1][..], 1));
            assert_eq!(partition.members(), [vec![3, 4, 6], vec![2, 5], vec![0]]);
        }
        assert_eq!(Partition::new(&[None]).count(), 0);
    }
}
