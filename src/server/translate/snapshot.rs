use simile_proto::v1::{self as wire};

use super::WireError;
use crate::collection::{AliasChange, Snapshot};

/// Returns a snapshot as it travels.
pub(in crate::server) fn snapshot_to_wire(snapshot: Snapshot) -> wire::Snapshot {
    let Snapshot { name, bytes, header } = snapshot;
    wire::Snapshot {
        name,
        collection: header.collection,
        bytes,
        sequence: header.sequence,
        created_unix_ms: header.created_unix_ms,
        documents: header.documents,
        parts: header.parts,
    }
}

/// Returns a change of the aliases.
pub(in crate::server) fn alias_change(given: wire::AliasChange) -> Result<AliasChange, WireError> {
    use wire::alias_change::Kind;
    Ok(match given.kind.ok_or(WireError::Missing("what is to be changed of the aliases"))? {
        Kind::Set(wire::SetAlias { alias, collection }) => AliasChange::Set { alias, collection },
        Kind::Rename(wire::RenameAlias { alias, to }) => AliasChange::Rename { alias, to },
        Kind::Delete(alias) => AliasChange::Delete { alias },
    })
}
