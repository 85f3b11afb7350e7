use rayon::prelude::*;

use super::condensed::CondensedTree;
use super::points::row_id;
use super::spanning::{self, Reachability};
use super::{ClusterError, EXACT_MAX, NeighbourGraph, Partition, Points, Work};

/// The most points a smallest cluster may be asked to have.
const SIZE_MAX: f64 = 1e9;
/// How many rows are compared with all clusters between two looks at whether to go on.
const ROWS_AT_ONCE: usize = 1_024;

/// What counts as a cluster of [`hdbscan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DensityOptions {
    /// The fewest points of a cluster. At least 2.
    pub min_size: usize,
    /// How many points, itself included, a point needs near it for its place to count as dense.
    /// At least 1; more makes more noise.
    pub min_samples: usize,
    /// Which clusters of the tree are taken.
    pub selection: Selection,
    /// Whether all points may be one cluster.
    pub allows_one: bool,
}

/// Which clusters of a tree are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Selection {
    /// Those that last longest, whatever their size (excess of mass).
    #[default]
    ExcessOfMass,
    /// Those that are not split further: many and small.
    Leaf,
}

/// Clusters by density.
#[derive(Debug, Clone)]
pub struct Density {
    /// Which points belong together; points in thin places are noise.
    pub partition: Partition,
    /// How firmly each point belongs to its cluster, 0 (noise) to 1.
    pub probabilities: Vec<f64>,
    /// How much thinner the place of each point is than the densest of its surroundings, 0 to 1
    /// (GLOSH; Campello et al. 2015, section 6).
    pub outlier_scores: Vec<f64>,
    tree: CondensedTree,
    /// The cluster of the tree that stands behind each cluster.
    taken: Vec<u32>,
}

/// Returns the clusters of points by density (HDBSCAN*, Campello, Moulavi, Sander 2013).
///
/// Up to [`EXACT_MAX`] points are compared pair by pair, and the result is exact if the graph is;
/// beyond, the tree is found over the neighbour graph.
///
/// # Errors
/// [`ClusterError`]: invalid input for options out of range, or a graph that is not of these points
/// or has fewer neighbours than `min_samples` asks for; cancelled.
pub fn hdbscan(
    points: &Points,
    graph: &NeighbourGraph,
    options: &DensityOptions,
    work: &Work<'_>,
) -> Result<Density, ClusterError> {
    let count = points.count();
    ClusterError::require("min_size", options.min_size as f64, 2.0, SIZE_MAX)?;
    let neighbours_needed = options.min_samples.saturating_sub(1).min(count - 1);
    ClusterError::require("min_samples", options.min_samples as f64, 1.0, SIZE_MAX)?;
    if graph.count() != count || graph.width() < neighbours_needed {
        let what = "points with that many neighbours in the graph";
        return Err(ClusterError::Uneven { what, expected: count, actual: graph.count() });
    }
    let core: Vec<f32> = (0..count)
        .map(|row| match neighbours_needed {
            0 => 0.0,
            needed => graph.distance_at(row, needed),
        })
        .collect();
    let space = Reachability { points, core: &core };
    let edges = if count <= EXACT_MAX {
        spanning::exact(space, work)?
    } else {
        spanning::over_graph(space, graph, work)?
    };
    let tree = CondensedTree::new(count, &edges, options.min_size);
    let taken = match options.selection {
        Selection::ExcessOfMass => longest_lasting(&tree, options.allows_one),
        Selection::Leaf => leaves(&tree, options.allows_one),
    };
    Ok(Density::new(tree, &taken))
}

impl Density {
    fn new(tree: CondensedTree, is_taken: &[bool]) -> Self {
        // The taken cluster at or above each cluster: parents stand before their children.
        let mut within: Vec<Option<u32>> = Vec::with_capacity(tree.clusters.len());
        for (place, branch) in tree.clusters.iter().enumerate() {
            let above = branch.parent.and_then(|parent| within[parent as usize]);
            within.push(if is_taken[place] { Some(row_id(place)) } else { above });
        }
        let raw: Vec<Option<u32>> = tree.exits.iter().map(|exit| within[exit.0 as usize]).collect();
        let partition = Partition::new(&raw);
        let mut taken = vec![0; partition.count()];
        for (label, cluster) in partition.labels().iter().zip(&raw) {
            if let (Some(label), Some(cluster)) = (label, cluster) {
                taken[*label as usize] = *cluster;
            }
        }
        let (ends, peaks) = (tree.ends(), tree.peaks());
        let probabilities = tree.exits.iter().zip(&raw).map(|(&(_, density), cluster)| {
            cluster.map_or(0.0, |cluster| share(density, ends[cluster as usize]))
        });
        let outlier_scores = tree
            .exits
            .iter()
            .map(|&(cluster, density)| 1.0 - share(density, peaks[cluster as usize]));
        Self {
            probabilities: probabilities.collect(),
            outlier_scores: outlier_scores.collect(),
            partition,
            tree,
            taken,
        }
    }

    /// Returns how much each cluster has of each of these rows, rows x clusters: shares in proportion
    /// to the density at which the row and the cluster are one, the largest its own cluster's. They
    /// sum to how near the row comes to the highest density of the cluster where it comes nearest.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn memberships(&self, rows: &[u32]) -> Vec<Vec<f64>> {
        let peaks = self.tree.peaks();
        let mut is_above = vec![false; self.tree.clusters.len()];
        rows.iter()
            .map(|&row| {
                let (cluster, density) = self.tree.exits[row as usize];
                let line = self.line(cluster);
                for &above in &line {
                    is_above[above as usize] = true;
                }
                let met: Vec<f64> = self
                    .taken
                    .iter()
                    .map(|&taken| {
                        self.meeting(taken, &is_above).map_or(density, |met| met.min(density))
                    })
                    .collect();
                for &above in &line {
                    is_above[above as usize] = false;
                }
                let nearness = met
                    .iter()
                    .zip(&self.taken)
                    .map(|(&met, &taken)| share(met, peaks[taken as usize]));
                let most = nearness.fold(0.0, f64::max);
                let sum = met.iter().sum::<f64>().max(f64::MIN_POSITIVE);
                met.into_iter().map(|met| met / sum * most).collect()
            })
            .collect()
    }

    /// Returns for each row the clusters that have most of it, at most `most` and the largest share
    /// first, as [`Self::memberships`] shares it; clusters that have nothing of it are left out.
    ///
    /// # Errors
    /// [`ClusterError::Interrupted`].
    pub fn largest_memberships(
        &self,
        most: usize,
        work: &Work<'_>,
    ) -> Result<Vec<Vec<(u32, f64)>>, ClusterError> {
        let count = self.tree.exits.len();
        let rows: Vec<u32> = (0..row_id(count)).collect();
        let found: Vec<Vec<Vec<(u32, f64)>>> = rows
            .par_chunks(ROWS_AT_ONCE)
            .map(|rows| {
                work.step("sharing", rows[0] as usize, count)?;
                let largest = |shares: Vec<f64>| {
                    let mut shares: Vec<(u32, f64)> = (0..).zip(shares).collect();
                    shares.retain(|share| share.1 > 0.0);
                    shares.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
                    shares.truncate(most);
                    shares
                };
                Ok(self.memberships(rows).into_iter().map(largest).collect())
            })
            .collect::<Result<_, ClusterError>>()?;
        Ok(found.into_iter().flatten().collect())
    }

    fn line(&self, cluster: u32) -> Vec<u32> {
        let mut line = vec![cluster];
        while let Some(parent) =
            line.last().and_then(|&last| self.tree.clusters[last as usize].parent)
        {
            line.push(parent);
        }
        line
    }

    /// Returns the density at which a cluster parts from those marked; none if it is one of them.
    fn meeting(&self, mut cluster: u32, is_above: &[bool]) -> Option<f64> {
        let mut birth = None;
        while !is_above[cluster as usize] {
            let branch = &self.tree.clusters[cluster as usize];
            birth = Some(branch.birth);
            cluster = branch.parent?;
        }
        birth
    }
}

fn share(density: f64, most: f64) -> f64 {
    if most > 0.0 { (density / most).min(1.0) } else { 1.0 }
}

/// Takes a cluster if it is more stable than the best of what it splits into.
fn longest_lasting(tree: &CondensedTree, allows_one: bool) -> Vec<bool> {
    let mut stabilities = tree.stabilities();
    let mut below = vec![0.0; stabilities.len()];
    let mut is_taken = vec![true; stabilities.len()];
    for (place, branch) in tree.clusters.iter().enumerate().rev() {
        if stabilities[place] < below[place] || (place == 0 && !allows_one) {
            is_taken[place] = false;
            stabilities[place] = below[place];
        }
        if let Some(parent) = branch.parent {
            below[parent as usize] += stabilities[place];
        }
    }
    // From above, what a taken cluster holds is not taken again.
    let mut is_inside = vec![false; is_taken.len()];
    for (place, branch) in tree.clusters.iter().enumerate() {
        let parent = branch.parent.map(|parent| parent as usize);
        is_inside[place] = parent.is_some_and(|parent| is_inside[parent] || is_taken[parent]);
        is_taken[place] &= !is_inside[place];
    }
    is_taken
}

fn leaves(tree: &CondensedTree, allows_one: bool) -> Vec<bool> {
    let splits = tree.splits();
    splits.iter().enumerate().map(|(place, splits)| !splits && (place > 0 || allows_one)).collect()
}

#[cfg(test)]
mod tests;
