//! The rows of one version of a document, as every way of storing one writes them.

use simile_storage::Batch;

use super::error::Error;
use super::mutation::put_expiry;
use super::records::{
    BODIES, BodyRecord, DOCUMENTS, DocumentRecord, MULTI, MultiRecord, PARTS, PartRecord, Run,
    SPARSE, SparseRecord, StoredSpan, VECTORS, VectorRecord,
};
use super::settings::Settings;
use crate::ingest::Prepared;
use crate::vector::Vector;

/// Adds all rows of a document's version; returns what is to be known of it.
pub(super) fn put_document(
    rows: &mut Batch,
    settings: &Settings,
    prepared: &Prepared,
    run: Run,
    sequence: u64,
    expires: u64,
) -> Result<DocumentRecord, Error> {
    let file = prepared.file.as_ref();
    let record = DocumentRecord {
        first: run.first,
        parts: run.count,
        sequence,
        content: prepared.content.0,
        version: prepared.version.0,
        file_bytes: file.and_then(|file| u16::try_from(file.as_str().len()).ok()).unwrap_or(0),
        expires,
    };
    let payload = serde_json::to_string(&prepared.payload)
        .map_err(|error| Error::Settings(error.to_string()))?;
    let id = prepared.id.as_str().to_owned();
    rows.put(&DOCUMENTS, &id, &record)?;
    rows.put(&BODIES, &run.first, &BodyRecord { id, parts: run.count, sequence, payload })?;
    for (slot, part) in run.slots().zip(&prepared.parts) {
        let (span, text) = (StoredSpan::from(&part.span), part.text.clone());
        rows.put(&PARTS, &slot, &PartRecord { first: run.first, span, text })?;
        for (name, vector) in &part.vectors {
            put_vector(rows, settings, name, slot, vector)?;
        }
    }
    put_expiry(rows, &prepared.id, expires, run)?;
    Ok(record)
}

/// Adds the rows of one vector of a part; of a name that the collection does not have, none.
pub(super) fn put_vector(
    rows: &mut Batch,
    settings: &Settings,
    name: &str,
    slot: u32,
    vector: &Vector,
) -> Result<(), Error> {
    match vector {
        Vector::Dense(vector) => {
            if let Some(settings) = settings.vectors.get(name) {
                let record = VectorRecord::of(vector.as_slice());
                rows.put(&VECTORS, &(settings.number, slot), &record)?;
            }
        }
        Vector::Sparse(vector) => {
            if let Some(settings) = settings.sparse.get(name) {
                let record = SparseRecord::of(vector);
                rows.put(&SPARSE, &(settings.number, slot), &record)?;
            }
        }
        Vector::Multi(vector) => {
            if let Some(settings) = settings.multi.get(name) {
                for (row, record) in MultiRecord::rows(vector) {
                    rows.put(&MULTI, &(settings.number, slot, row), &record)?;
                }
            }
        }
    }
    Ok(())
}
