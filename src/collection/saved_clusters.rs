use std::collections::{BTreeMap, HashMap};

use super::change::PayloadChange;
use super::cluster::{Clustering, Vectors, cancelled};
use super::documents::StoredDocument;
use super::engine::damaged;
use super::error::Error;
use super::open::Collection;
use super::terms::Terms;
use crate::cluster::{ClusterError, Grouped, Partition, SavedClusters, Work, summarize};
use crate::document::{DocumentId, FieldPath, Payload, Slot, Value, check_payload};

/// How many documents are changed between two looks at whether the work may go on.
const CHANGED_AT_ONCE: usize = 1_000;

/// Clusters that an earlier run wrote into a field, and what joins them.
#[derive(Debug, Clone, PartialEq)]
pub struct Joining {
    /// The field with the number of the cluster.
    pub field: String,
    /// A document joins the nearest cluster if it lies within so many times the distance of that
    /// cluster's farthest member from its centroid.
    pub slack: f32,
}

impl Collection {
    /// Returns the clusters that the field tells of, others having joined them, and the number of
    /// each in that field.
    pub(super) fn joined(
        &self,
        vectors: &Vectors,
        joining: &Joining,
        is_unit: bool,
        work: &Work<'_>,
    ) -> Result<(Grouped, Vec<i64>), Error> {
        check_field(&joining.field)?;
        ClusterError::require("slack", f64::from(joining.slack), 0.0, 1e6)?;
        // The numbers in the order in which they are met.
        let (mut numbers, mut places) = (Vec::new(), HashMap::new());
        let mut labels = Vec::with_capacity(vectors.starts.len());
        for (row, &start) in vectors.starts.iter().enumerate() {
            if row.is_multiple_of(4_096) {
                cancelled(work, "reading documents", row, vectors.starts.len())?;
            }
            let number = self.number_at(start, &joining.field)?;
            labels.push(number.map(|number| {
                *places.entry(number).or_insert_with(|| {
                    numbers.push(number);
                    (numbers.len() - 1) as u32
                })
            }));
        }
        if numbers.is_empty() {
            let field = joining.field.clone();
            return Err(ClusterError::NothingSaved { field }.into());
        }
        let saved = Partition::new(&labels);
        let summaries = summarize(&vectors.points, &saved, is_unit, work)?;
        let near = SavedClusters::new(&summaries)?.assign(&vectors.points, joining.slack)?;
        // A partition numbers by size, so that a number is looked up by a member.
        let by_saved: Vec<u32> = members_first(&saved).filter_map(|row| labels[row]).collect();
        for (label, near) in labels.iter_mut().zip(near) {
            if label.is_none() {
                *label = near.map(|near| by_saved[near as usize]);
            }
        }
        let partition = Partition::new(&labels);
        let of = |row: usize| labels[row].map(|label| numbers[label as usize]);
        let numbers = members_first(&partition).filter_map(of).collect();
        Ok((partition.into(), numbers))
    }

    /// Puts the number of its cluster into a field of each document, and takes the field from those
    /// in none. What is so already is left alone.
    pub(super) fn write_clusters(
        &self,
        field: &str,
        found: &Clustering,
        work: &Work<'_>,
    ) -> Result<(), Error> {
        let mut wanted: BTreeMap<Option<i64>, Vec<DocumentId>> = BTreeMap::new();
        for item in &found.items {
            let number = item.cluster.map(|cluster| found.clusters[cluster as usize].number);
            wanted.entry(number).or_default().push(item.id.clone());
        }
        let mut written = 0;
        for (number, ids) in wanted {
            let change = match number {
                Some(number) => {
                    let fields = Payload::from([(field.to_owned(), Value::Integer(number))]);
                    PayloadChange::Set { at: None, fields }
                }
                None => PayloadChange::Delete(vec![FieldPath(field.to_owned())]),
            };
            for ids in ids.chunks(CHANGED_AT_ONCE) {
                cancelled(work, "writing clusters", written, found.items.len())?;
                // One that was deleted in the meantime has no cluster.
                let number = number.map(Value::Integer);
                let stored = self.get(ids, false)?.into_iter();
                let differs =
                    |document: &StoredDocument| document.payload.get(field) != number.as_ref();
                let changed = stored.filter(differs).map(|document| document.id);
                let updated = self.update(changed, change.clone(), &Terms::default())?;
                if let Some((_, error)) = updated.failed.into_iter().next() {
                    return Err(error);
                }
                written += ids.len();
            }
        }
        Ok(())
    }

    /// Returns the number that a document has in a field, if there is one.
    fn number_at(&self, start: u32, field: &str) -> Result<Option<i64>, Error> {
        let body = self.engine.body(Slot(start))?;
        let body = body.ok_or_else(|| damaged("body", start, "missing"))?;
        Ok(match body.payload.get(field) {
            Some(&Value::Integer(number)) => Some(number),
            Some(_) | None => None,
        })
    }
}

/// Returns a row of each cluster, in the order of the clusters.
fn members_first(partition: &Partition) -> impl Iterator<Item = usize> {
    partition.members().into_iter().filter_map(|members| members.first().map(|&row| row as usize))
}

/// Refuses what is no name of a field of a payload, or means one inside another.
pub(super) fn check_field(field: &str) -> Result<(), Error> {
    if field.is_empty() || field.contains('.') {
        return Err(Error::Settings(format!(
            "clusters are written into a field of the payload itself, got the name `{field}`"
        )));
    }
    check_payload(&Payload::from([(field.to_owned(), Value::Integer(0))]))?;
    Ok(())
}
