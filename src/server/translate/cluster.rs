use simile_proto::v1::cluster_request::Method as WireMethod;
use simile_proto::v1::{self as wire};

use super::WireError;
use super::filter::optional_filter;
use crate::cluster::{ClusterCount, Linkage, Method};
use crate::collection::{Cluster, ClusterItem, ClusterRequest, Clustering, Joining, Keep, Looking};

/// Sizes and numbers of samples where a request does not say.
const MIN_SIZE_DEFAULT: u32 = 5;
/// The radius of duplicates where a request does not say: a cosine of 0.955.
const RADIUS_DEFAULT: f32 = 0.3;
/// How much farther than its farthest member something may lie that joins a cluster.
const SLACK_DEFAULT: f32 = 1.1;

/// Returns what is asked, but for the collection.
pub(in crate::server) fn cluster_request(
    given: wire::ClusterRequest,
) -> Result<ClusterRequest, WireError> {
    let keep = match &given.method {
        Some(WireMethod::Duplicates(duplicates)) => keep(duplicates.keep)?,
        _ => Keep::Central,
    };
    Ok(ClusterRequest {
        keep,
        names: given.names,
        vector: given.vector.filter(|name| !name.is_empty()),
        filter: optional_filter(given.filter)?,
        looking: looking(given.method.ok_or(WireError::Missing("the method"))?)?,
        write_to: given.write_to,
        with_map: given.with_map,
        with_text: given.with_text,
    })
}

fn looking(given: WireMethod) -> Result<Looking, WireError> {
    let or_default = |given: Option<u32>| given.unwrap_or(MIN_SIZE_DEFAULT) as usize;
    let method = match given {
        WireMethod::Join(wire::JoinMethod { field, slack }) => {
            let slack = slack.unwrap_or(SLACK_DEFAULT);
            return Ok(Looking::Joining(Joining { field, slack }));
        }
        WireMethod::Kmeans(given) => Method::KMeans {
            k: match given.k {
                Some(k) => ClusterCount::Given(k as usize),
                None => count_by(given.choice)?,
            },
        },
        WireMethod::Hdbscan(given) => Method::Hdbscan {
            min_size: or_default(given.min_size),
            min_samples: given.min_samples.map(|least| least as usize),
            takes_leaves: given.takes_leaves,
            memberships: given.memberships.unwrap_or_default() as usize,
        },
        WireMethod::Dbscan(given) => Method::Dbscan {
            radius: given.radius.ok_or(WireError::Missing("the radius"))?,
            min_samples: or_default(given.min_samples),
        },
        WireMethod::Leiden(given) => Method::Leiden { resolution: given.resolution.unwrap_or(1.0) },
        WireMethod::Hierarchy(given) => {
            Method::Hierarchy { k: given.k as usize, linkage: linkage(given.linkage)? }
        }
        WireMethod::Duplicates(given) => {
            Method::Duplicates { radius: given.radius.unwrap_or(RADIUS_DEFAULT) }
        }
    };
    Ok(Looking::New(method))
}

fn linkage(given: i32) -> Result<Linkage, WireError> {
    let unknown = |_| WireError::UnknownChoice { what: "linkage", actual: given };
    Ok(match wire::Linkage::try_from(given).map_err(unknown)? {
        wire::Linkage::Unspecified | wire::Linkage::Average => Linkage::Average,
        wire::Linkage::Complete => Linkage::Complete,
        wire::Linkage::Ward => Linkage::Ward,
        wire::Linkage::Single => Linkage::Single,
    })
}

fn count_by(given: i32) -> Result<ClusterCount, WireError> {
    let unknown = |_| WireError::UnknownChoice { what: "choice of k", actual: given };
    Ok(match wire::KChoice::try_from(given).map_err(unknown)? {
        wire::KChoice::Unspecified | wire::KChoice::Silhouette => ClusterCount::BySilhouette,
        wire::KChoice::Elbow => ClusterCount::ByElbow,
    })
}

fn keep(given: i32) -> Result<Keep, WireError> {
    let unknown = |_| WireError::UnknownChoice { what: "one to keep", actual: given };
    Ok(match wire::Keep::try_from(given).map_err(unknown)? {
        wire::Keep::Unspecified | wire::Keep::Central => Keep::Central,
        wire::Keep::Largest => Keep::Largest,
        wire::Keep::Sharpest => Keep::Sharpest,
        wire::Keep::Oldest => Keep::Oldest,
    })
}

/// Returns the summary, and the items that follow it.
pub(in crate::server) fn clustering_to_wire(
    method: &str,
    found: Clustering,
) -> (wire::ClusterSummary, Vec<wire::ClusterItem>) {
    let summary = wire::ClusterSummary {
        vector: found.vector,
        method: method.to_owned(),
        clusters: found.clusters.into_iter().map(cluster_to_wire).collect(),
        items: found.items.len() as u64,
        noise: found.noise,
        left_out: found.left_out,
        silhouette: found.silhouette,
        trustworthiness: found.trustworthiness,
    };
    (summary, found.items.into_iter().map(item_to_wire).collect())
}

fn cluster_to_wire(cluster: Cluster) -> wire::ClusterInfo {
    let terms = cluster.terms.into_iter();
    wire::ClusterInfo {
        number: cluster.number,
        size: cluster.size,
        cohesion: cluster.cohesion,
        keeper: cluster.keeper.map(|id| id.to_string()),
        is_one_picture: cluster.is_one_picture,
        terms: terms
            .map(|term| wire::ClusterTerm { text: term.text, weight: term.weight })
            .collect(),
    }
}

fn item_to_wire(item: ClusterItem) -> wire::ClusterItem {
    let memberships = item.memberships.into_iter();
    wire::ClusterItem {
        memberships: memberships
            .map(|(cluster, share)| wire::ClusterMembership { cluster, share })
            .collect(),
        id: item.id.to_string(),
        cluster: item.cluster,
        distance: item.distance,
        probability: item.probability,
        outlier_score: item.outlier_score,
        place: item.place.map(|[x, y]| wire::MapPlace { x, y }),
        text: item.text,
    }
}
