//! Taking a snapshot: the heads of all documents at one moment, then their rows, which stay as they are
//! for as long as the view that shows them is held.

use std::io::{self, Write};
use std::sync::Arc;

use crossbeam_channel::bounded;

use super::archive::ArchiveWriter;
use super::items::{DocumentItem, Item, PartItem};
use super::{FORMAT, SnapshotHeader};
use crate::cancel::Cancellation;
use crate::collection::commit::Write as Mutation;
use crate::collection::engine::{Engine, damaged};
use crate::collection::error::Error;
use crate::collection::open::Collection;
use crate::collection::records::{
    DOCUMENTS, DocumentRecord, FIELDS, FILES, FileRecord, KEY_LOG, KEYS, KeyRecord,
};
use crate::collection::view::View;
use crate::document::{Part, Slot};

/// What the tables say at one moment, but for the rows under slots.
#[derive(Debug)]
pub(in crate::collection) struct Heads {
    view: Arc<View>,
    /// The documents without their ids, which the rows have; by first slot.
    documents: Vec<DocumentRecord>,
    fields: Vec<(String, u8)>,
    files: Vec<(String, FileRecord)>,
    keys: Vec<(String, KeyRecord)>,
}

impl Heads {
    /// Reads the tables; nobody may write meanwhile.
    pub(in crate::collection) fn read(engine: &Engine) -> Result<Self, Error> {
        let view = engine.views.current();
        let database = &engine.database;
        let mut documents = Vec::new();
        for row in database.scan(&DOCUMENTS) {
            documents.push(row?.1);
        }
        documents.sort_unstable_by_key(|record| record.first);
        let mut fields = Vec::new();
        for row in database.scan(&FIELDS) {
            let (path, record) = row?;
            fields.push((path, record.types));
        }
        let files = database.scan(&FILES).collect::<Result<_, _>>()?;
        // Those that the log does not name are being forgotten.
        let mut keys = Vec::new();
        for row in database.scan(&KEY_LOG) {
            let (_, logged) = row?;
            if let Some(record) = database.get(&KEYS, &logged.key)? {
                keys.push((logged.key, record));
            }
        }
        Ok(Self { view, documents, fields, files, keys })
    }
}

impl Collection {
    /// Writes an archive of the newest state; returns what it is of. Writers wait while the heads of
    /// the documents are read, about a microsecond for each.
    pub(super) fn write_snapshot(
        &self,
        out: &mut dyn Write,
        created_unix_ms: u64,
        progress: &dyn Fn(u64, u64),
        cancel: &Cancellation,
    ) -> Result<SnapshotHeader, Error> {
        let engine = &self.engine;
        let (send, receive) = bounded(1);
        self.committer.wait(&self.committer.send(Mutation::Heads(send))?)?;
        let heads: Heads = receive.recv().map_err(|_| Error::Closed(engine.name.clone()))?;
        let mut settings = engine.kept().settings.clone();
        settings.dropped.clear();
        let header = SnapshotHeader {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            collection: engine.name.clone(),
            sequence: heads.view.sequence.0,
            created_unix_ms,
            documents: heads.documents.len() as u64,
            parts: heads.view.live.len(),
            settings,
        };
        let json = serde_json::to_vec(&header).map_err(io::Error::other)?;
        let mut archive = ArchiveWriter::new(out, &json)?;
        for (path, types) in heads.fields {
            archive.push(&Item::Field { path, types }.encode()?)?;
        }
        for (id, FileRecord { content, version }) in heads.files {
            archive.push(&Item::File { id, content, version }.encode()?)?;
        }
        for (name, bytes) in self.notes()? {
            archive.push(&Item::Note { name, bytes }.encode()?)?;
        }
        for (key, KeyRecord { sequence, was_there }) in heads.keys {
            archive.push(&Item::Key { key, sequence, was_there }.encode()?)?;
        }
        let total = header.documents;
        for (done, record) in (0..).zip(&heads.documents) {
            progress(done, total);
            cancel.check()?;
            engine.write_document(record, &mut |item| Ok(archive.push(&item.encode()?)?))?;
        }
        archive.finish()?;
        progress(total, total);
        Ok(header)
    }
}

impl Engine {
    fn write_document(
        &self,
        record: &DocumentRecord,
        push: &mut dyn FnMut(Item) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let first = record.first;
        let missing = |table: &str, slot| damaged(table, slot, "missing");
        let body = self.database.get(&crate::collection::records::BODIES, &first)?;
        let body = body.ok_or_else(|| missing("body", first))?;
        push(Item::Document(DocumentItem {
            id: body.id,
            sequence: record.sequence,
            content: record.content,
            version: record.version,
            file_bytes: record.file_bytes,
            expires: record.expires,
            payload: body.payload,
            parts: record.parts,
        }))?;
        for slot in record.run().slots().map(Slot) {
            let part = self.part(slot)?.ok_or_else(|| missing("part", slot.0))?;
            let vectors = self.vectors(slot)?;
            let part = Part { span: part.span.into(), text: part.text, vectors };
            let picture = self.picture(slot)?;
            push(Item::Part(PartItem::of(part, picture)))?;
        }
        Ok(())
    }
}
