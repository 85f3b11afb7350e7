use std::collections::BTreeSet;

use simile_proto::v1::update_documents_request::Change;
use simile_proto::v1::{self as wire};

use super::value::{WireVectors, document_id, payload, vectors};
use super::{WireError, at_most};
use crate::collection::{Expected, PayloadChange, Terms, Updated, VECTORS_MAX, VectorsChange};
use crate::document::{DocumentId, FieldPath, Sequence};
use crate::ingest::ItemError;

/// Returns the terms of a mutation; they are checked where it is done.
pub(in crate::server) fn terms(
    expected_sequence: Option<u64>,
    expires_unix_ms: Option<u64>,
    key: Option<String>,
) -> Terms {
    let expected = expected_sequence.map(|sequence| match sequence {
        0 => Expected::Absent,
        sequence => Expected::Sequence(Sequence(sequence)),
    });
    Terms { expected, expires_unix_ms, key }
}

/// A change that many documents can be given alike.
pub(in crate::server) enum DocumentsChange {
    Payload(PayloadChange),
    Vectors(VectorsChange),
}

/// Returns the change of documents.
pub(in crate::server) fn change(
    change: Option<Change>,
    has_expiry: bool,
) -> Result<DocumentsChange, WireError> {
    match change {
        Some(Change::DeleteVectors(list)) => {
            let delete = names(list.names)?;
            Ok(DocumentsChange::Vectors(VectorsChange { delete, ..VectorsChange::default() }))
        }
        other => payload_change(other, has_expiry).map(DocumentsChange::Payload),
    }
}

/// Returns the change of the vectors of one document, and on which terms.
pub(in crate::server) fn vectors_change(
    update: wire::VectorsUpdate,
    key: Option<String>,
) -> Result<(DocumentId, VectorsChange, Terms), WireError> {
    let wire::Vectors { by_name: dense, sparse_by_name: sparse, multi_by_name: multi } =
        update.set.unwrap_or_default();
    let set = vectors(WireVectors { dense, sparse, multi })?;
    if set.is_empty() && update.delete.is_empty() {
        return Err(WireError::Missing("the vectors that are set or deleted"));
    }
    let delete = if update.delete.is_empty() { BTreeSet::new() } else { names(update.delete)? };
    if let Some(name) = set.keys().find(|name| delete.contains(*name)) {
        return Err(WireError::SetAndDeleted(name.clone()));
    }
    let change = VectorsChange { part: update.part.map(|part| part as usize), set, delete };
    Ok((document_id(update.id)?, change, terms(update.expected_sequence, None, key)))
}

fn names(names: Vec<String>) -> Result<BTreeSet<String>, WireError> {
    if names.is_empty() {
        return Err(WireError::Missing("the names of the vectors"));
    }
    at_most("names of vectors", names.len(), VECTORS_MAX)?;
    Ok(names.into_iter().collect())
}

fn payload_change(change: Option<Change>, has_expiry: bool) -> Result<PayloadChange, WireError> {
    match change {
        Some(Change::Set(set)) => {
            let at = set.at.filter(|at| !at.is_empty()).map(FieldPath);
            Ok(PayloadChange::Set { at, fields: payload(set.fields)? })
        }
        Some(Change::Overwrite(object)) => Ok(PayloadChange::Overwrite(payload(object.fields)?)),
        Some(Change::Delete(list)) => {
            if list.paths.is_empty() {
                return Err(WireError::Missing("the paths that are deleted"));
            }
            Ok(PayloadChange::Delete(list.paths.into_iter().map(FieldPath).collect()))
        }
        Some(Change::Clear(true)) => Ok(PayloadChange::Clear),
        None if has_expiry => Ok(PayloadChange::Keep),
        Some(Change::Clear(false) | Change::DeleteVectors(_)) | None => {
            Err(WireError::Missing("the change: set, overwrite, delete, clear or expires_unix_ms"))
        }
    }
}

/// Returns what became of changes, as it travels.
pub(in crate::server) fn updated_to_wire(updated: Updated) -> wire::UpdateDocumentsResponse {
    let failures = updated.failed.into_iter().map(|(id, error)| wire::UpdateFailure {
        id: id.to_string(),
        error: Some(super::item_error_to_wire(ItemError::from_error(&error))),
    });
    wire::UpdateDocumentsResponse {
        updated: updated.updated,
        unchanged: updated.unchanged,
        sequence: updated.sequence.0,
        missing: updated.missing.iter().map(ToString::to_string).collect(),
        failures: failures.collect(),
    }
}
