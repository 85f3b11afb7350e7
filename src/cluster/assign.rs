use serde::{Deserialize, Serialize};

use super::{ClusterError, Points, Summary};

/// The most centroids that are kept of a clustering.
const CLUSTERS_MAX: usize = 65_536;

/// Clusters as they were found, so that new points find their place without clustering again.
/// Written as JSON; fields may be added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedClusters {
    dimension: usize,
    /// Centroids and the distance of their farthest member.
    clusters: Vec<(Vec<f32>, f32)>,
}

impl SavedClusters {
    /// Returns what has to be kept of clusters.
    ///
    /// # Errors
    /// [`ClusterError`] (invalid input): none, or too many.
    pub fn new(summaries: &[Summary]) -> Result<Self, ClusterError> {
        let first = summaries.first().ok_or(ClusterError::Empty)?;
        if summaries.len() > CLUSTERS_MAX {
            let (most, actual) = (CLUSTERS_MAX, summaries.len());
            return Err(ClusterError::TooMany { method: "saving clusters", most, actual });
        }
        let kept = |summary: &Summary| (summary.centroid.clone(), summary.radius);
        let clusters = summaries.iter().map(kept).collect();
        Ok(Self { dimension: first.centroid.len(), clusters })
    }

    /// Returns the cluster of each point: that of the nearest centroid, or none where it is farther
    /// from it than `slack` times the cluster's farthest member.
    ///
    /// # Errors
    /// [`ClusterError`] (invalid input) for points of another dimension, or centroids that are no
    /// vectors.
    pub fn assign(&self, points: &Points, slack: f32) -> Result<Vec<Option<u32>>, ClusterError> {
        let (expected, actual) = (self.dimension, points.dimension());
        let is_whole = self.clusters.iter().all(|cluster| cluster.0.len() == expected);
        if expected != actual || !is_whole {
            return Err(ClusterError::Uneven { what: "components", expected, actual });
        }
        let values = self.clusters.iter().flat_map(|cluster| &cluster.0).copied().collect();
        let centroids = Points::new(values, self.dimension)?;
        let ids = centroids.spread(self.clusters.len());
        let mut squared = vec![0.0f32; ids.len()];
        let nearest = |row: usize| {
            centroids.squared_distances(points.row(row), &ids, &mut squared);
            let least = ids.iter().zip(&squared).min_by(|a, b| a.1.total_cmp(b.1))?;
            let reach = slack * self.clusters[*least.0 as usize].1;
            (least.1.sqrt() <= reach).then_some(*least.0)
        };
        Ok((0..points.count()).map(nearest).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::work::unwatched;
    use super::super::{Partition, summarize};
    use super::*;
    use crate::cancel::Cancellation;

    #[test]
    fn new_points_go_to_the_cluster_they_would_have_been_in_and_strangers_to_none() {
        let values = vec![0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 9.0, 9.0, 9.0, 10.0];
        let points = Points::new(values, 2).unwrap();
        let labels = [Some(0), Some(0), Some(0), Some(1), Some(1)];
        let cancel = Cancellation::new();
        let work = unwatched(&cancel);
        let summaries = summarize(&points, &Partition::new(&labels), false, &work).unwrap();
        let saved = SavedClusters::new(&summaries).unwrap();
        let text = serde_json::to_string(&saved).unwrap();
        let read: SavedClusters = serde_json::from_str(&text).unwrap();
        assert_eq!(read.assign(&points, 1.01).unwrap(), labels);
        let new = Points::new(vec![0.5, 0.5, 9.0, 9.4, 5.0, 5.0], 2).unwrap();
        assert_eq!(read.assign(&new, 1.2).unwrap(), [Some(0), Some(1), None]);
        let other = Points::new(vec![1.0; 3], 3).unwrap();
        assert!(read.assign(&other, 1.0).is_err());
    }
}
