use simile_proto::v1::update_documents_request::Change;
use simile_proto::v1::{self as wire};

use super::WireError;
use super::value::payload;
use crate::collection::{Expected, PayloadChange, Terms, Updated};
use crate::document::{FieldPath, Sequence};
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

/// Returns the change of a payload.
pub(in crate::server) fn change(
    change: Option<Change>,
    has_expiry: bool,
) -> Result<PayloadChange, WireError> {
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
        Some(Change::Clear(false)) | None => {
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
