use super::{
    Adjacency, ClusterError, CommunityOptions, DbscanOptions, DensityOptions, DuplicateOptions,
    EXACT_MAX, HIERARCHY_ITEMS_MAX, Hierarchy, KMeansOptions, Linkage, NeighbourGraph, Partition,
    Points, Selection, Work, choose_elbow, choose_silhouette, communities, dbscan, duplicates,
    hdbscan, kmeans,
};

/// Neighbours that the graph has where a method does not ask for more.
const WIDTH_DEFAULT: usize = 15;
/// Numbers of clusters that are tried where none is given, as far as there are points for them.
const K_CANDIDATES: [usize; 12] = [2, 3, 4, 5, 6, 8, 10, 13, 17, 22, 30, 40];
/// The most clusters of each point whose shares are told.
const MEMBERSHIPS_MAX: usize = 64;
/// How many samples make a place dense where only the fewest points of a cluster are given: as many,
/// but no more than this.
const MIN_SAMPLES_DEFAULT_MAX: usize = 64;
/// The fewest points for each of the clusters that are tried.
const POINTS_OF_CLUSTER_MIN: usize = 4;
/// From how many starts k-means takes the best, on sets that are small enough to afford it.
const STARTS: usize = 10;

/// What kind of clusters is looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// Around centres.
    KMeans {
        /// How many.
        k: ClusterCount,
    },
    /// By density, however dense.
    Hdbscan {
        /// The fewest points of a cluster.
        min_size: usize,
        /// How many points, itself included, a dense place has near; if not said as `min_size`, up to
        /// 64.
        min_samples: Option<usize>,
        /// Whether clusters that are not split further are taken, instead of those that last longest.
        takes_leaves: bool,
        /// Of how many clusters it is told which share of each point they have; 0: of none.
        memberships: usize,
    },
    /// By density, of one radius.
    Dbscan {
        /// How far apart neighbours are at most (Euclidean).
        radius: f32,
        /// How many points, itself included, a core point has within the radius.
        min_samples: usize,
    },
    /// By communities of the neighbour graph.
    Leiden {
        /// More makes more and smaller ones; 1 is plain modularity.
        resolution: f64,
    },
    /// By a tree of merges, cut where that many groups are left.
    Hierarchy {
        /// How many groups.
        k: usize,
        /// How far apart two groups are.
        linkage: Linkage,
    },
    /// By near duplicates: groups around one to keep.
    Duplicates {
        /// How far a duplicate is from the kept one at most (Euclidean).
        radius: f32,
    },
}

/// How many clusters there are to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClusterCount {
    /// So many.
    Given(usize),
    /// As many as separate best: the number with the highest mean silhouette.
    BySilhouette,
    /// As many as after which more help least: where the curve of inertia bends most.
    ByElbow,
}

/// What a method found.
#[derive(Debug, Clone, PartialEq)]
pub struct Grouped {
    /// Which points belong together.
    pub partition: Partition,
    /// How firmly each point belongs to its cluster, 0 to 1, where the method says so.
    pub probabilities: Option<Vec<f64>>,
    /// The clusters that have most of each point, the largest share first, each above 0, where shares
    /// were asked for.
    pub memberships: Option<Vec<Vec<(u32, f64)>>>,
    /// How much each point is an outlier, 0 to 1, where the method says so.
    pub outlier_scores: Option<Vec<f64>>,
    /// The one to keep of each cluster, for duplicates.
    pub keepers: Option<Vec<u32>>,
    /// Whether each cluster is one picture in several copies, for duplicates.
    pub copies: Option<Vec<bool>>,
}

impl Grouped {
    /// Returns near duplicates with copies of one picture taken out of them, into clusters of their
    /// own: what looks similar is never mixed with what is the same. `copies` as [`super::copies`]
    /// returns them.
    #[must_use]
    pub fn with_copies(self, copies: &[(u32, Vec<u32>)]) -> Self {
        let mut raw = self.partition.labels().to_vec();
        let first = u32::try_from(self.partition.count()).unwrap_or(u32::MAX);
        let mut kept: Vec<Option<u32>> = self.keepers.iter().flatten().copied().map(Some).collect();
        for (number, (keeper, others)) in (first..).zip(copies) {
            for &row in others.iter().chain([keeper]) {
                raw[row as usize] = Some(number);
            }
            kept.push(Some(*keeper));
        }
        // What is left of a group of similar ones may have lost its keeper, or all company.
        let mut sizes = vec![0; kept.len()];
        raw.iter().flatten().for_each(|&label| sizes[label as usize] += 1);
        for label in &mut raw {
            *label = label.filter(|&label| sizes[label as usize] > 1);
        }
        let partition = Partition::new(&raw);
        let mut keepers = vec![u32::MAX; partition.count()];
        let mut is_copied = vec![false; partition.count()];
        for (row, (label, old)) in (0_u32..).zip(partition.labels().iter().zip(&raw)) {
            let (Some(label), Some(old)) = (label, old) else { continue };
            let keeper = &mut keepers[*label as usize];
            if *keeper == u32::MAX || kept[*old as usize] == Some(row) {
                *keeper = row;
            }
            is_copied[*label as usize] = *old >= first;
        }
        Self { keepers: Some(keepers), copies: Some(is_copied), ..partition.into() }
    }
}

impl Method {
    /// Returns the name that the method is asked for by.
    pub fn name(&self) -> &'static str {
        match self {
            Self::KMeans { .. } => "kmeans",
            Self::Hdbscan { .. } => "hdbscan",
            Self::Dbscan { .. } => "dbscan",
            Self::Leiden { .. } => "leiden",
            Self::Hierarchy { .. } => "hierarchy",
            Self::Duplicates { .. } => "duplicates",
        }
    }

    /// Returns how many neighbours of each of `count` points the method looks at; 0 if it compares
    /// points in another way.
    pub fn neighbours(&self, count: usize) -> usize {
        match self {
            Self::KMeans { .. } | Self::Hierarchy { .. } => 0,
            Self::Hdbscan { min_size, min_samples, .. } => {
                samples(*min_size, *min_samples).max(WIDTH_DEFAULT)
            }
            Self::Dbscan { min_samples, .. } if count > EXACT_MAX => {
                (2 * min_samples).max(WIDTH_DEFAULT)
            }
            Self::Dbscan { .. } => 0,
            Self::Leiden { .. } | Self::Duplicates { .. } => WIDTH_DEFAULT,
        }
    }
}

fn samples(min_size: usize, min_samples: Option<usize>) -> usize {
    min_samples.unwrap_or(min_size.min(MIN_SAMPLES_DEFAULT_MAX))
}

/// Returns what the method finds in points. `graph` has as many neighbours as
/// [`Method::neighbours`] says; `is_unit` says that points have length one; `preference`, a number for
/// each point, which of near duplicates to keep, a lower number first.
///
/// # Errors
/// [`ClusterError`]: invalid input for options out of range, or a graph that is missing or of other
/// points; cancelled.
pub fn group(
    points: &Points,
    graph: Option<&NeighbourGraph>,
    method: &Method,
    is_unit: bool,
    preference: Option<&[u64]>,
    work: &Work<'_>,
) -> Result<Grouped, ClusterError> {
    let count = points.count();
    let graph_needed = || {
        let what = "points in the graph";
        graph.ok_or(ClusterError::Uneven { what, expected: count, actual: 0 })
    };
    match *method {
        Method::KMeans { k } => {
            let starts = if count <= EXACT_MAX { STARTS } else { 1 };
            let options = KMeansOptions { is_spherical: is_unit, starts, ..KMeansOptions::new(1) };
            let most = (count / POINTS_OF_CLUSTER_MIN).max(1);
            let mut candidates = vec![1];
            candidates.extend(K_CANDIDATES.into_iter().filter(|&k| k <= most));
            let found = match k {
                ClusterCount::Given(k) => kmeans(points, &KMeansOptions { k, ..options }, work)?,
                // One cluster has no silhouette.
                ClusterCount::BySilhouette => {
                    let several = &candidates[usize::from(candidates.len() > 1)..];
                    choose_silhouette(points, several, &options, work)?
                }
                ClusterCount::ByElbow => choose_elbow(points, &candidates, &options, work)?,
            };
            Ok(found.partition.into())
        }
        Method::Hdbscan { min_size, min_samples, takes_leaves, memberships } => {
            let most = MEMBERSHIPS_MAX as f64;
            ClusterError::require("memberships", memberships as f64, 0.0, most)?;
            let min_samples = samples(min_size, min_samples).min(count);
            let selection = if takes_leaves { Selection::Leaf } else { Selection::ExcessOfMass };
            let options = DensityOptions { min_size, min_samples, selection, allows_one: false };
            let found = hdbscan(points, graph_needed()?, &options, work)?;
            let memberships = match memberships {
                0 => None,
                most => Some(found.largest_memberships(most, work)?),
            };
            Ok(Grouped {
                memberships,
                probabilities: Some(found.probabilities),
                outlier_scores: Some(found.outlier_scores),
                ..found.partition.into()
            })
        }
        Method::Dbscan { radius, min_samples } => {
            Ok(dbscan(points, graph, &DbscanOptions { radius, min_samples }, work)?.into())
        }
        Method::Leiden { resolution } => {
            let adjacency = Adjacency::shared(graph_needed()?);
            Ok(communities(&adjacency, &CommunityOptions { resolution }, work)?.into())
        }
        Method::Hierarchy { k, linkage } => {
            ClusterError::require("k", k as f64, 1.0, count as f64)?;
            tree_of(points, k, linkage, is_unit, work).map(Grouped::from)
        }
        Method::Duplicates { radius } => {
            let options = DuplicateOptions { radius };
            let groups = duplicates(points, graph_needed()?, preference, &options)?;
            let mut raw = vec![None; count];
            for (number, group) in (0..).zip(&groups) {
                raw[group.keeper as usize] = Some(number);
                group.others.iter().for_each(|other| raw[other.0 as usize] = Some(number));
            }
            let partition = Partition::new(&raw);
            let mut keepers = vec![0; partition.count()];
            for group in &groups {
                if let Some(label) = partition.labels()[group.keeper as usize] {
                    keepers[label as usize] = group.keeper;
                }
            }
            Ok(Grouped { keepers: Some(keepers), ..partition.into() })
        }
    }
}

/// Cuts a tree of all points, or, where those are too many, of the centres of many small clusters.
fn tree_of(
    points: &Points,
    k: usize,
    linkage: Linkage,
    is_unit: bool,
    work: &Work<'_>,
) -> Result<Partition, ClusterError> {
    if points.count() <= HIERARCHY_ITEMS_MAX {
        return Ok(Hierarchy::new(points, linkage, work)?.cut_at_count(k));
    }
    ClusterError::require("k", k as f64, 1.0, HIERARCHY_ITEMS_MAX as f64 / 2.0)?;
    let small = HIERARCHY_ITEMS_MAX / 2;
    let options = KMeansOptions { is_spherical: is_unit, ..KMeansOptions::new(small) };
    let found = kmeans(points, &options, work)?;
    let centres = Points::new(found.centres, points.dimension())?;
    let groups = Hierarchy::new(&centres, linkage, work)?.cut_at_count(k);
    let of = |label: &Option<u32>| label.and_then(|label| groups.labels()[label as usize]);
    let raw: Vec<Option<u32>> = found.partition.labels().iter().map(of).collect();
    Ok(Partition::new(&raw))
}

impl From<Partition> for Grouped {
    fn from(partition: Partition) -> Self {
        Self {
            partition,
            memberships: None,
            probabilities: None,
            outlier_scores: None,
            keepers: None,
            copies: None,
        }
    }
}

#[cfg(test)]
mod copy_tests {
    use super::*;

    #[test]
    fn copies_leave_the_groups_of_similar_ones() {
        // Similar: 0, 1, 2 around 1; 3, 4 around 3. One picture: 1 and 5; 3 and 6.
        let raw = [Some(0), Some(0), Some(0), Some(1), Some(1), None, None];
        let similar = Grouped { keepers: Some(vec![1, 3]), ..Partition::new(&raw).into() };
        let found = similar.with_copies(&[(1, vec![5]), (3, vec![6])]);
        let labels = found.partition.labels();
        assert_eq!(labels, [Some(0), Some(1), Some(0), Some(2), None, Some(1), Some(2)]);
        assert_eq!(found.keepers, Some(vec![0, 1, 3]));
        assert_eq!(found.copies, Some(vec![false, true, true]));
    }
}

#[cfg(test)]
mod tests {
    use super::super::reference::{adjusted_rand, set};
    use super::super::work::unwatched;
    use super::*;
    use crate::cancel::Cancellation;

    const HDBSCAN: Method =
        Method::Hdbscan { min_size: 8, min_samples: Some(3), takes_leaves: true, memberships: 2 };
    const METHODS: [(Method, f64); 7] = [
        (Method::KMeans { k: ClusterCount::Given(10) }, 0.75),
        (Method::KMeans { k: ClusterCount::BySilhouette }, 0.5),
        (Method::KMeans { k: ClusterCount::ByElbow }, 0.5),
        (HDBSCAN, 0.3),
        (Method::Leiden { resolution: 1.0 }, 0.8),
        (Method::Hierarchy { k: 10, linkage: Linkage::Ward }, 0.65),
        (Method::Dbscan { radius: 3.5, min_samples: 4 }, 0.25),
    ];

    fn score(points: &Points, method: &Method, classes: &[u32]) -> f64 {
        let cancel = Cancellation::new();
        let work = unwatched(&cancel);
        let width = method.neighbours(points.count());
        let graph = (width > 0).then(|| NeighbourGraph::exact(points, width, &work).unwrap());
        let found = group(points, graph.as_ref(), method, false, None, &work).unwrap();
        adjusted_rand(found.partition.labels(), classes)
    }

    #[test]
    fn each_method_finds_the_classes_and_none_finds_them_in_permuted_vectors() {
        let (points, classes) = set("classes");
        let shifted: Vec<u32> = points.spread(400).iter().map(|row| (row * 137) % 400).collect();
        let permuted = points.of(&shifted);
        for (method, least) in METHODS {
            let (found, lost) =
                (score(&points, &method, classes), score(&permuted, &method, classes));
            assert!(found >= least, "{method:?}: {found}");
            assert!(lost < 0.05, "{method:?}: {lost} after permuting");
        }
    }

    #[test]
    fn duplicates_are_clusters_with_a_keeper_and_a_missing_graph_is_refused() {
        let points = Points::new(vec![0.0, 0.1, 9.0, 5.0, 5.1, 5.05], 1).unwrap();
        let cancel = Cancellation::new();
        let work = unwatched(&cancel);
        let method = Method::Duplicates { radius: 0.2 };
        let graph = NeighbourGraph::exact(&points, 3, &work).unwrap();
        let found = group(&points, Some(&graph), &method, false, None, &work).unwrap();
        let one = [Some(1), Some(1), None, Some(0), Some(0), Some(0)];
        assert_eq!(found.partition.labels(), one);
        assert_eq!(found.keepers, Some(vec![3, 0]));
        let preference = Some(&[2, 1, 9, 4, 4, 5][..]);
        let found = group(&points, Some(&graph), &method, false, preference, &work).unwrap();
        assert_eq!((found.partition.labels(), found.keepers), (&one[..], Some(vec![3, 1])));
        assert!(group(&points, None, &method, false, None, &work).is_err());
    }
}
