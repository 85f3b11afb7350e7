use super::forest::Forest;
use super::points::row_id;
use super::spanning::Edge;

/// Points that lie on each other would be infinitely dense; no density counts as more.
const DENSITY_MAX: f64 = 1e12;

/// The tree of clusters that is left of a spanning tree when parts with too few points count as
/// points that fall out of their cluster (Campello et al. 2013, section 4). Cluster 0 holds all.
#[derive(Debug, Clone)]
pub(super) struct CondensedTree {
    pub(super) clusters: Vec<Branch>,
    /// The cluster that each point falls out of, and at which density (one over the distance).
    pub(super) exits: Vec<(u32, f64)>,
}

/// A cluster of the tree. Its parent stands before it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Branch {
    pub(super) parent: Option<u32>,
    /// The density at which it split from its parent; 0 for the first.
    pub(super) birth: f64,
    pub(super) size: usize,
}

/// A join of two parts of the spanning tree; parts are points, or joins counted after the points.
#[derive(Debug, Clone, Copy)]
struct Join {
    left: u32,
    right: u32,
    distance: f32,
    size: u32,
}

impl CondensedTree {
    /// Returns the tree of `count` points from their spanning tree, lightest edge first.
    pub(super) fn new(count: usize, edges: &[Edge], size_min: usize) -> Self {
        let joins = joins(count, edges);
        let mut tree = Self {
            clusters: vec![Branch { parent: None, birth: 0.0, size: count }],
            exits: vec![(0, DENSITY_MAX); count],
        };
        let mut waiting = match joins.len() {
            0 => Vec::new(),
            joined => vec![(row_id(count + joined - 1), 0u32)],
        };
        let size = |node: u32| match (node as usize).checked_sub(count) {
            Some(join) => joins[join].size as usize,
            None => 1,
        };
        while let Some((node, cluster)) = waiting.pop() {
            let Some(join) = (node as usize).checked_sub(count).map(|join| joins[join]) else {
                continue;
            };
            let density = (1.0 / f64::from(join.distance)).min(DENSITY_MAX);
            let parts = [join.left, join.right];
            let are_large = parts.map(|part| size(part) >= size_min);
            // Points on one place are not split, however many there are.
            if are_large == [true, true] && density < DENSITY_MAX {
                for part in parts {
                    let (parent, size) = (Some(cluster), size(part));
                    waiting.push((part, row_id(tree.clusters.len())));
                    tree.clusters.push(Branch { parent, birth: density, size });
                }
                continue;
            }
            for (part, is_large) in parts.into_iter().zip(are_large) {
                if is_large {
                    waiting.push((part, cluster));
                } else {
                    tree.let_go(part, cluster, density, count, &joins);
                }
            }
        }
        tree
    }

    /// Lets all points of a part fall out of a cluster.
    fn let_go(&mut self, part: u32, cluster: u32, density: f64, count: usize, joins: &[Join]) {
        let mut waiting = vec![part];
        while let Some(node) = waiting.pop() {
            match (node as usize).checked_sub(count) {
                Some(join) => waiting.extend([joins[join].left, joins[join].right]),
                None => self.exits[node as usize] = (cluster, density),
            }
        }
    }

    /// Returns the stability of each cluster: how long, in density, its points stay in it (Campello
    /// et al. 2013, equation 3).
    pub(super) fn stabilities(&self) -> Vec<f64> {
        let mut stabilities = vec![0.0; self.clusters.len()];
        for &(cluster, density) in &self.exits {
            stabilities[cluster as usize] += density - self.clusters[cluster as usize].birth;
        }
        for branch in &self.clusters {
            if let Some(parent) = branch.parent {
                let stayed = branch.birth - self.clusters[parent as usize].birth;
                stabilities[parent as usize] += stayed * branch.size as f64;
            }
        }
        stabilities
    }

    /// Returns the highest density at which something leaves each cluster, by a split or as a point.
    pub(super) fn ends(&self) -> Vec<f64> {
        let mut ends = vec![0.0f64; self.clusters.len()];
        for &(cluster, density) in &self.exits {
            ends[cluster as usize] = ends[cluster as usize].max(density);
        }
        for branch in &self.clusters {
            if let Some(parent) = branch.parent {
                ends[parent as usize] = ends[parent as usize].max(branch.birth);
            }
        }
        ends
    }

    /// Returns the highest density that is reached in each cluster or in one below it.
    pub(super) fn peaks(&self) -> Vec<f64> {
        let mut peaks = self.ends();
        for (place, branch) in self.clusters.iter().enumerate().rev() {
            if let Some(parent) = branch.parent {
                peaks[parent as usize] = peaks[parent as usize].max(peaks[place]);
            }
        }
        peaks
    }

    /// Returns which clusters are split further.
    pub(super) fn splits(&self) -> Vec<bool> {
        let mut splits = vec![false; self.clusters.len()];
        for branch in &self.clusters {
            if let Some(parent) = branch.parent {
                splits[parent as usize] = true;
            }
        }
        splits
    }
}

/// Returns the joins of the parts of a spanning tree, from its edges, lightest first.
fn joins(count: usize, edges: &[Edge]) -> Vec<Join> {
    let mut forest = Forest::new(count);
    // What each set's root stands for now: a point, or a join of points.
    let mut nodes: Vec<(u32, u32)> = (0..row_id(count)).map(|row| (row, 1)).collect();
    let mut joins = Vec::with_capacity(edges.len());
    for edge in edges {
        let [left, right] = [edge.a, edge.b].map(|end| nodes[forest.root(end) as usize]);
        if forest.join(edge.a, edge.b) {
            let size = left.1 + right.1;
            let root = forest.root(edge.a) as usize;
            nodes[root] = (row_id(count + joins.len()), size);
            joins.push(Join { left: left.0, right: right.0, distance: edge.weight, size });
        }
    }
    joins
}
