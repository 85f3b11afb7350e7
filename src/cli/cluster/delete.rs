//! What goes of near duplicates when one of each group is kept.

use std::collections::HashMap;

use simile_proto::v1::delete_documents_request::Selection;
use simile_proto::v1::{self as wire};

use super::super::collection::documents;
use super::super::connection::Session;
use super::super::exit::CliError;
use super::super::output::Output;
use super::Found;

/// How many documents are deleted by one request.
const DELETED_AT_ONCE: usize = 10_000;
/// How many documents are named where it is said what goes.
const NAMED: usize = 20;

/// A document that goes, and the one that is kept instead of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Going {
    pub(super) id: String,
    kept: String,
}

/// Returns what is not kept of groups of duplicates: copies of one picture, and where `has_similar` says
/// so those that are only near.
pub(super) fn beside_kept(found: &Found, has_similar: bool) -> Vec<Going> {
    let keepers: HashMap<u32, &str> = (0..)
        .zip(&found.summary.clusters)
        .filter(|(_, cluster)| cluster.is_one_picture || has_similar)
        .filter_map(|(number, cluster)| Some((number, cluster.keeper.as_deref()?)))
        .collect();
    let going = found.items.iter().filter_map(|item| {
        let kept = *keepers.get(&item.cluster?)?;
        (item.id != kept).then(|| Going { id: item.id.clone(), kept: kept.to_owned() })
    });
    going.collect()
}

/// Says what would go.
pub(super) fn describe(goes: &[Going], output: &Output) {
    for Going { id, kept } in goes.iter().take(NAMED) {
        output.note(&format!("would delete {id}, and keep {kept}"));
    }
    if goes.len() > NAMED {
        output.note(&format!("and {} more", goes.len() - NAMED));
    }
    output.note(&format!("{} would be deleted", documents(goes.len() as u64)));
}

/// Deletes what goes, after asking.
pub(super) async fn carry_out(
    session: &Session,
    collection: &str,
    goes: Vec<Going>,
    is_agreed: bool,
    output: &Output,
) -> Result<(), CliError> {
    if !is_agreed && !goes.is_empty() {
        describe(&goes, output);
        output.confirm(&format!("Delete {}?", documents(goes.len() as u64)))?;
    }
    let mut deleted = 0;
    for some in goes.chunks(DELETED_AT_ONCE) {
        let ids = some.iter().map(|going| going.id.clone()).collect();
        let request = wire::DeleteDocumentsRequest {
            collection: collection.to_owned(),
            selection: Some(Selection::Ids(wire::DocumentIds { ids })),
            ..Default::default()
        };
        deleted += session.documents().delete(session.request(request)).await?.into_inner().deleted;
    }
    output.note(&format!("deleted {}", documents(deleted)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_stays_and_similar_ones_go_only_where_that_is_said() {
        let cluster = |keeper: &str, is_one_picture| wire::ClusterInfo {
            keeper: Some(keeper.to_owned()),
            is_one_picture,
            ..Default::default()
        };
        let item = |id: &str, cluster| wire::ClusterItem {
            id: id.to_owned(),
            cluster,
            ..Default::default()
        };
        let clusters = vec![cluster("b", true), cluster("d", false)];
        let items = [("a", Some(0)), ("b", Some(0)), ("c", Some(1)), ("d", Some(1)), ("e", None)];
        let items = items.map(|(id, cluster)| item(id, cluster)).into();
        let summary = wire::ClusterSummary { clusters, ..Default::default() };
        let found = Found { summary, items };
        let ids = |has_similar| {
            let goes = beside_kept(&found, has_similar);
            goes.into_iter().map(|going| (going.id, going.kept)).collect::<Vec<_>>()
        };
        let copy = ("a".to_owned(), "b".to_owned());
        let similar = ("c".to_owned(), "d".to_owned());
        assert_eq!(ids(true), [copy.clone(), similar]);
        assert_eq!(ids(false), vec![copy]);
    }
}
