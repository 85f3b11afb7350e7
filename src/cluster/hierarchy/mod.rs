use super::forest::Forest;
use super::points::row_id;
use super::{ClusterError, Partition, Points, Work};

/// The most items of which a tree is made: it keeps the distance of every two.
pub const HIERARCHY_ITEMS_MAX: usize = 4_096;

/// How far apart two groups are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Linkage {
    /// The mean distance of their items.
    #[default]
    Average,
    /// The largest distance of their items.
    Complete,
    /// What joining them adds to the squared distances from the mean, as a distance (Ward 1963).
    Ward,
    /// The smallest distance of their items.
    Single,
}

/// A tree of merges.
#[derive(Debug, Clone, PartialEq)]
pub struct Hierarchy {
    count: usize,
    merges: Vec<Merge>,
}

/// Two groups that become one. Groups are items, or merges counted on after the items.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Merge {
    /// The group with the lower number.
    pub left: u32,
    /// The other group.
    pub right: u32,
    /// How far apart they are; never less than that of a merge before.
    pub height: f64,
    /// How many items the new group has.
    pub size: u32,
}

impl Hierarchy {
    /// Returns the tree of at most [`HIERARCHY_ITEMS_MAX`] points, merged nearest groups first (chains
    /// of nearest neighbours with the update of Lance and Williams; Müllner 2011).
    ///
    /// # Errors
    /// [`ClusterError`]: invalid input for more points; cancelled.
    pub fn new(points: &Points, linkage: Linkage, work: &Work<'_>) -> Result<Self, ClusterError> {
        let count = points.count();
        if count > HIERARCHY_ITEMS_MAX {
            let most = HIERARCHY_ITEMS_MAX;
            return Err(ClusterError::TooMany { method: "a hierarchy", most, actual: count });
        }
        let mut distances = Triangle::of(points);
        let mut sizes = vec![1u32; count];
        let mut joined: Vec<(f64, u32, u32)> = Vec::with_capacity(count.saturating_sub(1));
        let mut chain: Vec<usize> = Vec::new();
        while joined.len() + 1 < count {
            work.step("merging", joined.len(), count)?;
            let last = match chain.last() {
                Some(&last) => last,
                None => {
                    let start = sizes.iter().position(|&size| size > 0).unwrap_or(0);
                    chain.push(start);
                    start
                }
            };
            let before = chain.len().checked_sub(2).map(|place| chain[place]);
            // The one before wins among equals, or the chain would go on in circles.
            let mut nearest =
                before.map_or((f64::INFINITY, last), |at| (distances.of_pair(last, at), at));
            for other in (0..count).filter(|&other| other != last && sizes[other] > 0) {
                let distance = distances.of_pair(last, other);
                if distance < nearest.0 {
                    nearest = (distance, other);
                }
            }
            if before != Some(nearest.1) {
                chain.push(nearest.1);
                continue;
            }
            chain.truncate(chain.len() - 2);
            let (a, b) = (last.min(nearest.1), last.max(nearest.1));
            joined.push((nearest.0, row_id(a), row_id(b)));
            for other in (0..count).filter(|&other| other != a && other != b && sizes[other] > 0) {
                let to = [distances.of_pair(a, other), distances.of_pair(b, other)];
                let of = [sizes[a], sizes[b], sizes[other]].map(f64::from);
                *distances.of_mut(b, other) = linkage.updated(to, nearest.0, of);
            }
            sizes[b] += sizes[a];
            sizes[a] = 0;
        }
        Ok(Self::sorted(count, joined))
    }

    fn sorted(count: usize, mut joined: Vec<(f64, u32, u32)>) -> Self {
        joined.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut forest = Forest::new(count);
        let mut groups: Vec<(u32, u32)> = (0..row_id(count)).map(|item| (item, 1)).collect();
        let mut merges = Vec::with_capacity(joined.len());
        for (height, a, b) in joined {
            let [one, other] = [a, b].map(|item| groups[forest.root(item) as usize]);
            forest.join(a, b);
            let size = one.1 + other.1;
            groups[forest.root(a) as usize] = (row_id(count + merges.len()), size);
            let (left, right) = (one.0.min(other.0), one.0.max(other.0));
            merges.push(Merge { left, right, height, size });
        }
        Self { count, merges }
    }

    /// Returns the merges, lowest first: one fewer than items.
    pub fn merges(&self) -> &[Merge] {
        &self.merges
    }

    /// Returns the groups that are left when `groups` remain; all items alone if there are fewer.
    pub fn cut_at_count(&self, groups: usize) -> Partition {
        self.after(self.count.saturating_sub(groups.max(1)).min(self.merges.len()))
    }

    /// Returns the groups whose merges are no higher than this.
    pub fn cut_at_height(&self, height: f64) -> Partition {
        self.after(self.merges.partition_point(|merge| merge.height <= height))
    }

    fn after(&self, merges: usize) -> Partition {
        let mut group: Vec<u32> = (0..row_id(self.count + merges)).collect();
        // From the last merge down, each group is known before its halves.
        for (place, merge) in self.merges[..merges].iter().enumerate().rev() {
            let own = group[self.count + place];
            group[merge.left as usize] = own;
            group[merge.right as usize] = own;
        }
        let raw: Vec<Option<u32>> = group[..self.count].iter().map(|&group| Some(group)).collect();
        Partition::new(&raw)
    }
}

impl Linkage {
    /// Returns the distance of a group from two that were joined, from its distances to them, theirs
    /// from each other, and the three sizes, its own last.
    fn updated(self, to: [f64; 2], between: f64, [a, b, own]: [f64; 3]) -> f64 {
        match self {
            Self::Single => to[0].min(to[1]),
            Self::Complete => to[0].max(to[1]),
            Self::Average => (a * to[0] + b * to[1]) / (a + b),
            Self::Ward => {
                let squared = (a + own) * to[0].powi(2) + (b + own) * to[1].powi(2);
                ((squared - own * between.powi(2)) / (a + b + own)).max(0.0).sqrt()
            }
        }
    }
}

/// The distances of every two items.
#[derive(Debug)]
struct Triangle {
    count: usize,
    values: Vec<f64>,
}

impl Triangle {
    fn of(points: &Points) -> Self {
        let count = points.count();
        let mut values = Vec::with_capacity(count * count.saturating_sub(1) / 2);
        let rows: Vec<u32> = (0..row_id(count)).collect();
        let mut squared = vec![0.0f32; count];
        for row in 0..count {
            let squared = &mut squared[..count - row - 1];
            points.squared_distances(points.row(row), &rows[row + 1..], squared);
            values.extend(squared.iter().map(|&squared| f64::from(squared).sqrt()));
        }
        Self { count, values }
    }

    fn place(&self, a: usize, b: usize) -> usize {
        let (a, b) = (a.min(b), a.max(b));
        a * self.count - a * (a + 1) / 2 + b - a - 1
    }

    fn of_pair(&self, a: usize, b: usize) -> f64 {
        self.values[self.place(a, b)]
    }

    fn of_mut(&mut self, a: usize, b: usize) -> &mut f64 {
        let place = self.place(a, b);
        &mut self.values[place]
    }
}

#[cfg(test)]
mod tests;
