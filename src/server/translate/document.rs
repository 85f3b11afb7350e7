use std::time::Duration;

use simile_proto::v1::document::Content;
use simile_proto::v1::upsert_result;
use simile_proto::v1::{self as wire};

use super::terms::terms;
use super::value::{
    WireVectors, document_id, payload, payload_to_wire, span, span_to_wire, vectors,
    vectors_to_wire,
};
use super::{WireError, at_most};
use crate::collection::{StoredDocument, StoredPart, Upsert};
use crate::ingest::{
    ItemError, ItemResult, ItemTimings, Outcome, PartSource, Source, SourceContent, Stored,
};
use crate::server::status;

/// The most given parts of one document.
const PARTS_MAX: usize = 10_000;

/// Returns what is to be stored, and on which terms.
pub(in crate::server) fn upsert(document: wire::Document) -> Result<Upsert, WireError> {
    let terms =
        terms(document.expected_sequence, document.expires_unix_ms, document.idempotency_key);
    let id = document_id(document.id)?;
    let content = match document.content.ok_or(WireError::Missing("the document's content"))? {
        Content::Text(text) => SourceContent::Text(text),
        Content::File(file) => {
            SourceContent::File { name: file.name, bytes: file.bytes, media_type: file.media_type }
        }
        Content::Vectors(given) => {
            let (dense, sparse, multi) = (given.by_name, given.sparse_by_name, given.multi_by_name);
            SourceContent::Vectors(vectors(WireVectors { dense, sparse, multi })?)
        }
        Content::Parts(list) => {
            at_most("parts of a document", list.parts.len(), PARTS_MAX)?;
            SourceContent::Parts(list.parts.into_iter().map(part).collect::<Result<_, _>>()?)
        }
    };
    Ok(Upsert { source: Source { id, content, payload: payload(document.payload)? }, terms })
}

fn part(part: wire::Part) -> Result<PartSource, WireError> {
    let (dense, sparse, multi) = (part.vectors, part.sparse_vectors, part.multi_vectors);
    let vectors = vectors(WireVectors { dense, sparse, multi })?;
    Ok(PartSource { text: part.text, vectors, span: span(part.span)? })
}

/// Returns what became of an item, as it travels.
pub(in crate::server) fn item_result_to_wire(result: ItemResult) -> wire::UpsertResult {
    let outcome = match result.outcome {
        Outcome::Stored(stored) => upsert_result::Outcome::Stored(stored_to_wire(stored)),
        Outcome::Unchanged => upsert_result::Outcome::Unchanged(wire::Unchanged {}),
        Outcome::Failed(error) => upsert_result::Outcome::Error(item_error_to_wire(error)),
    };
    wire::UpsertResult { id: result.id.to_string(), outcome: Some(outcome) }
}

/// Returns why an item was refused, as it travels.
pub(in crate::server) fn item_error_to_wire(error: ItemError) -> wire::ItemError {
    wire::ItemError { code: status::code_name(error.kind).to_owned(), message: error.message }
}

fn stored_to_wire(stored: Stored) -> wire::Stored {
    wire::Stored {
        sequence: stored.sequence.0,
        parts: stored.parts,
        replaced: stored.is_replaced,
        tokens: u32::try_from(stored.tokens).unwrap_or(u32::MAX),
        warnings: stored.warnings,
        timings: item_timings(stored.timings),
        record_ids: stored.record_ids.iter().map(ToString::to_string).collect(),
        records_unchanged: stored.records_unchanged,
        records_failed: stored.records_failed,
        records_removed: stored.records_removed,
        repeated: stored.is_repeat,
    }
}

fn item_timings(timings: ItemTimings) -> Vec<wire::StageTiming> {
    vec![
        stage("decode", timings.decode),
        stage("embed", timings.embed),
        stage("commit", timings.commit),
    ]
}

/// Returns a stage as it travels.
pub(in crate::server) fn stage(name: &str, duration: Duration) -> wire::StageTiming {
    let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    wire::StageTiming { stage: name.to_owned(), microseconds }
}

/// Returns a document as it travels.
pub(in crate::server) fn stored_document_to_wire(document: StoredDocument) -> wire::StoredDocument {
    let part = |part: StoredPart| {
        let WireVectors { dense, sparse, multi } = vectors_to_wire(part.vectors);
        wire::Part {
            text: part.text,
            vectors: dense,
            sparse_vectors: sparse,
            multi_vectors: multi,
            span: span_to_wire(part.span),
        }
    };
    wire::StoredDocument {
        id: document.id.to_string(),
        payload: payload_to_wire(document.payload),
        sequence: document.sequence.0,
        expires_unix_ms: document.expires_unix_ms,
        parts: document.parts.into_iter().map(part).collect(),
    }
}
